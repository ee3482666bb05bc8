//! How good what a slot sends is for its receiver: loss by its reports, less what was repaired; round trip and jitter by
//! its reports; freezes; the picture against the best of use that the track has within the application's
//! limits.

use super::super::cover::{area, smallest_covering};
use super::super::ladder::{Ladder, Rung};
use super::super::select::Reason;
use super::Slot;
use crate::core::command::{Limits, MediaKind};
use crate::media::Counted;
use crate::recv::freezes::{FreezeMeter, Freezes};
use crate::route::limited::LimitedBy;
use crate::send::assessment::{Assessment, Interval, ReportedLoss};
use crate::send::quality::{AudioView, Quality, VideoView, Way, of_audio, of_video};
use crate::time::Micros;

/// What a slot cannot know by itself.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// What the producer has.
    pub ladder: &'a Ladder,
    /// The producer sends, or did a moment ago.
    pub is_live: bool,
    /// Something can be sent to the receiver.
    pub is_reachable: bool,
    /// Round trip to the receiver, where its reports do not tell.
    pub round_trip: Option<Micros>,
}

/// What the receiver asked for, and what is known of the slot's quality.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judged {
    /// NACK messages.
    pub nacks: u64,
    /// Picture loss indications.
    pub plis: u64,
    /// Full intra requests.
    pub firs: u64,
    /// Packets that were sent again, however often.
    pub repaired_packets: u64,
    /// Of the receiver's picture.
    pub freezes: FreezeMeter,
    /// By the receiver's reports.
    pub losses: ReportedLoss,
    /// The present interval, and the last judgement.
    pub assessment: Assessment,
    /// Size of what was shown when it was last judged.
    pub picture: Option<(u16, u16)>,
    /// Frames per second then.
    pub frame_rate: f32,
    /// Freezes that the totals know of.
    told: Freezes,
}

/// What a slot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Nothing.
    None,
    /// Something of a size that is not told.
    Unknown,
    /// Of this width and height.
    Sized(u16, u16),
}

/// A slot's state at one moment, for totals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assessed {
    /// Its quality, if there is anything to judge.
    pub quality: Option<Quality>,
    /// What limits it.
    pub limited_by: LimitedBy,
    /// What is shown.
    pub picture: Picture,
    /// Freezes since the last time, and how long the picture stood still.
    pub freezes: (u64, Micros),
    /// What the way to the receiver was like.
    pub way: Travelled,
}

/// What a way was like since it was looked at before, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Travelled {
    /// Part of the packets that was lost for good, 0 to 1.
    pub lost: Option<f32>,
    /// Packets that were lost at first.
    pub lost_packets: u64,
    /// To the other end and back.
    pub round_trip: Option<Micros>,
    /// Interarrival jitter in seconds.
    pub jitter_s: Option<f64>,
}

impl Slot {
    /// Judges what was sent since the last call.
    pub fn assess(&mut self, now: Micros, around: Circumstances) -> Assessed {
        let mut judged = self.judged.take().unwrap_or_default();
        let freezes = judged.freezes.read(now);
        let (packets, lost) = judged.losses.counted();
        let counted = Counted {
            packets,
            lost,
            repaired: judged.repaired_packets,
            frames: freezes.frames,
            frozen: freezes.duration,
        };
        judged.picture = self.rung_shown(around.ladder).and_then(|rung| rung.size);
        let mut way = Travelled::default();
        if self.is_to_be_judged(around) {
            let interval = judged.assessment.next(counted, now);
            judged.frame_rate = interval.map_or(judged.frame_rate, |it| it.frame_rate);
            let quality = interval.and_then(|interval| self.judge(interval, around));
            quality.map(|quality| judged.assessment.judge(quality));
            way = self.travelled(interval, around.round_trip);
        } else {
            judged.assessment.suspend();
            judged.frame_rate = 0.0;
        }
        let told = std::mem::replace(&mut judged.told, freezes);
        let assessed = Assessed {
            quality: judged.assessment.quality(),
            limited_by: self.reason().into(),
            picture: match (self.shown, judged.picture) {
                (None, _) => Picture::None,
                (Some(_), None) => Picture::Unknown,
                (Some(_), Some((width, height))) => Picture::Sized(width, height),
            },
            freezes: (
                freezes.count.saturating_sub(told.count),
                freezes.duration - told.duration,
            ),
            way,
        };
        self.judged = Some(judged);
        assessed
    }

