//! From a publisher to its receivers: rewriting, losses, key frames, reports, layers
//! (`threats-and-faults.md` I6, R2-R5, S6, S7, and the loss part of issue 2).
#![allow(missing_docs)]

mod common;

use common::call::media_payload;
use common::media::{Encoder, SLOT_MID_ID, SLOT_OPUS, SLOT_VP8, audio_producer, video_producer};
use common::world::WALL_OFFSET;
use common::{Call, Peer};
use fork_router_engine::core::Command;
use fork_router_engine::core::command::Limits;
use fork_router_engine::ids::{ProducerId, SlotId, Ssrc};
use fork_router_engine::wire::ext::elements;
use fork_router_engine::wire::rtcp::{
    NtpTime, ReportBlock, RtcpMessage, SenderInfo, messages, write_pli, write_receiver_report,
    write_sender_report,
};
use fork_router_engine::wire::rtp::RtpHeader;

#[test]
fn a_slot_shows_the_publisher_in_its_own_numbers() {
    let mut call = Call::new(1, &[], 1, true);
    let mut encoder = Encoder {
        csrcs: vec![42],
        ..Encoder::video(7)
    };
    let frame = encoder.frame(true, 3);
    call.publish(&frame);
    call.deliver_all();
    let subscriber = &call.subscribers[0];
    assert_eq!(subscriber.view.packets.len(), 3);
    for (got, sent) in subscriber.view.packets.values().zip(&frame) {
        let header = RtpHeader::parse(got).unwrap();
        let original = RtpHeader::parse(sent).unwrap();
        assert_eq!(
            (header.ssrc, header.payload_type),
            (subscriber.slot.ssrc, SLOT_VP8)
        );
        assert_eq!(header.marker, original.marker);
        assert_eq!(
            header.csrcs(),
            [42, 0xC0_0001],
            "the contributor comes last"
        );
        let block = header.extension.expect("extensions");
        let all: Vec<(u8, Vec<u8>)> = elements(got, &block)
            .map(|(id, span)| (id, span.of(got).to_vec()))
            .collect();
        assert_eq!(
            all,
            [(SLOT_MID_ID, b"v".to_vec())],
            "the slot's own MID and nothing else"
        );
        let payload = header.payload.of(got);
        assert_eq!(
            payload[4..],
            original.payload.of(sent)[4..],
            "behind the picture id nothing changes"
        );
    }
}

#[test]
fn the_sixteenth_contributor_is_left_out() {
    let mut call = Call::new(2, &[], 1, true);
    let mut encoder = Encoder {
        csrcs: (1..=15).collect(),
        ..Encoder::video(7)
    };
    call.publish(&encoder.frame(true, 1));
    call.deliver_all();
    let packet = call.subscribers[0]
        .view
        .packets
        .values()
        .next()
        .expect("forwarded");
    assert_eq!(
        RtpHeader::parse(packet).unwrap().csrcs(),
        (1..=15).collect::<Vec<u32>>()
    );
}

/// 5 % loss both ways with reordering and duplicates, over a sequence wrap: all repaired end to end.
fn losses_are_repaired_end_to_end(seed: u64, rtx: bool) {
    let mut call = Call::new(seed, &[], 2, rtx);
    let mut encoders = [Encoder {
        seq: 65_200,
        ..Encoder::video(7)
    }];
    let mut sent = Vec::new();
    for frame in 0..400u32 {
        let mut packets = encoders[0].frame(frame % 100 == 0, 3);
        encoders[0].pass(3000);
        sent.extend(packets.clone());
        if call.world.random(10) == 0 && frame > 0 {
            packets.swap(1, 2);
        }
        for packet in packets {
            let dice = call.world.random(100);
            let data = call.publisher.protect(&packet);
            if dice >= 5 || frame == 0 {
                call.world.receive(call.publisher.tuple, &data);
            }
            if dice >= 97 {
                call.world.receive(call.publisher.tuple, &data);
            }
        }
        call.pass(33);
        call.serve_publisher(&encoders);
        call.deliver(|world| frame > 0 && world.random(100) < 5);
        call.ask_for_losses();
    }
    for _ in 0..30 {
        call.pass(33);
        call.serve_publisher(&encoders);
        call.deliver_all();
        call.ask_for_losses();
    }
    for subscriber in &call.subscribers {
        let view = &subscriber.view;
        assert_eq!(view.missing(), [0u16; 0], "still missing");
        assert!(
            view.packets.len() + 3 >= sent.len(),
            "{} of {}",
            view.packets.len(),
            sent.len()
        );
        for (got, sent) in view.packets.values().zip(&sent) {
            let original = RtpHeader::parse(sent).unwrap();
            assert_eq!(media_payload(got)[4..], original.payload.of(sent)[4..]);
        }
        assert_eq!(rtx, view.by_rtx > 0);
    }
}

