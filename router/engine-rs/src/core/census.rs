//! The census: every track and every slot that shows one is judged about every two seconds, in turn, whether or not
//! anybody asks; so reports and metrics read what is there.
//!
//! Track by track, since the ladder of a track is the same for all its slots, and a part of the tracks at a time, so that
//! no wake-up is long. One timer for the whole core, and none while there are no tracks. Scores and freezes are counted
//! as they come; how many slots are limited by what, and show what, is as of the last complete round.

use super::Core;
use super::arena::Ix;
use super::producer::{Home, Producer};
use super::spread::{JITTER_BOUNDS_S, LOSS_BOUNDS, ROUND_TRIP_BOUNDS_S, Spread};
use super::timers::{Alarm, Owner};
use crate::ids::{ProducerId, SlotId};
use crate::media::{Counted, MediaKind};
use crate::recv::{Measured, ReceiveStream};
use crate::route::ladder::{Ladder, MAX_ENCODINGS};
use crate::route::limited::LimitedBy;
use crate::route::slot::assess::{Assessed, Circumstances, Picture, Travelled};
use crate::send::quality::{AudioView, Quality, VideoView, Way, of_audio, of_video};
use crate::time::Micros;
use arrayvec::ArrayVec;

/// How long a round takes.
pub const ROUND: Micros = Micros::from_secs(2);
/// Most wake-ups of a round.
const STEPS: usize = 20;

/// Upper bounds of the buckets of [`Scores`]; a last one has none. Among them those of [`Category`].
///
/// [`Category`]: crate::send::quality::Category
pub const SCORE_BOUNDS: [f32; 7] = [1.2, 2.0, 2.58, 3.1, 3.6, 4.0, 4.3];
/// How pictures are told apart by their shorter side: up to so many pixels.
const HEIGHTS: [u16; 7] = [90, 180, 360, 540, 720, 1_080, 2_160];
/// Names of [`CensusCounters::pictures`]: in pixels, and three more.
pub const PICTURES: [&str; 10] = [
    "90", "180", "360", "540", "720", "1080", "2160", "larger", "unknown", "none",
];
const LARGER: usize = HEIGHTS.len();
const UNKNOWN: usize = LARGER + 1;
const NONE: usize = LARGER + 2;

/// How often which score was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    /// By [`SCORE_BOUNDS`], each without those below.
    pub buckets: [u64; SCORE_BOUNDS.len() + 1],
    /// The sum, in thousandths.
    pub sum_milli: u64,
}

impl Scores {
    fn count(&mut self, quality: Option<Quality>) {
        let Some(Quality { score, .. }) = quality else {
            return;
        };
        let bucket = SCORE_BOUNDS.iter().position(|bound| score <= *bound);
        self.buckets[bucket.unwrap_or(SCORE_BOUNDS.len())] += 1;
        self.sum_milli += (score * 1_000.0) as u64;
    }
}

/// What the ways of one direction were like, each looked at every round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// Part lost for good, by [`LOSS_BOUNDS`].
    pub loss: Spread,
    /// By [`JITTER_BOUNDS_S`].
    pub jitter: Spread,
    /// By [`ROUND_TRIP_BOUNDS_S`].
    pub round_trip: Spread,
    /// Packets lost at first: audio, video.
    pub lost_packets: [u64; 2],
}

impl Ways {
    fn count(&mut self, kind: MediaKind, way: &Travelled) {
        self.lost_packets[kind as usize] += way.lost_packets;
        if let Some(lost) = way.lost {
            self.loss.count(&LOSS_BOUNDS, lost.into());
        }
        if let Some(jitter) = way.jitter_s {
            self.jitter.count(&JITTER_BOUNDS_S, jitter);
        }
        if let Some(round_trip) = way.round_trip {
            let seconds = round_trip.as_secs_f64();
            self.round_trip.count(&ROUND_TRIP_BOUNDS_S, seconds);
        }
    }
}

/// Totals of the census. Nothing here is per peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CensusCounters {
    /// What publishers' audio was like on arrival.
    pub audio_received: Scores,
    /// What audio was like for its receivers.
    pub audio_sent: Scores,
    /// What publishers' video was like on arrival.
    pub video_received: Scores,
    /// What video was like for its receivers.
    pub video_sent: Scores,
    /// Freezes of receivers' pictures.
    pub freezes: u64,
    /// How long they lasted together.
    pub frozen: Micros,
    /// Video slots by [`LimitedBy`], now.
    pub limited: [u64; LimitedBy::ALL.len()],
    /// Video slots by what they show, now: [`PICTURES`].
    pub pictures: [u64; PICTURES.len()],
    /// Published tracks, now: audio, video. Not those of other workers.
    pub tracks: [u64; 2],
    /// Slots that are assigned a track, now: audio, video.
    pub subscriptions: [u64; 2],
    /// From publishers.
    pub received: Ways,
    /// To receivers.
    pub sent: Ways,
}

