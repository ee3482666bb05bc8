//! What holds in every scene.

use super::super::allocator::TOLERANCE_PERCENT;
use super::super::fill::MODEST_BPS;
use super::super::grant::Cause;
use super::*;
use proptest::prelude::*;

fn some_ladder() -> impl Strategy<Value = Ladder> {
    let simulcast = (
        1..=3_usize,
        1..=3_usize,
        40..400_u64,
        1..5_u64,
        any::<bool>(),
    );
    let simulcast = simulcast.prop_map(|(sizes, layers, kbps, growth, is_sized)| {
        let all = (0..sizes).flat_map(|size| (0..layers).map(move |layer| (size, layer)));
        let rungs = all.map(|(size, layer)| {
            let whole = kbps * (growth + 1).pow(size as u32);
            let rate = 30.0 / f32::from(1_u8 << (layers - 1 - layer));
            let width = 320 << size;
            let mut rung = rung(
                size as u8,
                layer as u8,
                whole * (layer as u64 + 2) / (layers as u64 + 1),
                (width, width * 9 / 16),
                rate,
            );
            rung.size = rung.size.filter(|_| is_sized);
            rung
        });
        rungs.collect()
    });
    // Whatever is measured.
    let rungs = prop::collection::btree_map(
        (0..4_u8, 0..4_u8),
        (0..3_000_u64, 1..2_000_u16, 0.0..60_f32),
        0..24,
    );
    let anything = rungs.prop_map(|rungs| {
        let rungs = rungs.into_iter();
        let rungs = rungs.map(|((encoding, temporal), (kbps, width, rate))| {
            rung(encoding, temporal, kbps, (width, width), rate)
        });
        rungs.collect()
    });
    prop_oneof![4 => simulcast, 1 => anything]
}

fn some_slot() -> impl Strategy<Value = Slot> {
    let priority = prop_oneof![
        6 => Just(Priority::Ordinary),
        1 => Just(Priority::Preferred),
        1 => Just(Priority::Pinned),
    ];
    let sizes = [(160, 90), (320, 180), (640, 360), (1_280, 720)];
    let shown_at = prop::option::of(prop::sample::select(sizes.to_vec()));
    let preference = prop_oneof![3 => Just(Preference::Motion), 1 => Just(Preference::Detail)];
    let bitrate = prop_oneof![5 => Just(None), 1 => (50_000..2_000_000_u64).prop_map(Some)];
    (some_ladder(), priority, shown_at, preference, bitrate).prop_map(
        |(ladder, priority, shown_at, preference, max_bitrate_bps)| Slot {
            ladder,
            priority,
            preference,
            limits: Limits {
                shown_at,
                max_bitrate_bps,
                ..Limits::default()
            },
            ..Slot::shown_at(1, 1)
        },
    )
}

fn some_receiver() -> impl Strategy<Value = Receiver> {
    let slots = prop::collection::vec(some_slot(), 1..12);
    let audio = prop::collection::vec(0..60_000_u64, 0..4);
    (slots, audio, 0.0..0.3_f32).prop_map(|(slots, audio, lost)| {
        let mut receiver = Receiver::new(slots);
        receiver.audio = audio;
        receiver.budget.fraction_lost = lost;
        receiver
    })
}

/// Estimates in kbit/s, and for how many milliseconds each.
fn some_history() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec(
        (
            30..8_000_u64,
            prop::sample::select(vec![100, 400, 1_500, 6_000]),
        ),
        0..6,
    )
}

fn cost(grant: &Grant) -> u64 {
    grant.rung.map_or(0, |rung| rung.bps)
}

/// The lowest rung that a slot would take, had it all the bandwidth.
fn minimum(slot: &Slot) -> Option<u64> {
    let mut alone = Receiver::new(vec![Slot {
        standing: Standing::default(),
        ..slot.clone()
    }]);
    let tried = (1..=400).map(|step| alone.try_at(step * 10));
    tried.map(|it| cost(&it.grants[0])).find(|bps| *bps > 0)
}

