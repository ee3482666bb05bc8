//! The slot's outgoing sequence numbers: one unbroken line whatever is switched or dropped behind it.
//!
//! An *epoch* is a stretch of one source, from the packet at which the slot switched to it. Within an epoch a packet's
//! number is its own plus an offset, less the packets dropped before it; what the router itself has not received leaves
//! its number free, so that the receiver notices, asks, and gets it late. Epochs never overlap: a new one begins above
//! all numbers of the former, and packets from before its start are refused.
//!
//! Invariant, and the reason for this file (RFC 3711 section 9.1; `threats-and-faults.md` S7): one outgoing number is
//! given to at most one packet of one source in one epoch. Numbers are 64 bits wide, so the SRTP index never repeats.

use super::epoch::Epoch;
use crate::ids::SeqNo;
use crate::media::MediaKind;

/// How far behind the newest a number of a video slot may still be asked for.
pub const VIDEO_WINDOW: u64 = 1_000;
/// The same for audio: 5 s of 20 ms packets.
pub const AUDIO_WINDOW: u64 = 250;
/// How far behind the newest a number may still be sent under. libsrtp's window for sending is 256 (`rtc/srtp.py`): it is
/// shifted for every packet, and four times the window cost 7 % of forwarding.
pub const SEND_WINDOW: u64 = 250;
const RING_START: usize = 32;

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it under this number.
    Send(SeqNo),
    /// Older than the epoch or the window, or already sent.
    Stale,
}

/// What became of a packet that is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It leaves no gap.
    Hidden,
    /// Its number was already passed by: fill it with a packet of padding only, or the receiver asks for ever.
    Filler(SeqNo),
    /// Older than the epoch or the window, or already accounted for.
    Stale,
}

/// What the receiver's number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<T> {
    /// Sent: our number, the source's number, and the note made when it was sent.
    Sent(SeqNo, SeqNo, T),
    /// Filled with padding: our number, and the note made when it was filled.
    Filler(SeqNo, T),
    /// Of the current epoch, but its packet has not been seen: the source's number.
    Awaited(SeqNo),
    /// Not ours, or too old.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
enum Mark<T> {
    Empty,
    Sent { out: u64, source: u64, note: T },
    Filler { out: u64, note: T },
}

/// Outgoing sequence numbers of one slot. `T` is what must be known to make a packet once more.
#[derive(Clone, Debug)]
pub struct SeqManager<T> {
    /// Highest number given out, or the one before the first.
    highest: u64,
    window: u64,
    epoch: Option<Epoch>,
    /// Indexed by outgoing number; grows until a whole window fits, so nothing inside the window is ever overwritten.
    ring: Vec<Mark<T>>,
    started: bool,
}

impl<T: Copy> SeqManager<T> {
    /// The first number sent will be `first`; RFC 3711 section 3.3.1 advises one below 2^15.
    pub fn new(first: u16, kind: MediaKind) -> Self {
        let window = match kind {
            MediaKind::Audio => AUDIO_WINDOW,
            MediaKind::Video => VIDEO_WINDOW,
        };
        Self {
            highest: 0xFFFF + u64::from(first),
            window,
            epoch: None,
            ring: Vec::new(),
            started: false,
        }
    }

    /// A new source begins with this packet, which gets the next number.
    pub fn switch(&mut self, first: SeqNo) {
        // Twice the window: with drops, numbers of the source run ahead of ours.
        self.epoch = Some(Epoch::new(first.0, self.highest + 1, 2 * self.window));
    }

    /// The source ended or paused: all its packets are stale from now on, until the next [`Self::switch`].
    pub fn stop(&mut self) {
        self.epoch = None;
    }

    /// No packet of the current source with a higher number was accounted for.
    pub fn is_newest(&self, seq: SeqNo) -> bool {
        self.epoch
            .as_ref()
            .is_none_or(|epoch| seq.0 > epoch.highest_in)
    }

    /// Gives a packet of the current source its number.
    pub fn forward(&mut self, seq: SeqNo, note: T) -> Verdict {
        let Some(out) = self.place(seq.0) else {
            return Verdict::Stale;
        };
        self.put(
            out,
            Mark::Sent {
                out,
                source: seq.0,
                note,
            },
        );
        Verdict::Send(SeqNo(out))
    }

