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
use arrayvec::ArrayVec;

/// Cuts remembered before the present one: more changes than packets are late.
const EARLIER: usize = 3;
/// Where timestamps are widened from: room for what came before.
const ORIGIN: u64 = 1 << 32;
/// Media time, at 90 kHz, without an entry to a temporal layer after which a key frame must make one.
const PATIENCE: u64 = 2 * 90_000;

/// A cut, and the picture from which on it holds.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    since: u64,
    cut: Layer,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct LayerFilter {
    target: Layer,
    current: Stretch,
    earlier: ArrayVec<Stretch, EARLIER>,
    /// Cuts that nothing is missing of.
    intact: Layers,
    /// Timestamp of the newest picture, widened.
    picture: u64,
    /// Picture of the newest frame that was dropped.
    last_dropped: u64,
    /// Since when the target is not reached.
    behind_since: Option<u64>,
    log: FrameLog,
}

impl Default for LayerFilter {
    fn default() -> Self {
        Self {
            target: Layer::TOP,
            current: Stretch {
                since: 0,
                cut: Layer::TOP,
            },
            earlier: ArrayVec::new(),
            intact: Layers::ALL,
            picture: ORIGIN,
            last_dropped: 0,
            behind_since: None,
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
            current: Stretch {
                since: picture,
                cut: self.target,
            },
            picture,
            ..Self::default()
        };
    }

    /// The target cannot be reached without a key frame.
    pub fn wants_key_frame(&self) -> bool {
        let Some(since) = self.behind_since else {
            return false;
        };
        let reachable = self.intact.and(Layers::up_to(self.target)).highest();
        reachable.is_none_or(|layer| layer.spatial < self.target.spatial)
            || self.picture - since > PATIENCE
    }

    /// The cut that holds for a picture.
    pub fn cut_at(&self, timestamp: u32) -> Layer {
        self.cut_of(self.widen(timestamp))
    }

    fn cut_of(&self, picture: u64) -> Layer {
        if picture >= self.current.since {
            return self.current.cut;
        }
        let earlier = self.earlier.iter().rev();
        let holding = earlier.clone().find(|it| it.since <= picture);
        holding
            .or(self.earlier.first())
            .map_or(self.current.cut, |stretch| stretch.cut)
    }

    fn widen(&self, timestamp: u32) -> u64 {
        let ahead = timestamp.wrapping_sub(self.picture as u32) as i32;
        self.picture.saturating_add_signed(ahead.into())
    }

    /// Decides on the frame of a packet. `number`: what tells frames apart, where there is such a thing; then all packets
    /// of a frame get the same answer.
    pub fn passes(&mut self, content: &Content, timestamp: u32, number: Option<WireNumber>) -> bool {
        let Some(layers) = content.layers else {
            return true;
        };
        let frame = number.map(|number| self.log.widen(number));
        if let Some(decided) = frame.and_then(|frame| self.log.decision(frame)) {
            return decided;
        }
        let picture = self.widen(timestamp);
        let restarts = layers.restarts || content.begins_key_frame;
        if restarts && self.last_dropped < picture && self.current.since <= picture {
            self.intact = Layers::ALL;
            self.picture = self.picture.max(picture);
            self.enter(self.target, picture);
        } else if picture > self.picture {
            self.picture = picture;
            self.approach(&layers, frame);
        }
        let passes = restarts && content.dependency.is_some_and(|it| it.descriptor.has_structure)
            || layers.needed.contains(self.cut_of(picture)) && self.is_decodable(&layers, frame);
        self.note(&layers, picture, passes);
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
            (Evidence::Layer { .. }, _) => {
                layers.restarts
                    || self.intact.contains(layers.layer)
                    || self.opened_by(layers).contains(layers.layer)
            }
        }
    }

    /// The cuts that can be entered with a frame that can be decoded.
    fn opened_by(&self, layers: &FrameLayers) -> Layers {
        match layers.evidence {
            Evidence::References(_) => layers.opens,
            // It speaks of temporal layers alone: where the ones below are there.
            Evidence::Layer { below } => layers.opens.and(self.intact.spread(below)),
        }
    }

    /// A new picture begins: the cut that is nearest to the target, of those that can be decoded from here on.
    fn approach(&mut self, layers: &FrameLayers, frame: Option<u64>) {
        let cut = self.current.cut;
        if cut != self.target {
            let mut open = self.intact;
            if self.is_decodable(layers, frame) {
                open = open.or(self.opened_by(layers));
            }
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
        self.behind_since = if self.current.cut == self.target && self.intact.contains(self.target) {
            None
        } else {
            self.behind_since.or(Some(self.picture))
        };
    }

    fn enter(&mut self, cut: Layer, picture: u64) {
        if cut == self.target && self.intact.contains(cut) {
            self.behind_since = None;
        }
        if cut == self.current.cut {
            return;
        }
        if self.current.since < picture {
            if self.earlier.is_full() {
                self.earlier.remove(0);
            }
            self.earlier.push(self.current);
        }
        self.current = Stretch {
            since: picture,
            cut,
        };
    }

    /// What follows from a decision for the cuts.
    fn note(&mut self, layers: &FrameLayers, picture: u64, passes: bool) {
        if passes {
            if picture >= self.picture {
                self.intact = self.intact.or(self.opened_by(layers));
            }
            return;
        }
        self.last_dropped = self.last_dropped.max(picture);
        // A late one from before the present cut was entered is missed by nobody.
        if picture >= self.current.since {
            self.intact = self.intact.without(layers.needed);
        }
    }
}
