//! The slot packet by packet: assignment, switching, dropping, repair, reports.

use super::world::{Sent, World};
use super::*;
use crate::ids::SlotId;
use crate::recv::Measured;
use crate::recv::layer_meter::MeasuredLayer;
use crate::recv::testing::{Built, producer, vp8};
use crate::wire::DropReason;

fn picture_id(sent: &Sent) -> u16 {
    u16::from_be_bytes([sent.payload[2] & 0x7F, sent.payload[3]])
}

#[test]
fn audio_begins_at_any_packet_with_the_slots_numbers() {
    let mut world = World::new(Codec::Opus, &[1], false);
    let sent = world
        .receive(
            0,
            0,
            &Built {
                seq: 40_000,
                timestamp: 5,
                ..Built::default()
            },
        )
        .expect("forwarded");
    assert_eq!(
        (sent.ssrc, sent.seq, sent.timestamp),
        (Ssrc(0xAAAA), 500, 9_000)
    );
    let next = world
        .receive(
            0,
            0,
            &Built {
                seq: 40_001,
                timestamp: 965,
                ..Built::default()
            },
        )
        .expect("forwarded");
    assert_eq!((next.seq, next.timestamp), (501, 9_960));
    assert_eq!(world.slot.on_pli(world.now), None, "audio has no pictures");
}

#[test]
fn video_waits_for_a_key_frame_and_says_so() {
    let mut world = World::new(Codec::Vp8, &[1], true);
    assert_eq!(world.select(0), Some(0), "asked before anything flows");
    assert_eq!(world.vp8(0, 1, 1, 0, false), None);
    assert_eq!(world.select(0), Some(0));
    assert_eq!(world.vp8(0, 2, 2, 0, true).map(|sent| sent.seq), Some(500));
    assert_eq!(world.select(0), None);
    assert_eq!(world.slot.on_pli(world.now), Some(0));
    assert_eq!(world.slot.encoding(), Some(0));
}

#[test]
fn nothing_assigned_nothing_sent() {
    let mut world = World::new(Codec::Opus, &[1], false);
    world.assign(None);
    assert_eq!(world.receive(0, 0, &Built::default()), None);
    assert_eq!(world.select(0), None);
    let stats = world.slot.stats(world.now);
    assert_eq!(
        (stats.producer, stats.reason),
        (None, "nothing is assigned".into())
    );
    assert_eq!(world.repair(500).err(), Some(DropReason::NackNotInHistory));
}

#[test]
fn codec_that_the_receiver_lacks_is_not_sent() {
    let mut world = World::new(Codec::Vp8, &[1], false);
    let mut other = producer(9, Codec::H264, 1);
    other.codecs[0].format = 7;
    world.slot.assign(Some(&other));
    assert_eq!(world.slot.stats(world.now).reason, Reason::NoCodec.text());
    world.slot.set_paused(other.id, true);
    world.slot.set_paused(other.id, false);
    assert_eq!(
        world.slot.select(
            other.id,
            &Ladder::new(&[Measured {
                flowing: true,
                layers: std::iter::once(MeasuredLayer::default()).collect(),
            }]),
            world.now
        ),
        None
    );
    assert_eq!(world.slot.stats(world.now).reason, Reason::NoCodec.text());
}

#[test]
fn padding_only_packets_leave_no_gap() {
    let mut world = World::new(Codec::Opus, &[1], false);
    world.receive(
        0,
        0,
        &Built {
            seq: 10,
            ..Built::default()
        },
    );
    let padding = Built {
        seq: 11,
        payload: &[],
        padding: 200,
        ..Built::default()
    };
    assert_eq!(world.receive(0, 0, &padding), None);
    assert_eq!(
        world
            .receive(
                0,
                0,
                &Built {
                    seq: 12,
                    ..Built::default()
                }
            )
            .map(|sent| sent.seq),
        Some(501)
    );
    assert_eq!(
        world
            .receive(
                0,
                0,
                &Built {
                    seq: 14,
                    ..Built::default()
                }
            )
            .map(|sent| sent.seq),
        Some(503)
    );
    let late = world.receive(
        0,
        0,
        &Built {
            seq: 13,
            timestamp: 7,
            payload: &[],
            padding: 200,
            ..Built::default()
        },
    );
    let filler = late.expect("its number was passed by");
    assert_eq!((filler.seq, filler.payload.len()), (502, 0));
    world.wait(100);
    assert_eq!(
        world.repair(502).map(|again| again.bytes),
        Ok(filler.bytes),
        "a repeat is bit for bit the same"
    );
}

