//! Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03 section 2.2).

use super::{PAYLOAD_FEEDBACK, finish, parse_feedback, start_feedback};
use crate::ids::Ssrc;
use crate::wire::bytes::{read_u8, read_u24};
use crate::wire::{ParseError, WriteError};

pub(super) const FORMAT: u8 = 15;

const IDENTIFIER: &[u8] = b"REMB";
const MANTISSA_BITS: u32 = 18;

/// The most that the sender may send on these streams together.
#[derive(Clone, Copy, Debug)]
pub struct Remb<'a> {
    /// Who estimates.
    pub sender: Ssrc,
    /// Bits per second; saturates.
    pub bitrate_bps: u64,
    items: &'a [[u8; 4]],
}

pub(super) fn is_remb(body: &[u8]) -> bool {
    body.get(8..12) == Some(IDENTIFIER)
}

impl<'a> Remb<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let (sender, _, fci) = parse_feedback(body)?;
        let count = read_u8(fci, 4)? as usize;
        let exponent_and_mantissa = read_u24(fci, 5)?;
        let (items, rest) = fci[8..].as_chunks::<4>();
        // Threat R7: a count that promises more than there is.
        if count != items.len() || !rest.is_empty() {
            return Err(ParseError::BadLength);
        }
        let mantissa = u128::from(exponent_and_mantissa & ((1 << MANTISSA_BITS) - 1));
        let bitrate = mantissa << (exponent_and_mantissa >> MANTISSA_BITS);
        Ok(Self {
            sender,
            bitrate_bps: u64::try_from(bitrate).unwrap_or(u64::MAX),
            items,
        })
    }

    /// Iterates over the streams.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        self.items
            .iter()
            .map(|word| Ssrc(u32::from_be_bytes(*word)))
    }
}

/// Writes an estimate, rounded down to 18 significant bits, for at most 255 streams. Returns its length.
pub fn write_remb(
    buffer: &mut [u8],
    sender: Ssrc,
    bitrate_bps: u64,
    ssrcs: &[Ssrc],
) -> Result<usize, WriteError> {
    let count = u8::try_from(ssrcs.len()).map_err(|_| WriteError::OutOfRange)?;
    let exponent = (u64::BITS - bitrate_bps.leading_zeros()).saturating_sub(MANTISSA_BITS);
    let mantissa = (bitrate_bps >> exponent) as u32;
    let mut writer = start_feedback(buffer, PAYLOAD_FEEDBACK, FORMAT, (sender, Ssrc(0)))?;
    writer.put(IDENTIFIER)?;
    writer.put_u8(count)?;
    writer.put_u24(exponent << MANTISSA_BITS | mantissa)?;
    for ssrc in ssrcs {
        writer.put_u32(ssrc.0)?;
    }
    finish(writer)
}
