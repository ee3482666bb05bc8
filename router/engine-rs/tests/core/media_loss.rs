//! Loss of 5 %, reordering and duplicates on both links, over sequence and timestamp wrap: every packet arrives once,
//! under one number, in order; without RTX the repeats are bit for bit the same.

use crate::media::{CLEAN, Impairment, LOSSY, Link, Source, Track, World};
use fork_router_engine::core::command::Codec;
use fork_router_engine::route::SlotSeed;
use fork_router_engine::wire::DropReason;

/// Just below every wrap: the publisher's numbers, the slot's are chosen by `core` below 2^15.
const SEED: SlotSeed = SlotSeed {
    seq: 32_700,
    timestamp: u32::MAX - 100_000,
    rtx_seq: 32_767,
    jitter: 3,
};

fn video(seed: u64, uplink: Impairment, downlink: Impairment, rtx: bool) -> World {
    let source = Source::new(Codec::Vp8, 10, 65_500, u32::MAX - 50_000, 4);
    let track = Track::new(1, vec![source], Link::new(uplink, seed));
    World::new(seed, vec![track], rtx, downlink, SEED)
}

/// Thirty frames a second, then time for the last repairs.
fn run_video(world: &mut World, frames: u64) {
    for _ in 0..frames {
        world.tracks[0].publish(0, 3_000, world.now_ms);
        world.run(33);
    }
    // The last frame must get through, or nobody would notice its loss.
    let (up, down) = (world.tracks[0].uplink.impairment, world.downlink.impairment);
    (world.tracks[0].uplink.impairment, world.downlink.impairment) = (CLEAN, CLEAN);
    world.run(100);
    world.tracks[0].publish(0, 3_000, world.now_ms);
    world.run(1_500);
    (world.tracks[0].uplink.impairment, world.downlink.impairment) = (up, down);
}

fn assert_complete(world: &World, published: u64) {
    let seed = world.seed;
    assert_eq!(
        world.receiver.missing(),
        [] as [u64; 0],
        "seed {seed}, refused {:?}",
        world.refused
    );
    let ids = world.receiver.ids(Codec::Vp8);
    let first = ids.first().copied().expect("something arrived");
    let last = world.tracks[0].sources[0].last_id();
    let wrong = ids
        .iter()
        .zip(first..)
        .find(|(id, expected)| **id != *expected);
    assert_eq!(wrong, None, "in order, each once, seed {seed}");
    assert_eq!(ids.last(), Some(&last), "to the end, seed {seed}");
    // Lost for good can only be what came before the first key frame was complete.
    assert!(
        first & 0xFFFF_FFFF <= 40,
        "began at {first:#x}, seed {seed}"
    );
    assert!(ids.len() as u64 + 40 >= published);
}

fn assert_steady_time(world: &World) {
    let stamps: Vec<u32> = world
        .receiver
        .got
        .values()
        .map(|(timestamp, _)| *timestamp)
        .collect();
    for pair in stamps.windows(2) {
        let step = pair[1].wrapping_sub(pair[0]);
        assert!(
            step == 0 || step == 3_000,
            "step {step}, seed {}",
            world.seed
        );
    }
}

#[test]
fn clean_links_need_no_repair() {
    let mut world = video(1, CLEAN, CLEAN, true);
    run_video(&mut world, 300);
    assert_complete(&world, 1_200);
    let stats = world
        .slot
        .stats(fork_router_engine::time::Micros::from_secs(20));
    assert_eq!(
        (stats.packets_sent, stats.retransmitted_packets_sent),
        (1_204, 0)
    );
    assert_eq!(world.receiver.duplicates, 0);
}

#[test]
fn loss_reordering_and_duplicates_are_repaired_by_rtx() {
    for seed in 1..=12 {
        let mut world = video(seed, LOSSY, LOSSY, true);
        run_video(&mut world, 400);
        assert!(
            world.downlink.lost > 40 && world.tracks[0].uplink.lost > 40,
            "the links did lose"
        );
        assert!(world.receiver.by_rtx > 40);
        assert_complete(&world, 1_600);
        assert_steady_time(&world);
    }
}

