//! Captures on their way from a worker to Python: pcapng blocks in two buffers that change places.
//!
//! The worker writes into its own buffer and offers it at the end of each wake-up; it never waits for the lock, and what
//! finds no room is dropped and counted. Both buffers are there from the beginning. A capture that has as many bytes as
//! it may have takes no more.

use crate::core::capture::{CaptureId, Captured};
use crate::ids::SocketId;
use crate::time::Micros;
use crate::wire::pcapng::{Direction, MAX_OVERHEAD, PacketBlock, write_packet_block};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

/// Bytes of a buffer: a tenth of a second of 40 Mbit/s.
pub const BUFFER_BYTES: usize = 512 * 1024;

/// What both ends of a capture share.
#[derive(Default)]
pub struct CaptureChannel {
    waiting: Mutex<Vec<u8>>,
    packets: AtomicU64,
    dropped: AtomicU64,
    is_full: AtomicBool,
}

impl CaptureChannel {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            waiting: Mutex::new(Vec::with_capacity(BUFFER_BYTES)),
            ..Self::default()
        }
    }

    /// Takes what waits: whole blocks.
    pub fn read<T>(&self, take: impl FnOnce(&[u8]) -> T) -> T {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = take(&waiting);
        waiting.clear();
        taken
    }

    /// Packets captured.
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Packets that found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// It has as many bytes as it may have.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }
}

/// What a capture is.
#[derive(Clone, Debug)]
pub struct CaptureConfig {
    /// Its id.
    pub id: CaptureId,
    /// Our side of the 5-tuples, by socket.
    pub addresses: Vec<(SocketId, SocketAddr)>,
    /// Number of the interface in the file that its packets go to.
    pub interface: u32,
    /// Bytes at most.
    pub max_bytes: u64,
    /// Unix time minus engine time, in microseconds.
    pub wall_offset: i64,
}

/// The worker's end of one capture.
pub struct CaptureWriter {
    config: CaptureConfig,
    channel: Arc<CaptureChannel>,
    own: Vec<u8>,
    left: u64,
}

impl CaptureWriter {
    /// The end for the peer's worker.
    pub fn new(config: CaptureConfig, channel: Arc<CaptureChannel>) -> Self {
        Self {
            left: config.max_bytes,
            config,
            channel,
            own: Vec::with_capacity(BUFFER_BYTES),
        }
    }

    /// Which capture it is.
    pub fn id(&self) -> CaptureId {
        self.config.id
    }

