//! A group in virtual time: coughs, interjections, takeovers, noise, and a talk of five.

use super::super::{HANGOVER, MAX_RECENT, SILENCE_LEAVES};
use super::*;
use proptest::prelude::*;

/// What a source sends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Voice {
    /// No packets.
    Absent,
    /// Packets without a level.
    Unknown,
    /// Packets of one level.
    Level(u8),
    /// Syllables of 200 ms with gaps of 60 ms over a background of -65 dBov.
    Fluent,
    /// The same with half a second of breath every four.
    Speech,
}

const MUTED: Voice = Voice::Level(SILENT_LEVEL);
const ROOM: Voice = Voice::Level(65);

/// A group whose sources send each 20 ms, in virtual time.
struct Talk {
    group: Group,
    sources: Vec<SourceIx>,
    ms: u64,
    /// Dominant speakers as they came, by producer, and when.
    turns: Vec<(u64, Option<u64>)>,
    reports: Vec<(u64, GroupState)>,
    changes: usize,
}

impl Talk {
    /// So many sources, as producers and participants 1, 2, 3…
    fn new(count: u64, capacities: &[usize]) -> Self {
        let mut group = Group::default();
        let sources = (1..=count)
            .map(|number| group.join(ProducerId(number), number, true))
            .collect();
        for capacity in capacities {
            group.use_stage(*capacity);
        }
        Self {
            group,
            sources,
            ms: 10_000,
            turns: Vec::new(),
            reports: Vec::new(),
            changes: 0,
        }
    }

    /// What a source sends now: nothing, or a packet with a level or without.
    #[allow(
        clippy::option_option,
        reason = "no packet is not a packet without a level"
    )]
    fn level(&self, source: usize, voice: Voice) -> Option<Option<u8>> {
        match voice {
            Voice::Absent => None,
            Voice::Unknown => Some(None),
            Voice::Level(level) => Some(Some(level)),
            Voice::Fluent | Voice::Speech => {
                let frame = self.ms / 20 + source as u64 * 7;
                let breathes = voice == Voice::Speech && frame % 225 >= 200;
                let speaks = frame % 13 < 10 && !breathes;
                Some(Some(if speaks {
                    22 + (frame * 5 % 9) as u8
                } else {
                    65
                }))
            }
        }
    }

    fn run(&mut self, ms: u64, voices: &[Voice]) {
        let end = self.ms + ms;
        while self.ms < end {
            let now = Micros::from_millis(self.ms);
            self.wake(now);
            for (source, voice) in voices.iter().enumerate() {
                if let Some(level) = self.level(source, *voice) {
                    let changed = self.group.on_packet(self.sources[source], level, now);
                    self.changes += usize::from(!changed.is_empty());
                }
            }
            self.ms += 20;
        }
    }

    fn wake(&mut self, now: Micros) {
        while self.group.deadline().is_some_and(|at| at <= now) {
            if let Some(state) = self.group.handle_timeout(now) {
                self.reports.push((self.ms, state.clone()));
            }
        }
        let dominant = self.group.state().dominant.map(|producer| producer.0);
        if self.turns.last().map(|turn| turn.1) != Some(dominant) {
            self.turns.push((self.ms, dominant));
        }
    }

    fn dominant(&self) -> Option<u64> {
        self.group.state().dominant.map(|producer| producer.0)
    }

    fn places(&self, stage: usize) -> Vec<u64> {
        let stages = self.group.state().stages;
        let places = stages[stage].iter();
        places
            .map(|place| place.map_or(0, |producer| producer.0))
            .collect()
    }

    /// Who was dominant, in order.
    fn order(&self) -> Vec<u64> {
        self.turns.iter().filter_map(|turn| turn.1).collect()
    }
}

/// A talk in which the first of three has been dominant for long, at any phase of the decisions.
fn settled(phase: u64) -> Talk {
    let mut talk = Talk::new(3, &[1]);
    talk.run(200 + phase, &[ROOM, ROOM, ROOM]);
    talk.run(6_000 + phase, &[Voice::Speech, ROOM, ROOM]);
    assert_eq!(talk.dominant(), Some(1));
    talk
}

/// How long after the second began to speak it is dominant, in milliseconds: least, median, most.
fn takeover(voice: Voice) -> (u64, u64, u64) {
    let delay = |phase| {
        let mut talk = settled(phase);
        let begin = talk.ms;
        talk.run(3_000, &[ROOM, voice, ROOM]);
        let last = talk.turns.last().expect("turns");
        assert_eq!(last.1, Some(2));
        last.0 - begin
    };
    let mut delays: Vec<u64> = (0..4_500).step_by(20).map(delay).collect();
    delays.sort_unstable();
    (
        delays[0],
        delays[delays.len() / 2],
        delays[delays.len() - 1],
    )
}

