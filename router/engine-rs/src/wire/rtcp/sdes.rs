//! Source description (RFC 3550 section 6.5): CNAME only, the one item that must be there.

use super::{SOURCE_DESCRIPTION, finish, start};
use crate::ids::Ssrc;
use crate::wire::bytes::{read_u8, read_u32};
use crate::wire::{ParseError, WriteError};

const END: u8 = 0;
const CNAME: u8 = 1;

/// A source description, checked as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Sdes<'a> {
    count: u8,
    body: &'a [u8],
}

impl<'a> Sdes<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let mut rest = body;
        for _ in 0..count {
            rest = read_chunk(rest)?.rest;
        }
        Ok(Self { count, body })
    }

    /// Iterates over the sources that carry a CNAME.
    pub fn cnames(&self) -> impl Iterator<Item = (Ssrc, &'a [u8])> + use<'a> {
        let mut rest = self.body;
        (0..self.count)
            .map_while(move |_| {
                let chunk = read_chunk(rest).ok()?;
                rest = chunk.rest;
                Some((chunk.ssrc, chunk.cname))
            })
            .filter_map(|(ssrc, cname)| Some((ssrc, cname?)))
    }
}

struct Chunk<'a> {
    ssrc: Ssrc,
    cname: Option<&'a [u8]>,
    rest: &'a [u8],
}

/// Reads an SSRC and its items, which end at a zero byte and then at the next word.
fn read_chunk(bytes: &[u8]) -> Result<Chunk<'_>, ParseError> {
    let ssrc = Ssrc(read_u32(bytes, 0)?);
    let mut cname = None;
    let mut at = 4;
    loop {
        let kind = read_u8(bytes, at)?;
        if kind == END {
            let end = (at + 1).next_multiple_of(4);
            let rest = bytes.get(end..).ok_or(ParseError::BadLength)?;
            return Ok(Chunk { ssrc, cname, rest });
        }
        let len = read_u8(bytes, at + 1)? as usize;
        let value = bytes
            .get(at + 2..at + 2 + len)
            .ok_or(ParseError::BadLength)?;
        if kind == CNAME {
            cname = cname.or(Some(value));
        }
        at += 2 + len;
    }
}

/// Writes a description that gives all sources the same CNAME, at most 255 bytes. Returns its length.
pub fn write_cname(buffer: &mut [u8], ssrcs: &[Ssrc], cname: &str) -> Result<usize, WriteError> {
    let len = u8::try_from(cname.len()).map_err(|_| WriteError::OutOfRange)?;
    let mut writer = start(buffer, ssrcs.len(), SOURCE_DESCRIPTION)?;
    for ssrc in ssrcs {
        writer.put_u32(ssrc.0)?;
        writer.put(&[CNAME, len])?;
        writer.put(cname.as_bytes())?;
        writer.put_u8(END)?;
        writer.pad_to_word()?;
    }
    finish(writer)
}
