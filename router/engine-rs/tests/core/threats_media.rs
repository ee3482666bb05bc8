//! Hostile media: forged, flooded, malformed, naming what is not its own; and the numbers that encryption rests on
//! (`threats-and-faults.md` S1-S3, S7, D4, R1, R9, R11, R13). Each defence is shown to be needed in `docs/threats.md`.

use crate::common::media::{
    Encoder, LEVEL_ID, MID_ID, OPUS, Receiver, SLOT_MID_ID, SLOT_OPUS, audio_producer, audio_slot,
    video_producer, video_slot,
};
use crate::common::peer::tuple;
use crate::common::{Peer, World};
use fork_router_engine::core::command::{Extension, ExtensionIds, ProducerConfig, SlotConfig};
use fork_router_engine::core::sink::MAX_DATAGRAM;
use fork_router_engine::core::stats::EncodingStats;
use fork_router_engine::core::{Command, Event};
use fork_router_engine::ids::{ProducerId, SlotId, Ssrc};
use fork_router_engine::srtp::SrtpSession;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::ext::elements;
use fork_router_engine::wire::rtcp::{
    NtpTime, SenderInfo, write_bye, write_nack, write_pli, write_sender_report,
};
use fork_router_engine::wire::rtp::RtpHeader;

/// A publisher whose only track a receiver is shown.
struct Pair {
    world: World,
    publisher: Peer,
    receiver: Peer,
}

impl Pair {
    fn new(seed: u64, producer: ProducerConfig, slot: SlotConfig) -> Self {
        let (mut world, mut publisher, mut receiver) =
            (World::new(seed), Peer::new(1), Peer::new(2));
        world.connect(&mut publisher);
        world.connect(&mut receiver);
        world.command(Command::AddProducer(producer));
        world.command(Command::AddSlot(slot));
        world.command(Command::Assign(SlotId(2), Some(ProducerId(1))));
        world.take_events();
        Self {
            world,
            publisher,
            receiver,
        }
    }

    fn audio(seed: u64) -> Self {
        let (one, two) = (Peer::new(1).transport, Peer::new(2).transport);
        Self::new(seed, audio_producer(1, one), audio_slot(2, two))
    }

    fn video(seed: u64, rtx: bool) -> Self {
        let (one, two) = (Peer::new(1).transport, Peer::new(2).transport);
        Self::new(seed, video_producer(1, one, &[]), video_slot(2, two, rtx))
    }

    fn publish(&mut self, plain: &[u8]) {
        let data = self.publisher.protect(plain);
        self.world.receive(self.publisher.tuple, &data);
    }

    /// What the receiver was sent, decrypted.
    fn received(&mut self) -> Vec<Vec<u8>> {
        self.world.take_media(&mut self.receiver).0
    }

    fn encoding(&mut self) -> EncodingStats {
        let stats = self
            .world
            .core
            .transport_stats(self.world.now, self.publisher.transport);
        stats.unwrap().producers[0].encodings[0].clone()
    }
}

fn rtp(seq: u16, first: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![first, OPUS.0];
    packet.extend(seq.to_be_bytes());
    packet.extend((u32::from(seq) * 960).to_be_bytes());
    packet.extend(7u32.to_be_bytes());
    packet.extend(rest);
    packet
}

