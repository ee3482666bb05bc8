//! What one more worker costs per packet of a publisher: with nobody watching (`home`), with a receiver on its own worker
//! (`receiver`), handed to another worker's ring that only gives it back (`handed`), and taken in there by a mirror with a
//! receiver (`taken`). `taken` less `receiver` is what a watching worker costs, however many receivers it has.
//!
//! `cargo build --release --benches`, then `perf stat` or callgrind on the binary with one of the words.

#[path = "../tests/common/mod.rs"]
mod common;

use common::plain_srtp::{PlainSrtp, TAG};
use common::{CountingSink, House};
use fork_router_engine::core::mirror::{MirrorHead, MirrorMessage};
use fork_router_engine::core::sink::{Class, MAX_DATAGRAM};
use fork_router_engine::core::{Command, Event, Sink};
use fork_router_engine::ids::{Tuple, WorkerId};
use fork_router_engine::io::ring::{Inlet, Mesh, Outlet, RING_BATCH};
use fork_router_engine::srtp::SRTP_MAX_OVERHEAD;
use fork_router_engine::time::Micros;
use std::sync::Arc;

const BATCHES: usize = 5_000;
const BATCH: usize = 20;

/// What leaves is counted; what is handed over goes into a ring, as in a worker.
struct Handing {
    counting: CountingSink,
    outlet: Outlet,
}

impl Sink for Handing {
    fn scratch(&mut self) -> &mut [u8] {
        self.counting.scratch()
    }
    fn commit(&mut self, len: usize, to: Tuple, class: Class) {
        self.counting.commit(len, to, class);
    }
    fn event(&mut self, event: Event) {
        self.counting.event(event);
    }
    fn mirror_packet(&mut self, to: WorkerId, head: &MirrorHead, bytes: &[u8]) {
        self.outlet.send_packet(to, head, bytes);
    }
    fn mirror_message(&mut self, to: WorkerId, message: MirrorMessage) {
        self.outlet.send_message(to, message);
    }
}

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let mut house = House::new(1);
    for worker in [0, 0, 1] {
        house.join(worker);
    }
    house.publish_video(0, &[]);
    match what.as_str() {
        "receiver" => house.assign(1, Some(0)),
        "handed" | "taken" => house.assign(2, Some(0)),
        _ => {}
    }
    for guest in &house.guests {
        let command = Command::SetSrtp(guest.peer.transport, Box::new(PlainSrtp));
        house.workers[guest.worker].command(command);
    }
    house.guests[0].encoder.payload_len = 1_070;
    run(&mut house, what == "taken");
}

fn run(house: &mut House, takes: bool) {
    let mesh = Mesh::new(2).expect("eventfds");
    let mut inlet = Inlet::new(Arc::clone(&mesh), 1);
    let mut sink = Handing {
        counting: CountingSink::new(),
        outlet: Outlet::new(mesh, 0),
    };
    let mut there = CountingSink::new();
    let mut packet = house.guests[0].encoder.frame(true, 1).remove(0);
    let from = house.guests[0].peer.tuple;
    let mut buffer = vec![0; MAX_DATAGRAM + SRTP_MAX_OVERHEAD];
    let [home, other] = &mut house.workers;
    for _ in 0..BATCHES {
        home.now = home.now + Micros::from_millis(2);
        for _ in 0..BATCH {
            let seq = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(1);
            packet[2..4].copy_from_slice(&seq.to_be_bytes());
            buffer[..packet.len()].copy_from_slice(&packet);
            let len = packet.len() + TAG;
            home.core
                .handle_datagram(home.now, from, &mut buffer, len, &mut sink);
        }
        sink.outlet.announce();
        if inlet.hold_packets(0, RING_BATCH) {
            for (index, (head, bytes)) in inlet.held().enumerate().filter(|_| takes) {
                other.core.take_mirrored(home.now, head, bytes, index);
            }
            other.core.forward_pending(home.now, &inlet, &mut there);
            inlet.release_packets();
        }
    }
    let (packets, handed) = (BATCHES * BATCH, sink.outlet.handed_over);
    println!("{packets} packets, {handed} handed over");
}
