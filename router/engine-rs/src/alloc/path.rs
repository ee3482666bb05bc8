//! The way up for one slot: the rungs of its ladder that make sense for it, each better and dearer than the one before.
//!
//! Left out are rungs beyond what the application allows (bitrate is a hard limit; size and frame rate give way when
//! nothing else is there, since a router cannot scale), beyond the size at which the picture is shown, those that a
//! better one undercuts, and by preference: a camera takes a larger picture only where it moves, a shared screen goes
//! through the sizes at their lowest frame rate first.

use super::claim::{Claim, Preference};
use super::grant::Cause;
use crate::core::command::Limits;
use crate::route::cover::{area, smallest_covering};
use crate::route::ladder::{Ladder, MAX_RUNGS, Rung};
use crate::route::select::TOLERANCE_PERCENT;
use crate::time::Micros;
use arrayvec::ArrayVec;

/// What goes with each rung that it does not measure: SRTP tag and RTCP, about 3 %.
const OVERHEAD_DIVISOR: u64 = 32;
/// Below so many frames a second a picture does not move.
const MOVING: f32 = 12.0;

/// A rung, and what it takes from the budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The rung.
    pub rung: Rung,
    /// Its cost in bits per second.
    pub bps: u64,
}

/// The levels, and why there are no better ones.
#[derive(Clone, Debug)]
pub struct Path {
    /// Worst and cheapest first.
    pub levels: ArrayVec<Level, MAX_RUNGS>,
    /// Why the last is the best.
    pub ceiling: Cause,
}

/// Finds the path of a claim.
pub fn find(claim: &mut Claim, ladder: &Ladder, now: Micros) -> Path {
    let covering = smallest_covering(ladder, claim.limits.shown_at);
    let mut ceiling = Cause::Best;
    let mut excess_of = |rung: &Rung, claim: &Claim| {
        let excess = excess(rung, claim, covering);
        // The best rung that is passed over tells why.
        ceiling = excess.unwrap_or(ceiling);
        excess.is_none()
    };
    let flowing = ladder.rungs().iter().filter(|rung| rung.bps > 0);
    let mut rungs: ArrayVec<Rung, MAX_RUNGS> = flowing
        .filter(|rung| excess_of(rung, claim))
        .copied()
        .collect();
    if rungs.is_empty() {
        return last_resort(claim, ladder, ceiling);
    }
    let largest = rungs.iter().filter_map(|rung| rung.size.map(area)).max();
    let mut seen = ArrayVec::<Rung, MAX_RUNGS>::new();
    rungs.retain(|rung| {
        let kept = match claim.preference {
            Preference::Motion => moves_enough(rung, &seen),
            Preference::Detail => {
                let is_largest = rung.size.map(area) == largest;
                is_largest || !seen.iter().any(|worse| is_same_size(rung, worse))
            }
        };
        seen.push(*rung);
        kept || claim.standing.holds(rung)
    });
    Path {
        levels: undercut_removed(claim, &rungs, now),
        ceiling,
    }
}

/// Nothing is within the limits: the cheapest that does not exceed the bitrate, if any.
fn last_resort(claim: &mut Claim, ladder: &Ladder, ceiling: Cause) -> Path {
    let flowing = || ladder.rungs().iter().filter(|rung| rung.bps > 0);
    let fitting = flowing().filter(|rung| fits_bitrate(rung, claim));
    let rung = fitting.min_by_key(|rung| rung.bps);
    let ceiling = match rung {
        Some(_) => Cause::SmallestExceeds,
        None if flowing().next().is_none() => Cause::NothingFlows,
        None => ceiling,
    };
    let levels = rung.map(|rung| level(rung, rung.bps)).into_iter().collect();
    Path { levels, ceiling }
}

/// What forbids the rung, if anything.
fn excess(rung: &Rung, claim: &Claim, covering: Option<u32>) -> Option<Cause> {
    let Limits {
        max_width,
        max_height,
        max_frame_rate,
        max_temporal_layers,
        ..
    } = claim.limits;
    let exceeds = |value: u16, limit: Option<u16>| limit.is_some_and(|limit| value > limit);
    if !fits_bitrate(rung, claim) {
        return Some(Cause::BitrateLimit);
    }
    if let Some(size) = rung.size {
        if exceeds(size.0, max_width) || exceeds(size.1, max_height) {
            return Some(Cause::SizeLimit);
        }
        if covering.is_some_and(|covering| area(size) > covering) {
            return Some(Cause::ShownSize);
        }
    }
    let too_fast = |limit: u16| rung.frame_rate > f32::from(limit) * 1.1 + 1.0;
    let too_many = |limit: u8| rung.temporal != u8::MAX && rung.temporal >= limit.max(1);
    if max_frame_rate.is_some_and(too_fast) || max_temporal_layers.is_some_and(too_many) {
        return Some(Cause::FrameRateLimit);
    }
    None
}

/// What is shown may exceed the limit a little before it is left: measurements waver.
fn fits_bitrate(rung: &Rung, claim: &Claim) -> bool {
    let tolerance = if claim.standing.holds(rung) {
        TOLERANCE_PERCENT
    } else {
        0
    };
    let limit = claim.limits.max_bitrate_bps;
    limit.is_none_or(|limit| rung.bps <= limit.saturating_add(limit / 100 * tolerance))
}

