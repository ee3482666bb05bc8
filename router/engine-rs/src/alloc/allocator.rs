//! One decision: claims in, grants out.
//!
//! The allocator itself remembers nothing of any receiver, it only keeps its scratch space: one serves a whole worker.

use super::claim::{Claim, Wants};
use super::fill::{Bidder, fill};
use super::grant::{Cause, Grant, Reason};
use super::path::{Level, Path, find};
use super::standing::{Headroom, Standing, Step, is_same};
use crate::time::Micros;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// The estimate must exceed what is needed by so much before anything is raised, in percent of the need.
pub const MARGIN_PERCENT: u64 = 10;
/// What is shown may exceed what there is by so much before anything is lowered, in percent.
pub const TOLERANCE_PERCENT: u64 = 5;
/// RTCP, SRTP tags and the rest that goes with audio, in percent of it: its packets are small.
const AUDIO_OVERHEAD_PERCENT: u64 = 25;
/// Kept free for each audio slot, though its source is silent now: it may speak in a moment.
const AUDIO_FLOOR_BPS: u64 = 24_000;
/// Most that is kept for repair: as `route/budget.rs` has it.
const MAX_REPAIR: f32 = 0.2;

/// What there is to give.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// The estimate in bits per second; `None` before the first feedback, which is no limit.
    pub estimate: Option<u64>,
    /// A probe has just shown that so many bits per second pass: no margin and no proof of time is asked for up to that.
    pub confirmed: Option<u64>,
    /// The first value is still looked for, and the estimate is taken for granted: what it raises proves nothing.
    pub is_guess: bool,
    /// What is shown may cost so much for the moment, though the estimate is lower: a dip that the pacer bridges.
    pub bridged: Option<u64>,
    /// The receiver is silent: what is lowered now has not failed.
    pub is_outage: bool,
    /// Part of the packets that is lost, and sent again.
    pub fraction_lost: f32,
}

impl Budget {
    fn repair(&self) -> f32 {
        // What is no number counts as none.
        if self.fraction_lost > 0.0 {
            self.fraction_lost.min(MAX_REPAIR)
        } else {
            0.0
        }
    }

    /// What is left for video of so many bits per second.
    fn left(&self, bps: u64, audio: u64) -> u64 {
        let repair = (bps as f64 * f64::from(self.repair())) as u64;
        bps.saturating_sub(repair).saturating_sub(audio)
    }

    /// The estimate that leaves so much for video.
    fn estimate_for(&self, video: u64, audio: u64) -> u64 {
        let media = video.saturating_add(audio) as f64;
        (media / (1.0 - f64::from(self.repair()))) as u64
    }
}

/// What was decided for one receiver.
#[derive(Clone, Copy, Debug)]
pub struct Allocation<'a> {
    /// One grant for each claim, those that go first first, audio and what is not wanted last.
    pub grants: &'a [Grant],
    /// What the grants cost, with audio and repair, in bits per second.
    pub spent_bps: u64,
    /// What the estimate should be for the next raise, 0 when nothing more is wanted: the aim of probes.
    pub wanted_bps: u64,
    /// What all would cost with bandwidth without end.
    pub ideal_bps: u64,
}

/// Decides. Allocates only while its scratch space grows.
#[derive(Debug, Default)]
pub struct Allocator {
    levels: Vec<Level>,
    bidders: Vec<Bidder>,
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    /// In order of the claims.
    entries: Vec<Entry>,
    grants: Vec<Grant>,
}

/// A claim, as far as it is needed after its path was found.
#[derive(Clone, Copy, Debug)]
struct Entry {
    shown_at: Option<(u16, u16)>,
    standing: Standing,
    ceiling: Cause,
    /// Why it may not have more than it has.
    brake: Option<Cause>,
}

