//! Picture loss indication (RFC 4585 section 6.3.1).

use super::{PAYLOAD_FEEDBACK, finish, parse_feedback, start_feedback};
use crate::ids::Ssrc;
use crate::wire::{ParseError, WriteError};

pub(super) const FORMAT: u8 = 1;

/// A receiver has lost its picture and wants a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pli {
    /// Who asks.
    pub sender: Ssrc,
    /// For which stream.
    pub media: Ssrc,
}

impl Pli {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let (sender, media, _) = parse_feedback(body)?;
        Ok(Self { sender, media })
    }
}

/// Writes a picture loss indication. Returns its length.
pub fn write_pli(buffer: &mut [u8], sender: Ssrc, media: Ssrc) -> Result<usize, WriteError> {
    finish(start_feedback(
        buffer,
        PAYLOAD_FEEDBACK,
        FORMAT,
        (sender, media),
    )?)
}
