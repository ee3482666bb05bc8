//! Reception statistics of one RTP stream (RFC 3550 section 6.4.1, appendices A.1, A.3 and A.8).
//!
//! Three differences from the appendices, all because packets are authenticated before they get here: there is no
//! probation, a jump beyond `MAX_DROPOUT` is believed at once (and its gap is not counted as lost), and duplicates do not
//! count as received, so the loss is never negative. Retransmitted packets (RFC 4588) do not count as received either:
//! section 6.4 of that RFC keeps the loss of the original stream visible to its sender.

use crate::ids::{SeqNo, Ssrc};
use crate::time::Micros;
use crate::wire::rtcp::ReportBlock;

/// A jump ahead beyond this many packets is a restart of the stream, not loss (RFC 3550 appendix A.1).
pub const MAX_DROPOUT: u64 = 3_000;
/// How far back a packet is still told from a duplicate. Above libsrtp's replay window of 1024.
pub const DUPLICATE_WINDOW: u64 = 2_048;

const WORDS: usize = (DUPLICATE_WINDOW / 64) as usize;

/// How a packet stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first one of the stream.
    First,
    /// The next expected, or beyond: `0` is the gap of missing packets before it.
    Ahead(u64),
    /// Beyond `MAX_DROPOUT`: the stream restarted here.
    Jump,
    /// Behind the highest, seen for the first time.
    Late,
    /// Seen before.
    Duplicate,
    /// So far behind that nobody can tell; treat it as a duplicate.
    TooOld,
}

impl Arrival {
    /// The packet is new and may be used.
    pub fn is_new(self) -> bool {
        !matches!(self, Self::Duplicate | Self::TooOld)
    }
}

/// Counters and jitter of one received stream.
#[derive(Clone, Debug)]
pub struct Reception {
    clock_rate: u32,
    first: Option<u64>,
    highest: u64,
    seen: [u64; WORDS],
    /// Packets skipped by jumps; neither received nor lost.
    skipped: u64,
    received: u64,
    duplicates: u64,
    reordered: u64,
    expected_prior: u64,
    received_prior: u64,
    /// RFC 3550 A.8: jitter in 1/16 timestamp units.
    jitter_q4: u32,
    last_transit: Option<u32>,
    last_sender_report: Option<(u32, Micros)>,
}

