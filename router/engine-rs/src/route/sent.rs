//! Which packet each recent outgoing number of a slot was given to.
//!
//! Mostly a source's packets follow each other, so what is kept is where such a *run* begins, with what all its packets
//! share, and one bit per number that was given. In steady state a packet costs one bit and no memory beyond a few
//! runs, however many are remembered: with thousands of receivers, a mark per packet is what the caches cannot hold.

use std::collections::VecDeque;

/// Numbers remembered: no smaller than any window of `seq.rs`.
const SPAN: u64 = 1_024;
const WORD: u64 = u64::BITS as u64;
/// Runs that there is room for from the first packet on.
const RESERVED: usize = 4;

/// What a number was given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// The source's packet of this number.
    Packet(u64),
    /// Padding only.
    Filler,
}

/// Consecutive numbers from `out` to the next run.
#[derive(Clone, Copy, Debug)]
struct Run<T> {
    out: u64,
    given: Given,
    note: T,
}

impl<T: Copy + PartialEq> Run<T> {
    /// What the number is given to if it belongs to the run.
    fn given_to(&self, out: u64) -> Given {
        match self.given {
            Given::Packet(first) => Given::Packet(first + (out - self.out)),
            Given::Filler => Given::Filler,
        }
    }

    fn holds(&self, out: u64, given: Given, note: T) -> bool {
        given != Given::Filler && self.given_to(out) == given && self.note == note
    }
}

/// The numbers given out of one slot. `T` is what must be known to make a packet once more.
#[derive(Clone, Debug)]
pub struct SentNumbers<T> {
    /// The last run: the only one in steady state, so it is kept where packets find it.
    newest: Option<Run<T>>,
    /// Those before it, ascending. At most two per number in the window.
    older: VecDeque<Run<T>>,
    /// A bit per number, by its remainder.
    given: [u64; (SPAN / WORD) as usize],
    /// Highest number given or passed by.
    highest: u64,
    window: u64,
}

impl<T: Copy + PartialEq> SentNumbers<T> {
    /// None given; numbers up to `highest` are passed by. Runs are forgotten when they lie `window` numbers behind.
    pub fn new(highest: u64, window: u64) -> Self {
        debug_assert!(window <= SPAN);
        Self {
            newest: None,
            older: VecDeque::new(),
            given: [0; (SPAN / WORD) as usize],
            highest,
            window,
        }
    }

    /// Highest number given or passed by.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Numbers up to this one are passed by.
    pub fn pass_by(&mut self, out: u64) {
        if out > self.highest {
            let first = (self.highest + 1).max(out.saturating_sub(SPAN - 1));
            for number in first..=out {
                let (word, bit) = place(number);
                self.given[word] &= !bit;
            }
            self.highest = out;
        }
    }

    /// Whether the number was given, as far as is remembered.
    pub fn is_given(&self, out: u64) -> bool {
        let (word, bit) = place(out);
        out <= self.highest && out + SPAN > self.highest && self.given[word] & bit != 0
    }

    /// Gives a number that was not given before.
    #[inline]
    pub fn give(&mut self, out: u64, given: Given, note: T) {
        let is_newest = out > self.highest;
        self.pass_by(out);
        let (word, bit) = place(out);
        self.given[word] |= bit;
        if !is_newest {
            self.insert(out, given, note);
        } else if !self.newest.is_some_and(|run| run.holds(out, given, note)) {
            self.begin(Run { out, given, note });
        }
    }

    /// A run begins that is the newest.
    #[cold]
    fn begin(&mut self, run: Run<T>) {
        match self.newest.replace(run) {
            Some(before) => self.older.push_back(before),
            // A switch to another source, later on, must not allocate.
            None => self.older.reserve(RESERVED),
        }
        self.forget();
    }

    /// A late one: it belongs to the run around it, or parts it.
    #[cold]
    fn insert(&mut self, out: u64, given: Given, note: T) {
        let runs = &mut self.older;
        runs.extend(self.newest.take());
        let at = runs.partition_point(|run| run.out <= out);
        let around = at.checked_sub(1).map(|before| runs[before]);
        if !around.is_some_and(|run| run.holds(out, given, note)) {
            runs.insert(at, Run { out, given, note });
            let is_followed = runs.get(at + 1).is_some_and(|run| run.out == out + 1);
            if let Some(run) = around.filter(|_| !is_followed) {
                let rest = Run {
                    out: out + 1,
                    given: run.given_to(out + 1),
                    ..run
                };
                runs.insert(at + 1, rest);
            }
            if around.is_some_and(|run| run.out == out) {
                runs.remove(at - 1);
            }
        }
        self.newest = runs.pop_back();
    }

