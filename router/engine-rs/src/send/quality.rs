//! How good a track is for who receives it: a mean opinion score of 1 to 4.5, and what costs it most.
//!
//! **Audio** is the E-model (ITU-T G.107) with all but loss and delay at its defaults, as is usual for packets: `R = 93.2 -
//! Id - Ie,eff`, the delay term of Cole and Rosenbluth ("Voice over IP performance monitoring", 2001), the loss term of
//! G.107 section 3.5, the score by its annex B. G.113 has no values for Opus: its robustness to loss is set so that 5 %
//! without FEC is "many users dissatisfied" (G.109).
//!
//! **Video** has no such standard that needs no pixels (P.1203 and P.1204 are for streaming). So it is measured against
//! what the receiver wanted to see: each halving of the picture's sides, each halving of the frame rate, what froze and
//! what was lost for good costs part of the score, and delay as it does for audio. `LiveKit`'s connection quality takes 35
//! of 100 points for each layer missed; here a layer costs about the same, 0.9 of 3.5.
//!
//! A number for trends and alarms, not a measurement of perception. Left out: what the encoder did to the picture.

use crate::media::MediaKind;
use crate::time::Micros;

/// The best score: nobody ever gives five to all.
pub const BEST: f32 = 4.5;
/// The worst score.
pub const WORST: f32 = 1.0;

/// From here on it is good, R = 70.
const LEAST_GOOD: f32 = 3.6;
/// From here on it is fair, R = 50.
const LEAST_FAIR: f32 = 2.58;
/// Below, it is lost.
const LEAST_POOR: f32 = 1.2;

/// R without any impairment (G.107 table 2: all parameters at their defaults).
const BEST_R: f32 = 93.2;
/// Packet-loss robustness of Opus with its concealment; see above.
const OPUS_ROBUSTNESS: f32 = 15.0;
/// The same with in-band FEC: about half of the lost packets are recovered.
const OPUS_FEC_ROBUSTNESS: f32 = 30.0;
/// What the ends add to half of a round trip: capture, one packet, playing out.
const OWN_DELAY_MS: f32 = 50.0;
/// A receiver's buffer holds about so many times the jitter.
const JITTER_BUFFERED: f32 = 2.0;

/// What half the side of the picture costs.
const PER_SIZE: f32 = 0.9;
/// What half the frame rate costs.
const PER_RATE: f32 = 0.5;
/// What it costs that each hundredth of the time the picture stood still; a third of the time is the worst there is.
const PER_FROZEN_PERCENT: f32 = 0.105;
/// What each hundredth of the packets costs that was never repaired.
const PER_LOST_PERCENT: f32 = 0.35;
/// More than this nobody sees.
const SMOOTH: f32 = 30.0;

/// What the score suffers from most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Impairment {
    /// Nothing worth mentioning.
    None,
    /// Lost packets.
    Loss,
    /// Delay and jitter.
    Delay,
    /// A smaller picture than wanted.
    Size,
    /// Fewer frames than wanted.
    FrameRate,
    /// A picture that stands still.
    Freezes,
    /// Nothing is sent of what is wanted.
    Paused,
}

impl Impairment {
    /// The stable name: a metric label.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Size => "size",
            Self::FrameRate => "frame-rate",
            Self::Freezes => "freezes",
            Self::Paused => "paused",
        }
    }
}

/// Roughly how good: the limits are those of G.109 for voice, "some users dissatisfied" and "nearly all users
/// dissatisfied".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// Good enough for nearly all.
    Good,
    /// It can be used, and is complained of.
    Fair,
    /// Hardly of use.
    Poor,
    /// (Almost) nothing comes of what should.
    Lost,
}

impl Category {
    /// The stable name.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Poor => "poor",
            Self::Lost => "lost",
        }
    }
}

/// The score of one track at one receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Mean opinion score, [`WORST`] to [`BEST`].
    pub score: f32,
    /// What costs most.
    pub impairment: Impairment,
}

impl Quality {
    /// Roughly how good.
    pub fn category(&self) -> Category {
        match self.score {
            score if score >= LEAST_GOOD => Category::Good,
            score if score >= LEAST_FAIR => Category::Fair,
            score if score >= LEAST_POOR => Category::Poor,
            _ => Category::Lost,
        }
    }
}

/// The name of the model that scores a kind of media, as reports tell it.
pub const fn model(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "e-model",
        MediaKind::Video => "shown-of-wanted",
    }
}

/// The way to the receiver, as measured in the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Way {
    /// Round trip time.
    pub rtt: Micros,
    /// Interarrival jitter.
    pub jitter: Micros,
}

impl Way {
    /// From mouth to ear, as far as it can be known.
    fn delay_ms(self) -> f32 {
        let ms = |time: Micros| time.0 as f32 / 1_000.0;
        ms(self.rtt) / 2.0 + JITTER_BUFFERED * ms(self.jitter) + OWN_DELAY_MS
    }

    /// Points of R that delay costs, beyond what the best way costs.
    fn impairment(self) -> f32 {
        let of = |delay: f32| 0.024 * delay + 0.11 * (delay - 177.3).max(0.0);
        of(self.delay_ms()) - of(OWN_DELAY_MS)
    }
}

