//! What a capture of a peer gets: everything of that peer, in both directions, and of media never more than headers.

use crate::common::media::{Encoder, audio_producer, video_producer, video_slot};
use crate::common::peer::tuple;
use crate::common::plain_srtp::PlainSrtp;
use crate::common::{Peer, World};
use fork_router_engine::core::Command;
use fork_router_engine::core::capture::{CaptureId, Captured, Tap, What};
use fork_router_engine::ids::{ProducerId, SlotId};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::demux::{DatagramClass, classify};
use fork_router_engine::wire::pcapng::Direction;
use fork_router_engine::wire::rtcp::messages;
use fork_router_engine::wire::rtp::RtpHeader;
use proptest::prelude::*;

const CAPTURE: CaptureId = CaptureId(4);

fn tap(world: &mut World, peer: &Peer, what: What) {
    let tap = Tap {
        capture: CAPTURE,
        what,
    };
    world.command(Command::Capture(peer.transport, Some(tap)));
}

/// A publisher of video on port 10, shown to a receiver on port 20.
fn call(seed: u64) -> (World, Peer, Peer) {
    let (mut world, mut publisher, mut receiver) = (World::new(seed), Peer::new(10), Peer::new(20));
    world.connect(&mut publisher);
    world.connect(&mut receiver);
    let producer = video_producer(1, publisher.transport, &[]);
    world.command(Command::AddProducer(producer));
    world.command(Command::AddSlot(video_slot(2, receiver.transport, true)));
    world.command(Command::Assign(SlotId(2), Some(ProducerId(1))));
    world.sink.sent.clear();
    (world, publisher, receiver)
}

/// Some seconds of it.
fn pass(world: &mut World, publisher: &mut Peer, receiver: &mut Peer) {
    let mut encoder = Encoder::video(7);
    for frame in 0..90 {
        for packet in encoder.frame(frame == 0, 2) {
            let data = publisher.protect(&packet);
            world.receive(publisher.tuple, &data);
        }
        encoder.pass(3000);
        world.advance_with(Micros::from_millis(33), &mut [publisher, receiver]);
    }
}

fn of(captured: &[(Captured, Vec<u8>)], class: DatagramClass) -> Vec<&(Captured, Vec<u8>)> {
    let all = captured.iter();
    all.filter(|(_, packet)| classify(packet) == Ok(class))
        .collect()
}

#[test]
fn headers_are_cut_off_and_reports_decrypted() {
    let (mut world, mut publisher, mut receiver) = call(1);
    // The toy cipher hides extensions, which SRTP leaves readable.
    world.command(Command::SetSrtp(receiver.transport, Box::new(PlainSrtp)));
    tap(&mut world, &receiver, What::Headers);
    pass(&mut world, &mut publisher, &mut receiver);
    world.advance_with(Micros::from_secs(6), &mut [&mut receiver]);
    let captured = std::mem::take(&mut world.sink.captured);
    let media = of(&captured, DatagramClass::Rtp);
    assert!(media.len() >= 180, "all that the receiver was sent");
    for (head, packet) in media {
        assert_eq!((head.capture, head.tuple), (CAPTURE, receiver.tuple));
        assert_eq!(head.direction, Direction::Outbound);
        let payload = RtpHeader::parse(packet).unwrap().payload;
        assert!(payload.end > payload.start);
        assert_eq!(head.kept, payload.start as usize, "no byte of payload");
    }
    let reports = of(&captured, DatagramClass::Rtcp);
    assert!(!reports.is_empty());
    for (head, packet) in reports {
        assert_eq!(head.kept, packet.len());
        assert!(
            messages(packet).all(|message| message.is_ok()),
            "in the clear"
        );
    }
    let checks = of(&captured, DatagramClass::Stun);
    assert!(!checks.is_empty(), "our challenges");
}

#[test]
fn encrypted_is_what_travels() {
    let (mut world, mut publisher, mut receiver) = call(2);
    tap(&mut world, &publisher, What::Encrypted);
    pass(&mut world, &mut publisher, &mut receiver);
    let sent: Vec<Vec<u8>> = world.take_sent(publisher.tuple);
    let captured = std::mem::take(&mut world.sink.captured);
    assert!(
        captured
            .iter()
            .all(|(head, packet)| head.kept == packet.len())
    );
    let outbound = captured.iter();
    let outbound = outbound.filter(|(head, _)| head.direction == Direction::Outbound);
    let outbound: Vec<&Vec<u8>> = outbound
        .map(|(_, packet)| packet)
        .filter(|packet| packet[0] >= 128)
        .collect();
    let media: Vec<&Vec<u8>> = sent.iter().filter(|packet| packet[0] >= 128).collect();
    assert_eq!(outbound, media);
    let inbound = of(&captured, DatagramClass::Rtp);
    assert_eq!(inbound.len(), 180);
}

