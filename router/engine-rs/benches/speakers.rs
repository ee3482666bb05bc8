//! What speaker groups cost: `silent` packets of a thousand muted microphones, or `switch`: a place changes its voice for a
//! thousand followers of three slots. `base` does neither, to be subtracted.
//!
//! `cargo build --release --benches`, then `perf stat`, `time` or callgrind on the binary with one of the words.

#[path = "../tests/common/mod.rs"]
mod common;

use common::plain_srtp::{PlainSrtp, TAG};
use common::talk::{MUTED, ROOM};
use common::{CountingSink, Talk};
use fork_router_engine::core::Command;
use fork_router_engine::core::sink::MAX_DATAGRAM;
use fork_router_engine::ids::ProducerId;
use fork_router_engine::srtp::SRTP_MAX_OVERHEAD;
use fork_router_engine::time::Micros;

const MEMBERS: u64 = 1_000;
const SWITCHES: usize = 1_000;
const ROUNDS: usize = 1_000;

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let mut talk = Talk::new(3, &[3; MEMBERS as usize]);
    for number in 1..=5 {
        talk.say(number, Some(ROOM));
    }
    match what.as_str() {
        "silent" => silent(&mut talk, Some(MUTED)),
        // The same packets, of tracks that are in no group.
        "ungrouped" => {
            talk.world
                .command(Command::RemoveSpeakers(common::talk::GROUP));
            silent(&mut talk, Some(MUTED));
        }
        "switch" => switch(&mut talk),
        _ => {}
    }
}

/// A thousand rounds of packets, each second longer than the silence that frees a place.
fn silent(talk: &mut Talk, level: Option<u8>) {
    for number in 1..=MEMBERS {
        let transport = talk.member(number).peer.transport;
        let keys = Box::new(PlainSrtp);
        talk.world.command(Command::SetSrtp(transport, keys));
    }
    let (mut sink, mut buffer) = (
        CountingSink::new(),
        vec![0; MAX_DATAGRAM + SRTP_MAX_OVERHEAD],
    );
    let mut packets: Vec<_> = talk
        .members
        .iter_mut()
        .map(|member| {
            member.encoder.level = level;
            (member.peer.tuple, member.encoder.frame(false, 1).remove(0))
        })
        .collect();
    for round in 0..ROUNDS {
        for (from, packet) in &mut packets {
            let seq = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(1);
            packet[2..4].copy_from_slice(&seq.to_be_bytes());
            buffer[..packet.len()].copy_from_slice(packet);
            let (now, len) = (talk.world.now, packet.len() + TAG);
            let core = &mut talk.world.core;
            core.handle_datagram(now, *from, &mut buffer, len, &mut sink);
        }
        talk.world.now = talk.world.now + Micros::from_millis(20);
        if round % 50 == 0 {
            talk.world.core.handle_timeout(talk.world.now, &mut sink);
        }
    }
    println!("{} packets, {} sent", ROUNDS * packets.len(), sink.rtp);
}

/// Whoever has the first place is muted; the spare voice moves in, and he comes back as the spare one.
fn switch(talk: &mut Talk) {
    for turn in 0..SWITCHES {
        let first = if turn % 2 == 0 { 1 } else { 4 };
        for paused in [true, false] {
            let command = Command::PauseProducer(ProducerId(first), paused);
            talk.world.command(command);
        }
        talk.say(first, Some(ROOM));
        talk.world.sink.sent.clear();
        talk.world.now = talk.world.now + Micros::from_millis(20);
    }
    let showing = talk.slot_stats(900)[0].producer;
    assert_eq!(showing, Some(ProducerId(1)));
    println!("{SWITCHES} changes");
}
