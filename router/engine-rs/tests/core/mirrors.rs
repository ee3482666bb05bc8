//! One room on two workers: what is published on one is seen and heard on both (`core/mirror.rs`).

use crate::common::House;
use crate::common::call::media_payload;
use crate::common::house::group;
use crate::common::media::Encoder;
use crate::common::talk::{ROOM, SPEECH, speaker_of};
use fork_router_engine::core::command::Command;
use fork_router_engine::core::event::Event;
use fork_router_engine::ids::Ssrc;
use fork_router_engine::wire::rtcp::{
    NtpTime, RtcpMessage, SenderInfo, messages, write_bye, write_sender_report,
};
use fork_router_engine::wire::rtp::RtpHeader;

/// A publisher on worker 0, two receivers on each worker; all of them are shown the first frames.
fn room(seed: u64) -> House {
    let mut house = House::new(seed);
    for worker in [0, 0, 0, 1, 1] {
        house.join(worker);
    }
    house.publish_video(0, &[]);
    for guest in 1..5 {
        house.assign(guest, Some(0));
    }
    house.film(0, true);
    house.pass(33);
    house.serve(0);
    house.film(0, true);
    house.pass(600);
    house.serve(0);
    house
}

/// Payloads that a guest got, in order; all of one size.
fn payloads(house: &House, guest: usize) -> Vec<Vec<u8>> {
    let packets = house.guests[guest].view.packets.values();
    packets.map(|packet| media_payload(packet)).collect()
}

/// Without what a slot renumbers: the picture id.
fn body(mut payload: Vec<u8>) -> Vec<u8> {
    payload[2..4].fill(0);
    payload
}

#[test]
fn receivers_on_both_workers_get_every_packet() {
    let mut house = room(1);
    let before = payloads(&house, 1).len();
    assert!(before > 0);
    for _ in 0..100 {
        house.film(0, false);
        house.pass(33);
    }
    let expected: Vec<_> = payloads(&house, 1)[before..]
        .iter()
        .cloned()
        .map(body)
        .collect();
    assert_eq!(expected.len(), 300);
    for guest in 2..5 {
        assert_eq!(
            house.guests[guest].view.missing(),
            [0u16; 0],
            "guest {guest}"
        );
        let got = payloads(&house, guest);
        let got: Vec<_> = got[got.len() - 300..].iter().cloned().map(body).collect();
        assert!(got == expected, "guest {guest}");
    }
    assert_eq!(house.mirrors(), [0, 1]);
    let counters = house.workers[1].core.counters();
    assert_eq!(counters.mirror_packets_received, house.handed as u64);
    assert_eq!(counters.producers, 0, "a mirror is no producer of ours");
    assert_eq!(counters.rtp_packets_received, 0);
}

#[test]
fn a_mirror_raises_no_events_and_sends_nothing_upstream() {
    let mut house = room(2);
    for world in &mut house.workers {
        world.take_events();
    }
    house.film(0, false);
    house.pass(20_000);
    assert_eq!(house.workers[1].take_events(), []);
    let silent = |event: &Event| matches!(event, Event::ProducerSilent { .. });
    assert!(house.workers[0].take_events().iter().any(silent));
}

#[test]
fn losses_are_repaired_where_they_are_reported() {
    let mut house = room(3);
    let mut dice = 0;
    for _ in 0..60 {
        house.film(0, false);
        house.pass_with(33, |guest| {
            dice += 1;
            guest != 0 && dice % 11 == 0
        });
        house.ask_for_losses();
    }
    house.film(0, false);
    house.pass(33);
    house.ask_for_losses();
    house.pass(33);
    for guest in 1..5 {
        let view = &house.guests[guest].view;
        assert_eq!(view.missing(), [0u16; 0], "guest {guest}");
        assert!(view.by_rtx > 5, "guest {guest}");
    }
    assert_eq!(house.serve(0), (0, 0), "the publisher is not bothered");
}

