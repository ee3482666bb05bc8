//! The sans-IO core of one worker: transports, producers, slots and speaker groups; datagrams and commands in, datagrams and events out.
//!
//! Invariants: nothing here reads a clock, owns a socket or panics on a byte from the network; media leaves only to a
//! tuple that was validated and selected; every collection that a peer can grow has a named cap.

mod arena;
mod bucket;
pub mod command;
mod commands;
mod compound;
mod counters;
mod datagram;
pub mod event;
mod feedback;
mod followers;
mod forward;
mod lifecycle;
pub mod mirror;
mod paths;
mod producer;
mod receive;
mod reports;
mod rtcp;
pub mod sink;
mod slots;
mod snapshot;
mod speakers;
pub mod stats;
mod streams;
mod timeouts;
mod timers;
mod transport;

pub use command::Command;
pub use event::Event;
pub use sink::Sink;
pub use stats::{CoreCounters, DropCounts, TransportStats};

use crate::ids::{GroupId, ProducerId, SlotId, SocketId, TransportId, Tuple, WorkerId};
use crate::time::Micros;
use arena::{Arena, Ix};
use counters::Totals;
use mirror::{MirrorHead, MirrorMessage};
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
    tuples: FxHashMap<Tuple, Ix<TransportId>>,
    wall_offset: i64,
    timers: Timers,
    totals: Totals,
    current: Option<TransportId>,
    /// Producers here whose packets come from other workers.
    mirrors: usize,
    /// Mirrors that may have become unused during a call.
    idle_mirrors: Vec<Ix<ProducerId>>,
    /// What a call has to tell other workers.
    mirror_outbox: Vec<(WorkerId, MirrorMessage)>,
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
            wall_offset,
            tuples: FxHashMap::default(),
            timers: Timers::default(),
            totals: Totals::default(),
            current: None,
            mirrors: 0,
            idle_mirrors: Vec::new(),
            mirror_outbox: Vec::new(),
        }
    }

    /// Takes one datagram: the first `len` bytes of `data`, which has [`crate::srtp::SRTP_MAX_OVERHEAD`] bytes to spare.
    /// The bytes are decrypted in place.
    pub fn handle_datagram(
        &mut self,
        now: Micros,
        tuple: Tuple,
        data: &mut [u8],
        len: usize,
        sink: &mut impl Sink,
    ) {
        self.on_datagram(now, tuple, data, len, sink);
        self.settle_mirrors(now, sink);
    }

    /// Takes a packet of a producer of another worker, which has a mirror here.
    pub fn handle_mirrored(
        &mut self,
        now: Micros,
        head: &MirrorHead,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) {
        self.on_mirrored(now, head, bytes, sink);
        self.settle_mirrors(now, sink);
        self.current = None;
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
