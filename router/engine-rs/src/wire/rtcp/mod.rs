//! RTCP: compound packets (RFC 3550 section 6.1), also of reduced size (RFC 5506), one message per file.
//!
//! [`messages`] walks a compound packet. A message that is malformed inside is an error of its own and does not hide
//! its neighbours; wrong framing ends the walk. Writers write one message; [`CompoundWriter`] strings them together.
//! Left out: APP, the rarer feedback of RFC 5104, and XR blocks but the two that measure round trips.

pub mod bye;
pub mod ccfb;
pub mod fir;
pub mod nack;
pub mod pli;
pub mod remb;
pub mod report;
pub mod sdes;
pub mod sr;
pub mod transport_cc;
pub mod xr;

pub use bye::{Bye, write_bye};
pub use ccfb::{Ccfb, CcfbBlock, CcfbReport, CcfbStatus, write_ccfb};
pub use fir::{Fir, FirEntry, write_fir};
pub use nack::{Nack, write_nack};
pub use pli::{Pli, write_pli};
pub use remb::{Remb, write_remb};
pub use report::{ReceiverReport, ReportBlock, ReportBlocks, write_receiver_report};
pub use sdes::{Sdes, write_cname};
pub use sr::{NtpTime, SenderInfo, SenderReport, write_sender_report};
pub use transport_cc::{TransportCc, TransportCcHead, write_transport_cc};
pub use xr::{Dlrr, ExtendedReport, XrBlock, write_dlrr, write_receiver_reference_time};

use super::bytes::{Writer, read_u8, read_u16, read_u32};
use super::{ParseError, WriteError};
use crate::ids::Ssrc;

/// Most items that the five-bit count of a message's first byte can announce.
pub const MAX_COUNT: usize = 31;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const EXTENDED_REPORT: u8 = 207;

