//! The core's sink: one arena of datagrams per wake-up, sent by as few system calls as possible.
//!
//! Invariant: the arena always has room for one more datagram, so writing into the scratch space never fails.

use super::capture::Captures;
use super::clock;
use super::prefetch::prefetch;
use super::queue::EventSender;
use super::ring::Outlet;
use super::send::{Outgoing, Sender};
use super::socket::UdpSocket;
use super::stats::DelayHistogram;
use crate::core::Event;
use crate::core::capture::Captured;
use crate::core::mirror::{MirrorHead, MirrorMessage};
use crate::core::sink::{Class, MAX_DATAGRAM, Sink};
use crate::ids::{SocketId, Tuple, WorkerId};
use crate::srtp::SRTP_MAX_OVERHEAD;
use crate::time::Micros;
use std::ops::Range;

/// Datagrams collected before they are sent at the latest. 256 of 1.1 KB stay in a core's second-level cache.
const MAX_ENTRIES: usize = 256;

/// Room a datagram may take.
const SCRATCH_BYTES: usize = MAX_DATAGRAM + SRTP_MAX_OVERHEAD;

/// Datagrams begin at multiples of this: libsrtp reads headers as 32-bit words. Packets of such a length that leave in a
/// row lie in a row, so that the kernel copies them as one piece.
const ALIGNMENT: usize = 4;

const ARENA_BYTES: usize =
    (MAX_ENTRIES * SCRATCH_BYTES.next_multiple_of(ALIGNMENT)).next_multiple_of(LINE);

/// A cache line.
const LINE: usize = 64;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

struct Entry {
    range: Range<usize>,
    to: Tuple,
    class: Class,
}

/// Datagrams to send, the sockets to send them by, and the way to Python for events.
pub struct SendBatch {
    arena: Box<[Line]>,
    used: usize,
    entries: Vec<Entry>,
    /// Indexes of `entries`, grouped.
    order: Vec<u16>,
    /// When the first of the datagrams that caused these entries came.
    arrived: Option<Micros>,
    /// The worker's sockets.
    pub sockets: Vec<UdpSocket>,
    /// Sends and counts.
    pub sender: Sender,
    /// How long forwarding took.
    pub forward_delay: DelayHistogram,
    /// Events to Python.
    pub events: EventSender,
    /// The way to other workers.
    pub outlet: Outlet,
    /// Where tapped packets go.
    pub captures: Captures,
}

impl SendBatch {
    /// An empty batch without sockets.
    pub fn new(events: EventSender, outlet: Outlet) -> Self {
        Self {
            arena: vec![Line([0; LINE]); ARENA_BYTES / LINE].into_boxed_slice(),
            used: 0,
            entries: Vec::with_capacity(MAX_ENTRIES),
            order: Vec::with_capacity(MAX_ENTRIES),
            arrived: None,
            sockets: Vec::new(),
            sender: Sender::new(),
            forward_delay: DelayHistogram::default(),
            events,
            outlet,
            captures: Captures::default(),
        }
    }

    /// What follows, until the next flush at the end of a wake-up, was caused by datagrams of which the first came then:
    /// to the machine, so that the time they waited for this thread counts.
    pub fn begin_forwarding(&mut self, arrived: Micros) {
        self.arrived.get_or_insert(arrived);
    }

    /// Adds a socket to send by.
    pub fn add_socket(&mut self, socket: UdpSocket) {
        self.sender.offload.probe(socket.descriptor());
        self.sockets.push(socket);
    }

    /// Adds a datagram that is ready; one that is too long is counted and dropped.
    pub fn add(&mut self, data: &[u8], to: Tuple) {
        match self.scratch().get_mut(..data.len()) {
            Some(room) => {
                room.copy_from_slice(data);
                self.commit(data.len(), to, Class::Control);
            }
            None => self.sender.counters.errors += 1,
        }
    }

