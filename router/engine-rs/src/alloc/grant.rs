//! What a slot is granted, and why, in numbers; put into words only when somebody reads it.

use super::standing::Standing;
use crate::route::ladder::Rung;
use std::fmt::{Display, Formatter, Result};

/// What decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Nothing is wanted: paused, or nothing assigned.
    #[default]
    NotWanted,
    /// The client shows it nowhere.
    Hidden,
    /// The producer sends nothing.
    NothingFlows,
    /// Audio is always sent.
    Audio,
    /// There is nothing better.
    Best,
    /// Anything better is larger than it is shown.
    ShownSize,
    /// Anything better exceeds the application's limit of size.
    SizeLimit,
    /// Anything better exceeds the application's limit of bitrate.
    BitrateLimit,
    /// Anything better exceeds the application's limit of frame rate or temporal layers.
    FrameRateLimit,
    /// All exceed a limit of size or frame rate; this exceeds it least.
    SmallestExceeds,
    /// Anything better does not fit the estimate.
    Bandwidth,
    /// It was raised a moment ago.
    Settling,
    /// It was raised and did not hold.
    BackingOff,
}

impl Cause {
    /// The stable name: a metric label.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::NotWanted => "not-wanted",
            Self::Hidden => "hidden",
            Self::NothingFlows => "nothing-flows",
            Self::Audio => "audio",
            Self::Best => "best",
            Self::ShownSize => "shown-size",
            Self::SizeLimit => "size-limit",
            Self::BitrateLimit => "bitrate-limit",
            Self::FrameRateLimit => "frame-rate-limit",
            Self::SmallestExceeds => "smallest-exceeds",
            Self::Bandwidth => "bandwidth",
            Self::Settling => "settling",
            Self::BackingOff => "backing-off",
        }
    }

    /// Bandwidth, now or lately, stands against more.
    pub const fn is_bandwidth(self) -> bool {
        matches!(self, Self::Bandwidth | Self::Settling | Self::BackingOff)
    }
}

/// Why a slot has what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reason {
    /// What decided.
    pub cause: Cause,
    /// What it has.
    pub granted: Option<Rung>,
    /// What it would have with bandwidth without end.
    pub wanted: Option<Rung>,
    /// The receiver's estimate in bits per second, once there is one.
    pub estimate: Option<u64>,
    /// Of it, taken by audio, by the reserve for repair and by slots that go first.
    pub spent_above: u64,
}

/// What one slot gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grant {
    /// The caller's index of the slot.
    pub slot: u16,
    /// The rung to show. `None`: send no video. Audio has none, and is always sent.
    pub rung: Option<Rung>,
    /// Why.
    pub reason: Reason,
    /// To be given with the next claim.
    pub standing: Standing,
}

impl Grant {
    /// There is something to show, and no bandwidth for it.
    pub fn is_paused_by_bandwidth(&self) -> bool {
        self.rung.is_none() && self.reason.cause.is_bandwidth()
    }
}

impl Display for Reason {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match (&self.granted, &self.wanted) {
            (None, Some(wanted)) => write!(out, "paused, wanted {}: ", Name(wanted, false))?,
            (Some(granted), Some(wanted)) if granted != wanted => {
                let by_rate = granted.size == wanted.size;
                let (granted, wanted) = (Name(granted, by_rate), Name(wanted, by_rate));
                write!(out, "{granted}, wanted {wanted}: ")?;
            }
            (Some(granted), _) => write!(out, "{}: ", Name(granted, false))?,
            (None, None) => {}
        }
        out.write_str(match self.cause {
            Cause::NotWanted => "paused, or nothing is assigned",
            Cause::Hidden => "the client shows it nowhere",
            Cause::NothingFlows => "the track sends nothing",
            Cause::Audio => "audio goes first",
            Cause::Best => "the best layer that flows",
            Cause::ShownSize => "as large as it is shown",
            Cause::SizeLimit => "the best layer within the picture size limit",
            Cause::BitrateLimit if self.granted.is_none() => "no layer fits the bitrate limit",
            Cause::BitrateLimit => "the best layer within the bitrate limit",
            Cause::FrameRateLimit => "the best layer within the frame rate limit",
            Cause::SmallestExceeds => "the smallest layer, though it exceeds a limit",
            Cause::Bandwidth => "",
            Cause::Settling => "raised a moment ago, ",
            Cause::BackingOff => "did not hold when tried, ",
        })?;
        match self.estimate {
            Some(estimate) if self.cause.is_bandwidth() => {
                let spent = self.spent_above / 1_000;
                write!(
                    out,
                    "estimate {} kbit/s, {spent} spent above",
                    estimate / 1_000
                )
            }
            _ => Ok(()),
        }
    }
}

/// A rung by its height, with its frame rate where that tells it apart; without a size by its bitrate.
struct Name<'a>(&'a Rung, bool);

impl Display for Name<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        let Self(rung, with_rate) = self;
        match rung.size {
            Some((width, height)) => write!(out, "{}p", width.min(height))?,
            None => write!(out, "{} kbit/s", rung.bps / 1_000)?,
        }
        if *with_rate && rung.size.is_some() {
            write!(out, "{:.0}", rung.frame_rate)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rung;
    use super::*;

    #[test]
    fn reasons_can_be_read() {
        let small = rung(0, 2, 150, (320, 180), 30.0);
        let large = rung(2, 2, 1_500, (1_280, 720), 30.0);
        let reason = Reason {
            cause: Cause::Bandwidth,
            granted: Some(small),
            wanted: Some(large),
            estimate: Some(840_000),
            spent_above: 610_000,
        };
        assert_eq!(
            reason.to_string(),
            "180p, wanted 720p: estimate 840 kbit/s, 610 spent above"
        );
        let paused = Reason {
            granted: None,
            ..reason
        };
        assert_eq!(
            paused.to_string(),
            "paused, wanted 720p: estimate 840 kbit/s, 610 spent above"
        );
        let slow = Rung {
            frame_rate: 14.8,
            temporal: 1,
            ..large
        };
        let slow = Reason {
            granted: Some(slow),
            cause: Cause::BackingOff,
            ..reason
        };
        assert_eq!(
            slow.to_string(),
            "720p15, wanted 720p30: did not hold when tried, estimate 840 kbit/s, 610 spent above"
        );
        let best = Reason {
            granted: Some(large),
            cause: Cause::ShownSize,
            ..reason
        };
        assert_eq!(best.to_string(), "720p: as large as it is shown");
        assert_eq!(
            Reason::default().to_string(),
            "paused, or nothing is assigned"
        );
    }
}
