//! Peers without ICE: two fixed addresses, RTCP on its own port, no packet moves them (`threats-and-faults.md` S1).

use crate::common::media::{Encoder, Receiver, video_producer, video_slot};
use crate::common::peer::tuple;
use crate::common::{Peer, World};
use fork_router_engine::core::{Command, Event};
use fork_router_engine::ice::PlainPeer;
use fork_router_engine::ids::{ProducerId, SlotId, SocketId, Ssrc, Tuple};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{
    NtpTime, RtcpMessage, SenderInfo, messages, write_sender_report,
};

const OWN_SSRC: Ssrc = Ssrc(0xABCD);

/// The peer's RTCP: port + 1 there, another socket here.
fn rtcp_of(peer: &Peer) -> Tuple {
    let mut tuple = peer.tuple;
    tuple.socket = SocketId(2);
    tuple.address.set_port(tuple.address.port() + 1);
    tuple
}

fn settle(world: &mut World, peer: &Peer) {
    world.command(Command::SetPlainPeer {
        transport: peer.transport,
        peer: PlainPeer {
            rtp: peer.tuple,
            rtcp: rtcp_of(peer),
        },
        ssrc: OWN_SSRC,
    });
}

fn connect(world: &mut World, number: u16) -> Peer {
    let peer = Peer::new(number);
    world.command(Command::CreateTransport(peer.config()));
    let session = peer.srtp.mirrored();
    world.command(Command::SetSrtp(peer.transport, Box::new(session)));
    settle(world, &peer);
    peer
}

/// A publisher of video on port 10 and a receiver on port 20.
fn call(seed: u64) -> (World, Peer, Peer, Receiver) {
    let mut world = World::new(seed);
    let (publisher, receiver) = (connect(&mut world, 10), connect(&mut world, 20));
    let producer = video_producer(1, publisher.transport, &[]);
    world.command(Command::AddProducer(producer));
    let slot = video_slot(2, receiver.transport, true);
    let view = Receiver::new(slot.ssrc, slot.rtx_ssrc);
    world.command(Command::AddSlot(slot));
    world.command(Command::Assign(SlotId(2), Some(ProducerId(1))));
    (world, publisher, receiver, view)
}

fn lost(world: &mut World) -> usize {
    let events = world.take_events();
    let is_lost = |event: &&Event| matches!(event, Event::TransportLost { .. });
    events.iter().filter(is_lost).count()
}

#[test]
fn a_plain_peer_is_selected_at_once_and_never_challenged() {
    let mut world = World::new(1);
    let peer = connect(&mut world, 10);
    let selected = world
        .take_events()
        .into_iter()
        .filter_map(|event| match event {
            Event::PairSelected { transport, tuple } => Some((transport, tuple)),
            _ => None,
        });
    assert_eq!(selected.collect::<Vec<_>>(), [(peer.transport, peer.tuple)]);
    world.advance(Micros::from_secs(29));
    assert!(world.sink.sent.is_empty(), "nothing to say, nothing sent");
    let stats = world
        .core
        .transport_stats(world.now, peer.transport)
        .unwrap();
    assert_eq!((stats.tuples, stats.selected_pair_changes), (2, 1));
}

#[test]
fn rtp_leaves_on_one_port_and_rtcp_on_the_next() {
    let (mut world, mut publisher, mut receiver, mut view) = call(2);
    let mut encoder = Encoder::video(7);
    let mut asked = 0;
    for _ in 0..60 {
        for packet in encoder.frame(encoder.sent.is_empty(), 2) {
            let data = publisher.protect(&packet);
            world.receive(publisher.tuple, &data);
        }
        encoder.pass(3000);
        world.advance(Micros::from_millis(33));
        let (rtp, rtcp) = world.take_media(&mut receiver);
        assert!(rtcp.is_empty(), "RTCP on the RTP port");
        for packet in rtp {
            view.take(&packet);
        }
        asked += world.take_media(&mut publisher).1.len();
    }
    assert_eq!(view.packets.len(), 120);
    assert_eq!(asked, 0, "RTCP on the publisher's RTP port");
    receiver.tuple = rtcp_of(&receiver);
    let (rtp, reports) = world.take_media(&mut receiver);
    assert!(rtp.is_empty(), "RTP on the RTCP port");
    let is_sr = |plain: &Vec<u8>| {
        matches!(
            messages(plain).next(),
            Some(Ok(RtcpMessage::SenderReport(_)))
        )
    };
    assert!(reports.iter().any(is_sr), "sender reports of the slot");
    publisher.tuple = rtcp_of(&publisher);
    let sources =
        world
            .take_media(&mut publisher)
            .1
            .into_iter()
            .map(|plain| match messages(&plain).next() {
                Some(Ok(RtcpMessage::ReceiverReport(report))) => report.ssrc,
                other => panic!("expected a receiver report, got {other:?}"),
            });
    let sources: Vec<Ssrc> = sources.collect();
    assert!(!sources.is_empty());
    assert!(sources.iter().all(|ssrc| *ssrc == OWN_SSRC), "{sources:?}");
}

