//! Sender report (RFC 3550 section 6.4.1), and the NTP time it carries (section 4).

use super::report::{ReportBlock, ReportBlocks, write_blocks};
use super::{SENDER_REPORT, finish, start};
use crate::ids::Ssrc;
use crate::wire::bytes::{read_u32, read_u64};
use crate::wire::{ParseError, WriteError};

/// Seconds from 1900, the origin of NTP, to 1970.
const UNIX_EPOCH: u64 = 2_208_988_800;

/// A point in wall-clock time: 32.32 fixed point seconds since 1900.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// From microseconds since 1970; wraps in 2036 as NTP does.
    pub const fn from_unix_micros(micros: u64) -> Self {
        let seconds = (micros / 1_000_000).wrapping_add(UNIX_EPOCH);
        let fraction = ((micros % 1_000_000) << 32) / 1_000_000;
        Self(seconds << 32 | fraction)
    }

    /// The middle 32 bits, which LSR and LRR carry: 16.16 fixed point seconds.
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// What a sender says about its own stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// The stream.
    pub ssrc: Ssrc,
    /// Wall-clock time of the report.
    pub ntp: NtpTime,
    /// The same moment on the stream's media clock.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packet_count: u32,
    /// Payload bytes sent, without headers and padding.
    pub octet_count: u32,
}

/// A sender report.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport<'a> {
    /// About its own stream.
    pub info: SenderInfo,
    /// About the streams it receives.
    pub blocks: ReportBlocks<'a>,
}

impl<'a> SenderReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let info = SenderInfo {
            ssrc: Ssrc(read_u32(body, 0)?),
            ntp: NtpTime(read_u64(body, 4)?),
            rtp_timestamp: read_u32(body, 12)?,
            packet_count: read_u32(body, 16)?,
            octet_count: read_u32(body, 20)?,
        };
        Ok(Self {
            info,
            blocks: ReportBlocks::parse(count, &body[24..])?,
        })
    }
}

/// Writes a sender report of at most [`super::MAX_COUNT`] blocks. Returns its length.
pub fn write_sender_report(
    buffer: &mut [u8],
    info: &SenderInfo,
    blocks: &[ReportBlock],
) -> Result<usize, WriteError> {
    let mut writer = start(buffer, blocks.len(), SENDER_REPORT)?;
    writer.put_u32(info.ssrc.0)?;
    writer.put_u64(info.ntp.0)?;
    writer.put_u32(info.rtp_timestamp)?;
    writer.put_u32(info.packet_count)?;
    writer.put_u32(info.octet_count)?;
    write_blocks(&mut writer, blocks)?;
    finish(writer)
}
