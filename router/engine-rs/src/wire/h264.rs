//! H.264 payloads (RFC 6184): single NAL units, STAP-A and FU-A, looked at for key frames; the picture size from the
//! sequence parameter set (ITU-T H.264 section 7.3.2.1.1). The other packet types are not used in WebRTC.
//!
//! A key frame starts at its parameter sets, which precede the IDR slice, in the same packet or in one of their own:
//! a receiver that joins at the slice could not decode it.

use super::ParseError;
use super::bits::BitReader;
use super::bytes::{read_u8, read_u16};
use super::codec::{FrameInfo, PictureSize};

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Profiles whose SPS describes the chroma format (section 7.3.2.1.1).
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

pub(super) fn inspect(payload: &[u8]) -> Result<FrameInfo, ParseError> {
    match read_u8(payload, 0)? & 0x1F {
        1..=23 => Ok(of_nal_units(std::iter::once(payload))),
        STAP_A => Ok(of_nal_units(AggregatedUnits {
            rest: &payload[1..],
        })),
        FU_A => {
            let head = read_u8(payload, 1)?;
            let start = head & 0x80 != 0;
            let kind = head & 0x1F;
            Ok(FrameInfo {
                key_frame: start && matches!(kind, IDR | SPS),
                parameter_sets: start && kind == SPS,
                start_of_frame: start,
                ..FrameInfo::default()
            })
        }
        _ => Err(ParseError::UnknownType),
    }
}

fn of_nal_units<'a>(units: impl Iterator<Item = &'a [u8]>) -> FrameInfo {
    let mut info = FrameInfo {
        start_of_frame: true,
        ..FrameInfo::default()
    };
    for unit in units {
        match unit.first().map(|head| head & 0x1F) {
            Some(SPS) => {
                info.key_frame = true;
                info.parameter_sets = true;
                info.size = parse_sps(unit).ok().flatten().or(info.size);
            }
            Some(IDR) => info.key_frame = true,
            _ => {}
        }
    }
    info
}

/// The NAL units of a STAP-A, each behind its length; a length past the end ends the walk.
struct AggregatedUnits<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for AggregatedUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let len = read_u16(self.rest, 0).ok()? as usize;
        let (unit, rest) = self.rest[2..].split_at_checked(len)?;
        self.rest = rest;
        Some(unit)
    }
}

/// Reads a sequence parameter set, its NAL unit header included, as far as the picture's size.
fn parse_sps(unit: &[u8]) -> Result<Option<PictureSize>, ParseError> {
    let mut bits = BitReader::of_nal_unit(unit.get(1..).unwrap_or_default());
    let profile = bits.read_bits(8)?;
    bits.skip(16)?; // constraints, level
    bits.read_ue()?; // id
    let chroma_format = if HIGH_PROFILES.contains(&profile) {
        skip_high_profile(&mut bits)?
    } else {
        1
    };
    bits.read_ue()?; // frame number width
    skip_picture_order(&mut bits)?;
    bits.read_ue()?; // reference frames
    bits.skip(1)?; // gaps allowed
    let width = u64::from(bits.read_ue()?) + 1;
    let height = u64::from(bits.read_ue()?) + 1;
    let frames_only = bits.read_flag()?;
    if !frames_only {
        bits.skip(1)?; // adaptive
    }
    bits.skip(1)?; // direct 8x8
    let fields = if frames_only { 1 } else { 2 };
    let (crop_x, crop_y) = read_cropping(&mut bits, chroma_format, fields)?;
    let side = |blocks: u64, crop: u64| {
        (16 * blocks)
            .checked_sub(crop)
            .and_then(|pixels| u32::try_from(pixels).ok())
    };
    let size = side(width, crop_x).zip(side(fields * height, crop_y));
    Ok(size.and_then(|(width, height)| PictureSize::new(width, height)))
}

