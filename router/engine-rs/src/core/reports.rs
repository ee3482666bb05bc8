//! Reports to a peer (RFC 3550 section 6.4): sender reports of its slots, receiver reports on its streams, CNAME, the
//! cap on what it may send (REMB), and answers to its reference times (RFC 3611 section 4.5).

use super::arena::Ix;
use super::compound::Compound;
use super::streams::MAX_SSRCS;
use super::timers::Owner;
use super::{Core, Sink};
use crate::ids::{Ssrc, TransportId};
use crate::time::Micros;
use crate::wire::rtcp::{
    Dlrr, NtpTime, ReportBlock, write_cname, write_dlrr, write_receiver_report, write_remb,
    write_sender_report,
};
use arrayvec::ArrayVec;

/// Time between reports of one peer while media flows.
pub const REPORT_INTERVAL: Micros = Micros::from_millis(1_000);
/// Reports are never closer than this.
const MIN_INTERVAL: Micros = Micros::from_millis(10);
/// Report blocks of one message (its count field has five bits).
const MAX_BLOCKS: usize = 31;
/// Sender reports of one packet: with their CNAMEs they fit. What else is due follows after [`MIN_INTERVAL`].
const MAX_SENDER_REPORTS: usize = 12;
/// What is told to a peer whose cap was lifted.
const UNLIMITED_BPS: u64 = 10_000_000_000;

/// A peer's clock, as its last extended report told it.
#[derive(Clone, Copy, Debug)]
struct ReferenceTime {
    ssrc: Ssrc,
    middle: u32,
    at: Micros,
}

/// When and as whom we report to one peer.
pub struct Reports {
    /// The source of our RTCP, which sends no media.
    pub ssrc: Ssrc,
    next: Option<Micros>,
    receiver_report: Option<Micros>,
    reference: Option<ReferenceTime>,
    limit_bps: Option<u64>,
    limit_changed: bool,
}

impl Reports {
    /// Nothing to report yet.
    pub fn new(ssrc: Ssrc) -> Self {
        Self {
            ssrc,
            next: None,
            receiver_report: None,
            reference: None,
            limit_bps: None,
            limit_changed: false,
        }
    }

    /// A report is due at `at`. True when that is earlier than known, so the timer must be set.
    #[inline]
    pub fn schedule(&mut self, at: Micros) -> bool {
        let earlier = self.next.is_none_or(|next| at < next);
        if earlier {
            self.next = Some(at);
        }
        earlier
    }

    /// The peer sends media: a receiver report is due within the interval. True when the timer must be set.
    #[inline]
    pub fn on_media(&mut self, now: Micros) -> bool {
        if self.receiver_report.is_some() {
            return false;
        }
        let at = now + REPORT_INTERVAL;
        self.receiver_report = Some(at);
        self.schedule(at)
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Micros> {
        self.next
    }

    /// The peer told its clock.
    pub fn on_reference_time(&mut self, ssrc: Ssrc, ntp: NtpTime, at: Micros) {
        self.reference = Some(ReferenceTime {
            ssrc,
            middle: ntp.middle(),
            at,
        });
    }

    /// Caps what the peer may send, or lifts the cap; it is told at once.
    pub fn set_limit(&mut self, now: Micros, limit_bps: Option<u64>) {
        self.limit_bps = limit_bps.or(self.limit_bps.and(Some(UNLIMITED_BPS)));
        self.limit_changed = true;
        self.schedule(now);
    }

    /// What is due: receiver reports, and whether to tell the cap.
    fn take_due(&mut self, now: Micros) -> Option<(bool, bool)> {
        if self.next.is_none_or(|at| at > now) {
            return None;
        }
        let receiver_report = self.receiver_report.is_some_and(|at| at <= now);
        if receiver_report {
            self.receiver_report = None;
        }
        let limit = std::mem::take(&mut self.limit_changed) || receiver_report;
        self.next = self.receiver_report;
        Some((receiver_report, limit))
    }

    fn take_answer(&mut self, now: Micros) -> Option<Dlrr> {
        let reference = self.reference.take()?;
        let delay = u128::from((now - reference.at).0) * 65_536 / 1_000_000;
        let delay_since_last_rr = u32::try_from(delay).unwrap_or(u32::MAX);
        Some(Dlrr {
            ssrc: reference.ssrc,
            last_rr: reference.middle,
            delay_since_last_rr,
        })
    }
}

impl Core {
    /// Sends the reports that are due to a peer. While media flows, others follow.
    pub(super) fn report(&mut self, now: Micros, ix: Ix<TransportId>, sink: &mut impl Sink) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        let Some((receiver_report, limit)) = transport.reports.take_due(now) else {
            return;
        };
        let mut compound = Compound::new();
        let mut names = self.write_sender_reports(now, ix, &mut compound);
        let blocks = if receiver_report {
            self.take_report_blocks(now, ix)
        } else {
            ArrayVec::new()
        };
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        let own = transport.reports.ssrc;
        // The first message of a compound packet is a report, be it an empty one.
        let empty = names.is_empty() && blocks.is_empty();
        for blocks in blocks.chunks(MAX_BLOCKS).chain(empty.then_some(&[][..])) {
            if !compound.push(|buffer| write_receiver_report(buffer, own, blocks)) {
                compound.flush(now, transport, sink, &mut self.totals);
                compound.push(|buffer| write_receiver_report(buffer, own, blocks));
            }
        }
        if empty || !blocks.is_empty() {
            let _ = names.try_push(own);
        }
        compound.push(|buffer| write_cname(buffer, &names, &transport.cname));
        if let Some(limit_bps) = transport.reports.limit_bps.filter(|_| limit) {
            let streams: ArrayVec<Ssrc, MAX_BLOCKS> = blocks
                .iter()
                .map(|block| block.ssrc)
                .take(MAX_BLOCKS)
                .collect();
            compound.push(|buffer| write_remb(buffer, own, limit_bps, &streams));
        }
        if let Some(answer) = transport.reports.take_answer(now) {
            compound.push(|buffer| write_dlrr(buffer, own, &[answer]));
        }
        compound.flush(now, transport, sink, &mut self.totals);
        if !blocks.is_empty() {
            transport.reports.on_media(now);
        }
        self.schedule_sender_reports(now, ix);
    }

