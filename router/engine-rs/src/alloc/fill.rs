//! Filling a budget: minima in order of weight, then the cheapest step by weight, again and again.
//!
//! Invariant: more budget never costs a slot anything that does not go to one of at least its weight. Minima are tried in
//! order. Steps are tried in order of cost by weight, so that when one does not fit, what a slot of more weight may still
//! ask for costs more and does not fit either. Two rules follow from the same thought: while somebody's minimum is
//! missing nobody is raised, and nobody is raised before the dear entry of a slot of more weight.

use super::path::Level;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// A lowest rung that costs more is no minimum but a good picture: its slot waits until those of more weight have theirs.
pub const MODEST_BPS: u64 = 300_000;
/// What a slot has goes before what an equal one could get, in percent of its cost: measurements waver.
const HELD_PERCENT: u64 = 80;
/// Keeps fractions of a cost by weight apart.
const SCALE: u64 = 1_024;

/// A slot in the filling.
#[derive(Clone, Debug, Default)]
pub struct Bidder {
    /// The caller's index.
    pub slot: u16,
    /// The caller's index of its entry.
    pub entry: usize,
    /// Its weight.
    pub weight: u64,
    /// Its levels among all.
    pub levels: Range<usize>,
    /// How many of them it has had.
    pub held: usize,
    /// How many it may have now.
    pub most: usize,
    /// How many of its levels it gets.
    pub taken: usize,
    /// Cost by weight of its last step.
    pub(super) key: u64,
    /// Entries of slots of more weight come before its steps.
    pub(super) floor: u64,
}

impl Bidder {
    /// Its order among all: weight, then who has something, then index.
    pub fn rank(&self) -> impl Ord + use<> {
        (Reverse(self.weight), self.held == 0, self.slot)
    }

    /// Cost of its next step, if it may have it.
    fn step(&self, levels: &[Level]) -> Option<u64> {
        let levels = &levels[self.levels.clone()];
        let next = levels.get(self.taken).filter(|_| self.taken < self.most)?;
        let before = self.taken.checked_sub(1).map_or(0, |at| levels[at].bps);
        Some(next.bps - before)
    }

    /// Cost of its next step by its weight, never less than that of the one before.
    fn next_key(&self, levels: &[Level]) -> Option<u64> {
        let step = self.step(levels)?.saturating_mul(SCALE) / self.weight;
        let biased = if self.taken < self.held {
            step / 100 * HELD_PERCENT
        } else {
            step
        };
        Some(biased.max(self.key).max(self.floor))
    }

    fn is_modest(&self, levels: &[Level]) -> bool {
        let entry = levels[self.levels.clone()].first();
        let limit = if self.held > 0 {
            MODEST_BPS / 4 * 5
        } else {
            MODEST_BPS
        };
        entry.is_some_and(|entry| entry.bps <= limit)
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Bits per second taken.
    pub used: u64,
    /// The budget at which the first step that did not fit would have.
    pub next: Option<u64>,
}

impl Filled {
    fn take(&mut self, step: u64, budget: u64) -> bool {
        let used = self.used.saturating_add(step);
        let fits = used <= budget;
        if fits {
            self.used = used;
        } else {
            self.next.get_or_insert(used);
        }
        fits
    }
}

/// The next step of a bidder: its key, and his place.
type Next = Reverse<(u64, usize)>;

/// Fills the budget. `bidders` are in order of rank; `heap` is scratch.
pub fn fill(
    bidders: &mut [Bidder],
    levels: &[Level],
    budget: u64,
    heap: &mut BinaryHeap<Next>,
) -> Filled {
    let mut filled = Filled::default();
    let highest = bidders.first().map_or(0, |bidder| bidder.weight);
    let mut all_served = true;
    for bidder in &mut *bidders {
        let is_modest = bidder.is_modest(levels);
        if !is_modest && bidder.weight < highest {
            continue;
        }
        let entry = bidder.step(levels);
        if entry.is_some_and(|entry| filled.take(entry, budget)) {
            bidder.taken = 1;
        } else {
            all_served &= !is_modest;
        }
    }
    if all_served {
        raise(bidders, levels, budget, (&mut filled, heap));
    }
    filled
}

fn raise(
    bidders: &mut [Bidder],
    levels: &[Level],
    budget: u64,
    (filled, heap): (&mut Filled, &mut BinaryHeap<Next>),
) {
    heap.clear();
    let highest = bidders.first().map_or(0, |bidder| bidder.weight);
    // Whose entry was tried among the minima and did not fit stays out.
    let is_in = |bidder: &Bidder| bidder.taken > 0 || bidder.weight < highest;
    set_floors(bidders, levels, is_in);
    for (place, bidder) in bidders.iter().enumerate() {
        if let Some(key) = bidder.next_key(levels).filter(|_| is_in(bidder)) {
            heap.push(Reverse((key, place)));
        }
    }
    while let Some(Reverse((key, place))) = heap.pop() {
        let bidder = &mut bidders[place];
        let Some(step) = bidder.step(levels) else {
            continue;
        };
        if filled.take(step, budget) {
            bidder.key = key;
            bidder.taken += 1;
            if let Some(key) = bidder.next_key(levels) {
                heap.push(Reverse((key, place)));
            }
        }
    }
}

/// Puts everybody's steps behind the entries of slots of more weight that are still to be tried.
fn set_floors(bidders: &mut [Bidder], levels: &[Level], is_in: impl Fn(&Bidder) -> bool) {
    let (mut floor, mut with_equals) = (0, 0);
    let mut weight = u64::MAX;
    for bidder in bidders {
        if bidder.weight != weight {
            weight = bidder.weight;
            floor = with_equals;
        }
        bidder.floor = floor;
        if bidder.taken == 0 && is_in(bidder) {
            with_equals = with_equals.max(bidder.next_key(levels).unwrap_or(0));
        }
    }
}
