//! Dependency descriptor (AV1 RTP specification, appendix A): its mandatory three bytes, whether a template structure is
//! attached, and the rewriting of the frame number in place. Templates, decode targets and chains are not read.
//!
//! Frames name what they refer to by differences of frame numbers, so a number may be moved, but never its distance to
//! others. A receiver cannot read any frame before it has the structure, which comes with the first packet of a key frame.

use super::ParseError;
use super::bytes::{read_array, read_u8};

/// Length of the mandatory fields; what is longer has the extended ones (section A.8.2).
const MANDATORY: usize = 3;
/// Offset of the frame number.
const FRAME_NUMBER_AT: usize = 1;

/// What is read of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyDescriptor {
    /// First packet of a frame.
    pub start_of_frame: bool,
    /// Last packet of a frame.
    pub end_of_frame: bool,
    /// Template of the frame, an index into the structure last attached.
    pub template_id: u8,
    /// Number of the frame.
    pub frame_number: u16,
    /// A template structure is attached.
    pub has_structure: bool,
}

impl DependencyDescriptor {
    /// Parses the value of a header extension.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        let first = read_u8(value, 0)?;
        let frame_number = u16::from_be_bytes(read_array(value, FRAME_NUMBER_AT)?);
        Ok(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template_id: first & 0x3F,
            frame_number,
            has_structure: value
                .get(MANDATORY)
                .is_some_and(|extended| extended & 0x80 != 0),
        })
    }

    /// A decoder that has seen nothing of the stream can begin with this packet.
    pub const fn begins_sequence(&self) -> bool {
        self.start_of_frame && self.has_structure
    }

    /// Overwrites the frame number in a value that was parsed; nothing else changes.
    pub fn rewrite(value: &mut [u8], frame_number: u16) {
        let number = value.get_mut(FRAME_NUMBER_AT..MANDATORY);
        if let Some(number) = number {
            number.copy_from_slice(&frame_number.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// First packet of a key frame: mandatory fields, the flag of a structure, and bytes in its place.
    const KEY_FRAME: [u8; 12] = [
        0x80, 0x00, 0x01, 0x80, 0x00, 0x1E, 0xA8, 0x51, 0x41, 0x01, 0x0C, 0x13,
    ];

    #[test]
    fn a_key_frame_carries_its_structure() {
        let descriptor = DependencyDescriptor::parse(&KEY_FRAME).unwrap();
        assert_eq!(
            descriptor,
            DependencyDescriptor {
                start_of_frame: true,
                end_of_frame: false,
                template_id: 0,
                frame_number: 1,
                has_structure: true,
            }
        );
        assert!(descriptor.begins_sequence());
    }

    #[test]
    fn later_packets_begin_nothing() {
        let table: [(&[u8], bool, bool, u8); 4] = [
            (&[0x43, 0xFF, 0xFE], false, true, 3),
            (&[0xFF, 0xFF, 0xFE], true, true, 63),
            (&[0x80, 0xFF, 0xFE, 0x40], true, false, 0),
            (&[0x00, 0xFF, 0xFE, 0x80], false, false, 0),
        ];
        for (value, start, end, template) in table {
            let descriptor = DependencyDescriptor::parse(value).unwrap();
            assert_eq!(descriptor.frame_number, 0xFFFE);
            assert_eq!(
                (descriptor.start_of_frame, descriptor.end_of_frame),
                (start, end)
            );
            assert_eq!(descriptor.template_id, template);
            assert!(!descriptor.begins_sequence(), "{value:?}");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        for len in 0..MANDATORY {
            let short = &KEY_FRAME[..len];
            assert_eq!(
                DependencyDescriptor::parse(short),
                Err(ParseError::TooShort),
                "{len}"
            );
            let mut unchanged = short.to_vec();
            DependencyDescriptor::rewrite(&mut unchanged, 7);
            assert_eq!(unchanged, short);
        }
    }

    proptest! {
        #[test]
        fn rewriting_changes_the_number_alone(
            value in prop::collection::vec(any::<u8>(), 0..40),
            frame_number: u16,
        ) {
            let Ok(before) = DependencyDescriptor::parse(&value) else { return Ok(()) };
            let mut written = value.clone();
            DependencyDescriptor::rewrite(&mut written, frame_number);
            let after = DependencyDescriptor::parse(&written).unwrap();
            prop_assert_eq!(after, DependencyDescriptor { frame_number, ..before });
            DependencyDescriptor::rewrite(&mut written, before.frame_number);
            prop_assert_eq!(written, value);
        }
    }
}
