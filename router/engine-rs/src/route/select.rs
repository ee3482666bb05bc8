//! Which rung of a producer's ladder a slot should show, and why: a pure decision on what is measured.
//!
//! The best rung that flows, is no larger than the receiver shows it, and fits the slot's limits and its share of the
//! receiver's bandwidth. Bits per second are a hard limit: with nothing that fits the slot shows nothing. Picture size and
//! frame rate are soft: with nothing that fits, the smallest is shown, since a router cannot scale. The bandwidth is shared
//! out elsewhere, with hysteresis.

use super::cover::{area, smallest_covering};
use super::ladder::{Ladder, Rung};
use crate::core::command::Limits;
use crate::recv::layers::Layer;
use crate::time::Micros;

/// A better encoding or spatial layer must flow this long before a slot moves up to it.
pub const UP_DELAY: Micros = Micros::from_millis(500);
/// What is shown may exceed a limit in bits per second by this percentage before it is left; measurements waver.
pub const TOLERANCE_PERCENT: u64 = 10;
/// Encodings and spatial layers whose flow is followed.
const FOLLOWED: usize = 8;

/// Why a slot shows what it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is assigned.
    #[default]
    Unassigned,
    /// The producer is paused by the server.
    Paused,
    /// No codec of the producer is accepted by the receiver.
    NoCodec,
    /// No encoding of the producer has sent anything lately.
    NothingFlows,
    /// The best that flows.
    Best,
    /// A better one exceeds the receiver's picture size.
    LimitedBySize,
    /// A better one is larger than the receiver shows it.
    AsLargeAsShown,
    /// A better one exceeds the receiver's bitrate.
    LimitedByBitrate,
    /// A better one exceeds the receiver's frame rate, or its number of temporal layers.
    LimitedByFrameRate,
    /// A better one exceeds the slot's share of the receiver's bandwidth.
    LimitedByBandwidth,
    /// Even the smallest exceeds the receiver's picture size or frame rate, but there is no other.
    SmallestExceeds,
    /// Even the smallest exceeds the receiver's bitrate: nothing is shown.
    BitrateTooLow,
    /// Even the smallest exceeds the slot's share of the receiver's bandwidth: nothing is shown.
    BandwidthTooLow,
    /// The slot follows speakers, and one has its place.
    OneOfTheLoudest,
    /// The slot follows speakers, and its place is empty.
    NobodySpeaks,
}

impl Reason {
    /// A short text for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unassigned => "nothing is assigned",
            Self::Paused => "the track is paused by the server",
            Self::NoCodec => "the receiver accepts no codec of the track",
            Self::NothingFlows => "the track sends nothing",
            Self::Best => "the best layer that flows",
            Self::LimitedBySize => "the best layer within the picture size limit",
            Self::AsLargeAsShown => "as large as it is shown",
            Self::LimitedByBitrate => "the best layer within the bitrate limit",
            Self::LimitedByFrameRate => "the best layer within the frame rate limit",
            Self::LimitedByBandwidth => "the best layer within the estimated bandwidth",
            Self::SmallestExceeds => "the smallest layer, though it exceeds a limit",
            Self::BitrateTooLow => "no layer fits the bitrate limit",
            Self::BandwidthTooLow => "paused: no layer fits the estimated bandwidth",
            Self::OneOfTheLoudest => "one of the loudest",
            Self::NobodySpeaks => "nobody speaks here",
        }
    }

    /// The reason as it is for a slot that follows speakers.
    #[must_use]
    pub const fn of_follower(self) -> Self {
        match self {
            Self::Unassigned => Self::NobodySpeaks,
            Self::Best | Self::NothingFlows => Self::OneOfTheLoudest,
            other => other,
        }
    }
}

/// What to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Index of the encoding.
    pub encoding: Option<u8>,
    /// Highest layers to forward of it.
    pub target: Layer,
    /// Why.
    pub reason: Reason,
}

/// A slot's share of its receiver's bandwidth (`alloc/`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// As much as there is.
    #[default]
    Whole,
    /// This rung; when it is not there (any more), what costs no more.
    Rung {
        /// Which one.
        place: Place,
        /// What it cost when it was granted.
        bps: u64,
    },
    /// Not enough for anything.
    Nothing,
}

impl Share {
    /// A rung that was granted.
    pub const fn of(rung: &Rung) -> Self {
        Self::Rung {
            place: place(rung),
            bps: rung.bps,
        }
    }

    /// What it was granted is there: nothing else is to be shown, however little that costs.
    fn names(self, rung: &Rung) -> bool {
        matches!(self, Self::Rung { place: granted, .. } if granted == place(rung))
    }

