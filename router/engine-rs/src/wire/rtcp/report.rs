//! Report blocks and the receiver report (RFC 3550 section 6.4.2). Profile-specific extensions behind the blocks are
//! allowed and not read.

use super::{RECEIVER_REPORT, finish, start};
use crate::ids::Ssrc;
use crate::wire::bytes::{Writer, read_u8, read_u24, read_u32};
use crate::wire::{ParseError, WriteError};

const BLOCK_LEN: usize = 24;

/// What a receiver says about one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: Ssrc,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Loss since the beginning; negative when duplicates outnumber it. Written clamped to 24 bits.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with the count of its cycles in the upper half.
    pub highest_seq: u32,
    /// Interarrival jitter, in timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report; 0 for none.
    pub last_sr: u32,
    /// Time since then, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        Ok(Self {
            ssrc: Ssrc(read_u32(bytes, 0)?),
            fraction_lost: read_u8(bytes, 4)?,
            cumulative_lost: (read_u24(bytes, 5)? << 8) as i32 >> 8, // sign of 24 bits
            highest_seq: read_u32(bytes, 8)?,
            jitter: read_u32(bytes, 12)?,
            last_sr: read_u32(bytes, 16)?,
            delay_since_last_sr: read_u32(bytes, 20)?,
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), WriteError> {
        writer.put_u32(self.ssrc.0)?;
        writer.put_u8(self.fraction_lost)?;
        writer.put_u24(self.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF) as u32)?;
        writer.put_u32(self.highest_seq)?;
        writer.put_u32(self.jitter)?;
        writer.put_u32(self.last_sr)?;
        writer.put_u32(self.delay_since_last_sr)
    }
}

/// The blocks of a report.
#[derive(Clone, Copy, Debug)]
pub struct ReportBlocks<'a>(&'a [u8]);

impl<'a> ReportBlocks<'a> {
    pub(super) fn parse(count: u8, bytes: &'a [u8]) -> Result<Self, ParseError> {
        bytes
            .get(..count as usize * BLOCK_LEN)
            .map(Self)
            .ok_or(ParseError::BadLength)
    }

    /// Iterates over the blocks.
    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.0
            .chunks_exact(BLOCK_LEN)
            .filter_map(|bytes| ReportBlock::parse(bytes).ok())
    }

    /// Number of blocks.
    pub const fn len(&self) -> usize {
        self.0.len() / BLOCK_LEN
    }

    /// No blocks.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub(super) fn write_blocks(writer: &mut Writer, blocks: &[ReportBlock]) -> Result<(), WriteError> {
    blocks.iter().try_for_each(|block| block.write(writer))
}

/// A receiver report.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    /// About which streams.
    pub blocks: ReportBlocks<'a>,
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let ssrc = Ssrc(read_u32(body, 0)?);
        Ok(Self {
            ssrc,
            blocks: ReportBlocks::parse(count, &body[4..])?,
        })
    }
}

/// Writes a receiver report of at most [`super::MAX_COUNT`] blocks; none is allowed. Returns its length.
pub fn write_receiver_report(
    buffer: &mut [u8],
    ssrc: Ssrc,
    blocks: &[ReportBlock],
) -> Result<usize, WriteError> {
    let mut writer = start(buffer, blocks.len(), RECEIVER_REPORT)?;
    writer.put_u32(ssrc.0)?;
    write_blocks(&mut writer, blocks)?;
    finish(writer)
}
