//! Receivers behind one link, and the path back.

use crate::link::Link;
use crate::source::{Rate, Source};
use crate::world::{World, way_back};

const SEEDS: [u64; 8] = [31, 32, 33, 34, 35, 36, 37, 38];

fn two(bps: f64, rate: &Rate, seed: u64) -> World {
    let sources = [seed, seed + 100].map(|seed| Source::new(rate.clone(), seed));
    World::new(
        vec![Link::typical(bps, seed), way_back(seed)],
        sources.to_vec(),
    )
}

#[test]
fn two_receivers_share_a_link() {
    for seed in SEEDS {
        for bps in [1.2e6, 3e6] {
            let mut world = two(bps, &Rate::Elastic(50e6), seed);
            world.run(180);
            let rates = [0, 1].map(|flow| world.trace(flow).rate(30.0, 180.0));
            if std::env::var("SHOW").is_ok() {
                world.trace(0).print("first", 2.0);
                world.trace(1).print("second", 2.0);
            }
            let total = (rates[0] + rates[1]) / bps;
            let mean = rates[0].midpoint(rates[1]);
            println!(
                "seed {seed} {bps}: {:.0} and {:.0}, {total:.2}",
                rates[0] / 1e3,
                rates[1] / 1e3
            );
            assert!(
                (rates[0] - mean).abs() <= 0.2 * mean,
                "seed {seed}: {rates:?}"
            );
            assert!(total >= 0.8, "seed {seed}: {total}");
        }
    }
}

#[test]
fn newcomer_gets_his_share() {
    for seed in SEEDS {
        let rate = Rate::Elastic(50e6);
        let late = fork_router_engine::time::Micros::from_secs(30);
        let sources = vec![
            Source::new(rate.clone(), seed),
            Source::new(rate, seed + 100).active(late, fork_router_engine::time::Micros(u64::MAX)),
        ];
        let mut world = World::new(vec![Link::typical(3e6, seed), way_back(seed)], sources);
        world.run(150);
        if std::env::var("SHOW").is_ok() {
            world.trace(0).print("first", 2.0);
            world.trace(1).print("second", 2.0);
        }
        let rates = [0, 1].map(|flow| world.trace(flow).rate(60.0, 150.0));
        println!(
            "seed {seed}: {:.0} and {:.0}",
            rates[0] / 1e3,
            rates[1] / 1e3
        );
        assert!(rates[1] >= 0.6 * rates[0], "seed {seed}: {rates:?}");
    }
}
