//! One UDP socket of a worker: nonblocking, with buffers as large as the kernel grants, counting what the kernel drops.
//! Where the kernel can join packets of one sender (`UDP_GRO`, Linux 5.0) it is asked to, and everywhere to say when each
//! packet came (`SO_TIMESTAMPNS`, socket(7)).

use super::pressure::Pressure;
use super::sockaddr::{RAW_ADDRESS_LEN, RawAddress};
use crate::ids::SocketId;
use std::ffi::c_int;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A bound UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    descriptor: OwnedFd,
    id: SocketId,
    address: SocketAddr,
    joins_packets: bool,
    /// Last value of the kernel's drop counter (`SO_RXQ_OVFL`), which wraps.
    overflow: u32,
    /// How full its send buffer is.
    pub pressure: Pressure,
}

/// The buffer sizes to ask for, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct BufferSizes {
    /// Receive buffer.
    pub receive: usize,
    /// Send buffer.
    pub send: usize,
}

impl UdpSocket {
    /// Binds. An IPv6 socket is IPv6 only, so that both families can share a port number.
    pub fn bind(id: SocketId, address: SocketAddr, buffers: BufferSizes) -> io::Result<Self> {
        let family = if address.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: socket takes no pointers.
        let descriptor = check(unsafe { libc::socket(family, kind, 0) })?;
        // SAFETY: a fresh descriptor that nobody else owns.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let fd = descriptor.as_raw_fd();
        if address.is_ipv6() {
            set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
        }
        set_option(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
        set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        let joins_packets = set_option(fd, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
        set_buffer(fd, [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF], buffers.receive)?;
        set_buffer(fd, [libc::SO_SNDBUFFORCE, libc::SO_SNDBUF], buffers.send)?;
        let mut raw = RawAddress::zeroed();
        let length = raw.write(address);
        // SAFETY: `raw` holds an address of `length` bytes.
        check(unsafe { libc::bind(fd, (&raw const raw).cast(), length) })?;
        let address = local_address(fd)?;
        Ok(Self {
            descriptor,
            id,
            address,
            joins_packets,
            overflow: 0,
            pressure: Pressure::new(fd),
        })
    }

    /// Its id.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// The address it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the kernel may hand over packets of one sender as one datagram.
    pub fn joins_packets(&self) -> bool {
        self.joins_packets
    }

    /// Its descriptor.
    pub fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// What the kernel granted for receiving, in bytes. The kernel reports the double of what it was asked for,
    /// socket(7); here is what was asked for.
    pub fn receive_buffer_bytes(&self) -> usize {
        get_option(self.descriptor(), libc::SO_RCVBUF) / 2
    }

    /// What the kernel granted for sending, in bytes.
    pub fn send_buffer_bytes(&self) -> usize {
        get_option(self.descriptor(), libc::SO_SNDBUF) / 2
    }

    /// Takes the kernel's drop counter as a packet carried it: how many datagrams were dropped since the last time.
    pub fn note_overflow(&mut self, counter: u32) -> u64 {
        let dropped = counter.wrapping_sub(self.overflow);
        self.overflow = counter;
        u64::from(dropped)
    }
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn set_option(fd: RawFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `value` is a live int of `length` bytes.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) })?;
    Ok(())
}

fn get_option(fd: RawFd, name: c_int) -> usize {
    let mut value: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `value` is a live int of `length` bytes, both exclusive.
    unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        );
    }
    usize::try_from(value).unwrap_or(0)
}

/// The forcing option needs `CAP_NET_ADMIN` but passes the system's limit; the plain one is cut to that limit silently.
fn set_buffer(fd: RawFd, [force, plain]: [c_int; 2], bytes: usize) -> io::Result<()> {
    let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    set_option(fd, libc::SOL_SOCKET, force, bytes)
        .or_else(|_| set_option(fd, libc::SOL_SOCKET, plain, bytes))
}

fn local_address(fd: RawFd) -> io::Result<SocketAddr> {
    let mut raw = RawAddress::zeroed();
    let mut length = RAW_ADDRESS_LEN;
    // SAFETY: `raw` has room for `length` bytes, both exclusive.
    check(unsafe { libc::getsockname(fd, (&raw mut raw).cast(), &raw mut length) })?;
    raw.read()
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const BUFFERS: BufferSizes = BufferSizes {
        receive: 1 << 20,
        send: 1 << 20,
    };

    /// A socket on a free loopback port.
    pub fn loopback(address: &str) -> UdpSocket {
        UdpSocket::bind(
            SocketId(7),
            format!("{address}:0").parse().unwrap(),
            BUFFERS,
        )
        .unwrap()
    }

    /// A blocking socket with room for more than a batch, which gets single datagrams.
    pub fn receiver(host: &str) -> std::net::UdpSocket {
        let bound = loopback(host);
        set_option(bound.descriptor(), libc::SOL_UDP, libc::UDP_GRO, 0).unwrap();
        let socket = std::net::UdpSocket::from(bound.descriptor);
        socket.set_nonblocking(false).unwrap();
        let patience = std::time::Duration::from_secs(2);
        socket.set_read_timeout(Some(patience)).unwrap();
        socket
    }

    #[test]
    fn binds_both_families_to_one_port() {
        let v6 = UdpSocket::bind(SocketId(1), "[::]:0".parse().unwrap(), BUFFERS).unwrap();
        assert_ne!(v6.address().port(), 0);
        let same_port = SocketAddr::new([0, 0, 0, 0].into(), v6.address().port());
        let v4 = UdpSocket::bind(SocketId(2), same_port, BUFFERS).unwrap();
        assert_eq!(v4.address(), same_port);
    }

    #[test]
    fn a_taken_port_is_the_systems_error() {
        let first = loopback("127.0.0.1");
        let error = UdpSocket::bind(SocketId(2), first.address(), BUFFERS).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
    }

    #[test]
    fn buffers_are_reported_as_granted() {
        let socket = loopback("127.0.0.1");
        assert!(socket.receive_buffer_bytes() >= 100_000);
        assert!(socket.send_buffer_bytes() >= 100_000);
    }

    #[test]
    fn the_drop_counter_wraps() {
        let mut socket = loopback("127.0.0.1");
        assert_eq!(socket.note_overflow(u32::MAX - 1), u64::from(u32::MAX - 1));
        assert_eq!(socket.note_overflow(u32::MAX - 1), 0);
        assert_eq!(socket.note_overflow(3), 5);
    }
}
