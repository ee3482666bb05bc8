//! How often, and when last, the packets of a slot were sent again: only of those that were.
//!
//! A ring by outgoing number. It grows by doubling while a number in the window would be overwritten, so a slot whose
//! receiver loses nothing has none, and no receiver can make it larger than its window.

use super::super::seq::VIDEO_WINDOW;
use crate::ids::SeqNo;
use crate::time::Micros;

const START: usize = 16;
const FULL: usize = (VIDEO_WINDOW as usize).next_power_of_two();

/// What was sent again of one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// How often.
    pub count: u8,
    /// When last.
    pub last: Micros,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    number: u64,
    copies: Copies,
}

/// Copies of one slot's packets.
#[derive(Clone, Debug, Default)]
pub struct CopyLog {
    ring: Vec<Entry>,
}

impl CopyLog {
    /// What was sent again under this number.
    pub fn of(&self, number: SeqNo) -> Copies {
        let entry = self.ring.get(self.index(number.0));
        let entry = entry.filter(|entry| entry.number == number.0);
        entry.map(|entry| entry.copies).unwrap_or_default()
    }

    /// A number of the window was sent again.
    pub fn add(&mut self, number: SeqNo, now: Micros) {
        let count = self.of(number).count.saturating_add(1);
        while self.ring.len() < FULL && self.is_taken(number.0) {
            self.grow();
        }
        let index = self.index(number.0);
        self.ring[index] = Entry {
            number: number.0,
            copies: Copies { count, last: now },
        };
    }

    fn index(&self, number: u64) -> usize {
        (number % self.ring.len().max(1) as u64) as usize
    }

    /// There is no room, or another number of the same window is there.
    fn is_taken(&self, number: u64) -> bool {
        self.ring.get(self.index(number)).is_none_or(|entry| {
            entry.copies.count > 0
                && entry.number != number
                && entry.number.abs_diff(number) < VIDEO_WINDOW
        })
    }

    fn grow(&mut self) {
        let len = (self.ring.len() * 2).max(START);
        let old = std::mem::replace(&mut self.ring, vec![Entry::default(); len]);
        for entry in old.into_iter().filter(|entry| entry.copies.count > 0) {
            let index = self.index(entry.number);
            self.ring[index] = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn no_loss_needs_no_memory_and_all_loss_a_window() {
        let mut log = CopyLog::default();
        assert_eq!((log.of(SeqNo(5)), log.ring.len()), (Copies::default(), 0));
        for number in 0..100_000 {
            log.add(SeqNo(number), Micros(number));
        }
        assert_eq!(log.ring.len(), FULL);
    }

    #[test]
    fn one_loss_now_and_then_stays_small() {
        let mut log = CopyLog::default();
        for number in (0..1_000_000).step_by(999) {
            log.add(SeqNo(number), Micros(number));
        }
        assert!(log.ring.len() <= 2 * START, "{}", log.ring.len());
    }

    proptest! {
        #[test]
        fn counts_what_a_map_counts(steps in proptest::collection::vec((0u64..30, 0u64..VIDEO_WINDOW), 1..500)) {
            let (mut log, mut model, mut highest) = (CopyLog::default(), BTreeMap::new(), 5_000);
            for (at, (step, back)) in steps.into_iter().enumerate() {
                highest += step;
                let number = highest - back;
                log.add(SeqNo(number), Micros(at as u64));
                let known: &mut Copies = model.entry(number).or_default();
                *known = Copies { count: known.count + 1, last: Micros(at as u64) };
                for probe in highest + 1 - VIDEO_WINDOW..=highest {
                    prop_assert_eq!(log.of(SeqNo(probe)), model.get(&probe).copied().unwrap_or_default());
                }
            }
        }
    }
}
