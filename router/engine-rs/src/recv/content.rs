//! What the router must know of a packet's payload, whatever the codec: key frames, layers, picture size, and the numbers
//! that are rewritten per receiver.
//!
//! The codecs' own syntax is parsed in `wire`; this file only translates. A codec that the engine does not look into has
//! no frames to tell apart: every packet of it may begin a stream, unless a dependency descriptor tells them apart.

use super::dependencies::Dependency;
use super::layers::FrameLayers;
use crate::media::Codec;
use crate::wire::codec::inspect;
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
    /// The layers of its frame, where they are named.
    pub layers: Option<FrameLayers>,
    /// Picture width and height, where this packet tells them.
    pub size: Option<(u16, u16)>,
    /// The payload's descriptor, when it has numbers.
    pub descriptor: Option<PayloadDescriptor>,
    /// The dependency descriptor among the header extensions.
    pub dependency: Option<Dependency>,
}

impl Content {
    /// With the dependency descriptor of the packet. Layers are as it tells, but for VP8: its picture ids leave no gaps,
    /// so its own descriptor decides.
    #[must_use]
    pub fn with_dependency(mut self, dependency: Dependency, layers: Option<FrameLayers>) -> Self {
        self.dependency = Some(dependency);
        self.begins_key_frame |= dependency.descriptor.begins_sequence();
        if !matches!(self.descriptor, Some(PayloadDescriptor::Vp8(_))) {
            self.layers = layers.or(self.layers);
        }
        self
    }

    /// Temporal layer, where it is named.
    pub fn temporal_layer(&self) -> Option<u8> {
        self.layers.map(|layers| layers.layer.temporal)
    }

    /// All that there is to be known of it is known: a structure may be missing, or gone.
    pub fn is_known(&self) -> bool {
        self.dependency
            .as_ref()
            .is_none_or(|it| it.targets.is_some())
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
        layers: None,
        size: frame.size.map(|size| (size.width, size.height)),
        descriptor: PayloadDescriptor::parse(codec, payload),
        dependency: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recv::dependencies::Dependencies;

    #[test]
    fn vp8_key_frame_tells_all() {
        let payload = super::super::testing::vp8(100, 7, 0, true);
        let content = read_content(Codec::Vp8, &payload);
        assert!(content.begins_key_frame);
        assert_eq!(content.size, Some((640, 360)));
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
        assert!(!content.begins_key_frame);
        assert_eq!(content.size, None);
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
        let with = |value: &[u8]| {
            let (dependency, layers) = Dependencies::default().read(value).expect("valid");
            content.with_dependency(dependency, layers)
        };
        let key = with(&[0x80, 0, 7, 0x80, 0]);
        assert!(key.begins_key_frame && !key.is_known());
        let number = key.dependency.map(|it| it.descriptor.frame_number);
        assert_eq!(number, Some(7));
        assert!(!with(&[0x80, 0, 7]).begins_key_frame);
    }
}
