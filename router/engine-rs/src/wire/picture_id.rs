//! The picture id of VP8 (RFC 7741 section 4.2) and VP9 (RFC 9628 section 4.2): seven bits, or fifteen behind a marker
//! bit. Writing never changes the width, so a payload keeps its length.

use super::ParseError;
use super::bytes::{read_u8, read_u16};

/// A picture id and its width on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// The value, of 7 or 15 bits.
    pub value: u16,
    /// It has 15 bits.
    pub wide: bool,
}

impl PictureId {
    /// Parses the id at an offset of the payload.
    pub(super) fn parse(payload: &[u8], at: usize) -> Result<Self, ParseError> {
        let first = read_u8(payload, at)?;
        if first & 0x80 == 0 {
            return Ok(Self {
                value: u16::from(first),
                wide: false,
            });
        }
        Ok(Self {
            value: read_u16(payload, at)? & 0x7FFF,
            wide: true,
        })
    }

    /// Bits of the value.
    pub const fn bits(self) -> u32 {
        if self.wide { 15 } else { 7 }
    }

    /// Bytes on the wire.
    pub(super) const fn len(self) -> usize {
        if self.wide { 2 } else { 1 }
    }

    /// Overwrites the id at its offset, in its width: high bits of `value` that do not fit are cut off.
    pub(super) fn rewrite(self, payload: &mut [u8], at: usize, value: u16) {
        let [high, low] = value.to_be_bytes();
        match payload.get_mut(at..) {
            Some([first, second, ..]) if self.wide => (*first, *second) = (high | 0x80, low),
            Some([first, ..]) if !self.wide => *first = low & 0x7F,
            _ => {}
        }
    }
}
