//! Congestion control feedback of RTP (RFC 8888 section 3.1): per stream, which packets arrived, and when.
//!
//! A message holds a block per stream, with 16 bits for each of its consecutive RTP sequence numbers, and ends with the
//! time of the report, which the arrivals are offsets from. Parsing checks the framing of all blocks first, so that the
//! walk cannot fail. The marks of ECN (RFC 3168) are read; nothing here acts on them.

use super::{TRANSPORT_FEEDBACK, finish, start};
use crate::ids::Ssrc;
use crate::wire::bytes::{read_u16, read_u32};
use crate::wire::{ParseError, WriteError};

pub(super) const FORMAT: u8 = 11;

/// Most packets that one block may cover. Section 3.1 allows 16,384, which is half a minute of a busy stream.
pub const MAX_REPORTS: usize = 8192;

const BLOCK_HEAD: usize = 8;
const RECEIVED: u16 = 0x8000;
const OFFSET: u16 = 0x1FFF;
/// Arrived longer before the report than the field can say. The value above it: after the report, or unknown when.
const OFFSET_TOO_OLD: u16 = 0x1FFE;

/// Feedback on how packets arrived.
#[derive(Clone, Copy, Debug)]
pub struct Ccfb<'a> {
    /// Who reports.
    pub sender: Ssrc,
    /// When: the middle 32 bits of an NTP time of the reporter, in 1/65,536 s; wraps.
    pub report_timestamp: u32,
    blocks: &'a [u8],
    packets: u32,
}

/// What a message says of one stream.
#[derive(Clone, Copy, Debug)]
pub struct CcfbBlock<'a> {
    /// The stream.
    pub ssrc: Ssrc,
    /// First RTP sequence number covered.
    pub begin_seq: u16,
    metrics: &'a [[u8; 2]],
}

/// What a message says of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CcfbStatus {
    /// The packet's RTP sequence number.
    pub seq: u16,
    /// It arrived.
    pub received: bool,
    /// The two bits of ECN; zero when it did not arrive.
    pub ecn: u8,
    /// How long before the report it arrived, in 1/1,024 s; `None` when unknown, too long ago, or not at all.
    pub offset: Option<u16>,
}

impl<'a> Ccfb<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let sender = Ssrc(read_u32(body, 0)?);
        let end = body.len().checked_sub(4).ok_or(ParseError::TooShort)?;
        let report_timestamp = read_u32(body, end)?;
        let blocks = body.get(4..end).ok_or(ParseError::TooShort)?;
        let mut packets = 0;
        let mut rest = blocks;
        while !rest.is_empty() {
            let (block, behind) = split_block(rest)?;
            packets += block.metrics.len() as u32;
            rest = behind;
        }
        Ok(Self {
            sender,
            report_timestamp,
            blocks,
            packets,
        })
    }

    /// How many packets all blocks cover together.
    pub const fn packet_count(&self) -> usize {
        self.packets as usize
    }

    /// Iterates over the blocks; a stream may have several.
    pub fn blocks(&self) -> impl Iterator<Item = CcfbBlock<'a>> + use<'a> {
        let mut rest = self.blocks;
        std::iter::from_fn(move || {
            let (block, behind) = split_block(rest).ok()?;
            rest = behind;
            Some(block)
        })
    }
}

fn split_block(bytes: &[u8]) -> Result<(CcfbBlock<'_>, &[u8]), ParseError> {
    let count = read_u16(bytes, 6)? as usize;
    if count > MAX_REPORTS {
        return Err(ParseError::BadValue);
    }
    let end = BLOCK_HEAD + (2 * count).next_multiple_of(4);
    let (block, behind) = bytes.split_at_checked(end).ok_or(ParseError::BadLength)?;
    let (metrics, _) = block[BLOCK_HEAD..BLOCK_HEAD + 2 * count].as_chunks::<2>();
    let block = CcfbBlock {
        ssrc: Ssrc(read_u32(block, 0)?),
        begin_seq: read_u16(block, 4)?,
        metrics,
    };
    Ok((block, behind))
}

