//! Receivers that flood, lie or vanish (`threats-and-faults.md` I6, R3-R5).

use crate::common::Call;
use crate::common::call::play;
use crate::common::media::Encoder;
use crate::common::media::video_slot;
use fork_router_engine::core::Command;
use fork_router_engine::ids::{ProducerId, SlotId, Ssrc};
use fork_router_engine::wire::rtcp::{ReportBlock, write_pli, write_receiver_report};

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
    assert!((13..=15).contains(&last_sent), "{last_sent} s");
}

#[test]
fn who_was_silent_is_sent_media_again_when_he_says_something() {
    let mut call = Call::new(15, &[], 1, true);
    let mut encoder = Encoder::video(7);
    call.publish(&encoder.frame(true, 1));
    call.subscribers[0].peer.answers = false;
    call.pass(20_000);
    let tuple = call.subscribers[0].peer.tuple;
    call.world.take_sent(tuple);
    let is_media = |data: &Vec<u8>| data[0] >= 128 && !(192..=223).contains(&data[1]);
    call.publish(&encoder.frame(false, 1));
    assert!(!call.world.take_sent(tuple).iter().any(is_media));
    let mut buffer = [0; 100];
    let len = write_receiver_report(&mut buffer, Ssrc(1), &[]).unwrap();
    call.send_rtcp(0, &buffer[..len]);
    call.publish(&encoder.frame(false, 1));
    assert!(call.world.take_sent(tuple).iter().any(is_media));
}

/// A receiver whose slots bring more than anybody needs is held to his allowance; the other one is not.
#[test]
fn one_peer_cannot_be_sent_without_limit() {
    let mut call = Call::new(16, &[], 2, false);
    let greedy = call.subscribers[0].peer.transport;
    for id in 1..=40 {
        let slot = video_slot(id, greedy, false);
        call.world.command(Command::AddSlot(slot));
        call.world
            .command(Command::Assign(SlotId(id), Some(ProducerId(1))));
    }
    let mut encoder = Encoder::video(7);
    encoder.payload_len = 1_000;
    let frames = 400;
    for frame in 0..frames {
        call.publish(&encoder.frame(frame == 0, 2));
        call.pass(2);
        call.deliver_all();
    }
    let modest = call.slot_stats(1);
    assert_eq!(modest.packets_sent, 2 * frames);
    let stats = call.world.core.transport_stats(call.world.now, greedy);
    let sent = stats.expect("alive").bytes_sent;
    // 16 bytes a microsecond and the burst, of five times as much.
    assert!((13_000_000..14_200_000).contains(&sent), "{sent} bytes");
    assert!(call.world.dropped("peer-rate") > 10_000);
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
