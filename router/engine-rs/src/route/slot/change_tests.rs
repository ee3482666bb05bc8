//! From one producer to another: what is shown goes on until the key frame of the next one.

use super::world::{DEPENDENCY, Sent, World};
use super::*;
use crate::recv::testing::{Built, producer, vp8};
use crate::wire::DropReason;
use crate::wire::ext::Element;

/// Two producers of VP8, the first one shown.
fn pair() -> World {
    let mut world = World::new(Codec::Vp8, &[1, 1, 1], true);
    world.vp8_of(0, 0, 100, 700, 0, true).expect("shown");
    world
}

fn state(world: &mut World) -> (Option<u64>, Option<u64>, bool) {
    let stats = world.slot.stats(world.now);
    let id = |producer: Option<ProducerId>| producer.map(|id| id.0);
    (id(stats.producer), id(stats.shown_producer), stats.waiting)
}

#[test]
fn what_is_shown_goes_on_until_the_key_frame_comes() {
    let mut world = pair();
    assert_eq!(state(&mut world), (Some(1), Some(1), false));
    world.assign(Some(1));
    assert_eq!(state(&mut world), (Some(2), Some(1), true));
    assert_eq!(world.select(1), Some(0), "asked at once");
    let mut last = None;
    for step in 1..30u16 {
        world.wait(33);
        assert_eq!(world.vp8_of(1, 0, 7 + step, 30 + step, 0, false), None);
        last = world.vp8_of(0, 0, 100 + step, 700 + step, 0, false);
        assert_eq!(last.as_ref().map(|sent| sent.seq), Some(500 + step));
        assert_eq!(world.select(1), Some(0), "and again");
        assert_eq!(world.select(0), None);
    }
    let key = world.vp8_of(1, 0, 90, 90, 0, true).expect("switched");
    assert_eq!(key.seq, last.expect("shown").seq + 1);
    assert_eq!(state(&mut world), (Some(2), Some(2), false));
    assert_eq!(world.vp8_of(0, 0, 130, 730, 0, true), None, "it has left");
    assert_eq!(world.select(1), None);
}

#[test]
fn feedback_while_waiting_goes_to_what_is_shown() {
    let mut world = pair();
    world.assign(Some(1));
    assert_eq!(
        (world.slot.on_pli(world.now), world.slot.shown_producer()),
        (Some(0), Some(ProducerId(1)))
    );
    let sent = world.vp8_of(0, 0, 101, 701, 0, false).expect("shown");
    assert_eq!(world.repair(sent.seq).map(|it| it.ssrc), Ok(Ssrc(0xBBBB)));
    // A loss on the way up, repaired when it is asked for.
    world.vp8_of(0, 0, 103, 703, 0, false).expect("shown");
    assert_eq!(
        world.repair(sent.seq + 1).err(),
        Some(DropReason::NackNotInHistory)
    );
    world.vp8_of(1, 0, 8, 31, 0, true).expect("switched");
    world.wait(100);
    assert!(world.repair(sent.seq).is_ok(), "also after the switch");
}

#[test]
fn the_last_assignment_counts() {
    let mut world = pair();
    world.assign(Some(1));
    world.assign(Some(2));
    assert_eq!(world.vp8_of(1, 0, 8, 31, 0, true), None, "given up");
    assert!(world.vp8_of(0, 0, 101, 701, 0, false).is_some());
    assert!(world.vp8_of(2, 0, 8, 31, 0, true).is_some());
    assert_eq!(state(&mut world), (Some(3), Some(3), false));
    world.assign(Some(0));
    world.assign(Some(2));
    assert_eq!(state(&mut world), (Some(3), Some(3), false));
    assert_eq!(world.vp8_of(0, 0, 102, 702, 0, true), None, "cancelled");
    assert!(
        world.vp8_of(2, 0, 9, 32, 0, false).is_some(),
        "no key frame needed"
    );
}

#[test]
fn nothing_assigned_stops_at_once_and_for_both() {
    let mut world = pair();
    world.assign(Some(1));
    world.assign(None);
    assert_eq!(world.vp8_of(0, 0, 101, 701, 0, true), None);
    assert_eq!(world.vp8_of(1, 0, 8, 31, 0, true), None);
    assert_eq!(state(&mut world), (None, None, false));
}

#[test]
fn pause_of_the_shown_one_stops_it_and_the_other_goes_on_waiting() {
    let mut world = pair();
    world.assign(Some(1));
    world.pause(0, true);
    assert_eq!(world.vp8_of(0, 0, 101, 701, 0, true), None);
    assert_eq!(state(&mut world), (Some(2), None, true));
    assert!(!world.slot.is_changing(), "the former route can be left");
    world.pause(0, false);
    assert_eq!(world.vp8_of(0, 0, 102, 702, 0, true), None);
    assert_eq!(world.select(1), Some(0));
    assert_eq!(
        world.vp8_of(1, 0, 8, 31, 0, true).map(|it| it.seq),
        Some(501)
    );
}

