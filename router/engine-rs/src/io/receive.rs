//! Batched receiving (recvmmsg(2)) with receive offload (`UDP_GRO`, udp(7)): one system call reads many datagrams, of
//! which each may be a run of packets of one sender that the kernel joined. They are handed out packet by packet.
//!
//! Memory: a joined run may be 64 KiB, and any message of a call may be one, so each of the 64 has that much *address
//! space*, 4 MiB a worker. The pages behind it exist only once something was written there: a worker that never gets
//! more than single packets keeps one page a message, 256 KiB; what a flood of runs can make of it is the 4 MiB, once for
//! all peers. Fewer buffers would read fewer single packets at once, which are the most common by far.
//!
//! Each packet has the time at which it reached the machine, not that at which we came to read it: what a publisher takes
//! for the delay and the rate of its path would else be our own, and all packets of a batch would have come at once.
//!
//! Invariants: [`ReceiveBatch::receive`] hands out [`RECEIVE_BATCH`] packets at most, however many a run holds; they stay
//! where they are until it is called again; each begins aligned and has room to spare behind it.

use super::clock;
use super::messages::{empty_headers, empty_vectors};
use super::sockaddr::{RAW_ADDRESS_LEN, RawAddress};
use super::socket::UdpSocket;
use crate::core::Received;
use crate::core::sink::MAX_DATAGRAM;
use crate::srtp::SRTP_MAX_OVERHEAD;
use crate::time::Micros;
use arrayvec::ArrayVec;
use std::ffi::c_int;
use std::io;
use std::net::SocketAddr;

/// Packets handed out at once at most, and datagrams read by one system call.
pub const RECEIVE_BATCH: usize = 64;

/// Room for one packet, with what SRTP may need to spare behind it.
const PACKET_BYTES: usize = 2048;
const _: () = assert!(PACKET_BYTES >= MAX_DATAGRAM + SRTP_MAX_OVERHEAD);

/// The longest run that the kernel joins: `GRO_LEGACY_MAX_SIZE` in the kernel's netdevice.h.
const RUN_BYTES: usize = 65_536;

/// From one message's room to the next. A power of two would put the beginnings of all packets, which are read most,
/// into the same sets of the processor's caches.
const STRIDE: usize = RUN_BYTES + PACKET_BYTES;

/// libsrtp reads RTP headers as 32-bit words; a cache line is what copies like.
const ALIGNMENT: usize = 64;
const _: () = assert!(STRIDE.is_multiple_of(ALIGNMENT) && PACKET_BYTES.is_multiple_of(ALIGNMENT));

/// Longest wait on a socket that is believed: the kernel's time is the system clock's, which may have been set meanwhile.
const MAX_WAIT: Micros = Micros::from_secs(2);

/// Room for control messages, aligned as `cmsghdr` wants it: a time, a counter and a length.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 96]);

/// Room for datagrams, one after the other, which costs no memory before it is used.
struct Room {
    bytes: Vec<u8>,
    start: usize,
    stride: usize,
}

impl Room {
    fn new(stride: usize) -> Self {
        // Zeroed by the kernel, page by page when touched.
        let bytes = vec![0; RECEIVE_BATCH * stride + ALIGNMENT];
        let start = bytes.as_ptr().align_offset(ALIGNMENT);
        Self {
            bytes,
            start,
            stride,
        }
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = self.start + index * self.stride;
        &self.bytes[start..start + self.stride]
    }

    fn get_mut(&mut self, index: usize) -> &mut [u8] {
        let start = self.start + index * self.stride;
        &mut self.bytes[start..start + self.stride]
    }
}

/// A packet of the batch: where it is.
#[derive(Clone, Copy)]
struct Packet {
    message: usize,
    len: usize,
    /// It was part of a run and has been copied to its own room; else it is where the kernel wrote it.
    is_copied: bool,
    arrived: Micros,
}

/// What the control messages of a datagram say.
#[derive(Clone, Copy, Default)]
struct Ancillary {
    /// The socket's drop counter; absent while it is zero.
    overflow: Option<u32>,
    /// The length of a run's packets, of which the last may be shorter; absent when it is no run.
    segment: Option<usize>,
    /// Unix time at which it came, of a run that of its first packet.
    unix_time: Option<Micros>,
}

