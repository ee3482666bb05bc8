//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
//!
//! A message covers consecutive transport-wide sequence numbers. Each has a two-bit symbol, packed into run-length and
//! vector chunks; each received packet a delta of 250 us steps to the one before, of one byte or of two. Parsing checks
//! all of it first, so that the walk cannot fail. The extended form without timestamps (version 2) is left out.

use super::{TRANSPORT_FEEDBACK, finish, parse_feedback, start_feedback};
use crate::ids::Ssrc;
use crate::time::Micros;
use crate::wire::bytes::{Writer, read_u8, read_u16, read_u24};
use crate::wire::{ParseError, WriteError};

pub(super) const FORMAT: u8 = 15;

/// Most packets that one message may cover. The field allows 65,535 in 40 bytes, which is work for nothing (threat R7);
/// honest feedback covers about 100 ms.
pub const MAX_STATUSES: usize = 8192;

const TICK_US: i64 = 250;
const TICKS_PER_REFERENCE: i64 = 64_000 / TICK_US;
const HEAD_LEN: usize = 20;

const NOT_RECEIVED: u8 = 0;
const SMALL_DELTA: u8 = 1;
const LARGE_DELTA: u8 = 2;

/// Feedback on how packets arrived.
#[derive(Clone, Copy, Debug)]
pub struct TransportCc<'a> {
    /// Who reports.
    pub sender: Ssrc,
    /// A stream of the reported transport; without meaning.
    pub media: Ssrc,
    /// First sequence number covered.
    pub base_seq: u16,
    /// Number of sequence numbers covered.
    pub status_count: u16,
    /// Time that the first delta is relative to, in 64 ms; wraps at 24 bits.
    pub reference_time: i32,
    /// Counts the messages; wraps.
    pub feedback_count: u8,
    fci: &'a [u8],
    deltas_at: usize,
}

impl<'a> TransportCc<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let (sender, media, fci) = parse_feedback(body)?;
        let status_count = read_u16(fci, 2)?;
        let mut message = Self {
            sender,
            media,
            base_seq: read_u16(fci, 0)?,
            status_count,
            reference_time: (read_u24(fci, 4)? << 8) as i32 >> 8, // sign of 24 bits
            feedback_count: read_u8(fci, 7)?,
            fci,
            deltas_at: 8,
        };
        if status_count == 0 || status_count as usize > MAX_STATUSES {
            return Err(ParseError::BadValue);
        }
        let mut symbols = Symbols::new(fci, status_count);
        let mut delta_bytes = 0;
        while let Some(symbol) = symbols.read_next()? {
            delta_bytes += symbol as usize; // the symbol is the size of its delta
        }
        message.deltas_at = symbols.at;
        if fci.len() < symbols.at + delta_bytes {
            return Err(ParseError::BadLength);
        }
        Ok(message)
    }

    /// Iterates over every covered sequence number, with its arrival in microseconds on the reporter's clock, whose
    /// origin is arbitrary, or `None` when it was not received.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, Option<i64>)> + use<'a> {
        let fci = self.fci;
        let mut symbols = Symbols::new(fci, self.status_count);
        let mut seq = self.base_seq;
        let mut ticks = i64::from(self.reference_time) * TICKS_PER_REFERENCE;
        let mut at = self.deltas_at;
        std::iter::from_fn(move || {
            let symbol = symbols.read_next().ok().flatten()?;
            let delta = match symbol {
                SMALL_DELTA => Some(i64::from(read_u8(fci, at).ok()?)),
                LARGE_DELTA => Some(i64::from(read_u16(fci, at).ok()? as i16)),
                _ => None,
            };
            at += symbol as usize;
            let status = (
                seq,
                delta.map(|delta| {
                    ticks += delta;
                    ticks * TICK_US
                }),
            );
            seq = seq.wrapping_add(1);
            Some(status)
        })
    }
}

/// Walks the symbols of the packet chunks, which start behind the eight bytes of the feedback's own head.
struct Symbols<'a> {
    fci: &'a [u8],
    at: usize,
    left: u16,
    chunk: Chunk,
}

/// What is left of the current chunk.
#[derive(Clone, Copy)]
enum Chunk {
    Run {
        symbol: u8,
        left: u16,
    },
    /// Symbols of `width` bits, the next one in the highest of the 16.
    Vector {
        bits: u16,
        width: u16,
        left: u16,
    },
}

