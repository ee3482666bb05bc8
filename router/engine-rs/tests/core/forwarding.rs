//! From a publisher to its receivers: rewriting, losses, key frames, reports, layers
//! (`threats-and-faults.md` I6, R2-R5, S6, S7, and the loss part of issue 2).

use crate::common::call::media_payload;
use crate::common::media::{Encoder, SLOT_MID_ID, SLOT_VP8, audio_producer, audio_slot};
use crate::common::world::WALL_OFFSET;
use crate::common::{Call, Peer, World};
use fork_router_engine::core::command::SlotConfig;
use fork_router_engine::core::{Command, Event};
use fork_router_engine::ids::{ProducerId, SlotId, Ssrc};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::ext::elements;
use fork_router_engine::wire::rtcp::{
    NtpTime, ReportBlock, RtcpMessage, SenderInfo, messages, write_receiver_report,
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

fn first_frames(call: &mut Call) -> Vec<Micros> {
    let waited = |event| match event {
        Event::FirstFrame { waited, .. } => Some(waited),
        _ => None,
    };
    let events = call.world.take_events();
    events.into_iter().filter_map(waited).collect()
}

#[test]
fn a_receivers_first_key_frame_is_told_once() {
    let mut call = Call::new(4, &[], 2, true);
    let mut encoder = Encoder::video(7);
    call.pass(300);
    call.publish(&encoder.frame(false, 2));
    assert_eq!(first_frames(&mut call), [], "nothing can begin with that");
    call.publish(&encoder.frame(true, 2));
    let waited = first_frames(&mut call);
    assert_eq!(waited.len(), 2, "one for each receiver");
    for waited in waited {
        assert!((Micros::from_millis(300)..Micros::from_millis(400)).contains(&waited));
    }
    call.pass(100);
    call.publish(&encoder.frame(true, 2));
    assert_eq!(first_frames(&mut call), []);
}

#[test]
fn who_was_shown_nothing_waits_for_no_frame() {
    let mut call = Call::new(5, &[], 1, true);
    let mut encoder = Encoder::video(7);
    call.world.command(Command::Assign(SlotId(100), None));
    call.pass(5_000);
    let publisher = Some(ProducerId(1));
    call.world.command(Command::Assign(SlotId(100), publisher));
    call.pass(40);
    call.publish(&encoder.frame(true, 1));
    let waited = first_frames(&mut call);
    assert_eq!(waited.len(), 1);
    assert!(waited[0] < Micros::from_millis(100), "{waited:?}");
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

#[test]
fn every_report_of_many_slots_comes_with_its_name() {
    let (mut world, mut publisher, mut receiver) = (World::new(77), Peer::new(1), Peer::new(2));
    world.connect(&mut publisher);
    world.connect(&mut receiver);
    world.command(Command::AddProducer(audio_producer(1, publisher.transport)));
    let slots: Vec<SlotConfig> = (0..40)
        .map(|id| audio_slot(id, receiver.transport))
        .collect();
    for slot in &slots {
        world.command(Command::AddSlot(slot.clone()));
        world.command(Command::Assign(slot.id, Some(ProducerId(1))));
    }
    for packet in Encoder::audio(7).frame(false, 1) {
        let data = publisher.protect(&packet);
        world.receive(publisher.tuple, &data);
    }
    world.advance_with(
        Micros::from_millis(200),
        &mut [&mut publisher, &mut receiver],
    );
    let rtcp = world.take_media(&mut receiver).1;
    let mut reported: Vec<Ssrc> = sender_reports(&rtcp).iter().map(|info| info.ssrc).collect();
    reported.sort_by_key(|ssrc| ssrc.0);
    assert_eq!(
        reported,
        slots.iter().map(|slot| slot.ssrc).collect::<Vec<_>>()
    );
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
