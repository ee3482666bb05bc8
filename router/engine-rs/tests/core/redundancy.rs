//! Redundant audio (RED, RFC 2198) to receivers that negotiated it and to those that did not.

use crate::common::call::Call;
use crate::common::media::{Encoder, OPUS, Receiver, SLOT_OPUS, audio_producer, audio_slot, opus};
use crate::common::{Peer, World};
use fork_router_engine::core::Command;
use fork_router_engine::core::command::{Codec, CodecConfig};
use fork_router_engine::ids::{PayloadType, ProducerId, SlotId};
use fork_router_engine::wire::rtp::RtpHeader;

const RED: PayloadType = PayloadType(63);
const SLOT_RED: PayloadType = PayloadType(62);
const PLAIN: usize = 0;
const REDUNDANT: usize = 1;

fn red(payload_type: PayloadType) -> CodecConfig {
    CodecConfig {
        codec: Codec::Red,
        format: 77,
        ..opus(payload_type)
    }
}

/// A publisher of opus and RED, receiver 0 without RED and receiver 1 with it.
struct Scene {
    call: Call,
    encoder: Encoder,
    /// The packets' opus frames, as they were sent.
    frames: Vec<Vec<u8>>,
    /// The next packet does not reach the receivers.
    lose: bool,
}

impl Scene {
    fn new(seed: u64, producer: Vec<CodecConfig>) -> Self {
        let (mut world, mut publisher) = (World::new(seed), Peer::new(1));
        world.connect(&mut publisher);
        let mut config = audio_producer(1, publisher.transport);
        config.codecs = producer;
        world.command(Command::AddProducer(config));
        let mut call = Call::of(world, publisher);
        for (number, codecs) in [
            (100, vec![opus(SLOT_OPUS)]),
            (101, vec![red(SLOT_RED), opus(SLOT_OPUS)]),
        ] {
            let peer = Peer::new(number);
            let mut slot = audio_slot(u64::from(number), peer.transport);
            slot.codecs = codecs;
            call.add(peer, slot);
            let id = SlotId(u64::from(number));
            let command = Command::Assign(id, Some(ProducerId(1)));
            call.world.command(command);
        }
        Self {
            call,
            encoder: Encoder::audio(5),
            frames: Vec::new(),
            lose: false,
        }
    }

    fn with_red(seed: u64) -> Self {
        Self::new(seed, vec![red(RED), opus(OPUS)])
    }

    /// Sends 20 ms of sound with the frame before, or alone.
    fn talk(&mut self, redundant: bool) {
        let number = self.frames.len() as u8;
        let frame: Vec<u8> = (0..40 + number % 7).map(|byte| byte ^ number).collect();
        let mut payload = frame.clone();
        if redundant {
            let before = self.frames.last().cloned().unwrap_or_default();
            let word = 960_u32 << 10 | before.len() as u32;
            payload = vec![0x80 | OPUS.0];
            payload.extend(&word.to_be_bytes()[1..]);
            payload.push(OPUS.0);
            payload.extend(before);
            payload.extend(&frame);
        }
        self.frames.push(frame);
        self.send(if redundant { RED } else { OPUS }, &payload);
    }

    fn send(&mut self, payload_type: PayloadType, payload: &[u8]) {
        self.encoder.payload_type = payload_type;
        self.encoder.payload_len = 0;
        let mut packet = self.encoder.frame(false, 1).remove(0);
        packet.extend(payload);
        self.encoder.pass(960);
        self.call.publish(&[packet]);
        self.call.pass(20);
        let lose = self.lose;
        self.call.deliver(|_| lose);
    }

    fn view(&self, receiver: usize) -> &Receiver {
        &self.call.subscribers[receiver].view
    }

    /// Payload types and payloads that a receiver got.
    fn received(&self, receiver: usize) -> Vec<(PayloadType, Vec<u8>)> {
        let packets = self.view(receiver).packets.values();
        let read = |packet: &Vec<u8>| {
            let header = RtpHeader::parse(packet).expect("RTP");
            (header.payload_type, header.payload.of(packet).to_vec())
        };
        packets.map(read).collect()
    }