/// An audio track in the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AudioView {
    /// The way.
    pub way: Way,
    /// Part of the packets that never arrived, 0 to 1.
    pub lost: f32,
    /// In-band FEC is on.
    pub has_fec: bool,
}

/// A video track in the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VideoView {
    /// The way.
    pub way: Way,
    /// Part of the packets that never arrived, 0 to 1: lost and not repaired.
    pub lost: f32,
    /// Part of the time that the picture stood still, 0 to 1.
    pub frozen: f32,
    /// What is shown: area in pixels, 0 if not known, and frames per second. `None` when nothing is.
    pub shown: Option<(u32, f32)>,
    /// What the receiver would have with bandwidth without end.
    pub wanted: (u32, f32),
}

/// Scores audio.
pub fn of_audio(view: &AudioView) -> Quality {
    let robustness = if view.has_fec {
        OPUS_FEC_ROBUSTNESS
    } else {
        OPUS_ROBUSTNESS
    };
    let percent = 100.0 * part(view.lost);
    // G.107 equation 7-29 with random loss (BurstR = 1) and no impairment by the codec itself.
    let loss = 95.0 * percent / (percent + robustness);
    let delay = view.way.impairment();
    let score = score_of(BEST_R - loss - delay);
    let worst = if loss >= delay {
        (Impairment::Loss, loss)
    } else {
        (Impairment::Delay, delay)
    };
    rated(score, worst, 2.0)
}

/// Scores video.
pub fn of_video(view: &VideoView) -> Quality {
    let Some((area, rate)) = view.shown else {
        return Quality {
            score: WORST,
            impairment: Impairment::Paused,
        };
    };
    let (wanted_area, wanted_rate) = view.wanted;
    // A quarter of the area is half of the side.
    let sides = halvings(area as f32, wanted_area as f32) / 2.0;
    let costs = [
        (Impairment::Loss, PER_LOST_PERCENT * 100.0 * part(view.lost)),
        (
            Impairment::Delay,
            score_of(BEST_R) - score_of(BEST_R - view.way.impairment()),
        ),
        (Impairment::Size, PER_SIZE * sides),
        (
            Impairment::FrameRate,
            PER_RATE * halvings(rate, wanted_rate.min(SMOOTH)),
        ),
        (
            Impairment::Freezes,
            PER_FROZEN_PERCENT * 100.0 * part(view.frozen),
        ),
    ];
    let sum: f32 = costs.iter().map(|(_, cost)| cost).sum();
    let worst = costs
        .into_iter()
        .fold((Impairment::None, 0.0), |worst, cost| {
            if cost.1 > worst.1 { cost } else { worst }
        });
    rated(BEST - sum, worst, 0.1)
}

/// Follows a fall at once and a rise slowly, as people do: one good interval does not make up for a bad one.
pub fn smoothed(before: Option<f32>, now: f32) -> f32 {
    let Some(before) = before else { return now };
    let weight = if now < before { 0.8 } else { 0.4 };
    before + weight * (now - before)
}

/// The score with what costs most, if that costs something.
fn rated(score: f32, (impairment, cost): (Impairment, f32), worth_mentioning: f32) -> Quality {
    Quality {
        score: score.clamp(WORST, BEST),
        impairment: if cost < worth_mentioning {
            Impairment::None
        } else {
            impairment
        },
    }
}

/// R to score (G.107 annex B).
fn score_of(r: f32) -> f32 {
    let r = r.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r)).clamp(WORST, BEST)
}

/// How often what is wanted must be halved to get what there is; none when one is not known.
fn halvings(have: f32, wanted: f32) -> f32 {
    if have > 0.0 && wanted > have {
        (wanted / have).log2()
    } else {
        0.0
    }
}

