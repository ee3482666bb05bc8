//! Congestion control towards one peer: what its link carries (`bwe/`), what waits for it (`pace/`), and when its slots
//! share it out anew (`alloc/`, `core/allocate.rs`).
//!
//! Made when the peer is first sent video: with audio alone there is nothing to decide. A peer that gives no feedback on
//! packets is believed by its reports, and one that gives none at all is sent what it asks for.

use super::command::{CodecConfig, Extension, Feedback, SlotConfig};
use super::sink::Class;
use super::stats::BandwidthStats;
use crate::alloc::{Allocation, Budget, Headroom, MARGIN_PERCENT};
use crate::bwe::{Estimator, Probe, ProbeCluster};
use crate::ids::Ssrc;
use crate::pace::{Admission, Paced, Pacer, Released};
use crate::send::transport_number::write_number;
use crate::time::Micros;
use crate::wire::rtcp::{Ccfb, TransportCc};

/// What is taken for granted of any link until it has been measured.
const START_BPS: u64 = 1_000_000;
/// The estimator begins here; while the first value is looked for what arrives raises it.
const ESTIMATOR_START_BPS: u64 = 300_000;
/// Feedback on packets that was agreed upon and has not come by then will not come.
const UNHEARD: Micros = Micros::from_secs(3);
/// Slots share out anew this often while something limits them, otherwise, and while no video is wanted.
const BUSY: Micros = Micros::from_millis(100);
const CALM: Micros = Micros::from_millis(500);
const IDLE: Micros = Micros::from_secs(2);
/// With so much more wanted, in percent of what was, the next probe does not wait.
const MUCH_MORE_PERCENT: u64 = 150;
/// An estimate that changed by so many percent is looked at without waiting.
const NEWS_PERCENT: u64 = 5;

/// A dip of the estimate lowers nothing for so long, while what is sent costs at most so much of it, in percent, waits with
/// us no longer than `BRIDGE_DELAY`, and no more than `BRIDGE_QUEUE` stands in the link. Overuse takes 15 % off what
/// arrives, so that a queue gets shorter, and gives it back within seconds; a key frame is enough for one.
const BRIDGE: Micros = Micros::from_secs(8);
const BRIDGE_PERCENT: u64 = 125;
const BRIDGE_DELAY: Micros = Micros::from_millis(350);
const BRIDGE_QUEUE: Micros = Micros::from_millis(150);
/// Meanwhile the pace is so much of the estimate, in percent: with the pacer's own 5 % just less than what arrived. With
/// this in the link's queue it is the estimate, so that the queue goes first.
const BRIDGE_PACE_PERCENT: u64 = 108;
const BRIDGE_PACE_QUEUE: Micros = Micros::from_millis(60);
/// Weight of the losses told last, each time it is shared out: one packet more or less of a hundred is no reason to lower.
const LOSS_WEIGHT: f32 = 1.0 / 8.0;

/// How a peer tells of arrivals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    /// Id of the header extension with transport-wide numbers.
    pub id: Option<u8>,
    /// Feedback of RFC 8888 was agreed upon, which needs no numbers in the packets.
    pub by_name: bool,
}

impl Numbering {
    /// An m-line is agreed upon. All number with one id: an m-line with another one goes without.
    pub fn agree(&mut self, config: &mut SlotConfig) {
        let mut known = config.extensions.0.iter();
        let own = known.find(|(extension, _)| *extension == Extension::TransportCc);
        let own = own.map(|(_, id)| *id);
        self.id = self.id.or(own);
        if own != self.id {
            let extensions = &mut config.extensions.0;
            extensions.retain(|(extension, _)| *extension != Extension::TransportCc);
        }
        let speaks = |codec: &CodecConfig| codec.feedback.contains(&Feedback::Ccfb);
        self.by_name |= own.is_none() && config.codecs.iter().any(speaks);
    }
}

/// What was decided last, for statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// The budget that was shared out; `None`: there was no limit.
    pub budget_bps: Option<u64>,
    /// What the grants cost, with audio and repair.
    pub spent_bps: u64,
    /// What all would cost with bandwidth without end.
    pub ideal_bps: u64,
    /// Some slot has less for lack of bandwidth.
    pub is_limited: bool,
}

