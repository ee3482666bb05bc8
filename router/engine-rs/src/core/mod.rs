//! The sans-IO core of one worker: transports, producers, slots and speaker groups; datagrams and commands in, datagrams and events out.
//!
//! Invariants: nothing here reads a clock, owns a socket or panics on a byte from the network; media leaves only to a
//! tuple that was validated and selected; every collection that a peer can grow has a named cap.

mod allocate;
mod allowance;
mod arena;
mod bandwidth;
mod bucket;
pub mod capture;
pub mod census;
pub mod command;
mod commands;
mod compound;
mod counters;
mod datagram;
mod demand;
pub mod event;
mod feedback;
mod first_frame;
mod followers;
mod forward;
mod lifecycle;
pub mod mirror;
mod outlet;
mod paths;
mod pending;
mod producer;
mod receive;
mod reports;
mod reselect;
mod rtcp;
pub mod sink;
#[cfg(test)]
mod sizes;
mod slots;
mod snapshot;
mod speakers;
pub mod spread;
pub mod stats;
mod streams;
mod timeouts;
mod timers;
mod transport;

pub use command::Command;
pub use datagram::Datagram;
pub use event::Event;
pub use pending::Received;
pub use sink::Sink;
pub use stats::{CoreCounters, DropCounts, TransportStats};

use crate::alloc::Allocator;
use crate::ids::{GroupId, ProducerId, SlotId, SocketId, TransportId, Tuple, WorkerId};
use crate::time::Micros;
use arena::{Arena, Ix};
use census::Census;
use counters::Totals;
use mirror::{MirrorHead, MirrorMessage};
use pending::Pending;
use producer::Producer;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use rustc_hash::FxHashMap;
use slots::SlotEntry;
use speakers::SpeakerGroup;
use timers::Timers;
use transport::Transport;

/// The protocol state of one worker.
pub struct Core {
    rng: ChaCha12Rng,
    transports: Arena<TransportId, Transport>,
    producers: Arena<ProducerId, Producer>,
    slots: Arena<SlotId, SlotEntry>,
    groups: Arena<GroupId, SpeakerGroup>,
    /// Slots that have to leave a route which is being walked; empty in between.
    changed: Vec<Ix<SlotId>>,
    /// Shares bandwidth out; remembers nothing.
    allocator: Allocator,
    /// Slots whose share has changed; empty in between.
    reshared: Vec<Ix<SlotId>>,
    /// Packets that wait for [`Core::forward_pending`].
    pending: Pending,
    tuples: FxHashMap<Tuple, Ix<TransportId>>,
    /// Peers with a tap.
    tapped: Vec<TransportId>,
    wall_offset: i64,
    timers: Timers,
    census: Census,
    totals: Totals,
    current: Option<TransportId>,
    /// Producers here whose packets come from other workers.
    mirrors: usize,
    /// Mirrors that may have become unused during a call.
    idle_mirrors: Vec<Ix<ProducerId>>,
    /// What a call has to tell other workers.
    mirror_outbox: Vec<(WorkerId, MirrorMessage)>,
    /// Events of the current call that have no other way out.
    events: Vec<Event>,
}