#[test]
fn losses_are_repaired_by_rtx() {
    losses_are_repaired_end_to_end(3, true);
}

#[test]
fn losses_are_repaired_by_repetition_without_rtx() {
    losses_are_repaired_end_to_end(4, false);
}

/// R3: fifty receivers ask a hundred times a second.
#[test]
fn a_flood_of_key_frame_requests_is_merged_and_a_joiner_still_sees_a_picture() {
    let mut call = Call::new(5, &[], 50, true);
    let mut encoder = Encoder::video(7);
    call.publish(&encoder.frame(true, 1));
    call.pass(700);
    call.serve_publisher(&[]);
    let mut plis = 0;
    let mut joined_at = None;
    let mut seen_at = None;
    for step in 0..400u64 {
        let wanted = call.serve_publisher(&[]);
        plis += wanted.len();
        // An encoder of moderate obedience: every second request gives a key frame, at once.
        let key = !wanted.is_empty() && plis % 2 == 0;
        call.publish(&encoder.frame(key, 1));
        encoder.pass(900);
        if step == 200 {
            call.join(true);
            joined_at = Some(step);
        }
        for index in 0..50 {
            call.ask_for_key_frame(index);
        }
        call.pass(10);
        call.deliver_all();
        if seen_at.is_none()
            && call
                .subscribers
                .get(50)
                .is_some_and(|it| !it.view.packets.is_empty())
        {
            seen_at = Some(step);
        }
    }
    assert!(plis <= 9, "{plis} in four seconds");
    let (joined, seen) = (
        joined_at.expect("joined"),
        seen_at.expect("a picture for the joiner"),
    );
    assert!((seen - joined) * 10 <= 1000, "{} ms", (seen - joined) * 10);
    assert!(call.world.core.counters().pli_received >= 20_000);
}

/// R5: feedback for streams that one does not receive.
#[test]
fn foreign_feedback_is_counted_and_ignored() {
    let mut call = Call::new(6, &[], 2, true);
    let mut encoder = Encoder::video(7);
    call.publish(&encoder.frame(true, 1));
    call.pass(1000);
    call.serve_publisher(&[]);
    let foreign = [call.subscribers[1].slot.ssrc, Ssrc(7), Ssrc(0xDEAD)];
    for ssrc in foreign {
        let mut buffer = [0; 100];
        let len = write_pli(&mut buffer, Ssrc(1), ssrc).unwrap();
        call.send_rtcp(0, &buffer[..len]);
        let block = ReportBlock {
            ssrc,
            fraction_lost: 255,
            cumulative_lost: 1000,
            highest_seq: 0,
            jitter: 9,
            last_sr: 0,
            delay_since_last_sr: 0,
        };
        let len = write_receiver_report(&mut buffer, Ssrc(1), &[block]).unwrap();
        call.send_rtcp(0, &buffer[..len]);
        let len =
            fork_router_engine::wire::rtcp::write_nack(&mut buffer, Ssrc(1), ssrc, &[1, 2, 3])
                .unwrap();
        call.send_rtcp(0, &buffer[..len]);
    }
    assert_eq!(call.world.dropped("rtcp-foreign-feedback"), 9);
    call.pass(300);
    assert!(call.serve_publisher(&[]).is_empty());
    assert_eq!(call.slot_stats(1).packets_lost, 0);
}

