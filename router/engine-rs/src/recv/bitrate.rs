//! Rates over a sliding window: so much per second of anything.
//!
//! The window is a ring of buckets, so that adding costs nothing and no packet is remembered.

use crate::time::Micros;

/// Buckets of the window.
pub const BUCKETS: usize = 10;
/// Length of one.
pub const BUCKET: Micros = Micros::from_millis(100);

/// Length of the window.
pub const WINDOW: Micros = Micros(BUCKET.0 * BUCKETS as u64);

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

    /// The sum per second. In the first second after the start it is over the time since then, at least two buckets.
    pub fn per_second(&mut self, now: Micros) -> f64 {
        self.slide(now);
        let Some(started) = self.started else {
            return 0.0;
        };
        let span = (now - started).clamp(BUCKET + BUCKET, WINDOW);
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

/// Bits per second.
#[derive(Clone, Copy, Debug, Default)]
pub struct BitrateMeter(RateMeter);

impl BitrateMeter {
    /// Counts a packet of this many bytes.
    pub fn add(&mut self, bytes: usize, now: Micros) {
        self.0.add(bytes as u64, now);
    }

    /// Bits per second over the window.
    pub fn bps(&mut self, now: Micros) -> u64 {
        (self.0.per_second(now) * 8.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steady_stream_is_measured() {
        let mut meter = BitrateMeter::default();
        for ms in 0..5_000u64 {
            meter.add(125, Micros::from_millis(ms));
        }
        let bps = meter.bps(Micros::from_millis(5_000));
        assert!((900_000..=1_100_000).contains(&bps), "{bps}");
    }

    #[test]
    fn start_is_not_diluted_and_one_packet_is_not_blown_up() {
        let mut meter = BitrateMeter::default();
        for ms in 0..300u64 {
            meter.add(125, Micros::from_millis(1_000 + ms));
        }
        let bps = meter.bps(Micros::from_millis(1_300));
        assert!((900_000..=1_100_000).contains(&bps), "{bps}");
        let mut single = BitrateMeter::default();
        single.add(1_000, Micros::from_millis(77));
        assert_eq!(single.bps(Micros::from_millis(77)), 40_000);
    }

    #[test]
    fn silence_empties_the_window() {
        let mut meter = BitrateMeter::default();
        meter.add(1_000, Micros::from_millis(50));
        assert!(meter.bps(Micros::from_millis(999)) > 0);
        assert_eq!(meter.bps(Micros::from_millis(1_000)), 0);
        assert_eq!(meter.bps(Micros::from_secs(1_000_000)), 0);
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
