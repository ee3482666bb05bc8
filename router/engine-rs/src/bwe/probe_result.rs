//! What a probe measured: the rate at which its packets were sent against that at which they arrived, as in libwebrtc's
//! `probe_bitrate_estimator.cc`.
//!
//! Packets leave in bursts, here more than there. A burst takes no time to send and some to arrive, so the rates are of
//! what lies between the first burst and the last: the last does not count as sent, the first not as arrived.

use super::sent::SentPacket;
use crate::time::Micros;

/// Fewer packets are no measurement.
const MIN_PACKETS: u32 = 4;
/// Share of the probe's packets and bytes that must arrive.
const MIN_RECEIVED: f64 = 0.8;
/// Longer intervals are no probe any more; shorter ones no measurement.
const INTERVAL_US: (i64, i64) = (1_000, 1_000_000);
/// Faster than sent by more than this is impossible but for a pause before.
const MAX_RATIO: f64 = 2.0;
/// Slower than sent by more than this: the link was full.
const SATURATED_RATIO: f64 = 0.9;
/// Of a full link, this much is taken.
const UTILISATION: f64 = 0.95;

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbeResult {
    /// Rate that the link carried.
    pub bps: f64,
    /// The link was full: there is no more.
    pub saturated: bool,
}

/// Packets of one probe, as they are told to have arrived.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProbeMeasurement {
    packets: u32,
    bytes: u32,
    sent: Option<(Micros, Micros)>,
    first_burst_bytes: u32,
    last_burst_bytes: u32,
    /// When the last packet of the first burst and the last of all arrived.
    arrived: (i64, i64),
}

impl ProbeMeasurement {
    /// A packet of the probe arrived; they are told in the order they were sent.
    pub fn on_arrival(&mut self, packet: &SentPacket, arrived_at: i64) {
        let (first, last) = *self.sent.get_or_insert((packet.sent_at, packet.sent_at));
        if self.packets == 0 {
            self.arrived = (arrived_at, arrived_at);
        }
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(packet.bytes);
        if packet.sent_at <= first {
            self.first_burst_bytes += packet.bytes;
            self.arrived.0 = self.arrived.0.max(arrived_at);
        }
        if packet.sent_at > last {
            self.last_burst_bytes = 0;
        }
        if packet.sent_at >= last {
            self.last_burst_bytes += packet.bytes;
        }
        self.sent = Some((first, last.max(packet.sent_at)));
        self.arrived.1 = self.arrived.1.max(arrived_at);
    }

    /// The result, when enough of `packets` and `bytes` sent arrived and the times make sense.
    pub fn result(&self, packets: u32, bytes: u32) -> Option<ProbeResult> {
        let enough = self.packets >= MIN_PACKETS
            && f64::from(self.packets) >= MIN_RECEIVED * f64::from(packets)
            && f64::from(self.bytes) >= MIN_RECEIVED * f64::from(bytes);
        let (first, last) = self.sent.filter(|_| enough)?;
        let send_rate = rate(self.bytes - self.last_burst_bytes, (last - first).0 as i64)?;
        let arrival_us = self.arrived.1.saturating_sub(self.arrived.0);
        let arrival_rate = rate(self.bytes - self.first_burst_bytes, arrival_us)?;
        if arrival_rate > MAX_RATIO * send_rate {
            return None;
        }
        let saturated = arrival_rate < SATURATED_RATIO * send_rate;
        let bps = if saturated {
            UTILISATION * arrival_rate
        } else {
            arrival_rate.min(send_rate)
        };
        Some(ProbeResult { bps, saturated })
    }
}

fn rate(bytes: u32, interval_us: i64) -> Option<f64> {
    let sensible = (INTERVAL_US.0..=INTERVAL_US.1).contains(&interval_us);
    sensible.then(|| f64::from(bytes) * 8e6 / interval_us as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURSTS: u64 = 5;

    /// Five bursts of four packets, 10 ms apart: 3.84 Mbit/s, over a link of `link_bps`. `lose` says which are lost.
    fn probe(link_bps: f64, lose: impl Fn(u64) -> bool) -> Option<ProbeResult> {
        let mut measurement = ProbeMeasurement::default();
        let mut link_free_at = 0.0_f64;
        for number in 0..4 * BURSTS {
            let sent_us = 10_000 * (number / 4);
            link_free_at = link_free_at.max(sent_us as f64) + 1_200.0 * 8e6 / link_bps;
            if lose(number) {
                continue;
            }
            let packet = SentPacket {
                sent_at: Micros(sent_us + 77),
                bytes: 1_200,
                cluster: 1,
            };
            measurement.on_arrival(&packet, link_free_at as i64 - 40_000_000);
        }
        measurement.result(4 * BURSTS as u32, 4 * BURSTS as u32 * 1_200)
    }

    #[test]
    fn fast_link_gives_the_rate_sent() {
        let result = probe(50e6, |_| false).expect("valid");
        assert!((result.bps - 3.84e6).abs() < 1e4, "{result:?}");
        assert!(!result.saturated);
    }

    #[test]
    fn full_link_gives_a_little_less_than_it_carries() {
        let result = probe(2e6, |_| false).expect("valid");
        assert!((result.bps - 0.95 * 2e6).abs() < 2e4, "{result:?}");
        assert!(result.saturated);
    }

    #[test]
    fn few_losses_are_borne_and_many_are_not() {
        assert!(probe(50e6, |number| number == 7).is_some());
        assert_eq!(probe(50e6, |number| number % 4 == 1), None);
    }

    #[test]
    fn arrivals_much_faster_than_sent_prove_nothing() {
        let result = |gap_us: i64| {
            let mut measurement = ProbeMeasurement::default();
            for number in 0..10 {
                let packet = SentPacket {
                    sent_at: Micros(10_000 * number),
                    bytes: 1_200,
                    cluster: 1,
                };
                measurement.on_arrival(&packet, gap_us * number as i64);
            }
            measurement.result(10, 12_000)
        };
        // What waited and then came together is not faster than it was sent.
        let bps = result(6_000).map(|result| result.bps);
        assert_eq!(bps, Some(1_200.0 * 8.0 * 100.0));
        assert_eq!(result(4_000), None);
    }

    #[test]
    fn arrivals_all_at_once_or_hours_apart_prove_nothing() {
        for gap in [0, 10, 2_000_000, i64::MAX / 64] {
            let mut measurement = ProbeMeasurement::default();
            for number in 0..10 {
                let sent_at = Micros(10_000 * number);
                let packet = SentPacket {
                    sent_at,
                    bytes: 1_200,
                    cluster: 1,
                };
                measurement.on_arrival(&packet, gap.saturating_mul(number as i64));
            }
            assert_eq!(measurement.result(10, 12_000), None, "{gap}");
        }
    }
}
