//! What receivers say that send no feedback on packets: REMB (draft-alvestrand-rmcat-remb-03) and the losses of receiver
//! reports (RFC 3550 section 6.4), with the bounds of draft-ietf-rmcat-gcc-02 section 6.

use crate::time::Micros;

/// A REMB comes each second; an older one is no longer meant.
const REMB_LIFETIME: Micros = Micros::from_secs(10);
/// The reports of this time make one decision.
const PERIOD: Micros = Micros::from_secs(1);
/// Fewer losses let the rate grow, more lower it.
const LOW: f64 = 0.02;
const HIGH: f64 = 0.1;
/// Growth in a period: by losses alone, and towards a REMB, which has looked at the delay too.
const GROWTH: f64 = 1.08;
const GROWTH_TO_REMB: f64 = 1.5;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Reports {
    remb: Option<(f64, Micros)>,
    rate: f64,
    losses: f64,
    count: u32,
    since: Micros,
}

impl Reports {
    /// Nothing is limited until a report or a REMB says so.
    pub const fn new(now: Micros) -> Self {
        Self {
            remb: None,
            rate: f64::INFINITY,
            losses: 0.0,
            count: 0,
            since: now,
        }
    }

    /// The receiver names the most it can take.
    pub const fn on_remb(&mut self, bps: f64, now: Micros) {
        self.remb = Some((bps, now));
    }

    /// Something limits the rate.
    pub const fn limits(&self) -> bool {
        self.rate.is_finite() || self.remb.is_some()
    }

    /// A report block's share of packets lost; `wanted` is what could be used, `sent` what is sent.
    pub fn on_report(&mut self, loss: f64, now: Micros, (wanted, sent): (f64, f64)) {
        self.losses += loss;
        self.count += 1;
        if now - self.since < PERIOD {
            return;
        }
        let loss = self.losses / f64::from(self.count);
        (self.losses, self.count, self.since) = (0.0, 0, now);
        let remb = self.remb(now);
        let growth = if remb.is_some() {
            GROWTH_TO_REMB
        } else {
            GROWTH
        };
        if loss > HIGH {
            self.rate = self.rate.min(sent) * (1.0 - 0.5 * loss);
        } else if loss < LOW {
            // What was allowed before stays: less being wanted is no congestion.
            let grown = (growth * self.rate).min(remb.unwrap_or(wanted));
            self.rate = self.rate.max(grown);
        }
    }

    /// The receiver's REMB, if it is still meant.
    pub fn remb(&self, now: Micros) -> Option<f64> {
        let (bps, at) = self.remb?;
        (now - at < REMB_LIFETIME).then_some(bps)
    }

    /// The rate for a receiver that says nothing else.
    pub fn rate(&self, now: Micros) -> f64 {
        self.remb(now).map_or(self.rate, |remb| remb.min(self.rate))
    }

    /// Keeps a rate that is limited within limits.
    pub const fn clamp(&mut self, min: f64, max: f64) {
        if self.rate.is_finite() {
            self.rate = self.rate.clamp(min, max);
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact by construction")]
mod tests {
    use super::*;

    const SENT: f64 = 1e6;

    fn seconds(reports: &mut Reports, from: u64, count: u64, loss: f64, limit: f64) -> f64 {
        for second in from..from + count {
            let now = Micros::from_secs(second);
            reports.on_report(loss, now, (limit, reports.rate.min(SENT)));
        }
        reports.rate(Micros::from_secs(from + count - 1))
    }

    #[test]
    fn losses_lower_hold_and_let_grow() {
        let mut reports = Reports::new(Micros(0));
        assert_eq!(seconds(&mut reports, 1, 10, 0.05, 9e6), f64::INFINITY);
        assert!(!reports.limits(), "as much as there is");
        assert!(seconds(&mut reports, 11, 5, 0.2, 9e6) < 0.6e6);
        assert!(reports.limits());
        let grown = seconds(&mut reports, 16, 100, 0.0, 1.5e6);
        assert_eq!(grown, 1.5e6, "up to what is wanted");
    }

    #[test]
    fn remb_is_followed_down_at_once_and_up_within_seconds() {
        let mut reports = Reports::new(Micros(0));
        seconds(&mut reports, 1, 9, 0.2, 9e6);
        reports.on_remb(1e5, Micros::from_secs(10));
        assert_eq!(reports.rate(Micros::from_secs(10)), 1e5);
        reports.on_remb(2e6, Micros::from_secs(11));
        assert_eq!(seconds(&mut reports, 11, 6, 0.0, 9e6), 2e6);
        assert_eq!(reports.remb(Micros::from_secs(21)), None, "no longer meant");
    }

    #[test]
    fn reports_of_one_second_are_one_decision() {
        let mut reports = Reports::new(Micros(0));
        for n in 0..50 {
            reports.on_report(0.5, Micros::from_millis(n), (9e6, SENT));
        }
        assert!(!reports.limits());
    }
}