/// Totals of receive offload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunCounters {
    /// Runs received.
    pub runs: u64,
    /// Packets of those runs.
    pub packets: u64,
}

/// Buffers for one batch, which live as long as their worker.
pub struct ReceiveBatch {
    messages: Room,
    /// Packets of runs, taken apart.
    copies: Room,
    names: Box<[RawAddress]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    /// They point into the boxes beside them, which never move.
    headers: Box<[libc::mmsghdr]>,
    /// Headers that the last system call wrote to: these are prepared again before the next.
    written: usize,
    /// Messages of the last system call.
    count: usize,
    /// The message that is handed out next, and how much of it was handed out already.
    next: (usize, usize),
    packets: ArrayVec<Packet, RECEIVE_BATCH>,
    overflow: Option<u32>,
    /// When the last system call was made, and [`clock::wall_offset`] then.
    read_at: (Micros, i64),
    /// Totals.
    pub runs: RunCounters,
}

/// One received packet.
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// The packet, with spare room behind it.
    pub buffer: &'a mut [u8],
    /// Its length.
    pub len: usize,
    /// When it came, in engine time.
    pub arrived: Micros,
    /// It was longer than [`MAX_DATAGRAM`] and was cut.
    pub truncated: bool,
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl ReceiveBatch {
    /// Buffers, empty.
    pub fn new() -> Self {
        Self {
            messages: Room::new(STRIDE),
            copies: Room::new(PACKET_BYTES),
            names: vec![RawAddress::zeroed(); RECEIVE_BATCH].into_boxed_slice(),
            controls: vec![Control([0; 96]); RECEIVE_BATCH].into_boxed_slice(),
            vectors: empty_vectors(RECEIVE_BATCH),
            headers: empty_headers(RECEIVE_BATCH),
            written: RECEIVE_BATCH,
            count: 0,
            next: (0, 0),
            packets: ArrayVec::new(),
            overflow: None,
            read_at: (Micros(0), 0),
            runs: RunCounters::default(),
        }
    }

    fn point_headers(&mut self) {
        let addresses = self.names.iter_mut().zip(&mut self.controls);
        let all = self.headers.iter_mut().zip(&mut self.vectors);
        let written = all.zip(addresses).take(self.written).enumerate();
        for (index, ((header, vector), (name, control))) in written {
            vector.iov_base = self.messages.get_mut(index).as_mut_ptr().cast();
            vector.iov_len = RUN_BYTES;
            let message = &mut header.msg_hdr;
            message.msg_name = (&raw mut *name).cast();
            message.msg_namelen = RAW_ADDRESS_LEN;
            message.msg_iov = vector;
            message.msg_iovlen = 1;
            message.msg_control = (&raw mut *control).cast();
            message.msg_controllen = size_of::<Control>() as _;
            message.msg_flags = 0;
        }
    }

    /// Makes the next packets available, up to `limit` and [`RECEIVE_BATCH`]: how many. Those left over from the last call
    /// come first; without any, what waits on the socket is read. Nothing waiting is zero.
    pub fn receive(&mut self, socket: &UdpSocket, limit: usize) -> io::Result<usize> {
        self.packets.clear();
        if !self.has_more() {
            self.next = (0, 0);
            self.count = 0;
            self.count = self.read(socket)?;
        }
        self.take_apart(limit);
        Ok(self.packets.len())
    }

    /// Packets of the last system call wait to be handed out: [`ReceiveBatch::receive`] must be called again, with the
    /// same socket.
    pub fn has_more(&self) -> bool {
        self.next.0 < self.count
    }

    fn read(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.point_headers();
        // SAFETY: every header points at live, exclusive buffers of the stated lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.descriptor(),
                self.headers.as_mut_ptr(),
                RECEIVE_BATCH as _,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        self.read_at = (clock::now(), clock::wall_offset());
        self.written = usize::try_from(count).unwrap_or(0);
        if let Ok(count) = usize::try_from(count) {
            let last = count.checked_sub(1);
            self.overflow = last.and_then(|last| self.ancillary(last).overflow);
            return Ok(count);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
            _ => Err(error),
        }
    }

    /// Lists packets from where the last batch ended.
    fn take_apart(&mut self, limit: usize) {
        let limit = limit.min(RECEIVE_BATCH);
        while self.has_more() && self.packets.len() < limit {
            let (message, done) = self.next;
            let len = self.headers[message].msg_len as usize;
            let told = self.ancillary(message);
            let arrived = self.arrival(told.unix_time);
            if let Some(segment) = told.segment {
                self.take_segment((message, arrived), done, len, segment);
            } else {
                self.packets.push(Packet {
                    message,
                    len,
                    is_copied: false,
                    arrived,
                });
                self.next = (message + 1, 0);
            }
        }
    }

    /// The kernel's time as engine time, or the time of reading.
    fn arrival(&self, unix_time: Option<Micros>) -> Micros {
        let (read_at, wall_offset) = self.read_at;
        unix_time
            .and_then(|unix| unix.0.checked_add_signed(-wall_offset).map(Micros))
            .filter(|arrived| *arrived <= read_at && read_at - *arrived <= MAX_WAIT)
            .unwrap_or(read_at)
    }

    fn take_segment(
        &mut self,
        (message, arrived): (usize, Micros),
        done: usize,
        total: usize,
        segment: usize,
    ) {
        let len = segment.min(total - done);
        let kept = len.min(PACKET_BYTES);
        let run = &self.messages.get(message)[done..done + kept];
        self.copies.get_mut(self.packets.len())[..kept].copy_from_slice(run);
        self.packets.push(Packet {
            message,
            len,
            is_copied: true,
            arrived,
        });
        self.runs.runs += u64::from(done == 0);
        self.runs.packets += 1;
        self.next = if done + len < total {
            (message, done + len)
        } else {
            (message + 1, 0)
        };
    }

    /// Packet `index` of the batch; `None` when its source is of no known family.
    pub fn datagram(&mut self, index: usize) -> Option<Datagram<'_>> {
        let packet = self.packets[index];
        let room = if packet.is_copied {
            self.copies.get_mut(index)
        } else {
            self.messages.get_mut(packet.message)
        };
        Some(Datagram {
            source: self.names[packet.message].read()?,
            len: packet.len.min(MAX_DATAGRAM),
            arrived: packet.arrived,
            truncated: packet.len > MAX_DATAGRAM,
            buffer: &mut room[..PACKET_BYTES],
        })
    }

    /// The socket's drop counter as the last system call told it; absent while it is zero. A run counts once.
    pub fn overflow(&self) -> Option<u32> {
        self.overflow
    }

    fn ancillary(&self, index: usize) -> Ancillary {
        let mut told = Ancillary::default();
        let header = &self.headers[index].msg_hdr;
        // SAFETY: the kernel filled `msg_controllen` bytes of this message's control buffer, which lives as long as
        // `self`; the macros stay within them.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(header).as_ref() };
        while let Some(message) = next {
            // SAFETY: a header that the kernel wrote is followed by its data.
            let data = unsafe { libc::CMSG_DATA(message) };
            // SAFETY: the shortest that was asked for is an integer.
            let value = unsafe { data.cast::<c_int>().read_unaligned() };
            match (message.cmsg_level, message.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    // SAFETY: messages of this type hold a timespec.
                    let time = unsafe { data.cast::<libc::timespec>().read_unaligned() };
                    told.unix_time = Some(clock::from_timespec(time));
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    told.overflow = Some(value.cast_unsigned());
                }
                // A length of zero would never end.
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    told.segment = usize::try_from(value).ok().filter(|len| *len > 0);
                }
                _ => {}
            }
            // SAFETY: as above.
            next = unsafe { libc::CMSG_NXTHDR(header, message).as_ref() };
        }
        told
    }
}

impl Received for ReceiveBatch {
    fn bytes(&self, index: usize) -> &[u8] {
        let packet = self.packets[index];
        let room = if packet.is_copied {
            self.copies.get(index)
        } else {
            self.messages.get(packet.message)
        };
        &room[..PACKET_BYTES]
    }
}

#[cfg(test)]
#[path = "receive_tests.rs"]
mod tests;
