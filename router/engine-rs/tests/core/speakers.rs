//! Who is heard in a talk: places, own voices, first syllables, mutes and departures, and a room of a thousand.

use crate::common::talk::{GROUP, MUTED, ROOM, SPEECH, speaker_of};
use crate::common::{Peer, Talk};
use fork_router_engine::core::{Command, Event};
use fork_router_engine::ids::{GroupId, ProducerId, SlotId, Ssrc};
use fork_router_engine::speakers::GroupState;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::write_bye;
use fork_router_engine::wire::rtp::RtpHeader;

/// Members who send the sound of a room, but these who speak.
fn voices(count: u64, speakers: &[u64]) -> Vec<(u64, u8)> {
    (1..=count)
        .map(|number| {
            let speaks = speakers.contains(&number);
            (number, if speaks { SPEECH } else { ROOM })
        })
        .collect()
}

fn reports(talk: &mut Talk) -> Vec<GroupState> {
    let events = talk.world.take_events().into_iter();
    events
        .filter_map(|event| match event {
            Event::SpeakersChanged { group, state, .. } => {
                assert_eq!(group, GROUP);
                Some(state)
            }
            _ => None,
        })
        .collect()
}

fn producers(numbers: &[u64]) -> Vec<Option<ProducerId>> {
    let place = |number: &u64| (*number > 0).then_some(ProducerId(*number));
    numbers.iter().map(place).collect()
}

#[test]
fn a_listener_with_three_slots_hears_the_loudest_of_five() {
    let mut talk = Talk::new(3, &[0, 0, 0, 0, 0, 3]);
    talk.run(1_000, &voices(5, &[1]));
    assert_eq!(talk.heard(6), [1, 2, 3]);
    talk.run(1_000, &voices(5, &[5]));
    assert_eq!(talk.heard(6), [1, 5, 3], "the place of one who never spoke");
    talk.run(1_000, &voices(5, &[4]));
    assert_eq!(talk.heard(6), [1, 5, 4], "places are kept");
    talk.run(1_000, &voices(5, &[1, 4, 5]));
    assert_eq!(talk.heard(6), [1, 5, 4]);
    talk.run(1_500, &voices(5, &[2]));
    assert_eq!(
        talk.heard(6),
        [2, 5, 4],
        "of those who fell silent together, the first"
    );
    let state = reports(&mut talk).pop().expect("reports");
    assert_eq!(state.dominant, Some(ProducerId(2)));
    assert_eq!(state.recent[..3], [2, 4, 5].map(ProducerId));
    assert_eq!(state.stages, [producers(&[2, 5, 4, 1])]);
}

#[test]
fn nobody_hears_himself_but_the_spare_voice_instead() {
    let mut talk = Talk::new(3, &[3, 3, 3, 3, 3]);
    talk.run(2_000, &voices(5, &[1, 2, 3]));
    assert_eq!(talk.heard(1), [4, 2, 3]);
    assert_eq!(talk.heard(2), [1, 4, 3]);
    assert_eq!(talk.heard(4), [1, 2, 3]);
    assert_eq!(talk.heard(5), [1, 2, 3]);
    for number in 1..=5 {
        for index in 0..3 {
            let view = &talk.members[number as usize - 1].views[index];
            let own = view
                .packets
                .values()
                .filter(|packet| speaker_of(packet) == number);
            assert_eq!(own.count(), 0);
        }
    }
    // A second microphone of 1 has the spare place: nobody is left for 1 to hear there.
    talk.world.command(Command::RemoveProducer(ProducerId(4)));
    talk.world.command(Command::JoinSpeakers {
        producer: ProducerId(5),
        group: GROUP,
        participant: 1,
    });
    talk.run(2_000, &[(1, SPEECH), (2, SPEECH), (3, SPEECH), (5, SPEECH)]);
    assert_eq!(talk.heard(1), [0, 2, 3]);
    assert_eq!(talk.heard(2), [1, 5, 3]);
}

