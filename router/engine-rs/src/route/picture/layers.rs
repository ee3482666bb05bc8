//! Which frames of a source pass, when a receiver is to see some layers only.
//!
//! What is forwarded is a *cut* of the source's layers. It changes between pictures, towards the target: at once where
//! nothing is missing of what the new cut needs, else at a frame with which it can be entered. What is missing is known
//! from what was dropped: every frame says which cuts need it, and which can be entered with it ([`FrameLayers`]). So one
//! rule holds for temporal layers, for spatial layers with or without prediction between them, and for going up and down.
//!
//! Invariant: a frame is forwarded only if no frame that it refers to was dropped before, as far as packets or layers tell.
//! A reference that has not come may come. The cuts that held are remembered, so a late frame is judged as if it had come
//! in time, and it is forwarded too when one that was forwarded refers to it.

use super::frame_log::FrameLog;
use super::line::WireNumber;
use crate::recv::content::Content;
use crate::recv::layers::{Evidence, FrameLayers, Layer, Layers};
use crate::wire::dependency_descriptor::References;

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
    /// A frame of the newest picture was forwarded.
    has_passed: bool,
    /// The newest first.
    earlier: [Earlier; EARLIER],
    /// The picture from which on the cut holds.
    since: u64,
    /// The newest.
    picture: u64,
    /// The newest with which all cuts began anew: nothing before it is needed for those behind it.
    restarted: u64,
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
            restarted: 0,
            has_passed: false,
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
        let reachable = self.intact.and(Layers::up_to(self.target)).highest();
        let waits = self.behind_since > 0 && self.picture - self.behind_since > PATIENCE;
        waits || reachable.is_none_or(|layer| layer.spatial < self.target.spatial)
    }

    /// The cut that a frame was forwarded for.
    #[inline]
    pub fn cut_for(&self, layers: &FrameLayers, timestamp: u32) -> Layer {
        let picture = self.widen(timestamp);
        if picture >= self.since {
            return self.cut;
        }
        self.cuts_since(picture)
            .find(|cut| layers.needed.contains(*cut))
            .unwrap_or(Layer::TOP)
    }

    /// The cut that holds for a picture, and those that held later.
    fn cuts_since(&self, picture: u64) -> impl Iterator<Item = Layer> + '_ {
        let before = self.since.saturating_sub(picture);
        let is_later = |earlier: &&Earlier| u64::from(earlier.before) < before;
        let later = self.earlier.iter().take_while(is_later).count();
        // Of pictures that are too old, the oldest that is known.
        let first = if before == 0 {
            0
        } else {
            EARLIER.min(later + 1)
        };
        let earlier = self.earlier[..first].iter().rev();
        earlier.map(|earlier| earlier.cut).chain([self.cut])
    }

    /// The cut of a frame's picture needs it. Or, of a late one, what was forwarded meanwhile does: a frame that refers to
    /// it, or a later cut that did not begin anew behind it.
    fn is_needed(&self, layers: &FrameLayers, frame: Option<u64>, picture: u64) -> bool {
        let mut cuts = self.cuts_since(picture);
        let own = cuts.next().is_some_and(|cut| layers.needed.contains(cut));
        own || frame.is_some_and(|frame| self.log.is_wanted(frame))
            || picture >= self.restarted && cuts.any(|cut| layers.needed.contains(cut))
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
        let Some(layers) = &content.layers else {
            return true;
        };
        let frame = number.map(|number| self.log.widen(number));
        if let Some(decided) = frame.and_then(|frame| self.log.decision(frame)) {
            return decided;
        }
        let picture = self.widen(timestamp);
        let restarts = layers.restarts || content.begins_key_frame;
        let is_new = picture > self.picture;
        if is_new {
            (self.picture, self.has_passed) = (picture, false);
        }
        // A cut holds for the whole of a picture: it changes before anything of that is forwarded.
        let is_open = picture == self.picture && !self.has_passed;
        if restarts && self.since <= picture && self.has_all_of_picture(layers, frame) {
            (self.intact, self.restarted) = (Layers::ALL, picture);
            // Or when what was forwarded is needed by the target too.
            let grows = Layers::up_to(self.target).contains(self.cut) && layers.layer.spatial == 0;
            if is_open || grows {
                self.enter(self.target, picture);
            }
        } else if is_open {
            self.approach(layers, frame);
        }
        // Where layers are independent, the lowest may still be the one that brings the structure.
        let brings_structure = content
            .dependency
            .is_some_and(|it| it.descriptor.has_structure)
            && layers.layer.spatial <= self.cut.spatial;
        let passes = brings_structure && restarts
            || self.is_needed(layers, frame, picture) && self.is_decodable(layers, frame, picture);
        self.note(layers, frame, picture, passes);
        if let Some(frame) = frame {
            self.log.decide(frame, passes);
            if let (true, Evidence::References(references)) = (passes, layers.evidence) {
                self.log.want(references, frame);
            }
        }
        passes
    }

    /// A frame was dropped that comes behind this one.
    fn has_dropped_behind(&self, frame: Option<u64>) -> bool {
        frame.is_some_and(|frame| self.log.has_dropped_behind(frame))
    }

    /// Nothing of its picture was dropped, as far as is known.
    fn has_all_of_picture(&self, layers: &FrameLayers, frame: Option<u64>) -> bool {
        let below = References {
            near: (1 << layers.layer.spatial) - 1,
            far: false,
        };
        !self.has_dropped_behind(frame) && frame.is_none_or(|frame| self.log.has(below, frame))
    }

    /// Nothing that the frame refers to was dropped.
    fn is_decodable(&self, layers: &FrameLayers, frame: Option<u64>, picture: u64) -> bool {
        match (layers.evidence, frame) {
            (Evidence::References(references), Some(frame)) => self.log.has(references, frame),
            (Evidence::References(_), None) => true,
            (
                Evidence::Layer {
                    begins,
                    inter_layer,
                    ..
                },
                _,
            ) => {
                // Numbers of a picture's layers follow each other.
                let below = References {
                    near: u64::from(inter_layer),
                    far: false,
                };
                // What its cut needed was there while that held.
                let was_there = picture < self.since;
                let own = begins || was_there || self.intact.contains(layers.layer);
                frame.is_none_or(|frame| self.log.has(below, frame))
                    && (own
                        || self
                            .opened_by(layers, frame, picture)
                            .contains(layers.layer))
            }
        }
    }

    /// The cuts that can be entered with a frame, if it can be decoded for certain. What it refers to of its own picture
    /// may still come: that is forwarded with it.
    fn opened_by(&self, layers: &FrameLayers, frame: Option<u64>, picture: u64) -> Layers {
        let is_certain = match (layers.evidence, frame) {
            _ if self.has_dropped_behind(frame) && picture < self.picture => false,
            (Evidence::References(references), Some(frame)) => {
                // One of its picture that comes yet is decodable where all below it are.
                let own_picture = (1 << layers.layer.spatial) - 1;
                let below = References {
                    near: own_picture,
                    far: false,
                };
                (references.near & own_picture == 0 || self.log.has(below, frame))
                    && self.log.has_forwarded(references, own_picture, frame)
            }
            (Evidence::References(_), None) => false,
            (Evidence::Layer { .. }, _) => true,
        };
        let opens = match layers.evidence {
            _ if !is_certain => Layers::NONE,
            // It speaks of temporal layers: where the one below is there, and what it needs of the spatial one below.
            Evidence::Layer {
                begins: false,
                below,
                inter_layer,
            } => {
                let opens = layers.opens.and(self.intact.spread(below));
                if inter_layer {
                    opens.and(self.intact.stacked(layers.layer.spatial - 1))
                } else {
                    opens
                }
            }
            _ => layers.opens,
        };
        // Of the same picture, only higher spatial layers can have been dropped behind it.
        if self.has_dropped_behind(frame) {
            opens.and(Layers::of_spatial(layers.layer.spatial))
        } else {
            opens
        }
    }

    /// Enters the cut that is nearest to the target, of those that can be decoded from this picture on.
    fn approach(&mut self, layers: &FrameLayers, frame: Option<u64>) {
        let cut = self.cut;
        if cut != self.target {
            let open = self.intact.or(self.opened_by(layers, frame, self.picture));
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
                self.has_passed = true;
                self.intact = self.intact.or(self.opened_by(layers, frame, picture));
            }
            return;
        }
        if picture >= self.restarted {
            self.intact = self.intact.without(layers.needed);
        }
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
