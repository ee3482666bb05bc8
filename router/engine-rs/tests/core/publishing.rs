//! What a publisher sends: demultiplexing, keys, losses repaired upstream, reports, silence
//! (`threats-and-faults.md` R1, R2, R6, S1-S3, S5, S6, S8).

use crate::common::media::{Encoder, VP8, VP8_RTX, audio_producer, video_producer};
use crate::common::{Peer, World};
use fork_router_engine::core::command::{Feedback, ProducerConfig};
use fork_router_engine::core::event::SilentReason;
use fork_router_engine::core::stats::EncodingStats;
use fork_router_engine::core::{Command, Event};
use fork_router_engine::ids::{Mid, PayloadType, ProducerId, Ssrc};
use fork_router_engine::srtp::SrtpSession;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{
    NtpTime, RtcpMessage, SenderInfo, messages, write_bye, write_sender_report,
};

fn publisher(seed: u64, rids: &[&str]) -> (World, Peer) {
    let (mut world, mut peer) = (World::new(seed), Peer::new(1));
    world.connect(&mut peer);
    world.command(Command::AddProducer(video_producer(
        1,
        peer.transport,
        rids,
    )));
    world.take_events();
    (world, peer)
}

fn send(world: &mut World, peer: &mut Peer, plain: &[u8]) {
    let data = peer.protect(plain);
    world.receive(peer.tuple, &data);
}

fn encoding(world: &mut World, peer: &Peer, index: usize) -> EncodingStats {
    let stats = world
        .core
        .transport_stats(world.now, peer.transport)
        .unwrap();
    stats.producers[0].encodings[index].clone()
}

#[test]
fn media_before_keys_is_dropped_unread() {
    let (mut world, mut peer) = (World::new(1), Peer::new(1));
    world.introduce(&mut peer, true);
    world.answer_challenges(&mut [&mut peer]);
    world.command(Command::AddProducer(video_producer(1, peer.transport, &[])));
    world.take_events();
    let mut encoder = Encoder::video(7);
    for packet in encoder.frame(true, 5) {
        send(&mut world, &mut peer, &packet);
    }
    assert_eq!(world.dropped("rtp-before-keys"), 5);
    assert!(world.take_events().is_empty());
}

/// S1: nothing is learnt from media, and nothing unauthentic is media.
#[test]
fn media_from_strangers_neither_enters_nor_redirects() {
    let (mut world, mut peer) = publisher(2, &[]);
    let mut encoder = Encoder::video(7);
    for packet in encoder.frame(true, 3) {
        send(&mut world, &mut peer, &packet);
    }
    let stranger = crate::common::peer::tuple(6666);
    for packet in encoder.frame(false, 50) {
        world.receive(stranger, &packet);
        world.receive(peer.tuple, &packet);
    }
    assert_eq!(
        (world.dropped("unknown-tuple"), world.dropped("srtp-auth")),
        (50, 50)
    );
    world.advance_with(Micros::from_secs(3), &mut [&mut peer]);
    assert!(world.take_sent(stranger).is_empty());
    assert_eq!(encoding(&mut world, &peer, 0).packets_received, 3);
}

/// S2 and S3: any flipped bit is refused, and no number of bad packets ends the call.
#[test]
fn flipped_bits_are_refused() {
    let (mut world, mut peer) = publisher(3, &[]);
    let good = peer.protect(&Encoder::video(7).frame(true, 1)[0]);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        world.receive(peer.tuple, &bad);
    }
    assert!(world.take_events().is_empty());
    assert_eq!(encoding(&mut world, &peer, 0).packets_received, 0);
    world.receive(peer.tuple, &good);
    assert_eq!(encoding(&mut world, &peer, 0).packets_received, 1);
    world.receive(peer.tuple, &good);
    assert_eq!(world.dropped("srtp-replay"), 1);
}

