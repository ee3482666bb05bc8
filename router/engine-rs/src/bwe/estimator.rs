//! The estimator of one receiver: takes what was sent and what is said of it, asks the parts, and gives the least of what
//! they allow.

use super::aimd::Aimd;
use super::arrivals::Arrivals;
use super::budget::FeedbackBudget;
use super::drain::{Drain, Progress};
use super::feedback::{ReferenceClock, ReportClock, before_report_us};
use super::loss::LossControl;
use super::outage::Outage;
use super::overuse::Usage;
use super::probe::{Probe, ProbeCluster, ProbeControl, Situation};
use super::reports::Reports;
use super::rtp_names::{Blocks, MAX_BLOCKS, RtpNames};
use super::sent::{SentPacket, SentPackets, Told};
use super::sent_rate::SentRate;
use super::snapshot::{Counters, Limit, Snapshot};
use crate::ids::Ssrc;
use crate::time::Micros;
use crate::wire::rtcp::{Ccfb, TransportCc};

/// No estimate is lower: audio goes on whatever a receiver says.
pub const MIN_BPS: u64 = 30_000;
/// No estimate is higher, whatever a receiver says; what one may be sent at all is limited elsewhere, at 128 Mbit/s.
pub const MAX_BPS: u64 = 100_000_000;

/// Before anything is measured.
const ROUND_TRIP: Micros = Micros::from_millis(200);
/// A queue of this length is drained even if it does not grow.
const LONG_QUEUE_US: i64 = 200_000;
/// With more than this and the jitter in the queue nothing is probed.
const PROBE_QUEUE_US: i64 = 100_000;
/// A packet that waits so long while no more than this share of what is sent arrives tells of a drop of the link, before
/// the trend does: on a link that has become slow, groups come slowly too.
const DROP_WAIT_US: i64 = 150_000;
const DROP_ARRIVING: f64 = 0.7;
/// A decrease to less than this share is a great drop.
const GREAT_DROP: f64 = 0.66;
/// For so long after the first feedback what arrives is taken for the rate, if nothing has been too much before.
const FINDING: Micros = Micros::from_secs(2);
/// Who follows the estimate sends no more than this share of it.
const FAR_MORE: f64 = 1.5;
/// Who sends less than the estimate, and of it this share arrives, is not who sends too much.
const ARRIVES: f64 = 0.85;
/// For so long after an outage overuse does not postpone probes: what waited comes all at once, and what was is wanted back.
const RECOVERY: Micros = Micros::from_secs(3);
/// What an outage leaves of the rate before it, until a probe tells.
const AFTER_OUTAGE: f64 = 0.5;

/// Whether the first value is still looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Unheard,
    Until(Micros),
    Over,
}

/// See the module.
#[derive(Debug)]
pub struct Estimator {
    sent: SentPackets,
    names: RtpNames,
    sent_rate: SentRate,
    /// `None` until feedback on packets flows.
    arrivals: Option<Box<Arrivals>>,
    reference_clock: ReferenceClock,
    report_clock: ReportClock,
    budget: FeedbackBudget,
    aimd: Aimd,
    drain: Drain,
    loss: LossControl,
    probe: ProbeControl,
    outage: Outage,
    reports: Reports,
    wanted: u64,
    /// As of the last feedback or tick.
    may_probe: bool,
    round_trip: Option<Micros>,
    finding: Finding,
    /// What a probe has shown since it was asked last.
    confirmed: Option<u64>,
    /// Packets sent before say nothing: an outage ended then.
    ignored_before: Micros,
    estimate: u64,
    limit: Limit,
    counters: Counters,
}

