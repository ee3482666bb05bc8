//! What many seeds make of it. Nothing is asserted; a change of estimation or allocation is judged by it, for single seeds
//! say little: `SEEDS=64 cargo test --release --all-features --test adaptation survey -- --ignored --nocapture`.

use crate::changes::{is_best, until};
use crate::paths::link::{Link, Outage};
use crate::receiver::Manner;
use crate::room::Room;
use crate::sharing::{FROM, TO};
use crate::table::best_fit;
use crate::view::Shown;
use fork_router_engine::time::Micros;
use std::thread;

const LINK: f64 = 2.5e6;

/// Values by name, one for each seed.
type Found = Vec<(String, f64)>;

fn joined(seed: u64, bps: f64, top: f64) -> Room {
    let mut room = Room::new(seed, 1, top, vec![Link::typical(bps, seed)]);
    room.join(Manner::TransportCc, 0, &[0]);
    room
}

fn drop_and_rise(seed: u64) -> Found {
    let mut room = joined(seed, LINK, 1_700e3);
    room.links[0].queue = Micros::from_secs(3);
    room.run(20.0);
    room.set_rate(0, 0.6e6);
    room.run(20.0);
    room.set_rate(0, LINK);
    room.run(20.0);
    let trace = &room.receivers[0].trace;
    let over = trace.longest_queue_over(20.0, 40.0, Micros::from_millis(300));
    vec![
        (
            "best after joining, s".into(),
            until(&room, 0.0, is_best, 27),
        ),
        ("queue > 300 ms after the drop, s".into(), over),
        (
            "best after the rise, s".into(),
            until(&room, 40.0, is_best, 27),
        ),
    ]
}

fn outage(seed: u64) -> Found {
    let back = [false, true].map(|holds| {
        let mut room = joined(seed, LINK, 1_700e3);
        room.run(20.0);
        let (from, to) = (room.at(20.0), room.at(23.0));
        room.links[0].outages.push(Outage { from, to, holds });
        room.run(15.0);
        until(&room, 23.0, is_best, 27)
    });
    vec![
        ("best after 3 s lost, s".into(), back[0]),
        ("best after 3 s held, s".into(), back[1]),
    ]
}

fn shared(seed: u64, bps: f64, top: f64) -> Found {
    let mut room = joined(seed, bps, top);
    room.run(5.0);
    room.join(Manner::TransportCc, 0, &[0]);
    room.run(TO - 5.0);
    let received = [0, 1].map(|at| room.receivers[at].trace.received(FROM, TO));
    let mean = received[0].midpoint(received[1]);
    let apart = 100.0 * (received[0] - mean).abs() / mean;
    let frozen = [0, 1].map(|at| room.frozen_s((at, 0), FROM, TO));
    vec![
        (
            format!("two on {:.2} Mbit/s: frozen, s", bps / 1e6),
            frozen[0].max(frozen[1]),
        ),
        (format!("two on {:.2} Mbit/s: apart, %", bps / 1e6), apart),
        (
            format!("two on {:.2} Mbit/s: unused, %", bps / 1e6),
            100.0 - 200.0 * mean / bps,
        ),
    ]
}

fn steady(seed: u64) -> Found {
    let mut found = Found::new();
    for rate in [0.25e6, 0.4e6, 0.6e6, 0.8e6, 1.2e6, 1.8e6, 2.5e6] {
        let mut room = joined(seed, rate, 2_500e3);
        room.run(65.0);
        let fits = best_fit(2_500e3, 0.85 * rate);
        let trace = &room.receivers[0].trace;
        let padding = trace.padding(5.0, 65.0);
        let missing = 100.0 - 100.0 * (trace.received(5.0, 65.0) - padding) / fits;
        let over = trace.longest_queue_over(5.0, 65.0, Micros::from_millis(300));
        let shown = &room.receivers[0].streams[0].view.shown;
        let changed = |pair: &[Shown]| pair[0].stamp.encoding != pair[1].stamp.encoding;
        let values = [
            ("missing of the best rung, %", missing),
            ("padding, % of the link", 100.0 * padding / rate),
            ("queue > 300 ms, s", over),
            ("frozen in a minute, s", room.frozen_s((0, 0), 5.0, 65.0)),
            (
                "encodings changed",
                shown.windows(2).filter(|pair| changed(pair)).count() as f64,
            ),
        ];
        let name = |what: &str| format!("{:.2} Mbit/s: {what}", rate / 1e6);
        found.extend(values.map(|(what, value)| (name(what), value)));
    }
    found
}

fn all(seed: u64) -> Found {
    let mut found = drop_and_rise(seed);
    found.extend(outage(seed));
    for (bps, top) in [
        (1.45e6, 1_700e3),
        (1.6e6, 1_700e3),
        (2.2e6, 1_700e3),
        (4.5e6, 1_600e3),
    ] {
        found.extend(shared(seed, bps, top));
    }
    found.extend(steady(seed));
    found
}

#[test]
#[ignore = "it asserts nothing"]
fn survey() {
    let count = std::env::var("SEEDS").map_or(16, |it| it.parse().expect("SEEDS is a number"));
    let half = move |odd: u64| {
        (0..count)
            .filter(move |seed| seed % 2 == odd)
            .map(all)
            .collect::<Vec<_>>()
    };
    let other = thread::spawn(move || half(1));
    let mut runs = half(0);
    runs.extend(other.join().expect("runs"));
    println!("{count} seeds                                     median    p90    worst");
    for at in 0..runs[0].len() {
        let mut values: Vec<f64> = runs.iter().map(|run| run[at].1).collect();
        values.sort_by(f64::total_cmp);
        let part = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        println!(
            "{:<46}{:8.1}{:8.1}{:8.1}",
            runs[0][at].0,
            part(0.5),
            part(0.9),
            part(1.0)
        );
    }
}
