//! What a slot shows: layers, other producers, pauses, nothing (`threats-and-faults.md` R2, S7).

use crate::common::call::play;
use crate::common::media::{Encoder, SLOT_OPUS, audio_producer, video_producer};
use crate::common::{Call, Peer};
use fork_router_engine::core::Command;
use fork_router_engine::core::command::Limits;
use fork_router_engine::ids::{ProducerId, SlotId};
use fork_router_engine::wire::rtp::RtpHeader;

fn layers() -> [Encoder; 3] {
    let layer = |index: u32, rid, size, payload_len| Encoder {
        rid: Some(rid),
        size,
        payload_len,
        seq: 1000 * index as u16,
        timestamp: index * 1_000_000,
        ..Encoder::video(100 + index)
    };
    [
        layer(0, "q", (320, 180), 150),
        layer(1, "h", (640, 360), 400),
        layer(2, "f", (1280, 720), 1000),
    ]
}

#[test]
fn the_best_layer_is_shown_and_changes_only_at_key_frames() {
    let mut call = Call::new(9, &["q", "h", "f"], 1, true);
    let mut encoders = layers();
    play(&mut call, &mut encoders, 60);
    assert_eq!(call.slot_stats(0).encoding, Some(2));
    // The top layer stops, as when the sender's uplink shrinks.
    play(&mut call, &mut encoders[..2], 90);
    assert_eq!(call.slot_stats(0).encoding, Some(1));
    play(&mut call, &mut encoders, 90);
    assert_eq!(call.slot_stats(0).encoding, Some(2));
    let id = SlotId(100);
    call.world.command(Command::SetLimits(
        id,
        Limits {
            max_width: Some(320),
            ..Limits::default()
        },
    ));
    play(&mut call, &mut encoders, 90);
    assert_eq!(call.slot_stats(0).encoding, Some(0));

    let view = &call.subscribers[0].view;
    assert_eq!(view.missing(), [0u16; 0], "switching leaves no gap");
    let mut last: Option<(u32, usize, u16)> = None;
    let mut switches = 0;
    for packet in view.packets.values() {
        let header = RtpHeader::parse(packet).unwrap();
        let payload = header.payload.of(packet);
        let picture_id = u16::from_be_bytes([payload[2] & 0x7F, payload[3]]);
        if let Some((timestamp, len, picture)) = last {
            assert!(
                (header.timestamp.wrapping_sub(timestamp) as i32) >= 0,
                "time runs backwards"
            );
            if payload.len() != len {
                switches += 1;
                assert_eq!(
                    (payload[0] & 0x10, payload[4] & 1),
                    (0x10, 0),
                    "a switch begins with a key frame"
                );
                assert_ne!(header.timestamp, timestamp);
            }
            let step = picture_id.wrapping_sub(picture) & 0x7FFF;
            assert!(step <= 1, "picture ids jump by {step}");
        }
        last = Some((header.timestamp, payload.len(), picture_id));
    }
    assert!((3..=5).contains(&switches), "{switches} switches");
}

#[test]
fn audio_switches_at_a_packet() {
    let mut call = Call::new(10, &[], 0, true);
    let slot = call.join_audio();
    let mut second = Peer::new(2);
    call.world.connect(&mut second);
    call.world.command(Command::AddProducer(audio_producer(
        11,
        call.publisher.transport,
    )));
    call.world
        .command(Command::AddProducer(audio_producer(12, second.transport)));
    let (mut one, mut two) = (
        Encoder::audio(7),
        Encoder {
            seq: 9,
            timestamp: 77,
            ..Encoder::audio(7)
        },
    );
    call.world
        .command(Command::Assign(slot, Some(ProducerId(11))));
    for step in 0..100 {
        if step == 50 {
            call.world
                .command(Command::Assign(slot, Some(ProducerId(12))));
        }
        call.publish(&one.frame(false, 1));
        let data = second.protect(&two.frame(false, 1)[0]);
        call.world.receive(second.tuple, &data);
        one.pass(960);
        two.pass(960);
        call.pass(20);
        call.deliver_all();
    }
    let view = &call.subscribers[0].view;
    assert_eq!((view.packets.len(), view.missing().len()), (100, 0));
    let headers: Vec<RtpHeader> = view
        .packets
        .values()
        .map(|packet| RtpHeader::parse(packet).unwrap())
        .collect();
    assert!(
        headers
            .iter()
            .all(|header| header.payload_type == SLOT_OPUS)
    );
    for (index, pair) in headers.windows(2).enumerate() {
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!((900..=1020).contains(&step), "step {step} at {index}");
        assert_eq!(
            pair[1].csrcs(),
            [0xC0_0000 + if index + 1 < 50 { 11 } else { 12 }]
        );
    }
}

/// R2: two publishers with one SSRC, shown to one receiver.
#[test]
fn publishers_with_the_same_ssrc_do_not_meet() {
    let mut call = Call::new(11, &[], 1, true);
    let mut second = Peer::new(2);
    call.world.connect(&mut second);
    call.world.command(Command::AddProducer(video_producer(
        2,
        second.transport,
        &[],
    )));
    let transport = call.subscribers[0].peer.transport;
    let slot = crate::common::media::video_slot(900, transport, true);
    let ssrc = slot.ssrc;
    call.world.command(Command::AddSlot(slot));
    call.world
        .command(Command::Assign(SlotId(900), Some(ProducerId(2))));
    let (mut one, mut two) = (Encoder::video(7), Encoder::video(7));
    let mut other = crate::common::media::Receiver::new(ssrc, None);
    for frame in 0..20 {
        call.publish(&one.frame(frame == 0, 1));
        let data = second.protect(&two.frame(frame == 0, 1)[0]);
        call.world.receive(second.tuple, &data);
        call.pass(33);
        let (rtp, _) = call.world.take_media(&mut call.subscribers[0].peer);
        for packet in rtp {
            call.subscribers[0].view.take(&packet);
            other.take(&packet);
        }
    }
    assert_eq!(
        (call.subscribers[0].view.packets.len(), other.packets.len()),
        (20, 20)
    );
}

