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
use super::sent::{Given, SentNumbers};
use crate::ids::SeqNo;
use crate::media::MediaKind;

/// How far behind the newest a number of a video slot may still be asked for.
pub const VIDEO_WINDOW: u64 = 1_000;
/// The same for audio: 5 s of 20 ms packets.
pub const AUDIO_WINDOW: u64 = 250;
/// How far behind the newest a number may still be sent under. libsrtp's window for sending is 256 (`rtc/srtp.py`): it is
/// shifted for every packet, and four times the window cost 7 % of forwarding.
pub const SEND_WINDOW: u64 = 250;

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

/// Outgoing sequence numbers of one slot. `T` is what must be known to make a packet once more.
#[derive(Clone, Debug)]
pub struct SeqManager<T> {
    window: u64,
    epoch: Option<Epoch>,
    sent: SentNumbers<T>,
    started: bool,
}

impl<T: Copy + PartialEq> SeqManager<T> {
    /// The first number sent will be `first`; RFC 3711 section 3.3.1 advises one below 2^15.
    pub fn new(first: u16, kind: MediaKind) -> Self {
        let window = match kind {
            MediaKind::Audio => AUDIO_WINDOW,
            MediaKind::Video => VIDEO_WINDOW,
        };
        Self {
            window,
            epoch: None,
            sent: SentNumbers::new(0xFFFF + u64::from(first), window),
            started: false,
        }
    }

    /// A new source begins with this packet, which gets the next number.
    pub fn switch(&mut self, first: SeqNo) {
        // Twice the window: with drops, numbers of the source run ahead of ours.
        self.epoch = Some(Epoch::new(
            first.0,
            self.sent.highest() + 1,
            2 * self.window,
        ));
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
    #[inline]
    pub fn forward(&mut self, seq: SeqNo, note: T) -> Verdict {
        let Some(out) = self.place(seq.0) else {
            return Verdict::Stale;
        };
        self.give(out, Given::Packet(seq.0), note);
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
            self.give(out, Given::Filler, note);
            return Dropped::Filler(SeqNo(out));
        }
        if let Some(epoch) = &mut self.epoch {
            epoch.drop_highest();
        }
        // Missing packets before this one keep their numbers: a later epoch begins above them.
        self.sent.pass_by(out - 1);
        Dropped::Hidden
    }

    /// The number of a packet that was not accounted for before; `None` when it was, or is too old.
    fn place(&mut self, seq: u64) -> Option<u64> {
        let epoch = self.epoch.as_mut().filter(|epoch| !epoch.is_too_old(seq))?;
        let out = epoch.out_of(seq);
        if seq > epoch.highest_in {
            epoch.advance(seq);
            return Some(out);
        }
        let dropped = epoch.is_dropped(seq);
        let is_free = !dropped && self.is_sendable(SeqNo(out)) && !self.sent.is_given(out);
        is_free.then_some(out)
    }

    /// Whether libsrtp still takes a packet of this number.
    pub fn is_sendable(&self, number: SeqNo) -> bool {
        number.0 + SEND_WINDOW > self.sent.highest()
    }

    fn give(&mut self, out: u64, given: Given, note: T) {
        self.started = true;
        self.sent.give(out, given, note);
    }

    /// What the number in a receiver's NACK stands for.
    pub fn origin(&self, seq: u16) -> Origin<T> {
        let highest = self.sent.highest();
        let back = (highest as u16).wrapping_sub(seq);
        if !self.started || u64::from(back) >= self.window {
            return Origin::Unknown;
        }
        let out = highest - u64::from(back);
        match (self.sent.get(out), &self.epoch) {
            (Some((Given::Packet(source), note)), _) => {
                Origin::Sent(SeqNo(out), SeqNo(source), note)
            }
            (Some((Given::Filler, note)), _) => Origin::Filler(SeqNo(out), note),
            (None, Some(epoch)) if out >= epoch.first_out => {
                Origin::Awaited(SeqNo(epoch.source_of(out)))
            }
            (None, _) => Origin::Unknown,
        }
    }

    /// The highest number given out or promised; `None` before the first.
    pub fn highest(&self) -> Option<SeqNo> {
        self.started.then_some(SeqNo(self.sent.highest()))
    }
}

#[cfg(test)]
#[path = "seq_tests.rs"]
mod tests;
