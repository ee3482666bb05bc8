//! AV1 payloads (RTP Payload Format For AV1, sections 4.3 and 4.4): aggregation header and OBU elements; the picture
//! size from the sequence header (AV1 bitstream specification, section 5.5). The dependency descriptor, which travels
//! as header extension, is read in `dependency_descriptor.rs`.

use super::ParseError;
use super::bits::BitReader;
use super::bytes::read_u8;
use super::codec::{FrameInfo, PictureSize};

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;

/// The first byte of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregationHeader {
    /// The first element continues an OBU of the packet before (Z).
    pub continues: bool,
    /// The last element continues in the next packet (Y).
    pub continued: bool,
    /// Number of elements, of which the last has no length; 0 when all have one (W).
    pub elements: u8,
    /// First packet of a coded video sequence (N): a key frame.
    pub new_sequence: bool,
}

impl AggregationHeader {
    /// Parses the first byte.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let byte = read_u8(payload, 0)?;
        let header = Self {
            continues: byte & 0x80 != 0,
            continued: byte & 0x40 != 0,
            elements: byte >> 4 & 0x03,
            new_sequence: byte & 0x08 != 0,
        };
        // A sequence cannot start in the middle of an OBU (section 4.4).
        if header.continues && header.new_sequence {
            Err(ParseError::BadValue)
        } else {
            Ok(header)
        }
    }
}

pub(super) fn inspect(payload: &[u8]) -> Result<FrameInfo, ParseError> {
    let header = AggregationHeader::parse(payload)?;
    let mut info = FrameInfo {
        key_frame: header.new_sequence,
        start_of_frame: header.new_sequence,
        ..FrameInfo::default()
    };
    let elements = Elements {
        rest: &payload[1..],
        index: 0,
        count: header.elements,
    };
    for element in elements.skip(usize::from(header.continues)) {
        let Ok(obu) = Obu::parse(element) else { break };
        match obu.kind {
            SEQUENCE_HEADER => {
                info.key_frame = true;
                info.start_of_frame = true;
                info.size = parse_sequence_header(obu.payload)
                    .ok()
                    .flatten()
                    .or(info.size);
            }
            TEMPORAL_DELIMITER | FRAME_HEADER | FRAME => info.start_of_frame = true,
            _ => {}
        }
    }
    Ok(info)
}

/// The OBU elements of a packet; a length past the end ends the walk.
struct Elements<'a> {
    rest: &'a [u8],
    index: u8,
    count: u8,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.index = self.index.saturating_add(1);
        if self.index == self.count {
            return Some(std::mem::take(&mut self.rest));
        }
        let (len, behind) = read_leb128(self.rest).ok()?;
        let (element, rest) = behind.split_at_checked(len)?;
        self.rest = rest;
        Some(element)
    }
}

/// A length in groups of seven bits, lowest first, and what follows it. More than four groups exceed any packet.
fn read_leb128(bytes: &[u8]) -> Result<(usize, &[u8]), ParseError> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[index + 1..]));
        }
    }
    Err(ParseError::BadLength)
}

struct Obu<'a> {
    kind: u8,
    payload: &'a [u8],
}

impl<'a> Obu<'a> {
    /// Header, layer extension, and a size that senders should leave out but may not.
    fn parse(element: &'a [u8]) -> Result<Self, ParseError> {
        let head = read_u8(element, 0)?;
        if head & 0x80 != 0 {
            return Err(ParseError::BadValue);
        }
        let has_extension = head & 0x04 != 0;
        let head_len = 1 + usize::from(has_extension);
        let mut payload = element.get(head_len..).ok_or(ParseError::TooShort)?;
        if head & 0x02 != 0 {
            payload = read_leb128(payload)?.1;
        }
        Ok(Self {
            kind: head >> 3 & 0x0F,
            payload,
        })
    }
}

/// Reads a sequence header as far as the largest picture's size.
fn parse_sequence_header(payload: &[u8]) -> Result<Option<PictureSize>, ParseError> {
    let mut bits = BitReader::new(payload);
    bits.skip(4)?; // profile, still picture
    if bits.read_flag()? {
        bits.skip(5)?; // reduced header: level only
    } else {
        skip_operating_points(&mut bits)?;
    }
    let width_bits = bits.read_bits(4)? + 1;
    let height_bits = bits.read_bits(4)? + 1;
    let width = bits.read_bits(width_bits)? + 1;
    let height = bits.read_bits(height_bits)? + 1;
    Ok(PictureSize::new(width, height))
}

fn skip_operating_points(bits: &mut BitReader) -> Result<(), ParseError> {
    let delay_bits = if bits.read_flag()? {
        skip_timing(bits)?
    } else {
        None
    };
    let display_delay = bits.read_flag()?;
    let points = bits.read_bits(5)? + 1;
    for _ in 0..points {
        bits.skip(12)?; // layers of the point
        if bits.read_bits(5)? > 7 {
            bits.skip(1)?; // tier
        }
        if let Some(delay_bits) = delay_bits
            && bits.read_flag()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if display_delay && bits.read_flag()? {
            bits.skip(4)?;
        }
    }
    Ok(())
}

