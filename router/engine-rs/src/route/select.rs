//! Which encoding of a producer a slot should show, and why: a pure decision on what is measured.
//!
//! The best encoding that flows and fits the slot's limits. Bitrate is a hard limit: with nothing that fits the slot
//! shows nothing. Picture size and frame rate are soft: with nothing that fits, the smallest is shown, since a router
//! cannot scale. Encodings are ranked by what is measured, never by name or order (`ecosystem.md` section 2).

use crate::core::command::Limits;
use crate::recv::Measured;
use crate::recv::bitrate::TEMPORAL_LAYERS;
use crate::time::Micros;

/// Most encodings of one producer that are looked at.
pub const MAX_ENCODINGS: usize = 8;
/// A better encoding must flow this long before a slot moves up to it.
pub const UP_DELAY: Micros = Micros::from_millis(500);
/// The shown encoding may exceed the bitrate limit by this percentage before it is left; measurements waver.
pub const TOLERANCE_PERCENT: u64 = 10;

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
    /// The best encoding that flows.
    Best,
    /// A better one exceeds the receiver's picture size.
    LimitedBySize,
    /// A better one exceeds the receiver's bitrate.
    LimitedByBitrate,
    /// A better one exceeds the receiver's frame rate.
    LimitedByFrameRate,
    /// Even the smallest exceeds the receiver's picture size or frame rate, but there is no other.
    SmallestExceeds,
    /// Even the smallest exceeds the receiver's bitrate: nothing is shown.
    BitrateTooLow,
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
            Self::LimitedByBitrate => "the best layer within the bitrate limit",
            Self::LimitedByFrameRate => "the best layer within the frame rate limit",
            Self::SmallestExceeds => "the smallest layer, though it exceeds a limit",
            Self::BitrateTooLow => "no layer fits the bitrate limit",
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
    /// Highest temporal layer to forward, where the codec names them.
    pub max_temporal_layer: u8,
    /// Why.
    pub reason: Reason,
}

/// Chooses encodings; remembers since when each one flows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selector {
    flowing_since: [Option<Micros>; MAX_ENCODINGS],
}

impl Selector {
    /// Decides for now. `current` is the encoding shown, `encodings` what is measured of all of them.
    pub fn decide(
        &mut self,
        encodings: &[Measured],
        limits: &Limits,
        current: Option<u8>,
        now: Micros,
    ) -> Decision {
        self.note_flow(encodings, now);
        let candidates = || {
            encodings
                .iter()
                .enumerate()
                .take(MAX_ENCODINGS)
                .filter(|(_, encoding)| encoding.flowing)
        };
        let by_size = candidates().all(|(_, encoding)| encoding.size.is_some());
        let current = current
            .map(usize::from)
            .filter(|&index| encodings.get(index).is_some_and(|it| it.flowing));
        let mut best: Option<(usize, Reason)> = None;
        let mut passed_over = Reason::Best;
        let mut smallest: Option<usize> = None;
        let mut ranked: arrayvec::ArrayVec<usize, MAX_ENCODINGS> =
            candidates().map(|(index, _)| index).collect();
        ranked.sort_by_key(|&index| std::cmp::Reverse(rank(&encodings[index], by_size)));
        for index in ranked {
            let tolerance = if current == Some(index) {
                TOLERANCE_PERCENT
            } else {
                0
            };
            let excess = first_excess(&encodings[index], limits, tolerance);
            if !matches!(excess, Some(Reason::LimitedByBitrate)) {
                smallest = Some(index);
            }
            match excess {
                Some(excess) if best.is_none() => passed_over = excess,
                None if best.is_none() && self.may_show(index, current, now) => {
                    best = Some((index, passed_over));
                }
                _ => {}
            }
        }
        let anything = candidates().next().is_some();
        let (encoding, reason) = match (best, smallest) {
            (Some((index, reason)), _) => (Some(index), reason),
            (None, _) if !anything => (None, Reason::NothingFlows),
            (None, Some(index)) => (Some(index), Reason::SmallestExceeds),
            (None, None) => (None, Reason::BitrateTooLow),
        };
        let max_temporal_layer =
            encoding.map_or(u8::MAX, |index| temporal_layer(&encodings[index], limits));
        Decision {
            encoding: encoding.map(|index| index as u8),
            max_temporal_layer,
            reason,
        }
    }

    fn note_flow(&mut self, encodings: &[Measured], now: Micros) {
        for (index, since) in self.flowing_since.iter_mut().enumerate() {
            let flowing = encodings
                .get(index)
                .is_some_and(|encoding| encoding.flowing);
            *since = if flowing { since.or(Some(now)) } else { None };
        }
    }

    /// One that just began to flow must prove itself, unless nothing else is shown.
    fn may_show(&self, index: usize, current: Option<usize>, now: Micros) -> bool {
        let Some(current) = current else { return true };
        current == index || self.flowing_since[index].is_some_and(|since| now - since >= UP_DELAY)
    }
}

