//! Receivers who lie: the estimate stays within its limits, what is not believed is counted, and whoever returns to the
//! truth is believed again.

use crate::paths::random::Random;
use fork_router_engine::bwe::{Estimator, MAX_BPS, MIN_BPS};
use fork_router_engine::ids::Ssrc;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{
    CcfbReport, RtcpMessage, TransportCcHead, messages, write_ccfb, write_transport_cc,
};

const SEED: u64 = 61;

/// Sends 50 packets each 50 ms and hears feedback on them, as `arrivals` makes it.
struct Victim {
    estimator: Estimator,
    now: Micros,
    seq: u16,
}

impl Victim {
    fn new() -> Self {
        let mut estimator = Estimator::new(Micros(0), 300_000);
        estimator.set_wanted(5_000_000);
        Self {
            estimator,
            now: Micros::from_secs(1),
            seq: 0,
        }
    }

    /// One round; `arrivals` gets the time of the first packet's sending.
    fn round(
        &mut self,
        base: impl Fn(u16) -> u16,
        arrivals: impl Fn(Micros) -> Vec<Option<Micros>>,
    ) {
        let first = self.seq;
        let began = self.now;
        for _ in 0..50 {
            self.estimator.on_sent(self.seq, 1_200, self.now, None);
            self.seq = self.seq.wrapping_add(1);
            self.now = self.now + Micros::from_millis(1);
            while let Some(probe) = self.estimator.poll_probe(self.now) {
                self.estimator
                    .on_sent(self.seq, probe.bytes, self.now, Some(probe.cluster));
                self.seq = self.seq.wrapping_add(1);
            }
        }
        let mut buffer = [0; 1_400];
        let head = TransportCcHead {
            sender: Ssrc(1),
            media: Ssrc(2),
            base_seq: base(first),
            feedback_count: 0,
        };
        let list = arrivals(began);
        if let Ok((len, _)) = write_transport_cc(&mut buffer, &head, &list) {
            self.hear(&buffer[..len], self.now + Micros::from_millis(20));
        }
        self.estimator.tick(self.now);
        let estimate = self.estimator.estimate();
        assert!((MIN_BPS..=MAX_BPS).contains(&estimate), "{estimate}");
    }

    fn hear(&mut self, bytes: &[u8], at: Micros) {
        match messages(bytes).next() {
            Some(Ok(RtcpMessage::TransportCc(message))) => {
                self.estimator.on_transport_cc(&message, at);
            }
            Some(Ok(RtcpMessage::Ccfb(message))) => self.estimator.on_ccfb(&message, at),
            _ => {}
        }
    }

    fn honest(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.round(|first| first, |began| steps(began, 1_000, 50));
        }
    }
}

/// Arrivals `gap_us` apart.
fn steps(from: Micros, gap_us: u64, count: u64) -> Vec<Option<Micros>> {
    (0..count)
        .map(|n| Some(from + Micros(30_000 + gap_us * n)))
        .collect()
}

#[test]
fn ten_gigabits_a_second_are_not_believed() {
    let mut victim = Victim::new();
    for _ in 0..1_000 {
        victim.round(|first| first, |began| steps(began, 0, 50));
    }
    // What was sent is 9.6 Mbit/s.
    let estimate = victim.estimator.estimate();
    assert!(estimate < 20_000_000, "{estimate}");
}

#[test]
fn one_bit_a_second_leaves_the_audio_and_passes() {
    let mut victim = Victim::new();
    victim.honest(100);
    let before = victim.estimator.estimate();
    victim.estimator.on_remb(1, victim.now);
    assert_eq!(victim.estimator.estimate(), MIN_BPS);
    victim.estimator.on_remb(u64::MAX, victim.now);
    assert!(victim.estimator.estimate() <= MAX_BPS);
    victim.estimator.on_remb(1, victim.now);
    victim.honest(250);
    assert!(
        victim.estimator.estimate() >= before,
        "he said it once, long ago"
    );
}

#[test]
fn numbers_never_sent_change_nothing_and_are_counted() {
    let mut victim = Victim::new();
    victim.honest(100);
    let before = victim.estimator.snapshot();
    let (at, base_seq) = (victim.now, victim.seq.wrapping_add(1_000));
    let head = TransportCcHead {
        sender: Ssrc(1),
        media: Ssrc(2),
        base_seq,
        feedback_count: 0,
    };
    let mut buffer = [0; 1_400];
    let list = steps(at, 1, 500);
    let (len, covered) = write_transport_cc(&mut buffer, &head, &list).expect("fits");
    victim.hear(&buffer[..len], at);
    let after = victim.estimator.snapshot();
    assert_eq!(
        after.counters.unknown_packets - before.counters.unknown_packets,
        covered as u64
    );
    assert_eq!(
        (after.acked_bps, after.queue),
        (before.acked_bps, before.queue)
    );
}