/// The slot got less: another rung that costs less, or a pause.
fn has_lost(before: &Grant, after: &Grant) -> bool {
    cost(after) < cost(before)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn never_beyond_the_estimate(mut receiver in some_receiver(), history in some_history()) {
        for (kbps, ms) in history {
            let decided = receiver.run(kbps, ms);
            let shows = decided.grants.iter().any(|grant| grant.rung.is_some());
            let tolerated = kbps * 10 * (100 + TOLERANCE_PERCENT);
            prop_assert!(!shows || decided.spent_bps <= tolerated + 1, "{} of {kbps}: {decided:?}", decided.spent_bps);
            let sum: u64 = decided.grants.iter().map(cost).sum();
            prop_assert!(sum <= tolerated, "{sum} of {kbps}");
        }
    }

    #[test]
    fn limits_are_kept(mut receiver in some_receiver(), history in some_history()) {
        for (kbps, ms) in history {
            let decided = receiver.run(kbps, ms);
            for (slot, grant) in receiver.slots.iter().zip(&decided.grants) {
                let limit = slot.limits.max_bitrate_bps;
                // What is shown may waver by a tenth.
                prop_assert!(limit.is_none_or(|limit| cost(grant) <= limit * 11 / 10), "{slot:?} {grant:?}");
                let exceeds = grant.reason.cause == Cause::SmallestExceeds;
                let rung = grant.rung.filter(|rung| rung.size.is_some() && !exceeds);
                if let (Some(rung), Some(place)) = (rung, slot.limits.shown_at) {
                    let covers = |size: (u16, u16)| {
                        let side = |have: u16, want: u16| u32::from(have) * 100 >= u32::from(want) * 85;
                        side(size.0, place.0) || side(size.1, place.1)
                    };
                    let area = |size: (u16, u16)| u32::from(size.0) * u32::from(size.1);
                    let rungs = slot.ladder.rungs().iter().filter(|rung| rung.bps > 0);
                    let enough = rungs.filter_map(|it| it.size).filter(|size| covers(*size)).map(area).min();
                    let own = rung.size.map_or(0, area);
                    prop_assert!(enough.is_none_or(|enough| own <= enough), "{rung:?} at {place:?}");
                }
            }
        }
    }

    /// Nobody of less weight has more than a minimum while one of more weight has not even a modest one. A dear entry is
    /// another thing: it does not fit even if those below had nothing but minima.
    #[test]
    fn order_is_kept(mut receiver in some_receiver(), history in some_history()) {
        for (kbps, ms) in history {
            let decided = receiver.run(kbps, ms);
            for (paused, grant) in receiver.slots.iter().zip(&decided.grants) {
                if !grant.is_paused_by_bandwidth() {
                    continue;
                }
                let is_modest = minimum(paused).is_some_and(|bps| bps * 33 / 32 <= MODEST_BPS);
                for (other, got) in receiver.slots.iter().zip(&decided.grants) {
                    if !is_modest || other.weight() >= paused.weight() {
                        continue;
                    }
                    let minimum = minimum(other).unwrap_or(u64::MAX);
                    let has_more = got.rung.is_some_and(|rung| rung.bps > minimum * 21 / 20);
                    prop_assert!(!has_more, "{grant:?} while {got:?}");
                }
            }
        }
    }

    /// From any state, a higher estimate takes nothing from a slot but for one of at least its weight.
    #[test]
    fn more_is_never_less(
        mut receiver in some_receiver(),
        history in some_history(),
        kbps in 30..8_000_u64,
        more in 1..4_000_u64,
    ) {
        for (kbps, ms) in history {
            receiver.run(kbps, ms);
        }
        let (low, high) = (receiver.try_at(kbps), receiver.try_at(kbps + more));
        let both = || receiver.slots.iter().zip(low.grants.iter().zip(&high.grants));
        for (slot, (before, after)) in both() {
            if has_lost(before, after) {
                let gained = both().filter(|(_, (before, after))| has_lost(after, before));
                let heaviest = gained.map(|(slot, _)| slot.weight()).max();
                prop_assert!(heaviest >= Some(slot.weight()), "{before:?} at {kbps}, {after:?} at {}", kbps + more);
            }
        }
    }

    #[test]
    fn the_same_again(mut receiver in some_receiver(), history in some_history(), kbps in 30..8_000_u64) {
        for (kbps, ms) in history {
            receiver.run(kbps, ms);
        }
        let once = receiver.try_at(kbps);
        prop_assert_eq!(once, receiver.try_at(kbps));
    }

    /// With nothing changing, everything comes to rest once the last failure is long ago.
    #[test]
    fn it_comes_to_rest(mut receiver in some_receiver(), history in some_history(), kbps in 30..8_000_u64) {
        for (kbps, ms) in history {
            receiver.run(kbps, ms);
        }
        receiver.run(kbps, 1_000);
        receiver.now = receiver.now + Micros::from_secs(190);
        receiver.run(kbps, 40_000);
        receiver.changes = 0;
        receiver.run(kbps, 20_000);
        prop_assert_eq!(receiver.changes, 0);
    }
}

/// Estimate and rates waver by 5 %, each on its own: in ten minutes a receiver of nine sees a few changes at most.
#[test]
fn noise_changes_little() {
    let mut worst = 0;
    for kbps in (400..4_400).step_by(160) {
        let mut slots = vec![Slot::shown_at(320, 180); 8];
        slots.push(Slot::shown_at(1_280, 720).pinned());
        let mut receiver = Receiver::new(slots);
        receiver.audio = vec![40_000; 3];
        let mut random = kbps * 2_654_435_761 + 1;
        let mut noise = move |value: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            value * (950 + random % 101) / 1_000
        };
        receiver.run(kbps, 20_000);
        receiver.changes = 0;
        for _ in 0..6_000 {
            for slot in &mut receiver.slots {
                slot.ladder = ladder()
                    .rungs()
                    .iter()
                    .map(|rung| Rung {
                        bps: noise(rung.bps),
                        ..*rung
                    })
                    .collect();
            }
            receiver.budget.estimate = Some(noise(kbps * 1_000));
            receiver.step();
        }
        worst = worst.max(receiver.changes);
        assert!(
            receiver.changes <= 20,
            "{} changes at {kbps} kbit/s",
            receiver.changes
        );
    }
    println!("at most {worst} changes in ten minutes");
}