impl Estimator {
    /// Starts at a rate. Nothing is probed until something is wanted.
    pub fn new(now: Micros, start_bps: u64) -> Self {
        let start = start_bps.clamp(MIN_BPS, MAX_BPS);
        Self {
            sent: SentPackets::new(),
            names: RtpNames::default(),
            sent_rate: SentRate::new(now),
            arrivals: None,
            reference_clock: ReferenceClock::default(),
            report_clock: ReportClock::default(),
            budget: FeedbackBudget::new(now),
            aimd: Aimd::new(now, start as f64),
            drain: Drain::default(),
            loss: LossControl::default(),
            probe: ProbeControl::new(),
            outage: Outage::default(),
            reports: Reports::new(now),
            wanted: 0,
            may_probe: false,
            round_trip: None,
            finding: Finding::Unheard,
            confirmed: None,
            ignored_before: Micros(0),
            estimate: start,
            limit: Limit::Start,
            counters: Counters::default(),
        }
    }

    /// A packet leaves with this transport-wide number, one more than the last; `probe` when it is padding for one.
    #[inline]
    pub fn on_sent(&mut self, seq: u16, bytes: usize, now: Micros, probe: Option<ProbeCluster>) {
        let cluster = self.probe.on_sent(bytes, probe);
        self.sent.push(seq, bytes, cluster, now);
        self.outage.on_sent(now);
        if probe.is_none() {
            self.sent_rate.on_sent(bytes);
        }
    }

    /// A packet leaves without a number.
    #[inline]
    pub fn on_unnumbered(&mut self, bytes: usize) {
        self.sent_rate.on_sent(bytes);
    }

    /// The packet with this transport-wide number has this RTP name. Only for receivers that speak RFC 8888, after
    /// [`Self::on_sent`].
    pub fn on_sent_as(&mut self, seq: u16, ssrc: Ssrc, rtp_seq: u16) {
        self.names.push(seq, ssrc, rtp_seq, self.sent.capacity());
    }

    /// Transport-wide feedback came.
    pub fn on_transport_cc(&mut self, feedback: &TransportCc, now: Micros) {
        if !self.begin_feedback(now, feedback.status_count as usize) {
            return;
        }
        let offset = self.reference_clock.offset_us(feedback.reference_time);
        let mut is_news = false;
        for (seq, arrival) in feedback.statuses() {
            let arrived_at = arrival.map(|arrival| arrival.saturating_add(offset));
            is_news |= self.on_status(seq, arrival.is_some(), arrived_at, now);
        }
        if is_news {
            self.end_feedback(now);
        }
    }

    /// Feedback of RFC 8888 came.
    pub fn on_ccfb(&mut self, feedback: &Ccfb, now: Micros) {
        let blocks: Blocks = feedback.blocks().take(MAX_BLOCKS).collect();
        let (count, next) = self.sent.remembered();
        // Each number is looked for among the blocks.
        let work = feedback.packet_count() + blocks.len() * count as usize / 8;
        if !self.begin_feedback(now, work) {
            return;
        }
        let reported_at = self.report_clock.widen_us(feedback.report_timestamp);
        let mut is_news = false;
        for back in (1..=count).rev() {
            let seq = next.wrapping_sub(back);
            let Some(status) = self.names.status_of(seq, &blocks) else {
                continue;
            };
            let offset = status.offset.map(before_report_us);
            let arrived_at = offset.map(|offset| reported_at.saturating_sub(offset));
            is_news |= self.on_status(seq, status.received, arrived_at, now);
        }
        if is_news {
            self.end_feedback(now);
        }
    }

    /// A report block of RTCP came: share of packets lost, and the round trip when it can be told.
    pub fn on_report(&mut self, fraction_lost: f64, round_trip: Option<Micros>, now: Micros) {
        let loss = fraction_lost.clamp(0.0, 1.0);
        self.sent_rate.update(now);
        let limit = (self.wanted as f64, self.sent_rate.bps());
        self.reports.on_report(loss, now, limit);
        self.reports.clamp(MIN_BPS as f64, MAX_BPS as f64);
        if self.arrivals.is_none() {
            self.round_trip = round_trip.or(self.round_trip);
        }
        self.refresh(now);
    }

