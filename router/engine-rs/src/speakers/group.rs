//! A speaker group: the audio sources of a room that compete to be heard, the stages in use, who is dominant.
//!
//! Its owner hands in every packet of a source ([`Group::on_packet`]), re-routes the stages that changed before
//! the packet is forwarded, and calls [`Group::handle_timeout`] at [`Group::deadline`], which exists only while somebody
//! speaks or a report is due.

use super::dominant::{DECISION_INTERVAL, Dominance};
use super::source::{Owned, Source};
use super::stage::{MAX_PLACES, Stage, Standing};
use super::{SILENT_LEVEL, SourceIx};
use crate::ids::ProducerId;
use crate::time::Micros;

/// Most reports a second.
pub const REPORTS_PER_SECOND: u64 = 5;

const REPORT_INTERVAL: Micros = Micros(1_000_000 / REPORTS_PER_SECOND);

/// Capacities whose stage changed, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed(u16);

impl Changed {
    /// No stage changed.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that did, ascending.
    pub fn capacities(self) -> impl Iterator<Item = usize> {
        (1..=MAX_PLACES).filter(move |capacity| self.0 & (1 << (capacity - 1)) != 0)
    }

    fn insert(&mut self, capacity: usize) {
        self.0 |= 1 << (capacity - 1);
    }
}

/// What is reported of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupState {
    /// The dominant speaker.
    pub dominant: Option<ProducerId>,
    /// Those who were, the latest first.
    pub recent: Vec<ProducerId>,
    /// One per capacity in use, ascending; the spare place comes last.
    pub stages: Vec<Vec<Option<ProducerId>>>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Group {
    sources: Vec<Option<Source>>,
    free: Vec<SourceIx>,
    /// How many sources send and compete.
    sending: usize,
    /// Stages by ascending capacity, and how many use each.
    stages: Vec<(Stage, usize)>,
    dominance: Dominance,
    /// Sources that were active within the long scale.
    awake: Vec<SourceIx>,
    next_decision: Option<Micros>,
    changed: bool,
    last_report: Option<Micros>,
    reported: GroupState,
}

impl Group {
    /// A track joins, silent until its first packet.
    pub fn join(&mut self, producer: ProducerId, participant: u64, competes: bool) -> SourceIx {
        let owned = Owned {
            producer,
            participant,
        };
        let source = Some(Source::new(owned, competes));
        if let Some(ix) = self.free.pop() {
            self.sources[ix.0 as usize] = source;
            return ix;
        }
        self.sources.push(source);
        SourceIx(self.sources.len() as u32 - 1)
    }

    /// A track is gone.
    pub fn leave(&mut self, ix: SourceIx) -> Changed {
        let changed = self.leave_stages(ix);
        self.changed |= self.dominance.remove(ix);
        self.awake.retain(|awake| *awake != ix);
        let source = self.sources.get_mut(ix.0 as usize);
        if let Some(source) = source.and_then(Option::take) {
            self.sending -= usize::from(source.sending);
            self.free.push(ix);
        }
        changed
    }

    /// The server muted a track, or lifted that.
    pub fn set_competes(&mut self, ix: SourceIx, competes: bool) -> Changed {
        let Some(source) = self.source(ix) else {
            return Changed::default();
        };
        source.competes = competes;
        if competes {
            return Changed::default();
        }
        source.forget();
        self.changed |= self.dominance.release(ix);
        self.stop(ix)
    }

    /// A track has stopped sending: it leaves its places.
    pub fn stop(&mut self, ix: SourceIx) -> Changed {
        if let Some(source) = self.source(ix) {
            let sent = std::mem::take(&mut source.sending);
            self.sending -= usize::from(sent);
        }
        self.leave_stages(ix)
    }

    fn leave_stages(&mut self, ix: SourceIx) -> Changed {
        let mut changed = Changed::default();
        for (stage, _) in &mut self.stages {
            if stage.leave(ix) {
                changed.insert(stage.capacity());
            }
        }
        self.changed |= !changed.is_empty();
        changed
    }

    /// One more hears the stage of this capacity.
    pub fn use_stage(&mut self, capacity: usize) {
        let at = self
            .stages
            .partition_point(|(stage, _)| stage.capacity() < capacity);
        match self.stages.get_mut(at) {
            Some((stage, users)) if stage.capacity() == capacity => *users += 1,
            _ => {
                self.stages.insert(at, (Stage::new(capacity), 1));
                self.changed = true;
            }
        }
    }

    /// One less does; the last one closes it.
    pub fn release_stage(&mut self, capacity: usize) {
        let used = |(stage, _): &(Stage, usize)| stage.capacity() == capacity;
        let Some(at) = self.stages.iter().position(used) else {
            return;
        };
        self.stages[at].1 -= 1;
        if self.stages[at].1 == 0 {
            self.stages.remove(at);
            self.changed = true;
        }
    }

    /// Who holds each place of the stage of this capacity; the spare place comes last.
    pub fn places(&self, capacity: usize) -> impl Iterator<Item = Option<Owned>> {
        let stage = self
            .stages
            .iter()
            .find(|(stage, _)| stage.capacity() == capacity);
        let places = stage.map_or(&[][..], |(stage, _)| stage.places());
        places.iter().map(|place| self.owned((*place)?))
    }

    /// The tracks of the group.
    pub fn sources(&self) -> impl Iterator<Item = ProducerId> {
        let sources = self.sources.iter().flatten();
        sources.map(|source| source.owned.producer)
    }

