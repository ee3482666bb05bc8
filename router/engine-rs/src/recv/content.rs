//! What the router must know of a packet's payload, whatever the codec: key frames, layers, picture size.
//!
//! The codecs' own syntax is parsed in `wire`; this file only translates. A codec that the engine does not look into has
//! no frames to tell apart: every packet of it may begin a stream.

use crate::media::Codec;
use crate::wire::codec::inspect;
use crate::wire::vp8::Vp8Descriptor;

/// What one packet contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// A decoder may begin with this packet.
    pub begins_key_frame: bool,
    /// Temporal layer, where the codec names it.
    pub temporal_layer: Option<u8>,
    /// A receiver may step up to this temporal layer here.
    pub layer_sync: bool,
    /// Picture width and height, where this packet tells them.
    pub size: Option<(u16, u16)>,
    /// VP8's descriptor, whose numbers are rewritten per receiver.
    pub vp8: Option<Vp8Descriptor>,
}

/// Reads a payload. Never fails: what cannot be understood begins nothing and names nothing.
pub fn read_content(codec: Codec, payload: &[u8]) -> Content {
    if payload.is_empty() {
        return Content::default();
    }
    let frame = inspect(codec, payload);
    let vp8 = (codec == Codec::Vp8)
        .then(|| Vp8Descriptor::parse(payload).ok())
        .flatten();
    Content {
        begins_key_frame: frame.key_frame || codec == Codec::Other,
        temporal_layer: frame.temporal_id,
        layer_sync: frame.switching_point,
        size: frame.size.map(|size| (size.width, size.height)),
        vp8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp8_key_frame_tells_all() {
        let payload = super::super::testing::vp8(100, 7, 0, true);
        let content = read_content(Codec::Vp8, &payload);
        assert!(content.begins_key_frame);
        assert_eq!(
            (content.temporal_layer, content.size),
            (Some(0), Some((640, 360)))
        );
        let descriptor = content.vp8.expect("parsed");
        assert_eq!(
            (
                descriptor.picture_id.map(|id| id.value),
                descriptor.tl0_pic_idx
            ),
            (Some(100), Some(7))
        );
    }

    #[test]
    fn vp8_delta_frame_begins_nothing() {
        let content = read_content(Codec::Vp8, &super::super::testing::vp8(101, 7, 2, false));
        assert!(!content.begins_key_frame && content.layer_sync);
        assert_eq!((content.temporal_layer, content.size), (Some(2), None));
    }

    #[test]
    fn nonsense_and_nothing_begin_nothing() {
        for codec in [
            Codec::Vp8,
            Codec::Vp9,
            Codec::H264,
            Codec::Av1,
            Codec::Other,
            Codec::Opus,
        ] {
            assert!(!read_content(codec, &[]).begins_key_frame, "{codec:?}");
        }
        assert_eq!(
            read_content(Codec::Vp8, &[0x90]),
            Content::default(),
            "truncated descriptor"
        );
        assert!(read_content(Codec::Other, &[0]).begins_key_frame);
        assert!(read_content(Codec::Opus, &[0xF8, 1]).begins_key_frame);
    }
}
