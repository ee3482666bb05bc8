//! UDP generic segmentation offload (udp(7), `UDP_SEGMENT`): many datagrams of one size to one address leave as one
//! message, which the kernel, or the card, cuts. The way through the kernel is what sending costs, so this is the lever.
//!
//! It is used where it works: an old kernel does not know it, a device without checksum offload answers EIO, a path whose
//! MTU is below the segment size EMSGSIZE or EINVAL. Such a destination gets single datagrams for a while.

use crate::time::Micros;
use rustc_hash::FxHashMap;
use std::ffi::c_int;
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// Segments of one message at most (`UDP_MAX_SEGMENTS` of kernels before 6.9).
pub const MAX_SEGMENTS: usize = 64;
/// Bytes of one message at most: an IPv4 datagram less its headers, rounded down.
pub const MAX_BYTES: usize = 65_000;
/// How long a destination that refused gets single datagrams.
pub const REFUSAL: Micros = Micros::from_secs(60);
const PARDON_INTERVAL: Micros = Micros::from_secs(1);
/// Destinations remembered at most; then all are forgotten and tried again.
pub const MAX_REFUSED: usize = 4_096;

/// The control message that tells the segment size.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SegmentControl {
    header: libc::cmsghdr,
    bytes: u16,
}

// SAFETY: pure arithmetic on a length.
const CONTROL_LEN: usize = unsafe { libc::CMSG_LEN(size_of::<u16>() as u32) } as usize;
// The data follows the header where the kernel looks for it.
const _: () =
    assert!(std::mem::offset_of!(SegmentControl, bytes) + size_of::<u16>() == CONTROL_LEN);

impl SegmentControl {
    /// A control message for segments of so many bytes.
    pub fn new(bytes: u16) -> Self {
        // SAFETY: cmsghdr is integers, for which zero is a value.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        header.cmsg_level = libc::SOL_UDP;
        header.cmsg_type = libc::UDP_SEGMENT;
        header.cmsg_len = CONTROL_LEN as _;
        Self { header, bytes }
    }

    /// Sets the segment size.
    pub fn set(&mut self, bytes: u16) {
        self.bytes = bytes;
    }
}

/// Where messages of several segments may go.
#[derive(Debug, Default)]
pub struct Offload {
    is_supported: bool,
    refused: FxHashMap<SocketAddr, Micros>,
    /// When refusals are looked through next.
    next_pardon: Micros,
}

impl Offload {
    /// Asks the kernel by one of its sockets.
    pub fn probe(&mut self, socket: RawFd) {
        let mut value: c_int = 0;
        let mut length = size_of::<c_int>() as libc::socklen_t;
        // SAFETY: `value` is a live int of `length` bytes, both exclusive.
        let result = unsafe {
            libc::getsockopt(
                socket,
                libc::SOL_UDP,
                libc::UDP_SEGMENT,
                (&raw mut value).cast(),
                &raw mut length,
            )
        };
        self.is_supported = result == 0;
    }

    /// Whether several segments may go there by one message.
    #[inline]
    pub fn allows(&self, to: SocketAddr) -> bool {
        self.is_supported && (self.refused.is_empty() || !self.refused.contains_key(&to))
    }

    /// Whether an error of a message of several segments says that singles may pass.
    pub fn is_refusal(code: Option<i32>) -> bool {
        matches!(
            code,
            Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP | libc::ENOPROTOOPT)
        )
    }

    /// It failed there.
    pub fn refuse(&mut self, to: SocketAddr, now: Micros) {
        if self.refused.len() == MAX_REFUSED {
            self.refused.clear();
        }
        self.refused.insert(to, now + REFUSAL);
    }

    /// Tries again what was refused long ago; looks at most once a second.
    #[inline]
    pub fn forgive(&mut self, now: Micros) {
        if !self.refused.is_empty() && now >= self.next_pardon {
            self.next_pardon = now + PARDON_INTERVAL;
            self.refused.retain(|_, until| *until > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::socket::tests::loopback;
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn nothing_is_allowed_before_the_kernel_was_asked() {
        let mut offload = Offload::default();
        assert!(!offload.allows(address(1)));
        offload.probe(loopback("127.0.0.1").descriptor());
        assert!(offload.allows(address(1)), "this kernel is newer than 4.18");
        offload.probe(-1);
        assert!(!offload.allows(address(1)));
    }

    #[test]
    fn a_refusal_concerns_one_destination_and_ends() {
        let mut offload = Offload {
            is_supported: true,
            ..Offload::default()
        };
        offload.refuse(address(1), Micros(5));
        assert!(!offload.allows(address(1)));
        assert!(offload.allows(address(2)));
        offload.forgive(REFUSAL + Micros(4));
        assert!(!offload.allows(address(1)));
        offload.forgive(REFUSAL + Micros(5));
        assert!(!offload.allows(address(1)), "looked a moment ago");
        offload.forgive(REFUSAL + PARDON_INTERVAL + Micros(4));
        assert!(offload.allows(address(1)));
    }

    #[test]
    fn refusals_are_capped() {
        let mut offload = Offload {
            is_supported: true,
            ..Offload::default()
        };
        for port in 0..=MAX_REFUSED as u16 {
            offload.refuse(address(port), Micros(0));
        }
        assert_eq!(offload.refused.len(), 1);
    }

    #[test]
    fn only_errors_of_segmenting_are_refusals() {
        assert!(Offload::is_refusal(Some(libc::EIO)));
        assert!(Offload::is_refusal(Some(libc::EMSGSIZE)));
        assert!(!Offload::is_refusal(Some(libc::EPERM)));
        assert!(!Offload::is_refusal(None));
    }
}