/// It moves, or nothing worse of another size moves more. A rate of 0 is not known.
fn moves_enough(rung: &Rung, worse: &[Rung]) -> bool {
    let moves_more =
        |worse: &Rung| worse.frame_rate > rung.frame_rate && !is_same_size(rung, worse);
    rung.frame_rate == 0.0 || rung.frame_rate >= MOVING || !worse.iter().any(moves_more)
}

fn is_same_size(one: &Rung, other: &Rung) -> bool {
    match (one.size, other.size) {
        (Some(one), Some(other)) => one == other,
        _ => (one.encoding, one.spatial) == (other.encoding, other.spatial),
    }
}

/// Leaves out what costs as much as something better.
fn undercut_removed(claim: &mut Claim, rungs: &[Rung], now: Micros) -> ArrayVec<Level, MAX_RUNGS> {
    let mut levels = ArrayVec::<Level, MAX_RUNGS>::new();
    let mut cheapest = u64::MAX;
    for rung in rungs.iter().rev() {
        let bps = if claim.standing.holds(rung) {
            claim.standing.price(rung.bps, now)
        } else {
            rung.bps
        };
        if bps < cheapest {
            cheapest = bps;
            levels.push(level(rung, bps));
        }
    }
    levels.reverse();
    levels
}

fn level(rung: &Rung, bps: u64) -> Level {
    let rung = *rung;
    let bps = bps.saturating_add(bps / OVERHEAD_DIVISOR);
    Level { rung, bps }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{claim, ladder, rung};
    use super::*;

    /// Encoding and temporal layer of each level.
    fn places(claim: &Claim, ladder: &Ladder) -> (Vec<(u8, u8)>, Cause) {
        let path = find(&mut claim.clone(), ladder, Micros(0));
        let levels = path.levels.iter();
        let places = levels.map(|level| (level.rung.encoding, level.rung.temporal));
        (places.collect(), path.ceiling)
    }

    #[test]
    fn a_camera_grows_only_where_it_moves() {
        let all = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)];
        let ladder = ladder();
        assert_eq!(
            places(&claim(0, &ladder), &ladder),
            (all.to_vec(), Cause::Best)
        );
    }

    #[test]
    fn a_screen_grows_first() {
        let ladder = ladder();
        let screen = Claim {
            preference: Preference::Detail,
            ..claim(0, &ladder)
        };
        let all = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2)];
        assert_eq!(places(&screen, &ladder), (all.to_vec(), Cause::Best));
    }

    #[test]
    fn no_more_than_covers_its_place() {
        let ladder = ladder();
        let best = |width, height| {
            let limits = Limits {
                shown_at: Some((width, height)),
                ..Limits::default()
            };
            let claim = Claim {
                limits,
                ..claim(0, &ladder)
            };
            let (places, ceiling) = places(&claim, &ladder);
            (places.last().map(|place| place.0), ceiling)
        };
        assert_eq!(best(200, 112), (Some(0), Cause::ShownSize));
        assert_eq!(best(360, 202), (Some(0), Cause::ShownSize), "almost");
        assert_eq!(best(400, 225), (Some(1), Cause::ShownSize));
        assert_eq!(
            best(400, 2_000),
            (Some(1), Cause::ShownSize),
            "its width is reached first"
        );
        assert_eq!(best(1_280, 720), (Some(2), Cause::Best));
        assert_eq!(best(3_840, 2_160), (Some(2), Cause::Best));
    }

    #[test]
    fn limits_and_the_last_resort() {
        let ladder = ladder();
        let with = |limits: Limits| {
            let claim = Claim {
                limits,
                ..claim(0, &ladder)
            };
            let (places, ceiling) = places(&claim, &ladder);
            (places.last().copied(), ceiling)
        };
        let none = Limits::default();
        let bitrate = |kbps: u64| Limits {
            max_bitrate_bps: Some(kbps * 1_000),
            ..none
        };
        assert_eq!(with(bitrate(600)), (Some((1, 2)), Cause::BitrateLimit));
        assert_eq!(with(bitrate(10)), (None, Cause::BitrateLimit));
        let height = |height| Limits {
            max_height: Some(height),
            ..none
        };
        assert_eq!(with(height(360)), (Some((1, 2)), Cause::SizeLimit));
        assert_eq!(with(height(100)), (Some((0, 0)), Cause::SmallestExceeds));
        let rate = Limits {
            max_frame_rate: Some(15),
            ..none
        };
        assert_eq!(with(rate), (Some((2, 1)), Cause::FrameRateLimit));
        let layers = Limits {
            max_temporal_layers: Some(1),
            ..none
        };
        assert_eq!(with(layers), (Some((2, 0)), Cause::FrameRateLimit));
    }

    #[test]
    fn what_is_undercut_is_left_out() {
        let ladder = Ladder::from_iter([
            rung(0, 2, 600, (320, 180), 30.0),
            rung(1, 2, 500, (640, 360), 30.0),
            rung(2, 2, 0, (1_280, 720), 30.0),
        ]);
        assert_eq!(
            places(&claim(0, &ladder), &ladder),
            (vec![(1, 2)], Cause::Best)
        );
        let silent = Ladder::from_iter([rung(0, 2, 0, (320, 180), 30.0)]);
        assert_eq!(
            places(&claim(0, &silent), &silent),
            (vec![], Cause::NothingFlows)
        );
    }
}
