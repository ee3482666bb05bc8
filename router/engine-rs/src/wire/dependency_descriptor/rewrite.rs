//! Telling the receiver which decode targets it is sent (`active_decode_targets_bitmask`, section A.8.2): the bits are
//! overwritten where they are, or put in, and what follows moves.

use super::{Extended, MANDATORY, Structure};
use crate::wire::ParseError;
use crate::wire::bits::BitReader;
use crate::wire::ext::MAX_BLOCK;
use arrayvec::ArrayVec;

/// Flag of the bitmask in the byte behind the mandatory ones.
const HAS_ACTIVE: u8 = 0x40;

/// The value with only these of its `targets` decode targets active, of those that are.
pub fn restrict(
    value: &[u8],
    targets: u8,
    active: u32,
) -> Result<ArrayVec<u8, MAX_BLOCK>, ParseError> {
    let mut bits = BitReader::new(value);
    let extended = Extended::read(value, &mut bits)?;
    if extended.structure {
        Structure::read(&mut bits)?;
    }
    let mut written = Bits::default();
    let head = if value.len() > MANDATORY {
        bits.position()
    } else {
        MANDATORY * 8
    };
    let before = if extended.active {
        bits.read_bits(targets.into())?
    } else {
        u32::MAX
    };
    let rest = bits.position();
    written.copy(value, 0..head)?;
    if value.len() == MANDATORY {
        written.push(0, 5)?;
    }
    written.push(active & before, targets.into())?;
    written.copy(value, rest..value.len() * 8)?;
    let mut bytes = written.bytes;
    if let Some(flags) = bytes.get_mut(MANDATORY) {
        *flags |= HAS_ACTIVE;
    }
    Ok(bytes)
}

/// A writer of single bits, padded with zeros to a byte.
#[derive(Default)]
struct Bits {
    bytes: ArrayVec<u8, MAX_BLOCK>,
    len: usize,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) -> Result<(), ParseError> {
        for bit in (0..count).rev() {
            if self.len.is_multiple_of(8) {
                self.bytes.try_push(0).map_err(|_| ParseError::BadLength)?;
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << (7 - self.len % 8);
            }
            self.len += 1;
        }
        Ok(())
    }

    fn copy(&mut self, from: &[u8], bits: std::ops::Range<usize>) -> Result<(), ParseError> {
        for at in bits {
            let byte = from.get(at / 8).ok_or(ParseError::TooShort)?;
            self.push(u32::from(*byte) >> (7 - at % 8), 1)?;
        }
        Ok(())
    }
}