#[test]
fn encodings_are_told_apart_by_mid_and_rid_then_by_ssrc() {
    let (mut world, mut peer) = publisher(4, &["q", "h", "f"]);
    for (index, rid) in ["q", "h", "f"].into_iter().enumerate() {
        let mut encoder = Encoder {
            rid: Some(rid),
            ..Encoder::video(100 + index as u32)
        };
        for packet in encoder.frame(true, 2) {
            send(&mut world, &mut peer, &packet);
        }
        (encoder.rid, encoder.mid) = (None, None);
        for packet in encoder.frame(false, 3) {
            send(&mut world, &mut peer, &packet);
        }
    }
    for index in 0..3u8 {
        let stats = encoding(&mut world, &peer, index as usize);
        assert_eq!(
            (stats.ssrc, stats.packets_received),
            (Some(Ssrc(100 + u32::from(index))), 5)
        );
        let active = Event::EncodingActive {
            producer: ProducerId(1),
            encoding: index,
            ssrc: Ssrc(100 + u32::from(index)),
        };
        assert!(world.sink.events.contains(&active));
    }
    assert_eq!(world.take_events().len(), 3);
}

#[test]
fn without_mid_a_unique_payload_type_serves_and_mid_corrects_it() {
    let (mut world, mut peer) = publisher(5, &[]);
    world.command(Command::AddProducer(audio_producer(2, peer.transport)));
    let mut encoder = Encoder {
        mid: None,
        ..Encoder::audio(8)
    };
    send(&mut world, &mut peer, &encoder.frame(false, 1)[0]);
    let stats = world
        .core
        .transport_stats(world.now, peer.transport)
        .unwrap();
    assert_eq!(stats.producers[1].encodings[0].packets_received, 1);
    // Another m-line with the same payload type: nothing is unique any more, but the latched SSRC stays.
    let twin = ProducerConfig {
        mid: Mid::from("2").ok(),
        ..audio_producer(3, peer.transport)
    };
    world.command(Command::AddProducer(twin));
    send(&mut world, &mut peer, &encoder.frame(false, 1)[0]);
    let mut other = Encoder {
        mid: None,
        ..Encoder::audio(9)
    };
    send(&mut world, &mut peer, &other.frame(false, 1)[0]);
    assert_eq!(world.dropped("unknown-stream"), 1);
    encoder.mid = Some("2");
    send(&mut world, &mut peer, &encoder.frame(false, 1)[0]);
    let stats = world
        .core
        .transport_stats(world.now, peer.transport)
        .unwrap();
    assert_eq!(stats.producers[1].encodings[0].packets_received, 2);
    assert_eq!(stats.producers[2].encodings[0].packets_received, 1);
    // Told by MID once, it does not move to another one.
    encoder.mid = Some("0");
    send(&mut world, &mut peer, &encoder.frame(false, 1)[0]);
    assert_eq!(world.dropped("unknown-stream"), 2);
}

#[test]
fn foreign_payload_types_are_refused() {
    let (mut world, mut peer) = publisher(6, &[]);
    let mut encoder = Encoder {
        payload_type: PayloadType(120),
        ..Encoder::video(7)
    };
    send(&mut world, &mut peer, &encoder.frame(true, 1)[0]);
    assert_eq!(world.dropped("unknown-payload-type"), 1);
}

/// R1 and R2: the same SSRC, MID and payload type from two peers are two streams.
#[test]
fn peers_cannot_name_each_others_streams() {
    let (mut world, mut one) = publisher(7, &[]);
    let mut two = Peer::new(2);
    world.connect(&mut two);
    world.command(Command::AddProducer(video_producer(2, two.transport, &[])));
    let (mut of_one, mut of_two) = (Encoder::video(7), Encoder::video(7));
    for _ in 0..10 {
        send(&mut world, &mut one, &of_one.frame(true, 1)[0]);
        send(&mut world, &mut two, &of_two.frame(true, 2)[0]);
    }
    let mut bye = [0; 100];
    let len = write_bye(&mut bye, &[Ssrc(7)]).unwrap();
    world.take_events();
    let data = two.protect_rtcp(&bye[..len]);
    world.receive(two.tuple, &data);
    let gone = Event::ProducerSilent {
        producer: ProducerId(2),
        reason: SilentReason::Bye,
    };
    assert_eq!(world.take_events(), [gone], "only its own");
    assert_eq!(encoding(&mut world, &one, 0).packets_received, 10);
}