    /// Ends a wake-up, or a phase of it: everything is sent.
    pub fn flush(&mut self) {
        self.transmit();
        self.arrived = None;
    }

    fn transmit(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        self.group();
        self.sender.begin(clock::now());
        let bytes = bytes(&self.arena);
        let entries = &self.entries;
        let same_socket = |a: &u16, b: &u16| socket_of(entries, *a) == socket_of(entries, *b);
        for run in self.order.chunk_by(same_socket) {
            let id = socket_of(entries, run[0]);
            let Some(socket) = self.sockets.iter_mut().find(|socket| socket.id() == id) else {
                self.sender.counters.errors += run.len() as u64;
                continue;
            };
            let datagrams = run.iter().map(|&index| {
                let entry = &entries[index as usize];
                Outgoing {
                    data: &bytes[entry.range.clone()],
                    to: entry.to.address,
                    class: entry.class,
                }
            });
            self.sender
                .send(socket.descriptor(), &mut socket.pressure, datagrams);
        }
        if let Some(arrived) = self.arrived {
            let delay = clock::now() - arrived;
            self.forward_delay.record(delay, self.entries.len() as u64);
        }
        self.entries.clear();
        self.used = 0;
    }

    /// Brings together what one system call can send: by socket. Runs to one destination come from the core already, which
    /// forwards receiver by receiver. Order within a group stays that of committing.
    fn group(&mut self) {
        let entries = &self.entries;
        self.order.clear();
        self.order.extend(0..entries.len() as u16);
        let first = entries[0].to.socket;
        if entries.iter().any(|entry| entry.to.socket != first) {
            self.order
                .sort_unstable_by_key(|&index| (socket_of(entries, index), index));
        }
    }
}

fn socket_of(entries: &[Entry], index: u16) -> SocketId {
    entries[index as usize].to.socket
}

fn bytes(lines: &[Line]) -> &[u8] {
    // SAFETY: `Line` is 64 bytes without padding; the slice covers exactly the same memory.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(lines)) }
}

fn bytes_mut(lines: &mut [Line]) -> &mut [u8] {
    // SAFETY: as in `bytes`; exclusive because `lines` is.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
}

impl Sink for SendBatch {
    fn scratch(&mut self) -> &mut [u8] {
        let start = self.used;
        &mut bytes_mut(&mut self.arena)[start..start + SCRATCH_BYTES]
    }

    fn commit(&mut self, len: usize, to: Tuple, class: Class) {
        let end = self.used + len.min(SCRATCH_BYTES);
        self.entries.push(Entry {
            range: self.used..end,
            to,
            class,
        });
        self.used = end.next_multiple_of(ALIGNMENT);
        if self.entries.len() == MAX_ENTRIES {
            self.transmit();
        }
    }

