//! RTCP generic NACK (RFC 4585 section 6.2.1). Retransmission format is RFC 4588, see `rtx`.

use super::{TRANSPORT_FEEDBACK, finish, parse_feedback, start_feedback};
use crate::ids::Ssrc;
use crate::wire::{ParseError, WriteError};

pub(super) const FORMAT: u8 = 1;

/// Packets that a receiver misses.
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    /// Who misses them.
    pub sender: Ssrc,
    /// Of which stream.
    pub media: Ssrc,
    items: &'a [[u8; 4]],
}

impl<'a> Nack<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let (sender, media, fci) = parse_feedback(body)?;
        let (items, rest) = fci.as_chunks::<4>();
        if items.is_empty() || !rest.is_empty() {
            return Err(ParseError::BadLength);
        }
        Ok(Self {
            sender,
            media,
            items,
        })
    }

    /// Iterates over the sequence numbers: each PID, then the set bits of its BLP. May repeat; at most 17 per four
    /// bytes.
    pub fn lost(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.items.iter().flat_map(|&[p0, p1, b0, b1]| {
            let pid = u16::from_be_bytes([p0, p1]);
            let blp = u16::from_be_bytes([b0, b1]);
            let following = (0..16_u16).filter(move |bit| blp >> bit & 1 == 1);
            std::iter::once(pid).chain(following.map(move |bit| pid.wrapping_add(bit + 1)))
        })
    }
}

/// Writes a NACK for `lost`, in ascending order modulo 2^16. Returns its length.
pub fn write_nack(
    buffer: &mut [u8],
    sender: Ssrc,
    media: Ssrc,
    lost: &[u16],
) -> Result<usize, WriteError> {
    let mut writer = start_feedback(buffer, TRANSPORT_FEEDBACK, FORMAT, (sender, media))?;
    let mut rest = lost;
    let [mut pid, ..] = *rest else {
        return Err(WriteError::OutOfRange);
    };
    let mut blp = 0_u16;
    while let [seq, following @ ..] = rest {
        rest = following;
        match seq.wrapping_sub(pid) {
            0 => {}
            ahead @ 1..=16 => blp |= 1 << (ahead - 1),
            _ => {
                writer.put_u16(pid)?;
                writer.put_u16(blp)?;
                (pid, blp) = (*seq, 0);
            }
        }
    }
    writer.put_u16(pid)?;
    writer.put_u16(blp)?;
    finish(writer)
}