/// Two microphones of one participant hold places: the spare voice is heard once.
#[test]
fn the_spare_voice_is_not_heard_twice() {
    let mut talk = Talk::new(2, &[2, 0, 0, 2]);
    talk.world.command(Command::JoinSpeakers {
        producer: ProducerId(2),
        group: GROUP,
        participant: 1,
    });
    talk.run(1_000, &[(1, SPEECH), (2, SPEECH), (3, SPEECH)]);
    assert_eq!(talk.heard(4), [1, 2]);
    assert_eq!(talk.heard(1), [3, 0]);
}

#[test]
fn the_first_syllable_is_heard() {
    let mut talk = Talk::new(1, &[0, 0, 1]);
    talk.say(1, Some(100));
    talk.pass();
    assert_eq!(talk.heard(3), [1], "the very packet that took the place");
    talk.run(1_000, &[(1, ROOM), (2, MUTED)]);
    assert_eq!(talk.heard(3), [1]);
    talk.say(2, Some(SPEECH));
    talk.pass();
    talk.say(2, Some(SPEECH));
    talk.pass();
    assert_eq!(talk.heard(3), [2], "40 ms, so that it is no click");
}

#[test]
fn followers_of_different_capacity_share_a_group() {
    let mut talk = Talk::new(3, &[0, 0, 0, 0, 1, 3, 5]);
    talk.run(1_000, &voices(4, &[2, 3]));
    assert_eq!(talk.heard(5), [2]);
    assert_eq!(talk.heard(6), [1, 2, 3]);
    assert_eq!(
        talk.heard(7),
        [1, 2, 3, 0, 0],
        "slots beyond the capacity stay empty"
    );
    let state = reports(&mut talk).pop().expect("reports");
    assert_eq!(
        state.stages.iter().map(Vec::len).collect::<Vec<_>>(),
        [2, 4]
    );
    let stats = talk.slot_stats(7);
    let reasons: Vec<&str> = stats.iter().map(|stats| &*stats.reason).collect();
    assert_eq!(reasons[2..4], ["one of the loudest", "nobody speaks here"]);
}

/// Whatever a slot hears, its receiver sees one line of numbers and a time that goes on.
#[test]
fn numbers_and_time_go_on_when_the_voice_changes() {
    let mut talk = Talk::new(1, &[0, 0, 0, 1]);
    let mut switches = 0;
    for turn in 0..12 {
        let speaker = turn % 3 + 1;
        talk.run(1_500, &voices(3, &[speaker]));
    }
    let view = &talk.members[3].views[0];
    assert_eq!(view.missing(), [0u16; 0]);
    assert!(view.packets.len() > 890);
    let packets: Vec<(RtpHeader, u64)> = view
        .packets
        .values()
        .map(|packet| (RtpHeader::parse(packet).unwrap(), speaker_of(packet)))
        .collect();
    for pair in packets.windows(2) {
        let step = pair[1].0.timestamp.wrapping_sub(pair[0].0.timestamp);
        assert!((1..=2_880).contains(&step), "{step}");
        switches += usize::from(pair[0].1 != pair[1].1);
    }
    assert_eq!(switches, 11);
}

#[test]
fn a_muted_or_silent_or_removed_speaker_frees_the_place() {
    let mut talk = Talk::new(1, &[0, 0, 0, 1]);
    talk.run(1_000, &[(1, SPEECH), (2, ROOM)]);
    assert_eq!(talk.heard(4), [1]);
    // The server mutes him: the spare one is heard at once, and nothing of his is left.
    talk.world
        .command(Command::PauseProducer(ProducerId(1), true));
    talk.run(40, &[(1, SPEECH), (2, ROOM)]);
    assert_eq!(talk.heard(4), [2]);
    talk.world
        .command(Command::PauseProducer(ProducerId(1), false));
    talk.run(1_000, &[(1, SPEECH), (2, ROOM)]);
    assert_eq!(talk.heard(4), [1], "and heard again when he speaks");
    // His packets stop: after the media timeout.
    talk.run(4_900, &[(2, ROOM)]);
    assert_eq!(talk.heard(4), [0]);
    talk.run(200, &[(2, ROOM)]);
    assert_eq!(talk.heard(4), [2]);
    talk.run(1_000, &[(1, SPEECH), (2, ROOM)]);
    talk.world.command(Command::RemoveProducer(ProducerId(1)));
    talk.run(40, &[(2, ROOM)]);
    assert_eq!(talk.heard(4), [2]);
    let transport = talk.member(2).peer.transport;
    talk.world.command(Command::RemoveTransport(transport));
    talk.run(40, &[(3, ROOM)]);
    assert_eq!(talk.heard(4), [3]);
    let state = reports(&mut talk).pop().expect("reports");
    let expected = GroupState {
        dominant: None,
        recent: vec![],
        stages: vec![producers(&[3, 0])],
    };
    talk.run(400, &[(3, ROOM)]);
    assert_eq!(reports(&mut talk).pop().unwrap_or(state), expected);
}