#[test]
fn a_takeover_is_noticed_in_about_a_second() {
    assert_eq!(takeover(Voice::Level(25)), (680, 820, 960));
    assert_eq!(takeover(Voice::Fluent), (680, 860, 1_020));
    let (_, median, most) = takeover(Voice::Speech);
    assert!(median <= 900 && most <= 1_800, "{median}, {most}");
}

#[test]
fn a_cough_takes_nothing() {
    for phase in (0..600).step_by(20) {
        for cough in [100, 140, 200] {
            let mut talk = settled(phase);
            // While the other speaks, in his pauses, and in long silence.
            for _ in 0..20 {
                talk.run(cough, &[Voice::Speech, Voice::Level(5), ROOM]);
                talk.run(430, &[Voice::Speech, ROOM, ROOM]);
            }
            talk.run(400, &[ROOM, ROOM, ROOM]);
            talk.run(cough, &[ROOM, Voice::Level(5), ROOM]);
            talk.run(5_000, &[ROOM, ROOM, ROOM]);
            talk.run(cough, &[ROOM, ROOM, Voice::Level(5)]);
            talk.run(5_000, &[ROOM, ROOM, ROOM]);
            assert_eq!(talk.order(), [1], "{cough} ms, phase {phase}");
        }
    }
}

#[test]
fn an_interjection_does_not_flap() {
    for phase in (0..600).step_by(20) {
        for yes in [300, 400, 500] {
            let mut talk = settled(phase);
            for _ in 0..5 {
                talk.run(yes, &[ROOM, Voice::Level(20), ROOM]);
                talk.run(2_000, &[Voice::Speech, ROOM, ROOM]);
                talk.run(yes, &[Voice::Speech, ROOM, Voice::Level(20)]);
                talk.run(1_500, &[Voice::Speech, ROOM, ROOM]);
            }
            assert_eq!(talk.order(), [1], "{yes} ms, phase {phase}");
        }
    }
}

#[test]
fn whoever_speaks_on_keeps_the_floor() {
    let mut talk = settled(0);
    talk.run(20_000, &[Voice::Level(30), Voice::Level(20), ROOM]);
    assert_eq!(talk.order(), [1]);
}

#[test]
fn noise_never_dominates_and_speech_does() {
    for level in [55, 60, 70, 80] {
        let noise = Voice::Level(level);
        let mut talk = Talk::new(3, &[1]);
        talk.run(10_000, &[noise, noise, ROOM]);
        assert_eq!(talk.dominant(), None, "{level}");
        talk.run(1_500, &[noise, noise, Voice::Speech]);
        assert_eq!(talk.dominant(), Some(3));
        talk.run(30_000, &[noise, noise, ROOM]);
        assert_eq!(talk.order(), [3]);
        assert_eq!(talk.places(0)[0], 3, "nor is it heard instead");
    }
}

#[test]
fn a_scripted_talk_of_five_voices() {
    let mut talk = Talk::new(5, &[3]);
    let voices = |speakers: &[usize]| {
        let mut voices = [ROOM; 5];
        for speaker in speakers {
            voices[*speaker - 1] = Voice::Speech;
        }
        voices
    };
    talk.run(1_000, &[MUTED; 5]);
    talk.run(4_000, &voices(&[1]));
    assert_eq!(talk.places(0), [1, 2, 3, 4], "any sound takes free places");
    talk.run(3_000, &voices(&[2]));
    talk.run(300, &voices(&[2, 3]));
    talk.run(3_000, &voices(&[2]));
    talk.run(4_000, &voices(&[5]));
    assert_eq!(
        talk.places(0),
        [5, 2, 3, 1],
        "the place of the one who was silent longest"
    );
    talk.run(2_000, &voices(&[1, 5]));
    assert_eq!(
        talk.places(0),
        [5, 2, 1, 3],
        "back for the next: an interjection holds no place"
    );
    talk.run(3_000, &voices(&[1]));
    talk.run(3_000, &voices(&[4]));
    talk.run(5_000, &voices(&[]));
    assert_eq!(talk.order(), [1, 2, 5, 1, 4]);
    assert_eq!(talk.places(0), [5, 4, 1, 2]);
    let state = talk.group.state();
    let recent: Vec<u64> = state.recent.iter().map(|producer| producer.0).collect();
    assert_eq!(recent, [4, 1, 5, 2]);
    assert_eq!(talk.reports.last().map(|report| &report.1), Some(&state));
}