impl Core {
    /// A core without peers. `seed` keys its random numbers; `wall_offset` is Unix time minus engine time, in
    /// microseconds, for the NTP fields of sender reports.
    pub fn new(seed: [u8; 32], wall_offset: i64) -> Self {
        Self {
            rng: ChaCha12Rng::from_seed(seed),
            transports: Arena::new(),
            producers: Arena::new(),
            slots: Arena::new(),
            groups: Arena::new(),
            changed: Vec::new(),
            allocator: Allocator::new(),
            reshared: Vec::new(),
            pending: Pending::default(),
            wall_offset,
            tuples: FxHashMap::default(),
            tapped: Vec::new(),
            timers: Timers::default(),
            census: Census::default(),
            totals: Totals::default(),
            current: None,
            mirrors: 0,
            idle_mirrors: Vec::new(),
            mirror_outbox: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Takes one datagram and forwards it at once: the first `len` bytes of `data`, which has
    /// [`crate::srtp::SRTP_MAX_OVERHEAD`] bytes to spare. The bytes are decrypted in place.
    pub fn handle_datagram(
        &mut self,
        now: Micros,
        tuple: Tuple,
        data: &mut [u8],
        len: usize,
        sink: &mut impl Sink,
    ) {
        let datagram = Datagram {
            data: &mut *data,
            len,
            arrived: now,
            index: 0,
        };
        self.on_datagram(now, tuple, datagram, sink);
        self.forward_pending(now, &&*data, sink);
    }

    /// Takes in one datagram of a batch; it is decrypted in place. Media waits until [`Self::forward_pending`], for which
    /// the datagram must still be there. Take in no more than a batch before that.
    pub fn take_datagram(
        &mut self,
        now: Micros,
        tuple: Tuple,
        datagram: Datagram,
        sink: &mut impl Sink,
    ) {
        self.on_datagram(now, tuple, datagram, sink);
    }

    /// Takes in packet `index` of a batch that another worker handed over: its producer has a mirror here. It waits as
    /// with [`Self::take_datagram`].
    pub fn take_mirrored(&mut self, now: Micros, head: &MirrorHead, bytes: &[u8], index: usize) {
        self.on_mirrored(now, head, bytes, index);
    }

    /// Forwards the media of the batch that was taken in. To be called before commands and timeouts.
    pub fn forward_pending(&mut self, now: Micros, received: &impl Received, sink: &mut impl Sink) {
        self.on_forward(now, received, sink);
        self.settle_mirrors(now, sink);
    }

    /// Another worker tells something.
    pub fn handle_mirror_message(
        &mut self,
        now: Micros,
        from: WorkerId,
        message: MirrorMessage,
        sink: &mut impl Sink,
    ) {
        if self.on_mirror_message(now, from, message).is_none() {
            self.totals.mirror_stale += 1;
        }
        self.settle_mirrors(now, sink);
    }

    /// Obeys one command. An id that is gone is ignored and counted.
    pub fn handle_command(&mut self, now: Micros, command: Command, sink: &mut impl Sink) {
        self.on_command(now, command, sink);
        self.begin_census(now);
        self.settle_mirrors(now, sink);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Micros, sink: &mut impl Sink) {
        self.on_timeout(now, sink);
        self.settle_mirrors(now, sink);
    }

    /// When `handle_timeout` wants to be called next; costs nothing to ask.
    pub fn poll_deadline(&self) -> Option<Micros> {
        self.timers.poll_deadline()
    }

    /// Totals of this core.
    pub fn counters(&self) -> CoreCounters {
        let producers = self.producers.len() - self.mirrors;
        let snapshot = self
            .totals
            .snapshot(self.transports.len(), producers, self.slots.len());
        CoreCounters {
            mirrors: self.mirrors as u64,
            speaker_groups: self.groups.len() as u64,
            tuples: self.tuples.len() as u64,
            timers: self.timers.len() as u64,
            census: self.census.counters().clone(),
            ..snapshot
        }
    }

    /// Everything about one peer; `None` when it is gone.
    pub fn transport_stats(
        &mut self,
        now: Micros,
        transport: TransportId,
    ) -> Option<TransportStats> {
        self.snapshot(now, transport)
    }

    /// The socket is closed: its tuples are forgotten.
    pub fn socket_closed(&mut self, socket: SocketId) {
        self.on_socket_closed(socket);
    }

    /// The transport being worked on: the one to blame when a call into the core panicked.
    pub fn current_transport(&self) -> Option<TransportId> {
        self.current
    }

    /// Drops a transport whose handling panicked: `TransportLost` with [`event::LostReason::EngineBug`], then
    /// `TransportRemoved`. Nothing is sent to the peer, whose state cannot be trusted.
    pub fn abandon(&mut self, transport: TransportId, sink: &mut impl Sink) {
        self.on_abandoned(transport, sink);
        self.send_mirror_messages(sink);
    }
}
