//! What a decision about one receiver costs: `allocate SLOTS ESTIMATE_KBPS`, a million slots decided in all.
//!
//! `cargo build --release --benches`, then `time` or `perf stat` on the binary. Without arguments it does nothing.

use fork_router_engine::alloc::{
    Allocator, Budget, Claim, Headroom, Preference, Priority, Standing, Wants,
};
use fork_router_engine::core::command::Limits;
use fork_router_engine::route::ladder::{Ladder, Rung};
use fork_router_engine::time::Micros;

const DECIDED: usize = 1_000_000;

/// Twenty-four rungs, each better and dearer: none is left out.
fn ladder() -> Ladder {
    let rungs = (0..24_u8).map(|at| Rung {
        encoding: at / 4,
        spatial: 0,
        temporal: at % 4,
        bps: 50_000 + 60_000 * u64::from(at),
        size: Some((160 + 80 * u16::from(at / 4), 90 + 45 * u16::from(at / 4))),
        frame_rate: 15.0 + 5.0 * f32::from(at % 4),
    });
    rungs.collect()
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse::<u64>().ok());
    let (Some(slots), Some(kbps)) = (arguments.next(), arguments.next()) else {
        return;
    };
    let ladder = ladder();
    let mut allocator = Allocator::new();
    let mut headroom = Headroom::default();
    let mut standings = vec![Standing::default(); slots as usize];
    let mut spent = 0;
    for round in 0..DECIDED as u64 / slots {
        let budget = Budget {
            estimate: Some((kbps + round % 7) * 1_000),
            ..Budget::default()
        };
        let claims = standings.iter().zip(0_u16..).map(|(standing, slot)| Claim {
            slot,
            wants: Wants::Video(&ladder),
            priority: if slot == 0 {
                Priority::Pinned
            } else {
                Priority::Ordinary
            },
            preference: Preference::Motion,
            limits: Limits {
                shown_at: Some(if slot == 0 { (1_280, 720) } else { (640, 360) }),
                ..Limits::default()
            },
            standing: *standing,
        });
        let now = Micros::from_millis(100 * round);
        let allocation = allocator.allocate(&budget, &mut headroom, claims, now);
        spent = allocation.spent_bps;
        let grants: Vec<_> = allocation
            .grants
            .iter()
            .map(|it| (it.slot, it.standing))
            .collect();
        for (slot, standing) in grants {
            standings[usize::from(slot)] = standing;
        }
    }
    println!(
        "{} decisions, {spent} bit/s spent last",
        DECIDED as u64 / slots
    );
}