impl<'a> CcfbBlock<'a> {
    /// Iterates over every covered sequence number.
    pub fn statuses(&self) -> impl Iterator<Item = CcfbStatus> + use<'a> {
        let begin = self.begin_seq;
        let numbered = self.metrics.iter().enumerate();
        numbered
            .map(move |(index, metric)| CcfbStatus::of(begin.wrapping_add(index as u16), *metric))
    }

    /// What it says of one sequence number, if it covers it.
    pub fn status_of(&self, seq: u16) -> Option<CcfbStatus> {
        let metric = self
            .metrics
            .get(seq.wrapping_sub(self.begin_seq) as usize)?;
        Some(CcfbStatus::of(seq, *metric))
    }
}

impl CcfbStatus {
    fn of(seq: u16, metric: [u8; 2]) -> Self {
        let metric = u16::from_be_bytes(metric);
        let received = metric & RECEIVED != 0;
        let offset = Some(metric & OFFSET).filter(|offset| received && *offset < OFFSET_TOO_OLD);
        Self {
            seq,
            received,
            ecn: if received {
                (metric >> 13 & 3) as u8
            } else {
                0
            },
            offset,
        }
    }
}

/// What is to be written about one stream: an offset (see [`CcfbStatus::offset`]) for each packet that arrived, from
/// `begin_seq` on. Offsets that the field cannot hold become "too old".
#[derive(Clone, Copy, Debug)]
pub struct CcfbReport<'a> {
    /// The stream.
    pub ssrc: Ssrc,
    /// RTP sequence number of the first packet.
    pub begin_seq: u16,
    /// What became of the packets.
    pub arrivals: &'a [Option<u16>],
}