/// What is counted in a round, and true at its end.
#[derive(Default)]
struct Round {
    limited: [u64; LimitedBy::ALL.len()],
    pictures: [u64; PICTURES.len()],
    tracks: [u64; 2],
    subscriptions: [u64; 2],
}

/// Where the round is.
#[derive(Default)]
pub struct Census {
    alarm: Alarm,
    is_on: bool,
    /// The place of the producers' arena that is next.
    next: usize,
    counters: CensusCounters,
    round: Round,
}

impl Census {
    /// Totals, with the slots of the last round.
    pub fn counters(&self) -> &CensusCounters {
        &self.counters
    }

    fn end_round(&mut self) {
        let round = std::mem::take(&mut self.round);
        self.counters.limited = round.limited;
        self.counters.pictures = round.pictures;
        self.counters.tracks = round.tracks;
        self.counters.subscriptions = round.subscriptions;
        self.next = 0;
    }

    fn count_slot(&mut self, kind: MediaKind, assessed: &Assessed) {
        self.round.subscriptions[kind as usize] += 1;
        self.counters.sent.count(kind, &assessed.way);
        if kind == MediaKind::Audio {
            return self.counters.audio_sent.count(assessed.quality);
        }
        let counters = &mut self.counters;
        counters.video_sent.count(assessed.quality);
        counters.freezes += assessed.freezes.0;
        counters.frozen = counters.frozen + assessed.freezes.1;
        self.round.limited[assessed.limited_by as usize] += 1;
        self.round.pictures[place_of(assessed.picture)] += 1;
    }
}

/// Its place in [`PICTURES`].
fn place_of(picture: Picture) -> usize {
    match picture {
        Picture::None => NONE,
        Picture::Unknown => UNKNOWN,
        Picture::Sized(width, height) => {
            let fits = |bound: &u16| width.min(height) <= *bound;
            HEIGHTS.iter().position(fits).unwrap_or(LARGER)
        }
    }
}

impl Core {
    /// Begins when there is something to judge.
    pub(super) fn begin_census(&mut self, now: Micros) {
        if !self.census.is_on && self.producers.len() > 0 {
            self.census.is_on = true;
            self.arm_census(now);
        }
    }

    fn arm_census(&mut self, now: Micros) {
        let steps = self.producers.places().clamp(1, STEPS) as u64;
        let at = now + Micros(ROUND.0 / steps);
        self.timers.arm(&mut self.census.alarm, Owner::Census, at);
    }

    pub(super) fn wake_census(&mut self, now: Micros, at: Micros) {
        if !self.census.alarm.take(at) {
            return;
        }
        let places = self.producers.places();
        for _place in 0..places.div_ceil(STEPS) {
            if let Some(ix) = self.producers.nth(self.census.next) {
                self.judge_track(now, ix);
            }
            self.census.next += 1;
            if self.census.next >= places {
                self.census.end_round();
                break;
            }
        }
        self.census.is_on = self.producers.len() > 0;
        if self.census.is_on {
            self.arm_census(now);
        } else {
            self.census.end_round();
        }
    }

    /// Judges a track as it arrives, and each slot that shows it.
    fn judge_track(&mut self, now: Micros, ix: Ix<ProducerId>) {
        let Some(producer) = self.producers.get_mut(ix) else {
            return;
        };
        let kind = producer.config.kind;
        if let Home::Peer(peer) = producer.home {
            let publisher = self.transports.get(peer);
            let round_trip = publisher.and_then(|peer| peer.link.round_trip());
            let (quality, way) = producer.judge(now, round_trip);
            self.census.round.tracks[kind as usize] += 1;
            let counters = &mut self.census.counters;
            counters.received.count(kind, &way);
            let scores = match kind {
                MediaKind::Audio => &mut counters.audio_received,
                MediaKind::Video => &mut counters.video_received,
            };
            scores.count(quality);
        }
        let is_live = producer.is_live(now);
        let ladder = producer.ladder(now);
        for index in 0..producer.route.len() {
            let slot = self.producers.get(ix).and_then(|it| it.route.get(index));
            let Some(slot) = slot.copied() else { break };
            self.judge_slot(now, ix, slot, (&ladder, is_live));
        }
    }

