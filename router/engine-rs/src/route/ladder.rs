//! The ways a producer can be shown, as measured: what an allocator chooses from.

use arrayvec::ArrayVec;

/// Most rungs of one ladder.
pub const MAX_RUNGS: usize = 24;

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

/// The rungs of a producer, worst first: by measured size and rate, never by rid name. At most [`MAX_RUNGS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ladder {
    rungs: ArrayVec<Rung, MAX_RUNGS>,
}

impl Ladder {
    /// The rungs, worst first.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
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
