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
mod tests {
    use super::super::socket::tests::loopback;
    use super::super::socket::{BufferSizes, UdpSocket};
    use super::*;
    use crate::ids::SocketId;
    use std::os::fd::{AsRawFd, RawFd};

    fn wait_readable(fd: RawFd) {
        let mut entry = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live pollfd.
        assert_eq!(unsafe { libc::poll(&raw mut entry, 1, 2_000) }, 1);
    }

    fn receive_all(
        socket: &UdpSocket,
        batch: &mut ReceiveBatch,
    ) -> Vec<(SocketAddr, Vec<u8>, bool)> {
        wait_readable(socket.descriptor());
        receive_batch(socket, batch)
    }

    /// One batch of what is there.
    fn receive_batch(
        socket: &UdpSocket,
        batch: &mut ReceiveBatch,
    ) -> Vec<(SocketAddr, Vec<u8>, bool)> {
        let count = batch.receive(socket, RECEIVE_BATCH).unwrap();
        (0..count)
            .map(|i| {
                let datagram = batch.datagram(i).unwrap();
                (
                    datagram.source,
                    datagram.buffer[..datagram.len].to_vec(),
                    datagram.truncated,
                )
            })
            .collect()
    }

    #[test]
    fn reads_a_batch_of_both_families() {
        for (host, ip) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
            let socket = loopback(host);
            let peer = std::net::UdpSocket::bind((ip, 0)).unwrap();
            for i in 0..10u8 {
                peer.send_to(&[i; 5], socket.address()).unwrap();
            }
            let mut batch = ReceiveBatch::new();
            let received = receive_all(&socket, &mut batch);
            assert_eq!(received.len(), 10);
            for (i, (source, data, truncated)) in received.into_iter().enumerate() {
                assert_eq!(source, peer.local_addr().unwrap());
                assert_eq!(data, [i as u8; 5]);
                assert!(!truncated);
            }
            assert_eq!(
                batch.receive(&socket, RECEIVE_BATCH).unwrap(),
                0,
                "nothing waits any more"
            );
        }
    }

    #[test]
    fn a_full_batch_leaves_the_rest_for_the_next() {
        let socket = loopback("127.0.0.1");
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..RECEIVE_BATCH + 3 {
            peer.send_to(&[], socket.address()).unwrap();
        }
        let mut batch = ReceiveBatch::new();
        assert_eq!(receive_all(&socket, &mut batch).len(), RECEIVE_BATCH);
        assert_eq!(receive_all(&socket, &mut batch).len(), 3);
    }

    /// To a millisecond: the thread may rest between the readings of the two clocks.
    #[test]
    fn packets_have_the_time_of_their_arrival() {
        const GAP: Micros = Micros::from_millis(20);
        let socket = loopback("127.0.0.1");
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut sent = Vec::new();
        for _ in 0..3 {
            let before = clock::now();
            peer.send_to(&[1], socket.address()).unwrap();
            sent.push((before, clock::now()));
            while clock::now() - before < GAP {
                std::hint::spin_loop();
            }
        }
        let mut batch = ReceiveBatch::new();
        assert_eq!(batch.receive(&socket, RECEIVE_BATCH).unwrap(), 3, "in one");
        for (index, (before, after)) in sent.into_iter().enumerate() {
            let arrived = batch.datagram(index).unwrap().arrived;
            let slack = Micros::from_millis(1);
            assert!(arrived + slack >= before && arrived <= after + slack);
        }
    }

    #[test]
    fn a_time_that_cannot_be_is_that_of_reading() {
        let mut batch = ReceiveBatch::new();
        let unix_offset = 1_700_000_000_000_000;
        let read_at = Micros::from_secs(1_000);
        batch.read_at = (read_at, unix_offset);
        let arrival = |before: i64| {
            let unix = read_at.0.checked_add_signed(unix_offset - before).unwrap();
            batch.arrival(Some(Micros(unix)))
        };
        assert_eq!(arrival(700), Micros(read_at.0 - 700));
        assert_eq!(arrival(-1), read_at, "the clock was set back meanwhile");
        assert_eq!(arrival(3_600_000_000), read_at, "it was set forward");
        assert_eq!(batch.arrival(Some(Micros(0))), read_at);
        assert_eq!(batch.arrival(None), read_at);
    }

    #[test]
    fn longer_datagrams_are_marked() {
        let socket = loopback("127.0.0.1");
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for len in [MAX_DATAGRAM, MAX_DATAGRAM + 1, 9_000] {
            peer.send_to(&vec![1; len], socket.address()).unwrap();
        }
        let received = receive_all(&socket, &mut ReceiveBatch::new());
        let lengths: Vec<_> = received
            .iter()
            .map(|(_, data, cut)| (data.len(), *cut))
            .collect();
        assert_eq!(lengths, [(1500, false), (1500, true), (1500, true)]);
    }

    /// Sends by segmentation offload, which loopback delivers as the run it is.
    fn send_run(peer: &std::net::UdpSocket, to: &UdpSocket, data: &[u8], segment: u16) {
        peer.connect(to.address()).unwrap();
        let length = size_of::<c_int>() as libc::socklen_t;
        let value = c_int::from(segment);
        // SAFETY: `value` is a live int of `length` bytes.
        let set = unsafe {
            let value = (&raw const value).cast();
            libc::setsockopt(
                peer.as_raw_fd(),
                libc::SOL_UDP,
                libc::UDP_SEGMENT,
                value,
                length,
            )
        };
        assert_eq!(set, 0, "this kernel has no UDP_SEGMENT");
        assert_eq!(peer.send(data).unwrap(), data.len());
    }

    /// `count` packets of this length, the last of them of 7 bytes, each full of its number.
    fn run(count: usize, segment: usize) -> Vec<u8> {
        let mut data: Vec<u8> = (0..count).flat_map(|i| vec![i as u8; segment]).collect();
        data.truncate((count - 1) * segment + 7);
        data
    }

    #[test]
    fn a_run_is_taken_apart_into_aligned_packets_with_room() {
        for host in ["127.0.0.1", "[::1]"] {
            let socket = loopback(host);
            assert!(socket.joins_packets());
            let peer = std::net::UdpSocket::bind(host.to_owned() + ":0").unwrap();
            peer.send_to(&[99; 20], socket.address()).unwrap();
            send_run(&peer, &socket, &run(11, 1_111), 1_111);
            let mut batch = ReceiveBatch::new();
            let received = receive_all(&socket, &mut batch);
            assert_eq!(received.len(), 12);
            for (i, (source, data, truncated)) in received.into_iter().enumerate().skip(1) {
                let len = if i == 11 { 7 } else { 1_111 };
                assert_eq!((data, truncated), (vec![i as u8 - 1; len], false));
                assert_eq!(source, peer.local_addr().unwrap());
            }
            for i in 0..12 {
                let datagram = batch.datagram(i).unwrap();
                assert_eq!(datagram.buffer.as_ptr() as usize % ALIGNMENT, 0);
                assert!(datagram.buffer.len() >= datagram.len + SRTP_MAX_OVERHEAD);
            }
            assert_eq!((batch.runs.runs, batch.runs.packets), (1, 11));
            assert!(!batch.has_more());
        }
    }

    #[test]
    fn a_batch_has_so_many_packets_however_long_the_runs() {
        let socket = loopback("127.0.0.1");
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..5 {
            send_run(&peer, &socket, &run(50, 1_000), 1_000);
        }
        let mut batch = ReceiveBatch::new();
        let mut numbers: Vec<u8> = Vec::new();
        let mut sizes = Vec::new();
        while sizes.is_empty() || batch.has_more() {
            let received = receive_batch(&socket, &mut batch);
            sizes.push(received.len());
            numbers.extend(received.iter().map(|(_, data, _)| data[0]));
        }
        assert_eq!(sizes, [64, 64, 64, 58]);
        assert!(
            numbers
                .iter()
                .enumerate()
                .all(|(i, number)| usize::from(*number) == i % 50)
        );
        assert_eq!((batch.runs.runs, batch.runs.packets), (5, 250));
        assert_eq!(
            batch.receive(&socket, RECEIVE_BATCH).unwrap(),
            0,
            "nothing waits any more"
        );
    }

    #[test]
    fn packets_stay_until_the_next_call() {
        let socket = loopback("127.0.0.1");
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        send_run(&peer, &socket, &run(30, 100), 100);
        let mut batch = ReceiveBatch::new();
        assert_eq!(receive_all(&socket, &mut batch).len(), 30);
        for i in 0..30 {
            batch.datagram(i).unwrap().buffer[0] ^= 0xFF;
        }
        for i in 0..30u8 {
            assert_eq!(batch.bytes(usize::from(i))[..7], [!i, i, i, i, i, i, i]);
        }
    }

    #[test]
    fn packets_of_a_run_may_be_too_long_as_well() {
        let socket = loopback("127.0.0.1");
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        send_run(&peer, &socket, &run(3, 3_000), 3_000);
        let received = receive_all(&socket, &mut ReceiveBatch::new());
        let lengths: Vec<_> = received
            .iter()
            .map(|(_, data, cut)| (data.len(), *cut))
            .collect();
        assert_eq!(lengths, [(1500, true), (1500, true), (7, false)]);
    }

    #[test]
    fn kernel_drops_are_told() {
        let buffers = BufferSizes {
            receive: 1,
            send: 65_536,
        };
        let mut socket =
            UdpSocket::bind(SocketId(1), "127.0.0.1:0".parse().unwrap(), buffers).unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let sent = 100;
        let mut batch = ReceiveBatch::new();
        for _ in 0..sent {
            peer.send_to(&[0; 1_000], socket.address()).unwrap();
        }
        let first = receive_all(&socket, &mut batch).len();
        // The counter travels with the next datagram that is accepted.
        peer.send_to(&[0; 1_000], socket.address()).unwrap();
        assert_eq!(receive_all(&socket, &mut batch).len(), 1);
        let counter = batch.overflow().expect("drops happened");
        assert_eq!(socket.note_overflow(counter), sent - first as u64);
    }
}
