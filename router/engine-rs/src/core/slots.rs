//! Slots: made, assigned, limited, emptied and removed. What a slot does with packets is `route::Slot`'s business.

use super::allocate::SlotShare;
use super::arena::{Arena, Ix};
use super::command::{Limits, MediaKind, SlotConfig};
use super::compound::Compound;
use super::followers::Follows;
use super::mirror::MirrorMessage;
use super::producer::Producer;
use super::stats::SlotStats;
use super::timers::{Owner, Timers};
use super::transport::Transport;
use super::{Core, Sink};
use crate::ids::{ProducerId, SlotId, Ssrc, TransportId};
use crate::recv::Measured;
use crate::route::encodings::Encodings;
use crate::route::ladder::{Ladder, MAX_ENCODINGS};
use crate::route::select::Reason;
use crate::route::{Slot, SlotSeed};
use crate::time::Micros;
use crate::wire::rtcp::{MAX_COUNT, write_bye};
use arrayvec::ArrayVec;
use rand_chacha::rand_core::Rng;

/// A slot's place in the route of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Whose route.
    pub producer: Ix<ProducerId>,
    /// Where in it, so that leaving costs the same however many are there.
    position: usize,
}

/// A sending m-line of one peer, and where it hangs. In this order: see [`Slot::HOT`].
#[repr(C)]
pub struct SlotEntry {
    /// The peer it leaves to.
    pub transport: Ix<TransportId>,
    /// What it shows until the key frame of the assigned one comes. Only then it is in two routes.
    pub outgoing: Option<Membership>,
    /// Its numbers and its rewriting.
    pub slot: Slot,
    /// What it is assigned.
    pub assigned: Option<Membership>,
    /// The speakers it follows; it cannot be assigned then.
    pub follows: Option<Follows>,
    /// Its share of its peer's bandwidth.
    pub share: Option<Box<SlotShare>>,
}

impl SlotEntry {
    /// Bytes from the beginning that every packet needs.
    pub const HOT: usize = std::mem::offset_of!(Self, slot) + Slot::HOT;

    /// The producer whose packets it sends, or will when something comes.
    pub fn current(&self) -> Option<Ix<ProducerId>> {
        let current = self.outgoing.or(self.assigned);
        current.map(|membership| membership.producer)
    }

    /// The producer it is assigned: shown, or waited for.
    pub fn assigned_producer(&self) -> Option<Ix<ProducerId>> {
        self.assigned.map(|membership| membership.producer)
    }

    /// Snapshot of the slot, with the reason that holds for one that follows speakers.
    pub fn stats(&mut self, now: Micros) -> SlotStats {
        let mut stats = self.slot.stats(now);
        if self.follows.is_some() {
            let reason = self.slot.reason().of_follower();
            (stats.reason, stats.limited_by) = (reason.text().into(), reason.into());
        }
        let by_bandwidth = matches!(
            self.slot.reason(),
            Reason::LimitedByBandwidth | Reason::BandwidthTooLow
        );
        let share = self.share.as_ref().filter(|_| by_bandwidth);
        if let Some(reason) = share.and_then(|share| share.reason()) {
            stats.reason = reason.to_string().into();
        }
        stats
    }

    /// The change to the assigned producer is over, but the former one's route still has the slot.
    #[inline]
    pub fn has_changed(&self) -> bool {
        self.outgoing.is_some() && !self.slot.is_changing()
    }
}

impl Core {
    pub(super) fn add_slot(&mut self, mut config: SlotConfig) -> Option<()> {
        let (transport, peer) = self.name_transport(config.transport)?;
        if peer.is_lost {
            return None;
        }
        peer.numbering.agree(&mut config);
        if let Some(bandwidth) = &mut peer.bandwidth {
            bandwidth.set_numbering(peer.numbering);
        }
        let random = self.rng.next_u64();
        let seed = SlotSeed {
            seq: random as u16,
            rtx_seq: (random >> 16) as u16,
            timestamp: (random >> 32) as u32,
            jitter: self.rng.next_u32(),
        };
        let id = config.id;
        let slot = Slot::new(config, seed);
        let ix = self.slots.insert(
            id,
            SlotEntry {
                transport,
                assigned: None,
                outgoing: None,
                follows: None,
                share: None,
                slot,
            },
        )?;
        self.transports.get_mut(transport)?.slots.push(ix);
        // All slots may change at one packet, which must not allocate.
        self.changed.reserve(self.slots.len());
        Some(())
    }

