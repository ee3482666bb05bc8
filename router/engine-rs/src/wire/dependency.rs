//! The first fields of the dependency descriptor (AV1 RTP specification, appendix A.8): frame boundaries and numbers.
//! Templates, decode targets and chains are left to the layer selection of a later issue.

use super::ParseError;
use super::bytes::{read_u8, read_u16};

/// The mandatory fields, and whether a structure follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyDescriptor {
    /// First packet of a frame.
    pub start_of_frame: bool,
    /// Last packet of a frame.
    pub end_of_frame: bool,
    /// Template that describes the frame's layer and dependencies.
    pub template_id: u8,
    /// Number of the frame; wraps.
    pub frame_number: u16,
    /// Carries a new template structure: only key frames do.
    pub has_structure: bool,
}

impl DependencyDescriptor {
    /// Parses the value of the header extension.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        let first = read_u8(value, 0)?;
        Ok(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template_id: first & 0x3F,
            frame_number: read_u16(value, 1)?,
            has_structure: value.get(3).is_some_and(|flags| flags & 0x80 != 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_mandatory_fields() {
        let short = DependencyDescriptor::parse(&[0xC5, 0x01, 0x02]).unwrap();
        assert!(short.start_of_frame && short.end_of_frame && !short.has_structure);
        assert_eq!((short.template_id, short.frame_number), (5, 0x0102));
        let long = DependencyDescriptor::parse(&[0x80, 0, 0, 0x80, 0]).unwrap();
        assert!(long.start_of_frame && !long.end_of_frame && long.has_structure);
        for len in 0..3 {
            assert_eq!(
                DependencyDescriptor::parse(&[0xC5, 1, 2][..len]),
                Err(ParseError::TooShort)
            );
        }
    }
}
