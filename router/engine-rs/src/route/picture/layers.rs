//! Which frames of a source pass, when a receiver is to see some layers only.
//!
//! What is forwarded is a *cut* of the source's layers. It changes between pictures, towards the target: at once where
//! nothing is missing of what the new cut needs, else at a frame with which it can be entered. What is missing is known
//! from what was dropped: every frame says which cuts need it, and which can be entered with it ([`FrameLayers`]). So one
//! rule holds for temporal layers, for spatial layers with or without prediction between them, and for going up and down.
//!
//! Invariant: a frame is forwarded only if no frame that it refers to was dropped, as far as packets or layers tell. The
//! cut is a function of the picture's timestamp, so late packets are judged as those that came in time.

use super::frame_log::FrameLog;
use super::line::WireNumber;
use crate::recv::content::Content;
use crate::recv::layers::{Evidence, FrameLayers, Layer, Layers};

/// Cuts remembered before the present one: more changes than packets are late.
const EARLIER: usize = 3;
/// Where timestamps are widened from: room for what came before.
const ORIGIN: u64 = 1 << 32;
/// Media time, at 90 kHz, without an entry to a temporal layer after which a key frame must make one.
const PATIENCE: u64 = 2 * 90_000;

/// A cut that held before the present one.
#[derive(Clone, Copy, Debug, Default)]
struct Earlier {
    /// How long before the present one it began.
    before: u32,
    cut: Layer,
}

/// See the module. Pictures are their timestamps, widened.
#[derive(Clone, Debug)]
pub struct LayerFilter {
    target: Layer,
    cut: Layer,
    /// Cuts that nothing is missing of.
    intact: Layers,
    /// The newest first.
    earlier: [Earlier; EARLIER],
    /// The picture from which on the cut holds.
    since: u64,
    /// The newest.
    picture: u64,
    /// The newest of which a frame was dropped.
    last_dropped: u64,
    /// From which on the target is not reached; zero when it is.
    behind_since: u64,
    log: FrameLog,
}

impl Default for LayerFilter {
    fn default() -> Self {
        Self {
            target: Layer::TOP,
            cut: Layer::TOP,
            intact: Layers::ALL,
            earlier: [Earlier::default(); EARLIER],
            since: 0,
            picture: ORIGIN,
            last_dropped: 0,
            behind_since: 0,
            log: FrameLog::default(),
        }
    }
}

impl LayerFilter {
    /// Forward layers up to this one from the next picture that allows it.
    pub fn set_target(&mut self, target: Layer) {
        self.target = target;
    }

    /// A source begins with this picture: all its layers are there.
    pub fn restart(&mut self, timestamp: u32) {
        let picture = ORIGIN + u64::from(timestamp);
        *self = Self {
            target: self.target,
            cut: self.target,
            earlier: [Earlier {
                before: 0,
                cut: self.target,
            }; EARLIER],
            since: picture,
            picture,
            ..Self::default()
        };
    }

    /// The target cannot be reached without a key frame.
    pub fn wants_key_frame(&self) -> bool {
        if self.behind_since == 0 {
            return false;
        }
        let reachable = self.intact.and(Layers::up_to(self.target)).highest();
        reachable.is_none_or(|layer| layer.spatial < self.target.spatial)
            || self.picture - self.behind_since > PATIENCE
    }

    /// The cut that holds for a picture.
    pub fn cut_at(&self, timestamp: u32) -> Layer {
        self.cut_of(self.widen(timestamp))
    }

    fn cut_of(&self, picture: u64) -> Layer {
        let Some(before) = self.since.checked_sub(picture).filter(|before| *before > 0) else {
            return self.cut;
        };
        let mut earlier = self.earlier.iter();
        let holding = earlier.find(|it| u64::from(it.before) >= before);
        holding.unwrap_or(&self.earlier[EARLIER - 1]).cut
    }

    fn widen(&self, timestamp: u32) -> u64 {
        let ahead = timestamp.wrapping_sub(self.picture as u32) as i32;
        self.picture.saturating_add_signed(ahead.into())
    }