#[test]
fn what_the_publisher_lost_is_asked_for_once_and_repaired_on_both() {
    let mut house = room(4);
    for _ in 0..3 {
        house.film(0, false);
        house.pass(33);
    }
    let encoder = &mut house.guests[0].encoder;
    let frame = encoder.frame(false, 5);
    encoder.pass(3_000);
    house.send(0, &[frame[0].clone(), frame[3].clone(), frame[4].clone()]);
    house.pass(33);
    let (plis, nacks) = house.serve(0);
    assert_eq!((plis, nacks), (0, 1));
    house.pass(33);
    for guest in 1..5 {
        let view = &house.guests[guest].view;
        assert_eq!(view.missing(), [0u16; 0], "guest {guest}");
    }
}

#[test]
fn a_request_for_a_key_frame_reaches_the_publisher_once() {
    let mut house = room(5);
    house.ask_for_key_frame(3);
    house.pass(50);
    assert_eq!(house.serve(0).0, 1);
    house.film(0, true);
    house.pass(1_000);
    for guest in 1..5 {
        house.ask_for_key_frame(guest);
    }
    house.pass(50);
    assert_eq!(house.serve(0).0, 1, "merged over workers");
    house.film(0, true);
    house.pass(3_000);
    assert_eq!(house.serve(0).0, 0, "the key frame serves both");
}

#[test]
fn a_slot_changes_between_publishers_of_both_workers_without_a_break() {
    let mut house = House::new(6);
    for worker in [0, 1, 0, 1] {
        house.join(worker);
    }
    house.publish_video(0, &[]);
    house.publish_video(1, &[]);
    for step in 0..24u32 {
        for guest in [2, 3] {
            house.assign(guest, Some((step % 2) as usize));
        }
        for _ in 0..20 {
            for publisher in [0, 1] {
                let key = house.serve(publisher).0 > 0;
                house.film(publisher, key);
            }
            house.pass(33);
        }
    }
    for guest in [2, 3] {
        let view = &house.guests[guest].view;
        assert_eq!(view.missing(), [0u16; 0], "guest {guest}");
        let headers: Vec<_> = view
            .packets
            .values()
            .map(|packet| RtpHeader::parse(packet).unwrap())
            .collect();
        let steps = headers.windows(2).map(|two| {
            let ticks = two[1].timestamp.wrapping_sub(two[0].timestamp) as i32;
            assert!((0..90_000).contains(&ticks), "{ticks} ticks, guest {guest}");
            usize::from(two[0].csrcs() != two[1].csrcs())
        });
        assert_eq!(steps.sum::<usize>(), 23, "guest {guest}");
    }
}

#[test]
fn simulcast_is_chosen_per_receiver_of_a_mirror() {
    let mut house = House::new(7);
    for worker in [0, 1, 1] {
        house.join(worker);
    }
    house.publish_video(0, &["q", "f"]);
    house.assign(1, Some(0));
    house.assign(2, Some(0));
    let layer = |ssrc, rid, size, payload_len| Encoder {
        rid: Some(rid),
        size,
        payload_len,
        ..Encoder::video(ssrc)
    };
    let mut layers = [
        layer(50, "q", (320, 180), 150),
        layer(51, "f", (1280, 720), 900),
    ];
    for _ in 0..60 {
        let key = house.serve(0).0 > 0;
        for encoder in &mut layers {
            let frame = encoder.frame(key, 2);
            encoder.pass(3_000);
            house.send(0, &frame);
        }
        house.pass(33);
    }
    let sizes = |house: &House, guest: usize| payloads(house, guest).pop().unwrap().len();
    assert_eq!((sizes(&house, 1), sizes(&house, 2)), (900, 900));
}

#[test]
fn a_muted_track_is_muted_on_both() {
    let mut house = room(8);
    let producer = house.guests[0].producer;
    house.command(0, Command::PauseProducer(producer, true));
    // A mirror that is made meanwhile learns of it.
    let late = house.join(1);
    house.assign(3, None);
    house.assign(4, None);
    house.pass(1_500);
    assert_eq!(house.mirrors(), [0, 0]);
    house.assign(late, Some(0));
    let before = house.guests[late].view.packets.len();
    for _ in 0..10 {
        house.film(0, true);
        house.pass(33);
    }
    assert_eq!(house.guests[late].view.packets.len(), before);
    house.command(0, Command::PauseProducer(producer, false));
    for _ in 0..10 {
        house.film(0, true);
        house.pass(33);
    }
    assert_eq!(house.guests[late].view.missing(), [0u16; 0]);
    assert!(house.guests[late].view.packets.len() >= before + 27);
}