    /// The peer sends media.
    #[inline]
    pub(super) fn note_media(&mut self, now: Micros, ix: Ix<TransportId>) {
        if let Some(transport) = self.transports.get_mut(ix)
            && transport.reports.on_media(now)
        {
            let at = now + REPORT_INTERVAL;
            self.timers
                .arm(&mut transport.alarm, Owner::Transport(ix), at);
        }
    }

    /// Writes sender reports that are due, beginning the packet; the SSRCs they are about.
    fn write_sender_reports(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        compound: &mut Compound,
    ) -> ArrayVec<Ssrc, { MAX_SENDER_REPORTS + 1 }> {
        let mut names = ArrayVec::new();
        let Some(transport) = self.transports.get_mut(ix) else {
            return names;
        };
        for index in 0..transport.slots.len() {
            if names.len() == MAX_SENDER_REPORTS {
                break;
            }
            let Some(entry) = self.slots.get_mut(transport.slots[index]) else {
                continue;
            };
            let producer = entry
                .current()
                .and_then(|producer| self.producers.get_mut(producer));
            let stream = producer.zip(entry.slot.encoding());
            let anchor =
                stream.and_then(|(producer, encoding)| producer.stream(encoding)?.anchor());
            let Some(info) = entry.slot.poll_report(now, self.wall_offset, anchor) else {
                continue;
            };
            if compound.push(|buffer| write_sender_report(buffer, &info, &[])) {
                names.push(info.ssrc);
            }
        }
        names
    }

    fn schedule_sender_reports(&mut self, now: Micros, ix: Ix<TransportId>) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        let slots = transport
            .slots
            .iter()
            .filter_map(|slot| self.slots.get(*slot));
        if let Some(at) = slots.filter_map(|entry| entry.slot.report_deadline()).min() {
            transport.reports.schedule(at.max(now + MIN_INTERVAL));
        }
    }

    /// Blocks on the streams of the peer that flow; also tells them the round trip.
    fn take_report_blocks(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
    ) -> ArrayVec<ReportBlock, MAX_SSRCS> {
        let mut blocks = ArrayVec::new();
        let Some(transport) = self.transports.get(ix) else {
            return blocks;
        };
        let round_trip = transport.link.round_trip();
        let recent = |at: Micros| now - at <= REPORT_INTERVAL + REPORT_INTERVAL;
        for producer in &transport.producers {
            let Some(producer) = self.producers.get_mut(*producer) else {
                continue;
            };
            for stream in &mut producer.streams {
                if let Some(round_trip) = round_trip {
                    stream.set_rtt(round_trip);
                }
                if stream.last_packet().is_some_and(recent)
                    && let Some(block) = stream.report(now)
                {
                    let _ = blocks.try_push(block);
                }
            }
        }
        blocks
    }
}
