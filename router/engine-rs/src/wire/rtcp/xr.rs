//! Extended reports (RFC 3611): receiver reference time (section 4.4) and DLRR (section 4.5), by which a peer that
//! sends nothing measures its round trip. Other blocks are skipped.

use super::sr::NtpTime;
use super::{EXTENDED_REPORT, finish, start};
use crate::ids::Ssrc;
use crate::wire::bytes::{read_u8, read_u16, read_u32, read_u64};
use crate::wire::{ParseError, WriteError};

const RECEIVER_REFERENCE_TIME: u8 = 4;
const DLRR: u8 = 5;

/// Answer to a receiver reference time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dlrr {
    /// Whose reference time it was.
    pub ssrc: Ssrc,
    /// Middle 32 bits of that time.
    pub last_rr: u32,
    /// Time since it arrived, in 1/65536 s.
    pub delay_since_last_rr: u32,
}

/// A block that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XrBlock<'a> {
    /// The sender's clock.
    ReceiverReferenceTime(NtpTime),
    /// Answers, see [`XrBlock::dlrrs`].
    Dlrr(&'a [[u8; 12]]),
}

impl<'a> XrBlock<'a> {
    /// Iterates over the answers of a DLRR block; nothing for another block.
    pub fn dlrrs(&self) -> impl Iterator<Item = Dlrr> + use<'a> {
        let items: &'a [[u8; 12]] = match *self {
            Self::Dlrr(items) => items,
            Self::ReceiverReferenceTime(_) => &[],
        };
        items.iter().filter_map(|item| {
            Some(Dlrr {
                ssrc: Ssrc(read_u32(item, 0).ok()?),
                last_rr: read_u32(item, 4).ok()?,
                delay_since_last_rr: read_u32(item, 8).ok()?,
            })
        })
    }
}

/// An extended report, its blocks checked for length.
#[derive(Clone, Copy, Debug)]
pub struct ExtendedReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    blocks: &'a [u8],
}

impl<'a> ExtendedReport<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let ssrc = Ssrc(read_u32(body, 0)?);
        let blocks = &body[4..];
        let mut rest = blocks;
        while !rest.is_empty() {
            rest = read_block(rest)?.1;
        }
        Ok(Self { ssrc, blocks })
    }

    /// Iterates over the known blocks.
    pub fn blocks(&self) -> impl Iterator<Item = XrBlock<'a>> + use<'a> {
        let mut rest = self.blocks;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let (block, following) = read_block(rest).ok()?;
                rest = following;
                if block.is_some() {
                    return block;
                }
            }
            None
        })
    }
}

/// Reads one block, `None` when it is of another type, and what follows it.
fn read_block(bytes: &[u8]) -> Result<(Option<XrBlock<'_>>, &[u8]), ParseError> {
    let kind = read_u8(bytes, 0)?;
    let len = 4 + 4 * read_u16(bytes, 2)? as usize;
    let (block, rest) = bytes.split_at_checked(len).ok_or(ParseError::BadLength)?;
    let body = &block[4..];
    let known = match kind {
        RECEIVER_REFERENCE_TIME => {
            Some(XrBlock::ReceiverReferenceTime(NtpTime(read_u64(body, 0)?)))
        }
        DLRR => {
            let (items, odd) = body.as_chunks::<12>();
            if !odd.is_empty() {
                return Err(ParseError::BadLength);
            }
            Some(XrBlock::Dlrr(items))
        }
        _ => None,
    };
    Ok((known, rest))
}

/// Writes an extended report that answers receiver reference times. Returns its length.
pub fn write_dlrr(buffer: &mut [u8], ssrc: Ssrc, answers: &[Dlrr]) -> Result<usize, WriteError> {
    let words = u16::try_from(3 * answers.len()).map_err(|_| WriteError::OutOfRange)?;
    let mut writer = start(buffer, 0, EXTENDED_REPORT)?;
    writer.put_u32(ssrc.0)?;
    writer.put(&[DLRR, 0])?;
    writer.put_u16(words)?;
    for answer in answers {
        writer.put_u32(answer.ssrc.0)?;
        writer.put_u32(answer.last_rr)?;
        writer.put_u32(answer.delay_since_last_rr)?;
    }
    finish(writer)
}

/// Writes an extended report with our clock. Returns its length.
pub fn write_receiver_reference_time(
    buffer: &mut [u8],
    ssrc: Ssrc,
    now: NtpTime,
) -> Result<usize, WriteError> {
    let mut writer = start(buffer, 0, EXTENDED_REPORT)?;
    writer.put_u32(ssrc.0)?;
    writer.put(&[RECEIVER_REFERENCE_TIME, 0, 0, 2])?;
    writer.put_u64(now.0)?;
    finish(writer)
}
