//! Nothing on the media path allocates once buffers have grown: forwarding, reports, feedback, repair, ICE's own timers,
//! who of a group of speakers is heard, who gets what of a receiver's bandwidth, and pacing.

mod common;

use common::plain_srtp::{PlainSrtp, TAG};
use common::talk::{MUTED, ROOM, SPEECH};
use common::{CountingSink, House, Load, Talk, World};
use fork_router_engine::alloc::{
    Allocator, Budget, Claim, Headroom, Preference, Priority, Standing, Wants,
};
use fork_router_engine::core::command::Limits;
use fork_router_engine::core::mirror::MirrorHead;
use fork_router_engine::core::sink::{Class, MAX_DATAGRAM};
use fork_router_engine::core::{Command, Event, Sink};
use fork_router_engine::ids::{Ssrc, Tuple, WorkerId};
use fork_router_engine::io::ring::{Inlet, Mesh, Outlet};
use fork_router_engine::pace::{Admission, Paced, Pacer};
use fork_router_engine::route::ladder::{Ladder, Rung};
use fork_router_engine::srtp::SRTP_MAX_OVERHEAD;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::write_receiver_report;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

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

/// What is published on one worker and shown on another.
#[test]
fn handing_over_allocates_nothing() {
    let mut house = House::new(5);
    for worker in [0, 1, 1] {
        house.join(worker);
    }
    house.publish_video(0, &[]);
    for guest in [1, 2] {
        house.assign(guest, Some(0));
    }
    for guest in &house.guests {
        let command = Command::SetSrtp(guest.peer.transport, Box::new(PlainSrtp));
        house.workers[guest.worker].command(command);
    }
    let mut mesh = Handover::new();
    let from = house.guests[0].peer.tuple;
    let mut buffer = vec![0; MAX_DATAGRAM + SRTP_MAX_OVERHEAD];
    for number in 0..WARM_UP + PACKETS {
        let encoder = &mut house.guests[0].encoder;
        let packet = encoder.frame(number % 600 == 0, 1).remove(0);
        encoder.sent.clear();
        encoder.pass(90);
        if number % 5_000 == 0 {
            mesh.hear_receivers(&mut house);
        }
        buffer[..packet.len()].copy_from_slice(&packet);
        let mut deliver =
            || mesh.deliver(&mut house.workers, from, &mut buffer, packet.len() + TAG);
        if number < WARM_UP {
            deliver();
        } else {
            counted(&mut deliver);
        }
    }
    assert!(mesh.received.rtp >= 2 * PACKETS as u64);
    assert_eq!(TAKEN.get(), 0, "allocations");
}

/// Two workers' sinks with the rings between them.
struct Handover {
    scratch: CountingSink,
    outlet: Outlet,
    inlet: Inlet,
    received: CountingSink,
}

impl Handover {
    fn new() -> Self {
        let mesh = Mesh::new(2).unwrap();
        Self {
            scratch: CountingSink::new(),
            outlet: Outlet::new(Arc::clone(&mesh), 0),
            inlet: Inlet::new(mesh, 1),
            received: CountingSink::new(),
        }
    }

    /// Receivers say that they are there: nobody sends for long to the silent.
    fn hear_receivers(&mut self, house: &mut House) {
        let mut report = [0; 64];
        for guest in &house.guests[1..] {
            let len = write_receiver_report(&mut report, Ssrc(1), &[]).unwrap();
            let other = &mut house.workers[guest.worker];
            let (now, from, sink) = (other.now, guest.peer.tuple, &mut self.received);
            other
                .core
                .handle_datagram(now, from, &mut report, len + TAG, sink);
        }
    }

    /// A millisecond passes, a packet comes to the first worker and what it means to the second.
    fn deliver(&mut self, workers: &mut [World; 2], from: Tuple, buffer: &mut [u8], len: usize) {
        let [home, other] = workers;
        home.now = home.now + Micros::from_millis(1);
        let now = home.now;
        other.now = now;
        home.core.handle_datagram(now, from, buffer, len, self);
        home.core.handle_timeout(now, self);
        self.outlet.announce();
        self.inlet.hold_packets(0, 1);
        for (index, (head, bytes)) in self.inlet.held().enumerate() {
            other.core.take_mirrored(now, head, bytes, index);
        }
        let sink = &mut self.received;
        other.core.forward_pending(now, &self.inlet, sink);
        other.core.handle_timeout(now, sink);
        self.inlet.release_packets();
    }
}

impl Sink for Handover {
    fn scratch(&mut self) -> &mut [u8] {
        self.scratch.scratch()
    }
    fn commit(&mut self, len: usize, to: Tuple, class: Class) {
        self.scratch.commit(len, to, class);
    }
    fn event(&mut self, _: Event) {}
    fn mirror_packet(&mut self, to: WorkerId, head: &MirrorHead, bytes: &[u8]) {
        self.outlet.send_packet(to, head, bytes);
    }
}

/// Deciding who gets what, with an estimate that rises and falls so that grants change all the time.
#[test]
fn decisions_allocate_nothing() {
    let rungs = (0..9_u8).map(|at| Rung {
        encoding: at / 3,
        spatial: 0,
        temporal: at % 3,
        bps: 60_000 * (u64::from(at) + 1),
        size: Some((320 << (at / 3), 180 << (at / 3))),
        frame_rate: 15.0 + f32::from(at % 3),
    });
    let ladder: Ladder = rungs.collect();
    let mut allocator = Allocator::new();
    let mut headroom = Headroom::default();
    let mut standings = [Standing::default(); 9];
    let mut changes = 0;
    let mut decide = |round: u64| {
        let budget = Budget {
            estimate: Some(600_000 + round % 40 * 50_000),
            ..Budget::default()
        };
        let claims = standings.iter().zip(0..).map(|(standing, slot)| Claim {
            slot,
            wants: Wants::Video(&ladder),
            priority: Priority::Ordinary,
            preference: Preference::Motion,
            limits: Limits::default(),
            standing: *standing,
        });
        let now = Micros::from_millis(200 * round);
        let allocation = allocator.allocate(&budget, &mut headroom, claims, now);
        for grant in allocation.grants {
            let standing = &mut standings[usize::from(grant.slot)];
            changes += usize::from(standing.granted() != grant.rung.as_ref());
            *standing = grant.standing;
        }
    };
    (0..100).for_each(&mut decide);
    let before = TAKEN.get();
    counted(&mut || (100..2_000).for_each(&mut decide));
    assert_eq!(TAKEN.get(), before);
    assert!(changes > 500, "{changes}");
}

/// A receiver whose link is full again and again.
#[test]
fn pacing_allocates_nothing_once_it_has_waited() {
    let mut pacer = Pacer::default();
    pacer.set_rate(Some(2_000_000), Micros(0));
    let bytes = [7; 1_100];
    let mut waited = 0;
    let mut second = |second: u64| {
        let mut now = Micros::from_secs(second);
        for stream in (0..100_u32).map(|packet| packet % 4) {
            let packet = Paced {
                ssrc: Ssrc(stream),
                class: Class::Video,
                is_repair: stream == 3,
                bytes: &bytes,
            };
            waited += usize::from(pacer.admit(&packet, now) == Admission::Wait);
        }
        let mut out = [0; 1_500];
        while let Some(at) = pacer.deadline() {
            now = at;
            while pacer.release(&mut out, now).is_some() {}
        }
    };
    (0..10).for_each(&mut second);
    let before = TAKEN.get();
    counted(&mut || (10..100).for_each(&mut second));
    assert_eq!(TAKEN.get(), before);
    assert!(waited > 5_000, "{waited}");
}
