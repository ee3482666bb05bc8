//! Switching between producers and between layers under loss: the receiver sees one line of numbers, time that goes
//! on, key frames at each switch, and nothing of a former source after it.

use crate::media::{CLEAN, Impairment, LOSSY, Link, Rng, Source, Track, World};
use fork_router_engine::core::command::{Codec, Limits};
use fork_router_engine::route::SlotSeed;

const SEED: SlotSeed = SlotSeed {
    seq: 32_000,
    timestamp: 5,
    rtx_seq: 1,
    jitter: 3,
};

fn track(id: u64, seq: u16, uplink: Impairment, seed: u64) -> Track {
    let source = Source::new(
        Codec::Vp8,
        10 * id as u32,
        seq,
        (id as u32).wrapping_mul(0x7000_0001),
        3,
    );
    Track::new(id, vec![source], Link::new(uplink, seed + id))
}

/// VP8 facts of a payload as the world builds it: picture id, whether it begins a key frame.
fn picture(payload: &[u8]) -> (u16, bool) {
    let id = u16::from_be_bytes([payload[2] & 0x7F, payload[3]]);
    (id, payload[0] & 0x10 != 0 && payload[4] & 1 == 0)
}

/// Checks the line that arrived; returns how often the source changed. `complete`: nothing may be missing.
fn assert_line(world: &World) -> usize {
    let seed = world.seed;
    let mut switches = 0;
    let mut last: Option<(u64, u64, u32, u16)> = None;
    for (seq, (timestamp, payload)) in &world.receiver.got {
        if payload.is_empty() {
            continue;
        }
        let id = u64::from_be_bytes(payload[14..22].try_into().expect("eight bytes"));
        let (picture_id, key) = picture(payload);
        if let Some((last_seq, last_id, last_timestamp, last_picture)) = last {
            let step = timestamp.wrapping_sub(last_timestamp);
            let advance = picture_id.wrapping_sub(last_picture) & 0x7FFF;
            assert!(
                step < 90_000 * 3,
                "time went back or leapt by {step}, seed {seed}"
            );
            if id >> 32 == last_id >> 32 && id > last_id {
                assert!(id - last_id <= 3 * 40, "seed {seed}");
            }
            let changed = id >> 32 != last_id >> 32;
            if changed {
                switches += 1;
                assert!(
                    key || *seq > last_seq + 1,
                    "begins with a key frame unless its start is missing, seed {seed}"
                );
                assert!(step > 0, "two sources share a timestamp, seed {seed}");
            }
            assert!(advance <= 60, "picture ids leapt by {advance}, seed {seed}");
        }
        last = Some((*seq, id, *timestamp, picture_id));
    }
    switches
}

#[test]
fn producers_alternate_under_loss() {
    for seed in 1..=8 {
        let tracks = vec![track(1, 65_500, LOSSY, seed), track(2, 100, LOSSY, seed)];
        let mut world = World::new(seed, tracks, true, LOSSY, SEED);
        let mut rng = Rng::new(seed ^ 0x5117);
        let mut shown = 0;
        let mut assigned = 0;
        for frame in 0..600u64 {
            for index in 0..2 {
                world.tracks[index].publish(0, 3_000, world.now_ms);
            }
            world.run(33);
            if frame % 30 == 29 && rng.percent(70) {
                shown = 1 - shown;
                assigned += 1;
                world.assign(shown);
            }
        }
        world.run(1_500);
        let switches = assert_line(&world);
        assert!(
            switches >= assigned / 2,
            "{switches} of {assigned}, seed {seed}"
        );
        // What is missing for good went down with its source on the way up, and the router said that it has it not.
        let missing = world.receiver.missing();
        let known = missing
            .iter()
            .filter(|seq| world.unavailable.contains(&(**seq as u16)))
            .count();
        assert_eq!(
            known,
            missing.len(),
            "seed {seed}: unaccounted {missing:?}, refused {:?}",
            world.refused
        );
        assert!(
            missing.len() <= 3 * assigned,
            "{} missing, {assigned} switches, seed {seed}",
            missing.len()
        );
    }
}

