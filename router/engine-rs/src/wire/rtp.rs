//! The RTP header (RFC 3550 section 5.1): parsed once into a plain value of offsets, and written anew for a receiver.
//!
//! Header extensions are located here and read in [`super::ext`]. [`RtpHeader::parse`] wants the packet decrypted,
//! because the padding count is encrypted; [`peek_ssrc`] reads what may be trusted to be readable before that.

use super::bytes::{Span, Writer, read_u8, read_u16, read_u32};
use super::ext::{Element, write_elements};
use super::{ParseError, WriteError};
use crate::ids::{PayloadType, Ssrc};

/// Size of the header without CSRCs and extensions.
pub const FIXED_HEADER: usize = 12;

/// Most contributing sources a packet can name: the count has four bits.
pub const MAX_CSRCS: usize = 15;

/// The most that [`write_header`] writes: fixed header, CSRCs, extension block.
pub const MAX_HEADER: usize = FIXED_HEADER + 4 * MAX_CSRCS + 4 + super::ext::MAX_BLOCK;

/// Reads the SSRC of a packet that is not decrypted yet.
pub fn peek_ssrc(packet: &[u8]) -> Result<Ssrc, ParseError> {
    if read_u8(packet, 0)? >> 6 != 2 {
        return Err(ParseError::BadVersion);
    }
    read_u32(packet, 8).map(Ssrc)
}

/// Length of the header with CSRCs and extensions, which SRTP leaves readable (RFC 3711 section 3.1); of a packet that
/// lies about it, the fixed part.
pub fn peek_header_len(packet: &[u8]) -> usize {
    let fixed = FIXED_HEADER.min(packet.len());
    let first = packet.first().copied().unwrap_or(0);
    let csrcs = FIXED_HEADER + 4 * usize::from(first & 0x0F);
    let extension = match first & 0x10 {
        0 => Ok(csrcs),
        _ => parse_extension(packet, csrcs).map(|block| block.span.end as usize),
    };
    let whole = extension.ok().filter(|len| *len <= packet.len());
    whole.unwrap_or(fixed)
}

/// The extension block: its profile and its elements, without the four bytes that announce it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionBlock {
    /// "Defined by profile": which form the elements have (RFC 8285).
    pub profile: u16,
    /// The elements.
    pub span: Span,
}

/// A parsed header. The packet is `header, payload, padding`, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// Marker bit.
    pub marker: bool,
    /// Payload type.
    pub payload_type: PayloadType,
    /// Sequence number.
    pub seq: u16,
    /// Media timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: Ssrc,
    /// Extension block, when there is one.
    pub extension: Option<ExtensionBlock>,
    /// Payload without padding. Empty for packets that are only padding (bandwidth probes).
    pub payload: Span,
    /// Padding bytes after the payload, 0 without padding.
    pub padding: u8,
    csrcs: [u32; MAX_CSRCS],
    csrc_count: u8,
}

impl RtpHeader {
    /// Parses a decrypted packet.
    pub fn parse(packet: &[u8]) -> Result<Self, ParseError> {
        let first = read_u8(packet, 0)?;
        if packet.len() < FIXED_HEADER {
            return Err(ParseError::TooShort);
        }
        if first >> 6 != 2 {
            return Err(ParseError::BadVersion);
        }
        let csrc_count = first & 0x0F;
        let mut csrcs = [0; MAX_CSRCS];
        for (index, csrc) in csrcs.iter_mut().take(csrc_count as usize).enumerate() {
            *csrc = read_u32(packet, FIXED_HEADER + 4 * index)?;
        }
        let mut at = FIXED_HEADER + 4 * csrc_count as usize;
        let extension = if first & 0x10 == 0 {
            None
        } else {
            Some(parse_extension(packet, at)?)
        };
        if let Some(block) = extension {
            at = block.span.end as usize;
        }
        let padding = if first & 0x20 == 0 {
            0
        } else {
            parse_padding(packet, at)?
        };
        let end = packet.len() - padding as usize;
        let second = read_u8(packet, 1)?;
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type: PayloadType(second & 0x7F),
            seq: read_u16(packet, 2)?,
            timestamp: read_u32(packet, 4)?,
            ssrc: Ssrc(read_u32(packet, 8)?),
            extension,
            payload: Span::new(at, end).ok_or(ParseError::TooLong)?,
            padding,
            csrcs,
            csrc_count,
        })
    }

    /// Contributing sources, in order.
    pub fn csrcs(&self) -> &[u32] {
        &self.csrcs[..self.csrc_count as usize]
    }
}

