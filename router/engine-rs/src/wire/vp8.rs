//! VP8 payload descriptor (RFC 7741 section 4.2), the picture size of key frames (RFC 6386 section 9.1), and the
//! rewriting of picture id and TL0PICIDX in place, which never changes the length.

use super::ParseError;
use super::bytes::{read_array, read_u8};
use super::codec::{FrameInfo, PictureSize};
use super::picture_id::PictureId;

/// What marks the start of a key frame, behind its three-byte frame tag.
const START_CODE: [u8; 3] = [0x9D, 0x01, 0x2A];

/// A parsed descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// No other frame refers to this one (N).
    pub non_reference: bool,
    /// First packet of a frame: start of partition (S) 0.
    pub start_of_frame: bool,
    /// Picture id.
    pub picture_id: Option<PictureId>,
    /// Index of the base-layer frame that this frame depends on.
    pub tl0_pic_idx: Option<u8>,
    /// Temporal layer.
    pub temporal_id: Option<u8>,
    /// Depends on the base layer only (Y): a receiver may go up to this layer here.
    pub layer_sync: bool,
    /// Length of the descriptor; the VP8 data follow.
    pub len: u8,
}

/// Offset of the picture id, which comes right behind the two fixed bytes.
const PICTURE_ID_AT: usize = 2;

impl Vp8Descriptor {
    /// Parses the start of a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let first = read_u8(payload, 0)?;
        let extensions = if first & 0x80 == 0 {
            0
        } else {
            read_u8(payload, 1)?
        };
        let mut at = if first & 0x80 == 0 { 1 } else { 2 };
        let picture_id = if extensions & 0x80 == 0 {
            None
        } else {
            Some(PictureId::parse(payload, at)?)
        };
        at += picture_id.map_or(0, PictureId::len);
        let tl0_pic_idx = if extensions & 0x40 == 0 {
            None
        } else {
            Some(read_u8(payload, at)?)
        };
        at += usize::from(tl0_pic_idx.is_some());
        let has_layers = extensions & 0x30 != 0; // T or K
        let layers = if has_layers { read_u8(payload, at)? } else { 0 };
        at += usize::from(has_layers);
        Ok(Self {
            non_reference: first & 0x20 != 0,
            start_of_frame: first & 0x17 == 0x10,
            picture_id,
            tl0_pic_idx,
            temporal_id: (extensions & 0x20 != 0).then_some(layers >> 6),
            layer_sync: extensions & 0x20 != 0 && layers & 0x20 != 0,
            len: at as u8,
        })
    }

    /// Overwrites picture id and TL0PICIDX in the payload that this descriptor was parsed from; a field that is not
    /// there stays away. A picture id keeps its width: the high bits that do not fit are cut off.
    pub fn rewrite(&self, payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) {
        let mut at = PICTURE_ID_AT;
        if let Some(id) = self.picture_id {
            id.rewrite(payload, at, picture_id);
            at += id.len();
        }
        if self.tl0_pic_idx.is_some()
            && let Some(place) = payload.get_mut(at)
        {
            *place = tl0_pic_idx;
        }
    }
}

pub(super) fn inspect(payload: &[u8]) -> Result<FrameInfo, ParseError> {
    let descriptor = Vp8Descriptor::parse(payload)?;
    let data = &payload[descriptor.len as usize..];
    // The lowest bit of the frame tag is 0 for key frames.
    let key_frame = descriptor.start_of_frame && read_u8(data, 0)? & 1 == 0;
    Ok(FrameInfo {
        key_frame,
        start_of_frame: descriptor.start_of_frame,
        size: if key_frame { parse_size(data) } else { None },
        ..FrameInfo::default()
    })
}