    /// Drops a packet of the current source.
    pub fn drop_packet(&mut self, seq: SeqNo, note: T) -> Dropped {
        let newest = self
            .epoch
            .as_ref()
            .is_some_and(|epoch| seq.0 > epoch.highest_in);
        let Some(out) = self.place(seq.0) else {
            return Dropped::Stale;
        };
        if !newest {
            self.put(out, Mark::Filler { out, note });
            return Dropped::Filler(SeqNo(out));
        }
        if let Some(epoch) = &mut self.epoch {
            epoch.drop_highest();
        }
        // Missing packets before this one keep their numbers: a later epoch begins above them.
        self.highest = self.highest.max(out - 1);
        Dropped::Hidden
    }

    /// The number of a packet that was not accounted for before; `None` when it was, or is too old.
    fn place(&mut self, seq: u64) -> Option<u64> {
        let (highest, window) = (self.highest, self.window);
        let epoch = self.epoch.as_mut().filter(|epoch| !epoch.is_too_old(seq))?;
        let out = epoch.out_of(seq);
        if seq > epoch.highest_in {
            epoch.advance(seq);
            return Some(out);
        }
        let dropped = epoch.is_dropped(seq);
        (!dropped && out + window.min(SEND_WINDOW) > highest && !self.is_used(out)).then_some(out)
    }

    /// Whether libsrtp still takes a packet of this number.
    pub fn is_sendable(&self, number: SeqNo) -> bool {
        number.0 + SEND_WINDOW > self.highest
    }

    fn is_used(&self, out: u64) -> bool {
        !matches!(self.mark(out), Mark::Empty)
    }

    /// The mark of exactly this number.
    fn mark(&self, out: u64) -> Mark<T> {
        let held = if self.ring.is_empty() {
            Mark::Empty
        } else {
            self.ring[self.index(out)]
        };
        match held {
            Mark::Sent { out: used, .. } | Mark::Filler { out: used, .. } if used == out => held,
            _ => Mark::Empty,
        }
    }

    fn index(&self, out: u64) -> usize {
        (out % self.ring.len() as u64) as usize
    }

    fn put(&mut self, out: u64, mark: Mark<T>) {
        self.started = true;
        self.highest = self.highest.max(out);
        let full = self.window.next_power_of_two() as usize;
        while self.ring.len() < full
            && (self.ring.is_empty() || !matches!(self.ring[self.index(out)], Mark::Empty))
        {
            self.grow();
        }
        let index = self.index(out);
        self.ring[index] = mark;
    }

    fn grow(&mut self) {
        let len = (self.ring.len() * 2).max(RING_START);
        let old = std::mem::replace(&mut self.ring, vec![Mark::Empty; len]);
        for mark in old {
            if let Mark::Sent { out, .. } | Mark::Filler { out, .. } = mark {
                let index = self.index(out);
                self.ring[index] = mark;
            }
        }
    }

    /// Changes the note of a packet that was sent.
    pub fn update(&mut self, out: SeqNo, change: impl FnOnce(&mut T)) {
        if self.ring.is_empty() {
            return;
        }
        let index = self.index(out.0);
        if let Mark::Sent {
            out: used, note, ..
        }
        | Mark::Filler { out: used, note } = &mut self.ring[index]
            && *used == out.0
        {
            change(note);
        }
    }

    /// What the number in a receiver's NACK stands for.
    pub fn origin(&self, seq: u16) -> Origin<T> {
        let back = (self.highest as u16).wrapping_sub(seq);
        if !self.started || u64::from(back) >= self.window {
            return Origin::Unknown;
        }
        let out = self.highest - u64::from(back);
        match (self.mark(out), &self.epoch) {
            (Mark::Sent { source, note, .. }, _) => Origin::Sent(SeqNo(out), SeqNo(source), note),
            (Mark::Filler { note, .. }, _) => Origin::Filler(SeqNo(out), note),
            (Mark::Empty, Some(epoch)) if out >= epoch.first_out => {
                Origin::Awaited(SeqNo(epoch.source_of(out)))
            }
            (Mark::Empty, _) => Origin::Unknown,
        }
    }

    /// The highest number given out; `None` before the first.
    pub fn highest(&self) -> Option<SeqNo> {
        self.started.then_some(SeqNo(self.highest))
    }
}

#[cfg(test)]
#[path = "seq_tests.rs"]
mod tests;
