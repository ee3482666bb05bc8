//! Widening of wrapping counters: RTP sequence numbers (16 bits) to 64 bits.
//!
//! The reference is the highest value seen, so a late packet never drags it back. Values start at 2^32, which leaves
//! room for packets from before the first; their low bits always equal what is on the wire.

use crate::ids::SeqNo;

const SEQ_ORIGIN: u64 = 1 << 32;

impl SeqNo {
    /// The 16 bits that travel.
    pub const fn wire(self) -> u16 {
        self.0 as u16
    }
}

/// Widens the sequence numbers of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeqUnwrapper {
    highest: Option<SeqNo>,
}

impl SeqUnwrapper {
    /// Widens `seq` and remembers it when it is the highest so far. The nearer direction wins; a distance of exactly
    /// half the space counts as backwards.
    pub fn unwrap(&mut self, seq: u16) -> SeqNo {
        let wide = self.peek(seq);
        self.highest = self.highest.max(Some(wide));
        wide
    }

    /// Widens `seq` without remembering it.
    pub fn peek(&self, seq: u16) -> SeqNo {
        match self.highest {
            None => SeqNo(SEQ_ORIGIN + u64::from(seq)),
            Some(highest) => {
                let distance = seq.wrapping_sub(highest.wire()) as i16;
                SeqNo(highest.0.saturating_add_signed(i64::from(distance)))
            }
        }
    }

    /// The highest number seen.
    pub const fn highest(&self) -> Option<SeqNo> {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wraps_forwards_and_backwards() {
        let mut seqs = SeqUnwrapper::default();
        let first = seqs.unwrap(65_534);
        assert_eq!(seqs.unwrap(1).0, first.0 + 3);
        assert_eq!(seqs.unwrap(65_535).0, first.0 + 1);
        assert_eq!(seqs.unwrap(2).0, first.0 + 4);
        assert_eq!(seqs.highest(), Some(SeqNo(first.0 + 4)));
    }

    #[test]
    fn numbers_from_before_the_first_are_lower() {
        let mut seqs = SeqUnwrapper::default();
        let first = seqs.unwrap(3);
        assert_eq!(seqs.unwrap(65_535).0, first.0 - 4);
        assert_eq!(seqs.highest(), Some(first));
    }

    proptest! {
        #[test]
        fn follows_a_128_bit_counter(start in any::<u16>(), steps in prop::collection::vec(-300_i32..3000, 1..400)) {
            let mut seqs = SeqUnwrapper::default();
            let mut truth = i128::from(start) + (1 << 40);
            let offset = i128::from(seqs.unwrap(truth as u16).0) - truth;
            for step in steps {
                truth += i128::from(step);
                let wide = seqs.unwrap(truth as u16);
                prop_assert_eq!(i128::from(wide.0), truth + offset);
                prop_assert_eq!(wide.wire(), truth as u16);
            }
        }
    }
}