    fn add(&mut self, head: &Captured, packet: &[u8]) {
        if self.channel.is_full() {
            return;
        }
        let ours = self.config.addresses.iter();
        let mut ours = ours.filter(|(socket, _)| *socket == head.tuple.socket);
        let Some((_, ours)) = ours.next() else {
            return self.lose();
        };
        let (from, to) = match head.direction {
            Direction::Inbound => (head.tuple.address, *ours),
            Direction::Outbound => (*ours, head.tuple.address),
        };
        let block = PacketBlock {
            interface: self.config.interface,
            at: Micros(head.at.0.saturating_add_signed(self.config.wall_offset)),
            direction: head.direction,
            from,
            to,
            datagram: packet,
            kept: head.kept,
        };
        let start = self.own.len();
        let end = start + MAX_OVERHEAD + head.kept.min(packet.len());
        if end > self.own.capacity() {
            return self.lose();
        }
        self.own.resize(end, 0);
        let written = write_packet_block(&mut self.own[start..], &block).unwrap_or(0);
        self.own.truncate(start + written);
        let Some(left) = self.left.checked_sub(written as u64) else {
            self.own.truncate(start);
            return self.channel.is_full.store(true, Ordering::Relaxed);
        };
        self.left = left;
        let counter = if written == 0 {
            &self.channel.dropped
        } else {
            &self.channel.packets
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn lose(&self) {
        self.channel.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets Python read what there is, unless it is reading just now.
    fn publish(&mut self) {
        if self.own.is_empty() {
            return;
        }
        let mut waiting = match self.channel.waiting.try_lock() {
            Ok(waiting) => waiting,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if waiting.is_empty() {
            std::mem::swap(&mut *waiting, &mut self.own);
        } else if waiting.len() + self.own.len() <= waiting.capacity() {
            waiting.append(&mut self.own);
        }
    }
}

/// Those of one worker. Few: each is asked for by an operator.
#[derive(Default)]
pub struct Captures(Vec<CaptureWriter>);

impl Captures {
    /// One more.
    pub fn start(&mut self, writer: CaptureWriter) {
        self.0.push(writer);
    }

    /// Ends one, with all it has where Python can read it.
    pub fn stop(&mut self, id: CaptureId) {
        self.publish();
        self.0.retain(|writer| writer.id() != id);
    }

    /// A packet for one of them.
    pub fn add(&mut self, head: &Captured, packet: &[u8]) {
        let writer = self.0.iter_mut().find(|writer| writer.id() == head.capture);
        if let Some(writer) = writer {
            writer.add(head, packet);
        }
    }

    /// Lets Python read what there is.
    #[inline]
    pub fn publish(&mut self) {
        for writer in &mut self.0 {
            writer.publish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Tuple;

    fn head(socket: u32, direction: Direction) -> Captured {
        Captured {
            capture: CaptureId(9),
            at: Micros(1_000),
            tuple: Tuple {
                socket: SocketId(socket),
                address: "198.51.100.7:6000".parse().unwrap(),
            },
            direction,
            kept: 1_200,
        }
    }

    fn open(max_bytes: u64) -> (Captures, Arc<CaptureChannel>) {
        let channel = Arc::new(CaptureChannel::new());
        let config = CaptureConfig {
            id: CaptureId(9),
            addresses: vec![(SocketId(1), "192.0.2.1:5000".parse().unwrap())],
            interface: 0,
            max_bytes,
            wall_offset: 1_700_000_000_000_000,
        };
        let mut captures = Captures::default();
        captures.start(CaptureWriter::new(config, Arc::clone(&channel)));
        (captures, channel)
    }

    #[test]
    fn what_is_published_is_read_once() {
        let (mut captures, channel) = open(u64::MAX);
        captures.add(&head(1, Direction::Inbound), &[7; 100]);
        assert_eq!(channel.read(<[u8]>::len), 0, "not published yet");
        captures.publish();
        captures.add(&head(1, Direction::Outbound), &[8; 100]);
        captures.stop(CaptureId(9));
        let both = channel.read(<[u8]>::to_vec);
        assert_eq!(both.len(), 2 * (44 + 28 + 100));
        // Addresses change sides with the direction.
        assert_eq!(both[28 + 12..28 + 16], [198, 51, 100, 7]);
        assert_eq!(both[172 + 28 + 12..172 + 28 + 16], [192, 0, 2, 1]);
        assert_eq!(channel.read(<[u8]>::len), 0);
        assert_eq!((channel.packets(), channel.dropped()), (2, 0));
        captures.add(&head(1, Direction::Inbound), &[7; 100]);
        assert_eq!(channel.packets(), 2, "it has ended");
    }

    #[test]
    fn nobody_reading_costs_packets_and_no_memory() {
        let (mut captures, channel) = open(u64::MAX);
        for _ in 0..2_000 {
            captures.add(&head(1, Direction::Inbound), &[7; 1_200]);
            captures.publish();
        }
        assert_eq!(channel.packets() + channel.dropped(), 2_000);
        assert!(channel.dropped() > 1_000, "{}", channel.dropped());
        assert_eq!(captures.0[0].own.capacity(), BUFFER_BYTES);
        let (read, capacity) = (channel.read(<[u8]>::len), BUFFER_BYTES);
        assert!(read > capacity / 2 && read <= capacity, "{read}");
    }

    #[test]
    fn a_reader_at_work_is_not_waited_for() {
        let (mut captures, channel) = open(u64::MAX);
        let reading = channel.waiting.lock().unwrap();
        captures.add(&head(1, Direction::Inbound), &[7; 100]);
        captures.publish();
        drop(reading);
        captures.publish();
        assert!(channel.read(<[u8]>::len) > 100);
    }

    #[test]
    fn it_ends_at_its_size() {
        let (mut captures, channel) = open(400);
        for _ in 0..5 {
            captures.add(&head(1, Direction::Inbound), &[7; 100]);
        }
        captures.publish();
        assert!(channel.is_full());
        assert_eq!((channel.packets(), channel.dropped()), (2, 0));
        assert_eq!(channel.read(<[u8]>::len), 2 * 172);
    }

    #[test]
    fn a_packet_without_our_address_is_dropped_and_counted() {
        let (mut captures, channel) = open(400);
        captures.add(&head(2, Direction::Inbound), &[7; 100]);
        assert_eq!((channel.packets(), channel.dropped()), (0, 1));
    }
}
