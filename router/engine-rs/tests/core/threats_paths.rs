//! What may create, move or keep a path: only authentic checks and proof of the path (`threats-and-faults.md` I1, I3,
//! I4, I7, I11, D2, S1, R14). Each defence is shown to be needed in `docs/threats.md`.

use crate::common::media::{Encoder, video_producer, video_slot};
use crate::common::peer::tuple;
use crate::common::stun::{
    ICE_CONTROLLED, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, PRIORITY, RawStun, USE_CANDIDATE,
};
use crate::common::{Peer, World};
use fork_router_engine::core::stats::TransportStats;
use fork_router_engine::core::{Command, Event};
use fork_router_engine::ids::{ProducerId, SlotId, Tuple};
use fork_router_engine::time::Micros;

fn stats(world: &mut World, peer: &Peer) -> TransportStats {
    let stats = world.core.transport_stats(world.now, peer.transport);
    stats.expect("the transport lives")
}

/// A connected peer that has a second, proven tuple: an authentic nomination there moves its media.
fn two_paths(seed: u64) -> (World, Peer, Tuple) {
    let (mut world, mut peer) = (World::new(seed), Peer::new(1));
    world.connect(&mut peer);
    let (transport, other) = (peer.transport, tuple(5555));
    world.command(Command::AddTuple {
        transport,
        tuple: other,
        nominated: false,
        priority: 1000,
    });
    world.command(Command::ValidateTuple(transport, other));
    world.advance_with(Micros::from_secs(2), &mut [&mut peer]);
    world.sink.sent.clear();
    world.take_events();
    (world, peer, other)
}

fn names(peer: &Peer) -> Vec<u8> {
    format!("{}:{}", peer.router.ufrag, peer.own.ufrag).into_bytes()
}

fn with_length(mut message: Vec<u8>, change: i16) -> Vec<u8> {
    let length = u16::from_be_bytes([message[2], message[3]]).wrapping_add_signed(change);
    message[2..4].copy_from_slice(&length.to_be_bytes());
    message
}

/// The length field counts four bytes too few, and the fingerprint is right for that.
fn lying_length(signed: RawStun) -> Vec<u8> {
    let mut message = signed.fingerprinted();
    let at = message.len() - 8;
    message = with_length(message, -4);
    let crc = crc32fast::hash(&message[..at]) ^ 0x5354_554E;
    message[at + 4..].copy_from_slice(&crc.to_be_bytes());
    message
}

/// Checks that want to nominate and must not be believed.
fn forged_checks(peer: &Peer) -> Vec<(&'static str, Vec<u8>)> {
    let names = names(peer);
    let password = peer.router.password.as_str();
    let bare = || RawStun::check(0xF0, &names);
    let good = bare().signed(password).fingerprinted();
    let named = |username: &[u8]| {
        RawStun::check(0xF1, username)
            .signed(password)
            .fingerprinted()
    };
    let mut broken = good.clone();
    *broken.last_mut().unwrap() ^= 1;
    let mut truncated = bare().signed(password).0;
    truncated.truncate(truncated.len() - 8);
    let wrong_remote = format!("{}:somebody", peer.router.ufrag);
    let wrong_local = format!("nobody:{}", peer.own.ufrag);
    let long = [&b"a".repeat(590)[..], b":remote"].concat();
    let only = |kind, value: &[u8]| {
        RawStun::new(1, 0xF2)
            .with(kind, value)
            .signed(password)
            .fingerprinted()
    };
    vec![
        ("no integrity", bare().fingerprinted()),
        (
            "wrong key",
            bare().signed("not the password at all....").fingerprinted(),
        ),
        (
            "the peer's key",
            bare().signed(&peer.own.password).fingerprinted(),
        ),
        ("no fingerprint", bare().signed(password).0),
        ("wrong fingerprint", broken),
        (
            "short integrity",
            bare().with(MESSAGE_INTEGRITY, &[0; 12]).fingerprinted(),
        ),
        ("truncated integrity", truncated),
        (
            "only SHA-256",
            bare()
                .with(MESSAGE_INTEGRITY_SHA256, &[7; 32])
                .fingerprinted(),
        ),
        (
            "length that lies under a right fingerprint",
            lying_length(bare().signed(password)),
        ),
        ("length too large", with_length(good.clone(), 4)),
        ("length too small", with_length(good.clone(), -4)),
        ("trailing bytes", [&good[..], &[0; 4]].concat()),
        ("wrong remote half", named(wrong_remote.as_bytes())),
        ("wrong local half", named(wrong_local.as_bytes())),
        ("bare USE-CANDIDATE", only(USE_CANDIDATE, &[])),
        ("empty user name", named(b"")),
        ("user name of 600 bytes", named(&long)),
        (
            "unknown mandatory attribute",
            bare()
                .with(0x7F00, b"what")
                .signed(password)
                .fingerprinted(),
        ),
        (
            "indication",
            RawStun::new(0x0011, 0xF3)
                .with(0x0006, &names)
                .with(USE_CANDIDATE, &[])
                .signed(password)
                .fingerprinted(),
        ),
        (
            "error nobody waits for",
            RawStun::new(0x0111, 0xF4).signed(&peer.own.password).0,
        ),
    ]
}

