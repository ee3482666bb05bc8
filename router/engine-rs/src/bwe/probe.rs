//! When to probe for more than the media shows, and what to send for it: libwebrtc's `probe_controller.cc`, cut down to
//! what a forwarding server needs.
//!
//! A source that forwards layers sends one rate until it may send the next, half as much again or twice, so the path must
//! show that rate before. One probe at a time: 50 ms at some rate, of media and as much padding as is missing, in a burst each
//! 10 ms. A good result is followed by the next probe at once, a bad one by a longer and longer pause. Nothing is probed
//! for that nobody wants, and nothing before the receiver has given feedback: until then he is not known to listen.

use super::probe_result::{ProbeMeasurement, ProbeResult};
use super::sent::SentPacket;
use crate::time::Micros;

/// A probe is this many bursts, so far apart; further where jitter would hide them.
const BURSTS: u64 = 5;
const GAP: Micros = Micros::from_millis(10);
const MAX_GAP: Micros = Micros::from_millis(40);
/// Slow probes are prolonged until a burst has this many bytes.
const MIN_BURST_BYTES: f64 = 500.0;
/// And until it has this many packets, one more than a measurement needs: padding comes in packets as large as those it
/// repeats, of which a few are all that a slow probe asks for.
const MIN_PACKETS: u32 = 5;
/// Less than this is not worth a packet of padding.
const MIN_PADDING: f64 = 60.0;
/// A sender that has not sent it after this many gaps cannot.
const MAX_GAPS: u64 = 20;
/// The probe's rate, of the estimate: when the media does not show the estimate itself, and when it does.
const SCALE_UNUSED: f64 = 2.0;
const SCALE_USED: f64 = 1.5;
/// And of the first one.
const SCALE_FIRST: f64 = 3.0;
/// At most this much of what is wanted.
const MAX_OF_WANTED: f64 = 1.25;
/// A result is better when it is so much above the estimate.
const BETTER: f64 = 1.05;
/// A result of at least this share of its probe makes another one.
const FURTHER: f64 = 0.7;
/// Pause between probes: the first, and the longest that failures make of it.
const PAUSE: (Micros, Micros) = (Micros::from_secs(2), Micros::from_secs(5));
/// And the first after an outage: what was before is most likely there again, and what waited hides it for a while.
const PAUSE_AFTER_OUTAGE: Micros = Micros::from_millis(500);
/// Pause after a result that is better than what was known, and less than what was probed for.
const AFTER_PART: Micros = Micros::from_secs(1);
/// Pause after congestion.
const AFTER_CONGESTION: Micros = Micros::from_secs(3);
/// Feedback on a probe is waited for this long beyond a round trip.
const PATIENCE: Micros = Micros::from_millis(400);

/// The number of a probe, to be named with each packet sent for it. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeCluster(u8);

/// What to send now for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Goes with each packet to [`super::Estimator::on_sent`].
    pub cluster: ProbeCluster,
    /// The rate that is probed for.
    pub bps: u64,
    /// Padding to be sent now.
    pub bytes: usize,
}

/// What decides about the next probe.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The estimate.
    pub estimate: f64,
    /// What could be used.
    pub wanted: f64,
    /// Round trip.
    pub round_trip: Micros,
    /// Jitter.
    pub jitter: Micros,
    /// The media does not show what the estimate promises.
    pub unused: bool,
    /// The path has a queue, loses, or is silent.
    pub congested: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Sending,
    Awaiting { until: Micros },
}

/// See the module.
#[derive(Clone, Debug)]
pub struct ProbeControl {
    stage: Stage,
    id: u8,
    bps: f64,
    began: Micros,
    gap: Micros,
    patience: Micros,
    bytes: u32,
    packets: u32,
    told: u32,
    /// Bursts that were asked for, whether or not they were sent.
    asked: u64,
    measurement: ProbeMeasurement,
    next_at: Micros,
    pause: Micros,
    first: bool,
}

impl ProbeControl {
    /// No probe yet.
    pub fn new() -> Self {
        Self {
            stage: Stage::Idle,
            id: 0,
            bps: 0.0,
            began: Micros(0),
            gap: GAP,
            patience: PATIENCE,
            bytes: 0,
            packets: 0,
            told: 0,
            asked: 0,
            measurement: ProbeMeasurement::default(),
            next_at: Micros(0),
            pause: PAUSE.0,
            first: true,
        }
    }

    /// Begins a probe when it is time and worth it; whether it will be when it is time.
    pub fn consider(&mut self, now: Micros, situation: &Situation) -> bool {
        let worth = situation.wanted > situation.estimate;
        let allowed = worth && !situation.congested;
        if self.stage != Stage::Idle || now < self.next_at || !allowed {
            return allowed;
        }
        let scale = match (self.first, situation.unused) {
            (true, _) => SCALE_FIRST,
            (false, true) => SCALE_UNUSED,
            (false, false) => SCALE_USED,
        };
        let bps = (scale * situation.estimate).min(MAX_OF_WANTED * situation.wanted);
        self.begin(now, bps, situation.round_trip, situation.jitter);
        true
    }