/// NTP time and RTP timestamp of a guest's last sender report.
fn clock_of(house: &House, guest: usize) -> (f64, u32) {
    let all = house.guests[guest].rtcp.iter();
    let infos = all
        .flat_map(|rtcp| messages(rtcp))
        .filter_map(|message| match message.unwrap() {
            RtcpMessage::SenderReport(report) => Some(report.info),
            _ => None,
        });
    let info = infos.last().expect("a report");
    (info.ntp.0 as f64 / 2f64.powi(32), info.rtp_timestamp)
}

#[test]
fn the_publishers_clock_reaches_receivers_of_both_workers() {
    let mut house = room(9);
    for second in 0..4u32 {
        let encoder = &house.guests[0].encoder;
        // Taken 500 ms ago: what no receiver could know from arrivals alone.
        let info = SenderInfo {
            ssrc: Ssrc(encoder.ssrc),
            ntp: NtpTime((u64::from(second) + 7_000) << 32),
            rtp_timestamp: encoder.timestamp.wrapping_sub(45_000),
            packet_count: 0,
            octet_count: 0,
        };
        let mut buffer = [0; 100];
        let len = write_sender_report(&mut buffer, &info, &[]).unwrap();
        house.send_rtcp(0, &buffer[..len]);
        for _ in 0..30 {
            house.film(0, false);
            house.pass(33);
        }
        house.pass(10);
    }
    assert_same_capture(&house);
    // A mirror that is made later knows the clock from the beginning.
    for guest in [3, 4] {
        house.assign(guest, None);
    }
    house.pass(1_500);
    assert_eq!(house.mirrors(), [0, 0]);
    house.assign(3, Some(0));
    for _ in 0..60 {
        house.film(0, true);
        house.pass(33);
    }
    assert_same_capture(&house);
}

/// When the newest packet was captured, as receivers of both workers work it out.
fn assert_same_capture(house: &House) {
    let captured = [1, 3].map(|guest| {
        let (ntp, timestamp) = clock_of(house, guest);
        let packet = house.guests[guest].view.packets.values().last().unwrap();
        let newest = RtpHeader::parse(packet).unwrap().timestamp;
        ntp + f64::from(newest.wrapping_sub(timestamp) as i32) / 90_000.0
    });
    assert!((captured[0] - captured[1]).abs() < 0.001, "{captured:?}");
}

#[test]
fn the_loudest_are_heard_on_both_workers() {
    let mut house = House::new(10);
    for worker in 0..2 {
        house.command(worker, Command::CreateSpeakers(group(worker), 3));
    }
    for worker in [0, 1, 0, 1] {
        let guest = house.join_audio(worker);
        house.publish_audio(guest);
        house.talk(guest);
    }
    assert_eq!(house.mirrors(), [2, 2]);
    for turn in 0..4 {
        for guest in 0..4 {
            house.guests[guest].view.packets.clear();
        }
        for _ in 0..60 {
            for guest in 0..4 {
                let encoder = &mut house.guests[guest].encoder;
                encoder.level = Some(if guest == turn { SPEECH } else { ROOM });
                let packet = encoder.frame(false, 1);
                encoder.pass(960);
                house.send(guest, &packet);
            }
            house.pass(20);
        }
        let heard: Vec<u64> = (0..4)
            .map(|guest| {
                let packets = house.guests[guest].view.packets.values();
                speaker_of(packets.last().expect("somebody is heard")) & 0xFFFF
            })
            .collect();
        let other = |guest: usize| {
            if guest == turn {
                None
            } else {
                Some(turn as u64 + 1)
            }
        };
        for (guest, heard) in heard.iter().enumerate() {
            assert!(
                other(guest).is_none_or(|speaker| speaker == *heard),
                "guest {guest} hears {heard} while {turn} speaks"
            );
            assert_ne!(*heard, guest as u64 + 1, "nobody hears himself");
        }
    }
    for worker in 0..2 {
        house.command(worker, Command::RemoveSpeakers(group(worker)));
    }
    house.pass(1_500);
    assert_eq!(house.mirrors(), [0, 0]);
}

