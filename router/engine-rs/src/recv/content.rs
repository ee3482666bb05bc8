//! What the router must know of a packet's payload, whatever the codec: key frames, layers, picture size, and the numbers
//! that are rewritten per receiver.
//!
//! The codecs' own syntax is parsed in `wire`; this file only translates. A codec that the engine does not look into has
//! no frames to tell apart: every packet of it may begin a stream, unless a dependency descriptor tells them apart.

use crate::media::Codec;
use crate::wire::codec::inspect;
use crate::wire::dependency_descriptor::DependencyDescriptor;
use crate::wire::picture_id::PictureId;
use crate::wire::vp8::Vp8Descriptor;
use crate::wire::vp9::Vp9Descriptor;

/// What one packet contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// A decoder may begin with this packet.
    pub begins_key_frame: bool,
    /// Carries parameter sets apart from the pictures that need them (H.264).
    pub parameter_sets: bool,
    /// Temporal layer, where the codec names it.
    pub temporal_layer: Option<u8>,
    /// A receiver may step up to this temporal layer here.
    pub layer_sync: bool,
    /// Picture width and height, where this packet tells them.
    pub size: Option<(u16, u16)>,
    /// The payload's descriptor, when it has numbers.
    pub descriptor: Option<PayloadDescriptor>,
    /// The dependency descriptor among the header extensions.
    pub dependency: Option<DependencyDescriptor>,
}

impl Content {
    /// With the dependency descriptor of the packet, if it is one.
    #[must_use]
    pub fn with_dependency(mut self, value: &[u8]) -> Self {
        self.dependency = DependencyDescriptor::parse(value).ok();
        let begins = self.dependency.is_some_and(|it| it.begins_sequence());
        self.begins_key_frame |= begins;
        self
    }
}

/// A payload descriptor whose numbers are rewritten per receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadDescriptor {
    /// RFC 7741.
    Vp8(Vp8Descriptor),
    /// RFC 9628.
    Vp9(Vp9Descriptor),
}

impl PayloadDescriptor {
    fn parse(codec: Codec, payload: &[u8]) -> Option<Self> {
        match codec {
            Codec::Vp8 => Vp8Descriptor::parse(payload).ok().map(Self::Vp8),
            Codec::Vp9 => Vp9Descriptor::parse(payload).ok().map(Self::Vp9),
            _ => None,
        }
    }

    /// The picture id.
    pub fn picture_id(&self) -> Option<PictureId> {
        match self {
            Self::Vp8(descriptor) => descriptor.picture_id,
            Self::Vp9(descriptor) => descriptor.picture_id,
        }
    }

    /// TL0PICIDX.
    pub fn tl0_pic_idx(&self) -> Option<u8> {
        match self {
            Self::Vp8(descriptor) => descriptor.tl0_pic_idx,
            Self::Vp9(descriptor) => descriptor.layer.and_then(|layer| layer.tl0_pic_idx),
        }
    }

    /// Overwrites both in the payload that it was parsed from, where they are.
    pub fn rewrite(&self, payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) {
        match self {
            Self::Vp8(descriptor) => descriptor.rewrite(payload, picture_id, tl0_pic_idx),
            Self::Vp9(descriptor) => descriptor.rewrite(payload, picture_id, tl0_pic_idx),
        }
    }
}

/// Reads a payload. Never fails: what cannot be understood begins nothing and names nothing.
pub fn read_content(codec: Codec, payload: &[u8]) -> Content {
    if payload.is_empty() {
        return Content::default();
    }
    let frame = inspect(codec, payload);
    Content {
        begins_key_frame: frame.key_frame || codec == Codec::Other,
        parameter_sets: frame.parameter_sets,
        temporal_layer: frame.temporal_id,
        layer_sync: frame.switching_point,
        size: frame.size.map(|size| (size.width, size.height)),
        descriptor: PayloadDescriptor::parse(codec, payload),
        dependency: None,
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
        let descriptor = content.descriptor.expect("parsed");
        assert_eq!(
            (
                descriptor.picture_id().map(|id| id.value),
                descriptor.tl0_pic_idx()
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

    #[test]
    fn vp9_has_numbers_too() {
        let payload = [0xA8, 0x81, 0x02, 0x10, 9, 77];
        let descriptor = read_content(Codec::Vp9, &payload)
            .descriptor
            .expect("parsed");
        assert_eq!(
            (
                descriptor.picture_id().map(|id| id.value),
                descriptor.tl0_pic_idx()
            ),
            (Some(0x0102), Some(9))
        );
        let mut written = payload;
        descriptor.rewrite(&mut written, 0x0203, 10);
        assert_eq!(written, [0xA8, 0x82, 0x03, 0x10, 10, 77]);
    }

    #[test]
    fn a_dependency_descriptor_tells_where_to_begin_whatever_the_payload() {
        let content = read_content(Codec::Av1, &[0x10, 0x30, 1]);
        assert!(!content.begins_key_frame);
        let key = content.with_dependency(&[0x80, 0, 7, 0x80, 0]);
        assert!(key.begins_key_frame);
        assert_eq!(key.dependency.map(|it| it.frame_number), Some(7));
        assert!(!content.with_dependency(&[0x80, 0, 7]).begins_key_frame);
        assert_eq!(content.with_dependency(&[0x80, 0]).dependency, None);
    }
}
