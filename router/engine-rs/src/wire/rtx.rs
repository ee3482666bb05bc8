//! Retransmission payload format (RFC 4588 section 4): the original sequence number (OSN) in front of the payload.
//!
//! Session multiplexing is left out; RTX travels on its own SSRC of the same session.

use super::ParseError;
use super::bytes::read_u16;
use super::rtp::RtpHeader;
use crate::ids::{PayloadType, Ssrc};

/// Bytes that RTX adds to a packet.
pub const OSN_LEN: usize = 2;

/// The header that the packet had when it was sent first: same datagram, other numbers, payload behind the OSN.
/// `None` for a packet of padding only, which senders use as bandwidth probe on the RTX stream.
pub fn decapsulate(
    packet: &[u8],
    header: &RtpHeader,
    ssrc: Ssrc,
    payload_type: PayloadType,
) -> Result<Option<RtpHeader>, ParseError> {
    if header.payload.is_empty() && header.padding > 0 {
        return Ok(None);
    }
    let seq = read_u16(header.payload.of(packet), 0)?;
    let mut original = *header;
    original.seq = seq;
    original.ssrc = ssrc;
    original.payload_type = payload_type;
    original.payload.start += OSN_LEN as u16;
    Ok(Some(original))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rtx(payload: &[u8], padding: u8) -> Vec<u8> {
        let mut packet = vec![0x80, 0xE1, 0, 9, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend_from_slice(payload);
        packet.extend((0..padding).map(|_| padding));
        packet[0] |= u8::from(padding > 0) << 5;
        packet
    }

    fn restore(packet: &[u8]) -> Result<Option<RtpHeader>, ParseError> {
        let header = RtpHeader::parse(packet).unwrap();
        decapsulate(packet, &header, Ssrc(77), PayloadType(96))
    }

    /// Threat R9: one byte is no OSN; Janus underflowed here.
    #[test]
    fn too_short_for_an_osn() {
        assert_eq!(restore(&rtx(&[], 0)), Err(ParseError::TooShort));
        assert_eq!(restore(&rtx(&[1], 0)), Err(ParseError::TooShort));
        assert_eq!(restore(&rtx(&[1], 200)), Err(ParseError::TooShort));
        assert_eq!(restore(&rtx(&[], 200)), Ok(None));
    }

    proptest! {
        #[test]
        fn the_original_is_restored(
            seq in any::<u16>(),
            payload in prop::collection::vec(any::<u8>(), 0..80),
            padding in 0_u8..9,
        ) {
            let packet = rtx(&[&seq.to_be_bytes()[..], &payload].concat(), padding);
            let original = restore(&packet).unwrap().unwrap();
            prop_assert_eq!((original.seq, original.ssrc), (seq, Ssrc(77)));
            prop_assert_eq!(original.payload_type, PayloadType(96));
            prop_assert!(original.marker);
            prop_assert_eq!(original.payload.of(&packet), &payload[..]);
        }
    }
}