#[test]
fn receiver_reports_become_statistics() {
    let mut call = Call::new(7, &[], 1, true);
    let mut encoder = Encoder::video(7);
    call.publish(&encoder.frame(true, 3));
    call.pass(1100);
    call.deliver_all();
    let reports: Vec<SenderInfo> = sender_reports(&call.subscribers[0].rtcp);
    let last = reports.last().expect("a sender report");
    // Held from its arrival until 40 ms before now.
    let age_us = call.world.now.0 + WALL_OFFSET as u64 - unix_micros(last.ntp);
    let held = (age_us * 65_536 / 1_000_000) as u32;
    call.pass(40);
    let block = ReportBlock {
        ssrc: call.subscribers[0].slot.ssrc,
        fraction_lost: 64,
        cumulative_lost: 5,
        highest_seq: 0,
        jitter: 900,
        last_sr: last.ntp.middle(),
        delay_since_last_sr: held,
    };
    let mut buffer = [0; 100];
    let len = write_receiver_report(&mut buffer, Ssrc(1), &[block]).unwrap();
    call.send_rtcp(0, &buffer[..len]);
    let stats = call.slot_stats(0);
    assert_eq!(
        (stats.packets_lost, stats.fraction_lost, stats.jitter_s),
        (5, 0.25, 0.01)
    );
    let round_trip = stats.round_trip_time_s.expect("a round trip");
    assert!((0.039..0.041).contains(&round_trip), "{round_trip}");
}

fn unix_micros(ntp: NtpTime) -> u64 {
    let fraction = ((ntp.0 & 0xFFFF_FFFF) * 1_000_000) >> 32;
    ((ntp.0 >> 32) - 2_208_988_800) * 1_000_000 + fraction
}

fn sender_reports(rtcp: &[Vec<u8>]) -> Vec<SenderInfo> {
    let all = rtcp.iter().flat_map(|data| messages(data));
    all.filter_map(|message| match message.unwrap() {
        RtcpMessage::SenderReport(report) => Some(report.info),
        _ => None,
    })
    .collect()
}

/// Sender reports follow the slot: its own counts and timestamps, our wall clock.
#[test]
fn sender_reports_are_remapped() {
    let mut call = Call::new(8, &[], 1, true);
    let mut encoder = Encoder::video(7);
    for frame in 0..90u32 {
        // The publisher's report says: this timestamp was captured now. Its clock is years off.
        if frame % 30 == 10 {
            let ntp = NtpTime::from_unix_micros(call.world.now.0 + 5_000_000_000_000);
            let rtp_timestamp = encoder.timestamp;
            let info = SenderInfo {
                ssrc: Ssrc(7),
                ntp,
                rtp_timestamp,
                packet_count: 1,
                octet_count: 1,
            };
            let mut buffer = [0; 100];
            let len = write_sender_report(&mut buffer, &info, &[]).unwrap();
            call.publish_rtcp(&buffer[..len]);
        }
        call.publish(&encoder.frame(frame == 0, 1));
        call.deliver_all();
        encoder.pass(3000);
        call.pass(33);
    }
    call.deliver_all();
    let reports = sender_reports(&call.subscribers[0].rtcp);
    let report = reports.last().expect("sender reports");
    assert_eq!(report.ssrc, call.subscribers[0].slot.ssrc);
    assert!(
        (60..=90).contains(&report.packet_count),
        "{}",
        report.packet_count
    );
    // The slot's newest packet left at most a frame before now; the report's line must pass through it.
    let newest =
        RtpHeader::parse(call.subscribers[0].view.packets.values().last().unwrap()).unwrap();
    let age_us = call.world.now.0 + WALL_OFFSET as u64 - unix_micros(report.ntp);
    assert!(age_us < 1_600_000, "{age_us}");
    let ago = age_us as f64 / 1e6;
    let expected = f64::from(newest.timestamp.wrapping_sub(report.rtp_timestamp) as i32) / 90_000.0;
    assert!(
        (ago - expected).abs() < 0.1,
        "report {ago} s ago, by timestamps {expected} s"
    );
}

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

