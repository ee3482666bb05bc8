//! From a producer to the slots that show it or wait for it, and again what their receivers lost. The hot path: indices,
//! no hashing, no allocation; the packet is rewritten straight into the sink's scratch space and encrypted there.

use super::arena::{Arena, Ix};
use super::pending::{Outbound, Received, even_sizes};
use super::producer::find_stream;
use super::sink::Class;
use super::slots::SlotEntry;
use super::timers::Owner;
use super::transport::{Outgoing, Transport};
use super::{Core, Event, Sink};
use crate::ids::{ProducerId, SlotId, TransportId};
use crate::media::MediaKind;
use crate::time::Micros;
use crate::wire::DropReason;
use crate::wire::rtcp::{Fir, Nack, Pli, ReportBlocks};

/// Bytes of a libsrtp context that are fetched ahead: the context itself, and what it allocates with it.
const SRTP_STATE: usize = 64;
/// Packets of one NACK message that are looked at; more is no honest loss.
const MAX_NACKED: usize = 1_000;

impl Core {
    /// Sends what was taken in to everyone who watches its encoding, or waited for it to begin.
    pub(super) fn on_forward(
        &mut self,
        now: Micros,
        received: &impl Received,
        sink: &mut impl Sink,
    ) {
        if self.pending.is_empty() {
            return;
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.drain(received, |producer, pass| {
            self.forward_pass(now, producer, pass, sink);
        });
        self.pending = pending;
        self.current = None;
    }

    /// Packets of one producer to all its slots: all packets for one, then for the next.
    fn forward_pass(
        &mut self,
        now: Micros,
        producer: Ix<ProducerId>,
        pass: &mut [Outbound],
        sink: &mut impl Sink,
    ) {
        let Self {
            producers,
            slots,
            transports,
            timers,
            totals,
            current,
            changed,
            ..
        } = self;
        let Some(producer) = producers.get_mut(producer) else {
            return;
        };
        let kind = producer.config.kind;
        if kind == MediaKind::Video {
            even_sizes(pass);
        }
        for Outbound { from, packet } in &*pass {
            if let Some(stream) = producer.stream(from.encoding) {
                stream.on_forward(packet);
            }
        }
        let route = producer.take_turn();
        let route = route
            .into_iter()
            .flat_map(|part| (0..part.len()).map(|at| &part[at..]));
        for rest in route {
            fetch_ahead(rest, slots, transports, sink);
            let slot = &rest[0];
            let Some(entry) = slots.get_mut(*slot) else {
                continue;
            };
            let Some(transport) = transports.get_mut(entry.transport) else {
                continue;
            };
            let Some(to) = transport.media_outlet(now) else {
                continue;
            };
            *current = Some(transport.id);
            let mut is_sent = false;
            for Outbound { from, packet } in &*pass {
                if let Some(len) = entry.slot.on_packet(*from, packet, sink.scratch()) {
                    let outgoing = Outgoing::media(len, Class::of(kind, packet));
                    transport.send_rtp(now, to, (outgoing, false), sink, totals);
                    is_sent = true;
                }
            }
            if is_sent
                && kind == MediaKind::Video
                && let Some(waited) = transport.first_frame.on_sent(now)
            {
                let transport = transport.id;
                sink.event(Event::FirstFrame { transport, waited });
            }
            if let Some(at) = transport.take_restless() {
                timers.arm(&mut transport.alarm, Owner::Transport(entry.transport), at);
            }
            if entry.has_changed() {
                changed.push(*slot);
            }
            if let Some(at) = entry.slot.report_deadline()
                && transport.reports.schedule(at)
            {
                timers.arm(&mut transport.alarm, Owner::Transport(entry.transport), at);
            }
        }
        self.leave_former_routes();
    }

    /// Sends lost packets again, within the slot's budget.
    pub(super) fn on_nack(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        nack: &Nack,
        sink: &mut impl Sink,
    ) {
        self.totals.received_feedback.nack += 1;
        let Some(slot) = self.own_slot(ix, nack.media) else {
            return self.drop_of(ix, DropReason::RtcpForeignFeedback);
        };
        let Self {
            producers,
            slots,
            transports,
            totals,
            ..
        } = self;
        let (Some(entry), Some(transport)) = (slots.get_mut(slot), transports.get_mut(ix)) else {
            return;
        };
        entry.slot.on_nack();
        let Some(to) = transport.media_outlet(now) else {
            return;
        };
        let class = match entry.slot.config().kind {
            MediaKind::Audio => Class::Audio,
            MediaKind::Video => Class::Video,
        };
        for seq in nack.lost().take(MAX_NACKED) {
            let stream = |producer, encoding| find_stream(producers, producer, encoding);
            match entry.slot.repair(seq, now, stream, sink.scratch()) {
                Ok(len) => {
                    let outgoing = Outgoing::media(len, class);
                    transport.send_rtp(now, to, (outgoing, true), sink, totals);
                    totals.retransmitted += 1;
                }
                Err(reason) => transport.drop_packet(reason, totals),
            }
        }
        self.arm_transport(ix);
    }

    pub(super) fn on_pli(&mut self, now: Micros, ix: Ix<TransportId>, pli: Pli) {
        self.totals.received_feedback.pli += 1;
        let Some(slot) = self.own_slot(ix, pli.media) else {
            return self.drop_of(ix, DropReason::RtcpForeignFeedback);
        };
        let encoding = self
            .slots
            .get_mut(slot)
            .and_then(|entry| entry.slot.on_pli(now));
        self.ask_for_key_frame(now, slot, encoding);
    }

    pub(super) fn on_fir(&mut self, now: Micros, ix: Ix<TransportId>, fir: &Fir) {
        self.totals.received_feedback.fir += 1;
        for request in fir.entries() {
            let Some(slot) = self.own_slot(ix, request.media) else {
                self.drop_of(ix, DropReason::RtcpForeignFeedback);
                continue;
            };
            let encoding = self
                .slots
                .get_mut(slot)
                .and_then(|entry| entry.slot.on_fir());
            self.ask_for_key_frame(now, slot, encoding);
        }
    }

    /// A receiver needs a key frame of what its slot shows.
    fn ask_for_key_frame(&mut self, now: Micros, slot: Ix<SlotId>, encoding: Option<u8>) {
        let producer = self.slots.get(slot).and_then(SlotEntry::current);
        let (Some(ix), Some(encoding)) = (producer, encoding) else {
            return;
        };
        let producer = self.producers.get_mut(ix);
        if let Some(stream) = producer.and_then(|producer| producer.stream(encoding)) {
            stream.request_key_frame(now);
            self.arm_producer(ix);
        }
    }

    /// What a receiver says of its slots.
    pub(super) fn on_report_blocks(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        blocks: ReportBlocks,
    ) {
        for block in blocks.iter() {
            let slot = self.own_slot(ix, block.ssrc);
            if let Some(entry) = slot.and_then(|slot| self.slots.get_mut(slot)) {
                let round_trip = entry.slot.on_report(&block, now);
                if entry.slot.config().kind == MediaKind::Video
                    && let Some(bandwidth) = self.bandwidth_of(ix)
                {
                    bandwidth.on_report(f64::from(block.fraction_lost) / 256.0, round_trip, now);
                }
            } else if !self.is_own_rtx(ix, block.ssrc) {
                self.drop_of(ix, DropReason::RtcpForeignFeedback);
            }
        }
    }
}

/// Has the state of the next receivers brought near while the first of the route is served: what a pointer leads to only
/// when the pointer has come.
#[inline]
fn fetch_ahead(
    route: &[Ix<SlotId>],
    slots: &Arena<SlotId, SlotEntry>,
    transports: &Arena<TransportId, Transport>,
    sink: &impl Sink,
) {
    if let Some(place) = route.get(3).and_then(|ix| slots.place(*ix)) {
        sink.prefetch(start_of(place), SlotEntry::HOT);
    }
    if let Some(entry) = route.get(2).and_then(|ix| slots.get(*ix)) {
        entry
            .slot
            .fetch_ahead(|source| sink.prefetch(start_of(source), size_of_val(source)));
        if let Some(place) = transports.place(entry.transport) {
            sink.prefetch(start_of(place), size_of::<Transport>());
        }
    }
    let next = route.get(1).and_then(|ix| slots.get(*ix));
    if let Some(transport) = next.and_then(|entry| transports.get(entry.transport))
        && let Some(srtp) = transport.srtp.as_deref()
    {
        sink.prefetch(start_of(srtp), size_of_val(srtp));
        sink.prefetch(
            std::ptr::without_provenance(transport.srtp_place),
            SRTP_STATE,
        );
    }
}

fn start_of<T: ?Sized>(value: &T) -> *const u8 {
    std::ptr::from_ref(value).cast()
}
