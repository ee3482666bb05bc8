//! Scenes of a call.

use super::super::Cause;
use super::*;

fn grid(count: usize) -> Vec<Slot> {
    vec![Slot::shown_at(320, 180); count]
}

/// A pinned picture and some small ones.
fn stage(small: usize) -> Receiver {
    let mut slots = grid(small);
    slots.push(Slot::shown_at(1_280, 720).pinned());
    Receiver::new(slots)
}

#[test]
fn without_an_estimate_all_is_sent() {
    let mut receiver = stage(3);
    let decided = receiver.step();
    assert_eq!(decided.heights(), [180, 180, 180, 720]);
    assert_eq!(
        (decided.wanted_bps, decided.reason(3)),
        (0, "720p: the best layer that flows".into())
    );
}

#[test]
fn minima_for_all_then_the_pinned_one() {
    let mut receiver = stage(4);
    let at = |receiver: &mut Receiver, kbps| receiver.try_at(kbps).shown();
    let low = Some((180, 0));
    assert_eq!(at(&mut receiver, 60), [None; 5]);
    assert_eq!(at(&mut receiver, 100), [None, None, None, None, low]);
    assert_eq!(at(&mut receiver, 270), [low, low, None, None, low]);
    assert_eq!(at(&mut receiver, 480), [low, low, low, low, Some((180, 1))]);
    let (mid, high) = (Some((180, 1)), Some((180, 2)));
    let large = Some((360, 2));
    assert_eq!(at(&mut receiver, 1_200), [high, high, high, mid, large]);
    assert_eq!(
        at(&mut receiver, 2_500),
        [high, high, high, high, Some((720, 2))]
    );
}

#[test]
fn audio_and_repair_are_taken_off_first() {
    let mut receiver = Receiver::new(vec![Slot::shown_at(320, 180)]);
    receiver.audio = vec![40_000, 0, 0];
    // 50 for the voice with what goes with it, 24 for each that may begin to speak.
    let silent = receiver.try_at(98 + 85);
    assert_eq!(silent.shown(), [None]);
    assert_eq!(
        silent.reason(0),
        "paused, wanted 180p: estimate 183 kbit/s, 98 spent above"
    );
    assert_eq!(receiver.try_at(98 + 90).shown(), [Some((180, 0))]);
    receiver.budget.fraction_lost = 0.1;
    assert_eq!(receiver.try_at(98 + 90).shown(), [None]);
    assert_eq!(
        receiver.try_at((98 + 90) * 10 / 9 + 1).shown(),
        [Some((180, 0))]
    );
}

#[test]
fn up_needs_a_margin_and_time_down_neither() {
    let mut receiver = Receiver::new(vec![Slot::shown_at(640, 360)]);
    assert_eq!(receiver.run(300, 2_000).shown(), [Some((180, 2))]);
    assert_eq!(
        receiver.run(520, 3_000).shown(),
        [Some((360, 1))],
        "no margin for 515 kbit/s"
    );
    receiver.run(300, 16_000);
    assert_eq!(
        receiver.run(620, 100).shown(),
        [Some((180, 2))],
        "not at once"
    );
    assert_eq!(receiver.run(620, 1_000).shown(), [Some((360, 2))]);
    assert_eq!(
        receiver.run(495, 1_000).shown(),
        [Some((360, 2))],
        "tolerated"
    );
    let lower = receiver.run(485, 100);
    assert_eq!(lower.shown(), [Some((360, 1))], "at once");
    assert_eq!(
        lower.reason(0),
        "360p15, wanted 360p30: estimate 485 kbit/s, 0 spent above"
    );
}

#[test]
fn a_dip_that_is_bridged_lowers_nothing() {
    let mut receiver = Receiver::new(vec![Slot::shown_at(640, 360)]);
    let large = [Some((360, 2))];
    assert_eq!(receiver.run(620, 3_000).shown(), large);
    receiver.budget.bridged = Some(520_000);
    assert_eq!(receiver.run(420, 1_000).shown(), large);
    receiver.budget.bridged = Some(510_000);
    assert_eq!(receiver.run(420, 100).shown(), [Some((360, 1))], "too deep");
    receiver.budget.bridged = Some(900_000);
    receiver.run(420, 30_000);
    assert_eq!(
        receiver.run(420, 100).shown(),
        [Some((360, 1))],
        "nothing is raised by it"
    );
}

#[test]
fn a_probe_is_proof_enough() {
    let mut receiver = Receiver::new(vec![Slot::shown_at(640, 360)]);
    receiver.run(300, 2_000);
    receiver.budget.confirmed = Some(520_000);
    assert_eq!(receiver.run(520, 100).shown(), [Some((360, 2))]);
}