#[test]
fn clean_switches_lose_nothing() {
    let tracks = vec![track(1, 10, CLEAN, 1), track(2, 20, CLEAN, 1)];
    let mut world = World::new(77, tracks, true, CLEAN, SEED);
    for frame in 0..300u64 {
        for index in 0..2 {
            world.tracks[index].publish(0, 3_000, world.now_ms);
        }
        world.run(33);
        if frame % 50 == 49 {
            world.assign((frame as usize / 50 + 1) % 2);
        }
    }
    world.run(500);
    assert_eq!(world.receiver.missing(), [] as [u64; 0]);
    assert_eq!(assert_line(&world), 5);
    assert_eq!(world.receiver.by_rtx, 0, "nothing had to be repaired");
}

#[test]
fn layers_follow_the_limits_under_loss() {
    for seed in 11..=16 {
        let sources = vec![
            Source::new(Codec::Vp8, 10, 65_500, 7_000, 2),
            Source::new(Codec::Vp8, 20, 65_000, u32::MAX - 70_000, 8),
        ];
        let tracks = vec![Track::new(1, sources, Link::new(LOSSY, seed))];
        let mut world = World::new(seed, tracks, true, LOSSY, SEED);
        let mut expected = Vec::new();
        for frame in 0..720u64 {
            for encoding in 0..2 {
                world.tracks[0].publish(encoding, 3_000, world.now_ms);
            }
            world.run(33);
            if frame % 120 == 60 {
                world.slot.set_limits(Limits {
                    max_height: Some(300),
                    ..Limits::default()
                });
            }
            if frame % 120 == 0 {
                world.slot.set_limits(Limits::default());
            }
            if frame % 60 == 59 {
                expected.push(world.slot.encoding());
            }
        }
        world.run(1_500);
        let shown: Vec<u8> = expected.into_iter().flatten().collect();
        assert_eq!(
            shown,
            [1, 0].repeat(6),
            "within two seconds of each change, seed {seed}"
        );
        assert!(assert_line(&world) >= 11);
        let missing = world.receiver.missing();
        assert!(
            missing
                .iter()
                .all(|seq| world.unavailable.contains(&(*seq as u16))),
            "seed {seed}: {missing:?}"
        );
    }
}

#[test]
fn best_layer_stops_and_the_other_takes_over_within_two_seconds() {
    for seed in 21..=24 {
        let sources = vec![
            Source::new(Codec::Vp8, 10, 1, 7_000, 2),
            Source::new(Codec::Vp8, 20, 1, 9, 8),
        ];
        let tracks = vec![Track::new(1, sources, Link::new(LOSSY, seed))];
        let mut world = World::new(seed, tracks, true, LOSSY, SEED);
        let mut shown = Vec::new();
        for frame in 0..270u64 {
            world.tracks[0].publish(0, 3_000, world.now_ms);
            if !(120..200).contains(&frame) {
                world.tracks[0].publish(1, 3_000, world.now_ms);
            }
            world.run(33);
            if [119, 180, 269].contains(&frame) {
                shown.push(world.slot.encoding());
            }
        }
        assert_eq!(shown, [Some(1), Some(0), Some(1)], "seed {seed}");
        assert_line(&world);
    }
}

#[test]
fn audio_switches_at_a_packet() {
    let opus = |id: u64| {
        let source = Source::new(Codec::Opus, 10 * id as u32, 65_530, id as u32 * 77_777, 1);
        Track::new(id, vec![source], Link::new(CLEAN, id))
    };
    let mut world = World::new(9, vec![opus(1), opus(2)], false, CLEAN, SEED);
    for packet in 0..500u64 {
        for index in 0..2 {
            world.tracks[index].publish(0, 960, world.now_ms);
        }
        world.run(20);
        if packet % 25 == 24 {
            world.assign((packet as usize / 25 + 1) % 2);
        }
    }
    world.run(200);
    assert_eq!(world.receiver.missing(), [] as [u64; 0]);
    assert!(
        world.receiver.got.len() >= 495,
        "no more than the packets in flight: {}",
        world.receiver.got.len()
    );
    let stamps: Vec<u32> = world
        .receiver
        .got
        .values()
        .map(|(timestamp, _)| *timestamp)
        .collect();
    for pair in stamps.windows(2) {
        assert!(
            (1..=2_880).contains(&pair[1].wrapping_sub(pair[0])),
            "{pair:?}"
        );
    }
}
