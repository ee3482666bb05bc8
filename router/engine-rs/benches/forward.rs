//! What the core itself costs per forwarded packet, without SRTP and system calls: one publisher, a hundred receivers.
//!
//! `cargo build --release --benches`, then `valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*measured*'` on
//! the binary counts instructions; they vary less than time does.

#[path = "../tests/common/mod.rs"]
mod common;

use common::Load;

/// Packets that one wake-up finds: a frame of 2 Mbit/s.
const BATCH: usize = 8;
const RECEIVERS: usize = 100;
const WARM_UP: usize = 3_000;
const PACKETS: usize = 2_000;

fn main() {
    let mut load = Load::new(RECEIVERS);
    load.prepare(WARM_UP, false);
    load.play_batches(BATCH, |call| call());
    let before = load.sink.rtp;
    load.prepare(PACKETS, false);
    measured(&mut load);
    println!("{} packets forwarded", load.sink.rtp - before);
}

#[inline(never)]
fn measured(load: &mut Load) {
    load.play_batches(BATCH, |call| call());
}
