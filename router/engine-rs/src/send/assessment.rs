//! A stream judged interval by interval: from counters that only grow to what the models of [`super::quality`] ask for.
//!
//! Left out: who calls this and when (`core/census.rs`).

use super::quality::{Quality, smoothed};
use crate::media::Counted;
use crate::time::Micros;

/// Nothing is judged by less.
const SHORTEST: Micros = Micros::from_millis(500);
/// Parts of a report block's fraction (RFC 3550 section 6.4.1).
const FRACTIONS: u64 = 256;

/// What an interval was like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Part of the packets that was lost for good, 0 to 1, as of the last interval in which it was known.
    pub lost: Option<f32>,
    /// Packets that were lost at first.
    pub lost_packets: u64,
    /// Frames.
    pub frames: u64,
    /// Frames per second.
    pub frame_rate: f32,
    /// Part of the time that the picture stood still, 0 to 1.
    pub frozen: f32,
}

/// Losses by a receiver's reports: their fractions, of what was sent between two of them. A report that says anything at
/// all cannot make more of it than was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReportedLoss {
    packets: u64,
    lost_fractions: u64,
}

impl ReportedLoss {
    /// A report, after so many packets sent in all.
    pub fn on_report(&mut self, fraction_lost: u8, sent: u64) {
        let since = sent.saturating_sub(self.packets);
        self.packets = sent;
        let lost = since.saturating_mul(fraction_lost.into());
        self.lost_fractions = self.lost_fractions.saturating_add(lost);
    }

    /// Packets reported on, and those lost of them.
    pub fn counted(&self) -> (u64, u64) {
        (self.packets, self.lost_fractions / FRACTIONS)
    }
}

/// Where the present interval began, and what came of those before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Assessment {
    begun: Option<Micros>,
    before: Counted,
    lost: Option<f32>,
    quality: Option<Quality>,
}

impl Assessment {
    /// The interval up to now; `None` for the first one, which only begins, and for what is too short.
    pub fn next(&mut self, counted: Counted, now: Micros) -> Option<Interval> {
        let Some(begun) = self.begun else {
            self.begun = Some(now);
            self.before = counted;
            return None;
        };
        let span = now - begun;
        if span < SHORTEST {
            return None;
        }
        let before = std::mem::replace(&mut self.before, counted);
        self.begun = Some(now);
        let since = |now: u64, before: u64| now.saturating_sub(before);
        let packets = since(counted.packets, before.packets);
        let lost = since(counted.lost, before.lost);
        if packets > 0 {
            let repaired = since(counted.repaired, before.repaired);
            let part = lost.saturating_sub(repaired) as f32 / packets as f32;
            self.lost = Some(part.min(1.0));
        }
        let frames = since(counted.frames, before.frames);
        let seconds = span.as_secs_f64();
        Some(Interval {
            lost: self.lost,
            lost_packets: lost,
            frames,
            frame_rate: (frames as f64 / seconds) as f32,
            frozen: ((counted.frozen - before.frozen).as_secs_f64() / seconds).min(1.0) as f32,
        })
    }

    /// What became of the interval: falls at once, rises slowly.
    pub fn judge(&mut self, now: Quality) -> Quality {
        let score = smoothed(self.quality.map(|before| before.score), now.score);
        let quality = Quality { score, ..now };
        self.quality = Some(quality);
        quality
    }

    /// There is nothing to judge: the next interval begins anew.
    pub fn suspend(&mut self) {
        *self = Self::default();
    }

    /// The last judgement that holds.
    pub fn quality(&self) -> Option<Quality> {
        self.quality
    }
}

#[cfg(test)]
mod tests {
    use super::super::quality::Impairment;
    use super::*;
    use proptest::prelude::*;

    const SECOND: Micros = Micros::from_secs(1);

    fn near(value: f32, expected: f32) -> bool {
        (value - expected).abs() < 0.001
    }

    #[test]
    fn the_first_interval_only_begins() {
        let mut assessment = Assessment::default();
        let counted = Counted {
            packets: 1_000,
            lost: 1_000,
            ..Counted::default()
        };
        assert_eq!(assessment.next(counted, SECOND), None);
        assert_eq!(assessment.next(counted, SECOND), None, "too short");
        let quiet = assessment.next(counted, SECOND + SECOND).expect("whole");
        assert_eq!((quiet.lost, quiet.frames), (None, 0));
    }

    #[test]
    fn an_interval_is_what_was_counted_in_it() {
        let mut assessment = Assessment::default();
        let before = Counted {
            packets: 500,
            lost: 100,
            repaired: 90,
            frames: 70,
            frozen: Micros(5),
        };
        assessment.next(before, SECOND);
        let after = Counted {
            packets: 700,
            lost: 120,
            repaired: 100,
            frames: 130,
            frozen: Micros(500_005),
        };
        let interval = assessment.next(after, SECOND + Micros::from_secs(2));
        let interval = interval.expect("whole");
        assert!(near(interval.lost.expect("known"), 0.05), "{interval:?}");
        assert!(near(interval.frame_rate, 30.0) && near(interval.frozen, 0.25));
        // What is not known any more is as it was.
        let interval = assessment.next(after, Micros::from_secs(5)).expect("whole");
        assert!(near(interval.lost.expect("known"), 0.05));
    }

    #[test]
    fn reports_are_weighted_by_what_was_sent() {
        let mut loss = ReportedLoss::default();
        loss.on_report(128, 100);
        loss.on_report(255, 100);
        loss.on_report(0, 400);
        assert_eq!(loss.counted(), (400, 50));
    }

    #[test]
    fn nothing_is_left_of_what_was_suspended() {
        let mut assessment = Assessment::default();
        let bad = Quality {
            score: 1.0,
            impairment: Impairment::Loss,
        };
        assessment.judge(bad);
        assessment.suspend();
        assert_eq!(assessment.quality(), None);
        let good = Quality { score: 4.0, ..bad };
        assert!(near(assessment.judge(good).score, 4.0));
    }

    proptest! {
        #[test]
        fn no_counters_make_nonsense(
            steps in proptest::collection::vec((any::<[u64; 5]>(), 0..10_000_000_u64), 1..20),
            reports in proptest::collection::vec((any::<u8>(), any::<u64>()), 0..20),
        ) {
            let (mut assessment, mut now) = (Assessment::default(), Micros(0));
            for ([packets, lost, repaired, frames, frozen], wait) in steps {
                now = now + Micros(wait);
                let counted = Counted { packets, lost, repaired, frames, frozen: Micros(frozen) };
                if let Some(interval) = assessment.next(counted, now) {
                    prop_assert!((0.0..=1.0).contains(&interval.lost.unwrap_or(0.0)));
                    prop_assert!((0.0..=1.0).contains(&interval.frozen) && interval.frame_rate.is_finite());
                }
            }
            let (mut loss, mut most) = (ReportedLoss::default(), 0);
            for (fraction, sent) in reports {
                most = most.max(sent);
                loss.on_report(fraction, sent);
                prop_assert!(loss.counted().0 <= most);
            }
        }
    }
}