#[test]
fn switching_producers_goes_on_in_numbers_time_and_pictures() {
    let mut world = World::new(Codec::Vp8, &[1, 1], true);
    world.vp8_of(0, 0, 100, 700, 0, true);
    let last = world.vp8_of(0, 0, 101, 701, 0, false).expect("forwarded");
    world.assign(Some(1));
    assert_eq!(
        world.vp8_of(1, 0, 7, 30, 0, false),
        None,
        "waits for the key frame"
    );
    let last = world.vp8_of(0, 0, 102, 702, 0, false).unwrap_or(last);
    world.wait(200);
    let first = world.vp8_of(1, 0, 8, 31, 0, true).expect("switched");
    assert_eq!(first.seq, last.seq + 1);
    assert_eq!(first.timestamp.wrapping_sub(last.timestamp), 200 * 90);
    assert_eq!(picture_id(&first), picture_id(&last) + 1);
    assert_eq!(
        world.vp8_of(1, 0, 6, 29, 0, false),
        None,
        "from before the switch"
    );
    world.wait(60);
    let repaired = world
        .repair(last.seq)
        .expect("the former producer's packets are still repaired");
    assert_eq!(repaired.payload[2..], last.payload);
}

#[test]
fn layers_switch_at_key_frames_only() {
    let mut world = World::new(Codec::Vp8, &[2], true);
    for step in 0..40u16 {
        world.wait(33);
        world.vp8(0, step, step, 0, step == 0);
    }
    assert_eq!(world.slot.encoding(), Some(0));
    // The second encoding begins, with a larger picture and more bits.
    let mut wanted = None;
    for step in 40..80u16 {
        world.wait(33);
        world.vp8(0, step, step, 0, false);
        for packet in 0..4 {
            world.vp8(1, step * 4 + packet, step, 0, false);
        }
        wanted = world.select(0);
    }
    assert_eq!(
        (wanted, world.slot.encoding()),
        (Some(1), Some(0)),
        "shows the old one while it waits"
    );
    let before = world.vp8(0, 80, 80, 0, false).expect("old layer");
    let after = world.vp8(1, 320, 80, 0, true).expect("switched");
    assert_eq!(after.seq, before.seq + 1);
    assert_eq!(world.vp8(0, 81, 81, 0, false), None);
    assert_eq!(world.select(0), None);
}

#[test]
fn the_first_layer_that_comes_stays_until_layers_are_measured() {
    let mut world = World::new(Codec::Vp8, &[2], true);
    assert!(world.vp8(1, 0, 0, 0, true).is_some());
    assert_eq!(world.vp8(0, 0, 0, 0, true), None);
    assert!(world.vp8(1, 1, 1, 0, false).is_some());
}

#[test]
fn temporal_layers_are_dropped_without_gaps() {
    let mut world = World::new(Codec::Vp8, &[1], true);
    world.slot.set_limits(Limits {
        max_temporal_layers: Some(1),
        ..Limits::default()
    });
    world.vp8(0, 0, 0, 0, true);
    world.select(0);
    let mut sent = Vec::new();
    for step in 1..=20u16 {
        world.wait(33);
        let layer = [0, 2, 1, 2][usize::from(step) % 4];
        sent.extend(world.vp8(0, step, step, layer, false));
    }
    let numbers: Vec<(u16, u16)> = sent
        .iter()
        .map(|sent| (sent.seq, picture_id(sent)))
        .collect();
    let first = numbers[0];
    let expected: Vec<(u16, u16)> = (0..5)
        .map(|step| (first.0 + step, first.1 + step))
        .collect();
    assert_eq!(numbers, expected);
    assert_eq!(first.0, 501);
}