impl<'a> Symbols<'a> {
    fn new(fci: &'a [u8], count: u16) -> Self {
        Self {
            fci,
            at: 8,
            left: count,
            chunk: Chunk::Run { symbol: 0, left: 0 },
        }
    }

    fn read_chunk(&mut self) -> Result<(), ParseError> {
        let chunk = read_u16(self.fci, self.at)?;
        self.at += 2;
        self.chunk = match chunk >> 14 {
            0 | 1 if chunk >> 13 == 3 => return Err(ParseError::BadValue),
            0 | 1 => Chunk::Run {
                symbol: (chunk >> 13) as u8,
                left: chunk & 0x1FFF,
            },
            2 => Chunk::Vector {
                bits: chunk << 2,
                width: 1,
                left: 14,
            },
            _ => Chunk::Vector {
                bits: chunk << 2,
                width: 2,
                left: 7,
            },
        };
        Ok(())
    }

    /// The next symbol, `None` behind the last. Every chunk read makes progress or ends in an error.
    fn read_next(&mut self) -> Result<Option<u8>, ParseError> {
        if self.left == 0 {
            return Ok(None);
        }
        loop {
            match &mut self.chunk {
                Chunk::Run { left: 0, .. } | Chunk::Vector { left: 0, .. } => self.read_chunk()?,
                Chunk::Run { symbol, left } => {
                    *left -= 1;
                    self.left -= 1;
                    return Ok(Some(*symbol));
                }
                Chunk::Vector { bits, width, left } => {
                    let symbol = (*bits >> (16 - *width)) as u8;
                    *bits <<= *width;
                    *left -= 1;
                    self.left -= 1;
                    // Threat R7: 0b11 is reserved.
                    return if symbol > LARGE_DELTA {
                        Err(ParseError::BadValue)
                    } else {
                        Ok(Some(symbol))
                    };
                }
            }
        }
    }
}

/// The head of feedback to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportCcHead {
    /// Who reports.
    pub sender: Ssrc,
    /// A stream of the reported transport.
    pub media: Ssrc,
    /// Sequence number of the first arrival in the list.
    pub base_seq: u16,
    /// Counts the messages; wraps.
    pub feedback_count: u8,
}

/// Writes feedback on consecutive packets, `None` for those that did not arrive. Returns the message's length, and how
/// many packets it covers: fewer than given when the buffer is full, or when two arrivals are more than 8 s apart. The
/// rest belongs into the next message.
pub fn write_transport_cc(
    buffer: &mut [u8],
    head: &TransportCcHead,
    arrivals: &[Option<Micros>],
) -> Result<(usize, usize), WriteError> {
    let first = arrivals
        .iter()
        .flatten()
        .next()
        .ok_or(WriteError::OutOfRange)?;
    let reference = ticks_of(*first).div_euclid(TICKS_PER_REFERENCE);
    let room = (buffer.len() / 4 * 4).min(4 * 0xFFFF);
    let mut writer = start_feedback(
        buffer,
        TRANSPORT_FEEDBACK,
        FORMAT,
        (head.sender, head.media),
    )?;
    writer.put_u16(head.base_seq)?;
    writer.put_u16(0)?;
    writer.put_u24(reference as u32 & 0xFF_FFFF)?;
    writer.put_u8(head.feedback_count)?;
    let origin = reference * TICKS_PER_REFERENCE;
    let covered = write_chunks(&mut writer, Deltas::new(origin, arrivals), room)?;
    if covered == 0 {
        return Err(WriteError::NoRoom);
    }
    for (_, delta) in Deltas::new(origin, &arrivals[..covered]) {
        match delta {
            Some(delta @ 0..=255) => writer.put_u8(delta as u8)?,
            Some(delta) => writer.put_u16(delta as u16)?,
            None => {}
        }
    }
    writer.pad_to_word()?;
    writer.patch_u16(HEAD_LEN - 6, covered as u16)?;
    Ok((finish(writer)?, covered))
}

