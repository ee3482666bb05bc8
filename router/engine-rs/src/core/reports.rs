//! Reports to a peer (RFC 3550 section 6.4): sender reports of its slots, receiver reports on its streams, CNAME, the
//! cap on what it may send (REMB), and answers to its reference times (RFC 3611 section 4.5).

use super::arena::Ix;
use super::compound::Compound;
use super::timers::Owner;
use super::{Core, Sink};
use crate::ids::{Ssrc, TransportId};
use crate::time::Micros;
use crate::wire::rtcp::{
    Dlrr, NtpTime, ReportBlock, write_cname, write_dlrr, write_receiver_report, write_remb,
};
use arrayvec::ArrayVec;

/// Time between reports of one peer while media flows.
pub const REPORT_INTERVAL: Micros = Micros::from_millis(1_000);
/// Report blocks of one message (its count field has five bits).
const MAX_BLOCKS: usize = 31;
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
    reference: Option<ReferenceTime>,
    limit_bps: Option<u64>,
}

impl Reports {
    /// Nothing to report yet.
    pub fn new(ssrc: Ssrc) -> Self {
        Self {
            ssrc,
            next: None,
            reference: None,
            limit_bps: None,
        }
    }

    /// Media flows: a report is due within the interval. True when the timer must be set.
    #[inline]
    pub fn on_media(&mut self, now: Micros) -> bool {
        if self.next.is_some() {
            return false;
        }
        self.next = Some(now + REPORT_INTERVAL);
        true
    }

    /// When the next report is due.
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
        self.next = Some(now);
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
    /// Sends what is due to a peer; the next report follows only if media flowed since.
    pub(super) fn report(&mut self, now: Micros, ix: Ix<TransportId>, sink: &mut impl Sink) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        if transport.reports.next.is_none_or(|at| at > now) {
            return;
        }
        transport.reports.next = None;
        let mut compound = Compound::new();
        let senders = self.write_sender_reports(now, ix, &mut compound, sink);
        let blocks = self.take_report_blocks(now, ix);
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        let own = transport.reports.ssrc;
        // The first message of a compound packet is a report, be it an empty one.
        for blocks in blocks.chunks(MAX_BLOCKS) {
            if !compound.push(|buffer| write_receiver_report(buffer, own, blocks)) {
                compound.flush(now, transport, sink, &mut self.totals);
                compound.push(|buffer| write_receiver_report(buffer, own, blocks));
            }
        }
        if senders == 0 && blocks.is_empty() {
            compound.push(|buffer| write_receiver_report(buffer, own, &[]));
        }
        compound.push(|buffer| write_cname(buffer, &[own], &transport.cname));
        if let Some(limit) = transport.reports.limit_bps {
            let streams: ArrayVec<Ssrc, 64> =
                blocks.iter().map(|block| block.ssrc).take(64).collect();
            compound.push(|buffer| write_remb(buffer, own, limit, &streams));
        }
        if let Some(answer) = transport.reports.take_answer(now) {
            compound.push(|buffer| write_dlrr(buffer, own, &[answer]));
        }
        compound.flush(now, transport, sink, &mut self.totals);
        if senders > 0 || blocks.iter().any(|_| true) {
            self.note_media(now, ix);
        }
    }

    /// Media flows to or from this peer.
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

    /// Blocks on the streams of the peer that flow; also tells them the round trip.
    fn take_report_blocks(&mut self, now: Micros, ix: Ix<TransportId>) -> Vec<ReportBlock> {
        let Some(transport) = self.transports.get(ix) else {
            return Vec::new();
        };
        let round_trip = transport.agent.round_trip();
        let mut blocks = Vec::new();
        for producer in &transport.producers {
            let Some(producer) = self.producers.get_mut(*producer) else {
                continue;
            };
            for stream in &mut producer.streams {
                if let Some(round_trip) = round_trip {
                    stream.set_rtt(round_trip);
                }
                if stream
                    .last_packet()
                    .is_some_and(|last| now - last <= REPORT_INTERVAL + REPORT_INTERVAL)
                {
                    blocks.extend(stream.report(now));
                }
            }
        }
        blocks
    }
}