#[test]
fn loss_is_repaired_by_rtx_with_its_own_numbers() {
    let mut world = World::new(Codec::Vp8, &[1], true);
    let sent: Vec<Sent> = (0..5u16)
        .map(|step| world.vp8(0, step, step, 0, step == 0).expect("forwarded"))
        .collect();
    world.wait(50);
    for (step, lost) in [(0u16, &sent[1]), (1, &sent[3])] {
        let repaired = world.repair(lost.seq).expect("in history");
        assert_eq!((repaired.ssrc, repaired.seq), (Ssrc(0xBBBB), 60 + step));
        assert_eq!(
            repaired.payload,
            [lost.seq.to_be_bytes().as_slice(), &lost.payload].concat()
        );
        assert_eq!(repaired.timestamp, lost.timestamp);
    }
    let stats = world.slot.stats(world.now);
    assert_eq!(
        (stats.packets_sent, stats.retransmitted_packets_sent),
        (5, 2)
    );
}

#[test]
fn without_rtx_the_packet_itself_is_repeated() {
    let mut world = World::new(Codec::Vp8, &[1], false);
    let sent = world.vp8(0, 0, 0, 0, true).expect("forwarded");
    for step in 1..50u16 {
        world.wait(5);
        world.vp8(0, step, step, 0, false);
    }
    assert_eq!(
        world.repair(sent.seq).map(|repeated| repeated.bytes),
        Ok(sent.bytes)
    );
}

#[test]
fn copies_are_limited() {
    let mut world = World::new(Codec::Vp8, &[1], true);
    let sent = world.vp8(0, 0, 0, 0, true).expect("forwarded");
    assert!(world.repair(sent.seq).is_ok());
    assert_eq!(
        world.repair(sent.seq).err(),
        Some(DropReason::NackBudget),
        "a round trip apart"
    );
    for _ in 0..2 {
        world.wait(100);
        assert!(world.repair(sent.seq).is_ok());
    }
    world.wait(100);
    assert_eq!(
        world.repair(sent.seq).err(),
        Some(DropReason::NackBudget),
        "three at most"
    );
    assert_eq!(
        world.repair(sent.seq + 1).err(),
        Some(DropReason::NackNotInHistory),
        "never sent"
    );
}

#[test]
fn what_was_passed_by_at_the_switch_is_sent_when_asked_for() {
    let mut world = World::new(Codec::Vp8, &[1], true);
    world.vp8(0, 10, 1, 0, false);
    // The key frame's second packet overtakes its first.
    let payload = vp8(2, 2, 0, true);
    let second = Built {
        seq: 12,
        timestamp: 6_000,
        ssrc: 10,
        payload: &[&[0x80, 0x80], &payload[2..]].concat(),
        ..Built::default()
    };
    assert_eq!(world.receive(0, 0, &second), None);
    let first = world.vp8(0, 11, 2, 0, true).expect("switched");
    let third = world.vp8(0, 13, 3, 0, false).expect("forwarded");
    assert_eq!(third.seq, first.seq + 2, "a number was kept free");
    let late = world.repair(first.seq + 1).expect("in history");
    assert_eq!((late.ssrc, late.seq), (Ssrc(0xAAAA), first.seq + 1));
}

#[test]
fn pause_stops_and_resume_waits_for_a_key_frame() {
    let mut world = World::new(Codec::Vp8, &[1], true);
    let before = world.vp8(0, 0, 0, 0, true).expect("forwarded");
    world.pause(0, true);
    assert_eq!(world.vp8(0, 1, 1, 0, true), None);
    assert_eq!(
        (world.select(0), world.slot.stats(world.now).reason),
        (None, Reason::Paused.text().into())
    );
    world.pause(0, false);
    assert_eq!(world.vp8(0, 2, 2, 0, false), None);
    assert_eq!(world.select(0), Some(0));
    let after = world.vp8(0, 3, 3, 0, true).expect("resumed");
    assert_eq!(after.seq, before.seq + 1);
}

#[test]
fn bitrate_limit_stops_and_lifting_it_resumes() {
    let mut world = World::new(Codec::Vp8, &[1], true);
    for step in 0..60u16 {
        world.wait(33);
        world.vp8(0, step, step, 0, step == 0);
    }
    world.slot.set_limits(Limits {
        max_bitrate_bps: Some(1_000),
        ..Limits::default()
    });
    assert_eq!(world.select(0), None);
    assert_eq!(
        world.slot.stats(world.now).reason,
        Reason::BitrateTooLow.text()
    );
    assert_eq!(world.vp8(0, 60, 60, 0, true), None);
    world.slot.set_limits(Limits::default());
    assert_eq!(world.select(0), Some(0));
    assert!(world.vp8(0, 61, 61, 0, true).is_some());
}