#[test]
fn turns_among_those_with_places_change_no_stage() {
    let mut talk = Talk::new(3, &[3]);
    talk.run(100, &[ROOM; 3]);
    let before = talk.changes;
    for turn in 0..60 {
        let mut voices = [ROOM; 3];
        voices[turn % 3] = Voice::Speech;
        talk.run(2_500, &voices);
    }
    assert_eq!(talk.changes, before);
    assert_eq!(talk.order().len(), 60, "the dominant speaker follows");
}

/// Two talk in turns, one place: at most one change a turn, and none within the hangover.
#[test]
fn turns_over_one_place_change_it_once_a_turn() {
    let mut talk = Talk::new(2, &[1]);
    for turn in 0..40 {
        let mut voices = [ROOM; 2];
        voices[turn % 2] = Voice::Speech;
        talk.run(1_500, &voices);
        assert_eq!(talk.places(0)[0], turn as u64 % 2 + 1);
    }
    assert_eq!(talk.changes, 2 + 39);
    let before = talk.changes;
    for turn in 0..40 {
        let mut voices = [ROOM; 2];
        voices[turn % 2] = Voice::Speech;
        talk.run(HANGOVER.as_millis() - 140, &voices);
    }
    assert!(talk.changes - before <= 1, "quick exchanges change nothing");
}

