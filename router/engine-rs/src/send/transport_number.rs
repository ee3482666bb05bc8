//! Transport-wide numbers (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2): written into a packet when it
//! leaves, so that they tell the order of sending, also of packets that waited (`pace/`).
//!
//! Whoever writes the header leaves room for the number in its first element. A packet that may be repeated under the same
//! SRTP index has none: it would be another plaintext under that index (RFC 3711 section 9.1).

use crate::wire::ext::ONE_BYTE_PROFILE;

/// What stands where the number will be.
pub const ROOM: [u8; 2] = [0; 2];

const FIXED_HEADER: usize = 12;
const EXTENSION_BIT: u8 = 0x10;
const CSRC_COUNT: u8 = 0x0F;

/// Writes the number into a packet whose first header extension is the one with this id; false for any other packet.
#[inline]
pub fn write_number(packet: &mut [u8], id: u8, number: u16) -> bool {
    let Some(first) = packet.first() else {
        return false;
    };
    let block = FIXED_HEADER + 4 * usize::from(first & CSRC_COUNT);
    if first & EXTENSION_BIT == 0 {
        return false;
    }
    let Some([high, low, _, _, head, rest @ ..]) = packet.get_mut(block..block + 8) else {
        return false;
    };
    let is_one_byte = [*high, *low] == ONE_BYTE_PROFILE.to_be_bytes();
    let value = match (is_one_byte, rest) {
        (true, [value @ .., _]) if *head == id << 4 | 1 => value,
        (false, [2, value @ ..]) if *head == id => value,
        _ => return false,
    };
    value.copy_from_slice(&number.to_be_bytes());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PayloadType, Ssrc};
    use crate::media::{Extension, ExtensionIds};
    use crate::wire::ext::{Element, ExtensionMap, ExtensionValues};
    use crate::wire::rtp::{OutgoingHeader, RtpHeader, write_header};
    use proptest::prelude::*;

    proptest! {
        /// Read as a receiver reads it; nothing else is touched.
        #[test]
        fn is_read_by_the_receiver(
            id in 1..15_u8, number: u16, csrcs in prop::collection::vec(any::<u32>(), 0..4),
            long: bool, first: bool,
        ) {
            let other = if long { vec![7; 40] } else { vec![7; 3] };
            let elements = [
                Element { id, value: &ROOM },
                Element { id: id % 14 + 1, value: &other },
            ];
            let header = OutgoingHeader {
                marker: true,
                padding: false,
                payload_type: PayloadType(96),
                seq: 1,
                timestamp: 2,
                ssrc: Ssrc(3),
                csrcs: &csrcs,
                extensions: if first { &elements } else { &elements[1..] },
                allow_two_byte: true,
            };
            let mut packet = [0; 200];
            let len = write_header(&mut packet, &header).expect("fits");
            let before = packet;
            prop_assert_eq!(write_number(&mut packet[..len], id, number), first);
            let parsed = RtpHeader::parse(&packet[..len]).expect("valid");
            let ids = ExtensionIds(vec![(Extension::TransportCc, id)]);
            let values = ExtensionValues::parse(&packet[..len], parsed.extension.as_ref(), &ExtensionMap::new(&ids));
            prop_assert_eq!(values.transport_cc, first.then_some(number));
            let changed = before.iter().zip(&packet).filter(|(one, other)| one != other).count();
            prop_assert!(changed <= 2);
        }

        #[test]
        fn any_bytes_are_looked_at_safely(mut bytes in prop::collection::vec(any::<u8>(), 0..64), id: u8) {
            write_number(&mut bytes, id, 1);
        }
    }
}
