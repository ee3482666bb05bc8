//! Padding for bandwidth probes, on the RTX stream of a slot (RFC 4588; RFC 3550 section 5.1 for padding).
//!
//! A probe wants bytes, whatever is in them. Best are recent packets once more: they are large, and repair what is
//! just being lost (`route/slot/probe.rs` repeats them). Where there is none, a packet of padding only is written here: its
//! payload is empty, without even an original sequence number, and receivers drop it but count it. It goes on the RTX
//! stream because numbers on the media stream would be missed when they are lost.
//!
//! Left out: probing without RTX. A receiver that did not agree on it has no stream where padding does no harm.

use super::transport_number;
use crate::ids::{PayloadType, Ssrc};
use crate::wire::ext::Element;
use crate::wire::rtp::{OutgoingHeader, write_header};
use arrayvec::ArrayVec;

/// Most padding of a packet: its length must fit a byte (RFC 3550 section 5.1); a multiple of four keeps datagrams that
/// leave in a row in a row (`io/batch.rs`).
pub const MAX_PADDING: u8 = 252;
/// Header extensions that a packet of padding may have.
const MAX_ELEMENTS: usize = 2;

/// The header of a packet of padding.
#[derive(Clone, Copy, Debug)]
pub struct PaddingHead<'a> {
    /// SSRC of the RTX stream.
    pub ssrc: Ssrc,
    /// Payload type of RTX.
    pub payload_type: PayloadType,
    /// Sequence number of the RTX stream.
    pub seq: u16,
    /// Timestamp of the media sent last.
    pub timestamp: u32,
    /// MID, with the id of its element: until the receiver has heard from the stream, it may not know where it belongs.
    pub mid: Option<Element<'a>>,
    /// Id of the element with the transport-wide number, which makes padding a probe: room is left for it.
    pub transport_cc: Option<u8>,
}

/// Writes a packet of padding only, of about `wanted` bytes, as far as one goes: its length. `None` when `out` is too
/// short.
pub fn write_padding(head: &PaddingHead, wanted: usize, out: &mut [u8]) -> Option<usize> {
    let mut elements = ArrayVec::<Element, MAX_ELEMENTS>::new();
    elements.extend(head.transport_cc.map(|id| Element {
        id,
        value: &transport_number::ROOM,
    }));
    elements.extend(head.mid);
    let header = OutgoingHeader {
        marker: false,
        padding: true,
        payload_type: head.payload_type,
        seq: head.seq,
        timestamp: head.timestamp,
        ssrc: head.ssrc,
        csrcs: &[],
        extensions: &elements,
        allow_two_byte: false,
    };
    let header_len = write_header(out, &header).ok()?;
    let padding = wanted
        .saturating_sub(header_len)
        .clamp(1, MAX_PADDING.into());
    let body = out.get_mut(header_len..header_len + padding)?;
    body.fill(0);
    body[padding - 1] = padding as u8;
    Some(header_len + padding)
}

#[cfg(test)]
mod tests {
    use super::super::transport_number::write_number;
    use super::*;
    use crate::media::{Extension, ExtensionIds};
    use crate::wire::ext::{ExtensionMap, ExtensionValues};
    use crate::wire::rtp::RtpHeader;
    use crate::wire::rtx::decapsulate;
    use proptest::prelude::*;

    proptest! {
        /// Read as a receiver reads it, also ours: padding and nothing else, numbered.
        #[test]
        fn is_only_padding(
            wanted in 0..2_000_usize, room in 0..400_usize, seq: u16, timestamp: u32,
            number in prop::option::of(any::<u16>()), has_mid: bool,
        ) {
            let head = PaddingHead {
                ssrc: Ssrc(0xBBBB),
                payload_type: PayloadType(97),
                seq,
                timestamp,
                mid: has_mid.then_some(Element { id: 4, value: b"video1" }),
                transport_cc: number.map(|_| 5),
            };
            let mut out = vec![0xFF; room];
            let Some(len) = write_padding(&head, wanted, &mut out) else {
                prop_assert!(room < 12 + 20 + 252);
                return Ok(());
            };
            if let Some(number) = number {
                prop_assert!(write_number(&mut out[..len], 5, number));
            }
            let packet = &out[..len];
            let header = RtpHeader::parse(packet).expect("valid");
            prop_assert!(header.payload.is_empty() && header.padding > 0);
            prop_assert_eq!((header.ssrc, header.seq, header.timestamp), (head.ssrc, seq, timestamp));
            prop_assert_eq!(decapsulate(packet, &header, Ssrc(1), PayloadType(96)), Ok(None));
            let ids = ExtensionIds(vec![(Extension::Mid, 4), (Extension::TransportCc, 5)]);
            let values = ExtensionValues::parse(packet, header.extension.as_ref(), &ExtensionMap::new(&ids));
            prop_assert_eq!(values.transport_cc, number);
            prop_assert_eq!(values.mid.is_some(), has_mid);
            let possible = (len - usize::from(header.padding) + 1)..=(len - usize::from(header.padding) + 252);
            prop_assert_eq!(len, wanted.clamp(*possible.start(), *possible.end()));
        }
    }
}
