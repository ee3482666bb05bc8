//! How much feedback of one receiver is looked at: each packet that it names costs work, and he may name thousands in a few
//! bytes, as often as he likes.

use crate::time::Micros;

/// A message costs this and one for each packet that it covers.
const MESSAGE: u64 = 20;
/// Earned in a second: 20 messages of 1,000 packets, some times what an honest receiver of 20 Mbit/s says.
const PER_SECOND: u64 = 20_000;
/// Saved at most: the largest message.
const MAX: u64 = 10_000;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct FeedbackBudget {
    saved: u64,
    refilled: Micros,
}

impl FeedbackBudget {
    /// A full one.
    pub const fn new(now: Micros) -> Self {
        Self {
            saved: MAX,
            refilled: now,
        }
    }

    /// Pays for a message, if it can.
    pub fn pay(&mut self, now: Micros, packets: usize) -> bool {
        let earned = (now - self.refilled).0.saturating_mul(PER_SECOND) / 1_000_000;
        if earned > 0 {
            self.saved = self.saved.saturating_add(earned).min(MAX);
            self.refilled = now;
        }
        let cost = MESSAGE + packets as u64;
        let payable = self.saved >= cost;
        if payable {
            self.saved -= cost;
        }
        payable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn honest_feedback_is_paid_for_and_a_flood_is_not() {
        let mut budget = FeedbackBudget::new(Micros(0));
        assert!((1..1_000).all(|n| budget.pay(Micros::from_millis(50 * n), 250)));
        let now = Micros::from_secs(100);
        let paid = (0..100_000_u64).filter(|n| budget.pay(now + Micros(10 * n), 8_000));
        assert!(paid.count() <= 4);
        let now = Micros::from_secs(200);
        let paid = (0..100_000_u64).filter(|n| budget.pay(now + Micros(10 * n), 0));
        assert!(paid.count() <= 1_600, "small ones in a second");
    }

    #[test]
    fn the_largest_message_can_be_paid() {
        let mut budget = FeedbackBudget::new(Micros(0));
        assert!(budget.pay(Micros(0), crate::wire::rtcp::transport_cc::MAX_STATUSES));
    }
}
