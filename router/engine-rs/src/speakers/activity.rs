//! How actively one source speaks, on three time scales, from the levels of its packets.
//!
//! Time is cut into frames of 20 ms, whatever the packets hold: one of 60 ms counts for three frames, two of 10 ms for one,
//! and what was lost in between sounds like the packet behind it. After a longer gap (discontinuous transmission) only
//! the frame of the packet itself counts. A frame is *active* when it is well above the source's own noise.

use super::SILENT_LEVEL;
use super::scale::{IMMEDIATE, LONG, MEDIUM};
use crate::time::Micros;

/// Length of a frame.
pub const FRAME: Micros = Micros::from_millis(20);
/// Most frames that one packet speaks for: 60 ms is the longest usual packet, and packets come late.
const PACKET_FRAMES: u64 = 4;
/// Frames of the immediate scale, the loudest counts: between two syllables there is silence for nearly as long.
const IMMEDIATE_FRAMES: usize = 5;
/// Decibels of one step above the noise, the sub-unit of the immediate scale.
const STEP_DB: u8 = 3;
/// Steps above the noise from which a frame is active: where the immediate score turns positive.
const ACTIVE_STEPS: u8 = 4;
/// Active frames that make a block of the long scale active: where the medium score turns positive.
const ACTIVE_FRAMES: u32 = 4;
/// Active frames of the newest three that make an onset: a click of the mouse is shorter.
const ONSET_FRAMES: u32 = 2;

/// Speech activity of one source at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// The newest 100 ms.
    pub immediate: f64,
    /// 200 ms.
    pub medium: f64,
    /// 1.2 s.
    pub long: f64,
}

/// What is known of one source.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// Whether each frame was active, the newest in bit 0.
    frames: u64,
    /// Steps above the noise of the newest frames.
    steps: [u8; IMMEDIATE_FRAMES],
    /// Number of the newest frame that was active.
    newest: u64,
    /// Number of the frame of the last packet.
    heard: u64,
    noise: NoiseFloor,
}

impl Activity {
    /// Notes the level of a packet, in -dBov. True when it is active.
    #[inline]
    pub fn on_level(&mut self, level: u8, now: Micros) -> bool {
        let frame = (now.0 / FRAME.0).max(self.heard);
        let gap = frame - self.heard;
        self.heard = frame;
        if level >= SILENT_LEVEL {
            return false;
        }
        let steps = self.noise.steps_above(SILENT_LEVEL - level);
        if steps < ACTIVE_STEPS {
            return false;
        }
        self.shift(frame - self.newest);
        self.newest = frame;
        let held = if gap > PACKET_FRAMES { 1 } else { gap.max(1) };
        self.frames |= (1 << held) - 1;
        for kept in self.steps.iter_mut().take(held as usize) {
            *kept = (*kept).max(steps);
        }
        true
    }

    /// Frames pass.
    fn shift(&mut self, by: u64) {
        self.frames = self.frames.checked_shl(by as u32).unwrap_or(0);
        let by = (by as usize).min(IMMEDIATE_FRAMES);
        self.steps.rotate_right(by);
        self.steps[..by].fill(0);
    }

    /// The sound has gone on for some frames: it is no click.
    #[inline]
    pub fn is_onset(&self) -> bool {
        (self.frames & 0b111).count_ones() >= ONSET_FRAMES
    }

    /// It was active within the long scale.
    pub fn is_awake(&self, now: Micros) -> bool {
        self.age(now) < u64::from(LONG.units() * MEDIUM.units())
    }

    /// Frames between the newest active one and now. The packet of the current frames may still be under way.
    fn age(&self, now: Micros) -> u64 {
        let frame = now.0 / FRAME.0;
        let known = if frame.saturating_sub(self.heard) <= PACKET_FRAMES {
            self.heard
        } else {
            frame
        };
        known.saturating_sub(self.newest)
    }

    /// The scores of now.
    pub fn scores(&self, now: Micros) -> Scores {
        let mut view = self.clone();
        view.shift(self.age(now).min(64));
        let units = u32::from(MEDIUM.units());
        let active = |block: u32| {
            let frames = view.frames >> (block * units);
            (frames & ((1 << units) - 1)).count_ones()
        };
        let blocks = (0..u32::from(LONG.units())).filter(|block| active(*block) >= ACTIVE_FRAMES);
        let loudest = view.steps.iter().copied().max().unwrap_or(0);
        Scores {
            immediate: IMMEDIATE.score(loudest),
            medium: MEDIUM.score(active(0) as u8),
            long: LONG.score(blocks.count() as u8),
        }
    }
}

/// The background of a source: the quietest sound of its last seconds. Speech has pauses, a fan has none.
#[derive(Clone, Debug)]
struct NoiseFloor {
    current: u8,
    former: u8,
    count: u8,
}

impl Default for NoiseFloor {
    fn default() -> Self {
        Self {
            current: u8::MAX,
            former: u8::MAX,
            count: 0,
        }
    }
}

impl NoiseFloor {
    /// Packets of one window; the floor is the minimum of one to two windows, 1.5 to 3 s of sound.
    const WINDOW: u8 = 75;
    /// No background is believed to be quieter than -75 dBov, or a whisper of the electronics would be speech.
    const QUIETEST: u8 = SILENT_LEVEL - 75;
    /// Nor louder than -50 dBov, or someone who never pauses would become noise.
    const LOUDEST: u8 = SILENT_LEVEL - 50;

