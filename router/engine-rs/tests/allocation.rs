//! Nothing on the media path allocates once buffers have grown: forwarding, reports, feedback, repair, ICE's own timers,
//! and who of a group of speakers is heard.

mod common;

use common::plain_srtp::{PlainSrtp, TAG};
use common::talk::{MUTED, ROOM, SPEECH};
use common::{CountingSink, Load, Talk};
use fork_router_engine::core::Command;
use fork_router_engine::core::sink::MAX_DATAGRAM;
use fork_router_engine::srtp::SRTP_MAX_OVERHEAD;
use fork_router_engine::time::Micros;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

const RECEIVERS: usize = 20;
const WARM_UP: usize = 4_000;
const PACKETS: usize = 20_000;

/// The system's allocator, counting what this thread takes while it is told to.
struct Counting;

thread_local! {
    static COUNTS: Cell<bool> = const { Cell::new(false) };
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

fn note() {
    if COUNTS.get() {
        TAKEN.set(TAKEN.get() + 1);
    }
}

// SAFETY: every call goes on unchanged to the system's allocator; counting neither allocates nor unwinds, as the
// thread-local cells need no initialisation and no destructor.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise about the layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's promise about block, layout and size.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise that the block came from here.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted(call: &mut dyn FnMut()) {
    COUNTS.set(true);
    call();
    COUNTS.set(false);
}

#[test]
fn allocator_counts() {
    let before = TAKEN.get();
    counted(&mut || drop(std::hint::black_box(Box::new(1))));
    assert_eq!(TAKEN.get(), before + 1);
}

#[test]
fn steady_forwarding_allocates_nothing() {
    let mut load = Load::new(RECEIVERS);
    load.prepare(WARM_UP, true);
    load.play(|call| call());
    load.ask_again(|call| call());
    let (rtp, other) = (load.sink.rtp, load.sink.other);
    load.prepare(PACKETS, true);
    let played = load.play(counted);
    load.ask_again(counted);
    let forwarded = load.sink.rtp - rtp;
    assert_eq!(
        forwarded,
        ((played + 1) * RECEIVERS) as u64,
        "and one repair each"
    );
    assert!(
        load.sink.other - other > 200,
        "reports, NACKs and feedback were sent meanwhile"
    );
    assert_eq!(TAKEN.get(), 0, "allocations for {forwarded} packets");
}

/// Twelve in a group, of whom two speak in turns, one is muted and the others sit in a room.
#[test]
fn a_steady_talk_allocates_nothing() {
    const MEMBERS: u64 = 12;
    let mut talk = Talk::new(3, &[3; MEMBERS as usize]);
    for index in 0..MEMBERS {
        let transport = talk.member(index + 1).peer.transport;
        let keys = Box::new(PlainSrtp);
        talk.world.command(Command::SetSrtp(transport, keys));
    }
    let (mut sink, mut buffer) = (
        CountingSink::new(),
        vec![0; MAX_DATAGRAM + SRTP_MAX_OVERHEAD],
    );
    for tick in 0..1_400u64 {
        // Not before everybody has spoken and reports and rates have been counted.
        let steady = tick >= 400;
        for number in 1..=MEMBERS {
            let speaks = number == tick / 100 % 2 + 1;
            let member = talk.member(number);
            member.encoder.level = Some(match number {
                _ if speaks => SPEECH,
                MEMBERS => MUTED,
                _ => ROOM,
            });
            let packet = member.encoder.frame(false, 1).remove(0);
            member.encoder.pass(960);
            let from = member.peer.tuple;
            buffer[..packet.len()].copy_from_slice(&packet);
            let (world, len) = (&mut talk.world, packet.len() + TAG);
            let mut receive = || {
                world
                    .core
                    .handle_datagram(world.now, from, &mut buffer, len, &mut sink);
            };
            if steady {
                counted(&mut receive);
            } else {
                receive();
            }
        }
        let world = &mut talk.world;
        world.now = world.now + Micros::from_millis(20);
        while world.core.poll_deadline().is_some_and(|at| at <= world.now) {
            let events = sink.events;
            let mut wake = || world.core.handle_timeout(world.now, &mut sink);
            let taken = TAKEN.get();
            if steady {
                counted(&mut wake);
            } else {
                wake();
            }
            if sink.events > events {
                // A change of the dominant speaker is told, not more than once a turn: that is a list for Python.
                TAKEN.set(taken);
            }
        }
    }
    assert!((20..=40).contains(&sink.events), "{} events", sink.events);
    assert!(sink.rtp > 1_400 * 3 * 10, "{} packets", sink.rtp);
    assert_eq!(TAKEN.get(), 0, "allocations");
}

/// All receivers change to another camera at one packet.
#[test]
fn a_change_allocates_nothing() {
    let mut load = Load::new(RECEIVERS);
    load.prepare(WARM_UP, false);
    load.play(|call| call());
    load.change_camera();
    for _ in 0..WARM_UP / 4 {
        load.prepare_frame(false);
        load.play(|call| call());
    }
    load.prepare_frame(true);
    let before = load.sink.rtp;
    load.play(counted);
    assert_eq!(
        load.sink.rtp - before,
        (4 * RECEIVERS) as u64,
        "of the second camera alone"
    );
    assert_eq!(TAKEN.get(), 0);
}
