//! Paths of a peer: checks, nomination, challenge, replay, consent, restart (`threats-and-faults.md` I1-I7, I9, I11).

use crate::common::peer::{credentials, tuple};
use crate::common::{Peer, World};
use fork_router_engine::core::event::LostReason;
use fork_router_engine::core::{Command, Event};
use fork_router_engine::ids::TransportId;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::stun::{IceRole, IntegrityKey, StunClass, StunMessage};

fn selected(world: &mut World, peer: &Peer) -> Option<fork_router_engine::ids::Tuple> {
    world
        .core
        .transport_stats(world.now, peer.transport)
        .unwrap()
        .selected
}

fn add_tuple(
    world: &mut World,
    peer: &Peer,
    from: fork_router_engine::ids::Tuple,
    nominated: bool,
) {
    let transport = peer.transport;
    world.command(Command::AddTuple {
        transport,
        tuple: from,
        nominated,
        priority: 1000,
    });
}

#[test]
fn a_nominated_tuple_is_selected_only_after_its_challenge() {
    let (mut world, mut peer) = (World::new(1), Peer::new(1));
    world.introduce(&mut peer, true);
    assert_eq!(selected(&mut world, &peer), None);
    world.answer_challenges(&mut [&mut peer]);
    assert_eq!(selected(&mut world, &peer), Some(peer.tuple));
    let event = Event::PairSelected {
        transport: peer.transport,
        tuple: peer.tuple,
    };
    assert_eq!(world.take_events(), [event]);
}

#[test]
fn checks_on_a_known_tuple_are_answered() {
    let (mut world, mut peer) = (World::new(2), Peer::new(2));
    world.connect(&mut peer);
    world.sink.sent.clear();
    let check = peer.check(true);
    world.receive(peer.tuple, &check);
    let replies = world.take_sent(peer.tuple);
    assert_eq!(replies.len(), 1);
    let reply = StunMessage::parse(&replies[0]).unwrap();
    assert_eq!(reply.class, StunClass::Success);
    assert_eq!(
        reply.transaction_id,
        StunMessage::parse(&check).unwrap().transaction_id
    );
    assert_eq!(reply.mapped_address, Some(peer.tuple.address));
    assert!(reply.verify_integrity(&IntegrityKey::new(peer.router.password.as_bytes())));
    assert!(reply.verify_fingerprint());
}

#[test]
fn a_peer_that_claims_our_role_is_told() {
    let (mut world, mut peer) = (World::new(3), Peer::new(3));
    world.connect(&mut peer);
    world.sink.sent.clear();
    let transaction = peer.next_transaction();
    let check = peer.write_check(transaction, true, IceRole::Controlled(1), 1000);
    world.receive(peer.tuple, &check);
    let replies = world.take_sent(peer.tuple);
    assert_eq!(
        StunMessage::parse(&replies[0]).unwrap().error_code,
        Some(487)
    );
}

/// I4: the HMAC does not cover the source address, so whoever sees a check can send it again from elsewhere.
#[test]
fn a_replayed_check_moves_nothing() {
    let (mut world, mut peer) = (World::new(4), Peer::new(4));
    world.connect(&mut peer);
    let check = peer.check(true);
    world.receive(peer.tuple, &check);
    let attacker = tuple(6666);
    // Later than any tie: only the missing proof of the path holds it back.
    world.advance_with(Micros::from_secs(2), &mut [&mut peer]);
    world.take_events();
    world.receive(attacker, &check);
    assert!(matches!(&world.take_events()[..], [Event::Stun { tuple, .. }] if *tuple == attacker));
    // Python finds it authentic, as it is.
    add_tuple(&mut world, &peer, attacker, true);
    world.advance_with(Micros::from_secs(40), &mut [&mut peer]);
    assert_eq!(selected(&mut world, &peer), Some(peer.tuple));
    let to_attacker = world.take_sent(attacker);
    assert!(to_attacker.len() <= 4, "{} packets", to_attacker.len());
    let bytes: usize = to_attacker.iter().map(Vec::len).sum();
    assert!(
        bytes <= 3 * check.len(),
        "{bytes} bytes for {}",
        check.len()
    );
}

/// I4 with two proven tuples: the same check from the other one is a replay too.
#[test]
fn a_check_replayed_between_proven_tuples_moves_nothing() {
    let (mut world, mut peer) = (World::new(5), Peer::new(5));
    world.connect(&mut peer);
    let other = tuple(5555);
    add_tuple(&mut world, &peer, other, false);
    world.command(Command::ValidateTuple(peer.transport, other));
    world.advance(Micros::from_secs(2));
    let check = peer.check(true);
    world.receive(peer.tuple, &check);
    world.advance(Micros::from_secs(2));
    world.receive(other, &check);
    assert_eq!(selected(&mut world, &peer), Some(peer.tuple));
    assert_eq!(world.dropped("stun-replay"), 1);
    let fresh = peer.check(true);
    world.receive(other, &fresh);
    assert_eq!(
        selected(&mut world, &peer),
        Some(other),
        "its own nomination does move it"
    );
}