/// Bigger is better: by picture area when all are known, else by bitrate alone.
fn rank(encoding: &Measured, by_size: bool) -> (u32, u64) {
    let area = encoding
        .size
        .filter(|_| by_size)
        .map_or(0, |(width, height)| u32::from(width) * u32::from(height));
    (area, encoding.bitrate_bps)
}

fn first_excess(encoding: &Measured, limits: &Limits, tolerance: u64) -> Option<Reason> {
    let fits = |value: Option<u64>, limit: Option<u64>| {
        value.is_none_or(|value| limit.is_none_or(|limit| value <= limit))
    };
    let bitrate = limits
        .max_bitrate_bps
        .map(|limit| limit.saturating_add(limit / 100 * tolerance));
    if !fits(Some(encoding.bitrate_bps), bitrate) {
        return Some(Reason::LimitedByBitrate);
    }
    let (width, height) = encoding.size.unzip();
    if !fits(width.map(u64::from), limits.max_width.map(u64::from))
        || !fits(height.map(u64::from), limits.max_height.map(u64::from))
    {
        return Some(Reason::LimitedBySize);
    }
    // The base layer alone must fit; `temporal_layer` finds how many more do.
    let slowest = encoding.frame_rates[0];
    if limits
        .max_frame_rate
        .is_some_and(|limit| slowest > with_slack(limit))
    {
        return Some(Reason::LimitedByFrameRate);
    }
    None
}

/// A camera of 30 frames a second sometimes delivers 31.
fn with_slack(frame_rate: u16) -> f32 {
    f32::from(frame_rate) * 1.1 + 1.0
}