/// S1 and D4: in no state of the handshake does unauthenticated media enter, or plain media leave.
#[test]
fn media_without_keys_neither_enters_nor_leaves() {
    let (mut world, mut publisher, mut receiver) = (World::new(1), Peer::new(1), Peer::new(2));
    world.connect(&mut publisher);
    world.command(Command::AddProducer(audio_producer(1, publisher.transport)));
    world.introduce(&mut receiver, true);
    world.command(Command::AddSlot(audio_slot(2, receiver.transport)));
    world.command(Command::Assign(SlotId(2), Some(ProducerId(1))));
    let (mut encoder, attacker) = (Encoder::audio(7), tuple(6666));
    let mut plain = Encoder::audio(7);
    plain.seq = 40_000;
    let mut sent = Vec::new();
    for step in 0..300 {
        match step {
            100 => world.answer_challenges(&mut [&mut receiver]),
            200 => {
                let session = receiver.srtp.mirrored();
                world.command(Command::SetSrtp(receiver.transport, Box::new(session)));
            }
            _ => {}
        }
        let packet = encoder.frame(false, 1).remove(0);
        let data = publisher.protect(&packet);
        world.receive(publisher.tuple, &data);
        // The same SSRC and payload type, plain, from a stranger, from the publisher's address and from the receiver's.
        let forged = plain.frame(false, 1).remove(0);
        for from in [attacker, publisher.tuple, receiver.tuple] {
            world.receive(from, &forged);
        }
        world.advance(Micros::from_millis(20));
        let now: Vec<_> = std::mem::take(&mut world.sink.sent);
        for (to, data) in now {
            assert_ne!(to, attacker, "at step {step}");
            if data[0] >= 128 {
                assert!(
                    step >= 200 || to == publisher.tuple,
                    "before keys, at step {step}"
                );
                let shows = |plain: &[u8]| data.windows(40).any(|window| window == &plain[20..60]);
                assert!(
                    !shows(&packet) && !shows(&forged),
                    "plain media at step {step}"
                );
                if to == receiver.tuple && !(192..=223).contains(&data[1]) {
                    sent.push(data);
                }
            } else {
                world.sink.sent.push((to, data));
            }
        }
    }
    assert_eq!(sent.len(), 100);
    let genuine: Vec<&[u8]> = encoder.sent.values().map(|packet| &packet[20..]).collect();
    for (mut data, genuine) in sent.into_iter().zip(&genuine[200..]) {
        let len = data.len();
        let plain = receiver.srtp.unprotect_rtp(&mut data, len).unwrap();
        let header = RtpHeader::parse(&data[..plain]).unwrap();
        assert_eq!(header.payload.of(&data[..plain]), *genuine);
    }
    assert_eq!(world.dropped("unknown-tuple"), 300);
}

/// S2 for RTCP: a report, a goodbye or a request that was tampered with does nothing.
#[test]
fn flipped_bits_of_rtcp_are_refused() {
    let mut pair = Pair::video(2, true);
    let mut encoder = Encoder::video(7);
    for packet in encoder.frame(true, 2) {
        pair.publish(&packet);
    }
    pair.received();
    pair.world.take_events();
    let mut plain = [0; 200];
    let mut len = write_bye(&mut plain, &[Ssrc(7)]).unwrap();
    len += write_nack(&mut plain[len..], Ssrc(1), Ssrc(0x5000_0002), &[1, 2]).unwrap();
    len += write_pli(&mut plain[len..], Ssrc(1), Ssrc(0x5000_0002)).unwrap();
    for (from, peer) in [(pair.publisher.tuple, 0), (pair.receiver.tuple, 1)] {
        let good = if peer == 0 {
            pair.publisher.protect_rtcp(&plain[..len])
        } else {
            pair.receiver.protect_rtcp(&plain[..len])
        };
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            pair.world.receive(from, &bad);
        }
    }
    assert!(pair.world.take_events().is_empty(), "no track fell silent");
    let counters = pair.world.core.counters();
    assert_eq!((counters.nack_received, counters.pli_received), (0, 0));
    assert!(pair.received().is_empty(), "nothing was sent again");
}