#[test]
fn a_newcomer_is_heard_from_the_packet_at_hand() {
    let mut talk = Talk::new(4, &[1, 3]);
    let now = Micros::from_millis(talk.ms);
    let changed = talk.group.on_packet(talk.sources[2], Some(126), now);
    assert_eq!(changed.capacities().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(
        (talk.places(0), talk.places(1)),
        (vec![3, 0], vec![3, 0, 0, 0])
    );
}

#[test]
fn a_click_displaces_nobody() {
    let mut talk = Talk::new(3, &[1]);
    talk.run(2_000, &[ROOM, ROOM, MUTED]);
    for _ in 0..10 {
        talk.run(20, &[ROOM, ROOM, Voice::Level(10)]);
        talk.run(500, &[ROOM, ROOM, MUTED]);
    }
    assert_eq!(talk.places(0), [1, 2]);
    talk.run(40, &[ROOM, ROOM, Voice::Level(10)]);
    assert_eq!(talk.places(0)[0], 3);
}

#[test]
fn a_muted_source_leaves_after_a_second_and_is_back_at_once() {
    let mut talk = Talk::new(3, &[1]);
    talk.run(2_000, &[Voice::Speech, ROOM, ROOM]);
    assert_eq!(talk.places(0), [1, 2]);
    talk.run(SILENCE_LEAVES.as_millis(), &[MUTED, ROOM, MUTED]);
    assert_eq!(talk.places(0), [1, 2]);
    talk.run(40, &[MUTED, ROOM, MUTED]);
    assert_eq!(talk.places(0), [2, 0], "the spare moves up");
    talk.run(20, &[Voice::Level(100), ROOM, MUTED]);
    assert_eq!(talk.places(0), [2, 1]);
    assert_eq!(talk.dominant(), Some(1), "until somebody else speaks");
}

#[test]
fn a_noise_gate_does_not_cost_the_place() {
    let mut talk = Talk::new(2, &[1]);
    talk.run(20, &[Voice::Level(30), MUTED]);
    let before = talk.changes;
    for _ in 0..20 {
        talk.run(200, &[Voice::Level(30), MUTED]);
        talk.run(900, &[MUTED, MUTED]);
    }
    assert_eq!(talk.changes, before);
}

#[test]
fn without_levels_places_are_filled_but_speakers_left_alone() {
    let mut talk = Talk::new(5, &[2]);
    let unknown = Voice::Unknown;
    talk.run(
        100,
        &[
            unknown,
            Voice::Absent,
            Voice::Absent,
            Voice::Absent,
            unknown,
        ],
    );
    assert_eq!(talk.places(0), [1, 5, 0]);
    talk.run(
        400,
        &[
            unknown,
            Voice::Speech,
            Voice::Speech,
            Voice::Absent,
            unknown,
        ],
    );
    assert_eq!(
        talk.places(0),
        [1, 5, 2],
        "they count as moderately loud speech"
    );
    talk.run(
        3_000,
        &[
            unknown,
            Voice::Speech,
            Voice::Speech,
            Voice::Absent,
            unknown,
        ],
    );
    assert_eq!(
        talk.places(0)[..2],
        [2, 3],
        "clearly louder ones displace them"
    );
    talk.run(
        20_000,
        &[unknown, Voice::Speech, Voice::Speech, unknown, unknown],
    );
    assert_eq!(talk.places(0)[..2], [2, 3], "but not the other way round");
    assert!(matches!(talk.dominant(), Some(2 | 3)));
    let unknowns = [unknown, ROOM, ROOM, Voice::Absent, Voice::Absent];
    talk.run(4_000, &unknowns);
    assert!(
        talk.places(0)[..2].contains(&1),
        "silence yields: {:?}",
        talk.places(0)
    );
}

#[test]
fn who_leaves_or_is_muted_by_the_server_is_gone_from_everything() {
    let mut talk = Talk::new(3, &[1, 2]);
    talk.run(3_000, &[Voice::Speech, ROOM, MUTED]);
    talk.run(3_000, &[ROOM, Voice::Speech, MUTED]);
    assert_eq!((talk.order(), talk.places(0)), (vec![1, 2], vec![2, 1]));
    let changed = talk.group.set_competes(talk.sources[1], false);
    assert_eq!(changed.capacities().collect::<Vec<_>>(), [1, 2]);
    talk.run(3_000, &[ROOM, Voice::Speech, MUTED]);
    assert_eq!((talk.dominant(), talk.places(0)), (None, vec![1, 0]));
    assert_eq!(talk.group.state().recent, [ProducerId(2), ProducerId(1)]);
    talk.group.set_competes(talk.sources[1], true);
    talk.run(3_000, &[ROOM, Voice::Speech, MUTED]);
    assert_eq!((talk.dominant(), talk.places(0)[0]), (Some(2), 2));
    talk.group.leave(talk.sources[1]);
    assert_eq!(talk.group.state().recent, [ProducerId(1)]);
    assert_eq!((talk.dominant(), talk.places(0)), (None, vec![1, 0]));
    assert!(talk.group.leave(talk.sources[1]).is_empty(), "twice");
    // His place among the sources is reused, his past is not.
    let again = talk.group.join(ProducerId(9), 9, true);
    assert_eq!(again, talk.sources[1]);
    talk.run(400, &[ROOM, Voice::Level(30), MUTED]);
    assert_eq!(talk.dominant(), None);
    let tracks: Vec<u64> = talk.group.sources().map(|producer| producer.0).collect();
    assert_eq!(tracks, [1, 9, 3]);
}

#[test]
fn silence_needs_no_timer() {
    let mut talk = Talk::new(200, &[3]);
    talk.run(2_000, &[MUTED; 200]);
    assert_eq!(talk.group.deadline(), None);
    talk.run(3_000, &[ROOM; 200]);
    assert_eq!(talk.group.deadline(), None, "nor does noise");
    let mut voices = [MUTED; 200];
    voices[7] = Voice::Speech;
    talk.run(3_000, &voices);
    assert!(talk.group.deadline().is_some());
    talk.run(3_000, &[MUTED; 200]);
    assert_eq!(talk.group.deadline(), None);
}

#[test]
fn stages_exist_while_somebody_hears_them() {
    let mut talk = Talk::new(5, &[3, 1, 3]);
    talk.run(100, &[ROOM; 5]);
    assert_eq!((talk.places(0).len(), talk.places(1).len()), (2, 4));
    assert_eq!(talk.group.places(3).flatten().count(), 4);
    assert_eq!(talk.group.places(2).count(), 0);
    talk.group.release_stage(3);
    talk.group.release_stage(1);
    talk.group.release_stage(7);
    assert_eq!(talk.group.state().stages.len(), 1);
    talk.group.release_stage(3);
    talk.run(300, &[ROOM; 5]);
    assert_eq!(
        talk.reports.last().map(|report| report.1.stages.len()),
        Some(0)
    );
}

#[test]
fn reports_are_coalesced_and_end_on_the_true_state() {
    let mut talk = Talk::new(2, &[1]);
    talk.run(20, &[MUTED, MUTED]);
    assert_eq!(talk.reports.len(), 1, "the empty stage, at once");
    // Meanwhile decisions are made, each 300 ms.
    for _ in 0..100 {
        talk.run(20, &[ROOM, Voice::Fluent]);
        talk.run(20, &[MUTED, Voice::Fluent]);
        talk.group.leave_stages(talk.sources[0]);
    }
    talk.run(400, &[MUTED, MUTED]);
    assert!(
        (10..=26).contains(&talk.reports.len()),
        "{}",
        talk.reports.len()
    );
    for pair in talk.reports.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= 200);
        assert_ne!(pair[0].1, pair[1].1);
    }
    assert_eq!(
        talk.reports.last().map(|report| &report.1),
        Some(&talk.group.state())
    );
}

