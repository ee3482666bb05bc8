//! `SeqManager` against a model that counts in 128 bits and remembers everything.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn manager(first: u16) -> SeqManager<u8> {
    SeqManager::new(first, MediaKind::Video)
}

fn sent(verdict: Verdict) -> u64 {
    match verdict {
        Verdict::Send(out) => out.0,
        Verdict::Stale => panic!("stale"),
    }
}

fn wire(verdict: Verdict) -> u16 {
    sent(verdict) as u16
}

#[test]
fn nothing_passes_before_the_first_switch() {
    let mut seq = manager(7);
    assert_eq!(seq.forward(SeqNo(5), 0), Verdict::Stale);
    assert_eq!(seq.drop_packet(SeqNo(5), 9), Dropped::Stale);
    assert_eq!(seq.origin(7), Origin::Unknown);
    assert_eq!(seq.highest(), None);
}

#[test]
fn begins_at_the_given_number_and_wraps() {
    let mut seq = manager(65_534);
    seq.switch(SeqNo(1_000));
    let outs: Vec<u16> = (0..5)
        .map(|step| wire(seq.forward(SeqNo(1_000 + step), 0)))
        .collect();
    assert_eq!(outs, [65_534, 65_535, 0, 1, 2]);
}

#[test]
fn gap_upstream_stays_a_gap_and_fills_late() {
    let mut seq = manager(10);
    seq.switch(SeqNo(100));
    assert_eq!(wire(seq.forward(SeqNo(100), 1)), 10);
    assert_eq!(wire(seq.forward(SeqNo(103), 2)), 13);
    assert_eq!(seq.origin(11), Origin::Awaited(SeqNo(101)));
    assert_eq!(wire(seq.forward(SeqNo(101), 3)), 11);
    assert_eq!(seq.forward(SeqNo(101), 3), Verdict::Stale, "only once");
    assert!(matches!(seq.origin(11), Origin::Sent(_, SeqNo(101), 3)));
    assert_eq!(seq.origin(14), Origin::Unknown, "not sent yet");
}

#[test]
fn drops_leave_no_gap() {
    let mut seq = manager(10);
    seq.switch(SeqNo(100));
    assert_eq!(wire(seq.forward(SeqNo(100), 0)), 10);
    assert_eq!(seq.drop_packet(SeqNo(101), 9), Dropped::Hidden);
    assert_eq!(seq.drop_packet(SeqNo(102), 9), Dropped::Hidden);
    assert_eq!(wire(seq.forward(SeqNo(103), 0)), 11);
    assert_eq!(
        seq.forward(SeqNo(102), 0),
        Verdict::Stale,
        "dropped means dropped"
    );
    assert_eq!(seq.drop_packet(SeqNo(101), 9), Dropped::Stale);
    assert!(matches!(seq.origin(11), Origin::Sent(_, SeqNo(103), _)));
}

#[test]
fn late_drop_is_filled() {
    let mut seq = manager(10);
    seq.switch(SeqNo(100));
    seq.forward(SeqNo(100), 0);
    seq.forward(SeqNo(102), 0);
    let Dropped::Filler(out) = seq.drop_packet(SeqNo(101), 9) else {
        panic!("a number was free")
    };
    assert_eq!(out.0 as u16, 11);
    assert_eq!(seq.origin(11), Origin::Filler(out, 9));
    assert_eq!(
        seq.forward(SeqNo(101), 0),
        Verdict::Stale,
        "never a second plaintext"
    );
    assert_eq!(seq.drop_packet(SeqNo(101), 9), Dropped::Stale);
}

#[test]
fn reordered_around_a_drop() {
    let mut seq = manager(10);
    seq.switch(SeqNo(100));
    seq.forward(SeqNo(100), 0);
    seq.drop_packet(SeqNo(103), 9);
    assert_eq!(wire(seq.forward(SeqNo(104), 0)), 13);
    assert_eq!(wire(seq.forward(SeqNo(101), 0)), 11, "before the drop");
    assert_eq!(seq.origin(12), Origin::Awaited(SeqNo(102)));
    assert_eq!(wire(seq.forward(SeqNo(102), 0)), 12);
}

