//! VP9 payload descriptor (RFC 9628 section 4.2), and the rewriting of picture id and TL0PICIDX in place, which never
//! changes the length. The frame header behind it is not read: the scalability structure names the picture's size, and
//! senders put it into every key frame.

use super::ParseError;
use super::bytes::{read_u8, read_u16};
use super::codec::{FrameInfo, PictureSize};
use super::picture_id::PictureId;

/// Most reference indices of a frame in flexible mode.
const MAX_REFERENCES: usize = 3;
/// Offset of the picture id, which comes right behind the fixed byte.
const PICTURE_ID_AT: usize = 1;

/// A parsed descriptor.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent bits on the wire"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Descriptor {
    /// Refers to earlier pictures (P).
    pub inter_picture: bool,
    /// First packet of a layer frame (B).
    pub start_of_frame: bool,
    /// Last packet of a layer frame (E).
    pub end_of_frame: bool,
    /// No higher spatial layer of its picture refers to it (Z).
    pub not_inter_layer_reference: bool,
    /// Picture id, the same in all layer frames of a picture.
    pub picture_id: Option<PictureId>,
    /// Layer indices.
    pub layer: Option<Vp9Layer>,
    /// Size of the largest spatial layer.
    pub size: Option<PictureSize>,
    /// Where the scalability structure begins, if there is one.
    pub structure_at: Option<u16>,
    /// Length of the descriptor; the VP9 data follow.
    pub len: u16,
}

/// The layer of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Layer {
    /// Temporal layer.
    pub temporal_id: u8,
    /// A receiver may go up to this temporal layer here (U).
    pub switching_point: bool,
    /// Spatial layer.
    pub spatial_id: u8,
    /// Refers to the spatial layer below of the same picture (D).
    pub inter_layer: bool,
    /// Index of the base-layer picture that it depends on, in non-flexible mode.
    pub tl0_pic_idx: Option<u8>,
}

impl Vp9Descriptor {
    /// Parses the start of a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let first = read_u8(payload, 0)?;
        let has = |bit: u8| first & bit != 0;
        let (inter_picture, flexible) = (has(0x40), has(0x10));
        let mut at = PICTURE_ID_AT;
        let picture_id = if has(0x80) {
            Some(PictureId::parse(payload, at)?)
        } else {
            None
        };
        at += picture_id.map_or(0, PictureId::len);
        let layer = if has(0x20) {
            Some(parse_layer(payload, &mut at, flexible)?)
        } else {
            None
        };
        if flexible && inter_picture {
            skip_references(payload, &mut at)?;
        }
        let structure_at = has(0x02).then_some(at as u16);
        let size = if structure_at.is_some() {
            parse_structure(payload, &mut at)?
        } else {
            None
        };
        Ok(Self {
            inter_picture,
            start_of_frame: has(0x08),
            end_of_frame: has(0x04),
            picture_id,
            layer,
            size,
            structure_at,
            not_inter_layer_reference: has(0x01),
            len: at as u16,
        })
    }

    /// Sizes of the spatial layers, in the payload that this descriptor was parsed from. One that is not sent has none.
    pub fn sizes<'p>(&self, payload: &'p [u8]) -> impl Iterator<Item = Option<PictureSize>> + 'p {
        let structure = self.structure_at.and_then(|at| payload.get(at as usize..));
        let (head, rest) = structure.and_then(<[u8]>::split_first).unwrap_or((&0, &[]));
        let count = if head & 0x10 == 0 { 0 } else { 1 + (head >> 5) };
        rest.chunks_exact(4).take(count.into()).map(|size| {
            let side = |at: usize| u32::from(u16::from_be_bytes([size[at], size[at + 1]]));
            PictureSize::new(side(0), side(2))
        })
    }

    /// Overwrites picture id and TL0PICIDX in the payload that this descriptor was parsed from; a field that is not
    /// there stays away. A picture id keeps its width: the high bits that do not fit are cut off.
    pub fn rewrite(&self, payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) {
        if let Some(id) = self.picture_id {
            id.rewrite(payload, PICTURE_ID_AT, picture_id);
        }
        // Behind the byte of the layer indices.
        let at = PICTURE_ID_AT + self.picture_id.map_or(0, PictureId::len) + 1;
        if self.layer.is_some_and(|layer| layer.tl0_pic_idx.is_some())
            && let Some(place) = payload.get_mut(at)
        {
            *place = tl0_pic_idx;
        }
    }
}