/// S3: two hundred thousand bad packets from a stranger and from the publisher's own address cost it nothing.
#[test]
fn no_number_of_bad_packets_ends_a_call() {
    let mut pair = Pair::audio(3);
    let (mut encoder, mut noise) = (Encoder::audio(7), Encoder::audio(7));
    noise.seq = 1003;
    let forged = noise.frame(false, 1).remove(0);
    let (stranger, own) = (tuple(6666), pair.publisher.tuple);
    let mut got = 0;
    for _ in 0..1000 {
        for _ in 0..100 {
            pair.world.receive(stranger, &forged);
            pair.world.receive(own, &forged);
        }
        let packet = encoder.frame(false, 1).remove(0);
        encoder.pass(960);
        pair.publish(&packet);
        let Pair {
            world,
            publisher,
            receiver,
        } = &mut pair;
        world.advance_with(Micros::from_millis(20), &mut [publisher, receiver]);
        got += pair.received().len();
    }
    assert_eq!(got, 1000);
    let refused = pair.world.dropped("srtp-auth") + pair.world.dropped("srtp-replay");
    assert_eq!(refused, 100_000);
    assert_eq!(pair.encoding().packets_received, 1000);
    let lost = |event: &Event| matches!(event, Event::TransportLost { .. });
    assert!(!pair.world.take_events().iter().any(lost));
}

/// S3 and I6: bad packets, however many, are no sign of life.
#[test]
fn bad_packets_do_not_keep_a_dead_peer() {
    let mut pair = Pair::audio(4);
    pair.publisher.answers = false;
    let forged = Encoder::audio(7).frame(false, 1).remove(0);
    for _ in 0..32 {
        pair.world.receive(pair.publisher.tuple, &forged);
        pair.world.advance(Micros::from_secs(1));
    }
    let is_lost = |event: &Event| matches!(event, Event::TransportLost { transport, .. } if *transport == pair.publisher.transport);
    assert!(pair.world.take_events().iter().any(is_lost));
}

/// R1: SSRC, MID, RID and RTX of somebody else's track, with one's own keys, and RTCP in his name.
#[test]
fn an_insider_cannot_speak_for_another_peer() {
    let mut pair = Pair::new(
        5,
        video_producer(1, Peer::new(1).transport, &["q"]),
        video_slot(2, Peer::new(2).transport, true),
    );
    let mut insider = Peer::new(3);
    pair.world.connect(&mut insider);
    pair.world.take_events();
    let mut honest = Encoder {
        rid: Some("q"),
        ..Encoder::video(7)
    };
    let mut forged = Encoder {
        payload_len: 301,
        seq: 5000,
        ..honest.clone()
    };
    let mut report = [0; 200];
    let info = SenderInfo {
        ssrc: Ssrc(7),
        ntp: NtpTime(99 << 32),
        rtp_timestamp: 5,
        packet_count: 1,
        octet_count: 1,
    };
    let mut len = write_sender_report(&mut report, &info, &[]).unwrap();
    len += write_bye(&mut report[len..], &[Ssrc(7)]).unwrap();
    len += write_pli(&mut report[len..], Ssrc(1), Ssrc(0x5000_0002)).unwrap();
    len += write_nack(&mut report[len..], Ssrc(1), Ssrc(0x5000_0002), &[1]).unwrap();
    let mut got = 0;
    for step in 0..100 {
        for packet in forged.frame(true, 1) {
            let data = insider.protect(&packet);
            pair.world.receive(insider.tuple, &data);
            let lost = forged.seq.wrapping_sub(1);
            if let Some(rtx) = forged.rtx(0x99, step, lost) {
                let data = insider.protect(&rtx);
                pair.world.receive(insider.tuple, &data);
            }
        }
        let data = insider.protect_rtcp(&report[..len]);
        pair.world.receive(insider.tuple, &data);
        for packet in honest.frame(step == 0, 1) {
            pair.publish(&packet);
        }
        honest.pass(3000);
        for packet in pair.received() {
            let header = RtpHeader::parse(&packet).unwrap();
            assert_eq!(
                header.payload.of(&packet).len(),
                300,
                "the forger's picture"
            );
            got += 1;
        }
    }
    assert_eq!(got, 100);
    assert_eq!(pair.encoding().packets_received, 100);
    let silent = |event: &Event| matches!(event, Event::ProducerSilent { .. });
    assert!(!pair.world.take_events().iter().any(silent), "no goodbye");
    assert!(pair.world.dropped("rtcp-foreign-feedback") >= 300);
}