    /// The receiver names the most it can take (REMB).
    pub fn on_remb(&mut self, bps: u64, now: Micros) {
        self.reports.on_remb(bps as f64, now);
        self.refresh(now);
    }

    /// What could be sent now if the path carried it: nothing is probed for beyond it.
    pub const fn set_wanted(&mut self, bps: u64) {
        self.wanted = bps;
    }

    /// Much more is wanted than before: the next probe need not wait.
    pub const fn hasten_probe(&mut self) {
        self.probe.hasten();
    }

    /// Lets time pass. Call it at [`Self::deadline`].
    pub fn tick(&mut self, now: Micros) {
        self.sent_rate.update(now);
        let Some(arrivals) = &self.arrivals else {
            return self.refresh(now);
        };
        let (usage, round_trip) = (arrivals.usage(), self.round_trip());
        if let Some(rate) = self.outage.tick(now, round_trip, self.estimate as f64) {
            self.aimd.set(now, rate);
            self.drain.cancel();
            self.probe.cancel();
        }
        self.conclude_probe(now, usage);
        self.refresh(now);
        self.consider_probe(now);
    }

    /// When [`Self::tick`] or [`Self::poll_probe`] has something to do.
    pub fn deadline(&self) -> Option<Micros> {
        self.arrivals.as_ref()?;
        let probe = self.probe.deadline(self.may_probe);
        let outage = self.outage.deadline(self.round_trip());
        probe.into_iter().chain(outage).min()
    }

    /// The first value is still looked for: what is sent may be more than the estimate, and is what finds it.
    pub fn is_finding(&self) -> bool {
        if self.arrivals.is_none() {
            return !self.reports.limits();
        }
        self.finding != Finding::Over
    }

    /// Feedback on packets flows.
    pub const fn is_heard(&self) -> bool {
        self.arrivals.is_some()
    }

    /// Feedback stays away: nothing arrives, or nothing comes back.
    pub const fn is_silent(&self) -> bool {
        self.outage.is_on()
    }

    /// What the last probe that got through has shown, once.
    pub const fn take_confirmed(&mut self) -> Option<u64> {
        self.confirmed.take()
    }

    /// What stands in the link's queue.
    pub fn queue(&self) -> Micros {
        let arrivals = self.arrivals.as_deref();
        let standing_us = arrivals.map_or(0, Arrivals::standing_us).max(0);
        Micros(standing_us as u64)
    }

    /// Bits per second that may be sent.
    pub const fn estimate(&self) -> u64 {
        self.estimate
    }

    /// Padding to be sent now for a probe; its packets are named with its cluster in [`Self::on_sent`].
    pub fn poll_probe(&mut self, now: Micros) -> Option<Probe> {
        self.probe.poll(now)
    }

    /// What there is to tell.
    pub fn snapshot(&self) -> Snapshot {
        let arrivals = self.arrivals.as_deref();
        Snapshot {
            estimate_bps: self.estimate,
            limit: self.limit,
            acked_bps: arrivals.and_then(Arrivals::acked).map(|bps| bps as u64),
            in_flight_bytes: self.sent.in_flight_bytes(),
            queue: self.queue(),
            round_trip: self.round_trip.unwrap_or_default(),
            loss: self.loss.recent() as f32,
            usage: arrivals.map_or(Usage::Normal, Arrivals::usage),
            counters: self.counters,
        }
    }

    fn begin_feedback(&mut self, now: Micros, work: usize) -> bool {
        if !self.budget.pay(now, work) {
            self.counters.flooded_messages += 1;
            return false;
        }
        if self.arrivals.is_none() {
            self.arrivals = Some(Box::default());
            self.sent.allow_growth();
        }
        if let Some(before) = self.outage.on_feedback() {
            self.recover(now, before);
        }
        true
    }