/// See the module.
pub struct Bandwidth {
    /// The pacer lets everything pass; of what leaves only the bytes count.
    is_open: bool,
    is_unnumbered: bool,
    /// A packet waits, or something has changed: the timer must be looked at.
    restless: bool,
    /// Bytes that left without a number, of which the estimator has not heard.
    unnumbered_bytes: usize,
    estimator: Estimator,
    pacer: Pacer,
    headroom: Headroom,
    numbering: Numbering,
    next_number: u16,
    began: Micros,
    /// When the slots share out anew.
    next_allocation: Micros,
    /// The estimate that was last looked at.
    seen_estimate: u64,
    /// Since when what is sent costs more than the estimate.
    dips_since: Option<Micros>,
    fraction_lost: f32,
    decided: Decided,
    padding_bytes: u64,
}

impl Bandwidth {
    /// Nothing was sent yet.
    pub fn new(now: Micros, numbering: Numbering) -> Self {
        Self {
            is_open: true,
            is_unnumbered: numbering == Numbering::default(),
            unnumbered_bytes: 0,
            estimator: Estimator::new(now, ESTIMATOR_START_BPS),
            pacer: Pacer::default(),
            headroom: Headroom::default(),
            numbering,
            next_number: 0,
            began: now,
            next_allocation: now,
            seen_estimate: 0,
            dips_since: None,
            fraction_lost: 0.0,
            restless: true,
            decided: Decided::default(),
            padding_bytes: 0,
        }
    }

    /// Another m-line was agreed upon.
    pub fn set_numbering(&mut self, numbering: Numbering) {
        self.numbering = numbering;
        self.is_unnumbered = numbering == Numbering::default();
    }

    /// Says what becomes of a packet that was written.
    #[inline]
    pub fn admit(
        &mut self,
        packet: &[u8],
        class: Class,
        is_repair: bool,
        now: Micros,
    ) -> Admission {
        if self.is_open {
            return Admission::Pass;
        }
        self.admit_to(packet, class, is_repair, now)
    }

    fn admit_to(&mut self, packet: &[u8], class: Class, is_repair: bool, now: Micros) -> Admission {
        let paced = Paced {
            ssrc: ssrc_of(packet),
            class,
            is_repair,
            bytes: packet,
        };
        let admission = self.pacer.admit(&paced, now);
        self.restless |= admission == Admission::Wait;
        admission
    }

    /// A packet leaves, for a probe or not: it gets its number.
    #[inline]
    pub fn on_leaving(&mut self, packet: &mut [u8], probe: Option<ProbeCluster>, now: Micros) {
        if self.is_unnumbered {
            self.unnumbered_bytes += packet.len();
        } else {
            self.number(packet, probe, now);
        }
    }

    fn number(&mut self, packet: &mut [u8], probe: Option<ProbeCluster>, now: Micros) {
        let number = self.next_number;
        let numbered = self
            .numbering
            .id
            .is_some_and(|id| write_number(packet, id, number));
        if !numbered && !self.numbering.by_name {
            self.unnumbered_bytes += packet.len();
            return;
        }
        self.next_number = number.wrapping_add(1);
        self.estimator.on_sent(number, packet.len(), now, probe);
        if self.numbering.by_name {
            let (ssrc, seq) = (ssrc_of(packet), seq_of(packet));
            self.estimator.on_sent_as(number, ssrc, seq);
        }
        if probe.is_some() {
            self.padding_bytes += packet.len() as u64;
        }
    }

    /// RTCP leaves.
    pub fn on_control(&mut self, bytes: usize, now: Micros) {
        self.pacer.on_sent(bytes, now);
    }

    /// Gives out the next packet that has waited long enough.
    pub fn release(&mut self, out: &mut [u8], now: Micros) -> Option<Released> {
        self.pacer.release(out, now)
    }

    /// Packets that waited too long and were dropped, since this was asked last.
    pub fn take_stale(&mut self) -> u64 {
        self.pacer.take_stale()
    }

    /// Transport-wide feedback came.
    pub fn on_transport_cc(&mut self, feedback: &TransportCc, now: Micros) {
        if self.numbering.id.is_some() {
            self.estimator.on_transport_cc(feedback, now);
            self.look(now);
        }
    }