#[test]
fn a_following_slot_cannot_be_assigned_until_it_is_free() {
    let mut talk = Talk::new(1, &[0, 0, 2]);
    let (first, second) = (SlotId(300), SlotId(301));
    talk.run(100, &voices(2, &[]));
    talk.world
        .command(Command::Assign(second, Some(ProducerId(2))));
    talk.world.command(Command::Assign(first, None));
    talk.heard(3);
    talk.run(40, &voices(2, &[]));
    assert_eq!(talk.heard(3), [1, 0]);
    talk.world.command(Command::RemoveSpeakers(GROUP));
    talk.heard(3);
    talk.run(40, &voices(2, &[2]));
    assert_eq!(talk.heard(3), [0, 0], "its followers went quiet");
    let stats = talk.slot_stats(3);
    assert!(stats.iter().all(|it| it.reason == "nothing is assigned"));
    talk.world
        .command(Command::Assign(second, Some(ProducerId(2))));
    talk.run(40, &voices(2, &[]));
    assert_eq!(talk.heard(3), [0, 2]);
}

#[test]
fn who_was_in_a_group_that_is_gone_is_in_none() {
    let mut talk = Talk::new(2, &[0, 0, 1]);
    talk.world.command(Command::RemoveSpeakers(GROUP));
    let group = GroupId(8);
    talk.world.command(Command::CreateSpeakers(group, 2));
    talk.world.command(Command::JoinSpeakers {
        producer: ProducerId(2),
        group,
        participant: 2,
    });
    talk.world.command(Command::FollowSpeakers {
        slots: vec![SlotId(300)],
        group,
        participant: 3,
    });
    talk.run(100, &[(1, SPEECH)]);
    assert_eq!(talk.slot_stats(3)[0].producer, None, "1 is not taken for 2");
    talk.run(100, &voices(2, &[]));
    assert_eq!(talk.heard(3), [2]);
}

#[test]
fn a_goodbye_frees_the_place_at_once() {
    let mut talk = Talk::new(1, &[0, 0, 1]);
    talk.run(100, &voices(2, &[]));
    let mut bye = [0; 100];
    let len = write_bye(&mut bye, &[Ssrc(1)]).unwrap();
    let member = talk.member(1);
    let (from, data) = (member.peer.tuple, member.peer.protect_rtcp(&bye[..len]));
    talk.world.receive(from, &data);
    talk.run(20, &[(2, ROOM)]);
    assert_eq!(talk.heard(3), [2]);
}

