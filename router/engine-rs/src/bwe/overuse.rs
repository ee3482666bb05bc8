//! Overuse of the link, from the trend of the delay (draft-ietf-rmcat-gcc-02 section 5.4): the trend against a threshold that
//! adapts itself, so that a flow beside ours that fills the queue does not starve us.
//!
//! One condition is added: something must stand in the queue. Jitter lifts the trend, but between its peaks packets arrive
//! as early as ever; a queue lets nobody through early.

/// What the delay says of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// The queue shrinks: wait until it is empty.
    Underuse,
    /// The delay is steady.
    #[default]
    Normal,
    /// The queue grows.
    Overuse,
}

/// Threshold in the trend's unit: where it starts, and the range that the draft's section 5.4 gives it.
const THRESHOLD: f64 = 12.5;
const THRESHOLD_RANGE: (f64, f64) = (9.0, 600.0);
/// How fast it follows the trend, each millisecond: slowly up, faster down.
const GAIN_UP: f64 = 0.0087;
const GAIN_DOWN: f64 = 0.039;
/// A trend so far above it is a drop of the link, which the threshold must not follow.
const MAX_ADAPTION: f64 = 15.0;
const MAX_STEP_MS: f64 = 100.0;
/// The trend must be over the threshold for so long.
const PERSISTENCE_MS: f64 = 10.0;
/// Less than this in the queue, or than this share of the jitter, is no overuse.
const MIN_STANDING_US: f64 = 8_000.0;
const MIN_STANDING_OF_JITTER: f64 = 0.6;

/// A group, as the detector sees it.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Trend with it.
    pub trend: f64,
    /// Its arrival.
    pub arrived_at: i64,
    /// Time between its sending and the one's before.
    pub sent_delta_ms: f64,
    /// What stands in the queue.
    pub standing_us: i64,
    /// Jitter of the path.
    pub jitter_us: f64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Detector {
    threshold: f64,
    updated_at: Option<i64>,
    over_for_ms: f64,
    over_count: u32,
    previous: f64,
    usage: Usage,
}

impl Default for Detector {
    fn default() -> Self {
        Self {
            threshold: THRESHOLD,
            updated_at: None,
            over_for_ms: 0.0,
            over_count: 0,
            previous: 0.0,
            usage: Usage::Normal,
        }
    }
}

impl Detector {
    /// Takes a group.
    pub fn update(&mut self, group: &Observation) {
        let trend = group.trend;
        let noise_us = MIN_STANDING_US.max(MIN_STANDING_OF_JITTER * group.jitter_us);
        if trend > self.threshold && group.standing_us as f64 >= noise_us {
            // The first group counts half: the trend was crossed somewhere between it and the one before.
            let share = if self.over_count == 0 { 0.5 } else { 1.0 };
            self.over_for_ms += share * group.sent_delta_ms;
            self.over_count += 1;
            let persistent = self.over_for_ms > PERSISTENCE_MS && self.over_count > 1;
            if persistent && trend >= self.previous {
                self.over_for_ms = 0.0;
                self.over_count = 0;
                self.usage = Usage::Overuse;
            }
        } else {
            self.over_for_ms = 0.0;
            self.over_count = 0;
            self.usage = if trend < -self.threshold {
                Usage::Underuse
            } else {
                Usage::Normal
            };
        }
        self.previous = trend;
        self.adapt(trend, group.arrived_at);
    }

    /// What the last group said.
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// Begins anew, but keeps the threshold that the path has taught.
    pub fn reset(&mut self) {
        *self = Self {
            threshold: self.threshold,
            ..Self::default()
        };
    }

    fn adapt(&mut self, trend: f64, arrived_at: i64) {
        let before = self.updated_at.replace(arrived_at).unwrap_or(arrived_at);
        let distance = trend.abs() - self.threshold;
        if distance > MAX_ADAPTION {
            return;
        }
        let gain = if distance < 0.0 { GAIN_DOWN } else { GAIN_UP };
        let elapsed_ms = arrived_at.saturating_sub(before) as f64 / 1e3;
        self.threshold += gain * distance * elapsed_ms.clamp(0.0, MAX_STEP_MS);
        self.threshold = self.threshold.clamp(THRESHOLD_RANGE.0, THRESHOLD_RANGE.1);
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact by construction")]
mod tests {
    use super::*;

    const QUEUE: i64 = 50_000;

    /// Groups 33 ms apart.
    fn feed(detector: &mut Detector, trends: &[f64], standing_us: i64) -> Usage {
        let mut at = detector.updated_at.unwrap_or(-1_000_000);
        for trend in trends {
            at += 33_000;
            detector.update(&Observation {
                trend: *trend,
                arrived_at: at,
                sent_delta_ms: 33.0,
                standing_us,
                jitter_us: 20_000.0,
            });
        }
        detector.usage()
    }

    #[test]
    fn persistent_growth_is_overuse_and_shrinking_is_underuse() {
        let mut detector = Detector::default();
        assert_eq!(feed(&mut detector, &[40.0], QUEUE), Usage::Normal);
        assert_eq!(feed(&mut detector, &[41.0], QUEUE), Usage::Overuse);
        assert_eq!(feed(&mut detector, &[0.0], QUEUE), Usage::Normal);
        assert_eq!(feed(&mut detector, &[-20.0], QUEUE), Usage::Underuse);
    }

    #[test]
    fn falling_trend_or_empty_queue_is_no_overuse() {
        let mut detector = Detector::default();
        let falling = [60.0, 55.0, 50.0, 45.0, 40.0];
        assert_eq!(feed(&mut detector, &falling, QUEUE), Usage::Normal);
        let mut detector = Detector::default();
        let rising = [40.0, 45.0, 50.0, 55.0, 60.0];
        assert_eq!(feed(&mut detector, &rising, 11_000), Usage::Normal);
        assert_eq!(feed(&mut detector, &rising, QUEUE), Usage::Overuse);
    }

    #[test]
    fn threshold_follows_a_neighbour_but_not_a_drop() {
        let mut detector = Detector::default();
        feed(&mut detector, &[20.0; 300], QUEUE);
        assert!(detector.threshold > 18.0, "{}", detector.threshold);
        feed(&mut detector, &[0.0; 300], QUEUE);
        assert_eq!(detector.threshold, THRESHOLD_RANGE.0);
        feed(&mut detector, &[300.0; 300], QUEUE);
        assert_eq!(detector.threshold, THRESHOLD_RANGE.0);
    }
}
