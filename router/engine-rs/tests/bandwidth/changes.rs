//! Paths that change: drops, outages, and capacity that comes back.

use crate::link::{Link, Outage};
use crate::source::Rate;
use crate::world::World;
use fork_router_engine::time::Micros;

const SEEDS: [u64; 3] = [11, 12, 13];

fn show(world: &World, name: &str) {
    if std::env::var("SHOW").is_ok() {
        world.trace(0).print(name, 0.5);
    }
}

/// Long queues, for that is where a late answer hurts; the source follows at will or in steps.
#[test]
fn drop_of_the_link_leaves_no_long_queue() {
    for seed in SEEDS {
        for rate in [Rate::Elastic(50e6), Rate::simulcast()] {
            for queue in [300, 1_000, 3_000] {
                let mut link = Link::new(2.5e6, seed);
                link.queue = Micros::from_millis(queue);
                link.rates.push((Micros::from_secs(20), 0.6e6));
                let mut world = World::single(link, rate.clone(), seed);
                world.run(50);
                show(&world, &format!("drop, seed {seed} queue {queue}"));
                let trace = world.trace(0);
                let long = trace.longest_wait_over(20.0, 50.0, Micros::from_millis(300));
                let worst = trace.wait(20.0, 50.0, 1.0).as_millis();
                let after = trace.utilisation(25.0, 50.0);
                println!(
                    "seed {seed} queue {queue}: over 300 ms for {long:.1} s, worst {worst} ms, then {after:.2}"
                );
                assert!(long <= 2.0, "seed {seed} queue {queue}: {long} s");
                assert!(after >= 0.5, "seed {seed} queue {queue}: {after}");
            }
        }
    }
}

#[test]
fn back_within_three_seconds_of_an_outage() {
    for seed in SEEDS {
        for rate in [Rate::Elastic(50e6), Rate::simulcast()] {
            for holds in [false, true] {
                let mut link = Link::new(3e6, seed);
                let (from, to) = (Micros::from_secs(20), Micros::from_secs(23));
                link.outages.push(Outage { from, to, holds });
                let mut world = World::single(link, rate.clone(), seed);
                // The way back fails too.
                world.links[1].outages.push(Outage {
                    from,
                    to,
                    holds: false,
                });
                world.run(40);
                show(&world, &format!("outage, seed {seed} holds {holds}"));
                let trace = world.trace(0);
                let before = trace.rate(15.0, 20.0);
                let back = trace.seconds_until(23.0, 0.85 * before);
                println!("seed {seed} holds {holds}: {before:.0} before, back after {back:.1} s");
                // What was held arrives late and counts too, so the rate must also stay.
                let kept = trace.rate(26.0, 29.0) / before;
                assert!(kept >= 0.85, "seed {seed} holds {holds}: {kept}");
                // A whole second at the rate must have begun.
                assert!(back <= 2.0, "seed {seed} holds {holds}: {back} s");
            }
        }
    }
}

#[test]
fn capacity_that_comes_back_is_found() {
    for seed in SEEDS {
        for rate in [Rate::Elastic(50e6), Rate::simulcast()] {
            let mut link = Link::new(0.5e6, seed);
            link.rates.push((Micros::from_secs(30), 3e6));
            let mut world = World::single(link, rate, seed);
            world.run(70);
            show(&world, &format!("back, seed {seed}"));
            let found = world.trace(0).seconds_until(30.0, 2.2e6);
            println!("seed {seed}: 2.2 of 3 Mbit/s after {found:.1} s");
            assert!(found <= 20.0, "seed {seed}: {found}");
        }
    }
}