/// Plays simulcast for a while; each layer gives a key frame when asked.
fn play(call: &mut Call, encoders: &mut [Encoder], frames: u32) {
    let mut wanted: Vec<u32> = Vec::new();
    for _ in 0..frames {
        for encoder in &mut *encoders {
            let key = wanted.contains(&encoder.ssrc) || encoder.sent.is_empty();
            let packets = encoder.frame(key, 2);
            encoder.pass(3000);
            call.publish(&packets);
        }
        call.pass(33);
        call.deliver_all();
        wanted = call.serve_publisher(encoders);
    }
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
    let slot = common::media::video_slot(900, transport, true);
    let ssrc = slot.ssrc;
    call.world.command(Command::AddSlot(slot));
    call.world
        .command(Command::Assign(SlotId(900), Some(ProducerId(2))));
    let (mut one, mut two) = (Encoder::video(7), Encoder::video(7));
    let mut other = common::media::Receiver::new(ssrc, None);
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

fn byes(rtcp: &[Vec<u8>]) -> Vec<Ssrc> {
    let all = rtcp
        .iter()
        .flat_map(|data| messages(data))
        .map(Result::unwrap);
    all.filter_map(|message| match message {
        RtcpMessage::Bye(bye) => Some(bye.ssrcs().collect::<Vec<_>>()),
        _ => None,
    })
    .flatten()
    .collect()
}

#[test]
fn removal_says_goodbye_and_leaves_nothing() {
    let mut call = Call::new(13, &[], 2, true);
    let mut encoder = Encoder::video(7);
    call.publish(&encoder.frame(true, 1));
    call.world.command(Command::RemoveSlot(SlotId(100)));
    call.world
        .command(Command::RemoveTransport(call.subscribers[1].peer.transport));
    call.deliver_all();
    assert_eq!(
        byes(&call.subscribers[0].rtcp),
        [call.subscribers[0].slot.ssrc]
    );
    assert_eq!(
        byes(&call.subscribers[1].rtcp),
        [call.subscribers[1].slot.ssrc]
    );
    call.publish(&encoder.frame(false, 5));
    call.pass(5000);
    for index in 0..2 {
        let tuple = call.subscribers[index].peer.tuple;
        let data = call.world.take_sent(tuple);
        assert!(
            data.iter()
                .all(|data| data[0] < 128 || (200..=207).contains(&data[1])),
            "media after removal"
        );
    }
    call.world
        .command(Command::RemoveTransport(call.publisher.transport));
    call.world
        .command(Command::RemoveTransport(call.subscribers[0].peer.transport));
    let counters = call.world.core.counters();
    assert_eq!(
        (counters.transports, counters.producers, counters.slots),
        (0, 0, 0)
    );
    call.pass(60_000);
    assert_eq!(call.world.core.poll_deadline(), None);
}

/// I6: a receiver that vanished gets nothing any more.
#[test]
fn a_vanished_receiver_is_sent_nothing() {
    let mut call = Call::new(14, &[], 1, true);
    let mut encoder = Encoder::video(7);
    call.subscribers[0].peer.answers = false;
    let tuple = call.subscribers[0].peer.tuple;
    let mut last_sent = 0;
    for second in 0..40u64 {
        call.publish(&encoder.frame(second == 0, 1));
        call.pass(1000);
        if call
            .world
            .take_sent(tuple)
            .iter()
            .any(|data| data[0] >= 128)
        {
            last_sent = second;
        }
    }
    assert!((28..=30).contains(&last_sent), "{last_sent} s");
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

/// R4: what the last thousand packets cost when they are asked for again and again.
#[test]
fn a_nack_flood_is_budgeted() {
    let mut call = Call::new(17, &[], 2, true);
    let mut encoders = [Encoder::video(7)];
    play(&mut call, &mut encoders, 300);
    let (media, tuple) = (call.slot_stats(0), call.subscribers[0].peer.tuple);
    let newest = *call.subscribers[0].view.packets.last_key_value().unwrap().0;
    for _ in 0..100 {
        let all: Vec<u16> = (newest - 400..=newest).map(|seq| seq as u16).collect();
        for lost in all.chunks(100) {
            let mut buffer = [0; 1400];
            let len = fork_router_engine::wire::rtcp::write_nack(
                &mut buffer,
                Ssrc(1),
                call.subscribers[0].slot.ssrc,
                lost,
            );
            call.send_rtcp(0, &buffer[..len.unwrap()]);
        }
        call.publish(&encoders[0].frame(false, 1));
        call.pass(10);
        call.world.take_sent(tuple);
    }
    let after = call.slot_stats(0);
    let repaired = after.retransmitted_packets_sent - media.retransmitted_packets_sent;
    assert!(repaired < 400, "{repaired} packets for one second of media");
    assert!(call.world.dropped("nack-budget") > 1000);
}