    /// Whether it says something of a packet that was sent, and was not said before.
    fn on_status(&mut self, seq: u16, received: bool, at: Option<i64>, now: Micros) -> bool {
        match self.sent.tell(seq, received, now) {
            Told::Received { packet, late } => self.on_received(&packet, late, at, now),
            Told::Lost(packet) => {
                self.probe.on_lost(&packet);
                // Probes are meant to find the limit; their losses are no news.
                if packet.sent_at >= self.ignored_before && packet.cluster == 0 {
                    self.loss.on_packet(&packet, true);
                }
            }
            Told::Known => return false,
            Told::Unknown => {
                self.counters.unknown_packets += 1;
                return false;
            }
        }
        true
    }

    fn on_received(&mut self, packet: &SentPacket, late: bool, at: Option<i64>, now: Micros) {
        if packet.sent_at < self.ignored_before {
            return;
        }
        if late {
            self.loss.on_late(packet);
        } else if packet.cluster == 0 {
            self.loss.on_packet(packet, false);
        }
        let (Some(at), Some(arrivals)) = (at, &mut self.arrivals) else {
            return;
        };
        if arrivals.on_arrival(packet, at, now).is_err() {
            self.counters.impossible_arrivals += 1;
            self.probe.cancel();
            return;
        }
        self.probe.on_arrival(packet, at);
        self.measure_round_trip(now - packet.sent_at);
    }

    fn measure_round_trip(&mut self, sample: Micros) {
        let smoothed = self.round_trip.unwrap_or(sample);
        // 1/8 for a message of eight packets (RFC 6298 section 2.3 has it for a sample).
        self.round_trip = Some(Micros((63 * smoothed.0 + sample.0) / 64));
    }

    fn round_trip(&self) -> Micros {
        self.round_trip.unwrap_or(ROUND_TRIP)
    }

    fn jitter(&self) -> Micros {
        let arrivals = self.arrivals.as_deref();
        arrivals.map_or(Micros(0), Arrivals::jitter)
    }

    fn end_feedback(&mut self, now: Micros) {
        self.sent_rate.update(now);
        let round_trip = self.round_trip();
        let Some(arrivals) = &mut self.arrivals else {
            return;
        };
        let acked = arrivals.acked();
        let short = arrivals.acked_short().or(acked);
        let standing_us = arrivals.standing_us();
        let latest_wait_us = arrivals.latest_wait_us();
        if self.drain.update(now, standing_us) == Progress::Stuck {
            arrivals.rebase();
        }
        let mut news = arrivals.take_news();
        if is_drop(
            latest_wait_us,
            short,
            self.sent_rate.bps().min(self.aimd.target()),
        ) {
            news = Some(Usage::Overuse);
        }
        self.find(now, (acked, short), news);
        let before = self.aimd.target();
        // Somebody else's traffic is too much for the link then, and who sends least would be lowered most.
        let is_bystander = self.sent_rate.leaves_unused(before)
            && acked.is_some_and(|acked| acked >= ARRIVES * self.sent_rate.bps());
        let too_much = if is_bystander { Some(before) } else { short };
        match news {
            Some(Usage::Overuse) if self.aimd.decrease(now, too_much, round_trip) => {
                let link = too_much.unwrap_or(before);
                let waiting_us = standing_us.max(latest_wait_us);
                self.drain.begin(now, link, waiting_us);
                let great = self.aimd.target() < GREAT_DROP * before;
                if now - self.ignored_before > RECOVERY {
                    self.probe.on_congestion(now, great);
                }
            }
            Some(Usage::Normal) if self.drain.limit().is_none() => {
                self.aimd.increase(now, acked, round_trip);
                if let Some(link) = short.filter(|_| standing_us > LONG_QUEUE_US) {
                    self.drain.begin(now, link, standing_us);
                }
            }
            None => {}
            Some(_) => self.aimd.hold(now),
        }
        self.loss.update(now, self.aimd.target(), acked);
        self.conclude_probe(now, news.unwrap_or(Usage::Normal));
        self.refresh(now);
        self.consider_probe(now);
    }

