//! What leaves to a peer besides what is forwarded at once: packets that waited for its link, and padding for probes.

use super::arena::Ix;
use super::bandwidth::Bandwidth;
use super::producer::find_stream;
use super::transport::Outgoing;
use super::{Core, Sink};
use crate::ids::TransportId;
use crate::time::Micros;
use crate::wire::DropReason;

/// Most packets of one burst of a probe, whatever their size.
const MAX_BURST: u16 = 256;

impl Core {
    pub(super) fn bandwidth_of(&mut self, ix: Ix<TransportId>) -> Option<&mut Bandwidth> {
        self.transports.get_mut(ix)?.bandwidth.as_deref_mut()
    }

    /// Sends what has waited long enough.
    pub(super) fn release_waiting(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        sink: &mut impl Sink,
    ) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        let outlet = transport.media_outlet(now);
        loop {
            let Some(bandwidth) = transport.bandwidth.as_deref_mut() else {
                return;
            };
            let Some(released) = bandwidth.release(sink.scratch(), now) else {
                break;
            };
            match outlet {
                Some(to) => {
                    let outgoing = Outgoing::media(released.len, released.class);
                    transport.send_out(now, to, outgoing, sink, &mut self.totals);
                }
                None => transport.drop_packet(DropReason::NoSelectedTuple, &mut self.totals),
            }
        }
        let bandwidth = transport.bandwidth.as_deref_mut();
        for _ in 0..bandwidth.map_or(0, Bandwidth::take_stale) {
            transport.drop_packet(DropReason::PacerStale, &mut self.totals);
        }
    }

    /// Sends the padding that a probe wants now, on the slots of the peer in turn.
    pub(super) fn send_probe(&mut self, now: Micros, ix: Ix<TransportId>, sink: &mut impl Sink) {
        let Self {
            producers,
            slots,
            transports,
            totals,
            ..
        } = self;
        let Some(transport) = transports.get_mut(ix) else {
            return;
        };
        let bandwidth = transport.bandwidth.as_deref_mut();
        let Some(probe) = bandwidth.and_then(|it| it.poll_probe(now)) else {
            return;
        };
        let Some(to) = transport.media_outlet(now) else {
            return;
        };
        let mut left = probe.bytes;
        for at in 0..transport.slots.len() {
            let Some(entry) = slots.get_mut(transport.slots[at]) else {
                continue;
            };
            for nth in 0..MAX_BURST {
                if left == 0 {
                    return;
                }
                let stream = |producer, encoding| find_stream(producers, producer, encoding);
                let written = entry
                    .slot
                    .write_probe((nth, left), now, stream, sink.scratch());
                let Some(len) = written else { break };
                let outgoing = Outgoing::padding(len, probe.cluster);
                transport.send_out(now, to, outgoing, sink, totals);
                left = left.saturating_sub(len);
            }
        }
    }
}