/// One message of a compound packet.
#[derive(Clone, Copy, Debug)]
pub enum RtcpMessage<'a> {
    /// Sender report.
    SenderReport(SenderReport<'a>),
    /// Receiver report.
    ReceiverReport(ReceiverReport<'a>),
    /// Source description.
    Sdes(Sdes<'a>),
    /// Goodbye.
    Bye(Bye<'a>),
    /// Generic NACK.
    Nack(Nack<'a>),
    /// Picture loss indication.
    Pli(Pli),
    /// Full intra request.
    Fir(Fir<'a>),
    /// Transport-wide congestion control feedback.
    TransportCc(TransportCc<'a>),
    /// Congestion control feedback.
    Ccfb(Ccfb<'a>),
    /// Receiver estimated maximum bitrate.
    Remb(Remb<'a>),
    /// Extended report.
    ExtendedReport(ExtendedReport<'a>),
    /// Well framed, of a type that we do not read.
    Unknown {
        /// Packet type.
        packet_type: u8,
        /// Count or feedback format.
        count: u8,
    },
}

/// Reads the SSRC of the sender from the first message, which SRTCP leaves in the clear (RFC 3711 section 3.4).
pub fn peek_ssrc(datagram: &[u8]) -> Result<Ssrc, ParseError> {
    if read_u8(datagram, 0)? >> 6 != 2 {
        return Err(ParseError::BadVersion);
    }
    read_u32(datagram, 4).map(Ssrc)
}

/// Iterates over the messages of a decrypted compound packet. The lengths must add up to the datagram exactly
/// (RFC 3550 section A.2); any message may come first (RFC 5506).
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

/// See [`messages`].
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

/// A framed message: first byte's count, packet type, and the body behind the four bytes of head, without padding.
struct Frame<'a> {
    count: u8,
    packet_type: u8,
    body: &'a [u8],
}

impl<'a> Messages<'a> {
    fn read_frame(&mut self) -> Result<Frame<'a>, ParseError> {
        let first = read_u8(self.rest, 0)?;
        if first >> 6 != 2 {
            return Err(ParseError::BadVersion);
        }
        let packet_type = read_u8(self.rest, 1)?;
        let len = 4 + 4 * read_u16(self.rest, 2)? as usize;
        let (message, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(ParseError::BadLength)?;
        let mut body = &message[4..];
        if first & 0x20 != 0 {
            // Only the last message is padded, and the padding keeps it a multiple of four (section 6.4.1). But libwebrtc
            // fills up its transport-wide feedback with one to three bytes and says so by the same bit.
            let padding = body.last().copied().unwrap_or(0) as usize;
            let fills_up = packet_type == TRANSPORT_FEEDBACK && padding < 4;
            if padding == 0
                || padding > body.len()
                || !(fills_up || padding.is_multiple_of(4) && rest.is_empty())
            {
                return Err(ParseError::BadPadding);
            }
            body = &body[..body.len() - padding];
        }
        self.rest = rest;
        Ok(Frame {
            count: first & 0x1F,
            packet_type,
            body,
        })
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<RtcpMessage<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match self.read_frame() {
            Ok(frame) => Some(parse_message(&frame)),
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

fn parse_message<'a>(frame: &Frame<'a>) -> Result<RtcpMessage<'a>, ParseError> {
    let &Frame {
        count,
        packet_type,
        body,
    } = frame;
    Ok(match (packet_type, count) {
        (SENDER_REPORT, _) => RtcpMessage::SenderReport(SenderReport::parse(count, body)?),
        (RECEIVER_REPORT, _) => RtcpMessage::ReceiverReport(ReceiverReport::parse(count, body)?),
        (SOURCE_DESCRIPTION, _) => RtcpMessage::Sdes(Sdes::parse(count, body)?),
        (GOODBYE, _) => RtcpMessage::Bye(Bye::parse(count, body)?),
        (TRANSPORT_FEEDBACK, nack::FORMAT) => RtcpMessage::Nack(Nack::parse(body)?),
        (TRANSPORT_FEEDBACK, transport_cc::FORMAT) => {
            RtcpMessage::TransportCc(TransportCc::parse(body)?)
        }
        (TRANSPORT_FEEDBACK, ccfb::FORMAT) => RtcpMessage::Ccfb(Ccfb::parse(body)?),
        (PAYLOAD_FEEDBACK, pli::FORMAT) => RtcpMessage::Pli(Pli::parse(body)?),
        (PAYLOAD_FEEDBACK, fir::FORMAT) => RtcpMessage::Fir(Fir::parse(body)?),
        // Format 15 is shared by all application layer feedback; REMB names itself.
        (PAYLOAD_FEEDBACK, remb::FORMAT) if remb::is_remb(body) => {
            RtcpMessage::Remb(Remb::parse(body)?)
        }
        (EXTENDED_REPORT, _) => RtcpMessage::ExtendedReport(ExtendedReport::parse(body)?),
        _ => RtcpMessage::Unknown { packet_type, count },
    })
}

/// The common start of feedback (RFC 4585 section 6.1): who sends it, about which stream, and the rest.
fn parse_feedback(body: &[u8]) -> Result<(Ssrc, Ssrc, &[u8]), ParseError> {
    let sender = Ssrc(read_u32(body, 0)?);
    let media = Ssrc(read_u32(body, 4)?);
    Ok((sender, media, &body[8..]))
}

/// Starts a message; [`finish`] sets its length.
fn start(buffer: &mut [u8], count: usize, packet_type: u8) -> Result<Writer<'_>, WriteError> {
    if count > MAX_COUNT {
        return Err(WriteError::OutOfRange);
    }
    let mut writer = Writer::new(buffer);
    writer.put(&[0x80 | count as u8, packet_type, 0, 0])?;
    Ok(writer)
}

fn start_feedback(
    buffer: &mut [u8],
    packet_type: u8,
    format: u8,
    ssrcs: (Ssrc, Ssrc),
) -> Result<Writer<'_>, WriteError> {
    let mut writer = start(buffer, format as usize, packet_type)?;
    writer.put_u32(ssrcs.0.0)?;
    writer.put_u32(ssrcs.1.0)?;
    Ok(writer)
}

/// Sets the length in words, without the first; returns it in bytes.
fn finish(mut writer: Writer) -> Result<usize, WriteError> {
    debug_assert!(writer.len().is_multiple_of(4));
    let words = u16::try_from(writer.len() / 4 - 1).map_err(|_| WriteError::OutOfRange)?;
    writer.patch_u16(2, words)?;
    Ok(writer.len())
}

/// Strings messages together into one compound packet.
#[derive(Debug)]
pub struct CompoundWriter<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> CompoundWriter<'a> {
    /// Starts at the buffer's first byte.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Appends what `write` writes; when that fails, for example for want of room, nothing is appended.
    pub fn push<F>(&mut self, write: F) -> Result<(), WriteError>
    where
        F: FnOnce(&mut [u8]) -> Result<usize, WriteError>,
    {
        let written = write(&mut self.buffer[self.len..])?;
        self.len = (self.len + written).min(self.buffer.len());
        Ok(())
    }

    /// Bytes written so far.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Nothing written yet.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes left.
    pub fn room(&self) -> usize {
        self.buffer.len() - self.len
    }
}

#[cfg(test)]
mod tests;