    pub(super) fn assign(
        &mut self,
        now: Micros,
        id: SlotId,
        producer: Option<ProducerId>,
    ) -> Option<()> {
        let ix = self.slots.find(id)?;
        if self.slots.get(ix)?.follows.is_some() {
            return None;
        }
        let Some(producer) = producer else {
            self.empty_slot(ix);
            return Some(());
        };
        let producer_ix = self.producers.find(producer)?;
        let producer = self.producers.get_mut(producer_ix)?;
        let entry = self.slots.get_mut(ix)?;
        if entry.assigned_producer() == Some(producer_ix)
            || entry.slot.config().kind != producer.config.kind
        {
            return None;
        }
        entry.slot.assign(Some(&producer.config));
        entry.slot.set_paused(producer.config.id, producer.paused);
        if let Some(share) = &mut entry.share {
            share.on_wish();
        }
        let (peer, kind) = (entry.transport, entry.slot.config().kind);
        self.move_to_route(ix, producer_ix);
        self.want_first_frame(now, ix);
        if kind == MediaKind::Video {
            self.share_bandwidth(now, peer);
        }
        self.select(now, producer_ix, Some(ix));
        Some(())
    }

    /// The slot was assigned this producer: it joins its route, and stays in that of what it shows meanwhile.
    fn move_to_route(&mut self, ix: Ix<SlotId>, producer: Ix<ProducerId>) {
        let Some(entry) = self.slots.get_mut(ix) else {
            return;
        };
        let (assigned, outgoing) = (entry.assigned.take(), entry.outgoing.take());
        if outgoing.is_some_and(|it| it.producer == producer) {
            // Back to what is shown: the one that waited is given up.
            entry.assigned = outgoing;
            return self.leave_route(ix, assigned);
        }
        let kept = if entry.slot.is_changing() {
            outgoing.or(assigned)
        } else {
            None
        };
        entry.outgoing = kept;
        for left in [assigned, outgoing] {
            if left != kept {
                self.leave_route(ix, left);
            }
        }
        self.enter_route(ix, producer);
    }

    /// Puts a slot into the route of what it is assigned from now on.
    pub(super) fn enter_route(&mut self, ix: Ix<SlotId>, producer_ix: Ix<ProducerId>) {
        let producer = self.producers.get_mut(producer_ix);
        if let (Some(producer), Some(entry)) = (producer, self.slots.get_mut(ix)) {
            entry.assigned = Some(Membership {
                producer: producer_ix,
                position: producer.route.len(),
            });
            producer.route.push(ix);
        }
    }

    /// Takes a slot out of a producer's route, at a cost that does not grow with the route: thousands may leave at once.
    fn leave_route(&mut self, ix: Ix<SlotId>, membership: Option<Membership>) {
        let Some(Membership {
            producer: producer_ix,
            position,
        }) = membership
        else {
            return;
        };
        let Some(producer) = self.producers.get_mut(producer_ix) else {
            return;
        };
        // The route of a producer on its way out was taken away before.
        if producer.route.get(position) != Some(&ix) {
            return;
        }
        producer.route.swap_remove(position);
        producer.use_may_shrink(None);
        if producer.is_mirror() && producer.route.is_empty() {
            self.idle_mirrors.push(producer_ix);
        }
        let Some(producer) = self.producers.get(producer_ix) else {
            return;
        };
        let moved = producer.route.get(position).copied();
        if let Some(moved) = moved.and_then(|moved| self.slots.get_mut(moved)) {
            let memberships = [&mut moved.assigned, &mut moved.outgoing];
            for membership in memberships.into_iter().flatten() {
                if membership.producer == producer_ix {
                    membership.position = position;
                }
            }
        }
    }

    pub(super) fn leave_all_routes(&mut self, ix: Ix<SlotId>) {
        if let Some(entry) = self.slots.get_mut(ix) {
            let left = [entry.assigned.take(), entry.outgoing.take()];
            for membership in left {
                self.leave_route(ix, membership);
            }
        }
    }