/// S8: each SSRC costs the library a context.
#[test]
fn ssrcs_are_capped() {
    let (mut world, mut peer) = publisher(8, &[]);
    for ssrc in 0..200 {
        let mut encoder = Encoder {
            mid: Some("9"),
            ..Encoder::video(1000 + ssrc)
        };
        send(&mut world, &mut peer, &encoder.frame(true, 1)[0]);
    }
    assert_eq!(world.dropped("unknown-stream"), 64);
    assert_eq!(world.dropped("ssrc-limit"), 136);
}

/// Losses of 5 %, reordering and duplicates over a sequence wrap: everything is repaired by RTX.
#[test]
fn losses_are_asked_for_and_repaired() {
    let (mut world, mut peer) = publisher(9, &[]);
    let mut encoder = Encoder {
        seq: 65_000,
        ..Encoder::video(7)
    };
    let (rtx_ssrc, mut rtx_seq) = (77, 500u16);
    let mut sent = 0;
    for frame in 0..600u32 {
        let mut packets = encoder.frame(frame % 100 == 0, 3);
        encoder.pass(3000);
        sent += packets.len() as u64;
        if world.random(10) == 0 {
            packets.swap(0, 1);
        }
        for packet in packets {
            let data = peer.protect(&packet);
            let dice = world.random(100);
            if dice >= 5 || frame == 0 {
                world.receive(peer.tuple, &data);
            }
            if dice >= 95 {
                world.receive(peer.tuple, &data);
            }
        }
        world.advance_with(Micros::from_millis(33), &mut [&mut peer]);
        for rtcp in world.take_media(&mut peer).1 {
            for message in messages(&rtcp) {
                let RtcpMessage::Nack(nack) = message.unwrap() else {
                    continue;
                };
                assert_eq!(nack.media, Ssrc(7));
                for lost in nack.lost() {
                    let packet = encoder
                        .rtx(rtx_ssrc, rtx_seq, lost)
                        .expect("asked for what was sent");
                    rtx_seq = rtx_seq.wrapping_add(1);
                    send(&mut world, &mut peer, &packet);
                }
            }
        }
    }
    let stats = encoding(&mut world, &peer, 0);
    assert!(stats.packets_lost > 50, "{} lost", stats.packets_lost);
    assert!(
        stats.packets_lost - stats.packets_repaired as i64 <= 1,
        "{stats:?}"
    );
    let accounted = stats.packets_received + stats.packets_repaired;
    assert!(accounted + 1 >= sent, "{sent} sent, {stats:?}");
    assert_eq!(stats.rtx_ssrc, Some(Ssrc(rtx_ssrc)));
}

#[test]
fn a_probe_on_the_rtx_stream_is_no_media() {
    let (mut world, mut peer) = publisher(10, &[]);
    let mut encoder = Encoder::video(7);
    send(&mut world, &mut peer, &encoder.frame(true, 1)[0]);
    let mut probe = vec![0xA0, VP8_RTX.0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 99];
    probe.resize(12 + 255, 0);
    *probe.last_mut().unwrap() = 255;
    encoder.mid = None;
    send(&mut world, &mut peer, &probe);
    let stats = encoding(&mut world, &peer, 0);
    assert_eq!((stats.packets_received, stats.packets_repaired), (1, 0));
}