    #[inline]
    fn prefetch(&self, start: *const u8, len: usize) {
        prefetch(start, len);
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn capture(&mut self, head: &Captured, packet: &[u8]) {
        self.captures.add(head, packet);
    }

    fn capture_scratch(&mut self, head: &Captured, len: usize) {
        let packet = &bytes(&self.arena)[self.used..self.used + len.min(SCRATCH_BYTES)];
        self.captures.add(head, packet);
    }

    fn mirror_packet(&mut self, to: WorkerId, head: &MirrorHead, bytes: &[u8]) {
        self.outlet.send_packet(to, head, bytes);
    }

    fn mirror_message(&mut self, to: WorkerId, message: MirrorMessage) {
        self.outlet.send_message(to, message);
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::EventQueue;
    use super::super::ring::Mesh;
    use super::super::socket::tests::{loopback, receiver};
    use super::super::socket::{BufferSizes, UdpSocket};
    use super::super::wake::Waker;
    use super::*;
    use std::sync::Arc;

    fn batch() -> SendBatch {
        let waker = Arc::new(Waker::new().unwrap());
        let outlet = Outlet::new(Mesh::new(1).unwrap(), 0);
        SendBatch::new(EventSender::new(Arc::new(EventQueue::new()), waker), outlet)
    }

    fn peer() -> (std::net::UdpSocket, std::net::SocketAddr) {
        let socket = receiver("127.0.0.1");
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    fn receive(socket: &std::net::UdpSocket) -> (Vec<u8>, std::net::SocketAddr) {
        let mut buffer = [0; 2_000];
        let (len, source) = socket.recv_from(&mut buffer).unwrap();
        (buffer[..len].to_vec(), source)
    }

    #[test]
    fn groups_by_socket_and_keeps_the_order() {
        let mut batch = batch();
        let buffers = BufferSizes {
            receive: 65_536,
            send: 65_536,
        };
        for id in [1, 2] {
            let address = "127.0.0.1:0".parse().unwrap();
            batch
                .sockets
                .push(UdpSocket::bind(SocketId(id), address, buffers).unwrap());
        }
        let (peer, address) = peer();
        for i in 0..6u8 {
            let socket = SocketId(1 + u32::from(i % 2));
            batch.add(&[i; 3], Tuple { socket, address });
        }
        batch.flush();
        let received: Vec<_> = (0..6).map(|_| receive(&peer)).collect();
        let sources = [batch.sockets[0].address(), batch.sockets[1].address()];
        for (i, (data, source)) in [0u8, 2, 4, 1, 3, 5].into_iter().zip(received) {
            assert_eq!((data, source), (vec![i; 3], sources[usize::from(i % 2)]));
        }
        assert_eq!(
            batch.sender.counters.batches, 2,
            "one system call per socket"
        );
    }

    #[test]
    fn a_full_batch_is_sent_at_once_and_never_overflows() {
        let mut batch = batch();
        batch.sockets.push(loopback("127.0.0.1"));
        let (peer, address) = peer();
        let to = Tuple {
            socket: SocketId(7),
            address,
        };
        for i in 0..MAX_ENTRIES * 3 {
            let scratch = batch.scratch();
            assert!(scratch.len() >= MAX_DATAGRAM + SRTP_MAX_OVERHEAD);
            assert_eq!(scratch.as_ptr() as usize % ALIGNMENT, 0);
            scratch[..2].copy_from_slice(&(i as u16).to_be_bytes());
            batch.commit(SCRATCH_BYTES, to, Class::Video);
            if i % MAX_ENTRIES == MAX_ENTRIES - 1 {
                for _ in 0..MAX_ENTRIES {
                    assert_eq!(receive(&peer).0.len(), SCRATCH_BYTES);
                }
            }
        }
        assert_eq!(batch.sender.counters.datagrams, MAX_ENTRIES as u64 * 3);
    }

    #[test]
    fn a_closed_socket_and_an_oversized_datagram_are_counted() {
        let mut batch = batch();
        let to = Tuple {
            socket: SocketId(9),
            address: "127.0.0.1:9".parse().unwrap(),
        };
        batch.add(&[0; 10], to);
        batch.add(&[0; SCRATCH_BYTES + 1], to);
        batch.flush();
        assert_eq!(batch.sender.counters.errors, 2);
        assert_eq!(batch.sender.counters.datagrams, 0);
    }

    #[test]
    fn only_forwarded_packets_enter_the_histogram() {
        let mut batch = batch();
        batch.sockets.push(loopback("127.0.0.1"));
        let (_peer, address) = peer();
        let to = Tuple {
            socket: SocketId(7),
            address,
        };
        batch.add(&[0; 10], to);
        batch.flush();
        assert_eq!(batch.forward_delay, DelayHistogram::default());
        batch.begin_forwarding(clock::now());
        batch.add(&[0; 10], to);
        batch.add(&[0; 10], to);
        batch.flush();
        assert_eq!(batch.forward_delay.buckets.iter().sum::<u64>(), 2);
    }
}