#[derive(Clone, Debug)]
enum Step {
    Packet(usize, Option<u8>),
    Wait(u64),
    Leave(usize),
    Join(usize),
    Compete(usize, bool),
    Use(usize),
    Release(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let source = 0usize..40;
    prop_oneof![
        20 => (source.clone(), proptest::option::weighted(0.9, any::<u8>())).prop_map(|(it, level)| Step::Packet(it, level)),
        8 => (0u64..120_000).prop_map(Step::Wait),
        1 => source.clone().prop_map(Step::Leave),
        1 => source.clone().prop_map(Step::Join),
        1 => (source, any::<bool>()).prop_map(|(it, competes)| Step::Compete(it, competes)),
        1 => (0usize..20).prop_map(Step::Use),
        1 => (0usize..20).prop_map(Step::Release),
    ]
}

proptest! {
    #[test]
    fn anything_may_happen(steps in proptest::collection::vec(step(), 0..500)) {
        let mut group = Group::default();
        let mut sources: Vec<Option<SourceIx>> = vec![None; 40];
        let mut now = Micros(0);
        let mut told = GroupState::default();
        for step in steps {
            match step {
                Step::Packet(it, level) => if let Some(ix) = sources[it] {
                    let before = group.state().stages;
                    let changed = group.on_packet(ix, level, now);
                    prop_assert_eq!(changed.is_empty(), before == group.state().stages);
                },
                Step::Wait(us) => now = now + Micros(us),
                Step::Leave(it) => if let Some(ix) = sources[it].take() { group.leave(ix); },
                Step::Join(it) => if sources[it].is_none() {
                    sources[it] = Some(group.join(ProducerId(it as u64), it as u64 / 2, it % 5 != 0));
                },
                Step::Compete(it, competes) => if let Some(ix) = sources[it] { group.set_competes(ix, competes); },
                Step::Use(capacity) => group.use_stage(capacity.clamp(1, MAX_PLACES)),
                Step::Release(capacity) => group.release_stage(capacity),
            }
            if group.deadline().is_some_and(|at| at <= now) && let Some(state) = group.handle_timeout(now) {
                told = state.clone();
            }
            let state = group.state();
            prop_assert!(state.stages.len() <= MAX_PLACES);
            prop_assert!(state.recent.len() <= MAX_RECENT);
            for stage in &state.stages {
                let mut present: Vec<_> = stage.iter().flatten().collect();
                let count = present.len();
                present.sort_unstable();
                present.dedup();
                prop_assert_eq!(present.len(), count);
                prop_assert!(stage.len() <= MAX_PLACES + 1);
                prop_assert!(present.iter().all(|it| sources[it.0 as usize].is_some()));
            }
        }
        for _ in 0..20 {
            if let Some(at) = group.deadline() {
                now = now.max(at);
                if let Some(state) = group.handle_timeout(now) { told = state.clone(); }
            }
        }
        prop_assert_eq!(group.deadline(), None);
        prop_assert_eq!(told, group.state());
    }
}

#[test]
fn silence_is_passed_on_where_all_who_send_have_a_place() {
    let mut talk = Talk::new(4, &[1, 3]);
    talk.run(5_000, &[MUTED, MUTED]);
    assert_eq!(
        (talk.places(0), talk.places(1)),
        (vec![0, 0], vec![1, 2, 0, 0]),
        "two send, which is more than one place and less than three"
    );
    assert_eq!(talk.dominant(), None);
    talk.run(2_000, &[MUTED, MUTED, MUTED, MUTED]);
    assert_eq!(talk.places(1), [0, 0, 0, 0], "four have three places");
    let last = talk.sources[3];
    talk.group.stop(last);
    talk.run(20, &[MUTED, MUTED, MUTED]);
    assert_eq!(talk.places(1), [1, 2, 3, 0], "one has stopped sending");
    let gone = talk.sources[0];
    talk.group.leave(gone);
    talk.run(20, &[Voice::Absent, MUTED, MUTED, MUTED]);
    assert_eq!(talk.places(1)[1..3], [2, 3]);
    assert_eq!(talk.places(1)[0], 4, "and one has left");
}

#[test]
fn levels_are_those_of_the_last_packets_in_places() {
    let mut talk = Talk::new(3, &[1]);
    talk.run(40, &[Voice::Level(30), Voice::Unknown, Voice::Absent]);
    assert_eq!(talk.group.levels(), [(ProducerId(1), 30)]);
    talk.run(20, &[Voice::Level(50)]);
    assert_eq!(talk.group.levels(), [(ProducerId(1), 50)]);
}
