//! How values of many streams are spread, without naming any: counts by fixed upper bounds, and their sum.

/// Upper bounds of round trips in seconds.
pub const ROUND_TRIP_BOUNDS_S: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 2.0];
/// Upper bounds of interarrival jitter in seconds.
pub const JITTER_BOUNDS_S: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.5];
/// Upper bounds of the part of packets lost for good.
pub const LOSS_BOUNDS: [f64; 9] = [0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// Counts by nine bounds; what is above all of them comes last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// By upper bound, each without those below.
    pub buckets: [u64; 10],
    /// The sum, in millionths.
    pub sum_micro: u64,
}

impl Spread {
    /// Adds a value that is not negative.
    pub fn count(&mut self, bounds: &[f64; 9], value: f64) {
        self.buckets[bounds.partition_point(|bound| *bound < value)] += 1;
        self.sum_micro = self.sum_micro.saturating_add((value * 1e6) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_the_bucket_of_their_upper_bound() {
        let mut spread = Spread::default();
        for value in [0.0, 0.001, 0.0011, 0.5, 0.75, f64::MAX] {
            spread.count(&LOSS_BOUNDS, value);
        }
        assert_eq!(spread.buckets, [1, 1, 1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(spread.sum_micro, u64::MAX);
    }
}
