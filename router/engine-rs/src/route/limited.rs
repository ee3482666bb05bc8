//! What limits a slot, as a word that programs may rely on: a label of metrics, a field of reports. The text for people is
//! [`Reason::text`].

use crate::route::select::Reason;

/// What keeps a slot from showing the best that its track has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LimitedBy {
    /// Nothing does; also when nothing is assigned.
    #[default]
    None,
    /// The receiver's link, as far as it is estimated.
    Bandwidth,
    /// A limit on the picture size.
    Size,
    /// A limit on the frame rate, or on temporal layers.
    FrameRate,
    /// A limit on bits per second.
    Bitrate,
    /// The receiver accepts no codec of the track.
    Codec,
    /// The publisher sends nothing.
    Publisher,
    /// The server paused the track.
    Paused,
}

impl LimitedBy {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Bandwidth,
        Self::Size,
        Self::FrameRate,
        Self::Bitrate,
        Self::Codec,
        Self::Publisher,
        Self::Paused,
    ];

    /// The stable name.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bandwidth => "bandwidth",
            Self::Size => "size",
            Self::FrameRate => "frame-rate",
            Self::Bitrate => "bitrate",
            Self::Codec => "codec",
            Self::Publisher => "publisher",
            Self::Paused => "paused",
        }
    }
}

impl From<Reason> for LimitedBy {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unassigned | Reason::Best | Reason::OneOfTheLoudest | Reason::NobodySpeaks => {
                Self::None
            }
            Reason::Paused => Self::Paused,
            Reason::NoCodec => Self::Codec,
            Reason::NothingFlows => Self::Publisher,
            Reason::LimitedBySize | Reason::AsLargeAsShown | Reason::SmallestExceeds => Self::Size,
            Reason::LimitedByBitrate | Reason::BitrateTooLow => Self::Bitrate,
            Reason::LimitedByFrameRate => Self::FrameRate,
            Reason::LimitedByBandwidth | Reason::BandwidthTooLow => Self::Bandwidth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_place_and_its_name() {
        let mut names: Vec<_> = LimitedBy::ALL.iter().map(|it| it.slug()).collect();
        for (index, it) in LimitedBy::ALL.into_iter().enumerate() {
            assert_eq!(it as usize, index);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), LimitedBy::ALL.len());
    }
}