/// R9: every padding count on payloads of every length; what leaves is the payload and nothing else.
#[test]
fn padding_never_reaches_beyond_the_payload() {
    let mut pair = Pair::audio(6);
    let mut seq = 0u16;
    for len in 0..=300usize {
        for count in 0..=255u8 {
            seq = seq.wrapping_add(1);
            let mut body: Vec<u8> = (0..len).map(|at| at as u8 ^ count).collect();
            if let Some(last) = body.last_mut() {
                *last = count;
            }
            pair.publish(&rtp(seq, 0xA0, &body));
            let sent = pair.received();
            let keeps = len.checked_sub(count as usize);
            let wanted = keeps.filter(|_| count > 0 && len > 0);
            for packet in &sent {
                let header = RtpHeader::parse(packet).unwrap();
                let payload = header.payload.of(packet);
                let wanted = wanted.unwrap_or_else(|| panic!("{count} of {len} was forwarded"));
                assert_eq!(payload, &body[..wanted], "{count} of {len}");
                assert_eq!(header.padding, 0);
            }
            if wanted.is_some_and(|keeps| keeps > 0) {
                assert_eq!(sent.len(), 1, "{count} of {len}");
            }
        }
        pair.world.advance(Micros::from_millis(20));
        pair.world.sink.events.clear();
        let Pair {
            world,
            publisher,
            receiver,
        } = &mut pair;
        world.answer_challenges(&mut [publisher, receiver]);
        world.sink.sent.clear();
    }
}

/// R9: retransmissions too short for an original, with padding and without.
#[test]
fn short_retransmissions_repair_nothing() {
    let mut pair = Pair::video(7, true);
    let mut encoder = Encoder::video(7);
    for packet in encoder.frame(true, 3) {
        pair.publish(&packet);
    }
    pair.received();
    let mut seq = 0u16;
    for len in 0..=5usize {
        for padding in 0..=6usize {
            seq += 1;
            let mut packet = encoder.rtx(0x99, seq, 1001).unwrap();
            let start = RtpHeader::parse(&packet).unwrap().payload.of(&packet).len();
            packet.truncate(packet.len() - start);
            packet.extend_from_slice(&[0x30, 0x39, 9, 9, 9][..len]);
            if padding > 0 {
                packet[0] |= 0x20;
                packet.resize(packet.len() + padding, padding as u8);
            }
            pair.publish(&packet);
        }
    }
    // 1003 is 0x03EB: a payload of its high byte alone, with a padding whose count would be the low one.
    encoder.seq = 0x03EC;
    let next = encoder.frame(false, 1).remove(0);
    pair.publish(&next);
    let mut packet = encoder.rtx(0x99, seq + 1, 1001).unwrap();
    let start = packet.len() - RtpHeader::parse(&packet).unwrap().payload.of(&packet).len();
    packet.truncate(start);
    packet.push(0x03);
    packet.resize(packet.len() + 0xEB, 0xEB);
    packet[0] |= 0x20;
    pair.publish(&packet);
    let after = pair.encoding();
    assert_eq!(
        (after.packets_received, after.packets_repaired),
        (4, 0),
        "an original was made of padding"
    );
    pair.received();
    for packet in encoder.frame(false, 1) {
        pair.publish(&packet);
    }
    assert_eq!(pair.received().len(), 1, "the stream goes on");
}

