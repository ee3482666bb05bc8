//! Speaker groups: which tracks compete, when decisions and reports are due. Who hears them is in `followers.rs`.
//!
//! Places change inside [`Core::on_voice`], before the packet at hand is forwarded, so that the first syllable is heard.
//! Invariant: a group and its members know each other, so that either may go first.

use super::arena::Ix;
use super::command::MediaKind;
use super::followers::Follower;
use super::timers::{Alarm, Owner};
use super::{Core, Event, Sink};
use crate::ids::{GroupId, ProducerId};
use crate::speakers::{Changed, Group, MAX_PLACES, SourceIx};
use crate::time::Micros;
use crate::wire::ext::AudioLevel;

/// Where a producer competes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker {
    group: Ix<GroupId>,
    source: SourceIx,
}

/// One group and those who hear it.
pub struct SpeakerGroup {
    id: GroupId,
    /// Most places of a stage.
    pub max_heard: usize,
    /// Its decisions.
    pub group: Group,
    /// Those who hear it; a place is reused when its follower is gone.
    pub followers: Vec<Option<Follower>>,
    /// Places of followers that are gone.
    pub free: Vec<usize>,
    alarm: Alarm,
}

impl SpeakerGroup {
    /// A free place in the list of followers.
    pub fn reserve_follower(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.followers.push(None);
            self.followers.len() - 1
        })
    }
}

impl Core {
    pub(super) fn create_speakers(&mut self, id: GroupId, max_heard: usize) -> Option<()> {
        let group = SpeakerGroup {
            id,
            max_heard: max_heard.clamp(1, MAX_PLACES),
            group: Group::default(),
            followers: Vec::new(),
            free: Vec::new(),
            alarm: Alarm::default(),
        };
        self.groups.insert(id, group).map(|_| ())
    }

    pub(super) fn remove_speakers(&mut self, id: GroupId) -> Option<()> {
        let removed = self.groups.remove(id)?;
        for producer in removed.group.sources() {
            let ix = self.producers.find(producer);
            if let Some(producer) = ix.and_then(|ix| self.producers.get_mut(ix)) {
                producer.speaker = None;
            }
            self.idle_mirrors.extend(ix);
        }
        for slot in removed.followers.iter().flatten().flat_map(Follower::slots) {
            if let Some(entry) = self.slots.get_mut(slot) {
                entry.follows = None;
            }
            self.empty_slot(slot);
        }
        Some(())
    }

    pub(super) fn join_speakers(
        &mut self,
        id: ProducerId,
        group: GroupId,
        participant: u64,
    ) -> Option<()> {
        let ix = self.producers.find(id)?;
        let group = self.groups.find(group)?;
        if self.producers.get(ix)?.config.kind != MediaKind::Audio {
            return None;
        }
        self.leave_speakers(ix);
        let producer = self.producers.get_mut(ix)?;
        let entry = self.groups.get_mut(group)?;
        let source = entry.group.join(id, participant, !producer.paused);
        producer.speaker = Some(Speaker { group, source });
        Some(())
    }

    /// The producer competes no more, because it goes or joins elsewhere.
    pub(super) fn leave_speakers(&mut self, ix: Ix<ProducerId>) {
        let producer = self.producers.get_mut(ix);
        let left = producer.and_then(|producer| producer.speaker.take());
        self.idle_mirrors.extend(left.map(|_| ix));
        self.change_speaker(left, Group::leave);
    }

    /// The producer has fallen silent.
    pub(super) fn quiet_speaker(&mut self, ix: Ix<ProducerId>) {
        let speaker = self.producers.get(ix).and_then(|it| it.speaker);
        self.change_speaker(speaker, Group::stop);
    }

    /// The producer was muted by the server, or may be heard again.
    pub(super) fn pause_speaker(&mut self, ix: Ix<ProducerId>, paused: bool) {
        let speaker = self.producers.get(ix).and_then(|it| it.speaker);
        self.change_speaker(speaker, |group, source| group.set_competes(source, !paused));
    }

    fn change_speaker(
        &mut self,
        speaker: Option<Speaker>,
        change: impl FnOnce(&mut Group, SourceIx) -> Changed,
    ) {
        let Some(Speaker { group, source }) = speaker else {
            return;
        };
        if let Some(entry) = self.groups.get_mut(group) {
            let changed = change(&mut entry.group, source);
            self.settle_speakers(group, changed);
        }
    }

    /// A packet of a speaker. What it changes holds for this packet already.
    #[inline]
    pub(super) fn on_voice(&mut self, now: Micros, speaker: Speaker, level: Option<AudioLevel>) {
        let level = level.map(|level| level.level);
        let Some(entry) = self.groups.get_mut(speaker.group) else {
            return;
        };
        let changed = entry.group.on_packet(speaker.source, level, now);
        self.settle_speakers(speaker.group, changed);
    }

    /// After anything that may have moved a group: routes the stages that changed, sets the timer.
    #[inline]
    pub(super) fn settle_speakers(&mut self, ix: Ix<GroupId>, changed: Changed) {
        if !changed.is_empty() {
            for capacity in changed.capacities() {
                self.route_followers(ix, capacity, None);
            }
        }
        if let Some(entry) = self.groups.get_mut(ix)
            && let Some(at) = entry.group.deadline()
        {
            self.timers.arm(&mut entry.alarm, Owner::Speakers(ix), at);
        }
    }

    pub(super) fn wake_speakers(
        &mut self,
        now: Micros,
        at: Micros,
        ix: Ix<GroupId>,
        sink: &mut impl Sink,
    ) {
        let Some(entry) = self.groups.get_mut(ix) else {
            return;
        };
        if !entry.alarm.take(at) {
            return;
        }
        let state = entry.group.handle_timeout(now).cloned();
        if let Some(state) = state {
            sink.event(Event::SpeakersChanged {
                group: entry.id,
                state,
                levels: entry.group.levels(),
            });
        }
        self.settle_speakers(ix, Changed::default());
    }
}
