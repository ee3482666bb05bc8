//! Shares a peer's bandwidth out among its slots: their claims to `alloc/`, and what is granted back to the slots.

use super::arena::{Arena, Ix};
use super::bandwidth::Bandwidth;
use super::command::MediaKind;
use super::producer::Producer;
use super::slots::SlotEntry;
use super::{Core, Sink};
use crate::alloc::{Claim, Grant, Preference, Priority, Reason, Standing, Wants};
use crate::ids::{ProducerId, SlotId, TransportId};
use crate::route::ladder::Ladder;
use crate::route::select::{Reason as Shown, Share};
use crate::time::Micros;

/// Above what the lowest rungs cost together, in percent: they waver, and losses are repaired.
const LEAST_MARGIN_PERCENT: u64 = 130;
/// Ladder of a producer of which nothing was measured.
static NOTHING: Ladder = Ladder::EMPTY;

/// What a video slot remembers of its share.
#[derive(Clone, Debug, Default)]
pub struct SlotShare {
    /// How much it matters by decree.
    pub priority: Priority,
    /// What to keep when not all can be had.
    pub preference: Preference,
    standing: Standing,
    reason: Reason,
}

impl SlotShare {
    /// Something else is assigned or allowed.
    pub fn on_wish(&mut self) {
        self.standing.on_wish();
    }

    /// Why it has what it has, when bandwidth decided that.
    pub fn reason(&self) -> Option<&Reason> {
        Some(&self.reason).filter(|reason| reason.cause.is_bandwidth())
    }
}

impl Core {
    /// How much a slot matters, and what to keep of it.
    pub(super) fn set_priority(
        &mut self,
        now: Micros,
        id: SlotId,
        (priority, preference): (Priority, Preference),
    ) -> Option<()> {
        let entry = self.slots.get_mut(self.slots.find(id)?)?;
        let share = entry.share.get_or_insert_default();
        (share.priority, share.preference) = (priority, preference);
        let peer = entry.transport;
        self.reallocate(now, peer);
        Some(())
    }

    /// A peer is sent video: from now on its bandwidth is shared out.
    pub(super) fn share_bandwidth(&mut self, now: Micros, ix: Ix<TransportId>) {
        if let Some(transport) = self.transports.get_mut(ix) {
            let numbering = transport.numbering;
            transport
                .bandwidth
                .get_or_insert_with(|| Box::new(Bandwidth::new(now, numbering)));
        }
        self.reallocate(now, ix);
    }

    /// What a peer's slots want has changed.
    pub(super) fn reallocate(&mut self, now: Micros, ix: Ix<TransportId>) {
        let transport = self.transports.get_mut(ix);
        if let Some(bandwidth) = transport.and_then(|it| it.bandwidth.as_mut()) {
            bandwidth.reallocate(now);
            self.arm_transport(ix);
        }
    }

    /// Lets the time pass for what a peer's link carries: what waited leaves, padding for probes too, and the slots share
    /// out anew.
    pub(super) fn serve_bandwidth(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        sink: &mut impl Sink,
    ) {
        let Some(bandwidth) = self.bandwidth_of(ix) else {
            return;
        };
        bandwidth.tick(now);
        let is_due = bandwidth.is_allocation_due(now);
        if is_due {
            self.allocate(now, ix);
        }
        self.release_waiting(now, ix, sink);
        self.send_probe(now, ix, sink);
    }

    /// Decides what each slot of a peer gets.
    fn allocate(&mut self, now: Micros, ix: Ix<TransportId>) {
        let Self {
            transports,
            slots,
            producers,
            allocator,
            ..
        } = self;
        let Some(transport) = transports.get_mut(ix) else {
            return;
        };
        let Some(bandwidth) = transport.bandwidth.as_mut() else {
            return;
        };
        let own = &transport.slots;
        let claims = own.iter().enumerate().filter_map(|(index, slot)| {
            let entry = slots.get(*slot)?;
            Some(claim_of(index, entry, producers))
        });
        let budget = bandwidth.budget(least(claims.clone()), now);
        let allocation = allocator.allocate(&budget, bandwidth.headroom(), claims, now);
        bandwidth.on_allocated(&budget, &allocation, now);
        let mut changed = std::mem::take(&mut self.reshared);
        for grant in allocation.grants {
            let slot = own.get(usize::from(grant.slot)).copied();
            let Some(slot) = slot else { continue };
            let entry = slots.get_mut(slot);
            if entry.is_some_and(|entry| take_grant(entry, grant)) {
                changed.push(slot);
            }
        }
        for slot in changed.drain(..) {
            self.select_all_of(now, slot);
        }
        self.reshared = changed;
    }
}

fn claim_of<'a>(
    index: usize,
    entry: &SlotEntry,
    producers: &'a Arena<ProducerId, Producer>,
) -> Claim<'a> {
    let producer = entry.assigned_producer().and_then(|ix| producers.get(ix));
    let ladder = producer.map(|producer| producer.ladder.as_deref().unwrap_or(&NOTHING));
    let is_out = matches!(entry.slot.reason(), Shown::Paused | Shown::NoCodec);
    let wants = match (ladder, entry.slot.config().kind) {
        (None, _) => Wants::Nothing,
        (Some(_), _) if is_out => Wants::Nothing,
        (Some(ladder), MediaKind::Video) => Wants::Video(ladder),
        (Some(ladder), MediaKind::Audio) => {
            Wants::Audio(ladder.rungs().last().map_or(0, |rung| rung.bps))
        }
    };
    let (share, limits) = (entry.share.as_deref(), entry.slot.limits());
    Claim {
        slot: index as u16,
        wants,
        priority: share.map_or(Priority::default(), |it| it.priority),
        preference: share.map_or(Preference::default(), |it| it.preference),
        limits,
        standing: share.map_or(Standing::default(), |it| it.standing),
    }
}

/// What it costs to show something everywhere.
fn least<'a>(claims: impl Iterator<Item = Claim<'a>>) -> u64 {
    let costs = claims.map(|claim| match claim.wants {
        Wants::Video(ladder) => ladder.rungs().iter().map(|rung| rung.bps).min(),
        Wants::Audio(bps) => Some(bps),
        Wants::Nothing => None,
    });
    costs.flatten().fold(0, u64::saturating_add) / 100 * LEAST_MARGIN_PERCENT
}

/// Keeps what was granted. True when the slot must choose anew.
fn take_grant(entry: &mut SlotEntry, grant: &Grant) -> bool {
    if entry.slot.config().kind == MediaKind::Audio {
        return false;
    }
    let share = entry.share.get_or_insert_default();
    (share.standing, share.reason) = (grant.standing, grant.reason);
    let limited = grant.reason.cause.is_bandwidth();
    entry.slot.set_share(match (limited, &grant.rung) {
        (false, _) => Share::Whole,
        (true, Some(rung)) => Share::of(rung),
        (true, None) => Share::Nothing,
    })
}
