//! Nothing on the media path allocates once buffers have grown: forwarding, reports, feedback, repair, ICE's own timers.

mod common;

use common::Load;
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
