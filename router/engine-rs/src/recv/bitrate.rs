//! Rates over a sliding window: so much per second of anything.
//!
//! The window is a ring of buckets, so that adding costs nothing and no packet is remembered.

use crate::time::Micros;

/// Buckets of the window.
pub const BUCKETS: usize = 10;
/// Length of one.
pub const BUCKET: Micros = Micros::from_millis(100);

/// Length of the window.
const WINDOW: Micros = Micros(BUCKET.0 * BUCKETS as u64);

/// A sum per second over the last [`WINDOW`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RateMeter {
    buckets: [u64; BUCKETS],
    /// Index of the newest bucket, counted since time zero.
    newest: u64,
    sum: u64,
    total: u64,
    started: Option<Micros>,
}

impl RateMeter {
    /// Adds an amount now.
    pub fn add(&mut self, amount: u64, now: Micros) {
        self.slide(now);
        self.started.get_or_insert(now);
        self.buckets[(self.newest % BUCKETS as u64) as usize] += amount;
        self.sum += amount;
        self.total += amount;
    }

    /// The sum per second, over what is in the buckets. In the first second after the start it is over the time since then,
    /// at least two buckets.
    pub fn per_second(&mut self, now: Micros) -> f64 {
        self.slide(now);
        let Some(started) = self.started else {
            return 0.0;
        };
        let span = (now - started).clamp(BUCKET + BUCKET, counted(now));
        self.sum as f64 / span.as_secs_f64()
    }

    /// The sum over the window.
    pub fn window_sum(&mut self, now: Micros) -> u64 {
        self.slide(now);
        self.sum
    }

    /// Everything added so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    fn slide(&mut self, now: Micros) {
        let newest = now.0 / BUCKET.0;
        if newest <= self.newest {
            return;
        }
        if newest - self.newest >= BUCKETS as u64 {
            self.buckets = [0; BUCKETS];
            self.sum = 0;
        } else {
            for passed in self.newest + 1..=newest {
                let bucket = &mut self.buckets[(passed % BUCKETS as u64) as usize];
                self.sum -= std::mem::take(bucket);
            }
        }
        self.newest = newest;
    }
}

/// The time that the buckets cover. The newest has just begun: counted as a whole one it would make all rates waver by a
/// tenth.
pub fn counted(now: Micros) -> Micros {
    WINDOW - BUCKET + Micros(now.0 % BUCKET.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steady_stream_reads_the_same_at_any_moment() {
        let mut meter = RateMeter::default();
        for ms in 0..5_000u64 {
            let now = Micros::from_millis(ms);
            meter.add(125, now);
            let rate = meter.per_second(now);
            let settled = ms >= 1_000;
            assert!(
                !settled || (124_000.0..127_000.0).contains(&rate),
                "{rate} at {ms}"
            );
        }
    }

    #[test]
    fn start_is_not_diluted_and_one_packet_is_not_blown_up() {
        let mut meter = RateMeter::default();
        for ms in 0..300u64 {
            meter.add(125, Micros::from_millis(1_000 + ms));
        }
        let rate = meter.per_second(Micros::from_millis(1_300));
        assert!((112_000.0..138_000.0).contains(&rate), "{rate}");
        let mut single = RateMeter::default();
        single.add(1_000, Micros::from_millis(77));
        assert!((single.per_second(Micros::from_millis(77)) - 5_000.0).abs() < 1.0);
    }

    #[test]
    fn silence_empties_the_window() {
        let mut meter = RateMeter::default();
        meter.add(1_000, Micros::from_millis(50));
        assert!(meter.per_second(Micros::from_millis(999)) > 0.0);
        assert_eq!(meter.window_sum(Micros::from_millis(1_000)), 0);
        assert_eq!(meter.window_sum(Micros::from_secs(1_000_000)), 0);
    }

    proptest! {
        /// The window's sum equals that of the amounts whose bucket is still inside.
        #[test]
        fn sum_matches_a_model(adds in proptest::collection::vec((0u64..400_000, 0u64..10_000), 1..200)) {
            let mut meter = RateMeter::default();
            let mut model = Vec::new();
            let mut now = Micros(0);
            for (wait, amount) in adds {
                now = now + Micros(wait);
                meter.add(amount, now);
                model.push((now.0 / BUCKET.0, amount));
                let newest = now.0 / BUCKET.0;
                let sum: u64 =
                    model.iter().filter(|(bucket, _)| newest - bucket < BUCKETS as u64).map(|(_, amount)| amount).sum();
                prop_assert_eq!(meter.sum, sum);
            }
        }
    }
}
