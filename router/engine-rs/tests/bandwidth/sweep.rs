//! The sweep as a table: what a source that forwards layers makes of links, and what is left of them.
//! `cargo test --test bandwidth sweep -- --nocapture` shows it.

use crate::link::{Jitter, Link, Loss};
use crate::source::Rate;
use crate::world::World;
use fork_router_engine::time::Micros;

const SEED: u64 = 51;
/// What the layers of [`Rate::simulcast`] are worth with audio and headers, the best first.
const LAYERS: [f64; 7] = [2.5e6, 1.5e6, 0.9e6, 0.5e6, 0.3e6, 0.15e6, 0.09e6];

#[test]
fn sweep_of_links_and_impairments() {
    println!(
        "seed {SEED}; Mbit/s, from 10 to 40 s\n   link  loss delay | media  pad estimate share | wait p95 | layer that fits"
    );
    for bps in [0.15e6, 0.3e6, 0.5e6, 0.8e6, 1.2e6, 2e6, 3e6, 6e6] {
        for (loss, delay) in [(0.0, 10), (0.0, 150), (0.02, 50), (0.05, 50), (0.1, 50)] {
            let mut link = Link::new(bps, SEED);
            link.delay = Micros::from_millis(delay);
            link.loss = if loss > 0.0 {
                Loss::Random(loss)
            } else {
                Loss::None
            };
            link.jitter = Jitter::Ordered(4_000);
            let mut world = World::single(link, Rate::simulcast(), SEED);
            world.run(40);
            let trace = world.trace(0);
            let media = trace.rate(10.0, 40.0) / (1.0 - loss);
            let padding: usize = trace
                .between(10.0, 40.0)
                .iter()
                .map(|step| step.padding)
                .sum();
            let wait = trace.wait(10.0, 40.0, 0.95);
            let fits = LAYERS.iter().find(|layer| 1.1 * **layer + 60e3 < 0.9 * bps);
            println!(
                "{:7.2} {:4.0}% {delay:3} ms | {:5.2} {:4.2} {:8.2} {:5.2} | {:5} ms | {:.2}",
                bps / 1e6,
                100.0 * loss,
                media / 1e6,
                padding as f64 * 8.0 / 30.0 / 1e6,
                trace.estimate(10.0, 40.0) / 1e6,
                media / bps,
                wait.as_millis(),
                fits.copied().unwrap_or(0.0) / 1e6,
            );
            if let Some(layer) = fits {
                assert!(
                    wait < Micros::from_millis(200),
                    "{bps} {loss} {delay}: {wait:?}"
                );
                assert!(
                    media >= 0.75 * layer,
                    "{bps} {loss} {delay}: {media} of {layer}"
                );
            }
        }
    }
}