#[test]
fn a_goodbye_ends_the_place_on_every_stage() {
    let mut house = House::new(11);
    for worker in 0..2 {
        house.command(worker, Command::CreateSpeakers(group(worker), 1));
    }
    for worker in [0, 1] {
        let guest = house.join_audio(worker);
        house.publish_audio(guest);
        house.talk(guest);
    }
    let encoder = &mut house.guests[0].encoder;
    encoder.level = Some(SPEECH);
    let (packet, ssrc) = (encoder.frame(false, 1), Ssrc(encoder.ssrc));
    house.send(0, &packet);
    house.pass(20);
    assert_eq!(house.guests[1].view.packets.len(), 1);
    let mut buffer = [0; 100];
    let len = write_bye(&mut buffer, &[ssrc]).unwrap();
    house.send_rtcp(0, &buffer[..len]);
    house.pass(300);
    let transport = house.guests[1].peer.transport;
    let world = &mut house.workers[1];
    let stats = world.core.transport_stats(world.now, transport).unwrap();
    assert_eq!(stats.slots[0].producer, None);
}

#[test]
fn an_overflow_costs_packets_and_not_the_stream() {
    let mut house = room(12);
    house.overflow = 10;
    for _ in 0..40 {
        house.film(0, false);
        house.pass(33);
    }
    let lost = house.guests[3].view.missing().len();
    assert!((10..=14).contains(&lost), "{lost}");
    assert_eq!(house.guests[1].view.missing(), [0u16; 0]);
    house.overflow = 0;
    let before = house.guests[3].view.packets.len();
    for _ in 0..10 {
        house.film(0, false);
        house.pass(33);
    }
    assert_eq!(house.guests[3].view.packets.len(), before + 30);
}

#[test]
fn repairs_of_what_was_shown_last_are_still_there() {
    let mut house = room(13);
    house.film(0, false);
    house.pass_with(33, |guest| guest == 3);
    let missed = house.guests[3].view.packets.len();
    house.film(0, false);
    house.pass(5);
    for guest in [3, 4] {
        house.assign(guest, None);
    }
    house.pass(200);
    house.ask_for_losses();
    house.pass(5);
    assert_eq!(house.guests[3].view.missing(), [0u16; 0]);
    assert_eq!(house.guests[3].view.packets.len(), missed + 6);
    house.pass(1_500);
    assert_eq!(house.mirrors(), [0, 0]);
    let handed = house.handed;
    house.film(0, false);
    assert_eq!(house.handed, handed, "nobody watches");
}

#[test]
fn a_publisher_that_is_gone_meanwhile_leaves_no_mirror() {
    let mut house = House::new(14);
    for worker in [0, 1] {
        house.join(worker);
    }
    house.publish_video(0, &[]);
    house.workers[0].command(Command::RemoveProducer(house.guests[0].producer));
    house.assign(1, Some(0));
    assert_eq!(house.mirrors(), [0, 0]);
}

/// Everybody leaves, in every order of a seed, some of them in the middle of a change; nothing is left.
#[test]
fn closing_in_any_order_leaves_nothing() {
    for seed in 20..60 {
        let mut house = House::new(seed);
        for guest in 0..6 {
            house.join(guest % 2);
            house.publish_video(guest, &[]);
        }
        let mut staying: Vec<usize> = (0..6).collect();
        while !staying.is_empty() {
            for _ in 0..house.workers[0].random(8) {
                let dice = |house: &mut House| house.workers[0].random(staying.len() as u64);
                let (one, two) = (dice(&mut house), dice(&mut house));
                let (guest, shown) = (staying[one as usize], staying[two as usize]);
                house.assign(guest, (one != two).then_some(shown));
                house.film(shown, true);
                let ms = house.workers[0].random(700);
                house.pass(ms);
            }
            let left = house.workers[0].random(staying.len() as u64);
            let left = staying.swap_remove(left as usize);
            if house.workers[0].random(2) == 0 {
                let (worker, producer) = (left % 2, house.guests[left].producer);
                house.command(worker, Command::RemoveProducer(producer));
            }
            house.leave(left);
        }
        // Those that linger end by themselves; whoever is gone at home is gone at once.
        assert_eq!(house.mirrors(), [0, 0], "seed {seed}");
        for world in &house.workers {
            let counters = world.core.counters();
            let left = (counters.transports, counters.producers, counters.slots);
            assert_eq!(left, (0, 0, 0), "seed {seed}");
        }
    }
}