#[test]
fn switch_refuses_what_came_before() {
    let mut seq = manager(10);
    seq.switch(SeqNo(100));
    seq.forward(SeqNo(100), 1);
    seq.forward(SeqNo(102), 1);
    seq.switch(SeqNo(5_000));
    assert_eq!(wire(seq.forward(SeqNo(5_000), 2)), 13);
    assert_eq!(seq.forward(SeqNo(4_999), 2), Verdict::Stale);
    assert_eq!(seq.origin(11), Origin::Unknown, "lost with its epoch");
    assert!(
        matches!(seq.origin(12), Origin::Sent(_, SeqNo(102), 1)),
        "the former epoch can still be repaired"
    );
    seq.stop();
    assert_eq!(seq.forward(SeqNo(5_001), 2), Verdict::Stale);
}

#[test]
fn numbers_reserved_before_a_drop_are_not_reused_by_the_next_epoch() {
    let mut seq = manager(10);
    seq.switch(SeqNo(100));
    seq.forward(SeqNo(100), 0);
    seq.drop_packet(SeqNo(104), 9);
    seq.switch(SeqNo(9));
    assert_eq!(wire(seq.forward(SeqNo(9), 0)), 14, "11 to 13 were promised");
}

#[test]
fn window_closes() {
    let mut seq = manager(10);
    seq.switch(SeqNo(100));
    seq.forward(SeqNo(100), 0);
    seq.forward(SeqNo(101 + SEND_WINDOW), 0);
    assert_eq!(
        seq.forward(SeqNo(101), 0),
        Verdict::Stale,
        "libsrtp would refuse it"
    );
    assert_eq!(wire(seq.forward(SeqNo(102), 0)), 12);
    assert!(!seq.is_sendable(SeqNo(0x1_0000 + 11)) && seq.is_sendable(SeqNo(0x1_0000 + 12)));
    assert!(
        matches!(seq.origin(10), Origin::Sent(..)),
        "by RTX it can be repeated"
    );
    seq.forward(SeqNo(101 + VIDEO_WINDOW), 0);
    assert_eq!(seq.origin(10), Origin::Unknown);
}

#[test]
fn memory_grows_with_use_only() {
    let mut seq = manager(10);
    seq.switch(SeqNo(0));
    for step in 0..10_000 {
        seq.forward(SeqNo(step), 0);
    }
    assert_eq!(seq.sent.runs(), 1);
    // Every second packet dropped: each that is sent begins a run.
    for step in 10_000..50_000 {
        if step % 2 == 0 {
            seq.drop_packet(SeqNo(step), 9);
        } else {
            seq.forward(SeqNo(step), 0);
        }
    }
    assert_eq!(seq.sent.runs() as u64, VIDEO_WINDOW + 1);
    assert!(seq.epoch.expect("running").remembered() <= 2 * VIDEO_WINDOW as usize + 1);
}

/// One step of the model.
#[derive(Clone, Debug)]
enum Step {
    /// A packet at this distance from the newest, forwarded.
    Forward(i64),
    /// The same, dropped.
    Drop(i64),
    /// A new source that begins here.
    Switch(u64),
    Stop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let distance = prop_oneof![8 => Just(1i64), 3 => -20i64..20, 1 => -2_500i64..1_500];
    let step = prop_oneof![
        12 => distance.clone().prop_map(Step::Forward),
        5 => distance.prop_map(Step::Drop),
        1 => (0u64..1 << 34).prop_map(Step::Switch),
        1 => Just(Step::Stop),
    ];
    proptest::collection::vec(step, 1..600)
}

/// What the model remembers of one epoch: fate of every source packet seen.
#[derive(Default)]
struct ModelEpoch {
    first: u128,
    first_out: u128,
    highest: u128,
    dropped: BTreeSet<u128>,
    forwarded: BTreeMap<u128, u128>,
}

