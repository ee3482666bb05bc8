//! Nine cameras on a link for less.

use crate::paths::link::Link;
use crate::receiver::Manner;
use crate::room::Room;
use crate::table::name;
use fork_router_engine::core::Command;
use fork_router_engine::core::command::{Preference, Priority};

const CAMERAS: [usize; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
const PINNED: usize = 3;

/// What slots show in the last second, and why; printed.
fn look(room: &mut Room, what: &str, from_s: f64) -> Vec<(Option<(u8, u32)>, String)> {
    Room::print_head(what);
    let now = room.seconds();
    room.print_line(0, from_s, from_s + 2.0);
    room.print_line(0, now - 2.0, now);
    let slots = room.stats(0).slots;
    let slots = slots.iter().skip(1).enumerate();
    slots
        .map(|(index, slot)| {
            let shown = room.rung(&room.receivers[0], index, now - 1.0);
            println!("  {index}: shows {}; {}", name(shown), slot.reason);
            (shown, slot.reason.to_string())
        })
        .collect()
}

/// Everybody is seen soon, and nobody in more than the lowest encoding before that.
fn assert_all_visible_first(room: &Room, seed: u64, joined_s: f64) {
    let streams = &room.receivers[0].streams;
    let joined = room.at(joined_s);
    let first = |encoding: u8| {
        streams.iter().map(move |stream| {
            let mut shown = stream.view.shown.iter();
            let found = shown.find(|shown| shown.stamp.encoding >= encoding);
            found.map_or(f64::INFINITY, |shown| (shown.at - joined).as_secs_f64())
        })
    };
    let visible = first(0).fold(0.0, f64::max);
    let large = first(1).fold(f64::INFINITY, f64::min);
    let frozen = CAMERAS.map(|slot| room.frozen_s((0, slot), joined_s, joined_s + 6.0));
    println!(
        "all visible after {visible:.2} s, somebody large after {large:.2} s; frozen for {frozen:.1?} s"
    );
    assert!(
        frozen.iter().all(|it| *it <= 1.0),
        "seed {seed}: {frozen:?}"
    );
    assert!(visible <= 1.0, "seed {seed}: {visible}");
    assert!(large > visible, "seed {seed}: {large} {visible}");
}

fn nine(seed: u64, ahead_s: f64) {
    let mut room = Room::new(seed, 9, 1_700e3, vec![Link::typical(2e6, seed)]);
    room.run(ahead_s);
    room.join(Manner::TransportCc, 0, &CAMERAS);
    room.run(12.0);
    for (shown, reason) in look(&mut room, "nine equal", ahead_s) {
        assert!(shown.is_some(), "seed {seed}: {reason}");
        assert!(reason.contains("p, wanted 720p: "), "seed {seed}: {reason}");
        assert!(reason.contains("estimate "), "seed {seed}: {reason}");
    }
    assert_all_visible_first(&room, seed, ahead_s);

    let slot = Room::slot(0, PINNED);
    let pinned = Command::SetPriority(slot, Priority::Pinned, Preference::Motion);
    room.world.command(pinned);
    let from = room.seconds();
    room.run(12.0);
    let shown = look(&mut room, "the fourth pinned", from);
    assert!(
        shown.iter().all(|(shown, _)| shown.is_some()),
        "seed {seed}"
    );
    let of = |index: usize| shown[index].0.expect("shown").0;
    assert!(of(PINNED) > 0, "seed {seed}: {}", shown[PINNED].1);
    assert!(
        CAMERAS.iter().all(|other| of(*other) <= of(PINNED)),
        "seed {seed}"
    );

    room.set_rate(0, 0.4e6);
    let from = room.seconds();
    room.run(15.0);
    let shown = look(&mut room, "0.4 Mbit/s", from);
    assert!(
        shown[PINNED].0.is_some(),
        "seed {seed}: {}",
        shown[PINNED].1
    );
    let paused = shown
        .iter()
        .filter(|(_, reason)| reason.starts_with("paused, wanted 720p: "));
    assert!(paused.count() >= 3, "seed {seed}");
    for (shown, reason) in &shown {
        let is_paused = reason.starts_with("paused");
        assert!(shown.is_some() || is_paused, "seed {seed}: {reason}");
    }
    for stream in &room.receivers[0].streams {
        assert_eq!(stream.view.broken, 0, "seed {seed}");
    }
}

#[test]
fn who_joins_nine_cameras_sees_all() {
    nine(501, 3.0);
}

#[test]
fn nine_cameras_that_begin_together_are_all_seen() {
    nine(502, 0.0);
}