    /// Begins a probe at a rate, in place of what is under way.
    pub fn begin(&mut self, now: Micros, bps: f64, round_trip: Micros, jitter: Micros) {
        let stretched = Micros((MIN_BURST_BYTES * 8e6 / bps.max(1.0)) as u64);
        self.stage = Stage::Sending;
        self.id = self.id.checked_add(1).unwrap_or(1);
        self.bps = bps;
        self.began = now;
        self.gap = jitter.clamp(GAP, MAX_GAP).max(stretched);
        self.patience = round_trip + PATIENCE;
        (self.bytes, self.packets, self.told, self.asked) = (0, 0, 0, 0);
        self.measurement = ProbeMeasurement::default();
        self.first = false;
    }

    /// What to send now.
    pub fn poll(&mut self, now: Micros) -> Option<Probe> {
        self.end_sending(now);
        if self.stage != Stage::Sending {
            return None;
        }
        let gaps = self.gaps(now);
        let owed = self.owed(gaps);
        self.asked = gaps + 1;
        (owed >= MIN_PADDING).then_some(Probe {
            cluster: ProbeCluster(self.id),
            bps: self.bps as u64,
            bytes: owed as usize,
        })
    }

    /// A packet is sent, media or padding; returns the number of the probe that it is a part of, or zero.
    #[inline]
    pub fn on_sent(&mut self, bytes: usize, probe: Option<ProbeCluster>) -> u8 {
        if self.stage != Stage::Sending || (self.packets == 0 && probe.is_none()) {
            return 0;
        }
        self.bytes = self.bytes.saturating_add(bytes as u32);
        self.packets += 1;
        self.id
    }

    /// A packet of a probe arrived.
    pub fn on_arrival(&mut self, packet: &SentPacket, arrived_at: i64) {
        if self.is_current(packet) {
            self.told += 1;
            self.measurement.on_arrival(packet, arrived_at);
        }
    }

    /// A packet of a probe was lost.
    pub fn on_lost(&mut self, packet: &SentPacket) {
        if self.is_current(packet) {
            self.told += 1;
        }
    }

    /// The result of the probe, once all of it was told or patience ended.
    pub fn conclude(&mut self, now: Micros, estimate: f64) -> Option<ProbeResult> {
        self.end_sending(now);
        let Stage::Awaiting { until } = self.stage else {
            return None;
        };
        if self.told < self.packets && now < until {
            return None;
        }
        self.stage = Stage::Idle;
        let result = self.measurement.result(self.packets, self.bytes);
        let better = result.is_some_and(|result| result.bps > BETTER * estimate);
        let further = result.is_some_and(|r| !r.saturated && r.bps >= FURTHER * self.bps);
        if better {
            self.pause = self.pause.min(PAUSE.0);
            self.next_at = if further { now } else { now + AFTER_PART };
        } else if result.is_some() {
            self.next_at = now + self.pause;
            self.pause = (self.pause + self.pause).min(PAUSE.1);
        } else {
            // Nothing was measured: too much of it was lost, or a large frame hid it.
            self.next_at = now + self.pause.min(PAUSE.0);
        }
        result
    }

    /// The rate is lowered: not now. After a great drop the pauses begin anew, for it may be over soon.
    pub fn on_congestion(&mut self, now: Micros, great: bool) {
        if great {
            self.pause = PAUSE.0;
        }
        self.next_at = self.next_at.max(now + AFTER_CONGESTION);
    }

    /// Much more is wanted than before: what was found out until now was about less.
    pub const fn hasten(&mut self) {
        self.next_at = Micros(0);
        self.pause = PAUSE.0;
    }

    /// The receiver answers again.
    pub const fn resume(&mut self) {
        self.pause = PAUSE_AFTER_OUTAGE;
    }

    /// The receiver cannot answer: what was sent is not a measurement.
    pub fn cancel(&mut self) {
        self.stage = Stage::Idle;
    }

    /// When [`Self::poll`], [`Self::conclude`] or, if a probe is allowed, [`Self::consider`] has something to do.
    pub fn deadline(&self, allowed: bool) -> Option<Micros> {
        match self.stage {
            Stage::Sending => {
                let behind = (self.asked..MAX_GAPS).find(|gaps| self.owed(*gaps) >= MIN_PADDING);
                let gaps = behind.unwrap_or(self.asked.max(BURSTS - 1));
                Some(self.began + Micros(gaps * self.gap.0))
            }
            Stage::Awaiting { until } => Some(until),
            Stage::Idle => allowed.then_some(self.next_at),
        }
    }

    fn is_current(&self, packet: &SentPacket) -> bool {
        packet.cluster != 0 && packet.cluster == self.id && self.stage != Stage::Idle
    }

    /// Gaps that have passed.
    const fn gaps(&self, now: Micros) -> u64 {
        now.0.saturating_sub(self.began.0) / self.gap.0
    }

    /// Bytes missing after so many gaps.
    fn owed(&self, gaps: u64) -> f64 {
        let burst = self.bps * self.gap.as_secs_f64() / 8.0;
        let bursts = if self.packets < MIN_PACKETS {
            gaps + 1
        } else {
            (gaps + 1).min(BURSTS)
        };
        burst * bursts as f64 - f64::from(self.bytes)
    }

    fn end_sending(&mut self, now: Micros) {
        if self.stage != Stage::Sending {
            return;
        }
        let gaps = self.gaps(now);
        let full = gaps + 1 >= BURSTS && self.packets >= MIN_PACKETS;
        let complete = full && self.owed(gaps) < MIN_PADDING;
        if complete || gaps >= MAX_GAPS {
            self.stage = Stage::Awaiting {
                until: now + self.patience,
            };
        }
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
