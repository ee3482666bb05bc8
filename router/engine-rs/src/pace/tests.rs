//! Receivers with full links, in virtual time.

use super::waiting::{DEADLINE, LAYER_DEADLINE, MAX_BYTES};
use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

const START: Micros = Micros::from_secs(100);
const PACKET: usize = 1_100;

fn ms(ms: u64) -> Micros {
    START + Micros::from_millis(ms)
}

fn packet(ssrc: u32, class: Class, bytes: &[u8]) -> Paced<'_> {
    Paced {
        ssrc: Ssrc(ssrc),
        class,
        is_repair: false,
        bytes,
    }
}

/// A receiver whose link carries `bps` and queues without end.
struct Link {
    pacer: Pacer,
    bps: u64,
    free_at: Micros,
    /// When each datagram left us and when it reached the other end: bytes, and the first byte, its mark.
    arrived: Vec<(Micros, Micros, usize, u8)>,
    /// Datagrams in each release.
    runs: Vec<usize>,
}

impl Link {
    fn new(bps: u64, estimate: Option<u64>) -> Self {
        let mut pacer = Pacer::default();
        pacer.set_rate(estimate, START);
        Self {
            pacer,
            bps,
            free_at: START,
            arrived: Vec::new(),
            runs: Vec::new(),
        }
    }

    fn leave(&mut self, bytes: usize, mark: u8, now: Micros) {
        let time = Micros(bytes as u64 * 8_000_000 / self.bps);
        self.free_at = self.free_at.max(now) + time;
        self.arrived.push((now, self.free_at, bytes, mark));
    }

    fn send(&mut self, packet: &Paced, now: Micros) -> Admission {
        let admission = self.pacer.admit(packet, now);
        if admission == Admission::Pass {
            self.leave(packet.bytes.len(), packet.bytes[0], now);
        }
        admission
    }

    /// Serves the pacer's deadlines up to `until`.
    fn wait(&mut self, from: Micros, until: Micros) {
        let mut now = from;
        while let Some(at) = self.pacer.deadline().filter(|at| *at < until) {
            now = at.max(now);
            self.serve(now);
        }
    }

    fn serve(&mut self, now: Micros) {
        let mut out = [0; 1_500];
        let mut run = 0;
        while let Some(released) = self.pacer.release(&mut out, now) {
            self.leave(released.len, out[0], now);
            run += 1;
        }
        if run > 0 {
            self.runs.push(run);
        }
    }

    /// The longest that datagrams with this mark took through the link.
    fn worst(&self, mark: u8) -> u64 {
        let marked = self.arrived.iter().filter(|it| it.3 == mark);
        marked
            .map(|(left, there, ..)| (*there - *left).as_millis())
            .max()
            .unwrap_or(0)
    }
}

/// A second of video with 25 frames a second of `frame` bytes, the first one of `key` bytes, and a voice.
fn call(link: &mut Link, key: usize, frame: usize) -> u64 {
    let (audio, video) = ([b'a'; 160], [b'v'; PACKET]);
    let mut waited = 0;
    for tick in 0..200 {
        let now = ms(tick * 10);
        if tick % 2 == 1 {
            assert_eq!(
                link.send(&packet(1, Class::Audio, &audio), now),
                Admission::Pass
            );
        }
        if tick % 4 == 0 {
            let (bytes, class) = if tick == 0 {
                (key, Class::VideoKey)
            } else {
                (frame, Class::Video)
            };
            for _ in 0..bytes / PACKET {
                link.send(&packet(2, class, &video), now);
            }
        }
        waited = waited.max(link.pacer.delay(now).as_millis());
        link.wait(now, now + Micros::from_millis(10));
    }
    waited
}