fn parse_extension(packet: &[u8], at: usize) -> Result<ExtensionBlock, ParseError> {
    let profile = read_u16(packet, at)?;
    let words = read_u16(packet, at + 2)?;
    let (start, end) = (at + 4, at + 4 + 4 * words as usize);
    if end > packet.len() {
        return Err(ParseError::BadLength);
    }
    let span = Span::new(start, end).ok_or(ParseError::TooLong)?;
    Ok(ExtensionBlock { profile, span })
}

/// The count is the packet's last byte and includes itself, so zero is as wrong as more than there is.
fn parse_padding(packet: &[u8], payload_start: usize) -> Result<u8, ParseError> {
    let count = packet.last().copied().unwrap_or(0);
    let available = packet.len().saturating_sub(payload_start);
    if count == 0 || count as usize > available {
        return Err(ParseError::BadPadding);
    }
    Ok(count)
}

/// The header of a packet to be sent.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingHeader<'a> {
    /// Marker bit.
    pub marker: bool,
    /// The payload is followed by padding, whose last byte counts it.
    pub padding: bool,
    /// Payload type, 0-127.
    pub payload_type: PayloadType,
    /// Sequence number.
    pub seq: u16,
    /// Media timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: Ssrc,
    /// Contributing sources; those past [`MAX_CSRCS`] are left out.
    pub csrcs: &'a [u32],
    /// Extension elements, most important first: what does not fit is left out from the end.
    pub extensions: &'a [Element<'a>],
    /// The peer accepts two-byte elements (`extmap-allow-mixed`); without it, values that need them are left out.
    pub allow_two_byte: bool,
}

