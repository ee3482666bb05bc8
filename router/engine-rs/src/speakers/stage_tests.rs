//! Places by themselves: who gets one, who loses it, what may never happen.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// A stage with sources whose standing the test sets.
struct World {
    stage: Stage,
    standings: HashMap<u32, Standing>,
    now: Micros,
}

impl World {
    fn new(capacity: usize) -> Self {
        Self {
            stage: Stage::new(capacity),
            standings: HashMap::new(),
            now: Micros::from_secs(100),
        }
    }

    /// A packet that is not silent; with a loudness it holds speech.
    fn packet(&mut self, source: u32, speech: Option<u8>) -> bool {
        let standing = self.standings.entry(source).or_insert(Standing {
            has_levels: true,
            ..Standing::default()
        });
        if let Some(loudness) = speech {
            standing.last_speech = Some(self.now);
            standing.loudness = loudness;
        }
        let of = |source: SourceIx| self.standings[&source.0];
        let speaks = speech.is_some();
        self.stage
            .on_packet(self.now, SourceIx(source), speaks, &of)
    }

    /// All of these speak for a while. Returns how often places changed.
    fn speak(&mut self, speakers: &[(u32, u8)], ms: u64) -> usize {
        let mut changes = 0;
        for _ in 0..ms / 20 {
            for (source, loudness) in speakers {
                changes += usize::from(self.packet(*source, Some(*loudness)));
            }
            self.now = self.now + Micros::from_millis(20);
        }
        changes
    }

    fn places(&self) -> Vec<Option<u32>> {
        let places = self.stage.places().iter();
        places.map(|place| place.map(|source| source.0)).collect()
    }
}

#[test]
fn free_places_are_taken_at_once_by_any_sound() {
    let mut world = World::new(2);
    for source in 1..=4 {
        assert_eq!(world.packet(source, None), source <= 3);
    }
    assert_eq!(world.places(), [Some(1), Some(2), Some(3)]);
}

#[test]
fn speech_displaces_the_longest_silent() {
    for (third, spare) in [(None, 1), (Some(90), 3)] {
        let mut world = World::new(2);
        world.speak(&[(1, 90)], 20);
        world.speak(&[(2, 90)], 20);
        world.packet(3, third);
        world.now = world.now + HANGOVER;
        assert!(world.packet(4, Some(60)));
        let expected = [Some(4), Some(2), Some(spare)];
        assert_eq!(world.places(), expected, "the spare place: who spoke last");
    }
}

#[test]
fn nobody_who_spoke_just_now_is_displaced() {
    let mut world = World::new(1);
    world.speak(&[(1, 90)], 1_000);
    world.speak(&[(2, 90)], 480);
    assert_eq!(
        world.places(),
        [Some(1), Some(2)],
        "2 waits in the spare place"
    );
    assert_eq!(world.speak(&[(2, 90)], 20), 1);
    assert_eq!(world.places(), [Some(2), Some(1)]);
}

#[test]
fn a_clearly_louder_one_displaces_the_quietest_speaker_after_a_while() {
    let mut world = World::new(2);
    world.speak(&[(1, 90), (2, 80), (3, 85)], 4_000);
    assert_eq!(
        world.places(),
        [Some(1), Some(2), Some(3)],
        "five decibels are not enough"
    );
    let before = world.now;
    while world.places()[1] == Some(2) {
        world.speak(&[(1, 90), (2, 80), (3, 86)], 20);
    }
    assert!(world.now - before >= LOUDER_FOR);
    assert!(world.now - before <= LOUDER_FOR + Micros::from_millis(40));
    assert_eq!(world.places(), [Some(1), Some(3), Some(2)]);
    assert_eq!(
        world.speak(&[(1, 90), (2, 80), (3, 86)], 4_000),
        0,
        "and stays"
    );
}

#[test]
fn a_challenge_lapses_with_a_pause_or_less_loudness() {
    for pause_ms in [200, 400] {
        let mut world = World::new(1);
        world.speak(&[(1, 80), (2, 90)], 900);
        world.speak(&[(1, 80)], pause_ms);
        world.speak(&[(1, 80), (2, 90)], 200);
        let taken = world.places()[0] == Some(2);
        assert_eq!(taken, pause_ms == 200, "after {pause_ms} ms");
    }
    let mut world = World::new(1);
    world.speak(&[(1, 80), (2, 90)], 900);
    world.speak(&[(1, 80), (2, 85)], 20);
    world.speak(&[(1, 80), (2, 90)], 900);
    assert_eq!(world.places()[0], Some(1));
}

