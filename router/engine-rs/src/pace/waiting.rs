//! Packets that wait to leave: a queue for each stream, repairs first, then the streams in turn.
//!
//! A stream's turn is a few packets, because packets of one stream are of one size and leave as one message. Without
//! turns the key frame of one picture would stop all others. What waits too long is of no use and is dropped; so is what
//! does not fit.

use super::{Paced, Released};
use crate::core::sink::Class;
use crate::ids::Ssrc;
use crate::time::Micros;
use crate::wire::DropReason;
use std::collections::VecDeque;

/// Most bytes that wait: two seconds of 1 Mbit/s.
pub const MAX_BYTES: usize = 256 << 10;
/// Most streams that have a queue.
pub const MAX_STREAMS: usize = 64;
/// Packets of a stream that leave before another's turn.
const TURN: usize = 4;
/// A packet that has waited so long comes too late: as `recv/history.rs` has it.
pub const DEADLINE: Micros = Micros::from_millis(2_000);
/// One that the rest can do without comes too late much sooner.
pub const LAYER_DEADLINE: Micros = Micros::from_millis(300);

/// All that waits for one receiver.
#[derive(Debug, Default)]
pub struct Waiting {
    streams: Vec<Stream>,
    bytes: usize,
    /// Whose turn it is, and what is left of it.
    turn: usize,
    left: usize,
    stale: u64,
}

#[derive(Debug)]
struct Stream {
    ssrc: Ssrc,
    is_repair: bool,
    packets: VecDeque<Packet>,
    bytes: VecDeque<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    len: u16,
    class: Class,
    since: Micros,
}

impl Packet {
    fn is_stale(&self, now: Micros) -> bool {
        let deadline = match self.class {
            Class::VideoLayer => LAYER_DEADLINE,
            _ => DEADLINE,
        };
        now - self.since >= deadline
    }
}

impl Stream {
    fn new(packet: &Paced) -> Self {
        Self {
            ssrc: packet.ssrc,
            is_repair: packet.is_repair,
            packets: VecDeque::new(),
            bytes: VecDeque::new(),
        }
    }

    /// Drops the oldest packet: its length.
    fn skip(&mut self) -> usize {
        let len = self
            .packets
            .pop_front()
            .map_or(0, |packet| packet.len.into());
        self.bytes.drain(..len);
        len
    }
}

impl Waiting {
    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a packet in.
    pub fn push(&mut self, packet: &Paced, now: Micros) -> Result<(), DropReason> {
        let len = u16::try_from(packet.bytes.len()).map_err(|_| DropReason::PacketTooLarge)?;
        if self.bytes + packet.bytes.len() > MAX_BYTES {
            return Err(DropReason::PacerFull);
        }
        let stream = self.stream(packet).ok_or(DropReason::PacerFull)?;
        stream.bytes.extend(packet.bytes);
        stream.packets.push_back(Packet {
            len,
            class: packet.class,
            since: now,
        });
        self.bytes += packet.bytes.len();
        Ok(())
    }

    /// The queue of the packet's stream; one that is empty is taken over rather than another allocated.
    fn stream(&mut self, packet: &Paced) -> Option<&mut Stream> {
        let own = self.streams.iter().position(|it| it.ssrc == packet.ssrc);
        let free = || self.streams.iter().position(|it| it.packets.is_empty());
        if let Some(at) = own.or_else(free) {
            let stream = &mut self.streams[at];
            (stream.ssrc, stream.is_repair) = (packet.ssrc, packet.is_repair);
            return Some(stream);
        }
        if self.streams.len() == MAX_STREAMS {
            return None;
        }
        self.streams.push(Stream::new(packet));
        self.streams.last_mut()
    }

    /// The stream whose packet leaves next.
    fn next(&self) -> Option<usize> {
        let waits = |at: &usize| !self.streams[*at].packets.is_empty();
        let count = self.streams.len();
        let repair = (0..count).find(|at| waits(at) && self.streams[*at].is_repair);
        let current = (self.left > 0 && self.turn < count)
            .then_some(self.turn)
            .filter(waits);
        let after = || {
            (1..=count)
                .map(|step| (self.turn + step) % count)
                .find(waits)
        };
        repair.or(current).or_else(after)
    }

    /// Length of the packet that leaves next.
    pub fn next_len(&self) -> Option<usize> {
        let stream = &self.streams[self.next()?];
        stream.packets.front().map(|packet| packet.len.into())
    }

    /// Takes the next packet out, to the beginning of `out`.
    pub fn pop(&mut self, out: &mut [u8]) -> Option<Released> {
        let at = self.next()?;
        let stream = &mut self.streams[at];
        let packet = stream.packets.pop_front()?;
        let len = usize::from(packet.len);
        copy_front(&stream.bytes, out.get_mut(..len)?);
        stream.bytes.drain(..len);
        self.bytes -= len;
        if !stream.is_repair {
            let goes_on = self.turn == at && self.left > 0;
            self.left = if goes_on { self.left - 1 } else { TURN - 1 };
            self.turn = at;
        }
        let class = packet.class;
        Some(Released { len, class })
    }

    /// Drops what has waited too long. Only the oldest of each stream are looked at.
    pub fn drop_stale(&mut self, now: Micros) {
        for stream in &mut self.streams {
            while stream
                .packets
                .front()
                .is_some_and(|packet| packet.is_stale(now))
            {
                self.bytes -= stream.skip();
                self.stale += 1;
            }
        }
    }

    /// Packets dropped as stale since this was asked last.
    pub fn take_stale(&mut self) -> u64 {
        std::mem::take(&mut self.stale)
    }

    /// Since when the oldest packet waits.
    pub fn oldest(&self) -> Option<Micros> {
        let fronts = self
            .streams
            .iter()
            .filter_map(|stream| stream.packets.front());
        fronts.map(|packet| packet.since).min()
    }
}

/// Copies as many bytes as `out` takes from the front of a queue that has them.
fn copy_front(queue: &VecDeque<u8>, out: &mut [u8]) {
    let (first, second) = queue.as_slices();
    let from_first = first.len().min(out.len());
    let (start, rest) = out.split_at_mut(from_first);
    start.copy_from_slice(&first[..from_first]);
    rest.copy_from_slice(&second[..rest.len()]);
}