#[test]
fn a_paused_producer_is_not_forwarded_and_resumes_at_a_key_frame() {
    let mut call = Call::new(12, &[], 1, true);
    let mut encoders = [Encoder::video(7)];
    play(&mut call, &mut encoders, 30);
    call.world
        .command(Command::PauseProducer(ProducerId(1), true));
    let before = call.subscribers[0].view.packets.len();
    play(&mut call, &mut encoders, 30);
    assert_eq!(call.subscribers[0].view.packets.len(), before);
    assert_eq!(call.world.dropped("producer-paused"), 60);
    call.world
        .command(Command::PauseProducer(ProducerId(1), false));
    play(&mut call, &mut encoders, 30);
    let view = &call.subscribers[0].view;
    assert!(view.packets.len() > before + 20, "resumed");
    assert_eq!(view.missing(), [0u16; 0]);
}

#[test]
fn removing_the_producer_or_the_assignment_quiets_the_slot() {
    let mut call = Call::new(15, &[], 2, true);
    let mut encoders = [Encoder::video(7)];
    play(&mut call, &mut encoders, 10);
    let before: Vec<usize> = call
        .subscribers
        .iter()
        .map(|it| it.view.packets.len())
        .collect();
    call.world.command(Command::Assign(SlotId(100), None));
    play(&mut call, &mut encoders, 10);
    assert_eq!(call.subscribers[0].view.packets.len(), before[0]);
    assert!(call.subscribers[1].view.packets.len() > before[1]);
    call.world.command(Command::RemoveProducer(ProducerId(1)));
    let before = call.subscribers[1].view.packets.len();
    play(&mut call, &mut encoders, 10);
    assert_eq!(call.subscribers[1].view.packets.len(), before);
    assert_eq!(call.slot_stats(1).producer, None);
}

#[test]
fn an_abandoned_publisher_leaves_its_receivers() {
    let mut call = Call::new(16, &[], 1, true);
    let mut encoders = [Encoder::video(7)];
    play(&mut call, &mut encoders, 5);
    call.world
        .core
        .abandon(call.publisher.transport, &mut call.world.sink);
    assert_eq!(call.slot_stats(0).producer, None);
    call.pass(1000);
    assert_eq!(call.world.core.counters().producers, 0);
}

/// Nobody is asked for key frames on behalf of a receiver that cannot be reached; once it can, at once.
#[test]
fn a_receiver_without_keys_costs_no_key_frame() {
    let mut call = Call::new(18, &[], 0, true);
    let mut encoders = [Encoder::video(7)];
    let mut late = Peer::new(50);
    call.world.introduce(&mut late, true);
    let slot = crate::common::media::video_slot(50, late.transport, true);
    call.world.command(Command::AddSlot(slot));
    call.world
        .command(Command::Assign(SlotId(50), Some(ProducerId(1))));
    let mut plis = 0;
    for frame in 0..60 {
        call.publish(&encoders[0].frame(frame == 0, 1));
        call.pass(33);
        plis += call.serve_publisher(&encoders).len();
    }
    assert_eq!(plis, 0);
    call.world.answer_challenges(&mut [&mut late]);
    call.world
        .command(Command::ValidateTuple(late.transport, late.tuple));
    let session = late.srtp.mirrored();
    call.world
        .command(Command::SetSrtp(late.transport, Box::new(session)));
    call.pass(1);
    plis += call.serve_publisher(&encoders).len();
    assert_eq!(plis, 1);
    call.publish(&encoders[0].frame(true, 1));
    assert_eq!(call.world.take_media(&mut late).0.len(), 1);
}

/// libwebrtc's encoder answers a request with key frames of all encodings, and for 300 ms ignores what else it is asked
/// for: a wish that comes just then is asked for as soon as the encoder listens, not when the unanswered is repeated.
#[test]
fn an_encoder_is_asked_when_it_listens() {
    let mut call = Call::new(19, &["q", "h", "f"], 1, true);
    let mut encoders = layers();
    play(&mut call, &mut encoders, 60);
    let limit = |call: &mut Call, max_width| {
        let limits = Limits {
            max_width: Some(max_width),
            ..Limits::default()
        };
        call.world.command(Command::SetLimits(SlotId(100), limits));
    };
    let mut answered: Option<u64> = None;
    let (mut shown, mut wishes) = (Vec::new(), 0);
    for ms in 0..6_000_u64 {
        if let Some(max_width) = match ms % 1_000 {
            0 => Some(320),
            150 => Some(640),
            _ => None,
        } {
            limit(&mut call, max_width);
            wishes += 1;
        }
        call.pass(1);
        let asked = !call.serve_publisher(&encoders).is_empty();
        let listens = answered.is_none_or(|at| ms >= at + 300);
        let key = asked && listens;
        if asked {
            assert!(
                listens,
                "asked in vain at {ms} ms, answered at {answered:?}"
            );
            answered = Some(ms);
        }
        if key || ms % 33 == 0 {
            for encoder in &mut encoders {
                call.publish(&encoder.frame(key, 1));
            }
        }
        let encoding = call.slot_stats(0).encoding;
        if shown.last() != Some(&encoding) {
            shown.push(encoding);
        }
    }
    assert_eq!(shown.len(), wishes, "each wish is granted: {shown:?}");
}
