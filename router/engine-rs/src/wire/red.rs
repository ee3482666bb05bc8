//! Redundant audio data (RFC 2198): a payload of blocks, older ones first, the primary one last.
//!
//! A forwarder does two things with it: takes the primary block out, for a receiver that did not negotiate RED, and
//! renames the payload types of the blocks, for one that did but has other numbers. What is in the blocks is not read. Left
//! out: making redundancy, and recovering lost packets from it, which is the receiver's business.

use super::bytes::{read_u8, read_u16};
use super::{ParseError, Span};
use crate::ids::PayloadType;

/// Blocks of one payload that are followed; senders use two or three.
const MAX_BLOCKS: usize = 16;
/// Bytes of the header of a redundant block, and of the primary one (RFC 2198 section 3).
const BLOCK_HEADER: usize = 4;
const PRIMARY_HEADER: usize = 1;
/// Another header follows.
const FOLLOWED: u8 = 0x80;

/// Where the primary block of a payload is, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedPayload {
    /// The payload type of the primary block.
    pub payload_type: PayloadType,
    /// Redundant blocks in front of it.
    pub redundant: u8,
    /// Its bytes within the payload; never empty.
    pub primary: Span,
}

impl RedPayload {
    /// Reads the headers. Malformed: a payload too short for its blocks, too many of them, or no primary data.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let (mut at, mut redundant, mut skipped) = (0, 0, 0);
        loop {
            let first = read_u8(payload, at)?;
            let payload_type = PayloadType(first & !FOLLOWED);
            if first & FOLLOWED == 0 {
                let start = at + PRIMARY_HEADER + skipped;
                let primary = Span::new(start, payload.len()).ok_or(ParseError::TooShort)?;
                if primary.is_empty() {
                    return Err(ParseError::TooShort);
                }
                return Ok(Self {
                    payload_type,
                    redundant,
                    primary,
                });
            }
            skipped += usize::from(read_u16(payload, at + 2)? & 0x3FF);
            at += BLOCK_HEADER;
            redundant += 1;
            if usize::from(redundant) >= MAX_BLOCKS {
                return Err(ParseError::BadLength);
            }
        }
    }

    /// Whether all blocks of the payload are of such types.
    pub fn consists_of(self, payload: &[u8], known: impl Fn(PayloadType) -> bool) -> bool {
        let mut types =
            (0..=usize::from(self.redundant)).map(|block| payload.get(block * BLOCK_HEADER));
        types.all(|byte| byte.is_some_and(|byte| known(PayloadType(byte & !FOLLOWED))))
    }

    /// Renames the blocks of a payload in place. `None` for one whose new name is not known: nothing is to be sent then.
    pub fn rename(
        self,
        payload: &mut [u8],
        name: impl Fn(PayloadType) -> Option<PayloadType>,
    ) -> Option<()> {
        for block in 0..=usize::from(self.redundant) {
            let byte = payload.get_mut(block * BLOCK_HEADER)?;
            let renamed = name(PayloadType(*byte & !FOLLOWED))?;
            *byte = *byte & FOLLOWED | renamed.0 & !FOLLOWED;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPUS: u8 = 111;

    /// As a sender writes it: payload type and bytes of each block, the primary one last.
    fn write(blocks: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let (primary, redundant) = blocks.split_last().expect("a primary block");
        let mut payload = Vec::new();
        for (index, (payload_type, data)) in redundant.iter().enumerate() {
            let offset = 960 * (redundant.len() - index) as u32;
            let word = offset << 10 | data.len() as u32;
            payload.push(FOLLOWED | payload_type);
            payload.extend(&word.to_be_bytes()[1..]);
        }
        payload.push(primary.0);
        for (_, data) in blocks {
            payload.extend(data);
        }
        payload
    }

    /// Chromium 156 with one packet of redundancy, cut short: 960 ticks earlier, 3 bytes; then 2 bytes of now.
    #[test]
    fn a_packet_of_a_browser() {
        let payload = [0xEF, 0x0F, 0x00, 0x03, 0x6F, 0x78, 0x01, 0x02, 0x78, 0x03];
        let red = RedPayload::parse(&payload).expect("valid");
        assert_eq!((red.payload_type, red.redundant), (PayloadType(OPUS), 1));
        assert_eq!(red.primary.of(&payload), [0x78, 0x03]);
    }

    #[test]
    fn without_redundancy_there_is_one_byte_more() {
        let payload = [OPUS, 1, 2, 3];
        let red = RedPayload::parse(&payload).expect("valid");
        assert_eq!(
            (red.redundant, red.primary.of(&payload)),
            (0, &[1, 2, 3][..])
        );
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let whole = write(&[(OPUS, vec![1; 20]), (OPUS, vec![2; 30])]);
        for len in 0..=5 + 20 {
            assert!(RedPayload::parse(&whole[..len]).is_err(), "{len}");
        }
        assert!(RedPayload::parse(&whole[..5 + 20 + 1]).is_ok());
        assert!(
            RedPayload::parse(&[0xEF; 400]).is_err(),
            "headers without end"
        );
        assert!(RedPayload::parse(&[OPUS]).is_err(), "no data");
    }

    proptest! {
        #[test]
        fn the_primary_block_is_found_and_blocks_are_renamed(
            blocks in prop::collection::vec(
                (0u8..128, prop::collection::vec(any::<u8>(), 1..1_000)),
                1..=MAX_BLOCKS,
            ),
        ) {
            let mut payload = write(&blocks);
            let red = RedPayload::parse(&payload).unwrap();
            let (payload_type, data) = blocks.last().unwrap();
            prop_assert_eq!(red.payload_type, PayloadType(*payload_type));
            let odd = blocks.iter().position(|(of, _)| of % 2 == 1);
            prop_assert_eq!(red.consists_of(&payload, |of| of.0 % 2 == 0), odd.is_none());
            prop_assert_eq!(red.primary.of(&payload), &data[..]);
            let next = |old: u8| (old + 1) % 128;
            red.rename(&mut payload, |old| Some(PayloadType(next(old.0)))).unwrap();
            let renamed: Vec<_> = blocks.iter().map(|(old, data)| (next(*old), data.clone())).collect();
            prop_assert_eq!(&payload, &write(&renamed));
            prop_assert_eq!(red.rename(&mut payload, |_| None), None);
        }

        #[test]
        fn no_bytes_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(red) = RedPayload::parse(&payload) {
                prop_assert!(!red.primary.of(&payload).is_empty());
                let mut renamed = payload.clone();
                prop_assert_eq!(red.rename(&mut renamed, Some), Some(()));
                prop_assert_eq!(renamed, payload);
            }
        }
    }
}