#[test]
fn a_key_frame_lowers_nothing() {
    let mut receiver = Receiver::new(vec![Slot::shown_at(640, 360)]);
    receiver.run(620, 3_000);
    let mut dear: Vec<Rung> = ladder().rungs().to_vec();
    for rung in &mut dear {
        rung.bps = rung.bps * 8 / 5;
    }
    receiver.slots[0].ladder = dear.iter().copied().collect();
    assert_eq!(receiver.run(620, 1_000).shown(), [Some((360, 2))]);
    receiver.slots[0].ladder = ladder();
    assert_eq!(receiver.run(620, 3_000).shown(), [Some((360, 2))]);
    receiver.slots[0].ladder = dear.iter().copied().collect();
    let lower = receiver.run(620, 3_000);
    assert_eq!(lower.shown(), [Some((360, 1))], "what lasts is believed");
}

#[test]
fn who_is_pinned_displaces_within_what_is_used() {
    let mut receiver = Receiver::new(vec![Slot::shown_at(1_280, 720), Slot::shown_at(1_280, 720)]);
    let heights = receiver.run(1_700, 5_000).heights();
    assert_eq!(heights, [360, 360], "equals are treated alike");
    receiver.slots[1].priority = Priority::Pinned;
    receiver.slots[0].limits.shown_at = Some((320, 180));
    let decided = receiver.run(1_700, 1_000);
    assert_eq!(decided.heights(), [180, 720]);
}

#[test]
fn paused_ones_come_back_in_order() {
    let mut receiver = Receiver::new(grid(4));
    receiver.run(1_000, 2_000);
    assert_eq!(receiver.run(90, 100).heights(), [180, 0, 0, 0]);
    let paused = receiver.run(90, 5_000);
    assert!(paused.grants[1].is_paused_by_bandwidth());
    assert_eq!(paused.grants[1].reason.cause, Cause::Bandwidth);
    let mut back = Vec::new();
    for kbps in (90..=400).step_by(5) {
        back.push(
            receiver
                .run(kbps, 200)
                .heights()
                .iter()
                .filter(|height| **height > 0)
                .count(),
        );
        let heights = receiver.try_at(kbps).heights();
        let first_paused = heights.iter().position(|height| *height == 0).unwrap_or(4);
        assert!(
            heights[first_paused..].iter().all(|height| *height == 0),
            "{heights:?}"
        );
    }
    assert!(back.is_sorted(), "{back:?}");
    assert_eq!(back.last(), Some(&4));
}

#[test]
fn a_raise_that_does_not_hold_is_tried_less_and_less_often() {
    let mut receiver = Receiver::new(vec![Slot::shown_at(640, 360)]);
    // The estimate looks good for a while, and breaks down whenever the larger picture is sent.
    let mut raises = Vec::new();
    let mut kbps = 590;
    for _ in 0..3_600 {
        let decided = receiver.run(kbps, 100);
        let is_large = decided.shown() == [Some((360, 2))];
        if is_large {
            raises.push(receiver.now.as_millis() / 1_000);
        }
        kbps = if is_large { 300 } else { 590 };
    }
    let waits: Vec<u64> = raises.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(raises.len() <= 7, "{waits:?}");
    assert!(waits.last() >= Some(&90), "{waits:?}");
    let reason = receiver.run(590, 100).reason(0);
    assert!(reason.contains("did not hold when tried"), "{reason}");
    let ample = receiver.run(900, 1_500);
    assert_eq!(
        ample.shown(),
        [Some((360, 2))],
        "with plenty nobody is held back"
    );
}

#[test]
fn what_a_guess_raised_has_not_failed() {
    let single = [rung(0, u8::MAX, 1_500, (640, 360), 30.0)];
    let mut receiver = Receiver::new(vec![Slot::shown_at(640, 360).of(&single)]);
    receiver.budget.is_guess = true;
    assert_eq!(receiver.run(2_000, 1_900).heights(), [360]);
    receiver.budget.is_guess = false;
    assert_eq!(receiver.run(1_200, 300).heights(), [0]);
    assert_eq!(
        receiver.run(1_750, 700).heights(),
        [360],
        "as soon as there is room"
    );
}

#[test]
fn who_sees_nothing_waits_less_long() {
    let single = [rung(0, u8::MAX, 1_500, (640, 360), 30.0)];
    let mut receiver = Receiver::new(vec![Slot::shown_at(640, 360).of(&single)]);
    receiver.run(2_000, 1_900);
    for wait_s in [4, 15, 30, 30] {
        assert_eq!(receiver.run(1_200, 100).heights(), [0]);
        let before = receiver.run(2_000, wait_s * 1_000 - 100);
        assert_eq!(before.heights(), [0], "{wait_s}");
        assert_eq!(receiver.run(2_000, 200).heights(), [360], "{wait_s}");
    }
}

