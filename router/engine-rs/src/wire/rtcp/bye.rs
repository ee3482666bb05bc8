//! Goodbye (RFC 3550 section 6.6). The reason for leaving is neither read nor written.

use super::{GOODBYE, finish, start};
use crate::ids::Ssrc;
use crate::wire::{ParseError, WriteError};

/// Sources that leave.
#[derive(Clone, Copy, Debug)]
pub struct Bye<'a>(&'a [u8]);

impl<'a> Bye<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        body.get(..4 * count as usize)
            .map(Self)
            .ok_or(ParseError::BadLength)
    }

    /// Iterates over the sources.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        let (words, _) = self.0.as_chunks::<4>();
        words.iter().map(|word| Ssrc(u32::from_be_bytes(*word)))
    }
}

/// Writes a goodbye of at most [`super::MAX_COUNT`] sources. Returns its length.
pub fn write_bye(buffer: &mut [u8], ssrcs: &[Ssrc]) -> Result<usize, WriteError> {
    let mut writer = start(buffer, ssrcs.len(), GOODBYE)?;
    for ssrc in ssrcs {
        writer.put_u32(ssrc.0)?;
    }
    finish(writer)
}
