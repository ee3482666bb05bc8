//! What of a producer is in use, so that its publisher can let the rest pause (others call it dynacast).
//!
//! Only a publisher that said it follows is told ([`Command::FollowDemand`](super::Command::FollowDemand)); any other, a
//! plain WHIP encoder above all, sends on as it likes. An encoding that nobody used for a while *rests*: it may fall
//! silent, which ends nothing. What was measured of it is remembered, and stands in the ladder like what flows, so that a
//! slot can choose it; then it is *woken*: asked of the publisher at once, and shown from its key frame on. If it does
//! not come in time it is forgotten, and is what any encoding is that does not flow.
//!
//! Invariants: what was never measured never rests, so everything at rest can be chosen; only what was used can be
//! woken; a publisher that is woken again and again is asked to pause later and later.

use super::command::MediaKind;
use super::mirror::MirrorMessage;
use super::producer::Producer;
use super::{Core, Event, Sink};
use crate::core::arena::Ix;
use crate::ids::{ProducerId, WorkerId};
use crate::recv::layer_meter::MeasuredLayer;
use crate::recv::{Measured, ReceiveStream};
use crate::route::encodings::Encodings;
use crate::route::ladder::MAX_ENCODINGS;
use crate::time::Micros;

/// An encoding rests when it was not in use for so long: with all that is on the way, the publisher pauses it within 2 s.
pub const HOLD: Micros = Micros::from_millis(1_000);
/// [`HOLD`] is doubled each time something is woken, from the third time on, for people may change their mind...
const FREE_WAKINGS: u32 = 3;
/// ...at most so often...
const MAX_DOUBLINGS: u32 = 4;
/// ...until nothing was for so long.
const CALM: Micros = Micros::from_secs(30);
/// What is woken must come within this time.
pub const PATIENCE: Micros = Micros::from_secs(3);
/// What came is measured well after this time: the window of the meters.
const SETTLING: Micros = Micros::from_millis(1_000);

/// How it is with one encoding.
#[derive(Clone, Debug, Default, PartialEq)]
enum Rest {
    /// The publisher sends it, or has its own reasons not to.
    #[default]
    Awake,
    /// The publisher was told that nobody uses it.
    Asleep { since: Micros },
    /// The publisher was asked for it.
    Waking { since: Micros, came: Option<Micros> },
}

#[derive(Clone, Debug, Default)]
struct Encoding {
    rest: Rest,
    unused_since: Option<Micros>,
    /// As it was when it went to rest.
    remembered: Measured,
}

/// What is in use of a producer whose publisher follows, or of a mirror of one.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    follows: bool,
    encodings: Vec<Encoding>,
    /// By slots here, when all were looked at last, and since.
    used: Encodings,
    /// Less than [`CALM`] apart, and the last of them.
    wakings: u32,
    last_woken: Option<Micros>,
}

/// What has become of a look at the slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Change {
    woken: Encodings,
    rested: Encodings,
}

impl Demand {
    /// All encodings are awake.
    fn new(count: usize) -> Self {
        Self {
            encodings: vec![Encoding::default(); count.min(MAX_ENCODINGS)],
            ..Self::default()
        }
    }

    fn indexed(&mut self) -> impl Iterator<Item = (u8, &mut Encoding)> {
        (0u8..).zip(&mut self.encodings)
    }

    fn resting(&self) -> Encodings {
        let asleep = |(_, it): &(u8, &Encoding)| matches!(it.rest, Rest::Asleep { .. });
        let all = (0u8..).zip(&self.encodings).filter(asleep);
        all.fold(Encodings::NONE, |set, (index, _)| {
            set.or(Encodings::one(index))
        })
    }

    /// Something is awake that may have to rest, or about to be forgotten.
    fn is_undecided(&self) -> bool {
        self.encodings.iter().any(|it| match it.rest {
            Rest::Awake => self.follows,
            Rest::Asleep { .. } => false,
            Rest::Waking { .. } => true,
        })
    }

    /// Puts what is remembered in the place of what is measured, where that does not flow or not long enough.
    pub fn recall(&mut self, streams: &[ReceiveStream], measured: &mut [Measured], now: Micros) {
        let all = self.encodings.iter_mut().zip(streams).zip(measured);
        for ((encoding, stream), measured) in all {
            if encoding.recalls(stream.last_packet(), measured.flowing, now) {
                measured.clone_from(&encoding.remembered);
            }
        }
    }

    /// Slots use these; all slots were looked at, if the look was complete. Decides what is woken, and what may rest by
    /// what is measured now.
    fn on_used(
        &mut self,
        used: Encodings,
        complete: bool,
        watched: Encodings,
        measured: &[Measured],
        now: Micros,
    ) -> Change {
        self.used = if complete { used } else { self.used.or(used) };
        let used = self.used.or(watched);
        let mut change = Change::default();
        let (follows, hold) = (self.follows, self.hold());
        for ((index, encoding), measured) in self.indexed().zip(measured) {
            if used.contains(index) {
                encoding.unused_since = None;
                if encoding.wake(now) {
                    change.woken = change.woken.or(Encodings::one(index));
                }
            } else if follows && encoding.may_rest(measured, hold, now) {
                encoding.sleep(measured, now);
                change.rested = change.rested.or(Encodings::one(index));
            }
        }
        if !change.woken.is_empty() {
            self.note_woken(now);
        }
        change
    }