#[test]
fn a_key_frame_does_not_stop_the_voice() {
    let mut paced = Link::new(1_000_000, Some(1_000_000));
    let waited = call(&mut paced, 120_000, 2_200);
    let mut unpaced = Link::new(1_000_000, None);
    call(&mut unpaced, 120_000, 2_200);
    // No audio packet waits with us at all; this is what it waits in the network's queue.
    let (paced_ms, unpaced_ms) = (paced.worst(b'a'), unpaced.worst(b'a'));
    println!("voice in the link: {paced_ms} ms, unpaced {unpaced_ms} ms; video waited {waited} ms");
    assert!(
        paced_ms <= 130 && unpaced_ms >= 900,
        "{paced_ms} {unpaced_ms}"
    );
    assert!((800..2_000).contains(&waited), "{waited}");
    assert_eq!(paced.pacer.take_stale(), 0);
    assert_eq!(paced.arrived.len(), unpaced.arrived.len(), "all arrives");
    assert_eq!(paced.pacer.deadline(), None);
}

#[test]
fn a_link_slower_than_estimated_is_not_flooded() {
    let mut link = Link::new(900_000, Some(1_000_000));
    call(&mut link, 60_000, 1_100);
    assert!(link.worst(b'a') < 160, "{}", link.worst(b'a'));
}

#[test]
fn what_waits_leaves_in_runs() {
    for bps in [1_000_000, 2_000_000, 5_000_000, 20_000_000] {
        let mut link = Link::new(bps, Some(bps));
        call(&mut link, 240_000.min(bps as usize / 5), 2_200);
        let runs = &link.runs[..link.runs.len() - 1];
        let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
        println!("{} kbit/s: {mean:.1} packets a run", bps / 1_000);
        assert!(mean >= 4.0, "{bps}: {runs:?}");
    }
}

#[test]
fn a_stream_within_the_estimate_is_left_alone() {
    let mut link = Link::new(10_000_000, Some(2_000_000));
    let waited = call(&mut link, 8_800, 8_800);
    assert_eq!(
        (waited, link.runs.len(), link.pacer.held.is_none()),
        (0, 0, true)
    );
    let mut link = Link::new(10_000_000, None);
    call(&mut link, 500_000, 50_000);
    assert!(
        link.pacer.held.is_none(),
        "without an estimate nothing waits"
    );
}

#[test]
fn one_key_frame_does_not_stop_other_pictures() {
    let mut link = Link::new(1_000_000, Some(1_000_000));
    let (large, small) = ([b'k'; PACKET], [b's'; 500]);
    for _ in 0..60 {
        link.send(&packet(2, Class::VideoKey, &large), START);
    }
    let mut sent = Vec::new();
    for frame in 0..10 {
        let now = ms(5 + frame * 40);
        link.send(&packet(3, Class::Video, &small), now);
        sent.push(now);
        link.wait(now, now + Micros::from_millis(40));
    }
    let left = link.arrived.iter().filter(|it| it.3 == b's').map(|it| it.0);
    let waits: Vec<u64> = left
        .zip(sent)
        .map(|(left, sent)| (left - sent).as_millis())
        .collect();
    assert!(
        waits.len() >= 9 && waits.iter().all(|wait| *wait < 80),
        "{waits:?}"
    );
}

#[test]
fn repairs_go_first() {
    let mut link = Link::new(1_000_000, Some(1_000_000));
    let (media, repair) = ([b'v'; PACKET], [b'r'; PACKET]);
    for _ in 0..20 {
        link.send(&packet(2, Class::VideoKey, &media), START);
    }
    let before = link.arrived.len();
    let repair = Paced {
        is_repair: true,
        ..packet(4, Class::Video, &repair)
    };
    assert_eq!(link.send(&repair, START), Admission::Wait);
    link.wait(START, ms(200));
    assert_eq!(link.arrived[before].3, b'r');
}

#[test]
fn what_comes_too_late_is_dropped_and_counted() {
    let mut pacer = Pacer::default();
    pacer.set_rate(Some(8_000), START);
    let bytes = [0; PACKET];
    for _ in 0..4 {
        pacer.admit(&packet(2, Class::Video, &bytes), START);
        pacer.admit(&packet(3, Class::VideoLayer, &bytes), START);
    }
    let mut out = [0; 1_500];
    pacer.release(&mut out, START + LAYER_DEADLINE);
    assert_eq!(pacer.take_stale(), 3);
    pacer.release(&mut out, START + DEADLINE - Micros(1));
    assert_eq!(pacer.take_stale(), 0);
    assert_eq!(pacer.release(&mut out, START + DEADLINE), None);
    assert!(pacer.take_stale() > 0 && pacer.deadline().is_none());
}

