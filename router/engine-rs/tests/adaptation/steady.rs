//! Steady links, one after the other, upwards and downwards.
//!
//! A ladder has steps, so most of a link may be unused. What is held against is the dearest rung that fits 85 % of the link
//! with the voice and all headers: what is received, with repairs and padding, is at least 85 % of that.

use crate::paths::link::Link;
use crate::receiver::Manner;
use crate::room::Room;
use crate::table::best_fit;
use fork_router_engine::time::Micros;

const SEEDS: [u64; 2] = [101, 102];
const TOP: f64 = 2_500e3;
const RATES: [f64; 11] = [
    0.1e6, 0.15e6, 0.25e6, 0.4e6, 0.6e6, 0.8e6, 1.2e6, 1.8e6, 2.5e6, 3.5e6, 5e6,
];
/// Below, headers and the reserve for voice take most of the link: video may pause.
const NARROW: f64 = 0.2e6;
const STEP_S: f64 = 15.0;

/// Seconds until a whole second's rate is so high.
fn until(room: &Room, from_s: f64, bps: f64) -> f64 {
    let mut at = from_s;
    while room.receivers[0].trace.received(at, at + 1.0) < bps {
        at += 0.1;
        if at >= from_s + STEP_S {
            return f64::INFINITY;
        }
    }
    at - from_s
}

#[test]
fn sweep_up_and_down() {
    for seed in SEEDS {
        let mut link = Link::typical(RATES[0], seed);
        link.queue = Micros::from_secs(1);
        let mut room = Room::new(seed, 1, TOP, vec![link]);
        room.join(Manner::TransportCc, 0, &[0]);
        Room::print_head("sweep");
        let downwards = RATES.iter().rev().skip(1);
        for rate in RATES.iter().chain(downwards) {
            let from = room.seconds();
            room.set_rate(0, *rate);
            room.run(STEP_S);
            let fits = best_fit(TOP, 0.85 * rate);
            let after = until(&room, from, 0.85 * fits);
            let trace = &room.receivers[0].trace;
            let received = trace.received(from + 10.0, from + STEP_S);
            let over = trace.longest_queue_over(from, from + STEP_S, Micros::from_millis(300));
            room.print_line(0, from + 10.0, from + STEP_S);
            println!(
                "          {:.2} of the best that fits, {:.0}; after {after:.1} s; queue over 300 ms for {over:.1} s",
                received / fits,
                fits / 1e3
            );
            // Who joins is taken for one with 1 Mbit/s until his first feedback.
            let allowed = if from < 1.0 { 3.0 } else { 2.0 };
            assert!(over <= allowed, "seed {seed}, {rate}: queue for {over} s");
            if *rate >= NARROW {
                assert!(after <= 10.0, "seed {seed}, {rate}: {after} s");
                assert!(
                    received >= 0.85 * fits,
                    "seed {seed}, {rate}: {received} of {fits}"
                );
            }
        }
        assert_eq!(room.receivers[0].streams[0].view.broken, 0, "seed {seed}");
    }
}