impl Reception {
    /// Nothing received yet. `clock_rate` is the codec's; 0 is taken as 90000.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: if clock_rate == 0 { 90_000 } else { clock_rate },
            first: None,
            highest: 0,
            seen: [0; WORDS],
            skipped: 0,
            received: 0,
            duplicates: 0,
            reordered: 0,
            expected_prior: 0,
            received_prior: 0,
            jitter_q4: 0,
            last_transit: None,
            last_sender_report: None,
        }
    }

    /// The stream changed to a payload type of another clock rate: jitter starts anew.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if clock_rate != 0 && clock_rate != self.clock_rate {
            self.clock_rate = clock_rate;
            self.jitter_q4 = 0;
            self.last_transit = None;
        }
    }

    /// Counts a packet of the stream itself.
    pub fn on_packet(&mut self, seq: SeqNo, timestamp: u32, now: Micros) -> Arrival {
        let arrival = self.mark(seq.0);
        match arrival {
            Arrival::Duplicate | Arrival::TooOld => self.duplicates += 1,
            Arrival::Late => {
                self.received += 1;
                self.reordered += 1;
            }
            Arrival::First | Arrival::Ahead(_) | Arrival::Jump => {
                self.received += 1;
                self.update_jitter(timestamp, now, arrival);
            }
        }
        arrival
    }

    /// Notes a packet that came back by RTX: only whether it is new.
    pub fn on_retransmission(&mut self, seq: SeqNo) -> Arrival {
        // A retransmission cannot be the first or the newest packet: such a number is made up or a probe.
        if self.first.is_none() || seq.0 > self.highest {
            return Arrival::TooOld;
        }
        self.mark(seq.0)
    }

    fn mark(&mut self, seq: u64) -> Arrival {
        if self.first.is_none() {
            self.first = Some(seq);
            self.highest = seq;
            self.set_seen(seq);
            return Arrival::First;
        }
        if seq > self.highest {
            let gap = seq - self.highest - 1;
            let cleared = gap.min(DUPLICATE_WINDOW - 1);
            for passed in (seq - cleared)..seq {
                self.clear_seen(passed);
            }
            self.highest = seq;
            self.set_seen(seq);
            if gap >= MAX_DROPOUT {
                self.skipped += gap;
                return Arrival::Jump;
            }
            return Arrival::Ahead(gap);
        }
        if self.highest - seq >= DUPLICATE_WINDOW {
            return Arrival::TooOld;
        }
        if self.is_seen(seq) {
            return Arrival::Duplicate;
        }
        self.set_seen(seq);
        // A packet that overtook nothing but started before us widens what was expected.
        self.first = self.first.map(|first| first.min(seq));
        Arrival::Late
    }

    fn update_jitter(&mut self, timestamp: u32, now: Micros, arrival: Arrival) {
        let arrival_ts = (u128::from(now.0) * u128::from(self.clock_rate) / 1_000_000) as u32;
        let transit = arrival_ts.wrapping_sub(timestamp);
        if let (Some(last), false) = (self.last_transit, arrival == Arrival::Jump) {
            let d = transit.wrapping_sub(last) as i32;
            // A step of more than 10 s is a new timestamp origin, not jitter.
            if d.unsigned_abs() < self.clock_rate.saturating_mul(10) {
                let jitter = self.jitter_q4;
                self.jitter_q4 = jitter
                    .saturating_add(d.unsigned_abs())
                    .saturating_sub((jitter + 8) >> 4);
            }
        }
        self.last_transit = Some(transit);
    }

    /// A sender report arrived, with this NTP time in its header.
    pub fn on_sender_report(&mut self, ntp: u64, now: Micros) {
        self.last_sender_report = Some(((ntp >> 16) as u32, now));
    }

    /// The report block for now; the fraction is of the time since the last call. `None` before the first packet.
    pub fn report(&mut self, ssrc: Ssrc, now: Micros) -> Option<ReportBlock> {
        self.first?;
        let expected = self.expected();
        let expected_interval = expected.saturating_sub(self.expected_prior);
        let received_interval = self.received.saturating_sub(self.received_prior);
        self.expected_prior = expected;
        self.received_prior = self.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction = (lost_interval << 8)
            .checked_div(expected_interval)
            .unwrap_or(0);
        let (lsr, dlsr) = match self.last_sender_report {
            None => (0, 0),
            Some((lsr, at)) => (
                lsr,
                (u128::from((now - at).0) * 65_536 / 1_000_000).min(u128::from(u32::MAX)) as u32,
            ),
        };
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction.min(255) as u8,
            cumulative_lost: self.lost().min(0x7F_FFFF) as i32,
            highest_seq: self.highest as u32,
            jitter: self.jitter_q4 >> 4,
            last_sr: lsr,
            delay_since_last_sr: dlsr,
        })
    }

    fn expected(&self) -> u64 {
        self.first.map_or(0, |first| {
            (self.highest - first + 1).saturating_sub(self.skipped)
        })
    }

    /// Packets lost, retransmissions not counted.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// Packets received, duplicates and retransmissions not counted.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets received twice or too late to tell.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Packets received behind a later one.
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// The highest sequence number.
    pub fn highest(&self) -> Option<SeqNo> {
        self.first.map(|_| SeqNo(self.highest))
    }

    /// Interarrival jitter in seconds.
    pub fn jitter_s(&self) -> f64 {
        f64::from(self.jitter_q4) / 16.0 / f64::from(self.clock_rate)
    }

    fn set_seen(&mut self, seq: u64) {
        let (word, bit) = place(seq);
        self.seen[word] |= bit;
    }

    fn clear_seen(&mut self, seq: u64) {
        let (word, bit) = place(seq);
        self.seen[word] &= !bit;
    }

    fn is_seen(&self, seq: u64) -> bool {
        let (word, bit) = place(seq);
        self.seen[word] & bit != 0
    }
}