    /// While nothing was too much yet, what arrives is the rate, or what was just too much.
    fn find(
        &mut self,
        now: Micros,
        (acked, short): (Option<f64>, Option<f64>),
        news: Option<Usage>,
    ) {
        let until = match self.finding {
            Finding::Over => return,
            Finding::Unheard => now + FINDING,
            Finding::Until(until) => until,
        };
        let overused = news == Some(Usage::Overuse);
        let arriving = if overused { short } else { acked };
        let target = self.aimd.target();
        let is_over = overused || self.loss.is_congested() || now >= until;
        let exceeds = is_over || self.sent_rate.bps() > FAR_MORE * target;
        if let Some(arriving) = arriving.filter(|bps| exceeds && *bps > target) {
            self.aimd.set(now, arriving.min(MAX_BPS as f64));
        }
        self.finding = if is_over {
            Finding::Over
        } else {
            Finding::Until(until)
        };
    }

    fn conclude_probe(&mut self, now: Micros, usage: Usage) {
        let result = self.probe.conclude(now, self.estimate as f64);
        let calm = usage != Usage::Overuse && self.drain.limit().is_none();
        if let Some(result) = result.filter(|_| calm) {
            let bps = result.bps.min(MAX_BPS as f64);
            self.confirmed = Some(bps as u64);
            self.loss.raise(bps);
            if bps > self.aimd.target() {
                self.aimd.set(now, bps);
            }
        }
    }

    fn is_congested(&self) -> bool {
        let Some(arrivals) = &self.arrivals else {
            return true;
        };
        self.outage.is_on()
            || self.drain.limit().is_some()
            || self.loss.is_congested()
            || arrivals.usage() == Usage::Overuse
            || arrivals.standing_us() > PROBE_QUEUE_US + arrivals.jitter().0 as i64
    }

    fn consider_probe(&mut self, now: Micros) {
        let estimate = self.estimate as f64;
        let situation = Situation {
            estimate,
            wanted: self.wanted.min(MAX_BPS) as f64,
            round_trip: self.round_trip(),
            jitter: self.jitter(),
            unused: self.sent_rate.leaves_unused(estimate),
            congested: self.is_congested(),
        };
        self.may_probe = self.probe.consider(now, &situation);
    }

    /// Feedback flows again: what is under way says nothing, and what was before is probed for.
    fn recover(&mut self, now: Micros, before: f64) {
        self.ignored_before = now;
        self.loss.forget_window();
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.resume();
        }
        let target = self.aimd.target().max(AFTER_OUTAGE * before);
        self.aimd.set(now, target);
        let wanted = before.min(self.wanted as f64);
        self.probe.resume();
        if wanted > target {
            self.probe
                .begin(now, wanted, self.round_trip(), self.jitter());
        }
    }

    /// The least of what the parts allow.
    fn refresh(&mut self, now: Micros) {
        let (mut bps, mut limit) = if self.arrivals.is_some() {
            let silent = self.outage.is_on();
            (
                self.aimd.target(),
                if silent { Limit::Outage } else { Limit::Delay },
            )
        } else if self.reports.remb(now).is_some() {
            (self.reports.rate(now), Limit::Remb)
        } else if self.reports.limits() {
            (self.reports.rate(now), Limit::Loss)
        } else {
            (self.aimd.target(), Limit::Start)
        };
        let others = [
            (self.drain.limit(), Limit::Queue),
            (self.loss.limit(), Limit::Loss),
            (self.reports.remb(now), Limit::Remb),
        ];
        for (other, reason) in others {
            if let Some(other) = other.filter(|other| *other < bps) {
                (bps, limit) = (other, reason);
            }
        }
        self.estimate = (bps as u64).clamp(MIN_BPS, MAX_BPS);
        self.limit = limit;
    }
}

fn is_drop(latest_wait_us: i64, arriving: Option<f64>, sent: f64) -> bool {
    latest_wait_us > DROP_WAIT_US && arriving.is_some_and(|bps| bps < DROP_ARRIVING * sent)
}

#[cfg(test)]
#[path = "estimator_tests.rs"]
mod tests;