#[test]
fn without_levels_nobody_who_speaks_is_displaced() {
    let unknown = |last_speech| Standing {
        last_speech,
        loudness: 87,
        has_levels: false,
    };
    let mut world = World::new(1);
    world.speak(&[(1, 40)], 20);
    world.packet(2, None);
    for _ in 0..200 {
        world.speak(&[(1, 40)], 20);
        world.standings.insert(3, unknown(Some(world.now)));
        world.packet(3, Some(87));
        world.standings.insert(3, unknown(Some(world.now)));
    }
    assert_eq!(
        world.places(),
        [Some(1), Some(3)],
        "only the silent spare one"
    );
    world.now = world.now + HANGOVER;
    assert!(!world.packet(3, Some(87)), "a pause is too short");
    world.now = world.now + LONG_REST;
    assert!(world.packet(3, Some(87)), "and now the silent one");
    assert_eq!(world.places(), [Some(3), Some(1)]);
}

#[test]
fn the_spare_moves_into_a_place_that_frees() {
    let mut world = World::new(3);
    world.speak(&[(1, 90), (2, 90), (3, 90), (4, 90)], 20);
    assert!(!world.stage.leave(SourceIx(9)));
    assert!(world.stage.leave(SourceIx(2)));
    assert_eq!(world.places(), [Some(1), Some(4), Some(3), None]);
    assert!(world.stage.leave(SourceIx(1)));
    assert_eq!(world.places(), [None, Some(4), Some(3), None]);
    assert!(world.packet(5, None));
    assert_eq!(world.places(), [Some(5), Some(4), Some(3), None]);
    assert!(world.packet(6, None));
    assert!(world.stage.leave(SourceIx(6)));
    assert_eq!(world.places(), [Some(5), Some(4), Some(3), None]);
}

#[test]
fn of_a_full_stage_the_spare_place_goes_to_speech() {
    let mut world = World::new(1);
    world.speak(&[(1, 90)], 20);
    world.packet(2, None);
    assert_eq!(world.places(), [Some(1), Some(2)]);
    world.speak(&[(1, 90), (3, 90)], 20);
    assert_eq!(world.places(), [Some(1), Some(3)]);
    assert_eq!(world.speak(&[(1, 90), (3, 90), (4, 90)], 2_000), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Packet(u32, Option<u8>),
    Leave(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u32..12, proptest::option::of(0u8..=127)).prop_map(|(source, speech)| Step::Packet(source, speech)),
        1 => (0u32..12).prop_map(Step::Leave),
        2 => (0u64..700).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn places_are_sticky_and_nobody_is_there_twice(
        capacity in 0usize..=20, steps in proptest::collection::vec(step(), 0..300)
    ) {
        let mut world = World::new(capacity);
        let capacity = world.stage.capacity();
        prop_assert!((1..=MAX_PLACES).contains(&capacity));
        for step in steps {
            let before = world.places();
            let changed = match step {
                Step::Packet(source, speech) => world.packet(source, speech),
                Step::Leave(source) => world.stage.leave(SourceIx(source)),
                Step::Wait(ms) => {
                    world.now = world.now + Micros::from_millis(ms);
                    false
                }
            };
            let after = world.places();
            prop_assert_eq!(changed, before != after);
            prop_assert_eq!(after.len(), capacity + 1);
            let mut present: Vec<u32> = after.iter().flatten().copied().collect();
            present.sort_unstable();
            prop_assert!(present.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", after);
            let moved = (0..capacity).filter(|place| before[*place] != after[*place]).count();
            prop_assert!(moved <= 1, "{:?} {:?}", before, after);
            if let Step::Packet(source, speech) = step {
                // Whoever was displaced was not speaking just now, or the challenger speaks.
                let lost = (0..capacity).any(|place| before[place].is_some() && before[place] != after[place]);
                prop_assert!(!lost || speech.is_some());
                prop_assert!(!lost || after[..capacity].contains(&Some(source)));
            }
        }
    }
}