impl Allocator {
    /// Without scratch space yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides what each slot of a receiver gets now. Claims are of different slots.
    pub fn allocate<'c>(
        &mut self,
        budget: &Budget,
        headroom: &mut Headroom,
        claims: impl IntoIterator<Item = Claim<'c>>,
        now: Micros,
    ) -> Allocation<'_> {
        let audio = self.take_claims(claims, budget.estimate.is_some(), now);
        let available = budget
            .estimate
            .map_or(u64::MAX, |bps| budget.left(bps, audio));
        let limit = self.limit(budget, (available, audio), headroom, now);
        self.bidders
            .sort_unstable_by_key(|bidder| (bidder.rank(), bidder.entry));
        let filled = fill(&mut self.bidders, &self.levels, limit.bps, &mut self.heap);
        let spent = self.grant(budget, &limit, audio, now);
        let ideal = self
            .bidders
            .iter()
            .map(|bidder| cost(bidder, &self.levels, bidder.levels.len()));
        let ideal = ideal.fold(0, u64::saturating_add);
        let next = filled
            .next
            .or_else(|| self.next_after_settling(filled.used));
        let wanted = next.map_or(0, |next| {
            let next = next.saturating_add(next / 100 * MARGIN_PERCENT);
            // Rounded up, or what was asked for would not suffice.
            budget.estimate_for(next, audio).saturating_add(1_000)
        });
        Allocation {
            grants: &self.grants,
            spent_bps: budget.estimate_for(spent, audio),
            wanted_bps: wanted,
            ideal_bps: budget.estimate_for(ideal, audio),
        }
    }

    /// Takes the claims in; those that need no decision are granted at once. Returns what audio takes.
    fn take_claims<'c>(
        &mut self,
        claims: impl IntoIterator<Item = Claim<'c>>,
        is_limited: bool,
        now: Micros,
    ) -> u64 {
        self.levels.clear();
        self.bidders.clear();
        self.entries.clear();
        self.grants.clear();
        let mut audio = 0_u64;
        for mut claim in claims {
            match claim.wants {
                _ if claim.is_hidden() => self.grant_nothing(&claim, Cause::Hidden),
                Wants::Nothing => self.grant_nothing(&claim, Cause::NotWanted),
                Wants::Audio(bps) => {
                    let overhead = bps / 100 * AUDIO_OVERHEAD_PERCENT;
                    audio += bps
                        .saturating_add(overhead)
                        .clamp(AUDIO_FLOOR_BPS, u32::MAX.into());
                    self.grant_nothing(&claim, Cause::Audio);
                }
                Wants::Video(ladder) => {
                    let path = find(&mut claim, ladder, now);
                    if path.levels.is_empty() {
                        self.grant_nothing(&claim, path.ceiling);
                        continue;
                    }
                    self.bid(&claim, &path, is_limited, now);
                }
            }
        }
        audio
    }

    fn bid(&mut self, claim: &Claim, path: &Path, is_limited: bool, now: Micros) {
        let standing = claim.standing;
        let start = self.levels.len();
        self.levels.extend_from_slice(&path.levels);
        let held = held(&standing, &path.levels);
        let (brake, most) = brake(claim, &path.levels, held, now)
            .filter(|_| is_limited)
            .map_or((None, path.levels.len()), |(cause, most)| {
                (Some(cause), most)
            });
        self.bidders.push(Bidder {
            slot: claim.slot,
            entry: self.entries.len(),
            weight: claim.weight(),
            levels: start..self.levels.len(),
            held,
            most,
            ..Bidder::default()
        });
        self.entries.push(Entry {
            shown_at: claim.limits.shown_at,
            standing,
            ceiling: path.ceiling,
            brake,
        });
    }

    fn grant_nothing(&mut self, claim: &Claim, cause: Cause) {
        let mut standing = claim.standing;
        standing.grant(None, Step::Same, claim.limits.shown_at, Micros(0));
        self.grants.push(Grant {
            slot: claim.slot,
            rung: None,
            reason: Reason {
                cause,
                ..Reason::default()
            },
            standing,
        });
    }

    /// Nothing is short of bandwidth, but somebody was raised a moment ago and will want more in a moment.
    fn next_after_settling(&self, used: u64) -> Option<u64> {
        let settles = |bidder: &&Bidder| {
            let brake = self.entries[bidder.entry].brake;
            brake == Some(Cause::Settling) && bidder.most < bidder.levels.len()
        };
        let bidder = self.bidders.iter().find(settles)?;
        let count = |count| cost(bidder, &self.levels, count);
        Some(used + count(bidder.most + 1) - count(bidder.most))
    }

    /// How much may be filled: up to what is shown already as long as that just fits, beyond it only with a margin and
    /// what has been there for a while. Never less with a higher estimate.
    fn limit(
        &self,
        budget: &Budget,
        (available, audio): (u64, u64),
        headroom: &mut Headroom,
        now: Micros,
    ) -> Limit {
        let held = self
            .bidders
            .iter()
            .map(|bidder| cost(bidder, &self.levels, bidder.held));
        let held = held.fold(0, u64::saturating_add);
        let tolerated = available.saturating_add(available / 100 * TOLERANCE_PERCENT);
        let bridged = budget.bridged.map_or(0, |bps| budget.left(bps, audio));
        let tolerated = tolerated.max(bridged);
        let with_margin = available / (100 + MARGIN_PERCENT) * 100;
        let proven = headroom.proven(with_margin, now);
        let confirmed = budget
            .confirmed
            .map_or(0, |bps| budget.left(bps, audio).min(available));
        let is_squeezed = held > tolerated;
        let kept = if is_squeezed { available } else { held };
        let bps = match budget.estimate {
            None => u64::MAX,
            Some(_) => proven.max(confirmed).max(kept),
        };
        Limit {
            bps,
            available,
            is_squeezed: is_squeezed && !budget.is_outage,
        }
    }

    /// Writes the grants of those who bid. Returns what they cost.
    fn grant(&mut self, budget: &Budget, limit: &Limit, audio: u64, now: Micros) -> u64 {
        let repair = budget.estimate.map_or(0, |bps| bps - budget.left(bps, 0));
        let mut spent = 0_u64;
        let others = self.grants.len();
        for bidder in &self.bidders {
            let mut entry = self.entries[bidder.entry];
            let levels = &self.levels[bidder.levels.clone()];
            let count = bidder.taken;
            let rung = count.checked_sub(1).map(|at| levels[at].rung);
            let step = match count.cmp(&bidder.held) {
                Ordering::Greater if budget.is_guess => Step::Guessed,
                Ordering::Greater => Step::Up(limit.available),
                Ordering::Less if limit.is_squeezed => Step::Squeezed(limit.available),
                _ => Step::Same,
            };
            entry.standing.on_available(limit.available);
            entry.standing.grant(rung, step, entry.shown_at, now);
            self.grants.push(Grant {
                slot: bidder.slot,
                rung,
                reason: Reason {
                    cause: cause(bidder, &entry),
                    granted: rung,
                    wanted: levels.last().map(|level| level.rung),
                    estimate: budget.estimate,
                    spent_above: spent.saturating_add(audio).saturating_add(repair),
                },
                standing: entry.standing,
            });
            spent = spent.saturating_add(cost(bidder, &self.levels, count));
        }
        self.grants.rotate_left(others);
        spent
    }
}