/// I2: a flood of checks with a wrong key costs the victim nothing.
#[test]
fn bad_integrity_is_counted_and_harmless() {
    let (mut world, mut peer) = (World::new(6), Peer::new(6));
    world.connect(&mut peer);
    world.sink.sent.clear();
    let mut forger = Peer::new(6);
    forger.router.password = "not the password at all".into();
    for _ in 0..10_000 {
        let check = forger.check(true);
        world.receive(peer.tuple, &check);
    }
    assert_eq!(world.dropped("stun-auth"), 10_000);
    assert!(world.sink.sent.is_empty());
    assert_eq!(selected(&mut world, &peer), Some(peer.tuple));
}

/// I3: what follows MESSAGE-INTEGRITY is not protected by it.
#[test]
fn attributes_after_integrity_are_as_if_absent() {
    let (mut world, mut peer) = (World::new(7), Peer::new(7));
    world.connect(&mut peer);
    let other = tuple(7777);
    add_tuple(&mut world, &peer, other, false);
    world.command(Command::ValidateTuple(peer.transport, other));
    world.advance(Micros::from_secs(2));
    let mut check = peer.check(false);
    check.truncate(check.len() - 8);
    check.extend_from_slice(&[0x00, 0x25, 0, 0]);
    let length = (check.len() + 8 - 20) as u16;
    check[2..4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32fast_hash(&check) ^ 0x5354_554E;
    check.extend_from_slice(&[0x80, 0x28, 0, 4]);
    check.extend_from_slice(&crc.to_be_bytes());
    world.sink.sent.clear();
    world.receive(other, &check);
    assert_eq!(world.take_sent(other).len(), 1, "the check itself is good");
    assert_eq!(selected(&mut world, &peer), Some(peer.tuple));
}

fn crc32fast_hash(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

/// I11: another peer behind the same address and port.
#[test]
fn a_reused_tuple_goes_to_the_new_peer() {
    let (mut world, mut old, mut new) = (World::new(8), Peer::new(8), Peer::new(9));
    world.connect(&mut old);
    new.tuple = old.tuple;
    world.take_events();
    let check = new.check(true);
    world.receive(new.tuple, &check);
    assert!(
        matches!(&world.take_events()[..], [Event::Stun { .. }]),
        "another user name is punted"
    );
    assert_eq!(
        selected(&mut world, &old),
        Some(old.tuple),
        "and moves nothing by itself"
    );
    world.connect(&mut new);
    assert_eq!(selected(&mut world, &old), None);
    let bad = Peer::new(8).check(true);
    world.receive(new.tuple, &bad);
    assert_eq!(selected(&mut world, &new), Some(new.tuple));
}

#[test]
fn without_authentic_packets_the_transport_is_lost() {
    let (mut world, mut peer) = (World::new(10), Peer::new(10));
    world.connect(&mut peer);
    world.take_events();
    peer.answers = false;
    world.advance(Micros::from_secs(29));
    assert!(world.take_events().is_empty());
    world.advance(Micros::from_secs(2));
    let lost = Event::TransportLost {
        transport: peer.transport,
        reason: LostReason::ConsentExpired,
    };
    assert_eq!(world.take_events(), [lost]);
    world.sink.sent.clear();
    let check = peer.check(true);
    world.receive(peer.tuple, &check);
    assert!(world.sink.sent.is_empty(), "late packets do not revive it");
    add_tuple(&mut world, &peer, peer.tuple, true);
    world.advance(Micros::from_secs(60));
    assert!(world.sink.sent.is_empty());
    world.command(Command::RemoveTransport(peer.transport));
    assert!(matches!(
        world.take_events().last(),
        Some(Event::TransportRemoved { .. })
    ));
    assert_eq!(
        world.core.poll_deadline(),
        None,
        "nothing is left to wake for"
    );
}

#[test]
fn answered_challenges_keep_a_silent_peer_alive() {
    let (mut world, mut peer) = (World::new(11), Peer::new(11));
    world.connect(&mut peer);
    world.take_events();
    world.advance_with(Micros::from_secs(600), &mut [&mut peer]);
    assert!(world.take_events().is_empty());
    let stats = world
        .core
        .transport_stats(world.now, peer.transport)
        .unwrap();
    assert_eq!(stats.current_round_trip_time_s, Some(0.0));
    let challenges = stats.packets_sent;
    assert!(
        (118..=124).contains(&challenges),
        "one each 5 s, not {challenges}"
    );
}

/// I12: old credentials die 10 s after a pair of the new ones.
#[test]
fn a_restart_keeps_the_path_and_retires_the_old_credentials() {
    let (mut world, mut peer) = (World::new(12), Peer::new(12));
    world.connect(&mut peer);
    let mut old = Peer::new(12);
    peer.router = credentials("router-new");
    peer.own = credentials("peer-new");
    world.command(Command::RestartIce(peer.transport, peer.router.clone()));
    world.command(Command::SetRemoteIce(peer.transport, peer.own.clone()));
    assert_eq!(selected(&mut world, &peer), Some(peer.tuple));
    for _ in 0..50 {
        old.next_transaction();
    }
    let answered = |world: &mut World, check: Vec<u8>| {
        world.sink.sent.clear();
        world.receive(tuple(12), &check);
        !world.take_sent(tuple(12)).is_empty()
    };
    assert!(
        answered(&mut world, old.check(false)),
        "until the new ones work"
    );
    assert!(answered(&mut world, peer.check(true)));
    world.advance(Micros::from_secs(9));
    assert!(answered(&mut world, old.check(false)));
    world.advance(Micros::from_secs(2));
    assert!(!answered(&mut world, old.check(false)));
    assert!(answered(&mut world, peer.check(true)));
}

/// I9: at most eight tuples, the selected one stays.
#[test]
fn ten_thousand_ports_are_eight_tuples() {
    let (mut world, mut peer) = (World::new(13), Peer::new(13));
    world.connect(&mut peer);
    for port in 10_000..20_000 {
        add_tuple(&mut world, &peer, tuple(port), true);
    }
    let stats = world
        .core
        .transport_stats(world.now, peer.transport)
        .unwrap();
    assert_eq!((stats.tuples, stats.selected), (8, Some(peer.tuple)));
}

#[test]
fn dtls_proves_a_tuple_and_needs_a_known_one() {
    let (mut world, mut peer) = (World::new(14), Peer::new(14));
    peer.answers = false;
    let hello = [22, 254, 253, 0, 0];
    world.receive(peer.tuple, &hello);
    assert_eq!(world.dropped("dtls-unknown-tuple"), 1);
    world.introduce(&mut peer, false);
    for _ in 0..100 {
        world.receive(peer.tuple, &hello);
    }
    let punted = world.take_events().len();
    assert_eq!((punted, world.dropped("dtls-rate")), (64, 36));
    world.command(Command::ValidateTuple(peer.transport, peer.tuple));
    assert_eq!(
        selected(&mut world, &peer),
        Some(peer.tuple),
        "selected without nomination"
    );
}

/// I7 and I8: a stranger gets nothing and leaves nothing.
#[test]
fn strangers_get_no_byte() {
    let mut world = World::new(15);
    for first in 0..=255u8 {
        for len in [1usize, 2, 8, 19, 20, 28, 100, 600, 1200, 1500] {
            let datagram = vec![first; len];
            world.receive(tuple(4000), &datagram);
        }
    }
    let mut forger = Peer::new(16);
    let check = forger.check(true);
    world.receive(tuple(4001), &check);
    assert!(world.sink.sent.is_empty());
    assert!(matches!(&world.take_events()[..], [Event::Stun { .. }]));
    assert_eq!(world.core.counters().transports, 0);
    assert_eq!(world.core.poll_deadline(), None);
}

#[test]
fn an_abandoned_transport_leaves_the_others() {
    let (mut world, mut one, mut two) = (World::new(17), Peer::new(17), Peer::new(18));
    world.connect(&mut one);
    world.connect(&mut two);
    world.take_events();
    world.core.abandon(one.transport, &mut world.sink);
    let id = TransportId(17);
    let expected = [
        Event::TransportLost {
            transport: id,
            reason: LostReason::EngineBug,
        },
        Event::TransportRemoved { transport: id },
    ];
    assert_eq!(world.take_events(), expected);
    assert_eq!(selected(&mut world, &two), Some(two.tuple));
    world.advance_with(Micros::from_secs(60), &mut [&mut two]);
    assert!(world.take_events().is_empty());
}

#[test]
fn a_closed_socket_takes_its_tuples() {
    let (mut world, mut peer) = (World::new(19), Peer::new(19));
    world.connect(&mut peer);
    world.core.socket_closed(peer.tuple.socket);
    world.advance(Micros::from_millis(1));
    let stats = world
        .core
        .transport_stats(world.now, peer.transport)
        .unwrap();
    assert_eq!((stats.tuples, stats.selected), (0, None));
}