/// Writes feedback on some streams. Returns its length.
pub fn write_ccfb(
    buffer: &mut [u8],
    sender: Ssrc,
    report_timestamp: u32,
    reports: &[CcfbReport],
) -> Result<usize, WriteError> {
    let mut writer = start(buffer, FORMAT as usize, TRANSPORT_FEEDBACK)?;
    writer.put_u32(sender.0)?;
    for report in reports {
        if report.arrivals.len() > MAX_REPORTS {
            return Err(WriteError::OutOfRange);
        }
        writer.put_u32(report.ssrc.0)?;
        writer.put_u16(report.begin_seq)?;
        writer.put_u16(report.arrivals.len() as u16)?;
        for arrival in report.arrivals {
            let metric = arrival.map_or(0, |offset| RECEIVED | offset.min(OFFSET_TOO_OLD));
            writer.put_u16(metric)?;
        }
        writer.pad_to_word()?;
    }
    writer.put_u32(report_timestamp)?;
    finish(writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtcp::{RtcpMessage, messages};
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Result<Ccfb<'_>, ParseError> {
        match messages(bytes).next().expect("a message")? {
            RtcpMessage::Ccfb(message) => Ok(message),
            other => panic!("{other:?}"),
        }
    }

    /// By hand from the figure of section 3.1: two streams, the first of three packets and so padded.
    const TWO_STREAMS: [u8; 36] = [
        0x8B, 205, 0, 8, 0, 0, 0, 9, // head, sender
        0, 0, 0, 1, 0xFF, 0xFF, 0, 3, // SSRC 1 from 65,535, three packets
        0x80, 0x10, 0, 0, 0xE0, 0x00, 0, 0, // 16/1024 s before; lost; with ECN-CE; padding
        0, 0, 0, 2, 0, 7, 0, 0, // SSRC 2, none
        1, 2, 3, 4,
    ];

    #[test]
    fn reads_streams_arrivals_and_marks() {
        let message = parse(&TWO_STREAMS).unwrap();
        assert_eq!(
            (message.sender, message.report_timestamp),
            (Ssrc(9), 0x0102_0304)
        );
        assert_eq!(message.packet_count(), 3);
        let blocks: Vec<_> = message.blocks().collect();
        assert_eq!((blocks[0].ssrc, blocks[1].ssrc), (Ssrc(1), Ssrc(2)));
        let statuses: Vec<_> = blocks[0].statuses().collect();
        let status = |seq, received, ecn, offset| CcfbStatus {
            seq,
            received,
            ecn,
            offset,
        };
        let expected = [
            status(65_535, true, 0, Some(16)),
            status(0, false, 0, None),
            status(1, true, 3, Some(0)),
        ];
        assert_eq!(statuses, expected);
        assert_eq!(blocks[1].statuses().count(), 0);
    }

    #[test]
    fn arrival_at_an_unknown_time_is_an_arrival() {
        for offset in [OFFSET_TOO_OLD, OFFSET_TOO_OLD + 1] {
            let mut bytes = TWO_STREAMS;
            bytes[16..18].copy_from_slice(&(RECEIVED | offset).to_be_bytes());
            let block = parse(&bytes).unwrap().blocks().next().unwrap();
            let status = block.statuses().next().unwrap();
            assert_eq!((status.received, status.offset), (true, None));
        }
    }

    #[test]
    fn count_beyond_the_message_or_the_cap_is_refused() {
        let mut bytes = TWO_STREAMS;
        bytes[15] = 200;
        assert_eq!(parse(&bytes).unwrap_err(), ParseError::BadLength);
        bytes[14] = 0xFF;
        assert_eq!(parse(&bytes).unwrap_err(), ParseError::BadValue);
    }

    #[test]
    fn every_cut_is_an_error_or_whole_blocks() {
        for words in 0..8_u8 {
            let mut bytes = TWO_STREAMS[..4 + 4 * words as usize].to_vec();
            bytes[3] = words;
            if let Ok(message) = parse(&bytes) {
                let total: usize = message.blocks().map(|block| block.statuses().count()).sum();
                assert_eq!(total, message.packet_count());
            }
        }
    }

    #[test]
    fn full_buffer_is_an_error() {
        let reports = [CcfbReport {
            ssrc: Ssrc(1),
            begin_seq: 0,
            arrivals: &[Some(1); 5],
        }];
        let mut buffer = [0; 40];
        for room in 0..36 {
            let result = write_ccfb(&mut buffer[..room], Ssrc(1), 2, &reports);
            assert_eq!(
                result,
                if room < 32 {
                    Err(WriteError::NoRoom)
                } else {
                    Ok(32)
                },
                "{room}"
            );
        }
    }

    proptest! {
        #[test]
        fn write_then_read_is_identity(
            time: u32,
            streams in prop::collection::vec((any::<u32>(), any::<u16>(), prop::collection::vec(prop::option::of(0..OFFSET_TOO_OLD), 0..60)), 0..6)
        ) {
            let reports: Vec<_> = streams
                .iter()
                .map(|(ssrc, begin_seq, arrivals)| CcfbReport { ssrc: Ssrc(*ssrc), begin_seq: *begin_seq, arrivals })
                .collect();
            let mut buffer = [0; 1400];
            let len = write_ccfb(&mut buffer, Ssrc(7), time, &reports).unwrap();
            let message = parse(&buffer[..len]).unwrap();
            prop_assert_eq!(message.report_timestamp, time);
            let read: Vec<_> = message.blocks().collect();
            prop_assert_eq!(read.len(), streams.len());
            for (block, (ssrc, begin, arrivals)) in read.iter().zip(&streams) {
                prop_assert_eq!((block.ssrc, block.begin_seq), (Ssrc(*ssrc), *begin));
                let offsets: Vec<_> = block.statuses().map(|status| status.offset).collect();
                prop_assert_eq!(&offsets, arrivals);
                prop_assert!(block.statuses().all(|status| status.received == status.offset.is_some()));
                prop_assert!(block.statuses().all(|status| block.status_of(status.seq) == Some(status)));
            }
        }

        #[test]
        fn no_input_panics(mut bytes in prop::collection::vec(any::<u8>(), 4..200)) {
            bytes.truncate(bytes.len() / 4 * 4);
            let words = bytes.len() / 4 - 1;
            bytes[..4].copy_from_slice(&[0x80 | FORMAT, TRANSPORT_FEEDBACK, 0, words as u8]);
            if let Ok(message) = parse(&bytes) {
                let total: usize = message.blocks().map(|block| block.statuses().count()).sum();
                prop_assert_eq!(total, message.packet_count());
            }
        }
    }
}