#[test]
fn the_same_without_rtx_downstream() {
    for seed in 21..=28 {
        let mut world = video(seed, LOSSY, LOSSY, false);
        run_video(&mut world, 400);
        assert_eq!(world.receiver.by_rtx, 0);
        assert_complete(&world, 1_600);
    }
}

#[test]
fn two_wraps_of_the_sequence_number() {
    let mut world = video(
        5,
        Impairment {
            jitter_ms: 5,
            ..CLEAN
        },
        CLEAN,
        true,
    );
    let frames = 131_072 / 40;
    world.tracks[0] = Track::new(
        1,
        vec![Source::new(Codec::Vp8, 10, 65_500, 0, 40)],
        Link::new(
            Impairment {
                loss_percent: 1,
                ..CLEAN
            },
            5,
        ),
    );
    run_video(&mut world, frames);
    assert_complete(&world, frames * 40);
}

/// Frames of four packets vanish on the way down, all in a row.
fn with_outage(seed: u64, frames: u64) -> World {
    let mut world = video(seed, CLEAN, CLEAN, true);
    for _ in 0..60 {
        world.tracks[0].publish(0, 3_000, world.now_ms);
        world.run(33);
    }
    world.downlink.impairment.loss_percent = 100;
    for _ in 0..frames {
        world.tracks[0].publish(0, 3_000, world.now_ms);
        world.run(33);
    }
    world.downlink.impairment.loss_percent = 0;
    run_video(&mut world, 60);
    world
}

#[test]
fn a_short_outage_is_repaired_whole() {
    let world = with_outage(31, 5);
    assert_complete(&world, 4 * 126);
}

#[test]
fn a_long_outage_is_repaired_as_far_as_the_budget_goes() {
    let world = with_outage(32, 12);
    let missing = world.receiver.missing().len() as u64;
    let repaired = world.receiver.by_rtx;
    assert_eq!(missing + repaired, 48, "twelve frames of four");
    assert!(repaired >= 20, "a fifth of a second's media: {repaired}");
    assert!(world.refused[&DropReason::NackBudget] > 0);
}

#[test]
fn audio_without_nack_upstream_accounts_for_each_loss() {
    for seed in 41..=48 {
        let source = Source::new(Codec::Opus, 10, 65_500, u32::MAX - 5_000, 1);
        let uplink = Impairment {
            duplicate_percent: 2,
            ..LOSSY
        };
        let track = Track::new(1, vec![source], Link::new(uplink, seed));
        let mut world = World::new(seed, vec![track], false, LOSSY, SEED);
        for _ in 0..1_000 {
            world.tracks[0].publish(0, 960, world.now_ms);
            world.run(20);
        }
        world.run(1_000);
        let missing = world.receiver.missing();
        let ids = world.receiver.ids(Codec::Opus);
        let expected = world.tracks[0].sources[0].last_id() - ids[0] + 1;
        assert_eq!(
            ids.len() as u64 + missing.len() as u64,
            expected,
            "seed {seed}"
        );
        // What is missing was lost on the way up, where audio is not asked for again, and the router said so.
        let lost = world.tracks[0].uplink.lost;
        assert!(
            missing.len() as u64 <= lost,
            "{} of {lost}, seed {seed}",
            missing.len()
        );
        assert!(
            missing
                .iter()
                .all(|seq| world.unavailable.contains(&(*seq as u16))),
            "seed {seed}"
        );
        let stats =
            world.tracks[0].streams[0].stats(fork_router_engine::time::Micros::from_secs(30));
        assert_eq!(
            stats.packets_received + stats.packets_lost as u64,
            expected,
            "seed {seed}"
        );
    }
}