    fn forget(&mut self) {
        let ends_before =
            |run: Option<&Run<T>>| run.is_some_and(|run| run.out + self.window <= self.highest);
        while !self.older.is_empty() && ends_before(self.older.get(1).or(self.newest.as_ref())) {
            self.older.pop_front();
        }
    }

    /// What the number was given to, with the note made then.
    pub fn get(&self, out: u64) -> Option<(Given, T)> {
        if !self.is_given(out) {
            return None;
        }
        let run = self.newest.filter(|run| run.out <= out).or_else(|| {
            let at = self.older.partition_point(|run| run.out <= out);
            self.older.get(at.checked_sub(1)?).copied()
        })?;
        Some((run.given_to(out), run.note))
    }

    /// Runs kept, for tests.
    #[cfg(test)]
    pub fn runs(&self) -> usize {
        self.older.len() + usize::from(self.newest.is_some())
    }
}

/// Word and bit of a number.
fn place(out: u64) -> (usize, u64) {
    ((out % SPAN / WORD) as usize, 1 << (out % WORD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const WINDOW: u64 = 1_000;

    fn numbers() -> SentNumbers<u8> {
        SentNumbers::new(99, WINDOW)
    }

    #[test]
    fn a_steady_line_is_one_run() {
        let mut sent = numbers();
        for out in 100..50_000 {
            sent.give(out, Given::Packet(out + 7), 3);
        }
        assert_eq!(sent.runs(), 1);
        assert_eq!(sent.get(49_999), Some((Given::Packet(50_006), 3)));
        assert_eq!(sent.get(49_999 - 1_023), Some((Given::Packet(48_983), 3)));
        assert_eq!(sent.get(49_999 - 1_024), None);
        assert_eq!(sent.get(50_000), None);
    }

    #[test]
    fn a_gap_stays_in_its_run_and_is_filled_late() {
        let mut sent = numbers();
        sent.give(100, Given::Packet(7), 0);
        sent.give(103, Given::Packet(10), 0);
        assert_eq!((sent.runs(), sent.get(101)), (1, None));
        sent.give(101, Given::Packet(8), 0);
        assert_eq!(
            (sent.runs(), sent.get(101)),
            (1, Some((Given::Packet(8), 0)))
        );
    }

    #[test]
    fn a_late_one_of_another_kind_parts_its_run() {
        let mut sent = numbers();
        sent.give(100, Given::Packet(7), 0);
        sent.give(104, Given::Packet(11), 0);
        sent.give(102, Given::Filler, 9);
        sent.give(103, Given::Packet(99), 5);
        assert_eq!(sent.get(100), Some((Given::Packet(7), 0)));
        assert_eq!(sent.get(102), Some((Given::Filler, 9)));
        assert_eq!(sent.get(103), Some((Given::Packet(99), 5)));
        assert_eq!(sent.get(104), Some((Given::Packet(11), 0)));
        sent.give(101, Given::Packet(8), 0);
        assert_eq!(sent.get(101), Some((Given::Packet(8), 0)));
        assert_eq!(sent.runs(), 4);
    }

    #[test]
    fn runs_out_of_the_window_are_forgotten() {
        let mut sent = numbers();
        for out in 100..10_000 {
            sent.give(out, Given::Packet(2 * out), 0);
        }
        assert_eq!(sent.runs(), WINDOW as usize + 1, "every number its own");
    }

    #[test]
    fn what_was_passed_by_is_not_given() {
        let mut sent = numbers();
        sent.give(100, Given::Packet(7), 0);
        sent.pass_by(100 + SPAN);
        assert!(!sent.is_given(100 + SPAN) && !sent.is_given(100));
        sent.give(90 + SPAN, Given::Packet(1), 0);
        assert_eq!(sent.get(90 + SPAN), Some((Given::Packet(1), 0)));
    }

    proptest! {
        #[test]
        fn remembers_as_a_map_does(
            steps in proptest::collection::vec((-40i64..40, 0u64..3, 0u8..2, any::<bool>()), 1..800)
        ) {
            let mut sent = numbers();
            let mut model = BTreeMap::new();
            for (step, shift, note, is_filler) in steps {
                let out = sent.highest().checked_add_signed(step.max(-40)).expect("above zero");
                if out < 100 || model.contains_key(&out) {
                    continue;
                }
                let given = if is_filler { Given::Filler } else { Given::Packet(out + shift) };
                sent.give(out, given, note);
                model.insert(out, (given, note));
                let newest = sent.highest();
                for probe in (newest + 1).saturating_sub(WINDOW)..=newest {
                    prop_assert_eq!(sent.get(probe), model.get(&probe).copied());
                }
            }
            prop_assert!(sent.runs() <= 2 * WINDOW as usize);
        }
    }
}
