//! The dominant speaker and those before (Volfin and Cohen 2012, section 3).
//!
//! Every [`DECISION_INTERVAL`] the dominant speaker is compared with each other on the three time scales, by the logarithm
//! of the ratio of their scores. One who exceeds it by all three thresholds takes over; of several the one with the
//! highest medium ratio. Whoever speaks on keeps the floor: the thresholds of the two short scales are so high that they
//! are met only while the dominant speaker does not speak, and the long scale must have swung to the other.

use super::SourceIx;
use super::activity::Scores;
use crate::time::Micros;
use arrayvec::ArrayVec;

/// Time between two decisions.
pub const DECISION_INTERVAL: Micros = Micros::from_millis(300);
/// Most recent speakers that are remembered.
pub const MAX_RECENT: usize = 32;

/// Thresholds of the log-ratios. C1: twenty times the score, only while the dominant speaker's last 100 ms are noise.
const C1: f64 = 3.0;
/// C2: seven times, only while fewer than four of the dominant speaker's last ten frames are active.
const C2: f64 = 2.0;
/// C3: more of the last 1.2 s.
const C3: f64 = 0.0;
/// Scores are at least this much, so that ratios exist.
const LEAST_SCORE: f64 = 1e-10;

/// Who holds the floor.
#[derive(Clone, Debug, Default)]
pub struct Dominance {
    dominant: Option<SourceIx>,
    recent: ArrayVec<SourceIx, MAX_RECENT>,
}

impl Dominance {
    /// The dominant speaker: the last one who took the floor, also when silent now.
    pub fn dominant(&self) -> Option<SourceIx> {
        self.dominant
    }

    /// Those who were dominant, the latest first.
    pub fn recent(&self) -> &[SourceIx] {
        &self.recent
    }

    /// Decides anew. `challengers` are all sources that have been active lately. True when the floor was taken.
    pub fn decide(
        &mut self,
        scores: impl Fn(SourceIx) -> Option<Scores>,
        challengers: impl Iterator<Item = SourceIx>,
    ) -> bool {
        let holder = self.dominant.and_then(&scores);
        let mut best: Option<(SourceIx, Ratios)> = None;
        for challenger in challengers.filter(|source| Some(*source) != self.dominant) {
            let Some(scores) = scores(challenger) else {
                continue;
            };
            let ratios = Ratios::new(&scores, holder.as_ref());
            let better = best.is_none_or(|(_, best)| ratios.medium > best.medium);
            if ratios.take_the_floor() && better {
                best = Some((challenger, ratios));
            }
        }
        let Some((winner, _)) = best else {
            return false;
        };
        self.dominant = Some(winner);
        self.recent.retain(|source| *source != winner);
        self.recent.truncate(MAX_RECENT - 1);
        self.recent.insert(0, winner);
        true
    }

    /// The source may not be dominant now, but it was. True when it was until now.
    pub fn release(&mut self, source: SourceIx) -> bool {
        let held = self.dominant == Some(source);
        if held {
            self.dominant = None;
        }
        held
    }

    /// The source is gone. True when it was listed.
    pub fn remove(&mut self, source: SourceIx) -> bool {
        let before = self.recent.len();
        self.recent.retain(|recent| *recent != source);
        self.release(source) || self.recent.len() != before
    }
}

/// Logarithms of the ratios of a challenger's scores to those of the dominant speaker, or of nobody.
#[derive(Clone, Copy)]
struct Ratios {
    immediate: f64,
    medium: f64,
    long: f64,
}

impl Ratios {
    fn new(challenger: &Scores, holder: Option<&Scores>) -> Self {
        let ratio = |of: fn(&Scores) -> f64| {
            let held = holder.map_or(LEAST_SCORE, of).max(LEAST_SCORE);
            (of(challenger).max(LEAST_SCORE) / held).ln()
        };
        Self {
            immediate: ratio(|scores| scores.immediate),
            medium: ratio(|scores| scores.medium),
            long: ratio(|scores| scores.long),
        }
    }

