//! A link that becomes narrow and wide again, and one that is out for a while.

use crate::paths::link::{Link, Outage};
use crate::receiver::Manner;
use crate::room::Room;
use crate::table::name;
use fork_router_engine::time::Micros;

const SEEDS: [u64; 4] = [201, 202, 203, 204];
/// The best layer fits 2.5 Mbit/s with what allocation keeps free.
const TOP: f64 = 1_700e3;
const WIDE: f64 = 2.5e6;
const NARROW: f64 = 0.6e6;

/// Seconds from a time until half a second long such an encoding was shown at so many frames a second or more.
pub fn until(room: &Room, from_s: f64, wanted: impl Fn(u8) -> bool, frame_rate: u32) -> f64 {
    let mut at = from_s;
    while at + 0.5 < room.seconds() {
        let view = &room.receivers[0].streams[0].view;
        let rung = view.rung(room.at(at), room.at(at + 0.5));
        if rung.is_some_and(|(shown, rate)| wanted(shown) && rate >= frame_rate) {
            return at - from_s;
        }
        at += 0.1;
    }
    f64::INFINITY
}

pub fn is_best(encoding: u8) -> bool {
    encoding == 2
}

#[test]
fn drop_and_rise() {
    for seed in SEEDS {
        let mut link = Link::typical(WIDE, seed);
        link.queue = Micros::from_secs(3);
        let mut room = Room::new(seed, 1, TOP, vec![link]);
        room.join(Manner::TransportCc, 0, &[0]);
        room.run(20.0);
        let joined = until(&room, 0.0, is_best, 27);
        room.set_rate(0, NARROW);
        room.run(20.0);
        let lowered = until(&room, 20.0, |shown| shown < 2, 6);
        room.set_rate(0, WIDE);
        room.run(20.0);
        let raised = until(&room, 40.0, is_best, 27);
        Room::print_head("2.5 -> 0.6 -> 2.5 Mbit/s");
        for at in [
            0.0, 5.0, 15.0, 20.0, 21.0, 22.0, 23.0, 25.0, 35.0, 40.0, 42.0, 45.0, 50.0,
        ] {
            room.print_line(0, at, at + 1.0);
        }
        let trace = &room.receivers[0].trace;
        let over = trace.longest_queue_over(20.0, 40.0, Micros::from_millis(300));
        let (first, later) = (trace.audio_delay(20.0, 23.0), trace.audio_delay(23.0, 40.0));
        let frozen = room.frozen_s((0, 0), 20.0, 30.0);
        println!(
            "best layer {joined:.1} s after joining, lower layer {lowered:.1} s after the drop, best {raised:.1} s after the rise; \
             queue over 300 ms for {over:.1} s; voice at most {} ms in 3 s, then {} ms; \
             frozen for {frozen:.1} s",
            first.as_millis(),
            later.as_millis()
        );
        assert!(joined <= 6.0, "seed {seed}: {joined}");
        assert!(over <= 2.0, "seed {seed}: queue for {over} s");
        assert!(lowered <= 3.0, "seed {seed}: {lowered}");
        assert!(frozen <= 4.0, "seed {seed}: frozen for {frozen} s");
        assert!(raised <= 10.0, "seed {seed}: {raised}");
        assert!(later <= Micros::from_millis(300), "seed {seed}: {later:?}");
        assert_eq!(room.receivers[0].streams[0].view.broken, 0, "seed {seed}");
    }
}

#[test]
fn outage_of_three_seconds() {
    for seed in SEEDS {
        for holds in [false, true] {
            let mut room = Room::new(seed, 1, TOP, vec![Link::typical(WIDE, seed)]);
            room.join(Manner::TransportCc, 0, &[0]);
            room.run(20.0);
            let before = room.rung(&room.receivers[0], 0, 19.0);
            let (from, to) = (room.at(20.0), room.at(23.0));
            room.links[0].outages.push(Outage { from, to, holds });
            room.run(15.0);
            let back = until(&room, 23.0, is_best, 27);
            Room::print_head(if holds { "3 s held" } else { "3 s lost" });
            for at in 18..30 {
                room.print_line(0, f64::from(at), f64::from(at + 1));
            }
            assert_eq!(before.map(|it| it.0), Some(2), "seed {seed}");
            assert!(back <= 3.0, "seed {seed}: {back}");
            assert_eq!(room.receivers[0].streams[0].view.broken, 0, "seed {seed}");
            println!("before {}, back {back:.1} s after", name(before));
        }
    }
}

/// A camera of one encoding whose rate goes up while the first value is looked for, behind a link that is wide enough:
/// what arrives in the end is the first value, so nothing is taken away that has just been shown.
#[test]
fn rate_rises_while_joining() {
    let mut lessened = 0.0;
    for start in [0.9e6, 1.0e6] {
        for rises in [0.8, 1.2, 1.6] {
            let lost = lessened_s(start, rises);
            println!("from {start} bit/s at {rises} s: less than all for {lost} s");
            lessened += lost;
        }
    }
    assert!(lessened <= 3.0, "{lessened}");
}

/// Seconds in which not all frames were shown, after the first two, with a rate that rises to 1.8 Mbit/s.
fn lessened_s(start: f64, rises: f64) -> f64 {
    let seed = (start / 1e3 + rises * 10.0) as u64;
    let mut room = Room::new(seed, 1, start, vec![Link::typical(2.0 * WIDE, seed)]);
    room.publishers[0].lowest = 2;
    room.join(Manner::TransportCc, 0, &[0]);
    room.run(rises);
    room.publishers[0].encoders[2].shape.bps = 1.8e6;
    room.run(20.0);
    let view = &room.receivers[0].streams[0].view;
    let is_less = |half: &u32| {
        let at = f64::from(*half) / 2.0;
        let rung = view.rung(room.at(at), room.at(at + 0.5));
        rung.is_none_or(|(_, rate)| rate < 27)
    };
    (4..40).filter(is_less).count() as f64 / 2.0
}