#[test]
fn after_an_outage_all_is_back_within_a_second() {
    let mut receiver = stage(4);
    let before = receiver.run(2_500, 5_000);
    receiver.budget.is_outage = true;
    assert_eq!(receiver.run(10, 3_000).heights(), [0; 5]);
    receiver.budget.is_outage = false;
    let after = receiver.run(2_500, 1_000);
    assert_eq!(after.shown(), before.shown());
}

#[test]
fn a_dear_single_layer_waits_for_those_above_and_hinders_nobody() {
    let single = [rung(0, u8::MAX, 2_500, (1_920, 1_080), 30.0)];
    let small = Slot::shown_at(320, 180);
    let slots = vec![Slot::shown_at(1_280, 720), small.clone().of(&single), small];
    let mut receiver = Receiver::new(slots);
    let shown = receiver.try_at(2_300).heights();
    assert_eq!(shown, [720, 0, 180], "it waits");
    assert_eq!(receiver.try_at(5_000).heights(), [720, 1_080, 180]);
    receiver.slots[1].priority = Priority::Pinned;
    assert_eq!(
        receiver.try_at(3_200).heights(),
        [180, 1_080, 180],
        "pinned it goes first"
    );
    assert_eq!(
        receiver.try_at(2_300).heights(),
        [720, 0, 180],
        "but it must fit"
    );
}

#[test]
fn a_dear_single_layer_goes_before_raises_of_those_below() {
    let single = [rung(0, u8::MAX, 600, (640, 360), 30.0)];
    let middle = Slot::shown_at(640, 360).of(&single);
    let slots = vec![Slot::shown_at(320, 180), middle, Slot::shown_at(1_280, 720)];
    let mut receiver = Receiver::new(slots);
    let full = Some((720, 2));
    // 2243 kbit/s with the smallest at its minimum, 2320 with all it could have.
    let shown = |receiver: &mut Receiver, kbps: u64| receiver.try_at(kbps * 11 / 10).shown();
    assert_eq!(
        shown(&mut receiver, 2_230),
        [Some((180, 2)), None, full],
        "it does not fit in any case"
    );
    let before = [Some((180, 0)), Some((360, u8::MAX)), full];
    assert_eq!(shown(&mut receiver, 2_260), before);
    assert_eq!(shown(&mut receiver, 2_340)[0], Some((180, 2)));
}

#[test]
fn a_screen_keeps_its_resolution() {
    let slot = Slot {
        preference: Preference::Detail,
        ..Slot::shown_at(1_280, 720)
    };
    let mut receiver = Receiver::new(vec![slot]);
    assert_eq!(receiver.try_at(1_000).shown(), [Some((720, 0))]);
    receiver.slots[0].preference = Preference::Motion;
    assert_eq!(receiver.try_at(1_000).shown(), [Some((360, 2))]);
}

#[test]
fn what_is_not_wanted_costs_nothing() {
    let mut receiver = stage(2);
    receiver.slots[0].wanted = false;
    receiver.slots[1].limits.shown_at = Some((0, 0));
    let decided = receiver.run(1_800, 3_000);
    assert_eq!(decided.shown(), [None, None, Some((720, 2))]);
    let causes: Vec<Cause> = decided
        .grants
        .iter()
        .map(|grant| grant.reason.cause)
        .collect();
    assert_eq!(causes, [Cause::NotWanted, Cause::Hidden, Cause::Best]);
    assert!(
        decided
            .grants
            .iter()
            .all(|grant| !grant.is_paused_by_bandwidth())
    );
    assert_eq!(decided.wanted_bps, 0);
}

#[test]
fn what_probes_aim_at_suffices() {
    let mut receiver = stage(4);
    let mut kbps = 100;
    let mut raises = 0;
    loop {
        let decided = receiver.run(kbps, 3_000);
        if decided.wanted_bps == 0 {
            break;
        }
        let wanted = decided.wanted_bps.div_ceil(1_000);
        assert!(wanted > kbps, "{wanted} at {kbps}");
        let better = receiver.run(wanted, 3_000);
        assert!(
            better.spent_bps > decided.spent_bps,
            "{decided:?} {better:?}"
        );
        (kbps, raises) = (wanted, raises + 1);
    }
    assert_eq!(receiver.step().heights(), [180, 180, 180, 180, 720]);
    assert!(raises > 8);
}