#[test]
fn what_cannot_be_decrypted_is_seen_too() {
    let (mut world, publisher, _) = call(3);
    tap(&mut world, &publisher, What::Headers);
    let mut stranger = Peer::new(99);
    let packet = Encoder::video(7).frame(true, 1).remove(0);
    let forged = stranger.protect(&packet);
    world.receive(publisher.tuple, &forged);
    let mut report = vec![0x80, 201, 0, 1, 0, 0, 0, 7];
    report = stranger.protect_rtcp(&report);
    world.receive(publisher.tuple, &report);
    let captured = std::mem::take(&mut world.sink.captured);
    assert_eq!(world.dropped("srtp-auth"), 2);
    assert_eq!(captured.len(), 2);
    assert_eq!(captured[1].0.kept, 8, "what SRTCP leaves readable");
}

#[test]
fn a_check_is_seen_before_its_address_is_known() {
    let (mut world, mut peer) = (World::new(4), Peer::new(10));
    world.command(Command::CreateTransport(peer.config()));
    tap(&mut world, &peer, What::Headers);
    let check = peer.check(true);
    world.receive(tuple(77), &check);
    let other = Peer::new(11).check(true);
    world.receive(tuple(78), &other);
    let captured = std::mem::take(&mut world.sink.captured);
    assert_eq!(captured.len(), 1, "only those that name this peer");
    assert_eq!((captured[0].0.tuple, &captured[0].1), (tuple(77), &check));
    // Python's answer, when the address is known.
    world.introduce(&mut peer, true);
    world.sink.captured.clear();
    let (now, to) = (world.now, peer.tuple);
    world
        .core
        .datagram_leaves(now, to, &[1, 2, 3], &mut world.sink);
    world
        .core
        .datagram_leaves(now, tuple(500), &[1], &mut world.sink);
    assert_eq!(world.sink.captured.len(), 1);
}

#[test]
fn nothing_is_captured_of_others_nor_after_the_end() {
    let (mut world, mut publisher, mut receiver) = call(5);
    tap(&mut world, &receiver, What::Encrypted);
    world.command(Command::Capture(receiver.transport, None));
    pass(&mut world, &mut publisher, &mut receiver);
    assert!(world.sink.captured.is_empty());
    let third = Peer::new(30);
    world.command(Command::CreateTransport(third.config()));
    tap(&mut world, &third, What::Encrypted);
    pass(&mut world, &mut publisher, &mut receiver);
    assert!(world.sink.captured.is_empty());
    world.command(Command::RemoveTransport(third.transport));
    tap(&mut world, &third, What::Encrypted);
    let check = third.write_check(
        fork_router_engine::wire::stun::TransactionId([1; 12]),
        true,
        fork_router_engine::wire::stun::IceRole::Controlling(1),
        1,
    );
    world.receive(tuple(66), &check);
    assert!(world.sink.captured.is_empty(), "it is gone");
}

proptest! {
    /// Whatever comes, no byte of an RTP payload is wanted, and never more bytes than there are.
    #[test]
    fn hostile_packets_show_no_payload(mut packet in proptest::collection::vec(any::<u8>(), 1..300), class in 0..4_u8) {
        let (mut world, mut publisher) = (World::new(6), Peer::new(10));
        world.connect(&mut publisher);
        world.command(Command::AddProducer(audio_producer(1, publisher.transport)));
        tap(&mut world, &publisher, What::Headers);
        packet[0] = [0, 22, 0x80 | packet[0] & 0x3F, 0x90 | packet[0] & 0x2F][usize::from(class)];
        world.sink.captured.clear();
        world.receive(publisher.tuple, &packet);
        for (head, bytes) in world.sink.captured.iter().filter(|(head, _)| head.direction == Direction::Inbound) {
            prop_assert!(head.kept <= bytes.len() || bytes[1] >= 192);
            if let (Ok(DatagramClass::Rtp), Ok(header)) = (classify(bytes), RtpHeader::parse(bytes)) {
                prop_assert_eq!(head.kept, header.payload.start as usize);
            }
        }
    }
}
