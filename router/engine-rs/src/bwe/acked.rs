//! The acknowledged bitrate: what arrived, by the receiver's clock, over a sliding half second.
//!
//! Frames leave in bursts, so a short window over a link that is not full sees now one frame and now two. It is right once
//! the link is full and spaces the packets itself, which is when a decrease asks for it.

/// Bytes are counted in buckets of this width.
const BUCKET_US: i64 = 25_000;
const BUCKETS: usize = 20;
/// Buckets of the short window: 200 ms.
const SHORT: i64 = 8;
/// Shorter spans make no rate.
const MIN_SPAN_US: i64 = 100_000;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Acked {
    buckets: [u32; BUCKETS],
    /// Number of the newest bucket since the receiver's clock's origin; `None` before the first arrival.
    newest: Option<i64>,
    first_arrival: i64,
    last_arrival: i64,
}

impl Acked {
    /// A packet arrived.
    pub fn on_arrival(&mut self, arrived_at: i64, bytes: u32) {
        let bucket = arrived_at.div_euclid(BUCKET_US);
        let newest = *self.newest.get_or_insert_with(|| {
            self.first_arrival = arrived_at;
            self.last_arrival = arrived_at;
            bucket
        });
        let ahead = bucket.saturating_sub(newest);
        if ahead <= -(BUCKETS as i64) {
            return;
        }
        for step in 1..=ahead.min(BUCKETS as i64) {
            self.buckets[index(newest.saturating_add(step))] = 0;
        }
        if ahead >= BUCKETS as i64 {
            // A pause: what came before it is no part of the rate.
            self.buckets = [0; BUCKETS];
            self.first_arrival = arrived_at;
        }
        self.newest = Some(newest.max(bucket));
        let place = &mut self.buckets[index(bucket)];
        *place = place.saturating_add(bytes);
        self.last_arrival = self.last_arrival.max(arrived_at);
    }

    /// Bits per second over half a second; `None` until there is enough to tell.
    pub fn rate(&self) -> Option<f64> {
        self.over(BUCKETS as i64)
    }

    /// Bits per second over the last 200 ms.
    pub fn short_rate(&self) -> Option<f64> {
        self.over(SHORT)
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn over(&self, count: i64) -> Option<f64> {
        let newest = self.newest?;
        let oldest = newest.saturating_sub(count - 1);
        let began = oldest.saturating_mul(BUCKET_US).max(self.first_arrival);
        let span_us = self.last_arrival.saturating_sub(began);
        if span_us < MIN_SPAN_US {
            return None;
        }
        let bytes: u64 = (oldest..=newest)
            .map(|bucket| u64::from(self.buckets[index(bucket)]))
            .sum();
        Some(bytes as f64 * 8e6 / span_us as f64)
    }
}

fn index(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1,000 bytes each `gap_us`, from a clock before its origin.
    fn steady(acked: &mut Acked, from_us: i64, gap_us: i64, count: i64) {
        for number in 0..count {
            acked.on_arrival(from_us + number * gap_us, 1_000);
        }
    }

    fn assert_near(rate: Option<f64>, expected: f64) {
        let rate = rate.expect("a rate");
        assert!(
            (rate - expected).abs() < 0.08 * expected,
            "{rate} {expected}"
        );
    }

    #[test]
    fn rate_of_a_steady_stream_and_of_what_it_became() {
        let mut acked = Acked::default();
        steady(&mut acked, -1_000_000, 4_000, 20);
        assert_eq!(acked.rate(), None, "80 ms are too few");
        steady(&mut acked, -920_000, 4_000, 280);
        assert_near(acked.rate(), 2e6);
        steady(&mut acked, 200_000, 16_000, 16);
        assert_near(acked.short_rate(), 5e5);
        assert!(acked.rate().expect("a rate") > 9e5);
    }

    #[test]
    fn pause_is_no_part_of_the_rate() {
        let mut acked = Acked::default();
        steady(&mut acked, 0, 4_000, 500);
        steady(&mut acked, 60_000_000, 4_000, 50);
        assert_near(acked.rate(), 2e6);
    }

    #[test]
    fn late_arrivals_count_and_ancient_ones_do_not() {
        let mut acked = Acked::default();
        steady(&mut acked, 0, 4_000, 250);
        let before = acked.rate().expect("a rate");
        acked.on_arrival(-1_000_000, 1_000_000);
        assert_eq!(acked.rate(), Some(before));
        acked.on_arrival(900_000, 10_000);
        assert!(acked.rate().expect("a rate") > before);
    }

    #[test]
    fn extreme_times_do_not_panic() {
        let mut acked = Acked::default();
        for at in [i64::MIN, i64::MAX, 0, -1, i64::MAX - 1, i64::MIN] {
            acked.on_arrival(at, u32::MAX);
            let _ = (acked.rate(), acked.short_rate());
        }
    }
}