    fn covers(self, rung: &Rung, tolerance: u64) -> bool {
        match self {
            Self::Whole => true,
            Self::Rung { bps, .. } => {
                self.names(rung) || rung.bps <= bps.saturating_add(bps / 100 * tolerance)
            }
            Self::Nothing => false,
        }
    }
}

/// What a slot is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// By the application.
    pub limits: Limits,
    /// Of the receiver's bandwidth.
    pub share: Share,
}

/// What is allowed of one ladder.
struct Bounds<'a> {
    ladder: &'a Ladder,
    allowed: &'a Allowed,
    /// Area of the largest picture that is of use.
    covering: Option<u32>,
}

impl<'a> Bounds<'a> {
    fn new(ladder: &'a Ladder, allowed: &'a Allowed) -> Self {
        Self {
            ladder,
            allowed,
            covering: smallest_covering(ladder, allowed.limits.shown_at),
        }
    }

    fn rungs(&self) -> std::slice::Iter<'a, Rung> {
        self.ladder.rungs().iter()
    }

    fn first_excess(&self, rung: &Rung, tolerance: u64) -> Option<Reason> {
        let limits = &self.allowed.limits;
        let exceeds = |value: u64, limit: Option<u64>| limit.is_some_and(|limit| value > limit);
        let with_tolerance =
            |limit: Option<u64>| limit.map(|limit| limit.saturating_add(limit / 100 * tolerance));
        if exceeds(rung.bps, with_tolerance(limits.max_bitrate_bps)) {
            return Some(Reason::LimitedByBitrate);
        }
        if !self.allowed.share.covers(rung, tolerance) {
            return Some(Reason::LimitedByBandwidth);
        }
        let (width, height) = rung.size.unwrap_or_default();
        if exceeds(width.into(), limits.max_width.map(u64::from))
            || exceeds(height.into(), limits.max_height.map(u64::from))
        {
            return Some(Reason::LimitedBySize);
        }
        if self
            .covering
            .is_some_and(|covering| area((width, height)) > covering)
        {
            return Some(Reason::AsLargeAsShown);
        }
        is_too_fast(rung, limits).then_some(Reason::LimitedByFrameRate)
    }
}

/// Encoding, spatial and temporal layer of a rung.
pub type Place = (u8, u8, u8);

const fn place(rung: &Rung) -> Place {
    (rung.encoding, rung.spatial, rung.temporal)
}

/// Chooses rungs; remembers since when each encoding and spatial layer flows, and what was chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selector {
    flowing_since: [Option<Micros>; FOLLOWED],
    chosen: Option<Place>,
}

impl Selector {
    /// Decides for now. `current` is the encoding shown.
    pub fn decide(
        &mut self,
        ladder: &Ladder,
        allowed: &Allowed,
        current: Option<u8>,
        now: Micros,
    ) -> Decision {
        self.note_flow(ladder, now);
        let bounds = Bounds::new(ladder, allowed);
        let flows = |encoding: u8| ladder.rungs().iter().any(|rung| rung.encoding == encoding);
        let current = current.filter(|encoding| flows(*encoding));
        let (rung, reason) = self.choose(&bounds, current, now);
        self.chosen = rung.as_ref().map(place);
        let target = rung.map_or(Layer::TOP, |rung| target(&rung, &bounds));
        Decision {
            encoding: rung.map(|rung| rung.encoding),
            target: within_count(target, &allowed.limits),
            reason,
        }
    }

    fn choose(&self, bounds: &Bounds, current: Option<u8>, now: Micros) -> (Option<Rung>, Reason) {
        if let Some(rung) = self.granted(bounds, current, now) {
            return (Some(rung), Reason::LimitedByBandwidth);
        }
        let mut passed_over = Reason::Best;
        let mut lowest = Reason::NothingFlows;
        for rung in bounds.rungs().rev() {
            let excess = bounds.first_excess(rung, self.tolerance(rung, current));
            match excess {
                None if self.may_show(rung, current, now) => return (Some(*rung), passed_over),
                None => {}
                Some(excess) => {
                    passed_over = excess;
                    lowest = match excess {
                        Reason::LimitedByBandwidth => Reason::BandwidthTooLow,
                        _ => Reason::BitrateTooLow,
                    };
                }
            }
        }
        match self.smallest(bounds, current) {
            Some(rung) => (Some(rung), Reason::SmallestExceeds),
            None => (None, lowest),
        }
    }

