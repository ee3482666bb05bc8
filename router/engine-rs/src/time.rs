//! Engine time: microseconds since an origin that the caller chose. The sans-IO parts never read a clock.
//!
//! Wall-clock time, needed for the NTP fields of sender reports (RFC 3550 section 4), is an offset that [`crate::io`]
//! measures once per worker and passes in, so a jump of the system clock cannot disturb a call.

use std::ops::{Add, Sub};

/// A point in time, or a span, in microseconds. Arithmetic saturates: time never wraps and never panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// A span of whole milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000)
    }

    /// A span of whole seconds.
    pub const fn from_secs(s: u64) -> Self {
        Self(s * 1_000_000)
    }

    /// The next multiple of `grid`, or the time itself if it is one: what is due at about the same time is then due
    /// together, and costs one wake-up.
    #[must_use]
    pub const fn round_up(self, grid: Self) -> Self {
        Self(self.0.div_ceil(grid.0).saturating_mul(grid.0))
    }

    /// The span in whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The span in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Add for Micros {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Micros {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}