/// A part of one; what is no number counts as nothing.
fn part(value: f32) -> f32 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HD: (u32, f32) = (1_280 * 720, 30.0);

    fn way(rtt_ms: u64, jitter_ms: u64) -> Way {
        Way {
            rtt: Micros::from_millis(rtt_ms),
            jitter: Micros::from_millis(jitter_ms),
        }
    }

    fn audio(rtt_ms: u64, lost: f32, has_fec: bool) -> Quality {
        of_audio(&AudioView {
            way: way(rtt_ms, 0),
            lost,
            has_fec,
        })
    }

    fn video(shown: (u32, f32)) -> VideoView {
        VideoView {
            shown: Some(shown),
            wanted: HD,
            ..VideoView::default()
        }
    }

    #[test]
    fn voice_by_the_e_model() {
        // R of G.107 and the score of annex B: 93.2 is 4.41, 90 is 4.34, 70 is 3.60, 50 is 2.58.
        for (r, score) in [
            (93.2, 4.41),
            (90.0, 4.34),
            (70.0, 3.60),
            (50.0, 2.58),
            (0.0, 1.0),
        ] {
            assert!((score_of(r) - score).abs() < 0.01, "{r}: {}", score_of(r));
        }
        assert_eq!(audio(0, 0.0, false).impairment, Impairment::None);
        assert!((audio(0, 0.0, false).score - 4.41).abs() < 0.01);
        let lossy = audio(0, 0.05, false);
        assert!((3.4..3.7).contains(&lossy.score), "{lossy:?}");
        assert_eq!(lossy.impairment, Impairment::Loss);
        assert!(audio(0, 0.05, true).score > lossy.score + 0.3);
        let far = audio(600, 0.0, false);
        assert!((3.3..3.9).contains(&far.score), "{far:?}");
        assert_eq!(far.impairment, Impairment::Delay);
    }

    #[test]
    fn video_against_what_is_wanted() {
        let full = of_video(&video(HD));
        assert_eq!((full.score, full.impairment), (BEST, Impairment::None));
        let half = of_video(&video((640 * 360, 30.0)));
        assert!((half.score - (BEST - PER_SIZE)).abs() < 0.01, "{half:?}");
        assert_eq!(half.impairment, Impairment::Size);
        let slow = of_video(&video((1_280 * 720, 7.5)));
        assert!(
            (slow.score - (BEST - 2.0 * PER_RATE)).abs() < 0.01,
            "{slow:?}"
        );
        assert_eq!(slow.impairment, Impairment::FrameRate);
        let more = of_video(&video((1_920 * 1_080, 60.0)));
        assert!(more.score >= BEST, "more than wanted is no better");
    }

    #[test]
    fn freezes_loss_and_pauses() {
        let frozen = of_video(&VideoView {
            frozen: 0.1,
            ..video(HD)
        });
        assert_eq!(frozen.impairment, Impairment::Freezes);
        assert!((3.4..3.5).contains(&frozen.score), "{frozen:?}");
        let lossy = of_video(&VideoView {
            lost: 0.02,
            ..video(HD)
        });
        assert_eq!(lossy.impairment, Impairment::Loss);
        let far = of_video(&VideoView {
            way: way(600, 20),
            ..video(HD)
        });
        assert_eq!(far.impairment, Impairment::Delay);
        let paused = of_video(&VideoView {
            shown: None,
            ..video(HD)
        });
        assert_eq!(
            (paused.score, paused.impairment),
            (WORST, Impairment::Paused)
        );
    }

    #[test]
    fn categories_are_those_of_voice() {
        for (r, category) in [
            (93.2, Category::Good),
            (70.1, Category::Good),
            (69.0, Category::Fair),
            (50.1, Category::Fair),
            (49.0, Category::Poor),
            (5.0, Category::Lost),
        ] {
            let score = score_of(r);
            let impairment = Impairment::None;
            assert_eq!(Quality { score, impairment }.category(), category, "{r}");
        }
    }

    #[test]
    fn falls_fast_and_rises_slowly() {
        assert!((smoothed(None, 3.0) - 3.0).abs() < 1e-6);
        let (fallen, risen) = (smoothed(Some(4.0), 2.0), smoothed(Some(2.0), 4.0));
        assert!((fallen - 2.4).abs() < 1e-6 && (risen - 2.8).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn worse_is_never_better(
            rtt in 0..3_000_u64, jitter in 0..500_u64, lost in 0.0..1.0_f32, frozen in 0.0..1.0_f32,
            area in 1..4_000_000_u32, rate in 0.1..120.0_f32, more in 0.0..1.0_f32,
        ) {
            let view = VideoView { way: way(rtt, jitter), lost, frozen, shown: Some((area, rate)), wanted: HD };
            let before = of_video(&view).score;
            prop_assert!((WORST..=BEST).contains(&before));
            let worse = [
                VideoView { lost: lost + more, ..view },
                VideoView { frozen: frozen + more, ..view },
                VideoView { way: way(rtt + 100, jitter), ..view },
                VideoView { shown: Some((area / 2 + 1, rate)), ..view },
                VideoView { shown: Some((area, rate * more)), ..view },
                VideoView { shown: None, ..view },
            ];
            for view in worse {
                // A rate of 0 is not known.
                let unknown = view.shown.is_some_and(|shown| shown.1 == 0.0);
                prop_assert!(unknown || of_video(&view).score <= before + 1e-5, "{view:?}");
            }
            let view = AudioView { way: way(rtt, jitter), lost, has_fec: false };
            let before = of_audio(&view).score;
            prop_assert!((WORST..=BEST).contains(&before));
            let lossier = AudioView { lost: lost + more, ..view };
            let farther = AudioView { way: way(rtt, jitter + 50), ..view };
            prop_assert!(of_audio(&lossier).score <= before && of_audio(&farther).score <= before);
        }

        #[test]
        fn nonsense_scores_something(lost: f32, frozen: f32, area: u32, rate: f32, wanted: (u32, f32), rtt: u64) {
            let way = Way { rtt: Micros(rtt), jitter: Micros(rtt) };
            let video = of_video(&VideoView { way, lost, frozen, shown: Some((area, rate)), wanted });
            let audio = of_audio(&AudioView { way, lost, has_fec: true });
            for quality in [video, audio] {
                prop_assert!((WORST..=BEST).contains(&quality.score), "{quality:?}");
            }
        }
    }
}