fn place(seq: u64) -> (usize, u64) {
    let index = seq % DUPLICATE_WINDOW;
    ((index / 64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const BASE: u64 = 0x1_0000;

    fn feed(reception: &mut Reception, seqs: &[u64]) -> Vec<Arrival> {
        seqs.iter()
            .map(|&seq| reception.on_packet(SeqNo(seq), (seq * 960) as u32, Micros(seq * 20_000)))
            .collect()
    }

    #[test]
    fn nothing_received_reports_nothing() {
        assert_eq!(Reception::new(48_000).report(Ssrc(9), Micros(5)), None);
    }

    #[test]
    fn classifies_arrivals() {
        let mut reception = Reception::new(48_000);
        let arrivals = feed(
            &mut reception,
            &[BASE, BASE + 1, BASE + 4, BASE + 3, BASE + 3, BASE - 1],
        );
        assert_eq!(
            arrivals,
            [
                Arrival::First,
                Arrival::Ahead(0),
                Arrival::Ahead(2),
                Arrival::Late,
                Arrival::Duplicate,
                Arrival::Late
            ]
        );
        assert_eq!(
            (
                reception.received(),
                reception.duplicates(),
                reception.reordered()
            ),
            (5, 1, 2)
        );
        assert_eq!(
            reception.lost(),
            1,
            "only BASE+2 is missing; BASE-1 widened the range"
        );
    }

    #[test]
    fn fraction_is_per_interval() {
        let mut reception = Reception::new(90_000);
        feed(&mut reception, &[BASE, BASE + 1, BASE + 3]);
        let first = reception.report(Ssrc(9), Micros(0)).expect("received");
        assert_eq!(
            (first.fraction_lost, first.cumulative_lost),
            (64, 1),
            "1 of 4"
        );
        feed(&mut reception, &[BASE + 4, BASE + 5]);
        let second = reception.report(Ssrc(9), Micros(0)).expect("received");
        assert_eq!((second.fraction_lost, second.cumulative_lost), (0, 1));
        assert_eq!(second.highest_seq, BASE as u32 + 5);
    }

    #[test]
    fn all_lost_but_one_saturates_the_fraction() {
        let mut reception = Reception::new(90_000);
        feed(&mut reception, &[BASE]);
        reception.report(Ssrc(9), Micros(0));
        feed(&mut reception, &[BASE + 2_999]);
        assert_eq!(
            reception
                .report(Ssrc(9), Micros(0))
                .expect("received")
                .fraction_lost,
            255
        );
    }

    #[test]
    fn retransmission_repairs_nothing_in_the_report() {
        let mut reception = Reception::new(90_000);
        feed(&mut reception, &[BASE, BASE + 2]);
        assert_eq!(reception.on_retransmission(SeqNo(BASE + 1)), Arrival::Late);
        assert_eq!(
            reception.on_retransmission(SeqNo(BASE + 1)),
            Arrival::Duplicate
        );
        assert_eq!(
            reception.on_retransmission(SeqNo(BASE + 9)),
            Arrival::TooOld,
            "from the future"
        );
        assert_eq!(reception.lost(), 1);
        assert_eq!(
            feed(&mut reception, &[BASE + 1]),
            [Arrival::Duplicate],
            "the original after its own repair"
        );
    }

    #[test]
    fn jump_is_a_restart_not_loss() {
        let mut reception = Reception::new(90_000);
        feed(&mut reception, &[BASE, BASE + 1]);
        assert_eq!(feed(&mut reception, &[BASE + 30_001]), [Arrival::Jump]);
        assert_eq!(reception.lost(), 0);
        assert_eq!(feed(&mut reception, &[BASE + 1]), [Arrival::TooOld]);
        assert_eq!(
            feed(&mut reception, &[BASE + 30_000]),
            [Arrival::Late],
            "the gap was cleared in the window"
        );
    }

    #[test]
    fn jitter_follows_appendix_a8() {
        let mut reception = Reception::new(8_000);
        // Packets of 20 ms; the third comes 10 ms late: D = 80 units, J = 80/16 = 5.
        for (index, at) in [0u64, 20_000, 50_000].into_iter().enumerate() {
            reception.on_packet(SeqNo(BASE + index as u64), index as u32 * 160, Micros(at));
        }
        assert_eq!(
            reception
                .report(Ssrc(9), Micros(0))
                .expect("received")
                .jitter,
            5
        );
        assert!((reception.jitter_s() - 5.0 / 8_000.0).abs() < 1e-6);
        reception.set_clock_rate(48_000);
        assert!(reception.jitter_s() < 1e-9);
    }

    #[test]
    fn jitter_survives_timestamp_wrap_and_ignores_a_new_origin() {
        let mut reception = Reception::new(90_000);
        let start = u32::MAX - 3_000;
        for index in 0..50u32 {
            let at = Micros(u64::from(index) * 33_333);
            reception.on_packet(
                SeqNo(BASE + u64::from(index)),
                start.wrapping_add(index * 3_000),
                at,
            );
        }
        assert!(reception.jitter_s() < 0.001);
        reception.on_packet(SeqNo(BASE + 50), 1 << 30, Micros(50 * 33_333));
        assert!(reception.jitter_s() < 0.001);
    }

    #[test]
    fn sender_report_gives_lsr_and_dlsr() {
        let mut reception = Reception::new(90_000);
        feed(&mut reception, &[BASE]);
        reception.on_sender_report(0x1122_3344_5566_7788, Micros::from_secs(10));
        let report = reception
            .report(Ssrc(9), Micros(11_500_000))
            .expect("received");
        assert_eq!(report.last_sr, 0x3344_5566);
        assert_eq!(report.delay_since_last_sr, 98_304, "1.5 s");
    }

    proptest! {
        /// Against sets: for any order within the window, unique packets are new exactly once and the loss is right.
        #[test]
        fn counts_match_a_model(start in 0u64..200_000, steps in proptest::collection::vec(-40i64..45, 1..500)) {
            let mut reception = Reception::new(90_000);
            let mut model = HashSet::new();
            let mut at = start + 100_000;
            let (mut low, mut high) = (u64::MAX, 0u64);
            for step in steps {
                at = at.checked_add_signed(step).expect("stays far above zero");
                if low != u64::MAX && high.saturating_sub(at) >= DUPLICATE_WINDOW {
                    continue;
                }
                let new = reception.on_packet(SeqNo(at), 0, Micros(0)).is_new();
                prop_assert_eq!(new, model.insert(at));
                low = low.min(at);
                high = high.max(at);
            }
            prop_assert_eq!(reception.received(), model.len() as u64);
            prop_assert_eq!(reception.lost(), high - low + 1 - model.len() as u64);
        }

        #[test]
        fn no_input_panics(packets in proptest::collection::vec((any::<u64>(), any::<u32>(), any::<u64>()), 1..100)) {
            let mut reception = Reception::new(0);
            for (seq, timestamp, now) in packets {
                reception.on_packet(SeqNo(seq), timestamp, Micros(now));
                reception.on_sender_report(now, Micros(seq));
                reception.report(Ssrc(9), Micros(now));
            }
        }
    }
}