    /// What the share names, if that can be shown now.
    fn granted(&self, bounds: &Bounds, current: Option<u8>, now: Micros) -> Option<Rung> {
        let share = bounds.allowed.share;
        let rung = bounds.rungs().find(|rung| share.names(rung))?;
        let tolerance = self.tolerance(rung, current);
        let fits = bounds.first_excess(rung, tolerance).is_none();
        (fits && self.may_show(rung, current, now)).then_some(*rung)
    }

    /// Of the smallest picture that can be paid for: the best rate within the limits, or the lowest.
    fn smallest(&self, bounds: &Bounds, current: Option<u8>) -> Option<Rung> {
        let affordable = bounds.rungs().filter(|rung| {
            let excess = bounds.first_excess(rung, self.tolerance(rung, current));
            !excess.is_some_and(is_hard)
        });
        let pixels = |rung: &&Rung| rung.size.map(area);
        let size = affordable.clone().min_by_key(pixels)?.size;
        let mut same_size = affordable.filter(|rung| rung.size == size);
        let in_time = same_size
            .clone()
            .rev()
            .find(|rung| !is_too_fast(rung, &bounds.allowed.limits));
        in_time.or(same_size.next()).copied()
    }

    /// What is shown may waver.
    fn tolerance(&self, rung: &Rung, current: Option<u8>) -> u64 {
        let shown =
            current == Some(rung.encoding) && self.chosen.is_none_or(|it| it == place(rung));
        if shown { TOLERANCE_PERCENT } else { 0 }
    }

    fn note_flow(&mut self, ladder: &Ladder, now: Micros) {
        let mut flowing = [false; FOLLOWED];
        for rung in ladder.rungs() {
            flowing[followed(rung)] = true;
        }
        for (since, flowing) in self.flowing_since.iter_mut().zip(flowing) {
            *since = if flowing { since.or(Some(now)) } else { None };
        }
    }

    /// One that just began to flow must prove itself, unless nothing else is shown.
    fn may_show(&self, rung: &Rung, current: Option<u8>, now: Micros) -> bool {
        let Some(current) = current else { return true };
        let shown = current == rung.encoding && self.chosen.is_none_or(|it| it.1 == rung.spatial);
        shown || self.flowing_since[followed(rung)].is_some_and(|since| now - since >= UP_DELAY)
    }
}

/// A producer has several encodings or several spatial layers, hardly both.
fn followed(rung: &Rung) -> usize {
    usize::from(rung.encoding + rung.spatial).min(FOLLOWED - 1)
}

/// Bits per second that must not be exceeded.
fn is_hard(excess: Reason) -> bool {
    matches!(
        excess,
        Reason::LimitedByBitrate | Reason::LimitedByBandwidth
    )
}

fn is_too_fast(rung: &Rung, limits: &Limits) -> bool {
    let too_fast = |limit: u16| rung.frame_rate > with_slack(limit);
    let too_many = |count: u8| rung.temporal != u8::MAX && rung.temporal > count.saturating_sub(1);
    limits.max_frame_rate.is_some_and(too_fast) || limits.max_temporal_layers.is_some_and(too_many)
}

/// A camera of 30 frames a second sometimes delivers 31.
fn with_slack(frame_rate: u16) -> f32 {
    f32::from(frame_rate) * 1.1 + 1.0
}

/// The layers that a rung stands for. Where nothing is limited, a layer that the publisher adds is welcome at once.
fn target(rung: &Rung, bounds: &Bounds) -> Layer {
    let Allowed { limits, share } = bounds.allowed;
    let open = limits.max_bitrate_bps.is_none() && *share == Share::Whole;
    let same_encoding = |other: &&Rung| other.encoding == rung.encoding;
    let mut others = bounds.rungs().filter(same_encoding);
    let is_top = others.clone().all(|other| other.spatial <= rung.spatial);
    let sides = limits.max_width.is_some() || limits.max_height.is_some();
    let any_size = !sides && limits.shown_at.is_none();
    let is_fastest =
        others.all(|other| other.spatial != rung.spatial || other.temporal <= rung.temporal);
    let any_rate = limits.max_frame_rate.is_none();
    let layer = |own: u8, open: bool| if open { u8::MAX } else { own };
    Layer::new(
        layer(rung.spatial, open && is_top && any_size),
        layer(rung.temporal, open && is_fastest && any_rate),
    )
}

/// The application's count of temporal layers holds also where nothing is measured.
fn within_count(target: Layer, limits: &Limits) -> Layer {
    let count = limits.max_temporal_layers.unwrap_or(u8::MAX);
    Layer::new(target.spatial, target.temporal.min(count.saturating_sub(1)))
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
