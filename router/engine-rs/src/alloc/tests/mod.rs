//! The allocator's tests: scenes of a call, and properties that hold in all of them.

use super::{
    Allocation, Allocator, Budget, Claim, Grant, Headroom, Preference, Priority, Standing, Wants,
};
use crate::core::command::Limits;
use crate::route::ladder::{Ladder, Rung};
use crate::time::Micros;

mod properties;
mod scenes;

pub fn rung(encoding: u8, temporal: u8, kbps: u64, size: (u16, u16), frame_rate: f32) -> Rung {
    Rung {
        encoding,
        spatial: 0,
        temporal,
        bps: kbps * 1_000,
        size: Some(size),
        frame_rate,
    }
}

/// A browser's simulcast: three sizes, three temporal layers each. In the order of what they are worth, sizes mixed.
pub fn ladder() -> Ladder {
    let sizes = [(150, (320, 180)), (500, (640, 360)), (1_500, (1_280, 720))];
    let rungs = sizes.iter().zip(0..).flat_map(|((kbps, size), encoding)| {
        let layers = [(50, 7.5), (70, 15.0), (100, 30.0)];
        let layers = layers.into_iter().zip(0..);
        layers.map(move |((percent, rate), temporal)| {
            rung(encoding, temporal, kbps * percent / 100, *size, rate)
        })
    });
    let worth = |rung: &Rung| {
        let (width, height) = rung.size.unwrap_or_default();
        f32::from(width) * f32::from(height) * rung.frame_rate.powf(1.5)
    };
    let mut rungs: Vec<Rung> = rungs.collect();
    rungs.sort_by(|one, other| worth(one).total_cmp(&worth(other)));
    rungs.into_iter().collect()
}

pub fn claim(slot: u16, ladder: &Ladder) -> Claim<'_> {
    Claim {
        slot,
        wants: Wants::Video(ladder),
        priority: Priority::Ordinary,
        preference: Preference::Motion,
        limits: Limits::default(),
        standing: Standing::default(),
    }
}

/// What is not said of a slot in the scenes.
#[derive(Clone, Debug)]
pub struct Slot {
    pub ladder: Ladder,
    pub priority: Priority,
    pub preference: Preference,
    pub limits: Limits,
    pub standing: Standing,
    pub wanted: bool,
}

impl Slot {
    pub fn shown_at(width: u16, height: u16) -> Self {
        Self {
            ladder: ladder(),
            priority: Priority::Ordinary,
            preference: Preference::Motion,
            limits: Limits {
                shown_at: Some((width, height)),
                ..Limits::default()
            },
            standing: Standing::default(),
            wanted: true,
        }
    }

    pub fn pinned(self) -> Self {
        Self {
            priority: Priority::Pinned,
            ..self
        }
    }

    pub fn of(self, rungs: &[Rung]) -> Self {
        Self {
            ladder: rungs.iter().copied().collect(),
            ..self
        }
    }

    pub fn claim(&self, slot: u16) -> Claim<'_> {
        let wants = if self.wanted {
            Wants::Video(&self.ladder)
        } else {
            Wants::Nothing
        };
        Claim {
            wants,
            priority: self.priority,
            preference: self.preference,
            limits: self.limits,
            standing: self.standing,
            ..claim(slot, &self.ladder)
        }
    }

    pub fn weight(&self) -> u64 {
        self.claim(0).weight()
    }
}

/// A receiver and its slots, in virtual time.
#[derive(Debug)]
pub struct Receiver {
    allocator: Allocator,
    pub headroom: Headroom,
    pub slots: Vec<Slot>,
    pub audio: Vec<u64>,
    pub budget: Budget,
    pub now: Micros,
    /// Changes of what is shown, so far.
    pub changes: usize,
}

/// A decision, kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// By slot.
    pub grants: Vec<Grant>,
    pub spent_bps: u64,
    pub wanted_bps: u64,
}

impl Decided {
    /// Height and temporal layer of each slot, by slot; `None` when paused.
    pub fn shown(&self) -> Vec<Option<(u16, u8)>> {
        let shown = |grant: &Grant| {
            grant
                .rung
                .map(|rung| (rung.size.map_or(0, |size| size.1), rung.temporal))
        };
        self.grants.iter().map(shown).collect()
    }

    pub fn heights(&self) -> Vec<u16> {
        self.shown()
            .iter()
            .map(|shown| shown.map_or(0, |shown| shown.0))
            .collect()
    }

    pub fn reason(&self, slot: usize) -> String {
        self.grants[slot].reason.to_string()
    }
}

impl Receiver {
    pub fn new(slots: Vec<Slot>) -> Self {
        Self {
            allocator: Allocator::new(),
            headroom: Headroom::default(),
            slots,
            audio: Vec::new(),
            budget: Budget::default(),
            now: Micros::from_secs(100),
            changes: 0,
        }
    }

    /// One decision, now. What it gives is taken when `keeps`.
    fn decide(&mut self, keeps: bool) -> Decided {
        let first_audio = self.slots.len() as u16;
        let video = self
            .slots
            .iter()
            .zip(0..)
            .map(|(slot, index)| slot.claim(index));
        let empty = Ladder::default();
        let audio = self
            .audio
            .iter()
            .zip(first_audio..)
            .map(|(bps, slot)| Claim {
                wants: Wants::Audio(*bps),
                ..claim(slot, &empty)
            });
        let mut headroom = self.headroom;
        let claims = audio.chain(video);
        let allocation = self
            .allocator
            .allocate(&self.budget, &mut headroom, claims, self.now);
        let Allocation {
            spent_bps,
            wanted_bps,
            ..
        } = allocation;
        let mut grants = allocation.grants.to_vec();
        grants.sort_by_key(|grant| grant.slot);
        grants.truncate(self.slots.len());
        if keeps {
            self.headroom = headroom;
            for (slot, grant) in self.slots.iter_mut().zip(&grants) {
                let place = |rung: &Rung| (rung.encoding, rung.spatial, rung.temporal);
                let before = slot.standing.granted().map(place);
                self.changes += usize::from(before != grant.rung.as_ref().map(place));
                slot.standing = grant.standing;
            }
        }
        Decided {
            grants,
            spent_bps,
            wanted_bps,
        }
    }

    /// What would be decided at this estimate.
    pub fn try_at(&mut self, kbps: u64) -> Decided {
        let before = self.budget;
        self.budget.estimate = Some(kbps * 1_000);
        let decided = self.decide(false);
        self.budget = before;
        decided
    }

    /// Decides every 100 ms for so long; the last decision.
    pub fn run(&mut self, kbps: u64, ms: u64) -> Decided {
        self.budget.estimate = Some(kbps * 1_000);
        for _ in 1..(ms / 100).max(1) {
            self.decide(true);
            self.now = self.now + Micros::from_millis(100);
        }
        let last = self.decide(true);
        self.now = self.now + Micros::from_millis(100);
        last
    }

    pub fn step(&mut self) -> Decided {
        let decided = self.decide(true);
        self.now = self.now + Micros::from_millis(100);
        decided
    }
}