    /// The slot shows what it was assigned, or nothing of what it showed before: it leaves the former route.
    pub(super) fn leave_former_route(&mut self, ix: Ix<SlotId>) {
        let entry = self.slots.get_mut(ix).filter(|entry| entry.has_changed());
        if let Some(entry) = entry {
            let left = entry.outgoing.take();
            self.leave_route(ix, left);
        }
    }

    /// A slot shows nothing from now on.
    pub(super) fn empty_slot(&mut self, ix: Ix<SlotId>) {
        self.leave_all_routes(ix);
        if let Some(entry) = self.slots.get_mut(ix) {
            entry.slot.assign(None);
        }
        self.give_up_first_frame(ix);
    }

    /// A producer in whose route the slot was is gone. When another was to follow, that one goes on waiting.
    pub(super) fn on_producer_gone(&mut self, ix: Ix<SlotId>, producer: Ix<ProducerId>) {
        let Some(entry) = self.slots.get_mut(ix) else {
            return;
        };
        if entry.outgoing.is_some_and(|it| it.producer == producer) {
            entry.slot.stop();
            entry.outgoing = None;
        } else {
            self.empty_slot(ix);
        }
    }

    pub(super) fn set_limits(&mut self, now: Micros, id: SlotId, limits: Limits) -> Option<()> {
        let ix = self.slots.find(id)?;
        let entry = self.slots.get_mut(ix)?;
        entry.slot.set_limits(limits);
        if let Some(share) = &mut entry.share {
            share.on_wish();
        }
        let peer = entry.transport;
        self.select_all_of(now, ix);
        self.reallocate(now, peer);
        Some(())
    }

    pub(super) fn pause_producer(
        &mut self,
        now: Micros,
        id: ProducerId,
        paused: bool,
    ) -> Option<()> {
        let ix = self.producers.find(id)?;
        let producer = self.producers.get_mut(ix)?;
        producer.paused = paused;
        producer.reselect.unsettle();
        self.pause_speaker(ix, paused);
        let route = self.producers.get(ix)?.route.clone();
        for slot in route {
            if let Some(entry) = self.slots.get_mut(slot) {
                entry.slot.set_paused(id, paused);
                self.leave_former_route(slot);
            }
        }
        let producer = id;
        self.tell_watchers(ix, MirrorMessage::Paused { producer, paused });
        self.select(now, ix, None);
        Some(())
    }

    /// Lets a slot choose among the encodings of what it shows, and of what it waits for.
    pub(super) fn select_all_of(&mut self, now: Micros, ix: Ix<SlotId>) {
        let Some(entry) = self.slots.get(ix) else {
            return;
        };
        for membership in [entry.outgoing, entry.assigned].into_iter().flatten() {
            self.select(now, membership.producer, Some(ix));
        }
    }

    /// Lets one slot of a producer, or all, choose its encoding by what is measured now; asks for the key frames needed.
    /// Slots of peers that cannot be reached wait: nobody is asked for a key frame on their behalf.
    pub(super) fn select(&mut self, now: Micros, ix: Ix<ProducerId>, only: Option<Ix<SlotId>>) {
        let Some(producer) = self.producers.get_mut(ix) else {
            return;
        };
        let Producer {
            config,
            streams,
            route,
            reselect,
            ladder: known,
            demand,
            ..
        } = producer;
        let mut measured: ArrayVec<Measured, MAX_ENCODINGS> = streams
            .iter_mut()
            .take(MAX_ENCODINGS)
            .map(|stream| stream.measure(now))
            .collect();
        if let Some(demand) = demand {
            demand.recall(streams, &mut measured, now);
        }
        let ladder = Ladder::new(&measured);
        // What has just begun costs nobody knows how much.
        let begun = |encoding: u8| {
            let stream = streams.get(usize::from(encoding));
            stream.is_some_and(|stream| !stream.is_young(now))
        };
        let known = known.get_or_insert_default();
        let before = known.rungs().len();
        **known = ladder.filtered(begun);
        if known.rungs().len() != before {
            for slot in &*route {
                let peer = self.slots.get(*slot).map(|entry| entry.transport);
                share_anew(now, peer, &mut self.transports, &mut self.timers);
            }
        }
        let is_due = only.is_some() || reselect.is_due(&ladder, now);
        let chosen = only.as_ref().map_or(&route[..], std::slice::from_ref);
        let mut waiting = false;
        let mut used = Encodings::NONE;
        for slot in chosen.iter().filter(|_| is_due) {
            let Some(entry) = self.slots.get_mut(*slot) else {
                continue;
            };
            let receiver = self.transports.get(entry.transport);
            if !receiver.is_some_and(|receiver| receiver.can_send(now)) {
                continue;
            }
            let flowed = entry.slot.reason() != Reason::NothingFlows;
            let wanted = entry.slot.select(config.id, &ladder, now);
            if flowed != (entry.slot.reason() != Reason::NothingFlows) {
                let peer = Some(entry.transport);
                share_anew(now, peer, &mut self.transports, &mut self.timers);
            }
            used = used.or(entry.slot.uses(config.id));
            if entry.has_changed() {
                self.changed.push(*slot);
            }
            if let Some(stream) = wanted.and_then(|wanted| streams.get_mut(wanted as usize)) {
                stream.request_key_frame(now);
                waiting = true;
            }
        }
        match only {
            None if is_due => reselect.on_visited(waiting, now),
            Some(_) if waiting || demand.is_some() => reselect.unsettle(),
            _ => {}
        }
        if producer.next_select.is_none() || only.is_none() {
            producer.plan_select(now);
        }
        let complete = only.is_none() && is_due;
        self.settle_demand(now, ix, used, complete, &measured);
        self.arm_producer(ix);
        self.leave_former_routes();
    }