    fn take_the_floor(&self) -> bool {
        self.immediate > C1 && self.medium > C2 && self.long > C3
    }
}

#[cfg(test)]
mod tests {
    use super::super::scale::{IMMEDIATE, LONG, MEDIUM};
    use super::*;

    /// Active sub-units of the three scales.
    type Counts = (u8, u8, u8);

    /// Scores of these counts of active sub-units.
    fn scores((immediate, medium, long): Counts) -> Scores {
        Scores {
            immediate: IMMEDIATE.score(immediate),
            medium: MEDIUM.score(medium),
            long: LONG.score(long),
        }
    }

    /// Sources by number, with their counts; the first is the dominant one.
    fn decide(counts: &[Counts]) -> Option<u32> {
        let mut dominance = Dominance {
            dominant: Some(SourceIx(0)),
            recent: ArrayVec::new(),
        };
        let all = (0..counts.len() as u32).map(SourceIx);
        let switched = dominance.decide(|source| Some(scores(counts[source.0 as usize])), all);
        switched
            .then_some(dominance.dominant)
            .flatten()
            .map(|it| it.0)
    }

    #[test]
    fn table() {
        let rows: [(&str, &[Counts], Option<u32>); 8] = [
            ("nobody else", &[(0, 0, 0)], None),
            ("a takeover", &[(0, 0, 2), (12, 10, 4)], Some(1)),
            ("while the dominant speaks", &[(5, 8, 2), (12, 10, 6)], None),
            ("he paused just now", &[(0, 5, 2), (12, 10, 6)], None),
            ("as much of the long scale", &[(0, 0, 5), (12, 10, 5)], None),
            (
                "an interjection in silence",
                &[(0, 0, 0), (12, 10, 3)],
                None,
            ),
            ("he stopped himself", &[(0, 0, 2), (0, 10, 5)], None),
            (
                "of two, who speaks most now",
                &[(0, 0, 0), (12, 8, 6), (9, 9, 4), (4, 9, 4)],
                Some(2),
            ),
        ];
        for (name, counts, expected) in rows {
            assert_eq!(decide(counts), expected, "{name}");
        }
    }

    #[test]
    fn the_first_speaker_beats_nobody_only_with_speech_on_every_scale() {
        for (counts, expected) in [
            ((12, 10, 4), true),
            ((12, 10, 3), false),
            ((12, 3, 6), false),
            ((3, 10, 6), false),
        ] {
            let mut dominance = Dominance::default();
            let sole = std::iter::once(SourceIx(7));
            assert_eq!(dominance.decide(|_| Some(scores(counts)), sole), expected);
        }
    }

    #[test]
    fn recent_speakers_are_listed_once_and_bounded() {
        let mut dominance = Dominance::default();
        for turn in 0..100 {
            let speaker = SourceIx(turn % 40);
            let scores = |source| {
                let speaks = source == speaker;
                Some(scores(if speaks { (9, 9, 6) } else { (0, 0, 0) }))
            };
            assert!(dominance.decide(scores, (0..40).map(SourceIx)));
            assert_eq!(dominance.recent()[0], speaker);
        }
        let expected: Vec<u32> = (0..32).map(|back| (99 - back) % 40).collect();
        let listed: Vec<u32> = dominance.recent().iter().map(|source| source.0).collect();
        assert_eq!(listed, expected);
        assert!(dominance.remove(SourceIx(19)), "the dominant one");
        assert_eq!((dominance.dominant(), dominance.recent()[0].0), (None, 18));
        assert!(dominance.remove(SourceIx(18)));
        assert!(!dominance.remove(SourceIx(18)));
    }

    #[test]
    fn who_may_not_compete_stays_a_recent_speaker() {
        let mut dominance = Dominance::default();
        dominance.decide(|_| Some(scores((9, 9, 6))), std::iter::once(SourceIx(3)));
        assert!(dominance.release(SourceIx(3)));
        assert!(!dominance.release(SourceIx(3)));
        assert_eq!(
            (dominance.dominant(), dominance.recent()),
            (None, &[SourceIx(3)][..])
        );
    }
}