#[test]
fn a_paused_one_waits_until_it_is_resumed() {
    let mut world = pair();
    world.assign(Some(1));
    world.pause(1, true);
    assert_eq!(world.select(1), None, "nobody is asked for a key frame");
    assert_eq!(world.vp8_of(1, 0, 8, 31, 0, true), None);
    assert!(world.vp8_of(0, 0, 101, 701, 0, false).is_some());
    world.pause(1, false);
    assert_eq!(world.select(1), Some(0));
    assert!(world.vp8_of(1, 0, 9, 32, 0, true).is_some());
}

#[test]
fn a_limit_that_stops_the_shown_one_lets_the_other_take_its_place() {
    let mut world = pair();
    for step in 1..60u16 {
        world.wait(33);
        world.vp8_of(0, 0, 100 + step, 700 + step, 0, false);
    }
    world.assign(Some(1));
    world.slot.set_limits(Limits {
        max_bitrate_bps: Some(1_000),
        ..Limits::default()
    });
    assert_eq!(
        world.select(0),
        None,
        "no key frame of the other is asked of it"
    );
    assert_eq!(state(&mut world), (Some(2), None, true));
    assert_eq!(world.vp8_of(0, 0, 170, 770, 0, true), None);
}

#[test]
fn a_source_that_jumps_gives_way() {
    let mut world = pair();
    world.assign(Some(1));
    assert_eq!(world.vp8_of(0, 0, 20_000, 701, 0, false), None);
    assert_eq!(state(&mut world), (Some(2), None, true));
    assert!(world.vp8_of(1, 0, 8, 31, 0, true).is_some());
}

#[test]
fn one_that_can_never_be_shown_is_not_waited_for() {
    let mut world = pair();
    let mut other = producer(9, Codec::Vp8, 1);
    other.codecs[0].format = 7;
    world.slot.assign(Some(&other));
    assert_eq!(world.vp8_of(0, 0, 101, 701, 0, true), None);
    assert_eq!(world.slot.stats(world.now).reason, Reason::NoCodec.text());
    assert_eq!(state(&mut world), (Some(9), None, true));
}

#[test]
fn audio_changes_at_the_next_packet() {
    let mut world = World::new(Codec::Opus, &[1, 1], false);
    assert!(world.receive(0, 0, &Built::default()).is_some());
    world.assign(Some(1));
    let built = Built {
        seq: 1,
        ..Built::default()
    };
    assert_eq!(world.receive(0, 0, &built), None);
    assert_eq!(world.receive(1, 0, &built).map(|sent| sent.seq), Some(501));
}

#[test]
fn the_clock_of_the_new_source_is_told_soon() {
    let mut world = pair();
    let due = world.slot.report_deadline().expect("a sender");
    world.slot.poll_report(due, 0, None).expect("due");
    world.now = due;
    world.assign(Some(1));
    world.vp8_of(1, 0, 8, 31, 0, true).expect("switched");
    assert_eq!(
        world.slot.report_deadline(),
        Some(due + crate::send::report::FIRST_DELAY)
    );
}

/// A packet of H.264 or AV1 by producer 0 or 1 of a mixed world.
fn packet(
    world: &mut World,
    producer: usize,
    seq: u16,
    payload: &[u8],
    dependency: &[u8],
) -> Option<Sent> {
    let element = [Element {
        id: DEPENDENCY,
        value: dependency,
    }];
    let built = Built {
        seq,
        timestamp: u32::from(seq / 4) * 3_000,
        ssrc: 10 + producer as u32,
        payload,
        extensions: if dependency.is_empty() { &[] } else { &element },
        ..Built::default()
    };
    world.receive(producer, 0, &built)
}

#[test]
fn another_codec_takes_over_at_its_parameter_sets() {
    let mut world = World::mixed(&[Codec::Vp8, Codec::H264], true, false);
    let first = packet(&mut world, 0, 1, &vp8(5, 5, 0, true), &[]).expect("shown");
    assert_eq!(first.payload_type, 120);
    world.assign(Some(1));
    assert_eq!(packet(&mut world, 1, 400, &[0x41, 1], &[]), None);
    let sps = packet(&mut world, 1, 404, &[0x67, 0x42, 0xC0], &[]).expect("switched");
    assert_eq!((sps.payload_type, sps.seq), (110, first.seq + 1));
    for (step, payload) in [(1u16, [0x68, 1]), (2, [0x65, 1])] {
        let sent = packet(&mut world, 1, 404 + step, &payload, &[]).expect("follows");
        assert_eq!((sent.seq, sent.payload_type), (sps.seq + step, 110));
    }
    world.wait(100);
    let repaired = world.repair(sps.seq).expect("in history");
    assert_eq!(repaired.payload_type, 111);
    assert_eq!(world.repair(first.seq).map(|it| it.payload_type), Ok(121));
}

