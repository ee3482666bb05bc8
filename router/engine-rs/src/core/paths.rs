//! ICE as the core sees it: tuples to transports, challenges out, selection reported, liveness.
//!
//! Invariant: a tuple is in the map exactly while its transport's agent knows it.

use super::arena::Ix;
use super::event::LostReason;
use super::timers::Owner;
use super::{Core, Event, Sink};
use crate::ids::{SocketId, TransportId, Tuple};
use crate::time::Micros;

impl Core {
    /// Python authenticated and answered a check: the tuple belongs to this transport from now on (I11).
    pub(super) fn add_tuple(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        tuple: Tuple,
        (nominated, priority): (bool, u32),
        sink: &mut impl Sink,
    ) {
        let former = self
            .tuples
            .get(&tuple)
            .copied()
            .filter(|owner| *owner != ix);
        let Some(transport) = self
            .transports
            .get_mut(ix)
            .filter(|transport| !transport.is_lost)
        else {
            return;
        };
        transport.on_authentic(now);
        let evicted = transport.agent.add_tuple(now, tuple, nominated, priority);
        if let Some(evicted) = evicted {
            self.tuples.remove(&evicted);
        }
        self.tuples.insert(tuple, ix);
        if let Some(former) = former {
            if let Some(owner) = self.transports.get_mut(former) {
                owner.agent.remove(tuple);
            }
            self.settle_ice(now, former, sink);
        }
        self.settle_ice(now, ix, sink);
    }

    /// After anything that may have moved ICE: sends challenges, reports the selection, sets the timer.
    pub(super) fn settle_ice(&mut self, now: Micros, ix: Ix<TransportId>, sink: &mut impl Sink) {
        let Some(transport) = self
            .transports
            .get_mut(ix)
            .filter(|transport| !transport.is_lost)
        else {
            return;
        };
        while let Some(idle) = transport.agent.poll_idle(now) {
            self.tuples.remove(&idle);
        }
        let selected = transport.agent.poll_selected(now);
        if let Some(tuple) = selected {
            transport.pair_changes += 1;
            sink.event(Event::PairSelected {
                transport: transport.id,
                tuple,
            });
        }
        while let Some((len, tuple)) =
            transport
                .agent
                .poll_challenge(now, &mut self.rng, sink.scratch())
        {
            transport.send_plain(len, tuple, sink);
        }
        if selected.is_some() {
            self.wake_slots(now, ix);
        }
        self.arm_transport(ix);
    }

    /// Sets the transport's timer to its own deadline.
    pub(super) fn arm_transport(&mut self, ix: Ix<TransportId>) {
        if let Some(transport) = self.transports.get_mut(ix)
            && let Some(at) = transport.deadline()
        {
            self.timers
                .arm(&mut transport.alarm, Owner::Transport(ix), at);
        }
    }

    /// Gives the transport up when nothing authentic has come for its timeout. True when it was.
    pub(super) fn expire(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        sink: &mut impl Sink,
    ) -> bool {
        let Some(transport) = self.transports.get_mut(ix) else {
            return true;
        };
        if transport.is_lost {
            return true;
        }
        if now < transport.last_authenticated + transport.timeout {
            return false;
        }
        transport.is_lost = true;
        let id = transport.id;
        self.forget_tuples(ix);
        sink.event(Event::TransportLost {
            transport: id,
            reason: LostReason::ConsentExpired,
        });
        true
    }

    /// Takes all its tuples from a transport: nothing reaches it and it reaches nobody.
    pub(super) fn forget_tuples(&mut self, ix: Ix<TransportId>) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        let tuples: Vec<Tuple> = transport.agent.tuples().collect();
        for tuple in tuples {
            transport.agent.remove(tuple);
            self.tuples.remove(&tuple);
        }
    }

    /// Forgets the tuples of a socket; what that means for selections is settled at the next timeout, which is now.
    pub(super) fn on_socket_closed(&mut self, socket: SocketId) {
        let gone = |tuple: &Tuple| tuple.socket == socket;
        let bereft: Vec<Ix<TransportId>> = self
            .tuples
            .iter()
            .filter(|(tuple, _)| gone(tuple))
            .map(|(_, ix)| *ix)
            .collect();
        self.tuples.retain(|tuple, _| !gone(tuple));
        for ix in bereft {
            if let Some(transport) = self.transports.get_mut(ix) {
                transport.agent.remove_socket(socket);
                self.timers
                    .arm(&mut transport.alarm, Owner::Transport(ix), Micros(0));
            }
        }
    }
}