impl ModelEpoch {
    fn out_of(&self, seq: u128) -> u128 {
        self.first_out + (seq - self.first) - self.dropped.range(..seq).count() as u128
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Over random switch, stop, drop, wrap and reordering: numbers are as the model counts, none is given twice, and
    /// the way back leads to the packet that was sent.
    #[test]
    fn follows_the_model(first: u16, steps in steps()) {
        let mut seq = manager(first);
        let mut epoch: Option<ModelEpoch> = None;
        let mut highest_out = u128::from(first) + 0xFFFF;
        let mut used: BTreeMap<u128, (usize, u128)> = BTreeMap::new();
        let mut epochs = 0;
        for step in steps {
            match step {
                Step::Switch(at) => {
                    seq.switch(SeqNo(at));
                    epochs += 1;
                    let at = u128::from(at);
                    epoch = Some(ModelEpoch {
                        first: at,
                        first_out: highest_out + 1,
                        highest: at.saturating_sub(1),
                        ..ModelEpoch::default()
                    });
                }
                Step::Stop => {
                    seq.stop();
                    epoch = None;
                }
                Step::Forward(distance) | Step::Drop(distance) => {
                    let Some(model) = &mut epoch else {
                        prop_assert_eq!(seq.forward(SeqNo(77), 0), Verdict::Stale);
                        continue;
                    };
                    let Some(at) = model.highest.checked_add_signed(i128::from(distance)) else { continue };
                    let source = SeqNo(at as u64);
                    if let Step::Forward(_) = step {
                        let Verdict::Send(out) = seq.forward(source, 0) else {
                            // Only packets that are old or known may be refused.
                            prop_assert!(at <= model.highest);
                            let known = model.dropped.contains(&at) || model.forwarded.contains_key(&at);
                            let old = at < model.first || model.out_of(at) + u128::from(SEND_WINDOW) <= highest_out
                                || at + 2 * u128::from(VIDEO_WINDOW) < model.highest;
                            prop_assert!(known || old);
                            continue;
                        };
                        prop_assert_eq!(u128::from(out.0), model.out_of(at));
                        prop_assert!(!model.dropped.contains(&at));
                        prop_assert!(used.insert(out.0.into(), (epochs, at)).is_none(), "two packets on one index");
                        model.forwarded.insert(at, out.0.into());
                        highest_out = highest_out.max(out.0.into());
                        match seq.origin(out.0 as u16) {
                            Origin::Sent(again, from, _) => prop_assert_eq!((again, from), (out, source)),
                            other => prop_assert!(false, "{:?}", other),
                        }
                    } else {
                        match seq.drop_packet(source, 9) {
                            Dropped::Hidden => {
                                prop_assert!(at > model.highest);
                                highest_out = highest_out.max(model.out_of(at) - 1);
                                model.dropped.insert(at);
                            }
                            Dropped::Filler(out) => {
                                prop_assert!(at <= model.highest);
                                prop_assert_eq!(u128::from(out.0), model.out_of(at));
                                prop_assert!(used.insert(out.0.into(), (epochs, at)).is_none());
                                model.forwarded.insert(at, out.0.into());
                            }
                            Dropped::Stale => prop_assert!(at <= model.highest),
                        }
                    }
                    model.highest = model.highest.max(at);
                }
            }
        }
        // Every number that the receiver can ask for leads where the model says.
        for back in 0..200u64 {
            let Some(highest) = seq.highest() else { break };
            let out = highest.0 - back.min(highest.0);
            match seq.origin(out as u16) {
                Origin::Sent(_, from, _) => prop_assert_eq!(used.get(&out.into()), Some(&(used[&out.into()].0, from.0.into()))),
                Origin::Awaited(from) => {
                    let model = epoch.as_ref().expect("an epoch runs");
                    prop_assert_eq!(model.out_of(from.0.into()), u128::from(out));
                    prop_assert!(!used.contains_key(&out.into()));
                }
                Origin::Filler(..) => prop_assert!(used.contains_key(&out.into())),
                Origin::Unknown => prop_assert!(!used.contains_key(&out.into())),
            }
        }
    }

    /// In order and without drops the line is unbroken over any number of switches.
    #[test]
    fn unbroken_over_switches(first: u16, lengths in proptest::collection::vec((1u64..50, any::<u32>()), 1..50)) {
        let mut seq = manager(first);
        let mut expected = first;
        for (length, start) in lengths {
            seq.switch(SeqNo(start.into()));
            for step in 0..length {
                prop_assert_eq!(wire(seq.forward(SeqNo(u64::from(start) + step), 0)), expected);
                expected = expected.wrapping_add(1);
            }
        }
    }
}
