//! Pacing towards one receiver: packets wait only where his link would be overrun, and then leave in runs.
//!
//! `docs/pacing.md` tells the design. Publishers pace already, and what they send together we hand to the kernel
//! together; so nothing is held back that the receiver's link takes in its stride. [`Gate`] is the model of that link: some
//! bytes on the way, drained at the pace. While there is room a packet passes, at the cost of a few additions. Beyond it
//! video waits in [`Waiting`], which is allocated only then, and is released in runs large enough for segmentation
//! (`docs/sending.md`). Audio and RTCP never wait.
//!
//! Packets wait as plain RTP: SRTP and transport-wide numbers are put on when they leave, so that numbers tell the order of
//! sending. Left out: the socket's own pressure (`io/pressure.rs`), and the cap on any one peer (`core/allowance.rs`).

pub mod gate;
#[cfg(test)]
mod tests;
pub mod waiting;

use crate::core::sink::Class;
use crate::ids::Ssrc;
use crate::time::Micros;
use crate::wire::DropReason;
use gate::Gate;
use waiting::Waiting;

/// The memory for waiting packets is given back after this long without one.
const IDLE: Micros = Micros::from_secs(10);

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Send it now.
    Pass,
    /// It was copied, and comes out of [`Pacer::release`].
    Wait,
    /// It is lost.
    Drop(DropReason),
}

/// A packet as the pacer sees it.
#[derive(Clone, Copy, Debug)]
pub struct Paced<'a> {
    /// Its stream: packets of one stream keep their order.
    pub ssrc: Ssrc,
    /// How much it matters.
    pub class: Class,
    /// It is sent again: before what is sent for the first time.
    pub is_repair: bool,
    /// Plain RTP.
    pub bytes: &'a [u8],
}

/// A packet that has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// Its length.
    pub len: usize,
    /// How much it matters.
    pub class: Class,
}

/// Pacing of one receiver.
#[derive(Debug, Default)]
pub struct Pacer {
    gate: Gate,
    held: Option<Box<Held>>,
}

/// What only a receiver has whose link is full.
#[derive(Debug, Default)]
struct Held {
    waiting: Waiting,
    used: Micros,
}

impl Pacer {
    /// The estimate of the receiver's link; `None` when there is none: everything passes.
    pub fn set_rate(&mut self, estimate: Option<u64>, now: Micros) {
        self.gate.set_rate(estimate, now);
    }

    /// Everything passes, whatever comes.
    pub fn is_open(&self) -> bool {
        !self.gate.is_limited() && self.held.is_none()
    }

    /// Says what becomes of a packet, and takes it in if it waits.
    #[inline]
    pub fn admit(&mut self, packet: &Paced, now: Micros) -> Admission {
        if !self.gate.is_limited() {
            return match &mut self.held {
                None => Admission::Pass,
                Some(held) => held.admit(&mut self.gate, packet, now),
            };
        }
        let is_urgent = packet.class <= Class::Audio;
        let nobody_waits = self
            .held
            .as_ref()
            .is_none_or(|held| held.waiting.is_empty());
        if is_urgent || nobody_waits && self.gate.has_room(packet.bytes.len(), now) {
            self.on_sent(packet.bytes.len(), now);
            return Admission::Pass;
        }
        let held = self.held.get_or_insert_default();
        held.admit(&mut self.gate, packet, now)
    }

    /// Something leaves beside [`Self::admit`] and [`Self::release`]: RTCP. Not the padding of probes, which is meant to
    /// exceed the pace.
    #[inline]
    pub fn on_sent(&mut self, bytes: usize, now: Micros) {
        self.gate.on_sent(bytes, now);
    }

    /// Gives out the next packet that may leave now, copied to `out`, which has room for any. Call until there is none:
    /// what comes out together is meant to leave together.
    pub fn release(&mut self, out: &mut [u8], now: Micros) -> Option<Released> {
        let held = self.held.as_mut()?;
        held.waiting.drop_stale(now);
        let next = held.waiting.next_len()?;
        if !self.gate.has_room(next, now) {
            return None;
        }
        let released = held.waiting.pop(out)?;
        held.used = now;
        self.on_sent(released.len, now);
        Some(released)
    }

    /// When to call [`Self::release`] next; at once when that is over.
    pub fn deadline(&self) -> Option<Micros> {
        let held = self.held.as_ref()?;
        (!held.waiting.is_empty()).then(|| self.gate.next_run(held.waiting.bytes()))
    }

    /// Packets that waited too long and were dropped, since this was asked last.
    pub fn take_stale(&mut self) -> u64 {
        let held = self.held.as_mut();
        held.map_or(0, |held| held.waiting.take_stale())
    }

    /// How long the packet that waits longest has waited.
    pub fn delay(&self, now: Micros) -> Micros {
        let oldest = self.held.as_ref().and_then(|held| held.waiting.oldest());
        oldest.map_or(Micros(0), |oldest| now - oldest)
    }

    /// Gives back the memory when it has not been needed for a while.
    pub fn rest(&mut self, now: Micros) {
        let is_idle = |held: &mut Box<Held>| held.waiting.is_empty() && now - held.used >= IDLE;
        self.held.take_if(is_idle);
    }
}

impl Held {
    fn admit(&mut self, gate: &mut Gate, packet: &Paced, now: Micros) -> Admission {
        if !gate.is_limited() && self.waiting.is_empty() {
            return Admission::Pass;
        }
        if packet.class <= Class::Audio {
            return Admission::Pass;
        }
        self.used = now;
        match self.waiting.push(packet, now) {
            Ok(()) => Admission::Wait,
            Err(reason) => Admission::Drop(reason),
        }
    }
}