/// I1 on a tuple that authentic checks have used: it is no more believed than a stranger's.
#[test]
fn forged_checks_on_a_proven_tuple_do_nothing() {
    let (mut world, mut peer, other) = two_paths(1);
    let before = stats(&mut world, &peer);
    for (name, check) in forged_checks(&peer) {
        world.advance(Micros::from_millis(10));
        world.receive(other, &check);
        assert!(world.sink.sent.is_empty(), "{name} was answered");
        let after = stats(&mut world, &peer);
        assert_eq!(after.selected, before.selected, "{name} moved media");
        assert_eq!(
            after.last_authenticated, before.last_authenticated,
            "{name} kept the peer alive"
        );
        let events = world.take_events();
        assert!(
            events
                .iter()
                .all(|event| matches!(event, Event::Stun { .. })),
            "{name}: {events:?}"
        );
    }
    let good = RawStun::check(0xFF, &names(&peer))
        .signed(&peer.router.password)
        .fingerprinted();
    world.receive(other, &good);
    assert_eq!(world.take_sent(other).len(), 1, "the good one is answered");
    assert_eq!(stats(&mut world, &peer).selected, Some(other));
    world.advance_with(Micros::from_secs(1), &mut [&mut peer]);
}

/// I1 and I7 from an unknown tuple: at most shown to Python, which authenticates; the engine keeps and says nothing.
#[test]
fn forged_checks_of_strangers_leave_nothing() {
    let (mut world, peer, _) = two_paths(2);
    let stranger = tuple(6666);
    for (name, check) in forged_checks(&peer) {
        world.receive(stranger, &check);
        assert!(world.sink.sent.is_empty(), "{name} was answered");
        assert_eq!(stats(&mut world, &peer).tuples, 2, "{name} left a tuple");
    }
    // Python is not bothered with what cannot be a check.
    for (name, check) in forged_checks(&peer) {
        world.take_events();
        world.receive(stranger, &check);
        let shown = !world.take_events().is_empty();
        let plausible = [
            "wrong key",
            "the peer's key",
            "wrong remote half",
            "wrong local half",
            "unknown mandatory attribute",
            "error nobody waits for",
        ];
        assert_eq!(shown, plausible.contains(&name), "{name}");
    }
}

/// I3: neither nomination nor priority nor role counts after the signature.
#[test]
fn attributes_after_the_signature_are_as_if_absent() {
    let (mut world, peer, other) = two_paths(3);
    let plain = RawStun::new(0x0001, 1)
        .with(crate::common::stun::USERNAME, &names(&peer))
        .with(PRIORITY, &[0, 0, 0, 1])
        .signed(&peer.router.password);
    let forged = plain
        .with(USE_CANDIDATE, &[])
        .with(PRIORITY, &[0xFF; 4])
        .with(ICE_CONTROLLED, &[1; 8])
        .fingerprinted();
    world.receive(other, &forged);
    let replies = world.take_sent(other);
    assert_eq!(replies.len(), 1);
    assert_eq!(
        replies[0][..2],
        [1, 1],
        "a success response, no role conflict"
    );
    assert_ne!(stats(&mut world, &peer).selected, Some(other));
}