/// R11: extension blocks of every form and lie: what leaves carries only what the receiver negotiated, in its numbers.
#[test]
fn extensions_are_rewritten_and_bounded() {
    let mut pair = Pair::audio(8);
    let (mut seq, mut got) = (0u16, 0);
    for round in 0..40_000u64 {
        seq = seq.wrapping_add(1);
        let profile = match round % 4 {
            0 | 2 => 0xBEDE,
            1 => 0x1000 | pair.world.random(16) as u16,
            _ => pair.world.random(65_536) as u16,
        };
        let bytes = pair.world.random(120) as usize;
        let mut block: Vec<u8> = (0..bytes).map(|_| pair.world.random(256) as u8).collect();
        if round % 4 == 2 {
            // Well-formed elements of every id, also 0 and 15, and the hop-by-hop ones the publisher uses.
            block.clear();
            for id in 0..=15u8 {
                block.extend([id << 4 | 2, b'x', b'y', b'z']);
            }
        }
        let honest = block.len().div_ceil(4) as u16;
        block.resize(honest as usize * 4, 0);
        let words = match pair.world.random(8) {
            0 => honest.wrapping_add(1),
            1 => pair.world.random(65_536) as u16,
            _ => honest,
        };
        let mut rest = profile.to_be_bytes().to_vec();
        rest.extend(words.to_be_bytes());
        rest.extend(&block);
        rest.extend([0x55; 40]);
        pair.publish(&rtp(seq, 0x90, &rest));
        for packet in pair.received() {
            got += 1;
            let header = RtpHeader::parse(&packet).unwrap();
            assert_eq!(header.payload_type, SLOT_OPUS);
            let Some(block) = &header.extension else {
                continue;
            };
            for (id, _) in elements(&packet, block) {
                assert!([SLOT_MID_ID, 2].contains(&id), "id {id} got through");
            }
            assert!(packet.len() <= 12 + rest.len() + 4 + 24, "grew by too much");
        }
    }
    assert!(got > 10_000, "{got} came through: the test tests nothing");
}

/// R11 and R13: a packet that fills the datagram still fits one when it leaves with more in its header.
#[test]
fn growth_never_passes_the_datagram() {
    let long = ExtensionIds(vec![
        (Extension::Mid, 9),
        (Extension::AudioLevel, 2),
        (Extension::DependencyDescriptor, 7),
    ]);
    let producer = ProducerConfig {
        extensions: ExtensionIds(vec![
            (Extension::Mid, MID_ID),
            (Extension::AudioLevel, LEVEL_ID),
            (Extension::DependencyDescriptor, 7),
        ]),
        ..audio_producer(1, Peer::new(1).transport)
    };
    let slot = SlotConfig {
        extensions: long,
        mid: "a-very-long-mid1"
            .try_into()
            .ok()
            .or(audio_slot(2, Peer::new(2).transport).mid),
        ..audio_slot(2, Peer::new(2).transport)
    };
    let mut pair = Pair::new(9, producer, slot);
    let mut seq = 0u16;
    // The toy session's tag is 10 bytes: the datagrams that arrive end at MAX_DATAGRAM.
    for len in 1_300..=MAX_DATAGRAM - 10 {
        seq += 1;
        let mut packet = rtp(seq, 0x80, &[0x55; 1_500]);
        packet.truncate(len);
        pair.publish(&packet);
        let datagrams = pair.world.take_sent(pair.receiver.tuple);
        for datagram in &datagrams {
            assert!(
                datagram.len() <= MAX_DATAGRAM + 10,
                "{len} became {}",
                datagram.len()
            );
        }
    }
    assert_eq!(pair.world.dropped("oversized"), 0);
    for len in [MAX_DATAGRAM + 1, 2_000, 9_000, 65_507] {
        let publisher = pair.publisher.tuple;
        pair.world.receive(publisher, &vec![0x80; len]);
        assert!(pair.world.take_sent(pair.receiver.tuple).is_empty());
    }
    assert_eq!(pair.world.dropped("oversized"), 4);
}

