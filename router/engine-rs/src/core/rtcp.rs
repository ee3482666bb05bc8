//! RTCP from peers: reports, requests and goodbyes, each only about streams that are the sender's business.
//!
//! A peer may report on and ask for its own slots, and report on and end its own streams. Anything else is counted as
//! foreign and ignored (`threats-and-faults.md` R1, R5).

use super::arena::Ix;
use super::mirror::MirrorMessage;
use super::{Core, Sink};
use crate::ids::{SlotId, Ssrc, TransportId};
use crate::time::Micros;
use crate::wire::DropReason;
use crate::wire::rtcp::{Bye, ExtendedReport, RtcpMessage, SenderReport, XrBlock, messages};

impl Core {
    pub(super) fn on_rtcp(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        data: &[u8],
        sink: &mut impl Sink,
    ) {
        for message in messages(data) {
            let Ok(message) = message else {
                self.drop_of(ix, DropReason::RtcpMalformed);
                continue;
            };
            match message {
                RtcpMessage::SenderReport(report) => self.on_sender_report(now, ix, &report),
                RtcpMessage::ReceiverReport(report) => {
                    self.on_report_blocks(now, ix, report.blocks);
                }
                RtcpMessage::Nack(nack) => self.on_nack(now, ix, &nack, sink),
                RtcpMessage::Pli(pli) => self.on_pli(now, ix, pli),
                RtcpMessage::Fir(fir) => self.on_fir(now, ix, &fir),
                RtcpMessage::Bye(bye) => self.on_bye(ix, &bye, sink),
                RtcpMessage::ExtendedReport(report) => self.on_extended_report(now, ix, &report),
                RtcpMessage::Remb(_) | RtcpMessage::TransportCc(_) | RtcpMessage::Ccfb(_) => {
                    self.on_path_feedback(now, ix, &message);
                }
                // CNAMEs of peers are not needed.
                RtcpMessage::Sdes(_) | RtcpMessage::Unknown { .. } => {}
            }
        }
        self.arm_restless(ix);
    }

    /// What a peer says of the path to it.
    fn on_path_feedback(&mut self, now: Micros, ix: Ix<TransportId>, message: &RtcpMessage) {
        let Some(bandwidth) = self.bandwidth_of(ix) else {
            return;
        };
        match message {
            RtcpMessage::Remb(remb) => bandwidth.on_remb(remb.bitrate_bps, now),
            RtcpMessage::TransportCc(feedback) => bandwidth.on_transport_cc(feedback, now),
            RtcpMessage::Ccfb(feedback) => bandwidth.on_ccfb(feedback, now),
            _ => {}
        }
    }

    fn arm_restless(&mut self, ix: Ix<TransportId>) {
        let transport = self.transports.get_mut(ix);
        if transport.is_some_and(|transport| transport.take_restless().is_some()) {
            self.arm_transport(ix);
        }
    }

    fn on_sender_report(&mut self, now: Micros, ix: Ix<TransportId>, report: &SenderReport) {
        self.on_report_blocks(now, ix, report.blocks);
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        let info = report.info;
        let Some(stream) = transport.streams.find(info.ssrc) else {
            return transport.drop_packet(DropReason::RtcpForeignFeedback, &mut self.totals);
        };
        if stream.is_rtx {
            return;
        }
        let anchor = transport
            .clock
            .on_sender_report(info.ntp.0, info.rtp_timestamp, now);
        let producer = self.producers.get_mut(stream.producer);
        let Some(producer) = producer else { return };
        let id = producer.config.id;
        if let Some(encoding) = producer.stream(stream.encoding) {
            encoding.on_sender_report(info.ntp.0, anchor, now);
        }
        let (producer, encoding) = (id, stream.encoding);
        let anchored = MirrorMessage::Anchored {
            producer,
            encoding,
            anchor,
        };
        self.tell_watchers(stream.producer, anchored);
    }

    fn on_bye(&mut self, ix: Ix<TransportId>, bye: &Bye, sink: &mut impl Sink) {
        for ssrc in bye.ssrcs() {
            let Some(transport) = self.transports.get_mut(ix) else {
                return;
            };
            // A peer's own RTCP source may leave too, so an unknown SSRC is not foreign here.
            let Some(stream) = transport.streams.find(ssrc).filter(|stream| !stream.is_rtx) else {
                continue;
            };
            let producer = self.producers.get_mut(stream.producer);
            let Some(producer) = producer else { continue };
            let (id, encoding) = (producer.config.id, stream.encoding);
            let ended = producer.on_bye(encoding);
            let producer = id;
            self.tell_watchers(stream.producer, MirrorMessage::Bye { producer, encoding });
            if let Some(event) = ended {
                sink.event(event);
                self.quiet_speaker(stream.producer);
            }
        }
    }

    fn on_extended_report(&mut self, now: Micros, ix: Ix<TransportId>, report: &ExtendedReport) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        for block in report.blocks() {
            if let XrBlock::ReceiverReferenceTime(ntp) = block {
                transport.reports.on_reference_time(report.ssrc, ntp, now);
            }
        }
    }

    /// The slot of this peer that sends an SSRC.
    pub(super) fn own_slot(&self, ix: Ix<TransportId>, ssrc: Ssrc) -> Option<Ix<SlotId>> {
        let sends = |slot: &Ix<SlotId>| {
            self.slots
                .get(*slot)
                .is_some_and(|entry| entry.slot.ssrc() == ssrc)
        };
        self.transports.get(ix)?.slots.iter().copied().find(sends)
    }

    /// Browsers report on the RTX stream of a slot too, and on what repeats its SSRC.
    pub(super) fn is_own_rtx(&self, ix: Ix<TransportId>, ssrc: Ssrc) -> bool {
        let Some(transport) = self.transports.get(ix) else {
            return false;
        };
        let mut slots = transport
            .slots
            .iter()
            .filter_map(|slot| self.slots.get(*slot));
        slots.any(|entry| entry.slot.config().rtx_ssrc == Some(ssrc))
    }
}