/// The upper two bits of each side are a scaling hint.
fn parse_size(data: &[u8]) -> Option<PictureSize> {
    if read_array(data, 3) != Ok(START_CODE) {
        return None;
    }
    let side = |at| {
        read_array(data, at)
            .ok()
            .map(|bytes| u32::from(u16::from_le_bytes(bytes) & 0x3FFF))
    };
    PictureSize::new(side(6)?, side(8)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Start of a key frame as Chromium sends it: 15-bit picture id, TL0PICIDX, temporal layer; 640x360.
    const KEY_FRAME: [u8; 16] = [
        0x90, 0xE0, 0x92, 0x34, 0x07, 0x20, 0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68,
        0x41,
    ];

    #[test]
    fn a_key_frame_gives_its_size() {
        let info = inspect(&KEY_FRAME).unwrap();
        assert!(info.key_frame && info.start_of_frame);
        assert_eq!(
            info.size,
            Some(PictureSize {
                width: 640,
                height: 360
            })
        );
        let descriptor = Vp8Descriptor::parse(&KEY_FRAME).unwrap();
        assert_eq!(
            descriptor.picture_id,
            Some(PictureId {
                value: 0x1234,
                wide: true
            })
        );
        assert_eq!((descriptor.tl0_pic_idx, descriptor.len), (Some(7), 6));
    }

    #[test]
    fn a_key_frame_of_libvpx() {
        let payload = b"\x10\x90\x9c\x00\x9d\x01\x2a\x80\x02\x68\x01\x00\x47\x08";
        let size = PictureSize {
            width: 640,
            height: 360,
        };
        assert_eq!(inspect(payload).unwrap().size, Some(size));
    }

    #[test]
    fn only_the_first_packet_of_a_frame_is_looked_into() {
        let mut later = KEY_FRAME;
        later[0] &= !0x10;
        assert!(!inspect(&later).unwrap().key_frame && !inspect(&later).unwrap().start_of_frame);
        let mut partition = KEY_FRAME;
        partition[0] |= 1;
        assert!(!inspect(&partition).unwrap().key_frame);
        let mut delta = KEY_FRAME;
        delta[6] |= 1;
        assert_eq!(
            (
                inspect(&delta).unwrap().key_frame,
                inspect(&delta).unwrap().size
            ),
            (false, None)
        );
    }

    #[test]
    fn every_form_of_the_descriptor() {
        let parse = |bytes: &[u8]| Vp8Descriptor::parse(bytes).unwrap();
        assert_eq!(parse(&[0x10]).len, 1);
        assert!(parse(&[0x30]).non_reference);
        assert_eq!(parse(&[0x80, 0x00]).len, 2);
        let narrow = parse(&[0x80, 0x80, 0x7F]);
        assert_eq!(
            (narrow.picture_id, narrow.len),
            (
                Some(PictureId {
                    value: 127,
                    wide: false
                }),
                3
            )
        );
        let layers = parse(&[0x80, 0x20, 0xA0]);
        assert_eq!(
            (layers.temporal_id, layers.layer_sync, layers.len),
            (Some(2), true, 3)
        );
        let key_index = parse(&[0x80, 0x10, 0xFF]);
        assert_eq!(
            (key_index.temporal_id, key_index.layer_sync, key_index.len),
            (None, false, 3)
        );
    }

    #[test]
    fn every_truncation_is_harmless() {
        for len in 0..6 {
            assert_eq!(
                Vp8Descriptor::parse(&KEY_FRAME[..len]),
                Err(ParseError::TooShort),
                "{len}"
            );
        }
        assert_eq!(
            inspect(&KEY_FRAME[..6]),
            Err(ParseError::TooShort),
            "nothing behind the descriptor"
        );
        for len in 7..KEY_FRAME.len() {
            let info = inspect(&KEY_FRAME[..len]).unwrap();
            assert_eq!((info.key_frame, info.size), (true, None), "{len}");
        }
    }

    proptest! {
        #[test]
        fn rewriting_changes_only_what_is_there(
            payload in prop::collection::vec(any::<u8>(), 0..12),
            picture_id in 0_u16..0x8000,
            tl0_pic_idx in any::<u8>(),
        ) {
            let Ok(before) = Vp8Descriptor::parse(&payload) else { return Ok(()) };
            let mut written = payload.clone();
            before.rewrite(&mut written, picture_id, tl0_pic_idx);
            let after = Vp8Descriptor::parse(&written).unwrap();
            let expected = Vp8Descriptor {
                picture_id: before.picture_id.map(|id| PictureId {
                    value: if id.wide { picture_id } else { picture_id & 0x7F },
                    ..id
                }),
                tl0_pic_idx: before.tl0_pic_idx.map(|_| tl0_pic_idx),
                ..before
            };
            prop_assert_eq!(after, expected);
            after.rewrite(&mut written, before.picture_id.map_or(0, |id| id.value), before.tl0_pic_idx.unwrap_or(0));
            prop_assert_eq!(written, payload);
        }
    }
}