#[test]
fn packets_from_elsewhere_are_dropped_and_move_nothing() {
    let (mut world, mut publisher, receiver, _) = call(3);
    let packets = Encoder::video(7).frame(true, 3);
    for (port, packet) in [(11, &packets[0]), (999, &packets[1])] {
        let data = publisher.protect(packet);
        world.receive(tuple(port), &data);
    }
    assert_eq!(world.dropped("unknown-tuple"), 2);
    assert!(world.take_sent(receiver.tuple).is_empty());
    let check = publisher.check(true);
    world.receive(publisher.tuple, &check);
    assert_eq!(world.dropped("stun-unexpected"), 1);
    world.receive(publisher.tuple, &[22, 254, 253, 0, 0]);
    assert_eq!(world.dropped("dtls-rate"), 1);
    // Python never does this; were it to, the peer would still stay where it is.
    world.command(Command::AddTuple {
        transport: publisher.transport,
        tuple: tuple(999),
        nominated: true,
        priority: u32::MAX,
    });
    world.command(Command::ValidateTuple(publisher.transport, tuple(999)));
    let stats = world.core.transport_stats(world.now, publisher.transport);
    assert_eq!(stats.unwrap().selected, Some(publisher.tuple));
    let sent: Vec<Tuple> = world.sink.sent.iter().map(|(to, _)| *to).collect();
    assert!(!sent.contains(&tuple(999)), "{sent:?}");
}

#[test]
fn only_authentic_packets_keep_a_plain_peer_alive() {
    let mut world = World::new(4);
    let (mut quiet, mut forged) = (connect(&mut world, 10), connect(&mut world, 20));
    forged.srtp = crate::common::toy_srtp::ToySrtp::new(901, 902);
    let info = SenderInfo {
        ssrc: Ssrc(5),
        ntp: NtpTime(1),
        rtp_timestamp: 0,
        packet_count: 0,
        octet_count: 0,
    };
    world.take_events();
    for _ in 0..8 {
        world.advance(Micros::from_secs(5));
        for peer in [&mut quiet, &mut forged] {
            let mut plain = [0; 100];
            let len = write_sender_report(&mut plain, &info, &[]).unwrap();
            let data = peer.protect_rtcp(&plain[..len]);
            world.receive(rtcp_of(peer), &data);
        }
    }
    assert_eq!(lost(&mut world), 1, "the one with the wrong keys");
    assert!(world.dropped("srtp-auth") > 0);
    world.advance(Micros::from_secs(31));
    assert_eq!(lost(&mut world), 1, "the other one, when it fell silent");
}

#[test]
fn an_address_given_to_another_peer_is_its_own_from_then_on() {
    let (mut world, mut former, receiver, _) = call(5);
    let mut successor = Peer::new(30);
    successor.tuple = former.tuple;
    world.command(Command::CreateTransport(successor.config()));
    let session = successor.srtp.mirrored();
    world.command(Command::SetSrtp(successor.transport, Box::new(session)));
    settle(&mut world, &successor);
    let packets = Encoder::video(7).frame(true, 2);
    let (old, new) = (former.protect(&packets[0]), successor.protect(&packets[1]));
    world.receive(former.tuple, &old);
    world.receive(successor.tuple, &new);
    assert_eq!(world.dropped("srtp-auth"), 1, "the former peer's packet");
    let mut stats = |peer: &Peer| {
        let now = world.now;
        world.core.transport_stats(now, peer.transport).unwrap()
    };
    assert!(stats(&successor).last_authenticated.is_some());
    assert_eq!(stats(&former).selected, None);
    world.command(Command::RemoveTransport(receiver.transport));
    world.receive(receiver.tuple, &new);
    assert_eq!(
        world.dropped("unknown-tuple"),
        1,
        "nobody is there any more"
    );
}

#[test]
fn without_its_rtcp_socket_a_peer_still_gets_rtp() {
    let (mut world, mut publisher, mut receiver, _) = call(6);
    let mut encoder = Encoder::video(7);
    world.core.socket_closed(rtcp_of(&receiver).socket);
    for packet in encoder.frame(true, 2) {
        let data = publisher.protect(&packet);
        world.receive(publisher.tuple, &data);
    }
    world.advance(Micros::from_secs(2));
    assert_eq!(world.take_media(&mut receiver).0.len(), 2);
    assert!(world.sink.sent.is_empty(), "reports have nowhere to go");
    world.core.socket_closed(receiver.tuple.socket);
    let data = publisher.protect(&encoder.frame(false, 1)[0]);
    world.receive(publisher.tuple, &data);
    assert_eq!(world.dropped("unknown-tuple"), 1);
}