#[test]
fn clock_jumps_are_counted_and_survived() {
    for jump in [
        Micros::from_secs(3_600),
        Micros::from_secs(86_400),
        Micros::from_secs(5),
    ] {
        let mut victim = Victim::new();
        victim.honest(100);
        let before = victim.estimator.estimate();
        let mut forwards = true;
        for _ in 0..6 {
            for _ in 0..20 {
                let offset = if forwards { jump } else { Micros(0) };
                victim.round(|first| first, |began| steps(began + offset, 1_000, 50));
            }
            forwards = !forwards;
        }
        let snapshot = victim.estimator.snapshot();
        assert!(snapshot.counters.impossible_arrivals >= 5, "{snapshot:?}");
        assert!(
            snapshot.estimate_bps as f64 > 0.6 * before as f64,
            "{snapshot:?}"
        );
    }
}

#[test]
fn flood_of_feedback_is_not_looked_at() {
    let mut victim = Victim::new();
    victim.honest(20);
    let head = TransportCcHead {
        sender: Ssrc(1),
        media: Ssrc(2),
        base_seq: 0,
        feedback_count: 0,
    };
    let mut buffer = [0; 1_400];
    // 8,000 numbers, nearly all of them lost: a few bytes.
    let mut list = vec![None; 8_000];
    list[7_999] = Some(victim.now);
    let (len, _) = write_transport_cc(&mut buffer, &head, &list).expect("fits");
    assert!(len < 60);
    for n in 0..10_000 {
        victim.hear(&buffer[..len], victim.now + Micros(n * 100));
    }
    let counters = victim.estimator.snapshot().counters;
    assert!(counters.flooded_messages > 9_900, "{counters:?}");
    assert!(counters.unknown_packets < 60_000, "{counters:?}");
}

/// Anything at all, for a long time: nothing panics, the limits hold, and honesty is rewarded.
#[test]
fn any_feedback_keeps_the_limits() {
    let mut random = Random::new(SEED);
    println!("seed {SEED}");
    for _ in 0..30 {
        let mut victim = Victim::new();
        for _ in 0..200 {
            let (shift, lie) = (random.next() as u16 % 100, random.next() % 5);
            let chance: Vec<u64> = (0..50).map(|_| random.next()).collect();
            victim.round(
                |first| first.wrapping_sub(if lie == 0 { shift } else { 0 }),
                |began| {
                    let times = chance.iter().enumerate();
                    times
                        .map(|(n, chance)| {
                            let honest = began + Micros(30_000 + 1_000 * n as u64);
                            let at = match lie {
                                1 => Micros(chance % 1_000_000_000),
                                2 => honest + Micros(chance % 4_000_000),
                                3 => began,
                                _ => honest,
                            };
                            (chance % 7 != 0).then_some(at)
                        })
                        .collect()
                },
            );
            if lie == 4 {
                victim
                    .estimator
                    .on_remb(chance[0] >> (chance[1] % 64), victim.now);
                victim
                    .estimator
                    .on_report(chance[2] as f64, Some(Micros(chance[3])), victim.now);
            }
        }
        victim.honest(600);
        let estimate = victim.estimator.estimate();
        assert!(
            estimate > 1_000_000,
            "seed {SEED}: {estimate} after half a minute of truth"
        );
    }
}

#[test]
fn rfc_8888_says_the_same() {
    let mut estimator = Estimator::new(Micros(0), 300_000);
    estimator.set_wanted(5_000_000);
    let mut now = Micros::from_secs(1);
    let mut seq = 0_u16;
    for _ in 0..200 {
        let began = now;
        let first = seq;
        for n in 0..50_u16 {
            let ssrc = Ssrc(u32::from(n % 2));
            estimator.on_sent(seq, 1_200, now, None);
            estimator.on_sent_as(seq, ssrc, (seq / 2).wrapping_add(60_000));
            seq = seq.wrapping_add(1);
            now = now + Micros::from_millis(1);
        }
        // Reported 60 ms after the first was sent; they took 30 ms; number 8 is lost.
        let offset = |n: u16| Some((1_024 * u32::from(90 - 30 - n) / 1_000) as u16 + 40);
        let of = |odd: u16| -> Vec<_> {
            (0..25)
                .map(|n| if n == 4 { None } else { offset(2 * n + odd) })
                .collect()
        };
        let begin_seq = (first / 2).wrapping_add(60_000);
        let (even, odd) = (of(0), of(1));
        let reports = [
            CcfbReport {
                ssrc: Ssrc(1),
                begin_seq,
                arrivals: &odd,
            },
            CcfbReport {
                ssrc: Ssrc(0),
                begin_seq,
                arrivals: &even,
            },
        ];
        let timestamp = ((began.0 + 120_000) * 65_536 / 1_000_000) as u32;
        let mut buffer = [0; 1_400];
        let len = write_ccfb(&mut buffer, Ssrc(1), timestamp, &reports).expect("fits");
        let Some(Ok(RtcpMessage::Ccfb(message))) = messages(&buffer[..len]).next() else {
            panic!("not feedback")
        };
        estimator.on_ccfb(&message, now + Micros::from_millis(80));
    }
    let snapshot = estimator.snapshot();
    assert_eq!(
        snapshot.counters.unknown_packets + snapshot.counters.impossible_arrivals,
        0
    );
    assert!((0.035..0.045).contains(&snapshot.loss), "{snapshot:?}");
    let acked = snapshot.acked_bps.expect("a rate") as f64;
    assert!((acked - 0.96 * 9.6e6).abs() < 0.5e6, "{acked}");
    assert!(snapshot.estimate_bps > 400_000, "{snapshot:?}");
}
