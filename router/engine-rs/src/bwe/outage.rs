//! Silence of a receiver that gave feedback before: he, or the path to him or from him, is gone for a while.
//!
//! What is sent meanwhile piles up or is lost, so the rate is cut, again and again. When he is back, nothing says that the
//! path has become worse: the rate from before is what to probe for.

use crate::time::Micros;

/// Feedback comes each 50 to 250 ms; a silence of so long beyond the round trip is no accident.
const SILENCE: Micros = Micros::from_millis(1_000);
/// Then the rate is cut, and again after each of these.
const STEP: Micros = Micros::from_millis(500);
const FIRST_CUT: f64 = 0.5;
const NEXT_CUT: f64 = 0.7;
/// Never below this share of what it was.
const MIN_SHARE: f64 = 0.1;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outage {
    /// When the first packet was sent since the last feedback.
    unanswered_since: Option<Micros>,
    current: Option<Silence>,
}

#[derive(Clone, Copy, Debug)]
struct Silence {
    rate_before: f64,
    next_cut: Micros,
}

impl Outage {
    /// A packet is sent.
    #[inline]
    pub fn on_sent(&mut self, now: Micros) {
        if self.unanswered_since.is_none() {
            self.unanswered_since = Some(now);
        }
    }

    /// Feedback came; the rate from before an outage that it ends.
    pub fn on_feedback(&mut self) -> Option<f64> {
        self.unanswered_since = None;
        self.current.take().map(|silence| silence.rate_before)
    }

    /// There is one.
    pub const fn is_on(&self) -> bool {
        self.current.is_some()
    }

    /// When [`Self::tick`] has something to do.
    pub fn deadline(&self, round_trip: Micros) -> Option<Micros> {
        match self.current {
            Some(silence) => Some(silence.next_cut),
            None => Some(self.unanswered_since? + SILENCE + round_trip),
        }
    }

    /// The rate after a cut, when one is due.
    pub fn tick(&mut self, now: Micros, round_trip: Micros, rate: f64) -> Option<f64> {
        if self
            .deadline(round_trip)
            .is_none_or(|deadline| now < deadline)
        {
            return None;
        }
        let share = if self.is_on() { NEXT_CUT } else { FIRST_CUT };
        let silence = self.current.get_or_insert(Silence {
            rate_before: rate,
            next_cut: now,
        });
        silence.next_cut = now + STEP;
        Some((share * rate).max(MIN_SHARE * silence.rate_before))
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact by construction")]
mod tests {
    use super::*;

    const RTT: Micros = Micros::from_millis(100);

    #[test]
    fn silence_cuts_step_by_step_and_remembers() {
        let mut outage = Outage::default();
        assert_eq!(outage.deadline(RTT), None, "nothing sent, nothing expected");
        outage.on_sent(Micros::from_secs(5));
        outage.on_sent(Micros::from_secs(6));
        assert_eq!(outage.tick(Micros::from_millis(6_099), RTT, 2e6), None);
        assert_eq!(outage.tick(Micros::from_millis(6_100), RTT, 2e6), Some(1e6));
        assert_eq!(outage.tick(Micros::from_millis(6_200), RTT, 1e6), None);
        assert_eq!(
            outage.tick(Micros::from_millis(6_600), RTT, 1e6),
            Some(0.7e6)
        );
        let mut rate = 0.7e6;
        for half in 0..100 {
            let now = Micros::from_millis(7_100 + 500 * half);
            rate = outage.tick(now, RTT, rate).expect("due");
        }
        assert_eq!(rate, 0.2e6);
        assert_eq!(outage.on_feedback(), Some(2e6));
        assert_eq!(outage.on_feedback(), None);
        assert!(!outage.is_on());
    }
}
