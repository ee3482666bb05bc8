//! Tests of what the estimator makes of its parts. Whole paths are in `tests/bandwidth/`.

use super::*;
use crate::wire::rtcp::{RtcpMessage, TransportCcHead, messages, write_transport_cc};

const START_BPS: u64 = 400_000;

struct Path {
    estimator: Estimator,
    seq: u16,
    now: Micros,
}

impl Path {
    fn new() -> Self {
        let now = Micros::from_secs(10);
        let mut estimator = Estimator::new(now, START_BPS);
        estimator.set_wanted(2_000_000);
        Self {
            estimator,
            seq: 7,
            now,
        }
    }

    /// A tenth of a second at 480 kbit/s; feedback comes 60 ms after the last packet, if at all.
    fn tenth(&mut self, heard: bool) {
        let first = self.seq;
        let mut arrivals = Vec::new();
        for _ in 0..5 {
            self.estimator.on_sent(self.seq, 1_200, self.now, None);
            self.seq = self.seq.wrapping_add(1);
            arrivals.push(Some(self.now + Micros::from_millis(30)));
            self.now = self.now + Micros::from_millis(20);
        }
        if heard {
            self.hear(first, &arrivals);
        }
        while self.estimator.deadline().is_some_and(|at| at <= self.now) {
            self.estimator.tick(self.now);
            let Some(probe) = self.estimator.poll_probe(self.now) else {
                break;
            };
            self.estimator
                .on_sent(self.seq, probe.bytes, self.now, Some(probe.cluster));
            self.seq = self.seq.wrapping_add(1);
        }
    }

    fn hear(&mut self, base_seq: u16, arrivals: &[Option<Micros>]) {
        let head = TransportCcHead {
            sender: Ssrc(1),
            media: Ssrc(2),
            base_seq,
            feedback_count: 0,
        };
        let mut buffer = [0; 400];
        let (len, _) = write_transport_cc(&mut buffer, &head, arrivals).expect("fits");
        let Some(Ok(RtcpMessage::TransportCc(message))) = messages(&buffer[..len]).next() else {
            panic!("not feedback")
        };
        let at = self.now + Micros::from_millis(40);
        self.estimator.on_transport_cc(&message, at);
    }
}

#[test]
fn without_feedback_nothing_is_known_and_nothing_probed() {
    let mut path = Path::new();
    for _ in 0..100 {
        path.tenth(false);
        assert_eq!(path.estimator.deadline(), None);
        assert_eq!(path.estimator.poll_probe(path.now), None);
    }
    assert_eq!(path.estimator.estimate(), START_BPS);
    assert_eq!(path.estimator.sent.capacity(), super::super::sent::INITIAL);
}

#[test]
fn receiver_without_feedback_is_believed_by_his_reports() {
    let mut path = Path::new();
    path.estimator.set_wanted(5_000_000);
    let seconds = |path: &mut Path, count, loss| {
        for _ in 0..count {
            path.now = path.now + Micros::from_secs(1);
            path.estimator.on_unnumbered(125_000);
            path.estimator
                .on_report(loss, Some(Micros::from_millis(80)), path.now);
        }
        path.estimator.snapshot()
    };
    let known = seconds(&mut path, 10, 0.0);
    assert_eq!(known.limit, Limit::Start);
    assert!(path.estimator.is_finding(), "nothing limits it");
    let lossy = seconds(&mut path, 3, 0.3);
    assert!(!path.estimator.is_finding());
    assert!(
        (500_000..1_000_000).contains(&lossy.estimate_bps),
        "{lossy:?}"
    );
    assert_eq!(
        (lossy.limit, lossy.round_trip),
        (Limit::Loss, Micros::from_millis(80))
    );
    let grown = seconds(&mut path, 10, 0.0);
    assert!(grown.estimate_bps > 2 * lossy.estimate_bps, "{grown:?}");
    path.estimator.on_remb(500_000, path.now);
    let named = path.estimator.snapshot();
    assert_eq!((named.estimate_bps, named.limit), (500_000, Limit::Remb));
}

#[test]
fn feedback_measures_and_begins_to_probe() {
    let mut path = Path::new();
    for _ in 0..30 {
        path.tenth(true);
    }
    let snapshot = path.estimator.snapshot();
    let acked = snapshot.acked_bps.expect("a rate");
    assert!((430_000..530_000).contains(&acked), "{snapshot:?}");
    assert_eq!(snapshot.queue, Micros(0));
    assert!(
        (80..150).contains(&snapshot.round_trip.as_millis()),
        "{snapshot:?}"
    );
    assert!(snapshot.estimate_bps > START_BPS);
    assert!(path.estimator.deadline().is_some());
}

#[test]
fn what_arrives_in_the_end_is_the_first_value() {
    let mut path = Path::new();
    // 480 kbit/s are not far more than this.
    path.estimator = Estimator::new(path.now, 350_000);
    while path.seq < 7 + 5 * 20 {
        path.tenth(true);
        assert!(path.estimator.estimate() < 430_000 && path.estimator.is_finding());
    }
    path.tenth(true);
    assert!(!path.estimator.is_finding());
    let snapshot = path.estimator.snapshot();
    assert!(
        Some(snapshot.estimate_bps) >= snapshot.acked_bps,
        "{snapshot:?}"
    );
}

#[test]
fn what_arrives_at_first_is_the_rate() {
    let mut path = Path::new();
    let start = START_BPS / 4;
    path.estimator = Estimator::new(path.now, start);
    for _ in 0..10 {
        path.tenth(true);
    }
    let snapshot = path.estimator.snapshot();
    let acked = snapshot.acked_bps.expect("a rate");
    assert!(
        acked > START_BPS,
        "more is sent than the start: {snapshot:?}"
    );
    assert!(snapshot.estimate_bps >= acked && path.estimator.is_finding());
    for _ in 0..15 {
        path.tenth(true);
    }
    assert!(!path.estimator.is_finding(), "found after two seconds");
}

#[test]
fn silence_lowers_the_estimate_and_its_end_gives_half_back_at_once() {
    let mut path = Path::new();
    for _ in 0..30 {
        path.tenth(true);
    }
    let before = path.estimator.estimate();
    for _ in 0..30 {
        path.tenth(false);
    }
    let silent = path.estimator.snapshot();
    assert_eq!(silent.limit, Limit::Outage);
    assert!(silent.estimate_bps < before / 3, "{silent:?}");
    path.tenth(true);
    let back = path.estimator.snapshot();
    assert!(back.estimate_bps >= before / 2 - 1, "{back:?}");
    assert_eq!((back.limit, back.loss), (Limit::Delay, 0.0));
}

#[test]
fn deadline_lies_ahead_after_a_tick() {
    let mut path = Path::new();
    for step in 0..200 {
        path.tenth(step % 37 < 30);
        path.estimator.tick(path.now);
        path.estimator.poll_probe(path.now);
        let owed = path.estimator.poll_probe(path.now).is_some();
        let deadline = path.estimator.deadline();
        assert!(
            owed || deadline.is_none_or(|at| at > path.now),
            "{step}: {deadline:?}"
        );
    }
}