/// Timing and decoder model; returns the width of the model's delays when there is a model.
fn skip_timing(bits: &mut BitReader) -> Result<Option<u32>, ParseError> {
    bits.skip(64)?;
    if bits.read_flag()? {
        bits.read_ue()?; // ticks per picture
    }
    if !bits.read_flag()? {
        return Ok(None);
    }
    let delay_bits = bits.read_bits(5)? + 1;
    bits.skip(32 + 5 + 5)?;
    Ok(Some(delay_bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequence headers as libaom (640x360, 4:4:4) and SVT-AV1 (1920x1080) write them, with their OBU size.
    const LIBAOM: [u8; 15] = *b"\x0a\x0d\x20\x00\x00\x0c\xc4\xff\x67\x36\xbe\x48\x08\x68\x01";
    const SVT: [u8; 13] = *b"\x0a\x0b\x00\x00\x00\x42\xab\xbf\xc3\x73\xef\xe4\x01";

    fn packet(aggregation: u8, elements: &[&[u8]]) -> Vec<u8> {
        let mut packet = vec![aggregation];
        let count = usize::from(aggregation >> 4 & 3);
        for (index, element) in elements.iter().enumerate() {
            if index + 1 != count {
                packet.push(element.len() as u8);
            }
            packet.extend_from_slice(element);
        }
        packet
    }

    /// Packs fields of (value, bits).
    fn pack(fields: &[(u64, u32)]) -> Vec<u8> {
        let bits: Vec<u8> = fields
            .iter()
            .flat_map(|&(value, width)| (0..width).rev().map(move |at| (value >> at & 1) as u8))
            .collect();
        bits.chunks(8)
            .map(|chunk| {
                chunk
                    .iter()
                    .enumerate()
                    .fold(0, |byte, (at, bit)| byte | bit << (7 - at))
            })
            .collect()
    }

    #[test]
    fn sequence_header_gives_key_frame_and_size() {
        let header = pack(&[
            (0, 3),
            (0, 1),
            (0, 1),
            (0, 1),
            (0, 1),
            (0, 5),
            (0, 12),
            (5, 5),
            (9, 4),
            (8, 4),
            (639, 10),
            (359, 9),
        ]);
        let obu = [&[0x08][..], &header].concat();
        for bytes in [
            packet(0x18, &[&obu]),
            packet(0x08, &[&obu, &[0x30]]),
            packet(0x20, &[&obu, &[0x30, 1]]),
        ] {
            let info = inspect(&bytes).unwrap();
            assert!(info.key_frame && info.start_of_frame, "{bytes:x?}");
            assert_eq!(
                info.size,
                Some(PictureSize {
                    width: 640,
                    height: 360
                })
            );
        }
        let sized = [&[0x0A, header.len() as u8][..], &header].concat();
        assert_eq!(
            inspect(&packet(0x18, &[&sized])).unwrap().size,
            Some(PictureSize {
                width: 640,
                height: 360
            })
        );
        for len in 0..obu.len() {
            assert_eq!(
                inspect(&packet(0x18, &[&obu[..len]])).unwrap().size,
                None,
                "{len}"
            );
        }
    }

    #[test]
    fn sequence_headers_of_encoders() {
        for (obu, width, height) in [(&LIBAOM[..], 640, 360), (&SVT[..], 1920, 1080)] {
            let info = inspect(&packet(0x18, &[obu])).unwrap();
            assert_eq!(info.size, Some(PictureSize { width, height }));
        }
    }

    #[test]
    fn every_optional_field_before_the_size() {
        let full = [
            (0, 5),
            (1, 1),
            (1, 32),
            (30, 32),
            (1, 1),
            (0b010, 3),
            (1, 1), // timing, ticks, decoder model:
            (9, 5),
            (1, 32),
            (7, 5),
            (7, 5), // delays of ten bits
            (1, 1),
            (1, 5), // display delay, two operating points
            (1, 12),
            (8, 5),
            (1, 1),
            (1, 1),
            (5, 10),
            (6, 10),
            (0, 1),
            (1, 1),
            (3, 4),
            (1, 12),
            (7, 5),
            (0, 1),
            (0, 1),
            (10, 4),
            (10, 4),
            (1279, 11),
            (719, 11),
        ];
        assert_eq!(
            parse_sequence_header(&pack(&full)),
            Ok(Some(PictureSize {
                width: 1280,
                height: 720
            }))
        );
        let reduced = [
            (0, 3),
            (1, 1),
            (1, 1),
            (4, 5),
            (6, 4),
            (6, 4),
            (63, 7),
            (47, 7),
        ];
        assert_eq!(
            parse_sequence_header(&pack(&reduced)),
            Ok(Some(PictureSize {
                width: 64,
                height: 48
            }))
        );
    }

    #[test]
    fn continuations_are_not_looked_into() {
        let info = inspect(&packet(0x90, &[&LIBAOM])).unwrap();
        assert_eq!(info, FrameInfo::default());
        let then_frame = inspect(&packet(0xA0, &[&[0x08, 1, 2], &[0x34, 0x48, 0]])).unwrap();
        assert!(then_frame.start_of_frame && !then_frame.key_frame);
        assert_eq!(inspect(&[0x98, 0]), Err(ParseError::BadValue));
    }

    #[test]
    fn tile_groups_do_not_start_a_frame() {
        assert!(
            !inspect(&packet(0x10, &[&[0x20, 1]]))
                .unwrap()
                .start_of_frame
        );
        assert!(
            inspect(&packet(0x10, &[&[0x30, 1]]))
                .unwrap()
                .start_of_frame
        );
    }

    /// Threat R10: two other SFUs failed on OBU lengths.
    #[test]
    fn lengths_past_the_end_are_harmless() {
        for payload in [
            &[0x00, 0xFF][..],
            &[0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            &[0x20, 200, 0x08],
            &[0x10],
            &[0x18, 0x0E],
        ] {
            assert_eq!(inspect(payload).unwrap().size, None);
        }
    }
}