/// I4 with media on the way: the victim's own check, sent again from elsewhere after 50 ms, 1 s and 40 s.
#[test]
fn a_replayed_check_gets_no_media() {
    let (mut world, mut publisher, mut victim) = (World::new(4), Peer::new(1), Peer::new(2));
    world.connect(&mut publisher);
    world.connect(&mut victim);
    world.command(Command::AddProducer(video_producer(
        1,
        publisher.transport,
        &[],
    )));
    world.command(Command::AddSlot(video_slot(2, victim.transport, true)));
    world.command(Command::Assign(SlotId(2), Some(ProducerId(1))));
    let (mut encoder, attacker) = (Encoder::video(7), tuple(6666));
    let check = victim.check(true);
    world.receive(victim.tuple, &check);
    let (mut to_attacker, mut sent_by_attacker, mut to_victim) = (0, 0, 0);
    for step in 0..1_500 {
        if [2, 33, 1_333].contains(&step) {
            world.receive(attacker, &check);
            // Python finds it authentic, as it is.
            world.command(Command::AddTuple {
                transport: victim.transport,
                tuple: attacker,
                nominated: true,
                priority: u32::MAX,
            });
            sent_by_attacker += check.len();
        }
        for packet in encoder.frame(step % 30 == 0, 2) {
            let data = publisher.protect(&packet);
            world.receive(publisher.tuple, &data);
        }
        encoder.pass(2700);
        world.advance_with(Micros::from_millis(30), &mut [&mut publisher, &mut victim]);
        for data in world.take_sent(attacker) {
            assert!(data[0] < 4, "media to the attacker at step {step}");
            to_attacker += data.len();
        }
        to_victim += world.take_media(&mut victim).0.len();
    }
    assert_eq!(stats(&mut world, &victim).selected, Some(victim.tuple));
    assert!(
        to_attacker <= 3 * sent_by_attacker,
        "{to_attacker} bytes for {sent_by_attacker}"
    );
    assert!(to_victim >= 2_900, "the victim saw {to_victim} of 3000");
}

/// I7: whatever a stranger sends, of any first byte and length, nothing comes back and nothing is kept.
#[test]
fn strangers_are_never_answered() {
    let (mut world, mut victim) = (World::new(5), Peer::new(1));
    world.connect(&mut victim);
    let stranger = tuple(6666);
    let before = stats(&mut world, &victim);
    for first in 0..=255u8 {
        for len in 1..=1500usize {
            world.receive(stranger, &vec![first; len]);
        }
    }
    assert!(world.sink.sent.is_empty());
    let after = stats(&mut world, &victim);
    assert_eq!(
        (after.tuples, after.packets_received, after.selected),
        (1, before.packets_received, before.selected)
    );
    assert_eq!(world.core.counters().transports, 1);
}

/// I4: a nomination counts once; sent again from the very address it came from, it does not undo a later one.
#[test]
fn an_old_nomination_sent_again_moves_nothing_back() {
    let (mut world, mut peer, other) = two_paths(10);
    let old = peer.check(true);
    world.receive(peer.tuple, &old);
    world.advance_with(Micros::from_secs(2), &mut [&mut peer]);
    let later = peer.check(true);
    world.receive(other, &later);
    assert_eq!(stats(&mut world, &peer).selected, Some(other));
    world.advance(Micros::from_secs(2));
    world.receive(peer.tuple, &old);
    assert_eq!(stats(&mut world, &peer).selected, Some(other));
}

/// I4: a path is proven by the answer to a challenge that was sent to it, signed by the peer, and by nothing else.
#[test]
fn forged_answers_prove_nothing() {
    let (mut world, mut peer) = (World::new(9), Peer::new(1));
    world.introduce(&mut peer, true);
    let challenge = world.take_sent(peer.tuple).remove(0);
    let answer = |transaction: &[u8], password: &str| {
        let mut message = RawStun::new(0x0101, 0);
        message.0[8..20].copy_from_slice(transaction);
        message
            .with(0x0020, &[0, 1, 0, 0, 0, 0, 0, 0])
            .signed(password)
            .fingerprinted()
    };
    let (transaction, own) = (&challenge[8..20], peer.own.password.as_str());
    let mut broken = answer(transaction, own);
    *broken.last_mut().unwrap() ^= 1;
    let forged = [
        ("another transaction", answer(&[7; 12], own)),
        (
            "the router's key",
            answer(transaction, &peer.router.password),
        ),
        (
            "wrong key",
            answer(transaction, "not the password at all...."),
        ),
        ("wrong fingerprint", broken),
    ];
    for (name, answer) in forged {
        world.receive(peer.tuple, &answer);
        assert_eq!(stats(&mut world, &peer).selected, None, "{name}");
    }
    let elsewhere = tuple(6666);
    world.receive(elsewhere, &answer(transaction, own));
    world.command(Command::AddTuple {
        transport: peer.transport,
        tuple: elsewhere,
        nominated: true,
        priority: 1,
    });
    world.receive(elsewhere, &answer(transaction, own));
    assert_eq!(stats(&mut world, &peer).selected, None, "another path's");
    world.receive(peer.tuple, &answer(transaction, own));
    assert_eq!(stats(&mut world, &peer).selected, Some(peer.tuple));
}