#[test]
fn slots_may_follow_anew_and_go_one_by_one() {
    let mut talk = Talk::new(3, &[0, 0, 0, 3]);
    talk.run(100, &voices(3, &[]));
    talk.world.command(Command::RemoveSlot(SlotId(401)));
    talk.run(100, &voices(3, &[]));
    assert_eq!(talk.heard(4)[..1], [1]);
    talk.run(100, &voices(3, &[]));
    assert_eq!(talk.heard(4), [1, 0, 3], "the others keep their places");
    talk.world.command(Command::FollowSpeakers {
        slots: vec![SlotId(402), SlotId(400)],
        group: GROUP,
        participant: 2,
    });
    talk.run(100, &voices(3, &[]));
    talk.heard(4);
    talk.run(100, &voices(3, &[]));
    let heard = talk.heard(4);
    assert_eq!((heard[2], heard[0]), (1, 3), "one of two places is his own");
    let state = reports(&mut talk).pop().expect("reports");
    assert_eq!(state.stages, [producers(&[1, 2, 3])]);
    talk.world.command(Command::RemoveSlot(SlotId(400)));
    talk.world.command(Command::RemoveSlot(SlotId(402)));
    talk.run(300, &voices(3, &[]));
    assert_eq!(
        reports(&mut talk).pop().expect("reports").stages,
        [] as [Vec<_>; 0]
    );
}

#[test]
fn what_is_unknown_or_no_audio_is_left_alone() {
    let mut talk = Talk::new(2, &[1, 1]);
    let (one, other) = (talk.member(1).peer.transport, talk.member(2).peer.transport);
    let video = crate::common::media::video_slot(900, one, false);
    talk.world.command(Command::AddSlot(video));
    talk.world
        .command(Command::AddProducer(crate::common::media::video_producer(
            901,
            other,
            &[],
        )));
    talk.world.command(Command::CreateSpeakers(GROUP, 5));
    for producer in [901, 77] {
        talk.world.command(Command::JoinSpeakers {
            producer: ProducerId(producer),
            group: GROUP,
            participant: 1,
        });
    }
    talk.world.command(Command::JoinSpeakers {
        producer: ProducerId(1),
        group: GroupId(99),
        participant: 1,
    });
    // A video slot, one that is no slot, one that is another peer's, one twice: their places stay empty.
    talk.world.command(Command::FollowSpeakers {
        slots: [900, 100, 55, 200, 100].map(SlotId).to_vec(),
        group: GROUP,
        participant: 50,
    });
    talk.run(100, &[(1, ROOM), (2, ROOM)]);
    assert_eq!((talk.heard(1), talk.heard(2)), (vec![2], vec![1]));
    talk.world.command(Command::FollowSpeakers {
        slots: vec![SlotId(900)],
        group: GROUP,
        participant: 50,
    });
    talk.world.command(Command::RemoveSpeakers(GroupId(99)));
    let counters = talk.world.core.counters();
    assert_eq!((counters.producers, counters.slots), (3, 3));
}

#[test]
fn changes_are_told_five_times_a_second_at_most_and_end_true() {
    let mut talk = Talk::new(1, &[0, 0, 1]);
    talk.pass();
    assert_eq!(reports(&mut talk).len(), 1, "the empty stage");
    for round in 0..100 {
        talk.world
            .command(Command::PauseProducer(ProducerId(1), round % 2 == 0));
        talk.run(20, &[(1, ROOM), (2, ROOM)]);
    }
    let told = reports(&mut talk).len();
    assert!((5..=11).contains(&told), "{told} in two seconds");
    talk.world
        .command(Command::PauseProducer(ProducerId(1), true));
    talk.run(400, &[(1, ROOM), (2, ROOM)]);
    let last = reports(&mut talk).pop().expect("the last one");
    assert_eq!(last.stages, [producers(&[2, 0])]);
}