    /// A packet of a track, with its RFC 6464 level if it carries one. What changed holds for this packet already.
    #[inline]
    pub fn on_packet(&mut self, ix: SourceIx, level: Option<u8>, now: Micros) -> Changed {
        let Some(source) = self.source(ix).filter(|source| source.competes) else {
            return Changed::default();
        };
        let began = !std::mem::replace(&mut source.sending, true);
        if level.is_some_and(|level| level >= SILENT_LEVEL) {
            let rests = source.on_silence(now);
            self.sending += usize::from(began);
            return self.place_silent(ix, rests, now);
        }
        let sound = source.on_sound(level, now);
        if sound.active {
            if !std::mem::replace(&mut source.listed, true) {
                self.awake.push(ix);
            }
            self.next_decision.get_or_insert(now + DECISION_INTERVAL);
        }
        self.sending += usize::from(began);
        self.offer_places(ix, sound.speaks, now, |_| true)
    }

    /// Silence is passed on where all who send have a place, as players that wait for a first packet need it; elsewhere it
    /// costs the places after a while, so that a thousand muted microphones cost nothing.
    fn place_silent(&mut self, ix: SourceIx, rests: bool, now: Micros) -> Changed {
        let sending = self.sending;
        let mut changed = self.offer_places(ix, false, now, |stage| sending <= stage.capacity());
        if rests {
            for (stage, _) in &mut self.stages {
                if sending > stage.capacity() && stage.leave(ix) {
                    changed.insert(stage.capacity());
                }
            }
            self.changed |= !changed.is_empty();
        }
        changed
    }

    fn offer_places(
        &mut self,
        ix: SourceIx,
        speaks: bool,
        now: Micros,
        open: impl Fn(&Stage) -> bool,
    ) -> Changed {
        let mut changed = Changed::default();
        let Self {
            sources, stages, ..
        } = self;
        let of = |ix: SourceIx| {
            let source = sources.get(ix.0 as usize).and_then(Option::as_ref);
            source.map_or(Standing::default(), Source::standing)
        };
        for (stage, _) in stages {
            if open(stage) && stage.on_packet(now, ix, speaks, &of) {
                changed.insert(stage.capacity());
            }
        }
        self.changed |= !changed.is_empty();
        changed
    }

    fn source(&mut self, ix: SourceIx) -> Option<&mut Source> {
        self.sources.get_mut(ix.0 as usize)?.as_mut()
    }

    fn owned(&self, ix: SourceIx) -> Option<Owned> {
        Some(self.sources.get(ix.0 as usize)?.as_ref()?.owned)
    }

    /// When [`Self::handle_timeout`] has something to do: never while everybody is silent and that was told.
    #[inline]
    pub fn deadline(&self) -> Option<Micros> {
        let report = self.changed.then(|| {
            let last = self.last_report;
            last.map_or(Micros(0), |last| last + REPORT_INTERVAL)
        });
        self.next_decision.into_iter().chain(report).min()
    }

    /// Decides who is dominant when that is due. Returns what is to be told, when a report is due and news is there.
    pub fn handle_timeout(&mut self, now: Micros) -> Option<&GroupState> {
        if self.next_decision.is_some_and(|at| at <= now) {
            self.decide(now);
        }
        let due = self.changed
            && self
                .last_report
                .is_none_or(|last| last + REPORT_INTERVAL <= now);
        if !due {
            return None;
        }
        self.changed = false;
        let state = self.state();
        if state == self.reported {
            return None;
        }
        self.last_report = Some(now);
        self.reported = state;
        Some(&self.reported)
    }

    fn decide(&mut self, now: Micros) {
        let Self {
            sources,
            dominance,
            awake,
            ..
        } = self;
        awake.retain(|ix| {
            let Some(source) = sources.get_mut(ix.0 as usize).and_then(Option::as_mut) else {
                return false;
            };
            source.listed = source.activity.is_awake(now);
            source.listed
        });
        let activity = |ix: SourceIx| Some(&sources.get(ix.0 as usize)?.as_ref()?.activity);
        let scores = |ix: SourceIx| activity(ix).map(|activity| activity.scores(now));
        self.changed |= dominance.decide(scores, awake.iter().copied());
        self.next_decision = (!self.awake.is_empty()).then(|| now + DECISION_INTERVAL);
    }

    /// How loud those in places were last, in -dBov, as far as their packets tell.
    pub fn levels(&self) -> Vec<(ProducerId, u8)> {
        let mut levels = Vec::new();
        for ix in self
            .stages
            .iter()
            .flat_map(|(stage, _)| stage.places())
            .flatten()
        {
            let source = self.sources.get(ix.0 as usize).and_then(Option::as_ref);
            if let Some((level, owned)) = source.and_then(|it| Some((it.level?, it.owned))) {
                levels.push((owned.producer, level));
            }
        }
        levels
    }

    /// What is true now.
    pub fn state(&self) -> GroupState {
        let producer = |ix: SourceIx| self.owned(ix).map(|owned| owned.producer);
        let stages = self.stages.iter().map(|(stage, _)| {
            let places = stage.places().iter();
            places.map(|place| producer((*place)?)).collect()
        });
        GroupState {
            dominant: self.dominance.dominant().and_then(producer),
            recent: self
                .dominance
                .recent()
                .iter()
                .filter_map(|ix| producer(*ix))
                .collect(),
            stages: stages.collect(),
        }
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