/// Writes a header. Returns its length, at most [`MAX_HEADER`]; the payload goes right behind it.
pub fn write_header(buffer: &mut [u8], header: &OutgoingHeader) -> Result<usize, WriteError> {
    let csrcs = &header.csrcs[..header.csrcs.len().min(MAX_CSRCS)];
    let mut writer = Writer::new(buffer);
    let padding = if header.padding { 0x20 } else { 0 };
    writer.put_u8(0x80 | padding | csrcs.len() as u8)?;
    let marker = if header.marker { 0x80 } else { 0 };
    writer.put_u8(marker | (header.payload_type.0 & 0x7F))?;
    writer.put_u16(header.seq)?;
    writer.put_u32(header.timestamp)?;
    writer.put_u32(header.ssrc.0)?;
    for csrc in csrcs {
        writer.put_u32(*csrc)?;
    }
    let has_extensions = write_elements(&mut writer, header.extensions, header.allow_two_byte)?;
    let len = writer.len();
    if has_extensions {
        buffer[0] |= 0x10;
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn reads_every_field() {
        let bytes = [
            0xB2, 0xE0, 0x12, 0x34, 0, 0, 0, 9, 0xAA, 0xBB, 0xCC, 0xDD, // fixed, P X CC=2
            0, 0, 0, 1, 0, 0, 0, 2, // CSRCs
            0xBE, 0xDE, 0, 1, 0x10, 0x41, 0, 0, // one-byte extension
            1, 2, 3, 0, 2, // payload and padding
        ];
        let header = RtpHeader::parse(&bytes).unwrap();
        assert!(header.marker);
        assert_eq!(header.payload_type, PayloadType(96));
        assert_eq!(header.seq, 0x1234);
        assert_eq!(header.timestamp, 9);
        assert_eq!(header.ssrc, Ssrc(0xAABB_CCDD));
        assert_eq!(header.csrcs(), [1, 2]);
        let block = header.extension.unwrap();
        assert_eq!(
            (block.profile, block.span.of(&bytes)),
            (0xBEDE, &[0x10, 0x41, 0, 0][..])
        );
        assert_eq!(header.payload.of(&bytes), [1, 2, 3]);
        assert_eq!(header.padding, 2);
        assert_eq!(peek_ssrc(&bytes), Ok(header.ssrc));
    }

    #[test]
    fn refuses_shorter_than_it_says() {
        let full = [
            0x92, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0xBE, 0xDE, 0, 1, 0x10,
            1, 0, 0,
        ];
        assert!(RtpHeader::parse(&full).is_ok());
        for len in 0..full.len() {
            assert!(RtpHeader::parse(&full[..len]).is_err(), "{len} bytes");
        }
    }

    /// Threat R9: every padding count against every payload length.
    #[test]
    fn refuses_padding_longer_than_the_payload() {
        for payload_len in 0..=300_usize {
            for count in 0..=255_u8 {
                let mut bytes = packet(&vec![7; payload_len]);
                bytes[0] |= 0x20;
                if payload_len > 0 {
                    *bytes.last_mut().unwrap() = count;
                }
                let parsed = RtpHeader::parse(&bytes);
                if count == 0 || payload_len == 0 || count as usize > payload_len {
                    // Without a payload the last byte is the SSRC's 3, which is no padding either.
                    assert_eq!(
                        parsed,
                        Err(ParseError::BadPadding),
                        "{payload_len} bytes, padding {count}"
                    );
                } else {
                    assert_eq!(parsed.unwrap().payload.len(), payload_len - count as usize);
                }
            }
        }
    }

    /// Threat R13: a span holds 16 bits, so nothing longer may pass as something shorter.
    #[test]
    fn refuses_what_a_span_cannot_hold() {
        assert_eq!(
            RtpHeader::parse(&packet(&vec![0; 65_536])),
            Err(ParseError::TooLong)
        );
        assert!(RtpHeader::parse(&packet(&vec![0; 65_507 - FIXED_HEADER])).is_ok());
    }

    #[test]
    fn header_growth_is_bounded() {
        let value = [1; 255];
        let elements = [Element {
            id: 200,
            value: &value,
        }; 9];
        let header = OutgoingHeader {
            marker: false,
            padding: false,
            payload_type: PayloadType(96),
            seq: 1,
            timestamp: 2,
            ssrc: Ssrc(3),
            csrcs: &[9; 40],
            extensions: &elements,
            allow_two_byte: true,
        };
        let mut buffer = [0; MAX_HEADER];
        let len = write_header(&mut buffer, &header).unwrap();
        assert!(len <= MAX_HEADER);
        assert_eq!(
            RtpHeader::parse(&buffer[..len]).unwrap().csrcs().len(),
            MAX_CSRCS
        );
        for short in 0..len {
            assert_eq!(
                write_header(&mut buffer[..short], &header),
                Err(WriteError::NoRoom)
            );
        }
    }

    proptest! {
        #[test]
        fn write_then_parse_is_identity(
            marker in any::<bool>(),
            payload_type in 0_u8..128,
            (seq, timestamp, ssrc) in any::<(u16, u32, u32)>(),
            csrcs in prop::collection::vec(any::<u32>(), 0..=15),
            payload in prop::collection::vec(any::<u8>(), 0..50),
            padding in 0_u8..20,
            extensions in prop::collection::vec((1_u8..15, prop::collection::vec(any::<u8>(), 1..=16)), 0..6),
        ) {
            let elements: Vec<_> = extensions.iter().map(|(id, value)| Element { id: *id, value }).collect();
            let header = OutgoingHeader {
                marker,
                padding: padding > 0,
                payload_type: PayloadType(payload_type),
                seq,
                timestamp,
                ssrc: Ssrc(ssrc),
                csrcs: &csrcs,
                extensions: &elements,
                allow_two_byte: false,
            };
            let mut buffer = [0; 600];
            let len = write_header(&mut buffer, &header).unwrap();
            let mut bytes = buffer[..len].to_vec();
            bytes.extend_from_slice(&payload);
            bytes.extend((0..padding).map(|_| padding));
            let parsed = RtpHeader::parse(&bytes).unwrap();
            prop_assert_eq!(parsed.marker, marker);
            prop_assert_eq!(parsed.payload_type, PayloadType(payload_type));
            prop_assert_eq!((parsed.seq, parsed.timestamp, parsed.ssrc), (seq, timestamp, Ssrc(ssrc)));
            prop_assert_eq!(parsed.csrcs(), &csrcs[..]);
            prop_assert_eq!(parsed.payload.of(&bytes), &payload[..]);
            prop_assert_eq!(parsed.padding, padding);
            let read: Vec<_> = parsed.extension.iter()
                .flat_map(|block| crate::wire::ext::elements(&bytes, block))
                .map(|(id, span)| (id, span.of(&bytes).to_vec()))
                .collect();
            prop_assert_eq!(read, extensions);
        }

        #[test]
        fn any_bytes_are_parsed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), first in 0x80_u8..0xC0) {
            let mut bytes = bytes;
            let _ = RtpHeader::parse(&bytes);
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            if let Ok(header) = RtpHeader::parse(&bytes) {
                prop_assert_eq!(header.payload.end as usize + header.padding as usize, bytes.len());
            }
        }
    }
}
