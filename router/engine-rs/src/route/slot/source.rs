//! A producer in a slot: the one shown, the one that waits for its key frame, or the one shown before.

use super::super::encodings::Encodings;
use super::super::ladder::Ladder;
use super::super::rewrite::{PlannedCodec, RewritePlan};
use super::super::select::{Allowed, Decision, Reason, Selector, Share, TOLERANCE_PERCENT};
use crate::core::command::{ProducerConfig, SlotConfig};
use crate::ids::ProducerId;
use crate::recv::MediaPacket;
use crate::recv::layers::Layer;
use crate::time::Micros;

/// What a source is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    /// Whatever begins first: nothing was measured yet.
    Any,
    Encoding(u8),
}

/// One producer of a slot, from its assignment on.
#[derive(Clone, Debug)]
pub struct Source {
    pub producer: ProducerId,
    pub plan: RewritePlan,
    /// Which assignment it is, modulo 256.
    pub generation: u8,
    /// Why it is shown as it is.
    pub reason: Reason,
    /// Highest layers to forward.
    pub target: Layer,
    wanted: Wanted,
    selector: Selector,
    single: bool,
    paused: bool,
}

impl Source {
    pub fn new(slot: &SlotConfig, producer: &ProducerConfig, generation: u8) -> Self {
        let plan = RewritePlan::new(slot, producer);
        let (wanted, reason) = if plan.has_codec() {
            (Wanted::Any, Reason::NothingFlows)
        } else {
            (Wanted::Nothing, Reason::NoCodec)
        };
        Self {
            producer: producer.id,
            plan,
            generation,
            reason,
            target: Layer::TOP,
            wanted,
            selector: Selector::default(),
            single: producer.encodings.len() <= 1,
            paused: false,
        }
    }

    /// The server pauses or resumes the producer. True when that is news.
    pub fn set_paused(&mut self, paused: bool) -> bool {
        if paused == self.paused || self.reason == Reason::NoCodec {
            return false;
        }
        self.paused = paused;
        (self.wanted, self.reason) = if paused {
            (Wanted::Nothing, Reason::Paused)
        } else {
            (Wanted::Any, Reason::NothingFlows)
        };
        true
    }

    /// Chooses the encoding and its layers by what is measured of all. False when what is shown must stop.
    pub fn select(
        &mut self,
        shown: Option<u8>,
        ladder: &Ladder,
        allowed: &Allowed,
        now: Micros,
    ) -> bool {
        if self.paused || self.reason == Reason::NoCodec {
            return true;
        }
        let decision = self.selector.decide(ladder, allowed, shown, now);
        self.target = decision.target;
        self.reason = decision.reason;
        self.wanted = match decision {
            Decision {
                encoding: Some(encoding),
                ..
            } => Wanted::Encoding(encoding),
            // What is shown may fall silent and come back: its line goes on. Any other may take over.
            Decision {
                reason: Reason::NothingFlows,
                ..
            } => Wanted::Any,
            _ => Wanted::Nothing,
        };
        self.wanted != Wanted::Nothing
    }

    /// The layers to forward of the encoding shown. Until the key frame of another one comes, these are what its share
    /// pays for: all of it would only fill the receiver's link. `None` when that is nothing.
    pub fn forwarded(
        &self,
        shown: Option<u8>,
        ladder: &Ladder,
        allowed: &Allowed,
    ) -> Option<Layer> {
        let waits = self.waits_for(shown).is_some();
        let (Share::Rung { bps, .. }, Some(shown), true) = (allowed.share, shown, waits) else {
            return Some(self.target);
        };
        let most = bps + bps / 100 * TOLERANCE_PERCENT;
        let mut own = ladder.rungs().iter().rev();
        let rung = own.find(|rung| rung.encoding == shown && rung.bps <= most)?;
        Some(Layer::new(rung.spatial, rung.temporal))
    }

    /// The encoding whose key frame it waits for, while this one is shown.
    pub fn waits_for(&self, shown: Option<u8>) -> Option<u8> {
        match self.wanted {
            Wanted::Encoding(encoding) => Some(encoding).filter(|_| shown != Some(encoding)),
            Wanted::Any if shown.is_none() && self.single => Some(0),
            _ => None,
        }
    }

    /// The encodings that it needs, while this one is shown.
    pub fn uses(&self, shown: Option<u8>) -> Encodings {
        let shown = shown.map_or(Encodings::NONE, Encodings::one);
        match self.wanted {
            Wanted::Nothing => Encodings::NONE,
            Wanted::Any => Encodings::ALL,
            Wanted::Encoding(encoding) => shown.or(Encodings::one(encoding)),
        }
    }

    /// Whether anything of it may be shown now.
    pub fn wants_any(&self) -> bool {
        self.wanted != Wanted::Nothing
    }

    /// Whether a switch to this encoding is wanted, while another or none is shown.
    pub fn wants(&self, encoding: u8, shown: Option<u8>) -> bool {
        let other = shown != Some(encoding);
        match self.wanted {
            Wanted::Nothing => false,
            Wanted::Any => other,
            Wanted::Encoding(wanted) => other && wanted == encoding,
        }
    }

    /// An encoding is shown from now on: the first one that came stays until layers are measured.
    pub fn on_shown(&mut self, encoding: u8) {
        if self.wanted == Wanted::Any {
            self.wanted = Wanted::Encoding(encoding);
        }
    }

    /// Whether the receiver's decoder can begin with this packet. A receiver of dependency descriptors needs the
    /// structure with it, or it cannot read those that follow.
    pub fn can_begin(&self, packet: &MediaPacket, codec: PlannedCodec) -> bool {
        if packet.payload().is_empty() {
            return false;
        }
        match packet.content.dependency {
            Some(it) if self.plan.sends_dependency() => it.descriptor.begins_sequence(),
            _ => packet.content.begins_key_frame || !codec.waits_for_key_frame(),
        }
    }
}
