//! The ways to show a producer, worst first: its encodings (simulcast), and in each the layers that can be left out.
//!
//! Made of what is measured, and of nothing else: rids are names (`ecosystem.md` section 2), and a publisher drops and
//! adds layers as its uplink allows. What does not flow is absent.

use crate::recv::Measured;
use crate::recv::layer_meter::MeasuredLayer;
use arrayvec::ArrayVec;
use std::cmp::Ordering;

/// Most encodings of one producer that are looked at.
pub const MAX_ENCODINGS: usize = 8;
/// Most rungs of a ladder: three encodings, or spatial layers, of three temporal layers have nine.
pub const MAX_RUNGS: usize = 24;
/// Frame rates below are all the same.
const SLOWEST: f32 = 0.5;
/// What all encodings can have together.
const MAX_MEASURED: usize = MAX_ENCODINGS * 16;

/// One way to show a producer: an encoding cut at a spatial and a temporal layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    /// Index of the encoding (simulcast), 0 for SVC in one stream.
    pub encoding: u8,
    /// Highest spatial layer within the encoding; 0 without SVC.
    pub spatial: u8,
    /// Highest temporal layer; `u8::MAX` where the codec names none.
    pub temporal: u8,
    /// Measured bits per second of all up to this layer, RTP header and payload.
    pub bps: u64,
    /// Picture size, when known.
    pub size: Option<(u16, u16)>,
    /// Measured frames per second.
    pub frame_rate: f32,
}

impl Rung {
    fn new(encoding: u8, layer: &MeasuredLayer) -> Self {
        Self {
            encoding,
            spatial: layer.spatial,
            temporal: layer.temporal.unwrap_or(u8::MAX),
            bps: layer.bps,
            size: layer.size,
            frame_rate: layer.frame_rate,
        }
    }

    fn area(&self) -> f32 {
        let size = self.size.unwrap_or((1, 1));
        f32::from(size.0) * f32::from(size.1)
    }

    /// Pixels a frame, times frames a second to the power of 1.5, so that half the rate costs more than it gains. Rates
    /// are taken in steps of two from the fastest: so what measuring makes of them does not swap rungs.
    fn worth(&self, fastest: f32) -> f32 {
        let steps_down = (fastest / self.frame_rate.max(SLOWEST)).log2().round();
        self.area() * (-1.5 * steps_down).exp2()
    }

    /// Within a spatial layer, rate and bits grow with the temporal layer: its order holds whatever is measured.
    fn order(&self, other: &Self, by_size: bool, fastest: f32) -> Ordering {
        let by_worth = if by_size {
            self.worth(fastest).total_cmp(&other.worth(fastest))
        } else {
            Ordering::Equal
        };
        let layer = |rung: &Self| (rung.spatial, rung.temporal);
        by_worth
            .then(self.bps.cmp(&other.bps))
            .then(layer(self).cmp(&layer(other)))
    }
}

/// The rungs of a producer, worst first: by measured size and rate, never by rid name. At most [`MAX_RUNGS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ladder {
    rungs: ArrayVec<Rung, MAX_RUNGS>,
}

impl Ladder {
    /// Of a producer that sends nothing.
    pub const EMPTY: Self = Self {
        rungs: ArrayVec::new_const(),
    };

    /// The ladder of a producer's encodings, in their order.
    pub fn new(encodings: &[Measured]) -> Self {
        let flowing = encodings.iter().enumerate().take(MAX_ENCODINGS);
        let flowing = flowing.filter(|(_, measured)| measured.flowing);
        let mut all: ArrayVec<Rung, MAX_MEASURED> = flowing
            .flat_map(|(encoding, measured)| {
                let layers = measured.layers.iter();
                layers.map(move |layer| Rung::new(encoding as u8, layer))
            })
            .collect();
        let by_size = all.iter().all(|rung| rung.size.is_some());
        let fastest = all
            .iter()
            .map(|rung| rung.frame_rate)
            .fold(SLOWEST, f32::max);
        all.sort_by(|one, other| one.order(other, by_size, fastest));
        // Too many to be of use: some in between are left out.
        let kept = all.len().min(MAX_RUNGS);
        let place = |at: usize| at * (all.len() - 1) / (kept - 1).max(1);
        Self {
            rungs: (0..kept).map(|at| all[place(at)]).collect(),
        }
    }

    /// Those of the encodings that are `kept`.
    #[must_use]
    pub fn filtered(&self, kept: impl Fn(u8) -> bool) -> Self {
        let rungs = self.rungs.iter().copied();
        rungs.filter(|rung| kept(rung.encoding)).collect()
    }

    /// All, worst first.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// Nothing flows.
    pub fn is_empty(&self) -> bool {
        self.rungs.is_empty()
    }
}

impl FromIterator<Rung> for Ladder {
    /// Of rungs that are in order; those beyond [`MAX_RUNGS`] are left out.
    fn from_iter<T: IntoIterator<Item = Rung>>(rungs: T) -> Self {
        Self {
            rungs: rungs.into_iter().take(MAX_RUNGS).collect(),
        }
    }
}

#[cfg(test)]
#[path = "ladder_tests.rs"]
mod tests;
