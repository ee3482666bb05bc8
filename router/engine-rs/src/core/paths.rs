//! ICE as the core sees it: tuples to transports, challenges out, selection reported, liveness.
//!
//! Invariant: a tuple is in the map exactly while its transport's link knows it.

use super::arena::Ix;
use super::event::LostReason;
use super::timers::Owner;
use super::{Core, Event, Sink};
use crate::ice::PlainPeer;
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
    ) -> Option<()> {
        let transport = self.transports.get_mut(ix)?;
        let agent = transport.link.agent()?;
        if transport.is_lost {
            return Some(());
        }
        let evicted = agent.add_tuple(now, tuple, nominated, priority);
        transport.on_authentic(now);
        if let Some(evicted) = evicted {
            self.tuples.remove(&evicted);
        }
        self.own_tuple(now, ix, tuple, sink);
        self.settle_ice(now, ix, sink);
        Some(())
    }

    /// The peer is at these addresses and nowhere else. Nothing authentic has come from there yet.
    pub(super) fn set_plain_peer(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        peer: PlainPeer,
        sink: &mut impl Sink,
    ) -> Option<()> {
        if self.transports.get(ix)?.is_lost {
            return Some(());
        }
        self.forget_tuples(ix);
        let transport = self.transports.get_mut(ix)?;
        transport.make_plain(peer);
        for tuple in [peer.rtp, peer.rtcp] {
            self.own_tuple(now, ix, tuple, sink);
        }
        self.settle_ice(now, ix, sink);
        Some(())
    }

    /// Maps the tuple to this transport, whoever had it before.
    fn own_tuple(&mut self, now: Micros, ix: Ix<TransportId>, tuple: Tuple, sink: &mut impl Sink) {
        let former = self.tuples.insert(tuple, ix).filter(|owner| *owner != ix);
        if let Some(former) = former {
            if let Some(owner) = self.transports.get_mut(former) {
                owner.link.remove(tuple);
            }
            self.settle_ice(now, former, sink);
        }
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
        while let Some(idle) = transport.link.poll_idle(now) {
            self.tuples.remove(&idle);
        }
        let selected = transport.link.poll_selected(now);
        if let Some(tuple) = selected {
            transport.pair_changes += 1;
            sink.event(Event::PairSelected {
                transport: transport.id,
                tuple,
            });
        }
        while let Some((len, tuple)) =
            transport
                .link
                .poll_challenge(now, &mut self.rng, sink.scratch())
        {
            transport.send_plain(now, len, tuple, sink);
        }
        transport.ice_deadline = transport.link.deadline();
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
        for tuple in transport.link.tuples() {
            transport.link.remove(tuple);
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
                transport.link.remove_socket(socket);
                transport.ice_deadline = Some(Micros(0));
                self.timers
                    .arm(&mut transport.alarm, Owner::Transport(ix), Micros(0));
            }
        }
    }
}
