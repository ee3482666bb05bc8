//! A stretch of consecutive numbers of one source mapped to an outgoing line, with drops that leave no gap.
//!
//! Shared by packets (`seq.rs`) and VP8 pictures (`picture.rs`). A number's outgoing counterpart never changes during
//! the epoch: later drops only move later numbers.

use std::collections::VecDeque;

/// Maps numbers from `first_in` on to numbers from `first_out` on.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// First number of the source.
    pub first_in: u64,
    /// Its outgoing number.
    pub first_out: u64,
    /// Highest number of the source seen, forwarded or dropped.
    pub highest_in: u64,
    dropped: u64,
    /// The dropped ones within the span, ascending.
    recent: VecDeque<u64>,
    span: u64,
}

impl Epoch {
    /// Begins at `first_in`, which will become `first_out`. Drops are remembered for the last `span` numbers: that is
    /// also the cap of the list.
    pub fn new(first_in: u64, first_out: u64, span: u64) -> Self {
        Self {
            first_in,
            first_out,
            highest_in: first_in.saturating_sub(1),
            dropped: 0,
            recent: VecDeque::new(),
            span,
        }
    }

    /// The outgoing number; exact unless [`Self::is_too_old`].
    pub fn out_of(&self, number: u64) -> u64 {
        let later = self.recent.len() - self.recent.partition_point(|&dropped| dropped < number);
        self.first_out + (number - self.first_in) - (self.dropped - later as u64)
    }

    /// The source's number behind an outgoing one of this epoch: the one that maps to it and is not dropped.
    pub fn source_of(&self, out: u64) -> u64 {
        let mut number =
            self.first_in + (out - self.first_out) + (self.dropped - self.recent.len() as u64);
        for &dropped in &self.recent {
            if dropped <= number {
                number += 1;
            }
        }
        number
    }

    /// Takes a number beyond all others into account.
    pub fn advance(&mut self, number: u64) {
        self.highest_in = number;
        while self
            .recent
            .front()
            .is_some_and(|&dropped| dropped + self.span < number)
        {
            self.recent.pop_front();
        }
    }

    /// Drops the highest number.
    pub fn drop_highest(&mut self) {
        self.dropped += 1;
        self.recent.push_back(self.highest_in);
    }

    /// Whether this number was dropped.
    pub fn is_dropped(&self, number: u64) -> bool {
        self.recent.binary_search(&number).is_ok()
    }

    /// Before the epoch, or so far back that drops are forgotten.
    pub fn is_too_old(&self, number: u64) -> bool {
        number < self.first_in || number + self.span < self.highest_in
    }

    /// Drops remembered.
    pub fn remembered(&self) -> usize {
        self.recent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn epoch(drops: &[u64]) -> Epoch {
        let mut epoch = Epoch::new(100, 1_000, 50);
        for &number in drops {
            epoch.advance(number);
            epoch.drop_highest();
        }
        epoch
    }

    #[test]
    fn drops_move_only_later_numbers() {
        let epoch = epoch(&[102, 103, 106]);
        let outs: Vec<u64> = [100, 101, 104, 105, 107, 108]
            .iter()
            .map(|&number| epoch.out_of(number))
            .collect();
        assert_eq!(outs, [1_000, 1_001, 1_002, 1_003, 1_004, 1_005]);
        assert!(epoch.is_dropped(103) && !epoch.is_dropped(104));
    }

    #[test]
    fn way_back_skips_the_dropped() {
        let epoch = epoch(&[102, 103, 106]);
        let sources: Vec<u64> = (1_000..1_006).map(|out| epoch.source_of(out)).collect();
        assert_eq!(sources, [100, 101, 104, 105, 107, 108]);
    }

    #[test]
    fn old_drops_are_forgotten_but_counted() {
        let mut epoch = epoch(&[102, 103, 106]);
        epoch.advance(300);
        assert_eq!(epoch.remembered(), 0);
        assert_eq!(epoch.out_of(300), 1_000 + 200 - 3);
        assert_eq!(epoch.source_of(1_197), 300);
        assert!(epoch.is_too_old(249) && !epoch.is_too_old(250) && epoch.is_too_old(99));
    }

    proptest! {
        #[test]
        fn there_and_back(drops in proptest::collection::btree_set(0u64..60, 0..40)) {
            let mut epoch = Epoch::new(1_000, 77, 100);
            for &number in &drops {
                epoch.advance(1_000 + number);
                epoch.drop_highest();
            }
            let kept = (1_000..1_100).filter(|number| !drops.contains(&(number - 1_000)));
            for (number, expected) in kept.zip(77..) {
                prop_assert_eq!(epoch.out_of(number), expected);
                prop_assert_eq!(epoch.source_of(expected), number);
            }
        }
    }
}
