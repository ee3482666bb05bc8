//! What a forwarder wants to know of a payload: where frames and key frames start, how large the picture is. One answer
//! for all codecs; each codec's file has its own details.
//!
//! A malformed payload is "the middle of some frame": it is forwarded, and never switched at (threat R10).

use super::{av1, h264, opus, vp8, vp9};
use crate::media::Codec;

/// One payload, as far as a forwarder cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameInfo {
    /// A decoder can start with this packet: it opens a key frame, or the parameter sets before one. Always true for
    /// audio.
    pub key_frame: bool,
    /// Carries parameter sets that the pictures behind it need; only H.264 has them apart from the key frame.
    pub parameter_sets: bool,
    /// The first packet of a frame, as far as the payload tells; H.264 tells only that a NAL unit starts.
    pub start_of_frame: bool,
    /// Width and height of the picture in pixels, where the packet says so; of the largest spatial layer.
    pub size: Option<PictureSize>,
}

/// Dimensions of a picture, in pixels. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureSize {
    /// Width.
    pub width: u16,
    /// Height.
    pub height: u16,
}

impl PictureSize {
    /// `None` when a side is zero or beyond 16 bits.
    pub(super) fn new(width: u32, height: u32) -> Option<Self> {
        let side = |pixels| u16::try_from(pixels).ok().filter(|pixels| *pixels > 0);
        Some(Self {
            width: side(width)?,
            height: side(height)?,
        })
    }
}

/// Looks into a payload. `Codec::Other` and malformed payloads give the default.
pub fn inspect(codec: Codec, payload: &[u8]) -> FrameInfo {
    let info = match codec {
        Codec::Opus | Codec::Red => opus::inspect(payload),
        Codec::Vp8 => vp8::inspect(payload),
        Codec::Vp9 => vp9::inspect(payload),
        Codec::H264 => h264::inspect(payload),
        Codec::Av1 => av1::inspect(payload),
        Codec::Other => return FrameInfo::default(),
    };
    info.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Codec; 6] = [
        Codec::Opus,
        Codec::Vp8,
        Codec::Vp9,
        Codec::H264,
        Codec::Av1,
        Codec::Other,
    ];

    #[test]
    fn nothing_is_known_of_an_empty_payload() {
        for codec in ALL {
            assert_eq!(inspect(codec, &[]), FrameInfo::default(), "{codec:?}");
        }
    }

    /// Threat R10: all short payloads. A key frame is never found where no frame starts.
    #[test]
    fn every_payload_of_two_bytes_is_inspected_without_panic() {
        for codec in ALL {
            for bytes in 0..=u16::MAX {
                let info = inspect(codec, &bytes.to_be_bytes());
                assert!(
                    info.start_of_frame || !info.key_frame,
                    "{codec:?} {bytes:04x}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_payload_is_inspected_without_panic(payload in prop::collection::vec(any::<u8>(), 0..120)) {
            for codec in ALL {
                let info = inspect(codec, &payload);
                prop_assert!(info.start_of_frame || !info.key_frame);
            }
        }
    }
}