    /// Feedback of RFC 8888 came.
    pub fn on_ccfb(&mut self, feedback: &Ccfb, now: Micros) {
        if self.numbering.by_name {
            self.estimator.on_ccfb(feedback, now);
            self.look(now);
        }
    }

    /// A report block on one of its video slots came.
    pub fn on_report(&mut self, fraction_lost: f64, round_trip: Option<Micros>, now: Micros) {
        if !self.estimator.is_heard() {
            self.fraction_lost = fraction_lost as f32;
        }
        let bytes = std::mem::take(&mut self.unnumbered_bytes);
        self.estimator.on_unnumbered(bytes);
        self.estimator.on_report(fraction_lost, round_trip, now);
        self.look(now);
    }

    /// The peer names the most it can take.
    pub fn on_remb(&mut self, bps: u64, now: Micros) {
        self.estimator.on_remb(bps, now);
        self.look(now);
    }

    /// After feedback: a new estimate is shared out soon.
    fn look(&mut self, now: Micros) {
        let (seen, estimate) = (self.seen_estimate, self.estimator.estimate());
        if seen.abs_diff(estimate) > seen / 100 * NEWS_PERCENT {
            self.seen_estimate = estimate;
            self.reallocate(now);
        }
        self.set_pace(now);
    }

    /// What slots want has changed: it is shared out anew at the next wake-up.
    pub fn reallocate(&mut self, now: Micros) {
        self.next_allocation = now;
        self.restless = true;
    }

    /// The timer must be set anew, once.
    #[inline]
    pub fn take_restless(&mut self) -> bool {
        std::mem::take(&mut self.restless)
    }

    /// When [`Self::tick`], [`Self::release`] or the slots have something to do.
    pub fn deadline(&self) -> Micros {
        let others = self.estimator.deadline().into_iter();
        let others = others.chain(self.pacer.deadline());
        others.fold(self.next_allocation, Micros::min)
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Micros) {
        if self.estimator.deadline().is_some_and(|at| at <= now) {
            self.estimator.tick(now);
            self.look(now);
        }
        self.pacer.rest(now);
        self.is_open = self.pacer.is_open();
    }

    /// None while the first value is looked for.
    fn set_pace(&mut self, now: Micros) {
        self.pacer.set_rate(self.pace(), now);
        self.is_open = self.pacer.is_open();
    }

    /// Padding to be sent now.
    pub fn poll_probe(&mut self, now: Micros) -> Option<Probe> {
        self.estimator.poll_probe(now)
    }

    /// It is time to share out.
    pub fn is_allocation_due(&self, now: Micros) -> bool {
        self.next_allocation <= now
    }

    /// What there is to share out, if it is limited. `least` is what it costs to show anything everywhere: until the first
    /// value is found that is sent whatever it costs, for only what is sent can be measured.
    pub fn budget(&mut self, least: u64, now: Micros) -> Budget {
        let estimate = self.estimator.estimate();
        let confirmed = self.estimator.take_confirmed();
        let (estimate, confirmed) = if !self.estimator.is_finding() {
            (Some(estimate), confirmed)
        } else if self.estimator.is_heard() || self.awaits_feedback(now) {
            let start = estimate.max(START_BPS).max(least);
            (Some(start), Some(start))
        } else {
            (None, None)
        };
        if self.estimator.is_heard() {
            let loss = self.estimator.snapshot().loss;
            self.fraction_lost += (loss - self.fraction_lost) * LOSS_WEIGHT;
        }
        Budget {
            estimate,
            confirmed,
            is_outage: self.estimator.is_silent(),
            is_guess: self.estimator.is_finding(),
            bridged: estimate.and_then(|estimate| self.bridge(estimate, now)),
            fraction_lost: self.fraction_lost,
        }
    }

    /// What may be sent while the estimate dips.
    fn bridge(&mut self, estimate: u64, now: Micros) -> Option<u64> {
        if self.decided.spent_bps <= estimate {
            self.dips_since = None;
            return None;
        }
        let since = *self.dips_since.get_or_insert(now);
        let holds = now - since < BRIDGE
            && self.pacer.delay(now) < BRIDGE_DELAY
            && self.estimator.queue() < BRIDGE_QUEUE;
        holds.then_some(estimate / 100 * BRIDGE_PERCENT)
    }

