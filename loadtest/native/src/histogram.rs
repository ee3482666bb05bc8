//! A logarithmic histogram in the manner of `HdrHistogram`: values keep 5 bits, so a percentile is at most 3.2 % high.

const SUB_BITS: u32 = 5;
const SUB: usize = 1 << SUB_BITS;
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUB;

/// Counts of nanoseconds, or of any other unit.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS].into_boxed_slice(),
            total: 0,
            max: 0,
        }
    }
}

fn index_of(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let shift = value.ilog2() - SUB_BITS;
    (shift as usize + 1) * SUB + ((value >> shift) as usize - SUB)
}

/// The largest value of a bucket.
fn upper_of(index: usize) -> u64 {
    if index < SUB {
        return index as u64;
    }
    let shift = index / SUB - 1;
    let start = ((index % SUB + SUB) as u64) << shift;
    start + ((1u64 << shift) - 1)
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.counts[index_of(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest value, exactly.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that this share (0 to 1) of all does not exceed; 0 for an empty histogram.
    pub fn percentile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_of(index).min(self.max);
            }
        }
        self.max
    }

    /// The upper bound and count of each bucket that has any.
    pub fn buckets(&self) -> Vec<(u64, u64)> {
        let filled = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        filled
            .map(|(index, count)| (upper_of(index), *count))
            .collect()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
        self.max = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_meet_without_gap_or_overlap() {
        for index in 0..BUCKETS - 1 {
            let upper = upper_of(index);
            assert_eq!(index_of(upper), index, "{upper}");
            assert_eq!(index_of(upper + 1), index + 1, "{upper}");
        }
        assert_eq!(index_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_within_three_percent() {
        let mut histogram = Histogram::default();
        for value in 1..=100_000 {
            histogram.record(value);
        }
        for (share, exact) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
            let found = histogram.percentile(share) as f64;
            assert!((exact..exact * 1.032).contains(&found), "{share}: {found}");
        }
        assert_eq!((histogram.max(), histogram.total()), (100_000, 100_000));
        assert_eq!(histogram.percentile(1.0), 100_000);
    }

    #[test]
    fn an_empty_or_cleared_one_says_zero() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(0.99), 0);
        histogram.record(7);
        histogram.clear();
        assert_eq!(
            (
                histogram.percentile(0.5),
                histogram.total(),
                histogram.max()
            ),
            (0, 0, 0)
        );
        assert!(histogram.buckets().is_empty());
    }
}
