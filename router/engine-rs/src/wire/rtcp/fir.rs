//! Full intra request (RFC 5104 section 4.3.1). The media SSRC of its head is unused and zero; the entries name the
//! streams.

use super::{PAYLOAD_FEEDBACK, finish, parse_feedback, start_feedback};
use crate::ids::Ssrc;
use crate::wire::{ParseError, WriteError};

pub(super) const FORMAT: u8 = 4;

/// A request for one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirEntry {
    /// The stream.
    pub media: Ssrc,
    /// Grows by one per request; equal for a repetition.
    pub sequence: u8,
}

/// Someone needs a key frame, e.g. because it joined.
#[derive(Clone, Copy, Debug)]
pub struct Fir<'a> {
    /// Who asks.
    pub sender: Ssrc,
    items: &'a [[u8; 8]],
}

impl<'a> Fir<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let (sender, _, fci) = parse_feedback(body)?;
        let (items, rest) = fci.as_chunks::<8>();
        if items.is_empty() || !rest.is_empty() {
            return Err(ParseError::BadLength);
        }
        Ok(Self { sender, items })
    }

    /// Iterates over the requests.
    pub fn entries(&self) -> impl Iterator<Item = FirEntry> + use<'a> {
        self.items
            .iter()
            .map(|&[a, b, c, d, sequence, ..]| FirEntry {
                media: Ssrc(u32::from_be_bytes([a, b, c, d])),
                sequence,
            })
    }
}

/// Writes a full intra request. Returns its length.
pub fn write_fir(
    buffer: &mut [u8],
    sender: Ssrc,
    entries: &[FirEntry],
) -> Result<usize, WriteError> {
    if entries.is_empty() {
        return Err(WriteError::OutOfRange);
    }
    let mut writer = start_feedback(buffer, PAYLOAD_FEEDBACK, FORMAT, (sender, Ssrc(0)))?;
    for entry in entries {
        writer.put_u32(entry.media.0)?;
        writer.put(&[entry.sequence, 0, 0, 0])?;
    }
    finish(writer)
}
