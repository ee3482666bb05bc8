//! Whether the slots of a producer need to choose their encodings anew.
//!
//! A choice depends on what is measured of the producer, and on the slot. Visiting each of thousands of slots four times
//! a second costs more than their packets, so all are visited only while something changes: what is measured, who is
//! in the route, or while some slot waits for a key frame. A single slot is visited at once whenever it is changed itself.

use crate::recv::Measured;
use crate::route::select::{MAX_ENCODINGS, UP_DELAY};
use crate::time::Micros;
use arrayvec::ArrayVec;

/// Slots are visited this long after a change: longer than any decision is delayed.
const RESTLESS: Micros = Micros(2 * UP_DELAY.0);
/// Slots are visited at least this often, for what changes little by little.
const AT_LEAST: Micros = Micros::from_secs(2);
/// Measured values that differ by less than a fifth are the same, and so are rates that differ by less than this: what
/// is measured of a slow stream jumps with every frame.
const TOLERANCE: f64 = 0.2;
const SMALL_BPS: f64 = 50_000.0;
const SMALL_FRAME_RATE: f64 = 3.0;

/// What is known since all slots were visited.
#[derive(Clone, Debug, Default)]
pub struct Reselect {
    unsettled: bool,
    reference: ArrayVec<Measured, MAX_ENCODINGS>,
    restless_until: Micros,
    visited: Micros,
}

impl Reselect {
    /// A slot came to the route, or waits for a key frame.
    pub fn unsettle(&mut self) {
        self.unsettled = true;
    }

    /// Whether all slots must be visited now, by what is measured now.
    pub fn is_due(&mut self, measured: &[Measured], now: Micros) -> bool {
        if !is_same(&self.reference, measured) {
            self.reference = measured.iter().copied().take(MAX_ENCODINGS).collect();
            self.restless_until = now + RESTLESS;
        }
        self.unsettled || now < self.restless_until || now >= self.visited + AT_LEAST
    }

    /// All slots were visited. `waiting`: one of them waits for a key frame.
    pub fn on_visited(&mut self, waiting: bool, now: Micros) {
        self.unsettled = waiting;
        self.visited = now;
    }
}

fn is_same(before: &[Measured], now: &[Measured]) -> bool {
    let pairs = before.iter().zip(now);
    before.len() == now.len() && pairs.fold(true, |same, (a, b)| same && is_near(a, b))
}

fn is_near(a: &Measured, b: &Measured) -> bool {
    let rates = a.frame_rates.iter().zip(&b.frame_rates);
    a.flowing == b.flowing
        && a.size == b.size
        && is_close(a.bitrate_bps as f64, b.bitrate_bps as f64, SMALL_BPS)
        && rates.fold(true, |near, (a, b)| {
            near && is_close((*a).into(), (*b).into(), SMALL_FRAME_RATE)
        })
}

fn is_close(a: f64, b: f64, small: f64) -> bool {
    (a - b).abs() <= small.max(TOLERANCE * a.max(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flowing(bitrate_bps: u64) -> [Measured; 1] {
        [Measured {
            flowing: true,
            bitrate_bps,
            size: Some((640, 360)),
            frame_rates: [30.0; 4],
        }]
    }

    /// One that was visited in steady state at this time.
    fn settled(at: Micros) -> Reselect {
        let mut reselect = Reselect::default();
        assert!(reselect.is_due(&flowing(1_000_000), at - RESTLESS));
        reselect.on_visited(false, at);
        reselect
    }

    const AT: Micros = Micros::from_secs(100);
    const SOON: Micros = Micros(AT.0 + 250_000);

    #[test]
    fn nothing_new_needs_no_visit_for_a_while() {
        let mut reselect = settled(AT);
        assert!(!reselect.is_due(&flowing(1_150_000), SOON));
        assert!(reselect.is_due(&flowing(1_000_000), AT + AT_LEAST));
    }

    #[test]
    fn what_is_measured_keeps_it_restless() {
        let mut silent = flowing(1_000_000);
        silent[0].flowing = false;
        let mut larger = flowing(1_000_000);
        larger[0].size = Some((1_280, 720));
        let mut slower = flowing(1_000_000);
        slower[0].frame_rates[1] = 15.0;
        for changed in [silent, larger, slower, flowing(1_300_000)] {
            let mut reselect = settled(AT);
            assert!(reselect.is_due(&changed, SOON));
            reselect.on_visited(false, SOON);
            assert!(
                reselect.is_due(&changed, SOON + UP_DELAY),
                "the delayed choice"
            );
            reselect.on_visited(false, SOON + RESTLESS);
            assert!(!reselect.is_due(&changed, SOON + RESTLESS));
        }
    }

    #[test]
    fn a_slot_that_waits_is_asked_for_again() {
        let mut reselect = settled(AT);
        reselect.unsettle();
        assert!(reselect.is_due(&flowing(1_000_000), SOON));
        reselect.on_visited(true, SOON);
        assert!(reselect.is_due(&flowing(1_000_000), SOON));
        reselect.on_visited(false, SOON);
        assert!(!reselect.is_due(&flowing(1_000_000), SOON));
    }
}