#[test]
fn no_more_waits_than_may() {
    let mut pacer = Pacer::default();
    pacer.set_rate(Some(100_000), START);
    let bytes = [0; PACKET];
    let mut waiting = 0;
    for stream in 0..400 {
        match pacer.admit(&packet(stream, Class::Video, &bytes), START) {
            Admission::Wait => waiting += PACKET,
            Admission::Drop(reason) => assert_eq!(reason, DropReason::PacerFull),
            Admission::Pass => {}
        }
    }
    assert_eq!(waiting, 64 * PACKET, "one stream each");
    for _ in 0..1_000 {
        if pacer.admit(&packet(7, Class::Video, &bytes), START) == Admission::Wait {
            waiting += PACKET;
        }
    }
    assert!(
        waiting <= MAX_BYTES && waiting + PACKET > MAX_BYTES,
        "{waiting}"
    );
    assert_eq!(
        pacer.admit(&packet(1, Class::Audio, &bytes), START),
        Admission::Pass
    );
}

#[test]
fn memory_is_given_back() {
    let mut link = Link::new(1_000_000, Some(1_000_000));
    call(&mut link, 60_000, 1_100);
    link.pacer.rest(ms(2_000));
    assert!(link.pacer.held.is_some());
    link.pacer.rest(ms(13_000));
    assert!(link.pacer.held.is_none());
}

#[test]
fn a_limit_lifted_lets_all_go() {
    let mut link = Link::new(1_000_000, Some(1_000_000));
    let bytes = [0; PACKET];
    for _ in 0..50 {
        link.send(&packet(2, Class::Video, &bytes), START);
    }
    link.pacer.set_rate(None, ms(1));
    assert_eq!(
        link.send(&packet(2, Class::Video, &bytes), ms(1)),
        Admission::Wait,
        "in order"
    );
    assert!(link.pacer.deadline().is_some_and(|at| at <= ms(1)));
    link.serve(ms(1));
    assert_eq!(link.arrived.len(), 51);
    assert_eq!(
        link.send(&packet(2, Class::Video, &bytes), ms(2)),
        Admission::Pass
    );
}

proptest! {
    /// What waits comes out once, in the order of its stream and as it was.
    #[test]
    fn nothing_is_lost_or_mixed_up(
        bps in 1_500_000..6_000_000_u64,
        packets in prop::collection::vec((0..6_u8, 12..1_400_usize, 0..2_000_u64), 1..150),
    ) {
        let mut pacer = Pacer::default();
        pacer.set_rate(Some(bps), START);
        let mut now = START;
        let mut expected = vec![VecDeque::new(); 6];
        let mut out = [0; 1_500];
        for (number, (ssrc, len, wait)) in packets.into_iter().enumerate() {
            let mut bytes = vec![ssrc; len];
            bytes[1] = number as u8;
            let is_repair = ssrc == 5;
            let paced = Paced { is_repair, ..packet(ssrc.into(), Class::Video, &bytes) };
            match pacer.admit(&paced, now) {
                Admission::Pass => prop_assert!(expected[usize::from(ssrc)].is_empty(), "overtaken"),
                Admission::Wait => expected[usize::from(ssrc)].push_back(bytes),
                Admission::Drop(reason) => prop_assert!(false, "{:?}", reason),
            }
            now = now + Micros(wait);
            while let Some(one) = pacer.release(&mut out, now) {
                let front = expected[usize::from(out[0])].pop_front();
                prop_assert_eq!(front.as_deref(), Some(&out[..one.len]));
            }
        }
        while let Some(at) = pacer.deadline() {
            now = at.max(now);
            let one = pacer.release(&mut out, now).expect("it is time");
            let front = expected[usize::from(out[0])].pop_front();
            prop_assert_eq!(front.as_deref(), Some(&out[..one.len]));
        }
        prop_assert!(expected.iter().all(VecDeque::is_empty));
        prop_assert_eq!(pacer.take_stale(), 0);
    }
}