/// Chroma format, bit depths and scaling lists; returns the chroma format.
fn skip_high_profile(bits: &mut BitReader) -> Result<u32, ParseError> {
    let chroma_format = bits.read_ue()?;
    if chroma_format == 3 {
        bits.skip(1)?; // separate planes
    }
    bits.read_ue()?;
    bits.read_ue()?;
    bits.skip(1)?; // transform bypass
    if bits.read_flag()? {
        for list in 0..if chroma_format == 3 { 12 } else { 8 } {
            if bits.read_flag()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(chroma_format)
}

/// A scaling list ends early when its next scale becomes zero (section 7.3.2.1.1.1).
fn skip_scaling_list(bits: &mut BitReader, size: u32) -> Result<(), ParseError> {
    let mut scale = 8_i32;
    for _ in 0..size {
        scale = scale.wrapping_add(bits.read_se()?) & 0xFF;
        if scale == 0 {
            break;
        }
    }
    Ok(())
}

fn skip_picture_order(bits: &mut BitReader) -> Result<(), ParseError> {
    match bits.read_ue()? {
        0 => {
            bits.read_ue()?;
        }
        1 => {
            bits.skip(1)?;
            bits.read_se()?;
            bits.read_se()?;
            let frames = bits.read_ue()?;
            if frames > 255 {
                return Err(ParseError::BadValue);
            }
            for _ in 0..frames {
                bits.read_se()?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Pixels cut off horizontally and vertically. Offsets count chroma samples (section 7.4.2.1.1).
fn read_cropping(
    bits: &mut BitReader,
    chroma_format: u32,
    fields: u64,
) -> Result<(u64, u64), ParseError> {
    if !bits.read_flag()? {
        return Ok((0, 0));
    }
    let mut read_sum =
        || Ok::<_, ParseError>(u64::from(bits.read_ue()?) + u64::from(bits.read_ue()?));
    let (horizontal, vertical) = (read_sum()?, read_sum()?);
    let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma_format == 1 { 2 } else { 1 };
    Ok((horizontal * unit_x, vertical * unit_y * fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes SPS fields bit by bit; '.' separates for the reader.
    fn nal_unit(head: u8, bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits
            .bytes()
            .filter(|bit| *bit != b'.')
            .map(|bit| bit - b'0')
            .collect();
        let bytes = bits.chunks(8).map(|chunk| {
            chunk
                .iter()
                .enumerate()
                .fold(0, |byte, (at, bit)| byte | bit << (7 - at))
        });
        std::iter::once(head).chain(bytes).collect()
    }

    /// Unsigned Exp-Golomb.
    fn ue(value: u32) -> String {
        let code = format!("{:b}", value + 1);
        "0".repeat(code.len() - 1) + &code
    }

    fn baseline_sps(width: u32, height: u32, crop_bottom: u32) -> Vec<u8> {
        let cropping = if crop_bottom > 0 {
            format!("1.1.1.1.{}", ue(crop_bottom))
        } else {
            "0".into()
        };
        let fields = [
            "01000010.11000000.00011111".to_owned(), // profile 66, constraints, level 31
            ue(0),                                   // id
            ue(0),                                   // frame number width
            ue(2),                                   // picture order type
            ue(1),                                   // reference frames
            "0".into(),
            ue(width - 1),
            ue(height - 1),
            "1.1".into(), // frames only, direct 8x8
            cropping,
            "0.1".into(), // no VUI, stop bit
        ];
        nal_unit(0x67, &fields.join("."))
    }

    #[test]
    fn the_size_comes_from_the_sps() {
        let size = |unit: &[u8]| inspect(unit).unwrap().size;
        assert_eq!(
            size(&baseline_sps(40, 23, 4)),
            Some(PictureSize {
                width: 640,
                height: 360
            })
        );
        assert_eq!(
            size(&baseline_sps(80, 45, 0)),
            Some(PictureSize {
                width: 1280,
                height: 720
            })
        );
        assert_eq!(size(&baseline_sps(1, 1, 100)), None, "cropped away");
        assert_eq!(size(&baseline_sps(5000, 1, 0)), None, "wider than 16 bits");
        let sps = baseline_sps(40, 23, 4);
        for len in 1..sps.len() - 1 {
            let info = inspect(&sps[..len]).unwrap();
            assert_eq!((info.key_frame, info.size), (true, None), "{len}");
        }
    }

    /// Parameter sets as x264 writes them, with emulation prevention and cropping.
    #[test]
    fn parameter_sets_of_x264() {
        let high = b"\x67\x64\x00\x1e\xac\xd9\x40\xa0\x2f\xf9\x70\x11\x00\x00\x03\x00\x01\x00\x00\x03\x00\x3c\x0f\x16\x2d\x96";
        assert_eq!(
            inspect(high).unwrap().size,
            Some(PictureSize {
                width: 640,
                height: 360
            })
        );
        let baseline = b"\x67\x42\xc0\x0d\xd9\x01\x41\x9f\x9f\x01\x10\x00\x00\x03\x00\x10\x00\x00\x03\x03\xc0\xf1\x42\xa4\x80";
        assert_eq!(
            inspect(baseline).unwrap().size,
            Some(PictureSize {
                width: 320,
                height: 180
            })
        );
    }

    #[test]
    fn interlaced_and_scaled_high_profile() {
        let fields = [
            "01100100.00000000.00101000".to_owned(),
            ue(0),
            ue(1), // 4:2:0
            ue(0),
            ue(0),
            "0.1".into(),                                     // scaling matrix:
            format!("1{}", ue(2 * 8)),                        // first list ends at once (se = -8)
            "0".repeat(7),                                    // no others
            ue(0),                                            // frame number width
            format!("{}0{}{}{}", ue(1), ue(0), ue(0), ue(2)), // picture order type 1 with two offsets
            ue(1) + &ue(2),
            ue(4),
            "0".into(),
            ue(44),
            ue(17),
            "0.1.1".into(), // fields, adaptive, direct 8x8
            "0".into(),
        ];
        assert_eq!(
            inspect(&nal_unit(0x67, &fields.join("."))).unwrap().size,
            Some(PictureSize {
                width: 720,
                height: 576
            })
        );
    }

    #[test]
    fn key_frames_in_every_packet_type() {
        let key_frame = |payload: &[u8]| inspect(payload).unwrap().key_frame;
        assert!(key_frame(&[0x65, 1]), "IDR");
        assert!(
            !key_frame(&[0x41, 1]) && !key_frame(&[0x68, 1]),
            "slice, PPS"
        );
        assert!(key_frame(&[0x7C, 0x85]), "first fragment of an IDR");
        assert!(
            !key_frame(&[0x7C, 0x05]) && !key_frame(&[0x7C, 0x45]),
            "later fragments"
        );
        assert!(!key_frame(&[0x7C, 0x81]), "first fragment of a slice");
        let sps = baseline_sps(40, 23, 4);
        let mut stap = vec![0x78, 0, sps.len() as u8];
        stap.extend_from_slice(&sps);
        stap.extend_from_slice(&[0, 2, 0x68, 1, 0, 9, 0x65]);
        let info = inspect(&stap).unwrap();
        assert_eq!(
            (info.key_frame, info.size),
            (
                true,
                Some(PictureSize {
                    width: 640,
                    height: 360
                })
            )
        );
        assert!(!key_frame(&[0x78, 0, 2, 0x68, 1]) && !key_frame(&[0x78, 0, 0, 0, 9, 0x65]));
    }

    #[test]
    fn fragments_tell_whether_a_nal_unit_starts() {
        let start = |payload: &[u8]| inspect(payload).unwrap().start_of_frame;
        assert!(start(&[0x41]) && start(&[0x7C, 0x81]) && !start(&[0x7C, 0x41]));
        assert_eq!(inspect(&[0x7C]), Err(ParseError::TooShort));
        for unused in [0, 25, 26, 27, 29, 30, 31] {
            assert_eq!(inspect(&[unused, 0, 0, 0]), Err(ParseError::UnknownType));
        }
    }
}
