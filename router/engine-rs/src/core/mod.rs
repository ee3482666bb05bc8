//! The sans-IO core of one worker: transports, producers and slots; datagrams and commands in, datagrams and events out.
//!
//! Invariants: nothing here reads a clock, owns a socket or panics on a byte from the network; media leaves only to a
//! tuple that was validated and selected; every collection that a peer can grow has a named cap.

pub mod command;
pub mod event;
pub mod sink;
pub mod stats;

pub use command::Command;
pub use event::Event;
pub use sink::Sink;
pub use stats::{CoreCounters, TransportStats};

use crate::ids::{SocketId, TransportId, Tuple};
use crate::time::Micros;

/// The protocol state of one worker.
pub struct Core {
    counters: CoreCounters,
    current: Option<TransportId>,
}

impl Core {
    /// A core without peers. `seed` keys its random numbers; `wall_offset` is Unix time minus engine time, in
    /// microseconds, for the NTP fields of sender reports.
    pub fn new(seed: [u8; 32], wall_offset: i64) -> Self {
        let _ = (seed, wall_offset);
        Self {
            counters: CoreCounters::default(),
            current: None,
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
        let _ = (now, tuple, data, &sink);
        self.counters.packets_received += 1;
        self.counters.bytes_received += len as u64;
    }

    /// Obeys one command. An id that is gone is ignored and counted.
    pub fn handle_command(&mut self, now: Micros, command: Command, sink: &mut impl Sink) {
        let _ = (now, self.counters.transports, sink);
        drop(command);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Micros, sink: &mut impl Sink) {
        let _ = (now, self.counters.transports, sink);
    }

    /// When `handle_timeout` wants to be called next; costs nothing to ask.
    pub fn poll_deadline(&self) -> Option<Micros> {
        None
    }

    /// Totals of this core.
    pub fn counters(&self) -> CoreCounters {
        self.counters.clone()
    }

    /// Everything about one peer; `None` when it is gone.
    pub fn transport_stats(&self, now: Micros, transport: TransportId) -> Option<TransportStats> {
        let _ = (now, transport, self.counters.transports);
        None
    }

    /// The socket is closed: its tuples are forgotten.
    pub fn socket_closed(&mut self, socket: SocketId) {
        let _ = (socket, self.counters.transports);
    }

    /// The transport being worked on: the one to blame when a call into the core panicked.
    pub fn current_transport(&self) -> Option<TransportId> {
        self.current
    }

    /// Drops a transport whose handling panicked, without touching its state: `TransportLost` with
    /// [`event::LostReason::EngineBug`], then `TransportRemoved`.
    pub fn abandon(&mut self, transport: TransportId, sink: &mut impl Sink) {
        self.current = None;
        sink.event(Event::TransportLost {
            transport,
            reason: event::LostReason::EngineBug,
        });
        sink.event(Event::TransportRemoved { transport });
    }
}