/// I7 and D2: an unproven tuple that sends anything but authentic checks gets nothing for it.
#[test]
fn an_unproven_tuple_earns_nothing_by_noise() {
    let (mut world, mut peer) = (World::new(6), Peer::new(1));
    peer.answers = false;
    world.introduce(&mut peer, true);
    world.advance(Micros::from_secs(20));
    let challenges = world.take_sent(peer.tuple).len();
    assert!((1..=5).contains(&challenges), "{challenges} challenges");
    for first in 0..=255u8 {
        world.receive(peer.tuple, &[first; 120]);
    }
    for (_, check) in forged_checks(&peer) {
        world.receive(peer.tuple, &check);
    }
    world.advance(Micros::from_secs(5));
    assert!(world.sink.sent.is_empty());
    assert_eq!(stats(&mut world, &peer).selected, None);
}

/// D2: once media has a path, DTLS is heard from proven tuples only; whoever replays a check gets no hello through.
#[test]
fn dtls_of_an_unproven_tuple_is_dropped_once_there_is_a_path() {
    let (mut world, peer, other) = two_paths(11);
    let unproven = tuple(6666);
    world.command(Command::AddTuple {
        transport: peer.transport,
        tuple: unproven,
        nominated: true,
        priority: u32::MAX,
    });
    let hello = [22, 254, 253, 0, 0];
    world.take_events();
    for _ in 0..100 {
        world.receive(unproven, &hello);
    }
    assert_eq!(world.dropped("unproven-tuple"), 100);
    assert!(world.take_events().is_empty());
    // Nor has it used up what the peer may send from its proven tuples, selected or not.
    for from in [peer.tuple, other] {
        world.receive(from, &hello);
        assert!(matches!(&world.take_events()[..], [Event::Dtls { tuple, .. }] if *tuple == from));
    }
}

/// I11: a bad check that names another peer, from the tuple of this one, changes nothing for either.
#[test]
fn a_forged_check_does_not_evict_the_owner_of_a_tuple() {
    let (mut world, mut owner, mut rival) = (World::new(7), Peer::new(1), Peer::new(2));
    world.connect(&mut owner);
    world.introduce(&mut rival, false);
    world.advance_with(Micros::from_millis(1), &mut [&mut owner, &mut rival]);
    for (name, check) in forged_checks(&rival) {
        world.receive(owner.tuple, &check);
        let now = stats(&mut world, &owner);
        assert_eq!((now.selected, now.tuples), (Some(owner.tuple), 1), "{name}");
        assert_eq!(stats(&mut world, &rival).tuples, 1, "{name}");
    }
}

/// R14: what each first byte may lead to, in every state of a tuple.
#[test]
fn every_first_byte_in_every_state() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum State {
        Unknown,
        Pending,
        Proven,
        Keyed,
    }
    for state in [State::Unknown, State::Pending, State::Proven, State::Keyed] {
        for first in 0..=255u8 {
            let (mut world, mut peer) = (World::new(8), Peer::new(1));
            match state {
                State::Unknown => {}
                State::Pending => world.introduce(&mut peer, true),
                State::Proven => {
                    world.introduce(&mut peer, true);
                    world.answer_challenges(&mut [&mut peer]);
                }
                State::Keyed => world.connect(&mut peer),
            }
            world.sink.sent.clear();
            world.take_events();
            let mut datagram = [0x60; 100];
            datagram[0] = first;
            world.receive(peer.tuple, &datagram);
            let expected = match (first, state) {
                (0..=3, _) => Some("stun-malformed"),
                (20..=63, State::Unknown) => Some("dtls-unknown-tuple"),
                (20..=63, _) => None,
                (128..=191, State::Unknown) => Some("unknown-tuple"),
                (128..=191, State::Keyed) => Some("srtp-auth"),
                (128..=191, _) => Some("rtp-before-keys"),
                _ => Some("unknown-class"),
            };
            let events = world.take_events();
            match expected {
                Some(reason) => {
                    assert_eq!(world.dropped(reason), 1, "{first} when {state:?}");
                    assert!(events.is_empty(), "{first} when {state:?}");
                }
                None => assert!(
                    matches!(&events[..], [Event::Dtls { .. }]),
                    "{first} when {state:?}"
                ),
            }
            assert!(world.sink.sent.is_empty(), "{first} when {state:?}");
        }
    }
}