    /// An encoding rests when it was not in use for so long.
    fn hold(&self) -> Micros {
        let doublings = self.wakings.saturating_sub(FREE_WAKINGS - 1);
        Micros(HOLD.0 << doublings.min(MAX_DOUBLINGS))
    }

    fn note_woken(&mut self, now: Micros) {
        let again = self.last_woken.is_some_and(|last| now - last < CALM);
        self.wakings = if again {
            self.wakings.saturating_add(1)
        } else {
            1
        };
        self.last_woken = Some(now);
    }

    /// Nothing rests any more.
    fn wake_all(&mut self, now: Micros) -> Encodings {
        let mut woken = Encodings::NONE;
        for (index, encoding) in self.indexed() {
            encoding.unused_since = None;
            if encoding.wake(now) {
                woken = woken.or(Encodings::one(index));
            }
        }
        woken
    }
}

impl Encoding {
    fn wake(&mut self, since: Micros) -> bool {
        let asleep = matches!(self.rest, Rest::Asleep { .. });
        if asleep {
            self.rest = Rest::Waking { since, came: None };
        }
        asleep
    }

    /// Not in use, and since long enough. What does not flow is not told to rest: it could not be chosen any more.
    fn may_rest(&mut self, measured: &Measured, hold: Micros, now: Micros) -> bool {
        if matches!(self.rest, Rest::Asleep { .. }) || !measured.flowing {
            return false;
        }
        let since = *self.unused_since.get_or_insert(now);
        now - since >= hold
    }

    fn sleep(&mut self, measured: &Measured, since: Micros) {
        // While it wakes this is what was remembered.
        self.remembered.clone_from(measured);
        self.rest = Rest::Asleep { since };
        self.unused_since = None;
    }

    /// Whether what is remembered counts. Ends waking.
    fn recalls(&mut self, last_packet: Option<Micros>, flowing: bool, now: Micros) -> bool {
        match &mut self.rest {
            Rest::Awake => false,
            // It fades while it stops; one that goes on all the same is measured.
            Rest::Asleep { since } => !flowing || now - *since < PATIENCE,
            Rest::Waking { since, came } => {
                if came.is_none() && last_packet.is_some_and(|last| last > *since) {
                    *came = Some(now);
                }
                let until = came.map_or(*since + PATIENCE, |came| came + SETTLING);
                if now >= until {
                    self.rest = Rest::Awake;
                }
                now < until
            }
        }
    }
}

impl Producer {
    /// Whether slots have to be looked at though there may be none.
    pub fn has_open_demand(&self) -> bool {
        self.demand.as_ref().is_some_and(|it| it.is_undecided())
    }

    /// Whether silence of an encoding says nothing, with a BYE or without: it was asked for.
    pub fn may_be_silent(&self, encoding: usize) -> bool {
        let encodings = self.demand.as_ref().map(|it| &it.encodings);
        let rest = encodings
            .and_then(|all| all.get(encoding))
            .map(|it| &it.rest);
        matches!(
            rest,
            Some(Rest::Asleep { .. } | Rest::Waking { came: None, .. })
        )
    }

    /// Some slot may use less than before: all are looked at soon.
    pub fn use_may_shrink(&mut self, now: Option<Micros>) {
        if self.demand.is_some() || self.is_mirror() {
            self.reselect.unsettle();
            self.next_select = self.next_select.or(now);
        }
    }

    /// What workers that watch it use. One that did not tell yet needs what is there to go on.
    fn watched(&self) -> Encodings {
        let awake = |demand: &Demand| Encodings::ALL.without(demand.resting());
        let as_it_is = self.demand.as_deref().map_or(Encodings::ALL, awake);
        let used = self.watchers.iter().map(|it| it.used.unwrap_or(as_it_is));
        used.fold(Encodings::NONE, Encodings::or)
    }

    fn demand_or_new(&mut self) -> &mut Demand {
        let count = self.config.encodings.len();
        self.demand
            .get_or_insert_with(|| Box::new(Demand::new(count)))
    }
}

impl Core {
    /// The publisher of a video track follows what is in use, or does not any more: then it sends everything.
    pub(super) fn follow_demand(
        &mut self,
        now: Micros,
        id: ProducerId,
        follows: bool,
    ) -> Option<()> {
        let ix = self.producers.find(id)?;
        let producer = self.producers.get_mut(ix)?;
        if producer.is_mirror() || producer.config.kind != MediaKind::Video {
            return None;
        }
        let demand = producer.demand_or_new();
        demand.follows = follows;
        let woken = if follows {
            Encodings::NONE
        } else {
            demand.wake_all(now)
        };
        producer.next_select = Some(now);
        producer.reselect.unsettle();
        self.tell_rest(ix, woken, Encodings::NONE);
        self.arm_producer(ix);
        Some(())
    }