#[test]
fn the_publisher_gets_reports_that_follow_its_own() {
    let (mut world, mut peer) = publisher(11, &[]);
    let mut encoder = Encoder::video(7);
    for _ in 0..10 {
        send(&mut world, &mut peer, &encoder.frame(true, 1)[0]);
    }
    let ntp = NtpTime(0x0102_0304_0506_0708);
    let info = SenderInfo {
        ssrc: Ssrc(7),
        ntp,
        rtp_timestamp: 5,
        packet_count: 10,
        octet_count: 3000,
    };
    let mut buffer = [0; 100];
    let len = write_sender_report(&mut buffer, &info, &[]).unwrap();
    let data = peer.protect_rtcp(&buffer[..len]);
    world.receive(peer.tuple, &data);
    world.advance_with(Micros::from_millis(1100), &mut [&mut peer]);
    let rtcp = world.take_media(&mut peer).1;
    let all: Vec<RtcpMessage> = rtcp
        .iter()
        .flat_map(|data| messages(data))
        .map(Result::unwrap)
        .collect();
    let report = all.iter().find_map(|message| match message {
        RtcpMessage::ReceiverReport(report) => report.blocks.iter().next(),
        _ => None,
    });
    let report = report.expect("a receiver report");
    assert_eq!((report.ssrc, report.cumulative_lost), (Ssrc(7), 0));
    assert_eq!(report.highest_seq as u16, 1009);
    assert_eq!(report.last_sr, 0x0304_0506);
    assert_eq!(report.delay_since_last_sr, 65_536, "one second");
    let named = all.iter().any(|message| match message {
        RtcpMessage::Sdes(sdes) => sdes.cnames().any(|(_, cname)| cname == b"cname1"),
        _ => false,
    });
    assert!(named, "CNAME");
}

/// R3: any number of requests is two a second, until the key frame comes.
#[test]
fn key_frame_requests_are_merged() {
    let (mut world, mut peer) = publisher(12, &[]);
    let mut encoder = Encoder::video(7);
    let mut plis = 0;
    for _ in 0..200 {
        send(&mut world, &mut peer, &encoder.frame(false, 1)[0]);
        for _ in 0..50 {
            world.command(Command::RequestKeyFrame(ProducerId(1)));
        }
        world.advance_with(Micros::from_millis(10), &mut [&mut peer]);
        for rtcp in world.take_media(&mut peer).1 {
            plis += messages(&rtcp)
                .filter(|message| matches!(message, Ok(RtcpMessage::Pli(_))))
                .count();
        }
    }
    assert!((3..=5).contains(&plis), "{plis} in two seconds");
    assert_eq!(world.core.counters().pli_sent, plis as u64);
}

#[test]
fn fir_is_used_where_pli_was_not_agreed() {
    let (mut world, mut peer) = (World::new(13), Peer::new(1));
    world.connect(&mut peer);
    let mut config = video_producer(1, peer.transport, &[]);
    config.codecs[0].feedback = vec![Feedback::Fir];
    world.command(Command::AddProducer(config));
    send(&mut world, &mut peer, &Encoder::video(7).frame(false, 1)[0]);
    world.command(Command::RequestKeyFrame(ProducerId(1)));
    world.advance_with(Micros::from_millis(10), &mut [&mut peer]);
    let rtcp = world.take_media(&mut peer).1;
    let mut all = rtcp.iter().flat_map(|data| messages(data));
    let media = all.find_map(|message| match message {
        Ok(RtcpMessage::Fir(fir)) => fir.entries().next().map(|entry| entry.media),
        _ => None,
    });
    assert_eq!(media, Some(Ssrc(7)));
}

#[test]
fn silence_is_reported_once_and_ends_with_the_next_packet() {
    let (mut world, mut peer) = publisher(14, &[]);
    let mut encoder = Encoder::video(7);
    send(&mut world, &mut peer, &encoder.frame(true, 1)[0]);
    world.take_events();
    world.advance_with(Micros::from_millis(4900), &mut [&mut peer]);
    assert!(world.take_events().is_empty());
    world.advance_with(Micros::from_secs(20), &mut [&mut peer]);
    let silent = Event::ProducerSilent {
        producer: ProducerId(1),
        reason: SilentReason::Timeout,
    };
    assert_eq!(world.take_events(), [silent]);
    send(&mut world, &mut peer, &encoder.frame(true, 1)[0]);
    assert!(matches!(
        world.take_events()[..],
        [Event::EncodingActive { encoding: 0, .. }]
    ));
}