    fn timestamps(&self, receiver: usize) -> Vec<u32> {
        let packets = self.view(receiver).packets.values();
        let read = |packet: &Vec<u8>| RtpHeader::parse(packet).expect("RTP").timestamp;
        packets.map(read).collect()
    }
}

#[test]
fn who_has_no_red_gets_the_frames_bit_for_bit() {
    let mut scene = Scene::with_red(1);
    for _ in 0..100 {
        scene.talk(true);
    }
    let expected: Vec<_> = scene
        .frames
        .iter()
        .cloned()
        .map(|it| (SLOT_OPUS, it))
        .collect();
    assert_eq!(scene.received(PLAIN), expected);
    assert_eq!(scene.call.slot_stats(PLAIN).codec, Some("opus"));
}

#[test]
fn who_has_red_gets_it_with_numbers_of_its_own() {
    let mut scene = Scene::with_red(2);
    for _ in 0..100 {
        scene.talk(true);
    }
    let received = scene.received(REDUNDANT);
    assert_eq!(received.len(), 100);
    for (at, (payload_type, payload)) in received.iter().enumerate().skip(1) {
        let (before, frame) = (&scene.frames[at - 1], &scene.frames[at]);
        assert_eq!(*payload_type, SLOT_RED);
        assert_eq!((payload[0], payload[4]), (0x80 | SLOT_OPUS.0, SLOT_OPUS.0));
        assert_eq!(payload[5..], [&before[..], frame].concat());
    }
    assert_eq!(scene.call.slot_stats(REDUNDANT).codec, Some("red"));
}

#[test]
fn who_has_red_gets_opus_where_there_is_no_more() {
    let mut scene = Scene::new(3, vec![opus(OPUS)]);
    for _ in 0..20 {
        scene.talk(false);
    }
    let expected: Vec<_> = scene
        .frames
        .iter()
        .cloned()
        .map(|it| (SLOT_OPUS, it))
        .collect();
    assert_eq!(scene.received(PLAIN), expected);
    assert_eq!(scene.received(REDUNDANT), expected);
}

#[test]
fn a_publisher_may_change_between_both_at_any_packet() {
    let mut scene = Scene::with_red(4);
    for packet in 0..200 {
        scene.talk(packet % 3 != 0);
    }
    for receiver in [PLAIN, REDUNDANT] {
        let timestamps = scene.timestamps(receiver);
        assert_eq!(timestamps.len(), 200);
        let even = |pair: &[u32]| pair[1].wrapping_sub(pair[0]) == 960;
        assert!(timestamps.windows(2).all(even), "{timestamps:?}");
        assert_eq!(scene.view(receiver).missing(), [0u16; 0]);
    }
}

#[test]
fn what_is_malformed_is_dropped_and_counted() {
    let mut scene = Scene::with_red(5);
    scene.talk(true);
    let stranger = [96, 1, 2, 3];
    let redundant_stranger = [0xE0, 0, 0, 1, OPUS.0, 1, 2];
    for payload in [
        &[0xEF, 0, 0xFF, 0xFF, OPUS.0][..],
        &[OPUS.0],
        &stranger,
        &redundant_stranger,
    ] {
        scene.send(RED, payload);
    }
    scene.talk(true);
    assert_eq!(scene.call.world.dropped("red-malformed"), 4);
    assert_eq!(scene.received(PLAIN).len(), 2);
    assert_eq!(scene.received(REDUNDANT).len(), 2);
}

/// The toy SRTP refuses a second plaintext under one number.
#[test]
fn a_repeated_packet_is_the_same() {
    let mut scene = Scene::with_red(6);
    for packet in 0..50 {
        scene.lose = packet % 5 == 3;
        scene.talk(packet % 7 != 0);
    }
    let expected: Vec<_> = scene
        .frames
        .iter()
        .cloned()
        .map(|it| (SLOT_OPUS, it))
        .collect();
    assert_eq!(scene.view(PLAIN).missing().len(), 10);
    scene.call.ask_for_losses();
    scene.call.deliver_all();
    assert_eq!(scene.received(PLAIN), expected);
    assert_eq!(scene.view(REDUNDANT).missing(), [0u16; 0]);
    let repaired =
        [PLAIN, REDUNDANT].map(|it| scene.call.slot_stats(it).retransmitted_packets_sent);
    assert_eq!(repaired, [10, 10]);
}