/// S7: whatever is switched, muted, asked for again or lost, no number of a slot is used for two packets. The toy
/// session inside the core asserts it for each SSRC and 48-bit index; the schedule comes from a seed.
#[test]
fn no_number_protects_two_packets() {
    let mut retransmitted = 0;
    let (mut by_rtx, mut seen) = (0, 0);
    for seed in 1..=60u64 {
        let rtx = seed % 2 == 0;
        let mut pair = Pair::video(seed, rtx);
        let mut second = Peer::new(3);
        pair.world.connect(&mut second);
        pair.world.command(Command::AddProducer(video_producer(
            3,
            second.transport,
            &["q", "f"],
        )));
        let start = |world: &mut World| world.random(65_536) as u16;
        let mut encoders = vec![Encoder::video(7)];
        for (rid, ssrc, width) in [("q", 8, 320), ("f", 9, 1280)] {
            encoders.push(Encoder {
                rid: Some(rid),
                size: (width, width / 2),
                ..Encoder::video(ssrc)
            });
        }
        for encoder in &mut encoders {
            encoder.seq = start(&mut pair.world);
        }
        let mut view = Receiver::new(Ssrc(0x5000_0002), rtx.then_some(Ssrc(0x6000_0002)));
        for _ in 0..400 {
            for (index, encoder) in encoders.iter_mut().enumerate() {
                let key = pair.world.random(6) == 0;
                let count = pair.world.random(4) as usize;
                for packet in encoder.frame(key, count) {
                    let from = if index == 0 {
                        &mut pair.publisher
                    } else {
                        &mut second
                    };
                    let data = from.protect(&packet);
                    let tuple = from.tuple;
                    match pair.world.random(20) {
                        0 => {}
                        1 => {
                            pair.world.receive(tuple, &data);
                            pair.world.receive(tuple, &data);
                        }
                        _ => pair.world.receive(tuple, &data),
                    }
                }
                encoder.pass(3000);
            }
            match pair.world.random(40) {
                0 => pair
                    .world
                    .command(Command::Assign(SlotId(2), Some(ProducerId(1)))),
                1 => pair
                    .world
                    .command(Command::Assign(SlotId(2), Some(ProducerId(3)))),
                2 => pair.world.command(Command::Assign(SlotId(2), None)),
                3 => pair
                    .world
                    .command(Command::PauseProducer(ProducerId(1), true)),
                4 | 5 => pair
                    .world
                    .command(Command::PauseProducer(ProducerId(1), false)),
                6 => pair
                    .world
                    .command(Command::PauseProducer(ProducerId(3), true)),
                7 | 8 => pair
                    .world
                    .command(Command::PauseProducer(ProducerId(3), false)),
                9 => {
                    // A publisher goes on far away in number and time.
                    let index = pair.world.random(3) as usize;
                    let jump = 50 + pair.world.random(20_000) as u16;
                    encoders[index].seq = encoders[index].seq.wrapping_add(jump);
                    encoders[index].timestamp = start(&mut pair.world).into();
                }
                _ => {}
            }
            let Pair {
                world,
                publisher,
                receiver,
            } = &mut pair;
            world.advance_with(
                Micros::from_millis(33),
                &mut [publisher, receiver, &mut second],
            );
            let lossy = |world: &mut World| world.random(10) == 0;
            for packet in world.take_media_lossy(receiver, lossy).0 {
                view.take(&packet);
            }
            let mut lost = view.missing();
            lost.truncate(20);
            // Also numbers that were never lost, and some that were never sent.
            for _ in 0..5 {
                lost.push(world.random(65_536) as u16);
            }
            lost.extend(view.packets.keys().rev().take(5).map(|seq| *seq as u16));
            let mut buffer = [0; 1400];
            let len = write_nack(&mut buffer, Ssrc(1), Ssrc(0x5000_0002), &lost).unwrap();
            let data = receiver.protect_rtcp(&buffer[..len]);
            world.receive(receiver.tuple, &data);
        }
        retransmitted += pair.world.core.counters().retransmitted_packets;
        by_rtx += view.by_rtx;
        seen += view.packets.len();
    }
    println!("{seen} packets, {retransmitted} retransmitted, {by_rtx} seen by RTX");
    assert!(
        seen > 10_000 && retransmitted > 1_000 && by_rtx > 200,
        "the schedule tests too little"
    );
}