#[test]
fn contributors_are_reported_when_they_change() {
    let (mut world, mut peer) = publisher(15, &[]);
    let mut encoder = Encoder {
        csrcs: vec![11, 12],
        ..Encoder::video(7)
    };
    for _ in 0..20 {
        send(&mut world, &mut peer, &encoder.frame(false, 1)[0]);
        world.advance_with(Micros::from_millis(20), &mut [&mut peer]);
    }
    let sources = vec![(11, None), (12, None)];
    assert_eq!(
        world.take_events()[1..],
        [Event::Contributors {
            producer: ProducerId(1),
            sources
        }]
    );
}

#[test]
fn a_receive_limit_reaches_the_publisher_within_an_interval() {
    let (mut world, mut peer) = publisher(16, &[]);
    send(&mut world, &mut peer, &Encoder::video(7).frame(true, 1)[0]);
    let remb = |world: &mut World, peer: &mut Peer| {
        world.advance_with(Micros::from_millis(50), &mut [peer]);
        let rtcp = world.take_media(peer).1;
        let all = rtcp.iter().flat_map(|data| messages(data));
        all.filter_map(|message| match message.unwrap() {
            RtcpMessage::Remb(remb) => Some(remb.bitrate_bps),
            _ => None,
        })
        .last()
    };
    world.command(Command::SetReceiveLimit(peer.transport, Some(300_000)));
    let capped = remb(&mut world, &mut peer).expect("REMB");
    assert!((299_000..=300_000).contains(&capped), "{capped}");
    world.command(Command::SetReceiveLimit(peer.transport, None));
    assert!(remb(&mut world, &mut peer).expect("REMB") > 1_000_000_000);
}

/// Every transport-wide number is reported within 100 ms, over all streams, over the wrap, losses included.
#[test]
fn arrivals_are_fed_back_transport_wide() {
    let (mut world, mut peer) = publisher(18, &["q", "h"]);
    let layer = |ssrc, rid| Encoder {
        rid: Some(rid),
        ..Encoder::video(ssrc)
    };
    let mut encoders = [layer(100, "q"), layer(101, "h")];
    let mut number = 65_500u16;
    let mut expected = Vec::new();
    let mut reported = Vec::new();
    let mut counts = Vec::new();
    for step in 0..200u64 {
        let encoder = &mut encoders[(step % 2) as usize];
        encoder.transport_cc = Some(number);
        let packet = encoder.frame(step < 2, 1).remove(0);
        let lost = step % 17 == 3;
        if !lost {
            send(&mut world, &mut peer, &packet);
        }
        expected.push((number, (!lost).then_some(step * 5_000)));
        number = number.wrapping_add(1);
        world.advance_with(Micros::from_millis(5), &mut [&mut peer]);
        for rtcp in world.take_media(&mut peer).1 {
            for message in messages(&rtcp) {
                let RtcpMessage::TransportCc(feedback) = message.unwrap() else {
                    continue;
                };
                counts.push(feedback.feedback_count);
                assert!([100, 101].contains(&feedback.media.0));
                reported.extend(feedback.statuses());
                let newest = feedback.statuses().last().map(|(seq, _)| seq);
                let age = newest.map_or(0, |seq| number.wrapping_sub(seq));
                assert!(age <= 21, "told {age} packets late");
            }
        }
    }
    assert!(
        counts
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1))
    );
    assert!(
        (8..=25).contains(&counts.len()),
        "{} messages a second",
        counts.len()
    );
    let origin = reported[0].1.unwrap() - expected[0].1.unwrap() as i64;
    for ((seq, at), (expected_seq, expected_at)) in reported.iter().zip(&expected) {
        assert_eq!(seq, expected_seq);
        let error = at
            .zip(*expected_at)
            .map(|(at, expected)| (at - origin - expected as i64).abs());
        assert_eq!(at.is_some(), expected_at.is_some(), "{seq}");
        assert!(error.unwrap_or(0) <= 250, "{seq}: {error:?} us off");
    }
    assert!(reported.len() + 25 >= expected.len());
}