#[test]
fn jump_of_the_source_leaves_no_gap() {
    let mut world = World::new(Codec::Vp8, &[1], true);
    let before = world.vp8(0, 0, 0, 0, true).expect("forwarded");
    assert_eq!(world.vp8(0, 20_000, 1, 0, false), None);
    let after = world.vp8(0, 20_001, 2, 0, true).expect("began anew");
    assert_eq!(after.seq, before.seq + 1);
    let mut audio = World::new(Codec::Opus, &[1], false);
    audio.receive(
        0,
        0,
        &Built {
            seq: 1,
            ..Built::default()
        },
    );
    let after = audio
        .receive(
            0,
            0,
            &Built {
                seq: 20_001,
                ..Built::default()
            },
        )
        .expect("at once");
    assert_eq!(after.seq, 501);
}

#[test]
fn silence_and_return_go_on_in_the_same_line() {
    let mut world = World::new(Codec::Opus, &[1], false);
    let before = world
        .receive(
            0,
            0,
            &Built {
                seq: 1,
                timestamp: 0,
                ..Built::default()
            },
        )
        .expect("forwarded");
    world.wait(5_000);
    assert_eq!(world.select(0), None);
    assert_eq!(
        world.slot.stats(world.now).reason,
        Reason::NothingFlows.text()
    );
    let after = world
        .receive(
            0,
            0,
            &Built {
                seq: 2,
                timestamp: 240_000,
                ..Built::default()
            },
        )
        .expect("forwarded");
    assert_eq!(
        (after.seq - before.seq, after.timestamp - before.timestamp),
        (1, 240_000)
    );
}

#[test]
fn reports_follow_the_shown_source() {
    let mut world = World::new(Codec::Vp8, &[1], true);
    assert_eq!(world.slot.report_deadline(), None);
    let sent = world.vp8(0, 0, 10, 0, true).expect("forwarded");
    let due = world.slot.report_deadline().expect("a sender");
    assert_eq!(world.slot.poll_report(world.now, 0, None), None, "not yet");
    // The source says: timestamp 30000 was captured 50 ms before it arrived.
    let anchor = Anchor {
        timestamp: 30_000,
        at: world.now - Micros::from_millis(50),
    };
    let info = world
        .slot
        .poll_report(due, 1_700_000_000_000_000, Some(anchor))
        .expect("due");
    assert_eq!((info.ssrc, info.packet_count), (Ssrc(0xAAAA), 1));
    assert_eq!(info.octet_count as usize, sent.payload.len());
    assert_eq!(
        info.rtp_timestamp.wrapping_sub(sent.timestamp),
        150 * 90,
        "100 ms until due, 50 ms on the way"
    );
    let block = ReportBlock {
        last_sr: info.ntp.middle(),
        fraction_lost: 128,
        ..ReportBlock::default()
    };
    world.slot.on_report(&block, due + Micros::from_millis(40));
    assert_eq!(world.slot.rtt(), Some(Micros::from_millis(40)));
    let stats = world.slot.stats(due);
    assert!((stats.fraction_lost - 0.5).abs() < 1e-9);
    assert_eq!(
        (stats.codec, stats.payload_type),
        (Some("vp8"), Some(PayloadType(120)))
    );
}

#[test]
fn requests_are_counted() {
    let mut world = World::new(Codec::Vp8, &[1], true);
    world.slot.on_nack();
    assert_eq!(
        (world.slot.on_fir(), world.slot.on_pli(world.now)),
        (Some(0), Some(0))
    );
    let stats = world.slot.stats(world.now);
    assert_eq!(
        (stats.nack_count, stats.fir_count, stats.pli_count),
        (1, 1, 1)
    );
    assert_eq!(
        (world.slot.ssrc(), world.slot.config().id),
        (Ssrc(0xAAAA), SlotId(1))
    );
}