/// A thousand muted microphones and ten who speak: only who has a place is forwarded, and silence needs no timer.
#[test]
fn a_thousand_muted_microphones_cost_nothing() {
    let mut talk = Talk::new(3, &[3; 11]);
    for _ in 0..1_000 {
        talk.join(0);
    }
    let muted: Vec<(u64, u8)> = (12..=1_011).map(|number| (number, MUTED)).collect();
    let speakers = voices(10, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    talk.run(100, &speakers);
    let before = talk.world.core.counters().rtp_packets_sent;
    talk.run(200, &[&speakers[..], &muted[..]].concat());
    let sent = talk.world.core.counters().rtp_packets_sent - before;
    assert_eq!(
        sent,
        10 * 11 * 3,
        "ten packets to three slots of eleven members"
    );
    for number in 4..=11 {
        assert_eq!(talk.heard(number), [1, 2, 3]);
    }
    let state = reports(&mut talk).pop().expect("reports");
    assert_eq!(state.stages, [producers(&[1, 2, 3, 4])]);
}

/// A packet of this speaker goes to the slots that show him, and to no other.
fn say_and_check(talk: &mut Talk, speaker: u64, level: Option<u8>) {
    let all = 1..=talk.members.len() as u64;
    let before: Vec<_> = all.clone().map(|number| talk.slot_stats(number)).collect();
    talk.say(speaker, level);
    talk.deliver();
    for (number, before) in all.zip(before) {
        let after = talk.slot_stats(number);
        for (before, after) in before.iter().zip(&after) {
            let shows = after.producer == Some(ProducerId(speaker));
            let paused = after.reason.contains("paused");
            let sent = after.packets_sent - before.packets_sent;
            assert_eq!(sent, u64::from(shows && !paused), "{speaker}: {after:?}");
        }
        let heard = talk.heard(number);
        assert!(
            heard.iter().all(|it| [0, speaker].contains(it)),
            "{heard:?}"
        );
    }
}

/// Joins, leaves, mutes and departures in any order leave no index behind that points to somebody else.
#[test]
fn any_churn_ends_in_nothing() {
    for seed in 1..=6u64 {
        let mut talk = Talk::new(3, &[0, 1, 2, 3, 4, 3, 2]);
        talk.world.now = talk.world.now + Micros(seed);
        for _ in 0..seed {
            talk.world.random(2);
        }
        for _ in 0..400 {
            let number = talk.world.random(7) + 1;
            let slot = SlotId(number * 100 + talk.world.random(4));
            let peer = talk.member(number).peer.transport;
            let command = match talk.world.random(12) {
                0 => Command::RemoveProducer(ProducerId(number)),
                1 => Command::AddProducer(crate::common::media::audio_producer(number, peer)),
                2 => Command::PauseProducer(ProducerId(number), talk.world.random(2) == 0),
                3 => Command::RemoveSlot(slot),
                4 => Command::AddSlot(crate::common::media::audio_slot(slot.0, peer)),
                5 => Command::RemoveSpeakers(GROUP),
                6 => Command::CreateSpeakers(GROUP, 3),
                7 => Command::Assign(slot, Some(ProducerId(talk.world.random(7) + 1))),
                8 | 9 => Command::JoinSpeakers {
                    producer: ProducerId(number),
                    group: GROUP,
                    participant: number,
                },
                _ => Command::FollowSpeakers {
                    slots: (0..4).map(|index| SlotId(number * 100 + index)).collect(),
                    group: GROUP,
                    participant: number,
                },
            };
            talk.world.command(command);
            for speaker in 1..=7 {
                let level = talk.world.random(140) as u8;
                say_and_check(&mut talk, speaker, (level < 128).then_some(level));
            }
            talk.pass();
        }
        let peers: Vec<_> = talk.members.iter().map(|it| it.peer.transport).collect();
        for peer in peers {
            talk.world.command(Command::RemoveTransport(peer));
        }
        let counters = talk.world.core.counters();
        assert_eq!(
            (counters.transports, counters.producers, counters.slots),
            (0, 0, 0)
        );
        talk.world.advance(Micros::from_secs(60));
        assert_eq!(talk.world.core.poll_deadline(), None);
    }
}

/// A peer that is abandoned after a panic leaves the talk as any other.
#[test]
fn an_abandoned_speaker_is_replaced() {
    let mut talk = Talk::new(1, &[0, 0, 1]);
    talk.run(100, &voices(2, &[]));
    let peer = talk.member(1).peer.transport;
    talk.world.core.abandon(peer, &mut talk.world.sink);
    talk.member(3).take_heard();
    talk.run(40, &[(2, ROOM)]);
    assert_eq!(talk.heard(3), [2]);
    let silent = Peer::new(60_000).transport;
    talk.world.core.abandon(silent, &mut talk.world.sink);
}