    /// Decides on the frame of a packet. `number`: what tells frames apart, where there is such a thing; then all packets
    /// of a frame get the same answer.
    pub fn passes(
        &mut self,
        content: &Content,
        timestamp: u32,
        number: Option<WireNumber>,
    ) -> bool {
        let Some(layers) = content.layers else {
            return true;
        };
        let frame = number.map(|number| self.log.widen(number));
        if let Some(decided) = frame.and_then(|frame| self.log.decision(frame)) {
            return decided;
        }
        let picture = self.widen(timestamp);
        let restarts = layers.restarts || content.begins_key_frame;
        if restarts && self.last_dropped < picture && self.since <= picture {
            self.intact = Layers::ALL;
            // Of a picture that has begun, something may have passed that needs all of the present cut.
            let grows = Layers::up_to(self.target).contains(self.cut);
            if picture > self.picture || layers.layer.spatial == 0 && grows {
                self.enter(self.target, picture);
            }
            self.picture = self.picture.max(picture);
        } else if picture > self.picture {
            self.picture = picture;
            self.approach(&layers, frame);
        }
        let cut = self.cut_of(picture);
        // Where layers are independent, the lowest may still be the one that brings the structure.
        let brings_structure = content
            .dependency
            .is_some_and(|it| it.descriptor.has_structure)
            && layers.layer.spatial <= cut.spatial;
        // A late one may be needed by what was forwarded meanwhile.
        let needed = layers.needed.contains(cut) || layers.needed.contains(self.cut);
        let passes = brings_structure && restarts || needed && self.is_decodable(&layers, frame);
        self.note(&layers, frame, picture, passes);
        if let Some(frame) = frame {
            self.log.decide(frame, passes);
        }
        passes
    }

    /// Nothing that the frame refers to was dropped.
    fn is_decodable(&self, layers: &FrameLayers, frame: Option<u64>) -> bool {
        match (layers.evidence, frame) {
            (Evidence::References(references), Some(frame)) => self.log.has(references, frame),
            (Evidence::References(_), None) => true,
            (Evidence::Layer { begins, .. }, _) => {
                begins
                    || self.intact.contains(layers.layer)
                    || self.opened_by(layers, frame).contains(layers.layer)
            }
        }
    }

    /// The cuts that can be entered with a frame, if it can be decoded for certain.
    fn opened_by(&self, layers: &FrameLayers, frame: Option<u64>) -> Layers {
        match layers.evidence {
            Evidence::References(references) => {
                let certain = frame.is_some_and(|frame| self.log.has_forwarded(references, frame));
                if certain { layers.opens } else { Layers::NONE }
            }
            // It speaks of temporal layers alone: where the ones below are there.
            Evidence::Layer { below, .. } => layers.opens.and(self.intact.spread(below)),
        }
    }

    /// A new picture begins: the cut that is nearest to the target, of those that can be decoded from here on.
    fn approach(&mut self, layers: &FrameLayers, frame: Option<u64>) {
        let cut = self.cut;
        if cut != self.target {
            let open = self.intact.or(self.opened_by(layers, frame));
            let reachable = |target: Layer| open.and(Layers::up_to(target)).highest();
            // With nothing open below, as when spatial layers are independent, at least fewer frames.
            let fewer = Layer::new(cut.spatial, self.target.temporal.min(cut.temporal));
            if let Some(next) = reachable(self.target).or_else(|| reachable(fewer)) {
                self.enter(next, self.picture);
            }
        } else if !self.intact.contains(cut)
            && let Some(next) = self.intact.and(Layers::up_to(cut)).highest()
        {
            self.enter(next, self.picture);
        }
        let reached = self.cut == self.target && self.intact.contains(self.target);
        self.behind_since = match (reached, self.behind_since) {
            (true, _) => 0,
            (false, 0) => self.picture,
            (false, since) => since,
        };
    }

    fn enter(&mut self, cut: Layer, picture: u64) {
        if cut == self.target && self.intact.contains(cut) {
            self.behind_since = 0;
        }
        if cut == self.cut {
            return;
        }
        let held = u32::try_from(picture - self.since).unwrap_or(u32::MAX);
        if held > 0 {
            self.earlier.rotate_right(1);
            for earlier in &mut self.earlier {
                earlier.before = earlier.before.saturating_add(held);
            }
            self.earlier[0] = Earlier {
                before: held,
                cut: self.cut,
            };
        }
        (self.cut, self.since) = (cut, picture);
    }

    /// What follows from a decision for the cuts.
    fn note(&mut self, layers: &FrameLayers, frame: Option<u64>, picture: u64, passes: bool) {
        if passes {
            if picture >= self.picture {
                self.intact = self.intact.or(self.opened_by(layers, frame));
            }
            return;
        }
        self.last_dropped = self.last_dropped.max(picture);
        // A late one from before the present cut was entered is missed by nobody.
        if picture >= self.since {
            self.intact = self.intact.without(layers.needed);
        }
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
