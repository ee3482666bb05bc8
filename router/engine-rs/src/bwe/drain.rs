//! A queue that was built while the link had already dropped: sending just below the new rate would leave it standing for
//! many seconds, so less is sent until it is gone.

use crate::time::Micros;

/// Shorter queues drain by the decrease itself.
const MIN_STANDING_US: i64 = 60_000;
/// The queue shall be gone after this time.
const HORIZON_US: f64 = 700_000.0;
/// What is sent at the least, as a share of the link: nothing at all would freeze the picture.
const MIN_SHARE: f64 = 0.25;
/// It is gone when no more than this is left of it.
const EMPTY_US: i64 = 20_000;
/// If it has not become shorter by this share in this time, it is somebody else's.
const PATIENCE: Micros = Micros::from_millis(1_500);
const SHORTER: f64 = 0.75;

/// How a drain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is none, or it goes on.
    Same,
    /// The queue is empty.
    Emptied,
    /// The queue stays although little is sent.
    Stuck,
}

#[derive(Clone, Copy, Debug)]
struct Active {
    limit: f64,
    judged_at: Micros,
    /// What stood in the queue when patience was last renewed.
    standing_us: i64,
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drain {
    active: Option<Active>,
}

impl Drain {
    /// The link carries `link_bps`, and this stands before it.
    pub fn begin(&mut self, now: Micros, link_bps: f64, standing_us: i64) {
        if standing_us < MIN_STANDING_US {
            return;
        }
        let share = (1.0 - standing_us as f64 / HORIZON_US).clamp(MIN_SHARE, 0.85);
        let limit = share * link_bps;
        let before = self.active.map(|active| Active { limit, ..active });
        self.active = before.or(Some(Active {
            limit,
            judged_at: now + PATIENCE,
            standing_us,
        }));
    }

    /// What may be sent meanwhile.
    pub fn limit(&self) -> Option<f64> {
        self.active.map(|active| active.limit)
    }

    /// Looks at what is left.
    pub fn update(&mut self, now: Micros, standing_us: i64) -> Progress {
        let Some(active) = &mut self.active else {
            return Progress::Same;
        };
        let progress = if standing_us <= EMPTY_US {
            Progress::Emptied
        } else if now < active.judged_at {
            return Progress::Same;
        } else if (standing_us as f64) < SHORTER * active.standing_us as f64 {
            active.judged_at = now + PATIENCE;
            active.standing_us = standing_us;
            return Progress::Same;
        } else {
            Progress::Stuck
        };
        self.active = None;
        progress
    }

    /// Ends without a result.
    pub const fn cancel(&mut self) {
        self.active = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Micros = Micros::from_secs(9);

    #[test]
    fn the_longer_the_queue_the_less_is_sent() {
        let limit = |standing_us| {
            let mut drain = Drain::default();
            drain.begin(AT, 1e6, standing_us);
            drain.limit()
        };
        assert_eq!(limit(50_000), None);
        assert_eq!(limit(90_000), Some(850_000.0));
        assert_eq!(limit(350_000), Some(500_000.0));
        assert_eq!(limit(5_000_000), Some(250_000.0));
    }

    #[test]
    fn ends_with_the_queue_or_with_patience() {
        let mut drain = Drain::default();
        drain.begin(AT, 1e6, 500_000);
        assert_eq!(drain.update(AT, 400_000), Progress::Same);
        assert_eq!(drain.update(AT, 10_000), Progress::Emptied);
        assert_eq!(drain.limit(), None);
        drain.begin(AT, 1e6, 500_000);
        // Another overuse on the way does not prolong it.
        drain.begin(AT + Micros::from_secs(1), 1e6, 500_000);
        let later = AT + PATIENCE;
        assert_eq!(drain.update(later, 300_000), Progress::Same);
        assert_eq!(drain.update(later + PATIENCE, 290_000), Progress::Stuck);
        assert_eq!(drain.update(later + PATIENCE, 290_000), Progress::Same);
    }
}