    fn awaits_feedback(&self, now: Micros) -> bool {
        let agreed = self.numbering.id.is_some() || self.numbering.by_name;
        agreed && now < self.began + UNHEARD
    }

    /// What the slots have had lately.
    pub fn headroom(&mut self) -> &mut Headroom {
        &mut self.headroom
    }

    /// The slots have shared out.
    pub fn on_allocated(&mut self, budget: &Budget, allocation: &Allocation, now: Micros) {
        let is_limited = allocation
            .grants
            .iter()
            .any(|grant| grant.reason.cause.is_bandwidth());
        if allocation.ideal_bps > self.decided.ideal_bps / 100 * MUCH_MORE_PERCENT {
            self.estimator.hasten_probe();
        }
        self.decided = Decided {
            budget_bps: budget.estimate,
            spent_bps: allocation.spent_bps,
            ideal_bps: allocation.ideal_bps,
            is_limited,
        };
        let wants_video = allocation
            .grants
            .iter()
            .any(|grant| grant.reason.wanted.is_some());
        self.estimator
            .set_wanted(self.aim(allocation, wants_video, is_limited));
        let finds = self.estimator.is_finding() && self.estimator.is_heard();
        let pause = match (
            wants_video,
            is_limited || finds || self.dips_since.is_some(),
        ) {
            (false, _) => IDLE,
            (true, true) => BUSY,
            (true, false) => CALM,
        };
        self.next_allocation = now + pause;
        self.set_pace(now);
    }

    /// What probes aim at. All that is wanted, with the margin of a raise; until the first value is found at least what is
    /// taken for granted, for a wish may come at any time.
    fn aim(&self, allocation: &Allocation, wants_video: bool, is_limited: bool) -> u64 {
        let ideal = allocation.ideal_bps;
        let all = ideal.saturating_add(ideal / 100 * MARGIN_PERCENT);
        let aim = if is_limited || allocation.wanted_bps > 0 {
            all.max(allocation.wanted_bps)
        } else {
            0
        };
        let finds = wants_video && self.estimator.is_finding();
        aim.max(if finds { START_BPS } else { 0 })
    }

    /// The estimate, once there is one; a little more while a dip of it is bridged.
    fn pace(&self) -> Option<u64> {
        let estimate = self.estimate()?;
        let bridges = self.dips_since.is_some() && self.estimator.queue() < BRIDGE_PACE_QUEUE;
        let percent = if bridges { BRIDGE_PACE_PERCENT } else { 100 };
        Some(estimate / 100 * percent)
    }

    /// The estimate, once there is one.
    fn estimate(&self) -> Option<u64> {
        (!self.estimator.is_finding()).then(|| self.estimator.estimate())
    }

    /// What there is to tell.
    pub fn stats(&self, now: Micros) -> BandwidthStats {
        let seen = self.estimator.snapshot();
        let counters = seen.counters;
        BandwidthStats {
            estimate_bps: self.estimate(),
            limit: seen.limit.slug(),
            budget_bps: self.decided.budget_bps,
            granted_bps: self.decided.spent_bps,
            ideal_bps: self.decided.ideal_bps,
            is_limited: self.decided.is_limited,
            acked_bps: seen.acked_bps,
            loss: seen.loss.into(),
            queue_s: seen.queue.as_secs_f64(),
            pacer_delay_s: self.pacer.delay(now).as_secs_f64(),
            padding_bytes: self.padding_bytes,
            refused_feedback: counters.unknown_packets
                + counters.impossible_arrivals
                + counters.flooded_messages,
        }
    }
}

#[inline]
fn ssrc_of(packet: &[u8]) -> Ssrc {
    let bytes = packet.get(8..12).and_then(|bytes| bytes.first_chunk());
    Ssrc(bytes.copied().map_or(0, u32::from_be_bytes))
}

fn seq_of(packet: &[u8]) -> u16 {
    let bytes = packet.get(2..4).and_then(|bytes| bytes.first_chunk());
    bytes.copied().map_or(0, u16::from_be_bytes)
}
