//! How much may be sent again to one receiver (`threats-and-faults.md` R4): a NACK is a request, not a right.
//!
//! Per packet: few copies, most of a round trip apart. Per slot: a share of what it sends for the first time, measured over the
//! same second, with a floor that honest loss on a slow stream needs.

use crate::recv::bitrate::RateMeter;
use crate::recv::nack::{DEFAULT_RTT, MAX_RTT, MIN_RETRY};
use crate::time::Micros;

/// Most times that a packet is sent again.
pub const MAX_COPIES: u8 = 3;
/// Retransmitted bytes per 100 bytes of media.
pub const SHARE_PERCENT: u64 = 20;
/// Bytes per second that may be sent again whatever the media rate.
pub const FLOOR_BYTES: u64 = 12_000;

/// Budget of one slot.
#[derive(Clone, Debug)]
pub struct RepairBudget {
    media: RateMeter,
    /// Of a receiver that has lost something.
    repair: Option<Box<RateMeter>>,
    spacing: Micros,
}

impl Default for RepairBudget {
    fn default() -> Self {
        // A receiver whose round trip is not known yet asks every 50 ms or so.
        Self {
            media: RateMeter::default(),
            repair: None,
            spacing: Micros(DEFAULT_RTT.0 / 2),
        }
    }
}

impl RepairBudget {
    /// The receiver's round trip time, as measured. Who asks again after just that may be early by the path's jitter.
    pub fn set_rtt(&mut self, rtt: Micros) {
        self.spacing = Micros(rtt.0 / 4 * 3).clamp(MIN_RETRY, MAX_RTT);
    }

    /// A packet was sent for the first time.
    pub fn on_media(&mut self, bytes: usize, now: Micros) {
        self.media.add(bytes as u64, now);
    }

    /// May a packet be sent again that had so many copies, the last one at `last`?
    pub fn allows_copy(&self, copies: u8, last: Micros, now: Micros) -> bool {
        copies < MAX_COPIES && (copies == 0 || now - last >= self.spacing)
    }

    /// Takes these bytes from the budget, if they are there.
    pub fn take(&mut self, bytes: usize, now: Micros) -> bool {
        let allowed = (self.media.window_sum(now) * SHARE_PERCENT / 100).max(FLOOR_BYTES);
        let repair = self.repair.get_or_insert_default();
        if repair.window_sum(now) + bytes as u64 > allowed {
            return false;
        }
        repair.add(bytes as u64, now);
        true
    }

    /// Bits per second of media and repair together.
    pub fn bps(&mut self, now: Micros) -> u64 {
        let repair = self.repair.as_mut();
        let repair = repair.map_or(0.0, |meter| meter.per_second(now));
        ((self.media.per_second(now) + repair) * 8.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn copies_are_few_and_most_of_a_round_trip_apart() {
        let mut budget = RepairBudget::default();
        budget.set_rtt(Micros::from_millis(80));
        let at = Micros::from_secs(1);
        assert!(
            budget.allows_copy(0, at, at),
            "the first copy needs no waiting"
        );
        assert!(!budget.allows_copy(1, at, at + Micros::from_millis(59)));
        assert!(budget.allows_copy(2, at, at + Micros::from_millis(60)));
        assert!(!budget.allows_copy(3, at, at + Micros::from_secs(9)));
    }

    #[test]
    fn a_lying_round_trip_is_clamped() {
        let mut budget = RepairBudget::default();
        budget.set_rtt(Micros(0));
        assert!(!budget.allows_copy(1, Micros(0), Micros::from_millis(19)));
        budget.set_rtt(Micros::from_secs(1_000));
        assert!(budget.allows_copy(1, Micros(0), Micros::from_secs(1)));
    }

    #[test]
    fn slow_stream_has_the_floor() {
        let mut budget = RepairBudget::default();
        let mut taken = 0;
        while budget.take(100, Micros(0)) {
            taken += 100;
        }
        assert_eq!(taken, FLOOR_BYTES);
        assert!(
            budget.take(100, Micros::from_millis(1_000)),
            "the next second has its own"
        );
    }

    #[test]
    fn honest_loss_is_served_and_a_flood_is_not() {
        // 2 Mbit/s in packets of 1000 bytes; 10 % lost, one in ten of the repairs too.
        let (mut honest, mut flooded) = (RepairBudget::default(), RepairBudget::default());
        let mut refused = 0;
        let mut sent_again = 0;
        for packet in 0..2_500u64 {
            let now = Micros::from_millis(packet * 4);
            honest.on_media(1_000, now);
            flooded.on_media(1_000, now);
            let repairs = u64::from(packet % 10 == 0) + u64::from(packet % 100 == 0);
            refused += (0..repairs).filter(|_| !honest.take(1_000, now)).count();
            sent_again += (0..100).filter(|_| flooded.take(1_000, now)).count();
        }
        assert_eq!(refused, 0);
        assert!(
            sent_again <= 550,
            "20 % of 2500, and the window's edges: {sent_again}"
        );
    }

    proptest! {
        /// In no second, as measured, more than the share or the floor is taken.
        #[test]
        fn never_beyond_the_share(steps in proptest::collection::vec((0u64..50_000, 0usize..1_500, 0usize..20), 1..300)) {
            let mut budget = RepairBudget::default();
            let mut now = Micros(0);
            for (wait, bytes, asks) in steps {
                now = now + Micros(wait);
                budget.on_media(bytes, now);
                for _ in 0..asks {
                    budget.take(1_200, now);
                }
                // Media leaves the window no earlier than the repair that it allowed.
                prop_assert!(budget.repair.get_or_insert_default().window_sum(now) <= FLOOR_BYTES.max(budget.media.total() / 5));
            }
        }
    }
}