/// Writes chunks for as many packets as fit `room` together with their deltas; returns how many.
fn write_chunks(writer: &mut Writer, deltas: Deltas, room: usize) -> Result<usize, WriteError> {
    let mut pending = PendingChunk::default();
    let (mut covered, mut delta_bytes) = (0, 0);
    for (symbol, _) in deltas.take(MAX_STATUSES) {
        let full = !pending.accepts(symbol);
        let chunks_end = writer.len() + if full { 4 } else { 2 };
        if chunks_end + delta_bytes + symbol as usize > room {
            break;
        }
        if full {
            writer.put_u16(pending.take_full())?;
        }
        pending.add(symbol);
        delta_bytes += symbol as usize;
        covered += 1;
    }
    if covered > 0 {
        writer.put_u16(pending.last())?;
    }
    Ok(covered)
}

fn ticks_of(time: Micros) -> i64 {
    (time.0 / TICK_US as u64) as i64
}

/// Symbols and deltas of a list of arrivals; ends before a delta that two bytes cannot hold.
struct Deltas<'a> {
    ticks: i64,
    arrivals: std::slice::Iter<'a, Option<Micros>>,
}

impl<'a> Deltas<'a> {
    fn new(origin: i64, arrivals: &'a [Option<Micros>]) -> Self {
        Self {
            ticks: origin,
            arrivals: arrivals.iter(),
        }
    }
}

impl Iterator for Deltas<'_> {
    type Item = (u8, Option<i16>);

    fn next(&mut self) -> Option<Self::Item> {
        let Some(arrival) = self.arrivals.next()? else {
            return Some((NOT_RECEIVED, None));
        };
        let ticks = ticks_of(*arrival);
        let delta = i16::try_from(ticks - self.ticks).ok()?;
        self.ticks = ticks;
        let symbol = if (0..=255).contains(&delta) {
            SMALL_DELTA
        } else {
            LARGE_DELTA
        };
        Some((symbol, Some(delta)))
    }
}

/// Symbols that are not written yet: a run, or as many as a vector holds.
#[derive(Default)]
struct PendingChunk {
    symbols: [u8; Self::ONE_BIT],
    len: usize,
}

impl PendingChunk {
    const ONE_BIT: usize = 14;
    const TWO_BIT: usize = 7;
    const MAX_RUN: usize = 0x1FFF;

    fn stored(&self) -> &[u8] {
        &self.symbols[..self.len.min(Self::ONE_BIT)]
    }

    fn is_run(&self) -> bool {
        self.stored()
            .iter()
            .all(|symbol| *symbol == self.symbols[0])
    }

    fn accepts(&self, symbol: u8) -> bool {
        let small = symbol != LARGE_DELTA && !self.stored().contains(&LARGE_DELTA);
        self.len < Self::TWO_BIT
            || (self.len < Self::ONE_BIT && small)
            || (self.len < Self::MAX_RUN && self.is_run() && symbol == self.symbols[0])
    }

    fn add(&mut self, symbol: u8) {
        if let Some(place) = self.symbols.get_mut(self.len) {
            *place = symbol;
        }
        self.len += 1;
    }

    /// The chunk of a list that accepts no more; what a two-bit vector cannot hold stays.
    fn take_full(&mut self) -> u16 {
        if self.is_run() || self.len >= Self::ONE_BIT {
            let chunk = self.last();
            self.len = 0;
            return chunk;
        }
        let chunk = self.vector(Self::TWO_BIT, 2);
        self.symbols.copy_within(Self::TWO_BIT.., 0);
        self.len = self.len.saturating_sub(Self::TWO_BIT);
        chunk
    }

    /// The chunk of all that is pending.
    fn last(&self) -> u16 {
        if self.is_run() {
            u16::from(self.symbols[0]) << 13 | self.len as u16
        } else if self.len <= Self::TWO_BIT {
            self.vector(Self::TWO_BIT, 2)
        } else {
            self.vector(Self::ONE_BIT, 1)
        }
    }

    fn vector(&self, count: usize, width: u32) -> u16 {
        let symbols =
            (0..count).map(|index| self.stored().get(index).copied().unwrap_or(NOT_RECEIVED));
        let bits = symbols.fold(0, |bits, symbol| bits << width | u16::from(symbol));
        if width == 1 {
            0x8000 | bits
        } else {
            0xC000 | bits
        }
    }
}

#[cfg(test)]
#[path = "transport_cc_tests.rs"]
mod tests;