/// What may be filled.
struct Limit {
    bps: u64,
    available: u64,
    is_squeezed: bool,
}

/// Why a claim may not have all levels now, and how many it may.
fn brake(claim: &Claim, levels: &[Level], held: usize, now: Micros) -> Option<(Cause, usize)> {
    let standing = &claim.standing;
    if held > 0 && standing.must_wait(claim.limits.shown_at, now) {
        return Some((Cause::Settling, held));
    }
    let failed = standing.backs_off(now)?;
    let is_less = |level: &&Level| !is_same(&level.rung, &failed) && level.rung.bps < failed.bps;
    let less = levels.iter().take_while(is_less).count();
    Some((Cause::BackingOff, held.max(less)))
}

/// Why a bidder has not got more.
fn cause(bidder: &Bidder, entry: &Entry) -> Cause {
    if bidder.taken == bidder.levels.len() {
        return entry.ceiling;
    }
    let brake = entry.brake.filter(|_| bidder.taken == bidder.most);
    brake.unwrap_or(Cause::Bandwidth)
}

/// What the first `count` levels of a bidder cost together.
fn cost(bidder: &Bidder, levels: &[Level], count: usize) -> u64 {
    let levels = &levels[bidder.levels.clone()];
    count.checked_sub(1).map_or(0, |at| levels[at].bps)
}

/// How many levels a slot has now. When its rung is gone, those that cost no more than it did.
fn held(standing: &Standing, levels: &[Level]) -> usize {
    let Some(granted) = standing.granted() else {
        return 0;
    };
    let same = levels.iter().rposition(|level| standing.holds(&level.rung));
    let cheaper = || {
        levels
            .iter()
            .rposition(|level| level.rung.bps <= granted.bps)
    };
    same.or_else(cheaper).map_or(0, |at| at + 1)
}