    /// Slots that changed meanwhile leave the routes of what they showed before.
    #[inline]
    pub(super) fn leave_former_routes(&mut self) {
        while let Some(slot) = self.changed.pop() {
            self.leave_former_route(slot);
        }
    }

    /// The peer can be reached now: its slots choose what to show.
    pub(super) fn wake_slots(&mut self, now: Micros, ix: Ix<TransportId>) {
        let Some(transport) = self.transports.get(ix).filter(|peer| peer.can_send(now)) else {
            return;
        };
        for slot in transport.slots.clone() {
            self.select_all_of(now, slot);
        }
    }

    pub(super) fn remove_slot(
        &mut self,
        now: Micros,
        id: SlotId,
        sink: &mut impl Sink,
    ) -> Option<()> {
        let ix = self.slots.find(id)?;
        let entry = self.slots.get(ix)?;
        let (owner, ssrc) = (entry.transport, entry.slot.ssrc());
        self.send_bye(now, owner, &[ssrc], sink);
        self.drop_slot(ix);
        if let Some(transport) = self.transports.get_mut(owner) {
            transport.slots.retain(|slot| *slot != ix);
        }
        Some(())
    }

    /// Removes a slot from everything but its transport's list.
    pub(super) fn drop_slot(&mut self, ix: Ix<SlotId>) {
        self.unfollow(ix);
        self.leave_all_routes(ix);
        if let Some(id) = self.slots.get(ix).map(|entry| entry.slot.config().id) {
            self.slots.remove(id);
        }
    }

    /// BYE for all slots of a peer.
    pub(super) fn say_goodbye(&mut self, now: Micros, ix: Ix<TransportId>, sink: &mut impl Sink) {
        let Some(transport) = self.transports.get(ix) else {
            return;
        };
        let slots = transport
            .slots
            .iter()
            .filter_map(|slot| self.slots.get(*slot));
        let ssrcs: Vec<Ssrc> = slots.map(|entry| entry.slot.ssrc()).collect();
        self.send_bye(now, ix, &ssrcs, sink);
    }

    fn send_bye(&mut self, now: Micros, ix: Ix<TransportId>, ssrcs: &[Ssrc], sink: &mut impl Sink) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        for ssrcs in ssrcs.chunks(MAX_COUNT) {
            let mut compound = Compound::with_head(transport);
            compound.push(|buffer| write_bye(buffer, ssrcs));
            compound.flush(now, transport, sink, &mut self.totals);
        }
    }
}

/// What a peer's slots can show has changed.
fn share_anew(
    now: Micros,
    peer: Option<Ix<TransportId>>,
    transports: &mut Arena<TransportId, Transport>,
    timers: &mut Timers,
) {
    let found = peer.and_then(|peer| Some((peer, transports.get_mut(peer)?)));
    if let Some((peer, transport)) = found
        && let Some(bandwidth) = &mut transport.bandwidth
    {
        bandwidth.reallocate(now);
        timers.arm(&mut transport.alarm, Owner::Transport(peer), now);
    }
}
