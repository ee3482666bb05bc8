//! The trend of the delay (draft-ietf-rmcat-gcc-02 section 5.3, in the form of libwebrtc's `trendline_estimator.cc`, which
//! took the Kalman filter's place): the slope of a line through the last groups' smoothed delays.

use arrayvec::ArrayVec;

/// Groups that the line is laid through.
const WINDOW: usize = 20;
/// Weight of what was, in the smoothing.
const SMOOTHING: f64 = 0.9;
/// How much is made of a slope, and of how many groups at most: libwebrtc's values, which the overuse threshold fits.
const GAIN: f64 = 4.0;
const MAX_GROUPS: u32 = 60;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Trendline {
    /// Arrival and smoothed delay in milliseconds, relative to the first group's; oldest first.
    points: ArrayVec<(f64, f64), WINDOW>,
    origin: Option<(i64, i64)>,
    smoothed_ms: f64,
    groups: u32,
}

impl Trendline {
    /// Takes a group's arrival and delay in microseconds; returns the trend, once there are enough groups: milliseconds of
    /// queue that about [`MAX_GROUPS`] groups add, times the gain.
    pub fn update(&mut self, arrived_at: i64, delay: i64) -> Option<f64> {
        let (first_arrival, first_delay) = *self.origin.get_or_insert((arrived_at, delay));
        let delay_ms = delay.saturating_sub(first_delay) as f64 / 1e3;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * delay_ms;
        let arrival_ms = arrived_at.saturating_sub(first_arrival) as f64 / 1e3;
        if self.points.is_full() {
            self.points.remove(0);
        }
        self.points.push((arrival_ms, self.smoothed_ms));
        self.groups = (self.groups + 1).min(MAX_GROUPS);
        let slope = self.points.is_full().then(|| self.slope()).flatten()?;
        Some(slope * f64::from(self.groups) * GAIN)
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Least squares.
    fn slope(&self) -> Option<f64> {
        let count = self.points.len() as f64;
        let sum = self
            .points
            .iter()
            .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        let mean = (sum.0 / count, sum.1 / count);
        let (mut covariance, mut variance) = (0.0, 0.0);
        for point in &self.points {
            let x = point.0 - mean.0;
            covariance += x * (point.1 - mean.1);
            variance += x * x;
        }
        (variance > 0.0).then(|| covariance / variance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups 30 ms apart whose delay grows by `growth_us` each.
    fn trend(growth_us: i64, count: i64) -> Option<f64> {
        let mut trendline = Trendline::default();
        (0..count)
            .map(|n| trendline.update(n * (30_000 + growth_us) - 9_000_000, n * growth_us + 77))
            .last()
            .flatten()
    }

    #[test]
    fn says_nothing_before_the_window_is_full() {
        assert_eq!(trend(1_000, WINDOW as i64 - 1), None);
        assert!(trend(1_000, WINDOW as i64).is_some());
    }

    #[test]
    fn slope_is_the_share_by_which_the_link_is_exceeded() {
        // 3 ms more each 33 ms: the link is exceeded by 3/33.
        let expected = 3.0 / 33.0 * 60.0 * GAIN;
        let trend = trend(3_000, 100).unwrap();
        assert!(
            (trend - expected).abs() < 0.05 * expected,
            "{trend} {expected}"
        );
        assert!(super::tests::trend(-3_000, 100).unwrap() < -expected);
        assert!(super::tests::trend(0, 100).unwrap().abs() < 1e-6);
    }

    #[test]
    fn arrivals_all_at_once_have_no_slope() {
        let mut trendline = Trendline::default();
        assert!((0..100).all(|n| trendline.update(5, n).is_none()));
    }

    #[test]
    fn extreme_times_are_finite() {
        let mut trendline = Trendline::default();
        for n in 0..100 {
            let time = if n % 2 == 0 { i64::MAX } else { i64::MIN };
            if let Some(trend) = trendline.update(time, time.wrapping_neg()) {
                assert!(trend.is_finite());
            }
        }
    }
}