    /// Steps of a sound above the floor, at most as many as the immediate scale counts.
    fn steps_above(&mut self, loudness: u8) -> u8 {
        self.current = self.current.min(loudness);
        self.count += 1;
        let floor = self.current.min(self.former);
        if self.count == Self::WINDOW {
            *self = Self {
                current: u8::MAX,
                former: self.current,
                count: 0,
            };
        }
        let floor = floor.clamp(Self::QUIETEST, Self::LOUDEST);
        (loudness.saturating_sub(floor) / STEP_DB).min(IMMEDIATE.units())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPEECH: u8 = 25;

    /// Packets of one level at this pace, from `from` to before `to`, in milliseconds. Returns how many were active.
    fn play(activity: &mut Activity, level: u8, pace: u64, from: u64, to: u64) -> usize {
        let at = (from..to).step_by(pace as usize);
        at.filter(|ms| activity.on_level(level, Micros::from_millis(*ms)))
            .count()
    }

    fn speech_scales(activity: &Activity, ms: u64) -> [bool; 3] {
        let scores = activity.scores(Micros::from_millis(ms));
        [scores.immediate, scores.medium, scores.long].map(|score| score > 0.0)
    }

    #[test]
    fn sub_units_are_active_where_their_own_scale_finds_speech() {
        let first = |scale: super::super::scale::Scale| {
            (0..=scale.units()).find(|active| scale.score(*active) > 0.0)
        };
        assert_eq!(first(IMMEDIATE), Some(ACTIVE_STEPS));
        assert_eq!(first(MEDIUM), Some(ACTIVE_FRAMES as u8));
        assert_eq!(first(LONG), Some(4));
    }

    #[test]
    fn speech_is_found_first_on_the_immediate_last_on_the_long_scale() {
        let mut activity = Activity::default();
        play(&mut activity, SPEECH, 20, 0, 60);
        assert_eq!(speech_scales(&activity, 60), [true, false, false]);
        play(&mut activity, SPEECH, 20, 60, 400);
        assert_eq!(speech_scales(&activity, 400), [true, true, false]);
        play(&mut activity, SPEECH, 20, 400, 800);
        assert_eq!(speech_scales(&activity, 800), [true, true, true]);
        assert_eq!(speech_scales(&activity, 1_000), [false, false, true]);
        assert_eq!(speech_scales(&activity, 2_200), [false; 3]);
        assert!(!activity.is_awake(Micros::from_millis(2_200)));
    }

    #[test]
    fn any_packet_length_gives_the_same_scores() {
        let scores = [10, 20, 40, 60].map(|pace| {
            let mut activity = Activity::default();
            play(&mut activity, SPEECH, pace, 0, 1_200);
            activity.scores(Micros::from_millis(1_200))
        });
        assert!(scores.iter().all(|it| *it == scores[0]), "{scores:?}");
    }

    #[test]
    fn lost_packets_sound_like_the_next_but_long_gaps_are_silent() {
        let mut activity = Activity::default();
        play(&mut activity, SPEECH, 80, 0, 1_200);
        assert_eq!(
            activity.frames.count_ones(),
            57,
            "15 packets, each for 80 ms"
        );
        let mut activity = Activity::default();
        play(&mut activity, SPEECH, 400, 0, 1_200);
        assert_eq!(activity.frames.count_ones(), 3);
    }

    #[test]
    fn a_burst_of_delayed_packets_is_one_frame() {
        let mut activity = Activity::default();
        for _ in 0..50 {
            activity.on_level(SPEECH, Micros::from_millis(1_000));
        }
        assert_eq!(activity.frames.count_ones(), 1);
    }

    #[test]
    fn constant_noise_is_not_speech() {
        for level in [50, 55, 60, 70, 80, 100, 126] {
            let mut activity = Activity::default();
            assert_eq!(play(&mut activity, level, 20, 0, 10_000), 0, "{level}");
        }
    }

    #[test]
    fn a_fan_that_starts_becomes_noise_within_seconds() {
        let mut activity = Activity::default();
        play(&mut activity, 74, 20, 0, 4_000);
        assert!(play(&mut activity, 55, 20, 4_000, 7_000) <= 150);
        assert_eq!(play(&mut activity, 55, 20, 7_000, 17_000), 0);
        assert!(play(&mut activity, SPEECH, 20, 17_000, 17_100) > 0);
    }

    #[test]
    fn loud_sound_without_pauses_stays_speech() {
        let mut activity = Activity::default();
        assert_eq!(play(&mut activity, SPEECH, 20, 0, 20_000), 1_000);
    }

    #[test]
    fn a_click_is_no_onset() {
        let mut activity = Activity::default();
        activity.on_level(SILENT_LEVEL, Micros::from_millis(0));
        activity.on_level(SPEECH, Micros::from_millis(20));
        assert!(!activity.is_onset());
        activity.on_level(SPEECH, Micros::from_millis(40));
        assert!(activity.is_onset());
    }

    proptest! {
        #[test]
        fn any_levels_at_any_times_give_finite_scores(
            packets in proptest::collection::vec((any::<u8>(), 0u64..3_000_000), 0..300),
            start in any::<u64>(),
        ) {
            let (mut activity, mut now) = (Activity::default(), Micros(start));
            for (level, wait) in packets {
                // Time may even go back.
                now = if wait % 7 == 0 { now - Micros(wait) } else { now + Micros(wait) };
                let active = activity.on_level(level, now);
                prop_assert!(!active || level < SILENT_LEVEL);
                let scores = activity.scores(now);
                prop_assert!([scores.immediate, scores.medium, scores.long].iter().all(|it| it.is_finite()));
                activity.is_onset();
                activity.is_awake(now);
            }
        }
    }
}
