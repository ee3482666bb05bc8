//! Additive increase, multiplicative decrease (draft-ietf-rmcat-gcc-02 section 5.5): the rate that the delay allows.
//!
//! Far from where the link was last found full the rate grows by 8 % a second, near it by about one packet a round trip, and
//! never far beyond what arrives. Overuse sets it a little below what arrives.

use crate::time::Micros;

/// What is left of the acknowledged rate on overuse (the draft's beta).
const BETA: f64 = 0.85;
/// Growth in a second far from the limit.
const GROWTH: f64 = 1.08;
/// The rate may be this much more than what arrives, so that a source may take its next step.
const MAX_OVER_ACKED: f64 = 1.5;
const MAX_OVER_ACKED_BPS: f64 = 10_000.0;
/// Near the limit: one packet of this size for a round trip and the time that overuse takes to show, and for rates that this
/// would take minutes to change, so much of them in a second.
const PACKET_BITS: f64 = 9_600.0;
const RESPONSE_TIME: Micros = Micros::from_millis(100);
const MIN_GROWTH: f64 = 0.02;
/// The limit found is forgotten when more arrives and no overuse has come for so long. Sooner, whoever has the larger part
/// of a shared link would grow by it, and the other by packets.
const QUIET: Micros = Micros::from_secs(5);
/// A longer time since the last change is taken as this.
const MAX_STEP: Micros = Micros::from_secs(1);
/// Between two decreases there is a round trip, within these limits.
const DECREASE_GAP: (Micros, Micros) = (Micros::from_millis(10), Micros::from_millis(200));

/// Where the link was found full: mean of the acknowledged rates at overuse, and their deviation.
#[derive(Clone, Copy, Debug, Default)]
struct LinkCapacity {
    mean: Option<f64>,
    /// Variance divided by the mean, in bits per second (libwebrtc's `link_capacity_estimator.cc`).
    variance: f64,
}

impl LinkCapacity {
    const WEIGHT: f64 = 0.05;
    const VARIANCE: (f64, f64) = (400.0, 2_500.0);

    fn update(&mut self, acked: f64) {
        let mean = self.mean.get_or_insert(acked);
        *mean += Self::WEIGHT * (acked - *mean);
        let error = *mean - acked;
        self.variance += Self::WEIGHT * (error * error / mean.max(1.0) - self.variance);
        self.variance = self.variance.clamp(Self::VARIANCE.0, Self::VARIANCE.1);
    }

