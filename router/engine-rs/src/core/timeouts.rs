//! Doing what is due.

use super::arena::Ix;
use super::timers::Owner;
use super::{Core, Sink};
use crate::ids::TransportId;
use crate::time::Micros;

impl Core {
    pub(super) fn on_timeout(&mut self, now: Micros, sink: &mut impl Sink) {
        while let Some((at, owner)) = self.timers.poll_due(now) {
            match owner {
                Owner::Transport(ix) => self.wake_transport(now, at, ix, sink),
                Owner::Producer(ix) => self.wake_producer(now, at, ix, sink),
                Owner::Speakers(ix) => self.wake_speakers(now, at, ix, sink),
                Owner::Census => self.wake_census(now, at),
            }
        }
        self.current = None;
    }

    fn wake_transport(
        &mut self,
        now: Micros,
        at: Micros,
        ix: Ix<TransportId>,
        sink: &mut impl Sink,
    ) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        if !transport.alarm.take(at) {
            return;
        }
        self.current = Some(transport.id);
        let ice_is_due = transport.ice_deadline.is_some_and(|at| at <= now);
        let arrivals_are_due = transport.arrivals.deadline().is_some_and(|at| at <= now);
        let link_is_due = transport.bandwidth.as_ref();
        let link_is_due = link_is_due.is_some_and(|bandwidth| bandwidth.deadline() <= now);
        if self.expire(now, ix, sink) {
            return;
        }
        self.report(now, ix, sink);
        if arrivals_are_due {
            self.report_arrivals(now, ix, sink);
        }
        if link_is_due {
            self.serve_bandwidth(now, ix, sink);
        }
        if ice_is_due {
            self.settle_ice(now, ix, sink);
        } else {
            self.arm_transport(ix);
        }
    }
}