fn parse_layer(payload: &[u8], at: &mut usize, flexible: bool) -> Result<Vp9Layer, ParseError> {
    let byte = read_u8(payload, *at)?;
    *at += 1;
    let tl0_pic_idx = if flexible {
        None
    } else {
        Some(read_u8(payload, *at)?)
    };
    *at += usize::from(!flexible);
    Ok(Vp9Layer {
        temporal_id: byte >> 5,
        switching_point: byte & 0x10 != 0,
        spatial_id: byte >> 1 & 0x07,
        inter_layer: byte & 1 != 0,
        tl0_pic_idx,
    })
}

/// `P_DIFF` of 7 bits each; the lowest bit says that another follows.
fn skip_references(payload: &[u8], at: &mut usize) -> Result<(), ParseError> {
    for _ in 0..MAX_REFERENCES {
        let reference = read_u8(payload, *at)?;
        *at += 1;
        if reference & 1 == 0 {
            return Ok(());
        }
    }
    Err(ParseError::BadValue)
}

/// Reads the scalability structure: sizes of all spatial layers, then a description of the picture group.
fn parse_structure(payload: &[u8], at: &mut usize) -> Result<Option<PictureSize>, ParseError> {
    let head = read_u8(payload, *at)?;
    *at += 1;
    let mut size = None;
    if head & 0x10 != 0 {
        for _ in 0..=head >> 5 {
            let (width, height) = (read_u16(payload, *at)?, read_u16(payload, *at + 2)?);
            size = PictureSize::new(width.into(), height.into());
            *at += 4;
        }
    }
    if head & 0x08 != 0 {
        let pictures = read_u8(payload, *at)?;
        *at += 1;
        for _ in 0..pictures {
            let references = read_u8(payload, *at)? >> 2 & 0x03;
            *at += 1 + references as usize;
        }
    }
    if *at > payload.len() {
        return Err(ParseError::TooShort);
    }
    Ok(size)
}

