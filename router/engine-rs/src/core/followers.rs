//! Who hears a speaker group: slots of a peer that hear the loudest, in places, without being assigned one by one.
//!
//! Invariants: a slot that follows speakers is routed here alone; it never hears its own participant, and never two slots
//! of a follower the same track.

use super::Core;
use super::arena::Ix;
use super::command::MediaKind;
use super::slots::SlotEntry;
use crate::ids::{GroupId, ProducerId, SlotId};
use crate::speakers::{Changed, MAX_PLACES, Owned};
use crate::time::Micros;
use arrayvec::ArrayVec;

/// Whom a slot follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follows {
    group: Ix<GroupId>,
    follower: usize,
}

/// Slots of one peer, in the order of their places; `None` is one that was removed.
pub struct Follower {
    participant: u64,
    capacity: usize,
    slots: Vec<Option<Ix<SlotId>>>,
}

/// Who holds a place of a stage.
#[derive(Clone, Copy)]
struct Heard {
    producer: Ix<ProducerId>,
    participant: u64,
}

type Places = ArrayVec<Option<Heard>, { MAX_PLACES + 1 }>;

impl Follower {
    /// Its slots that exist.
    pub fn slots(&self) -> impl Iterator<Item = Ix<SlotId>> {
        self.slots.iter().copied().flatten()
    }

    /// What each slot hears: its place, or the spare one instead of its own participant, but that only once.
    fn hears(&self, places: &Places) -> impl Iterator<Item = (Ix<SlotId>, Option<Ix<ProducerId>>)> {
        let foreign = |heard: &Heard| heard.participant != self.participant;
        let (spare, places) = places.split_last().unwrap_or((&None, &[]));
        let mut spare = spare.filter(foreign);
        let slots = self.slots.iter().take(self.capacity).enumerate();
        slots.filter_map(move |(position, slot)| {
            let place = places.get(position).copied().flatten();
            let heard = match place {
                Some(own) if !foreign(&own) => spare.take(),
                place => place,
            };
            Some(((*slot)?, heard.map(|heard| heard.producer)))
        })
    }
}

impl Core {
    /// Slots that are gone, are no audio or belong to another peer than the first are left out; their places stay empty.
    pub(super) fn follow_speakers(
        &mut self,
        slots: &[SlotId],
        group: GroupId,
        participant: u64,
    ) -> Option<()> {
        let group = self.groups.find(group)?;
        let chosen = self.choose_slots(slots)?;
        for slot in chosen.iter().flatten() {
            self.unfollow(*slot);
            self.empty_slot(*slot);
        }
        let entry = self.groups.get_mut(group)?;
        let capacity = chosen.len().min(entry.max_heard);
        entry.group.use_stage(capacity);
        let follower = entry.reserve_follower();
        let follows = Follows { group, follower };
        for slot in chosen.iter().flatten() {
            if let Some(entry) = self.slots.get_mut(*slot) {
                entry.follows = Some(follows);
            }
        }
        entry.followers[follower] = Some(Follower {
            participant,
            capacity,
            slots: chosen,
        });
        self.route_followers(group, capacity, Some(follower));
        self.settle_speakers(group, Changed::default());
        Some(())
    }

    /// The slots as they are in the arena; `None` when there is none.
    fn choose_slots(&self, ids: &[SlotId]) -> Option<Vec<Option<Ix<SlotId>>>> {
        let mut peer = None;
        let mut chosen = Vec::with_capacity(ids.len());
        for id in ids {
            let ix = self.slots.find(*id).filter(|ix| {
                self.slots.get(*ix).is_some_and(|entry| {
                    entry.slot.config().kind == MediaKind::Audio
                        && *peer.get_or_insert(entry.transport) == entry.transport
                        && !chosen.contains(&Some(*ix))
                })
            });
            chosen.push(ix);
        }
        peer.map(|_| chosen)
    }

    /// A slot goes, or follows others.
    pub(super) fn unfollow(&mut self, ix: Ix<SlotId>) {
        let Some(follows) = self.slots.get_mut(ix).and_then(|it| it.follows.take()) else {
            return;
        };
        let Some(entry) = self.groups.get_mut(follows.group) else {
            return;
        };
        let Some(place) = entry.followers.get_mut(follows.follower) else {
            return;
        };
        let Some(follower) = place else { return };
        for slot in &mut follower.slots {
            *slot = slot.filter(|slot| *slot != ix);
        }
        if follower.slots.iter().all(Option::is_none) {
            entry.group.release_stage(follower.capacity);
            *place = None;
            entry.free.push(follows.follower);
            self.settle_speakers(follows.group, Changed::default());
        }
    }

    /// Leads the slots of one follower of a stage, or of all, to whom they hear now.
    pub(super) fn route_followers(
        &mut self,
        ix: Ix<GroupId>,
        capacity: usize,
        only: Option<usize>,
    ) {
        let Some(entry) = self.groups.get_mut(ix) else {
            return;
        };
        let followers = std::mem::take(&mut entry.followers);
        let places = self.find_places(ix, capacity);
        let chosen = match only {
            Some(only) => followers.get(only..=only).unwrap_or_default(),
            None => &followers[..],
        };
        let hearing = chosen.iter().flatten();
        for follower in hearing.filter(|follower| follower.capacity == capacity) {
            for (slot, producer) in follower.hears(&places) {
                self.show_speaker(slot, producer);
            }
        }
        if let Some(entry) = self.groups.get_mut(ix) {
            entry.followers = followers;
        }
        for heard in places.iter().flatten() {
            self.plan_first_select(heard.producer);
        }
    }

    /// Who holds each place of a stage, found once for all who hear it.
    fn find_places(&self, ix: Ix<GroupId>, capacity: usize) -> Places {
        let Some(entry) = self.groups.get(ix) else {
            return Places::new();
        };
        let find = |place: Option<Owned>| {
            let Owned {
                producer,
                participant,
            } = place?;
            let producer = self.producers.find(producer)?;
            Some(Heard {
                producer,
                participant,
            })
        };
        entry.group.places(capacity).map(find).collect()
    }

    fn show_speaker(&mut self, slot: Ix<SlotId>, wanted: Option<Ix<ProducerId>>) {
        let shows = |it: &SlotEntry| it.assigned_producer() == wanted;
        if self.slots.get(slot).is_none_or(shows) {
            return;
        }
        let Some(producer_ix) = wanted else {
            return self.empty_slot(slot);
        };
        self.leave_all_routes(slot);
        self.enter_route(slot, producer_ix);
        let producer = self.producers.get_mut(producer_ix);
        if let (Some(producer), Some(entry)) = (producer, self.slots.get_mut(slot)) {
            producer.reselect.unsettle();
            entry.slot.assign(Some(&producer.config));
            entry.slot.set_paused(producer.config.id, producer.paused);
        }
    }

    /// Slots that came to a producer nobody heard choose their encoding at once, all together; else at its next turn.
    fn plan_first_select(&mut self, ix: Ix<ProducerId>) {
        let Some(producer) = self.producers.get_mut(ix) else {
            return;
        };
        if producer.next_select.is_none() && !producer.route.is_empty() {
            producer.next_select = Some(Micros(0));
            self.arm_producer(ix);
        }
    }
}