    fn travelled(&self, interval: Option<Interval>, round_trip: Option<Micros>) -> Travelled {
        let Some(interval) = interval.filter(|_| self.receiver.has_reported()) else {
            return Travelled::default();
        };
        Travelled {
            lost: interval.lost,
            lost_packets: interval.lost_packets,
            round_trip: self.receiver.rtt().or(round_trip),
            jitter_s: Some(self.receiver.jitter_s()),
        }
    }

    /// Nothing wanted is nothing bad: who is paused, silent or not accepted is not judged.
    fn is_to_be_judged(&self, around: Circumstances) -> bool {
        let has_begun = self.counters.packets > 0;
        around.is_live
            && (has_begun || around.is_reachable)
            && !matches!(
                self.reason(),
                Reason::Unassigned
                    | Reason::Paused
                    | Reason::NoCodec
                    | Reason::BitrateTooLow
                    | Reason::NobodySpeaks
            )
    }

    fn judge(&self, interval: Interval, around: Circumstances) -> Option<Quality> {
        let way = Way {
            rtt: self
                .receiver
                .rtt()
                .or(around.round_trip)
                .unwrap_or_default(),
            jitter: Micros((self.receiver.jitter_s() * 1e6) as u64),
        };
        if self.config.kind == MediaKind::Audio {
            let lost = if around.is_reachable {
                interval.lost?
            } else {
                1.0
            };
            return Some(of_audio(&AudioView {
                way,
                lost,
                has_fec: false,
            }));
        }
        let is_shown = self.shown.is_some() && around.is_reachable;
        let pixels = |rung: Option<&Rung>| rung.map_or(0, area_of);
        let shown = self.rung_shown(around.ladder);
        let wanted = wanted(around.ladder, &self.allowed.limits);
        Some(of_video(&VideoView {
            way,
            lost: interval.lost.unwrap_or(0.0),
            frozen: interval.frozen,
            // A frame more or less is the interval's fault.
            shown: is_shown.then(|| (pixels(shown.as_ref()), interval.frame_rate * 1.1 + 0.5)),
            wanted: (
                pixels(wanted.as_ref()),
                wanted.map_or(0.0, |rung| rung.frame_rate),
            ),
        }))
    }

    /// What is shown of a ladder.
    fn rung_shown(&self, ladder: &Ladder) -> Option<Rung> {
        let target = self.current.as_ref()?.target;
        let rungs = ladder.rungs().iter();
        rungs
            .filter(|rung| Some(rung.encoding) == self.shown && rung.spatial <= target.spatial)
            .max_by_key(|rung| (rung.spatial, rung.temporal.min(target.temporal)))
            .copied()
    }
}

fn area_of(rung: &Rung) -> u32 {
    rung.size.map_or(0, area)
}

/// The best of use within the application's limits on picture and rate, whatever it costs; the smallest when none is within.
fn wanted(ladder: &Ladder, limits: &Limits) -> Option<Rung> {
    let covering = smallest_covering(ladder, limits.shown_at);
    let fits = |rung: &&Rung| {
        let (width, height) = rung.size.unwrap_or_default();
        limits.max_width.is_none_or(|limit| width <= limit)
            && limits.max_height.is_none_or(|limit| height <= limit)
            && covering.is_none_or(|covering| area_of(rung) <= covering)
    };
    let rungs = ladder.rungs().iter();
    let best = rungs.clone().filter(fits).max_by_key(|rung| area_of(rung));
    let best = best.or_else(|| rungs.min_by_key(|rung| area_of(rung)))?;
    let same = ladder.rungs().iter().filter(|rung| {
        rung.size == best.size
            && limits
                .max_temporal_layers
                .is_none_or(|count| rung.temporal < count || rung.temporal == u8::MAX)
    });
    let fastest = same.map(|rung| rung.frame_rate).fold(0.0, f32::max);
    let limit = limits.max_frame_rate.map_or(f32::MAX, f32::from);
    Some(Rung {
        frame_rate: fastest.min(limit),
        ..*best
    })
}
