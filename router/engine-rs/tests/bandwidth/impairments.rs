//! Paths that lose, jitter and reorder, none of which is congestion.

use crate::link::{Jitter, Link, Loss};
use crate::source::Rate;
use crate::world::World;
use fork_router_engine::time::Micros;

const SEEDS: [u64; 3] = [21, 22, 23];

/// Share of the link that was sent, from ten seconds on. Media that is lost was carried by the link too.
fn carried(link: &Link, seed: u64, loss: f64, name: &str) -> f64 {
    let mut world = World::single(link.clone(), Rate::Elastic(50e6), seed);
    world.run(60);
    let trace = world.trace(0);
    if std::env::var("SHOW").is_ok() {
        trace.print(name, 1.0);
    }
    let share = trace.utilisation(10.0, 60.0) / (1.0 - loss);
    println!("{name}, seed {seed}: {share:.2}");
    share
}

#[test]
fn random_loss_keeps_its_rate() {
    for seed in SEEDS {
        for bps in [0.6e6, 2.5e6, 8e6] {
            for loss in [0.02, 0.05, 0.1] {
                let mut link = Link::new(bps, seed);
                link.loss = Loss::Random(loss);
                let share = carried(&link, seed, loss, &format!("{bps} with {loss} loss"));
                assert!(share >= 0.7, "seed {seed}: {share} of {bps} with {loss}");
            }
        }
    }
}

#[test]
fn bursts_of_loss_keep_their_rate() {
    for seed in SEEDS {
        for (turn_bad, mean) in [(0.002, 0.02), (0.0055, 0.05)] {
            let mut link = Link::new(2.5e6, seed);
            link.loss = Loss::Bursts(turn_bad, 0.1, 1.0);
            let share = carried(&link, seed, mean, &format!("bursts of {mean}"));
            assert!(share >= 0.6, "seed {seed}: {share} with {mean}");
        }
    }
}

#[test]
fn jitter_is_no_congestion() {
    let kinds = [
        Jitter::Ordered(30_000),
        Jitter::Ordered(100_000),
        Jitter::Stalls(300_000.0, 100_000.0),
        Jitter::Reordering(20_000),
        Jitter::Reordering(100_000),
    ];
    for seed in SEEDS {
        for jitter in kinds {
            let mut link = Link::new(2.5e6, seed);
            link.jitter = jitter;
            let share = carried(&link, seed, 0.0, &format!("{jitter:?}"));
            assert!(share >= 0.6, "seed {seed}: {share} with {jitter:?}");
        }
    }
}

/// The profiles that str0m's emulator names, and a link over a geostationary satellite.
#[test]
fn profiles_of_others() {
    let profiles = [
        ("wifi", 100e6, 5, Jitter::Ordered(3_000), 0.01),
        ("lossy", 10e6, 15, Jitter::Ordered(5_000), 0.05),
        ("congested", 10e6, 60, Jitter::Ordered(40_000), 0.10),
        ("lte", 30e6, 50, Jitter::Ordered(10_000), 0.02),
        ("satellite", 15e6, 600, Jitter::None, 0.03),
    ];
    for seed in SEEDS {
        for (name, bps, delay, jitter, loss) in profiles {
            let mut link = Link::new(bps, seed);
            link.delay = Micros::from_millis(delay);
            link.jitter = jitter;
            link.loss = Loss::Random(loss);
            let mut world = World::single(link, Rate::simulcast(), seed);
            world.run(30);
            let rate = world.trace(0).rate(15.0, 30.0) / (1.0 - loss);
            println!("{name}, seed {seed}: {:.2} Mbit/s", rate / 1e6);
            // The highest layer fits; losses of a tenth may cost one.
            let layer = if loss < 0.1 { 2.5e6 } else { 1.5e6 };
            assert!(rate > 0.95 * layer, "{name}, seed {seed}: {rate}");
        }
    }
}