/// The highest temporal layer within the limits; layer 0 always is.
fn temporal_layer(encoding: &Measured, limits: &Limits) -> u8 {
    let by_count = limits
        .max_temporal_layers
        .map_or(u8::MAX, |count| count.saturating_sub(1));
    let Some(limit) = limits.max_frame_rate else {
        return by_count;
    };
    let fitting = encoding
        .frame_rates
        .iter()
        .take_while(|&&rate| rate <= with_slack(limit))
        .count();
    let by_rate = if fitting == TEMPORAL_LAYERS {
        u8::MAX
    } else {
        fitting.saturating_sub(1) as u8
    };
    by_count.min(by_rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Name, encodings, limits, the one shown, the one to show, why.
    type Row = (
        &'static str,
        Vec<Measured>,
        Limits,
        Option<u8>,
        Option<u8>,
        Reason,
    );

    const LATER: Micros = Micros::from_secs(10);

    fn layer(bitrate_kbps: u64, size: Option<(u16, u16)>) -> Measured {
        let frame_rates = [7.5, 15.0, 30.0, 30.0];
        Measured {
            flowing: bitrate_kbps > 0,
            bitrate_bps: bitrate_kbps * 1_000,
            size,
            frame_rates,
        }
    }

    fn simulcast() -> [Measured; 3] {
        [
            layer(2_000, Some((1_280, 720))),
            layer(500, Some((640, 360))),
            layer(150, Some((320, 180))),
        ]
    }

    fn decide(encodings: &[Measured], limits: Limits, current: Option<u8>) -> Decision {
        let mut selector = Selector::default();
        selector.note_flow(encodings, Micros(0));
        selector.decide(encodings, &limits, current, LATER)
    }

    #[test]
    fn table() {
        let none = Limits::default();
        let kbps = |kbps: u64| Limits {
            max_bitrate_bps: Some(kbps * 1_000),
            ..none
        };
        let height = |height: u16| Limits {
            max_height: Some(height),
            ..none
        };
        let [full, half, quarter] = simulcast();
        let silent = layer(0, Some((1_280, 720)));
        let unsized_full = layer(2_000, None);
        let rows: [Row; 18] = [
            (
                "no encodings",
                vec![],
                none,
                None,
                None,
                Reason::NothingFlows,
            ),
            (
                "all silent",
                vec![silent; 3],
                none,
                Some(1),
                None,
                Reason::NothingFlows,
            ),
            (
                "best of all",
                vec![full, half, quarter],
                none,
                None,
                Some(0),
                Reason::Best,
            ),
            (
                "order means nothing",
                vec![quarter, full, half],
                none,
                None,
                Some(1),
                Reason::Best,
            ),
            (
                "best stopped",
                vec![silent, half, quarter],
                none,
                Some(0),
                Some(1),
                Reason::Best,
            ),
            (
                "bitrate",
                vec![full, half, quarter],
                kbps(600),
                None,
                Some(1),
                Reason::LimitedByBitrate,
            ),
            (
                "bitrate lowest",
                vec![full, half, quarter],
                kbps(150),
                None,
                Some(2),
                Reason::LimitedByBitrate,
            ),
            (
                "bitrate too low",
                vec![full, half, quarter],
                kbps(100),
                Some(2),
                None,
                Reason::BitrateTooLow,
            ),
            (
                "current within tolerance",
                vec![full],
                kbps(1_900),
                Some(0),
                Some(0),
                Reason::Best,
            ),
            (
                "newcomer without tolerance",
                vec![full],
                kbps(1_900),
                None,
                None,
                Reason::BitrateTooLow,
            ),
            (
                "height",
                vec![full, half, quarter],
                height(400),
                Some(0),
                Some(1),
                Reason::LimitedBySize,
            ),
            (
                "height too low",
                vec![full, half, quarter],
                height(100),
                None,
                Some(2),
                Reason::SmallestExceeds,
            ),
            (
                "only size too big",
                vec![full],
                height(100),
                None,
                Some(0),
                Reason::SmallestExceeds,
            ),
            (
                "size and bitrate too low",
                vec![full, half],
                Limits {
                    max_bitrate_bps: Some(600_000),
                    ..height(100)
                },
                None,
                Some(1),
                Reason::SmallestExceeds,
            ),
            (
                "width",
                vec![full, half, quarter],
                Limits {
                    max_width: Some(640),
                    ..none
                },
                None,
                Some(1),
                Reason::LimitedBySize,
            ),
            (
                "unknown size ranks by bitrate",
                vec![quarter, unsized_full, half],
                none,
                None,
                Some(1),
                Reason::Best,
            ),
            (
                "unknown size fits",
                vec![unsized_full],
                height(100),
                None,
                Some(0),
                Reason::Best,
            ),
            (
                "frame rate",
                vec![full],
                Limits {
                    max_frame_rate: Some(5),
                    ..none
                },
                None,
                Some(0),
                Reason::SmallestExceeds,
            ),
        ];
        for (name, encodings, limits, current, expected, reason) in rows {
            let decision = decide(&encodings, limits, current);
            assert_eq!(
                (decision.encoding, decision.reason),
                (expected, reason),
                "{name}"
            );
        }
    }

    #[test]
    fn temporal_layers_follow_count_and_frame_rate() {
        let encodings = simulcast();
        let table = [
            (Limits::default(), u8::MAX),
            (
                Limits {
                    max_temporal_layers: Some(1),
                    ..Limits::default()
                },
                0,
            ),
            (
                Limits {
                    max_temporal_layers: Some(0),
                    ..Limits::default()
                },
                0,
            ),
            (
                Limits {
                    max_frame_rate: Some(30),
                    ..Limits::default()
                },
                u8::MAX,
            ),
            (
                Limits {
                    max_frame_rate: Some(15),
                    ..Limits::default()
                },
                1,
            ),
            (
                Limits {
                    max_frame_rate: Some(10),
                    ..Limits::default()
                },
                0,
            ),
            (
                Limits {
                    max_frame_rate: Some(15),
                    max_temporal_layers: Some(1),
                    ..Limits::default()
                },
                0,
            ),
        ];
        for (limits, expected) in table {
            let decision = decide(&encodings, limits, None);
            assert_eq!(
                (decision.encoding, decision.max_temporal_layer),
                (Some(0), expected),
                "{limits:?}"
            );
        }
    }

    #[test]
    fn moves_up_only_to_what_has_flowed_a_while_but_down_at_once() {
        let [full, half, _] = simulcast();
        let silent = layer(0, None);
        let mut selector = Selector::default();
        let mut decide = |encodings: &[Measured], current, ms| {
            selector
                .decide(
                    encodings,
                    &Limits::default(),
                    current,
                    Micros::from_millis(ms),
                )
                .encoding
        };
        assert_eq!(decide(&[silent, half], None, 0), Some(1));
        assert_eq!(decide(&[full, half], Some(1), 100), Some(1), "just began");
        assert_eq!(decide(&[full, half], Some(1), 599), Some(1));
        assert_eq!(decide(&[full, half], Some(1), 600), Some(0));
        assert_eq!(decide(&[silent, half], Some(0), 700), Some(1));
        assert_eq!(decide(&[full, half], Some(1), 800), Some(1), "began anew");
    }

    #[test]
    fn each_reason_has_a_text() {
        assert_eq!(Reason::default().text(), "nothing is assigned");
        assert_ne!(Reason::Best.text(), Reason::BitrateTooLow.text());
    }

    proptest! {
        /// Whatever is measured: what is shown flows, and fits the bitrate with tolerance.
        #[test]
        fn shown_always_flows_and_fits(
            layers in proptest::collection::vec((0u64..4_000, proptest::option::of((0u16..2_000, 0u16..2_000))), 0..10),
            limit in proptest::option::of(0u64..4_000_000),
            height in proptest::option::of(0u16..2_000),
            current in proptest::option::of(0u8..10),
        ) {
            let encodings: Vec<Measured> = layers.iter().map(|&(kbps, size)| layer(kbps, size)).collect();
            let limits = Limits { max_bitrate_bps: limit, max_height: height, ..Limits::default() };
            let decision = decide(&encodings, limits, current);
            match decision.encoding {
                Some(index) => {
                    let shown = &encodings[usize::from(index)];
                    prop_assert!(shown.flowing);
                    prop_assert!(limit.is_none_or(|limit| shown.bitrate_bps <= limit + limit / 10));
                }
                None => prop_assert!(matches!(decision.reason, Reason::NothingFlows | Reason::BitrateTooLow)),
            }
        }
    }
}