/// A worker that was away for a while finds packets together that came one after the other: nobody is told that they came
/// at once, which reads as a link of infinite rate, or as a queue.
#[test]
fn feedback_and_jitter_are_of_the_arrival_not_of_our_reading() {
    let (mut world, mut peer) = publisher(19, &[]);
    let mut encoder = Encoder::video(7);
    world.advance(Micros::from_secs(1));
    let waited = [80, 60, 40, 20, 0].map(Micros::from_millis);
    let mut datagrams = Vec::new();
    for number in 0..waited.len() as u16 {
        encoder.transport_cc = Some(number);
        let packet = encoder.frame(number == 0, 1).remove(0);
        datagrams.push((peer.tuple, peer.protect(&packet)));
        encoder.pass(1_800);
    }
    world.receive_waiting(&datagrams, &waited);
    world.advance_with(Micros::from_millis(100), &mut [&mut peer]);
    let mut arrivals = Vec::new();
    for rtcp in world.take_media(&mut peer).1 {
        for message in messages(&rtcp) {
            if let RtcpMessage::TransportCc(feedback) = message.unwrap() {
                arrivals.extend(feedback.statuses().filter_map(|(_, at)| at));
            }
        }
    }
    let gaps: Vec<i64> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 4);
    assert!(
        gaps.iter().all(|gap| (gap - 20_000).abs() <= 250),
        "{gaps:?}"
    );
    assert!(encoding(&mut world, &peer, 0).jitter_s < 0.001);
}

/// S4, R13, R14: every length and first byte, before and after keys, also encrypted with the right ones.
#[test]
fn no_datagram_panics() {
    let (mut world, mut peer) = (World::new(17), Peer::new(1));
    world.introduce(&mut peer, true);
    world.answer_challenges(&mut [&mut peer]);
    for round in 0..2 {
        if round == 1 {
            let session = peer.srtp.mirrored();
            world.command(Command::SetSrtp(peer.transport, Box::new(session)));
            world.command(Command::AddProducer(video_producer(
                1,
                peer.transport,
                &["a", "b"],
            )));
        }
        for len in 0..=1501usize {
            for first in 0..=255u8 {
                let fill = world.random(256) as u8;
                let mut data = vec![fill; len];
                if let Some(byte) = data.first_mut() {
                    *byte = first;
                }
                if len > 1 {
                    data[1] = world.random(256) as u8;
                }
                world.receive(peer.tuple, &data);
            }
            world.sink.sent.clear();
            world.sink.events.clear();
        }
    }
    for len in 12..=1400usize {
        for _ in 0..8 {
            let mut plain: Vec<u8> = (0..len).map(|_| world.random(256) as u8).collect();
            plain[0] = 0x80 | plain[0] & 0x3F;
            let rtcp = world.random(2) == 0;
            plain[1] = if rtcp {
                200 + world.random(8) as u8
            } else {
                VP8.0 | plain[1] & 0x80
            };
            let ssrc_at = if rtcp { 4 } else { 8 };
            plain[ssrc_at..ssrc_at + 4].copy_from_slice(&7u32.to_be_bytes());
            if rtcp {
                let data = peer.protect_rtcp(&plain);
                world.receive(peer.tuple, &data);
                continue;
            }
            // Each packet has its own index; the toy session insists.
            plain[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            let mut fresh = Peer::new(1).srtp;
            std::mem::swap(&mut fresh, &mut peer.srtp);
            plain.resize(len + 64, 0);
            if let Ok(len) = peer.srtp.protect_rtp(&mut plain, len) {
                plain.truncate(len);
                world.receive(peer.tuple, &plain);
            }
            std::mem::swap(&mut fresh, &mut peer.srtp);
        }
        world.sink.sent.clear();
        world.sink.events.clear();
    }
}
