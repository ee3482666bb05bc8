//! Whether the slots of a producer need to choose their encodings anew.
//!
//! A choice depends on what is measured of the producer, and on the slot. Visiting each of thousands of slots four times
//! a second costs more than their packets, so all are visited only while something changes: what is measured, who is
//! in the route, or while some slot waits for a key frame. A single slot is visited at once whenever it is changed itself.

use crate::route::ladder::{Ladder, Rung};
use crate::route::select::UP_DELAY;
use crate::time::Micros;

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
    reference: Ladder,
    restless_until: Micros,
    visited: Micros,
}

impl Reselect {
    /// A slot came to the route, or waits for a key frame.
    pub fn unsettle(&mut self) {
        self.unsettled = true;
    }

    /// Whether all slots must be visited now, by what is measured now.
    pub fn is_due(&mut self, ladder: &Ladder, now: Micros) -> bool {
        if !is_same(&self.reference, ladder) {
            self.reference = ladder.clone();
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

fn is_same(before: &Ladder, now: &Ladder) -> bool {
    let (before, now) = (before.rungs(), now.rungs());
    before.len() == now.len() && before.iter().zip(now).all(|(a, b)| is_near(a, b))
}

fn is_near(a: &Rung, b: &Rung) -> bool {
    let layer = |rung: &Rung| (rung.encoding, rung.spatial, rung.temporal, rung.size);
    layer(a) == layer(b)
        && is_close(a.bps as f64, b.bps as f64, SMALL_BPS)
        && is_close(a.frame_rate.into(), b.frame_rate.into(), SMALL_FRAME_RATE)
}

fn is_close(a: f64, b: f64, small: f64) -> bool {
    (a - b).abs() <= small.max(TOLERANCE * a.max(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recv::Measured;
    use crate::recv::layer_meter::MeasuredLayer;

    const CAMERA: MeasuredLayer = MeasuredLayer {
        spatial: 0,
        temporal: None,
        bps: 1_000_000,
        frame_rate: 30.0,
        size: Some((640, 360)),
    };

    fn ladder(layers: &[MeasuredLayer]) -> Ladder {
        Ladder::new(&[Measured {
            flowing: !layers.is_empty(),
            layers: layers.iter().copied().collect(),
        }])
    }

    /// One that was visited in steady state at this time.
    fn settled(at: Micros) -> Reselect {
        let mut reselect = Reselect::default();
        assert!(reselect.is_due(&ladder(&[CAMERA]), at - RESTLESS));
        reselect.on_visited(false, at);
        reselect
    }

    const AT: Micros = Micros::from_secs(100);
    const SOON: Micros = Micros(AT.0 + 250_000);

    #[test]
    fn nothing_new_needs_no_visit_for_a_while() {
        let mut reselect = settled(AT);
        let wavers = MeasuredLayer {
            bps: 1_150_000,
            frame_rate: 28.0,
            ..CAMERA
        };
        assert!(!reselect.is_due(&ladder(&[wavers]), SOON));
        assert!(reselect.is_due(&ladder(&[CAMERA]), AT + AT_LEAST));
    }

    #[test]
    fn what_is_measured_keeps_it_restless() {
        let larger = MeasuredLayer {
            size: Some((1_280, 720)),
            ..CAMERA
        };
        let slower = MeasuredLayer {
            frame_rate: 15.0,
            ..CAMERA
        };
        let richer = MeasuredLayer {
            bps: 1_300_000,
            ..CAMERA
        };
        for changed in [&[][..], &[larger], &[slower], &[richer]] {
            let (mut reselect, changed) = (settled(AT), ladder(changed));
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
        let (mut reselect, camera) = (settled(AT), ladder(&[CAMERA]));
        reselect.unsettle();
        assert!(reselect.is_due(&camera, SOON));
        reselect.on_visited(true, SOON);
        assert!(reselect.is_due(&camera, SOON));
        reselect.on_visited(false, SOON);
        assert!(!reselect.is_due(&camera, SOON));
    }
}