#[test]
fn a_slice_that_overtakes_its_parameter_sets_is_sent_behind_them() {
    let mut world = World::mixed(&[Codec::H264], true, false);
    packet(&mut world, 0, 4, &[0x67, 0x42, 0xC0], &[]).expect("shown");
    packet(&mut world, 0, 5, &[0x65, 1], &[]).expect("shown");
    world.assign(None);
    world.assign(Some(0));
    assert_eq!(packet(&mut world, 0, 9, &[0x65, 1], &[]), None);
    let sps = packet(&mut world, 0, 8, &[0x67, 0x42, 0xC0], &[]).expect("switched");
    let next = packet(&mut world, 0, 10, &[0x41, 1], &[]).expect("shown");
    assert_eq!(next.seq, sps.seq + 2, "a number was kept free");
    assert_eq!(
        world.repair(sps.seq + 1).map(|it| it.payload),
        Ok(vec![0x65, 1])
    );
}

#[test]
fn a_stream_that_goes_on_in_another_codec_waits_for_its_key_frame() {
    let mut world = World::mixed(&[Codec::Vp8, Codec::H264], true, false);
    let mut both = world.producers[0].0.clone();
    both.codecs
        .push(crate::recv::testing::codec(Codec::H264, 98, Some(99)));
    world.producers[0] = (
        both.clone(),
        vec![crate::recv::ReceiveStream::new(&both, 0)],
    );
    world.assign(None);
    world.assign(Some(0));
    let first = packet(&mut world, 0, 1, &vp8(5, 5, 0, true), &[]).expect("shown");
    let h264 = |seq, payload| Built {
        payload_type: 98,
        seq,
        ssrc: 10,
        payload,
        ..Built::default()
    };
    assert_eq!(world.receive(0, 0, &h264(2, &[0x41, 1])), None);
    assert_eq!(world.select(0), Some(0));
    let key = world
        .receive(0, 0, &h264(3, &[0x67, 0x42]))
        .expect("begins");
    assert_eq!((key.seq, key.payload_type), (first.seq + 1, 110));
}

/// An AV1 key frame by its payload: a temporal delimiter's place is taken by the sequence header's.
const AV1_KEY: [u8; 3] = [0x18, 0x08, 0];
const AV1_DELTA: [u8; 3] = [0x10, 0x30, 0];
/// Two temporal layers; then zeros, which are padding.
const STRUCTURE: [u8; 20] = [
    0x80, 0, 50, 0x80, 0x01, 0x1E, 0xA8, 0x51, 0x41, 0x01, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn frame_number(sent: &Sent) -> Option<u16> {
    use crate::wire::dependency_descriptor::DependencyDescriptor;
    use crate::wire::ext::elements;
    let header = crate::wire::rtp::RtpHeader::parse(&sent.bytes).expect("valid");
    let value = elements(&sent.bytes, &header.extension?)
        .find(|(id, _)| *id == DEPENDENCY)?
        .1
        .of(&sent.bytes)
        .to_vec();
    Some(
        DependencyDescriptor::parse(&value)
            .expect("whole")
            .frame_number,
    )
}

#[test]
fn a_receiver_of_dependency_descriptors_begins_with_a_structure() {
    let mut world = World::mixed(&[Codec::Av1, Codec::Av1], false, true);
    assert_eq!(packet(&mut world, 0, 0, &AV1_KEY, &[0x80, 0, 49]), None);
    let key = packet(&mut world, 0, 4, &AV1_KEY, &STRUCTURE).expect("begins");
    assert_eq!(frame_number(&key), Some(1));
    let next = packet(&mut world, 0, 8, &AV1_DELTA, &[0xC0, 0, 53]).expect("shown");
    assert_eq!(frame_number(&next), Some(4), "the distance is kept");
    world.assign(Some(1));
    assert_eq!(packet(&mut world, 1, 8, &AV1_KEY, &[0xC0, 0, 7]), None);
    let key = packet(&mut world, 1, 12, &AV1_KEY, &STRUCTURE).expect("switched");
    assert_eq!((frame_number(&key), key.seq), (Some(5), next.seq + 1));
    world.wait(100);
    for sent in [next, key] {
        let again = world.repair(sent.seq).map(|it| it.bytes);
        assert_eq!(again, Ok(sent.bytes), "bit for bit the same");
    }
}

#[test]
fn without_agreement_nothing_of_the_descriptor_is_sent_nor_waited_for() {
    let mut world = World::mixed(&[Codec::Av1], false, false);
    let key = packet(&mut world, 0, 0, &AV1_KEY, &[0x80, 0, 49]).expect("begins");
    assert_eq!(frame_number(&key), None);
    // Agreed on, but its structure could not be sent: two-byte elements were not.
    let mut world = World::mixed(&[Codec::Av1], false, true);
    let config = SlotConfig {
        allow_mixed_extensions: false,
        ..world.slot.config().clone()
    };
    world.slot = Slot::new(config, super::world::SEED);
    world.assign(Some(0));
    let key = packet(&mut world, 0, 0, &AV1_KEY, &STRUCTURE).expect("begins");
    assert_eq!(frame_number(&key), None);
}

/// What a slot remembers of each run of packets.
#[test]
fn a_note_is_small() {
    assert_eq!(std::mem::size_of::<Note>(), 16);
}