    fn judge_slot(
        &mut self,
        now: Micros,
        producer: Ix<ProducerId>,
        ix: Ix<SlotId>,
        (ladder, is_live): (&Ladder, bool),
    ) {
        let Some(entry) = self.slots.get_mut(ix) else {
            return;
        };
        // One that changes is in two routes.
        if entry.current() != Some(producer) {
            return;
        }
        let receiver = self.transports.get(entry.transport);
        let around = Circumstances {
            ladder,
            is_live,
            is_reachable: receiver.is_some_and(|receiver| receiver.can_send(now)),
            round_trip: receiver.and_then(|receiver| receiver.link.round_trip()),
        };
        let assessed = entry.slot.assess(now, around);
        let kind = entry.slot.config().kind;
        self.census.count_slot(kind, &assessed);
    }
}

impl Producer {
    /// Something came lately enough to expect more.
    fn is_live(&self, now: Micros) -> bool {
        let timeout = self.config.media_timeout;
        let last = self.streams.iter().filter_map(ReceiveStream::last_packet);
        last.max().is_some_and(|last| now - last < timeout)
    }

    fn ladder(&mut self, now: Micros) -> Ladder {
        let streams = self.streams.iter_mut().take(MAX_ENCODINGS);
        let measured: ArrayVec<Measured, MAX_ENCODINGS> =
            streams.map(|stream| stream.measure(now)).collect();
        Ladder::new(&measured)
    }

    /// Judges what arrived since the last call, of all encodings together.
    fn judge(&mut self, now: Micros, round_trip: Option<Micros>) -> (Option<Quality>, Travelled) {
        if self.paused || !self.is_live(now) {
            self.assessment.suspend();
            return (None, Travelled::default());
        }
        let mut all = Counted::default();
        let mut jitter = Micros(0);
        for stream in &mut self.streams {
            let counted = stream.counted(now);
            all.packets += counted.packets;
            all.lost += counted.lost;
            all.repaired += counted.repaired;
            // The encoding that came longest tells of frames: others may be left out by their publisher.
            if counted.frames >= all.frames {
                (all.frames, all.frozen) = (counted.frames, counted.frozen);
                jitter = stream.jitter();
            }
        }
        let Some(interval) = self.assessment.next(all, now) else {
            return (None, Travelled::default());
        };
        let way = Way {
            rtt: round_trip.unwrap_or_default(),
            jitter,
        };
        let travelled = Travelled {
            lost: interval.lost,
            lost_packets: interval.lost_packets,
            round_trip,
            jitter_s: Some(jitter.as_secs_f64()),
        };
        let Some(lost) = interval.lost else {
            return (None, travelled);
        };
        let quality = match self.config.kind {
            MediaKind::Audio => of_audio(&AudioView {
                way,
                lost,
                has_fec: false,
            }),
            // What the encoder left out, nobody here knows.
            MediaKind::Video => of_video(&VideoView {
                way,
                lost,
                frozen: interval.frozen,
                shown: Some((0, 0.0)),
                wanted: (0, 0.0),
            }),
        };
        (Some(self.assessment.judge(quality)), travelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::quality::Impairment;

    #[test]
    fn scores_fall_into_the_bucket_of_their_upper_bound() {
        let mut scores = Scores::default();
        scores.count(None);
        for score in [1.0, 1.2, 3.5, 4.5] {
            let impairment = Impairment::None;
            scores.count(Some(Quality { score, impairment }));
        }
        assert_eq!(scores.buckets, [2, 0, 0, 0, 1, 0, 0, 1]);
        assert!(scores.sum_milli.abs_diff(10_200) <= 2);
    }

    #[test]
    fn pictures_by_their_shorter_side() {
        let name = |picture| PICTURES[place_of(picture)];
        assert_eq!(
            (name(Picture::None), name(Picture::Unknown)),
            ("none", "unknown")
        );
        for ((width, height), expected) in [
            ((320, 180), "180"),
            ((180, 320), "180"),
            ((1_280, 720), "720"),
            ((1_920, 1_080), "1080"),
            ((8_000, 4_000), "larger"),
        ] {
            assert_eq!(name(Picture::Sized(width, height)), expected);
        }
        for (bound, name) in HEIGHTS.iter().zip(PICTURES) {
            assert_eq!(bound.to_string(), name);
        }
    }
}
