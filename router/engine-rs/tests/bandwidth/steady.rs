//! A steady link: found within ten seconds, filled, and its queue kept short.

use crate::link::Link;
use crate::source::Rate;
use crate::world::World;
use fork_router_engine::time::Micros;

const SEEDS: [u64; 3] = [1, 2, 3];

#[test]
fn elastic_source_fills_a_steady_link_within_ten_seconds() {
    for bps in [0.25e6, 0.6e6, 1e6, 2.5e6, 6e6, 15e6] {
        for seed in SEEDS {
            let mut world = World::single(Link::new(bps, seed), Rate::Elastic(50e6), seed);
            world.run(60);
            let trace = world.trace(0);
            if std::env::var("SHOW").is_ok() {
                trace.print(&format!("{bps} seed {seed}"), 1.0);
            }
            let early = trace.utilisation(5.0, 10.0);
            let late = trace.utilisation(10.0, 60.0);
            let wait = trace.wait(10.0, 60.0, 0.95);
            println!(
                "{bps:9.0} bit/s seed {seed}: {early:.2} {late:.2} wait {} ms",
                wait.as_millis()
            );
            assert!(late >= 0.85, "seed {seed}: {late} of {bps}");
            // Five packets, where those take longer.
            let allowed = f64::max(150e3, 5.0 * 9_600.0 / bps * 1e6) as u64;
            assert!(wait < Micros(allowed), "seed {seed}: {wait:?}");
        }
    }
}
