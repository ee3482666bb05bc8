//! Slots: made, assigned, limited, emptied and removed.

use super::arena::Ix;
use super::command::{Limits, SlotConfig};
use super::compound::Compound;
use super::streams::Stream;
use super::{Core, Sink};
use crate::ids::{ProducerId, SlotId, Ssrc, TransportId};
use crate::recv::MediaPacket;
use crate::time::Micros;
use crate::wire::rtcp::{Fir, Nack, Pli, ReportBlocks, write_bye, write_receiver_report};

/// A sending m-line of one peer.
pub struct SlotEntry {
    /// The peer it leaves to.
    pub transport: Ix<TransportId>,
    /// What it is assigned.
    pub producer: Option<Ix<ProducerId>>,
    /// Its id.
    pub id: SlotId,
    /// Its SSRC for life.
    pub ssrc: Ssrc,
    config: SlotConfig,
}

impl SlotEntry {
    /// Snapshot.
    pub fn stats(&mut self, _now: Micros) -> super::stats::SlotStats {
        super::stats::SlotStats {
            id: self.id,
            kind: self.config.kind,
            mid: self.config.mid,
            ssrc: self.ssrc,
            rtx_ssrc: self.config.rtx_ssrc,
            producer: None,
            encoding: None,
            reason: "forwarding is being built",
            codec: None,
            payload_type: None,
            packets_sent: 0,
            bytes_sent: 0,
            header_bytes_sent: 0,
            retransmitted_packets_sent: 0,
            retransmitted_bytes_sent: 0,
            nack_count: 0,
            pli_count: 0,
            fir_count: 0,
            bitrate_bps: 0,
            packets_lost: 0,
            fraction_lost: 0.0,
            jitter_s: 0.0,
            round_trip_time_s: None,
        }
    }
}

impl Core {
    pub(super) fn add_slot(&mut self, config: SlotConfig) -> Option<()> {
        let (transport, peer) = self.name_transport(config.transport)?;
        if peer.is_lost {
            return None;
        }
        let (id, ssrc) = (config.id, config.ssrc);
        let entry = SlotEntry {
            transport,
            producer: None,
            id,
            ssrc,
            config,
        };
        let ix = self.slots.insert(id, entry)?;
        self.transports.get_mut(transport)?.slots.push(ix);
        Some(())
    }

    pub(super) fn assign(
        &mut self,
        now: Micros,
        id: SlotId,
        producer: Option<ProducerId>,
    ) -> Option<()> {
        let ix = self.slots.find(id)?;
        self.leave_route(ix);
        self.empty_slot(now, ix);
        let Some(producer) = producer else {
            return Some(());
        };
        let producer_ix = self.producers.find(producer)?;
        self.producers.get_mut(producer_ix)?.route.push(ix);
        self.slots.get_mut(ix)?.producer = Some(producer_ix);
        Some(())
    }

    /// Takes a slot out of its producer's route.
    fn leave_route(&mut self, ix: Ix<SlotId>) {
        let producer = self.slots.get(ix).and_then(|slot| slot.producer);
        if let Some(producer) = producer.and_then(|producer| self.producers.get_mut(producer)) {
            producer.route.retain(|slot| *slot != ix);
        }
    }

    /// A slot shows nothing from now on.
    pub(super) fn empty_slot(&mut self, now: Micros, ix: Ix<SlotId>) {
        let _ = now;
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.producer = None;
        }
    }

    pub(super) fn set_limits(&mut self, now: Micros, id: SlotId, limits: Limits) -> Option<()> {
        let _ = (now, limits);
        self.slots.find(id)?;
        Some(())
    }

    pub(super) fn remove_slot(
        &mut self,
        now: Micros,
        id: SlotId,
        sink: &mut impl Sink,
    ) -> Option<()> {
        let ix = self.slots.find(id)?;
        let slot = self.slots.get(ix)?;
        let (owner, ssrc) = (slot.transport, slot.ssrc);
        self.send_bye(now, owner, &[ssrc], sink);
        self.drop_slot(now, ix);
        if let Some(transport) = self.transports.get_mut(owner) {
            transport.slots.retain(|slot| *slot != ix);
        }
        Some(())
    }

    /// Removes a slot from everything but its transport's list.
    pub(super) fn drop_slot(&mut self, now: Micros, ix: Ix<SlotId>) {
        self.leave_route(ix);
        self.empty_slot(now, ix);
        if let Some(id) = self.slots.get(ix).map(|slot| slot.id) {
            self.slots.remove(id);
        }
    }

    /// BYE for all slots of a peer.
    pub(super) fn say_goodbye(&mut self, now: Micros, ix: Ix<TransportId>, sink: &mut impl Sink) {
        let Some(transport) = self.transports.get(ix) else {
            return;
        };
        let slots = transport
            .slots
            .iter()
            .filter_map(|slot| self.slots.get(*slot));
        let ssrcs: Vec<Ssrc> = slots.map(|slot| slot.ssrc).collect();
        self.send_bye(now, ix, &ssrcs, sink);
    }

    fn send_bye(&mut self, now: Micros, ix: Ix<TransportId>, ssrcs: &[Ssrc], sink: &mut impl Sink) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        let own = transport.reports.ssrc;
        for ssrcs in ssrcs.chunks(crate::wire::rtcp::MAX_COUNT) {
            let mut compound = Compound::new();
            compound.push(|buffer| write_receiver_report(buffer, own, &[]));
            compound.push(|buffer| write_bye(buffer, ssrcs));
            compound.flush(now, transport, sink, &mut self.totals);
        }
    }

    pub(super) fn forward(
        &mut self,
        now: Micros,
        stream: Stream,
        packet: &MediaPacket,
        sink: &mut impl Sink,
    ) {
        let _ = (now, stream, packet, &sink, self.totals.retransmitted);
    }
    pub(super) fn pause_producer(
        &mut self,
        now: Micros,
        id: ProducerId,
        paused: bool,
    ) -> Option<()> {
        let _ = now;
        let ix = self.producers.find(id)?;
        self.producers.get_mut(ix)?.paused = paused;
        Some(())
    }
    pub(super) fn write_sender_reports(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        compound: &mut Compound,
        sink: &mut impl Sink,
    ) -> usize {
        let _ = (now, ix, compound, &sink, self.totals.retransmitted);
        0
    }
    pub(super) fn on_report_blocks(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        blocks: ReportBlocks,
    ) {
        let _ = (now, ix, blocks, self.totals.retransmitted);
    }
    pub(super) fn on_nack(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        nack: &Nack,
        sink: &mut impl Sink,
    ) {
        let _ = (now, ix, nack, &sink, self.totals.retransmitted);
    }
    pub(super) fn on_pli(&mut self, now: Micros, ix: Ix<TransportId>, pli: Pli) {
        let _ = (now, ix, pli, self.totals.retransmitted);
    }
    pub(super) fn on_fir(&mut self, now: Micros, ix: Ix<TransportId>, fir: &Fir) {
        let _ = (now, ix, fir, self.totals.retransmitted);
    }
}