    /// After a look at slots of a producer: what is in use may have changed.
    pub(super) fn settle_demand(
        &mut self,
        now: Micros,
        ix: Ix<ProducerId>,
        used: Encodings,
        complete: bool,
        measured: &[Measured],
    ) {
        let Some(producer) = self.producers.get_mut(ix) else {
            return;
        };
        if let super::producer::Home::Worker(home) = producer.home {
            return self.tell_home(home, ix, used, complete, measured);
        }
        let watched = producer.watched();
        let Some(demand) = producer.demand.as_deref_mut() else {
            return;
        };
        let change = demand.on_used(used, complete, watched, measured, now);
        if change == Change::default() {
            return;
        }
        let all = Encodings::first(demand.encodings.len());
        let wanted = all.without(demand.resting()).iter().collect();
        let producer = producer.config.id;
        self.events.push(Event::EncodingsWanted {
            producer,
            encodings: wanted,
        });
        self.tell_rest(ix, change.woken, change.rested);
    }

    // -- over workers --------------------------------------------------------------------------------------------

    /// A mirror's home hears what is used of it. While nothing is known of its encodings, nothing is chosen.
    fn tell_home(
        &mut self,
        home: WorkerId,
        ix: Ix<ProducerId>,
        used: Encodings,
        complete: bool,
        measured: &[Measured],
    ) {
        let Some(producer) = self.producers.get_mut(ix) else {
            return;
        };
        if producer.config.kind != MediaKind::Video || !measured.iter().any(|it| it.flowing) {
            return;
        }
        let used = match producer.told_used {
            Some(told) if !complete => told.or(used),
            _ => used,
        };
        if producer.told_used.replace(used) != Some(used) {
            let producer = producer.config.id;
            self.mirror_outbox
                .push((home, MirrorMessage::Uses { producer, used }));
        }
    }

    /// A mirror uses these.
    pub(super) fn on_uses(
        &mut self,
        now: Micros,
        from: WorkerId,
        id: ProducerId,
        used: Encodings,
    ) -> Option<()> {
        let ix = self.producers.find(id)?;
        let producer = self.producers.get_mut(ix)?;
        let mut watchers = producer.watchers.iter_mut();
        watchers.find(|it| it.worker == from)?.used = Some(used);
        if producer.demand.is_some() {
            producer.next_select = Some(now);
            self.arm_producer(ix);
        }
        Some(())
    }

    /// Mirrors remember what rests as the home does.
    fn tell_rest(&mut self, ix: Ix<ProducerId>, woken: Encodings, rested: Encodings) {
        let Some(producer) = self.producers.get(ix) else {
            return;
        };
        for watcher in &producer.watchers {
            let wakes = woken.iter().map(|encoding| MirrorMessage::Wakes {
                producer: producer.config.id,
                encoding,
            });
            let rests = producer.describe_rest(rested);
            let all = wakes.chain(rests).map(|message| (watcher.worker, message));
            self.mirror_outbox.extend(all);
        }
    }

    /// From the home: a layer as it was before its encoding went to rest.
    pub(super) fn on_rests(
        &mut self,
        now: Micros,
        id: ProducerId,
        encoding: u8,
        layer: MeasuredLayer,
    ) -> Option<()> {
        let ix = self.find_mirror(id)?;
        let producer = self.producers.get_mut(ix)?;
        let it = producer
            .demand_or_new()
            .encodings
            .get_mut(encoding as usize)?;
        if !matches!(it.rest, Rest::Asleep { .. }) {
            it.remembered = Measured {
                flowing: true,
                ..Measured::default()
            };
            it.rest = Rest::Asleep { since: now };
        }
        it.remembered.layers.try_push(layer).ok()?;
        producer.reselect.unsettle();
        producer.next_select = Some(now);
        self.arm_producer(ix);
        Some(())
    }

    /// From the home: the publisher was asked for it.
    pub(super) fn on_wakes(&mut self, now: Micros, id: ProducerId, encoding: u8) -> Option<()> {
        let ix = self.find_mirror(id)?;
        let demand = self.producers.get_mut(ix)?.demand.as_mut()?;
        demand.encodings.get_mut(encoding as usize)?.wake(now);
        Some(())
    }

    pub(super) fn send_events(&mut self, sink: &mut impl Sink) {
        for event in self.events.drain(..) {
            sink.event(event);
        }
    }
}

impl Producer {
    /// What a worker that watches is told of those of these encodings that rest.
    pub fn describe_rest(&self, of: Encodings) -> impl Iterator<Item = MirrorMessage> + '_ {
        let demand = self.demand.as_deref();
        let resting = demand.map_or(Encodings::NONE, Demand::resting);
        let told = resting.iter().filter(move |index| of.contains(*index));
        told.flat_map(move |index| {
            let encoding = demand.and_then(|it| it.encodings.get(index as usize));
            let layers = encoding.into_iter().flat_map(|it| &it.remembered.layers);
            layers.map(move |layer| MirrorMessage::Rests {
                producer: self.config.id,
                encoding: index,
                layer: *layer,
            })
        })
    }
}