pub(super) fn inspect(payload: &[u8]) -> Result<FrameInfo, ParseError> {
    let descriptor = Vp9Descriptor::parse(payload)?;
    let layer = descriptor.layer;
    let base = layer.is_none_or(|layer| layer.spatial_id == 0 && !layer.inter_layer);
    let start_of_frame = descriptor.start_of_frame;
    Ok(FrameInfo {
        key_frame: start_of_frame && !descriptor.inter_picture && base,
        start_of_frame,
        size: descriptor.size,
        ..FrameInfo::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// I L B V, 15-bit picture id, layer 0/0, TL0PICIDX, two spatial layers with sizes, a group of two pictures.
    const KEY_FRAME: [u8; 19] = [
        0xAA, 0x81, 0x02, 0x10, 0x09, 0x38, 0x01, 0x40, 0x00, 0xB4, 0x02, 0x80, 0x01, 0x68, 0x02,
        0x10, 0x34, 0x01, 0x55,
    ];

    #[test]
    fn a_key_frame_gives_the_size_of_its_largest_layer() {
        let descriptor = Vp9Descriptor::parse(&KEY_FRAME).unwrap();
        let id = PictureId {
            value: 0x0102,
            wide: true,
        };
        assert_eq!((descriptor.picture_id, descriptor.len), (Some(id), 18));
        assert_eq!(descriptor.layer.unwrap().tl0_pic_idx, Some(9));
        let widths = descriptor
            .sizes(&KEY_FRAME)
            .map(|size| size.map(|size| size.width));
        assert_eq!(widths.collect::<Vec<_>>(), [Some(320), Some(640)]);
        let info = inspect(&KEY_FRAME).unwrap();
        assert!(info.key_frame && info.start_of_frame);
        assert_eq!(
            info.size,
            Some(PictureSize {
                width: 640,
                height: 360
            })
        );
        let layer = descriptor.layer.unwrap();
        assert_eq!((layer.temporal_id, layer.spatial_id), (0, 0));
        assert!(layer.switching_point && !descriptor.not_inter_layer_reference);
    }

    #[test]
    fn key_frames_start_at_the_base_layer() {
        let key_frame = |bytes: &[u8]| inspect(bytes).unwrap().key_frame;
        assert!(key_frame(&[0x08]));
        assert!(!key_frame(&[0x00]), "not the first packet");
        assert!(!key_frame(&[0x48]), "refers to earlier pictures");
        assert!(
            !key_frame(&[0x28, 0x03, 0]),
            "second spatial layer of a key picture"
        );
        assert!(!key_frame(&[0x28, 0x01, 0]), "predicted from a lower layer");
    }

    #[test]
    fn references_of_flexible_mode_are_skipped() {
        let descriptor = Vp9Descriptor::parse(&[0x70, 0x50, 0x03, 0x02]).unwrap();
        assert_eq!(descriptor.len, 4);
        let layer = descriptor.layer.unwrap();
        assert_eq!(
            (layer.temporal_id, layer.switching_point, layer.tl0_pic_idx),
            (2, true, None)
        );
        assert_eq!(
            Vp9Descriptor::parse(&[0x50, 3, 3, 3, 2]),
            Err(ParseError::BadValue),
            "four references"
        );
    }

    #[test]
    fn every_truncation_is_refused() {
        for len in 0..18 {
            assert_eq!(
                Vp9Descriptor::parse(&KEY_FRAME[..len]),
                Err(ParseError::TooShort),
                "{len}"
            );
        }
        assert_eq!(
            Vp9Descriptor::parse(&[0x02, 0x08, 1, 0x0C, 1, 1]),
            Err(ParseError::TooShort),
            "last reference"
        );
    }
    #[test]
    fn numbers_are_rewritten_where_they_are() {
        // Payload, what it becomes: all fields, a narrow id, flexible mode without TL0PICIDX, no id.
        let table: [(&[u8], &[u8]); 4] = [
            (
                &[0xA8, 0x81, 0x02, 0x10, 9, 77],
                &[0xA8, 0xBA, 0xBC, 0x10, 0x55, 77],
            ),
            (&[0xA8, 0x01, 0x10, 9, 77], &[0xA8, 0x3C, 0x10, 0x55, 77]),
            (&[0xB8, 0x81, 0x02, 0x10, 77], &[0xB8, 0xBA, 0xBC, 0x10, 77]),
            (&[0x28, 0x10, 9, 77], &[0x28, 0x10, 0x55, 77]),
        ];
        for (payload, expected) in table {
            let mut written = payload.to_vec();
            let descriptor = Vp9Descriptor::parse(payload).unwrap();
            descriptor.rewrite(&mut written, 0x3ABC, 0x55);
            assert_eq!(written, expected);
        }
    }

    proptest! {
        #[test]
        fn rewriting_changes_only_what_is_there(
            payload in prop::collection::vec(any::<u8>(), 0..24),
            picture_id in 0_u16..0x8000,
            tl0_pic_idx in any::<u8>(),
        ) {
            let Ok(before) = Vp9Descriptor::parse(&payload) else { return Ok(()) };
            let mut written = payload.clone();
            before.rewrite(&mut written, picture_id, tl0_pic_idx);
            let after = Vp9Descriptor::parse(&written).unwrap();
            let expected = Vp9Descriptor {
                picture_id: before.picture_id.map(|id| PictureId {
                    value: if id.wide { picture_id } else { picture_id & 0x7F },
                    ..id
                }),
                layer: before.layer.map(|layer| Vp9Layer {
                    tl0_pic_idx: layer.tl0_pic_idx.map(|_| tl0_pic_idx),
                    ..layer
                }),
                ..before
            };
            prop_assert_eq!(after, expected);
            let index = before.layer.and_then(|layer| layer.tl0_pic_idx).unwrap_or(0);
            after.rewrite(&mut written, before.picture_id.map_or(0, |id| id.value), index);
            prop_assert_eq!(written, payload);
        }
    }
}