    /// Three deviations around the mean.
    fn range(&self) -> Option<(f64, f64)> {
        let mean = self.mean?;
        let width = 3.0 * (self.variance * mean).sqrt();
        Some((mean - width, mean + width))
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Aimd {
    target: f64,
    changed_at: Micros,
    decreased_at: Option<Micros>,
    capacity: LinkCapacity,
}

impl Aimd {
    /// Starts at a rate.
    pub fn new(now: Micros, start_bps: f64) -> Self {
        Self {
            target: start_bps,
            changed_at: now,
            decreased_at: None,
            capacity: LinkCapacity::default(),
        }
    }

    /// Bits per second.
    pub const fn target(&self) -> f64 {
        self.target
    }

    /// The delay is steady.
    pub fn increase(&mut self, now: Micros, acked: Option<f64>, round_trip: Micros) {
        let elapsed = (now - self.changed_at).min(MAX_STEP).as_secs_f64();
        self.changed_at = now;
        let Some(acked) = acked else { return };
        let quiet = self.decreased_at.is_none_or(|at| now - at > QUIET);
        let (_, upper) = self.capacity.range().unwrap_or_default();
        if quiet && acked > upper {
            self.capacity = LinkCapacity::default();
        }
        let grown = if self.capacity.mean.is_some() {
            let response = (round_trip + RESPONSE_TIME).as_secs_f64();
            self.target + (PACKET_BITS / response).max(MIN_GROWTH * self.target) * elapsed
        } else {
            self.target * GROWTH.powf(elapsed)
        };
        let limit = MAX_OVER_ACKED * acked + MAX_OVER_ACKED_BPS;
        self.target = grown.min(limit.max(self.target));
    }

    /// The queue shrinks: nothing is changed, and the time does not count.
    pub const fn hold(&mut self, now: Micros) {
        self.changed_at = now;
    }

    /// The queue grows while `acked` arrives. Does nothing, and says so, while an earlier decrease cannot have shown yet.
    pub fn decrease(&mut self, now: Micros, acked: Option<f64>, round_trip: Micros) -> bool {
        let gap = round_trip.clamp(DECREASE_GAP.0, DECREASE_GAP.1);
        let waited = self.decreased_at.is_none_or(|at| now - at >= gap);
        let collapsed = acked.is_some_and(|acked| acked < 0.5 * self.target);
        if !waited && !collapsed {
            return false;
        }
        // Before anything is known of what arrives, the rate itself is all there is.
        let acked = acked.unwrap_or(self.target);
        if self
            .capacity
            .range()
            .is_some_and(|(lower, _)| acked < lower)
        {
            self.capacity = LinkCapacity::default();
        }
        self.capacity.update(acked);
        self.target = self.target.min(BETA * acked);
        self.changed_at = now;
        self.decreased_at = Some(now);
        true
    }

    /// Something else, a probe or an outage, tells the rate.
    pub const fn set(&mut self, now: Micros, bps: f64) {
        self.target = bps;
        self.changed_at = now;
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact by construction")]
mod tests {
    use super::*;

    const RTT: Micros = Micros::from_millis(50);

    fn grow(aimd: &mut Aimd, from: Micros, seconds: u64, acked: impl Fn(f64) -> f64) -> Micros {
        let mut now = from;
        for _ in 0..10 * seconds {
            now = now + Micros::from_millis(100);
            aimd.increase(now, Some(acked(aimd.target())), RTT);
        }
        now
    }

    #[test]
    fn grows_by_eight_percent_and_never_far_beyond_what_arrives() {
        let mut aimd = Aimd::new(Micros(0), 1e6);
        let now = grow(&mut aimd, Micros(0), 10, |target| target);
        assert!((aimd.target() / 1e6 - GROWTH.powi(10)).abs() < 0.01);
        grow(&mut aimd, now, 60, |_| 1e6);
        assert!(
            (aimd.target() - 2.159e6).abs() < 1e4,
            "what was allowed stays"
        );
        let mut aimd = Aimd::new(Micros(0), 1e6);
        grow(&mut aimd, Micros(0), 60, |_| 1e6);
        assert_eq!(aimd.target(), 1.51e6);
    }

    #[test]
    fn near_the_limit_grows_by_packets() {
        let mut aimd = Aimd::new(Micros(0), 2e6);
        assert!(aimd.decrease(Micros::from_secs(1), Some(1.9e6), RTT));
        assert!((aimd.target() - 0.85 * 1.9e6).abs() < 1.0);
        let before = aimd.target();
        grow(&mut aimd, Micros::from_secs(1), 1, |target| target);
        let grown = aimd.target() - before;
        assert!((grown - 9_600.0 / 0.15).abs() < 2_000.0, "{grown}");
        // More arrives: soon after overuse it was a neighbour's, later the limit is another one.
        for (at, growth) in [(2, 0.064), (8, 0.24)] {
            aimd.set(Micros::from_secs(at), 3e6);
            grow(&mut aimd, Micros::from_secs(at), 1, |target| target);
            let grown = aimd.target() - 3e6;
            assert!((grown - growth * 1e6).abs() < 1e4, "{at} s: {grown}");
        }
    }

    #[test]
    fn one_decrease_a_round_trip_unless_it_got_much_worse() {
        let mut aimd = Aimd::new(Micros(0), 2e6);
        let at = Micros::from_secs(1);
        assert!(aimd.decrease(at, Some(1.5e6), RTT));
        assert!(!aimd.decrease(at + Micros::from_millis(20), Some(1.2e6), RTT));
        assert!(aimd.decrease(at + Micros::from_millis(20), Some(0.5e6), RTT));
        assert!((aimd.target() - 0.425e6).abs() < 1.0);
        // What arrives more than the rate, out of a queue, is no reason for more.
        assert!(aimd.decrease(at + Micros::from_secs(1), Some(3e6), RTT));
        assert!((aimd.target() - 0.425e6).abs() < 1.0);
    }
}
