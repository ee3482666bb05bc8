//! Tests of the ring of packets sent: against a map that forgets nothing, its growth, and its caps.

use super::*;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const START: Micros = Micros::from_secs(10_000);

#[test]
fn arrives_once_and_counts_once() {
    let mut sent = SentPackets::new();
    sent.push(65_535, 1_000, 3, START);
    sent.push(0, 500, 0, START + Micros(7));
    assert_eq!(sent.in_flight_bytes(), 1_500);
    let now = START + Micros::from_millis(50);
    let packet = SentPacket {
        sent_at: START,
        bytes: 1_000,
        cluster: 3,
    };
    assert_eq!(sent.tell(65_535, false, now), Told::Lost(packet));
    assert_eq!(sent.tell(65_535, false, now), Told::Known);
    let late = Told::Received { packet, late: true };
    assert_eq!(sent.tell(65_535, true, now), late);
    assert_eq!(sent.tell(65_535, true, now), Told::Known);
    assert_eq!(sent.in_flight_bytes(), 500);
}

#[test]
fn numbers_never_sent_are_unknown() {
    let mut sent = SentPackets::new();
    assert_eq!(sent.tell(0, true, START), Told::Unknown);
    sent.push(7, 100, 0, START);
    for seq in [8, 6, 39, 7 + 32_768] {
        assert_eq!(sent.tell(seq, true, START), Told::Unknown, "{seq}");
    }
}

#[test]
fn grows_only_for_those_who_give_feedback() {
    let mut sent = SentPackets::new();
    let push = |sent: &mut SentPackets, from: u32, count: u32| {
        for number in from..from + count {
            sent.push(number as u16, 1_000, 0, START + Micros(u64::from(number)));
        }
    };
    push(&mut sent, 0, 1_000);
    assert_eq!(sent.capacity(), INITIAL);
    assert_eq!(sent.in_flight_bytes(), 1_000 * INITIAL as u64);
    sent.allow_growth();
    push(&mut sent, 1_000, 500);
    assert_eq!(sent.capacity(), 1_024);
    assert!(matches!(
        sent.tell(1_000, true, START),
        Told::Received { .. }
    ));
    push(&mut sent, 1_500, 60_000);
    assert_eq!(sent.capacity(), MAX);
    assert_eq!(sent.in_flight_bytes(), 1_000 * MAX as u64);
}

#[test]
fn what_nothing_is_heard_of_makes_place() {
    let mut sent = SentPackets::new();
    sent.allow_growth();
    for number in 0..1_000_u64 {
        sent.push(
            number as u16,
            100,
            0,
            START + Micros::from_millis(100 * number),
        );
    }
    assert_eq!(sent.capacity(), INITIAL, "32 packets are 3 s");
}

#[test]
fn step_or_long_silence_forgets() {
    let mut sent = SentPackets::new();
    sent.push(5, 100, 0, START);
    sent.push(9, 100, 0, START);
    assert_eq!(sent.tell(5, true, START), Told::Unknown);
    // Past the wrap of 32 bits of microseconds an age would be wrong.
    sent.push(10, 100, 0, START + Micros::from_secs(4_300));
    assert_eq!(sent.tell(9, true, START), Told::Unknown);
    assert_eq!(sent.in_flight_bytes(), 100);
}

proptest! {
    #[test]
    fn agrees_with_a_map(
        first: u16,
        steps in prop::collection::vec((1..40_u16, 0..3_000_u64, 0..60_u16, any::<bool>()), 1..300)
    ) {
        let mut sent = SentPackets::new();
        sent.allow_growth();
        let mut truth: HashMap<u16, (Micros, u32)> = HashMap::new();
        let mut waiting = HashSet::new();
        let (mut seq, mut now) = (first, START);
        for (count, wait, back, received) in steps {
            now = now + Micros(wait);
            for _ in 0..count {
                let bytes = u32::from(seq % 1_200);
                sent.push(seq, bytes as usize, 0, now);
                truth.insert(seq, (now, bytes));
                waiting.insert(seq);
                seq = seq.wrapping_add(1);
            }
            let asked = seq.wrapping_sub(back);
            let told = sent.tell(asked, received, now);
            match told {
                Told::Received { packet, .. } | Told::Lost(packet) => {
                    let known = truth.get(&asked).copied();
                    prop_assert_eq!(known, Some((packet.sent_at, packet.bytes)));
                }
                Told::Known | Told::Unknown => {}
            }
            // Whatever nothing was heard of is kept.
            if waiting.remove(&asked) {
                let heard = matches!(told, Told::Received { .. } | Told::Lost(_));
                prop_assert!(heard, "{:?}", told);
            }
            prop_assert!(sent.capacity() <= MAX);
        }
    }
}
