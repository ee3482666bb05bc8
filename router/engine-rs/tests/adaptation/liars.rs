//! A receiver who lies, and his neighbour. What they share is the publisher: a request for a key frame changes what all get,
//! and a liar who moves between layers has reason to ask. So lies that move nothing leave the neighbour's packets as they
//! were, and others leave his rate.

use crate::paths::link::Link;
use crate::receiver::{Lie, Manner};
use crate::room::Room;

const SEEDS: [u64; 2] = [601, 602];
const LINK: f64 = 0.8e6;
const S: f64 = 30.0;

fn neighbours(seed: u64, manner: Manner) -> Room {
    let links = vec![Link::typical(2.5e6, seed), Link::typical(LINK, seed + 1)];
    let mut room = Room::new(seed, 1, 1_700e3, links);
    room.join(Manner::TransportCc, 0, &[0]);
    room.join(manner, 1, &[0]);
    room.run(S);
    Room::print_head(&format!("{manner:?}: the neighbour, and he"));
    for receiver in [0, 1] {
        room.print_line(receiver, 0.0, 10.0);
        room.print_line(receiver, 10.0, S);
    }
    room
}

/// Frames and times, as the honest one saw them.
fn seen(room: &Room) -> Vec<(u8, u32, u64)> {
    let shown = room.receivers[0].streams[0].view.shown.iter();
    shown
        .map(|it| (it.stamp.encoding, it.stamp.index, it.at.0))
        .collect()
}

/// What is known of the honest one's link.
fn estimate_of(room: &mut Room) -> (Option<u64>, Option<u64>, u64) {
    let bandwidth = room.stats(0).bandwidth.expect("was sent video");
    (
        bandwidth.estimate_bps,
        bandwidth.acked_bps,
        bandwidth.padding_bytes,
    )
}

#[test]
fn lies_cost_only_the_liar() {
    for seed in SEEDS {
        let mut honest = neighbours(seed, Manner::TransportCc);
        let estimate = estimate_of(&mut honest);
        for lie in [Lie::NeverSent, Lie::Foreign, Lie::Instant, Lie::OneBit] {
            let mut room = neighbours(seed, Manner::Lies(lie));
            if matches!(lie, Lie::NeverSent | Lie::Foreign) {
                assert_eq!(seen(&room), seen(&honest), "seed {seed}, {lie:?}");
                assert_eq!(estimate_of(&mut room), estimate, "seed {seed}, {lie:?}");
            }
            let (before, after) = (&honest.receivers[0].trace, &room.receivers[0].trace);
            let (before, after) = (before.received(10.0, S), after.received(10.0, S));
            // A key frame that the liar asks for is one for all.
            assert!(
                (after / before - 1.0).abs() < 0.02,
                "seed {seed}, {lie:?}: {before} {after}"
            );
            let early = room.receivers[0].trace.received(0.0, 10.0);
            let honest_early = honest.receivers[0].trace.received(0.0, 10.0);
            assert!(
                early > 0.9 * honest_early,
                "seed {seed}, {lie:?}: {early} {honest_early}"
            );
            assert!(
                room.frozen_s((0, 0), 10.0, S) < 0.01,
                "seed {seed}, {lie:?}"
            );
            assert_what_he_gets(&mut room, lie, seed);
        }
    }
}

/// What a liar is sent, and what is counted.
fn assert_what_he_gets(room: &mut Room, lie: Lie, seed: u64) {
    let stats = room.stats(1);
    let bandwidth = stats.bandwidth.expect("was sent video");
    match lie {
        // His link is what it is; ten gigabits are not sent into it.
        Lie::Instant => assert!(
            bandwidth.estimate_bps < Some(2_000_000),
            "seed {seed}: {bandwidth:?}"
        ),
        Lie::OneBit => {
            assert_eq!(bandwidth.estimate_bps, Some(30_000), "seed {seed}");
            let voice = room.receivers[1].trace.received(10.0, S);
            assert!(voice > 50e3, "seed {seed}: voice goes on: {voice}");
        }
        Lie::NeverSent => assert!(
            bandwidth.refused_feedback > 100_000,
            "seed {seed}: {bandwidth:?}"
        ),
        Lie::Foreign => {
            let foreign = stats
                .dropped
                .iter()
                .find(|it| it.0 == "rtcp-foreign-feedback");
            assert!(
                foreign.is_some_and(|it| it.1 > 5_000),
                "seed {seed}: {:?}",
                stats.dropped
            );
        }
    }
}
