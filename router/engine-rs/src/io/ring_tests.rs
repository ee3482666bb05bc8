//! Rings between two workers: order, wrap, overflow, and two threads that hammer them.

use super::*;
use crate::core::command::{Codec, CodecConfig, EncodingConfig, ExtensionIds, MediaKind};
use crate::core::sink::Class;
use crate::core::{Command, Core, Event, Sink};
use crate::ids::{PayloadType, ProducerId, TransportId, Tuple};
use crate::time::Micros;
use crate::wire::ext::ExtensionValues;
use crate::wire::rtp::RtpHeader;
use std::time::Duration;

/// Keeps the message with which a core asks for packets, the only way to a `MirrorRef`.
#[derive(Default)]
struct Asked(Option<MirrorMessage>);

impl Sink for Asked {
    fn scratch(&mut self) -> &mut [u8] {
        &mut []
    }
    fn commit(&mut self, _: usize, _: Tuple, _: Class) {}
    fn event(&mut self, _: Event) {}
    fn mirror_message(&mut self, _: WorkerId, message: MirrorMessage) {
        self.0 = Some(message);
    }
}

fn head() -> MirrorHead {
    let codec = CodecConfig {
        payload_type: PayloadType(96),
        rtx_payload_type: None,
        codec: Codec::Vp8,
        format: 8,
        clock_rate: 90_000,
        feedback: Vec::new(),
    };
    let config = crate::core::command::ProducerConfig {
        id: ProducerId(1),
        transport: TransportId(1),
        kind: MediaKind::Video,
        mid: None,
        codecs: vec![codec],
        extensions: ExtensionIds::default(),
        encodings: vec![EncodingConfig::default()],
        contributor: 1,
        media_timeout: Micros::from_secs(5),
    };
    let mut asked = Asked::default();
    let command = Command::Mirror(Box::new(config));
    Core::new([0; 32], 0).handle_command(Micros(0), command, &mut asked);
    let Some(MirrorMessage::Watch { mirror, producer }) = asked.0 else {
        panic!("{:?}", asked.0);
    };
    let mut packet = [0; 20];
    packet[0] = 0x80;
    MirrorHead {
        mirror,
        producer,
        encoding: 0,
        arrived: Micros(0),
        header: RtpHeader::parse(&packet).unwrap(),
        extensions: ExtensionValues::default(),
    }
}

fn gone(id: u64) -> MirrorMessage {
    MirrorMessage::Gone {
        producer: ProducerId(id),
    }
}

fn ends() -> (Outlet, Inlet) {
    let mesh = Mesh::new(2).unwrap();
    (Outlet::new(Arc::clone(&mesh), 0), Inlet::new(mesh, 1))
}

const TO: WorkerId = WorkerId(1);

fn take_numbers(inlet: &mut Inlet, limit: usize) -> Vec<u64> {
    inlet.hold_packets(0, limit);
    let number = |(_, bytes): (&MirrorHead, &[u8])| {
        assert!(bytes[8..].iter().all(|byte| *byte == bytes[7]));
        u64::from_be_bytes(bytes[..8].try_into().unwrap())
    };
    let taken = inlet.held().map(number).collect();
    inlet.release_packets();
    taken
}

fn send_number(outlet: &mut Outlet, head: &MirrorHead, number: u64) {
    let mut bytes = vec![number as u8; 20 + (number % 1_200) as usize];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    outlet.send_packet(TO, head, &bytes);
}

#[test]
fn packets_keep_their_order_over_many_rounds() {
    let (mut outlet, mut inlet) = ends();
    let head = head();
    let mut next = 0;
    for round in 0..5 * PACKETS as u64 / 100 {
        for number in round * 100..(round + 1) * 100 {
            send_number(&mut outlet, &head, number);
        }
        for number in take_numbers(&mut inlet, 100) {
            assert_eq!(number, next);
            next += 1;
        }
    }
    assert_eq!((next, outlet.dropped), (outlet.handed_over, 0));
    assert!(outlet.made[1] <= 100, "{} entries", outlet.made[1]);
}

#[test]
fn what_finds_no_room_is_counted_and_the_rest_arrives() {
    let (mut outlet, mut inlet) = ends();
    let head = head();
    for number in 0..PACKETS as u64 + 7 {
        send_number(&mut outlet, &head, number);
    }
    assert_eq!((outlet.handed_over, outlet.dropped), (PACKETS as u64, 7));
    assert_eq!(take_numbers(&mut inlet, 3), [0, 1, 2]);
    for number in 0..4 {
        send_number(&mut outlet, &head, 10_000 + number);
    }
    assert_eq!(outlet.dropped, 8, "three entries came free");
    let rest = take_numbers(&mut inlet, usize::MAX);
    assert_eq!(rest.len(), PACKETS);
    assert_eq!(rest.last(), Some(&10_002));
}

#[test]
fn messages_wait_for_room_in_order() {
    let (mut outlet, mut inlet) = ends();
    let count = 3 * MESSAGES as u64;
    for id in 0..count {
        outlet.send_message(TO, gone(id));
    }
    let mut taken = Vec::new();
    while taken.len() < count as usize {
        outlet.announce();
        assert!(inlet.take_messages());
        while let Some((from, message)) = inlet.next_message() {
            assert_eq!(from, WorkerId(0));
            taken.push(message);
        }
    }
    assert!(!outlet.has_backlog());
    assert_eq!(taken, (0..count).map(gone).collect::<Vec<_>>());
}

#[test]
fn only_a_sleeper_is_woken() {
    let (mut outlet, mut inlet) = ends();
    outlet.send_message(TO, gone(1));
    outlet.announce();
    assert!(!inlet.waker().is_raised(), "it is awake");
    assert!(!inlet.lie_down(), "something waits");
    inlet.get_up(false);
    inlet.take_messages();
    inlet.next_message();
    assert!(inlet.lie_down());
    send_number(&mut outlet, &head(), 5);
    assert!(!inlet.waker().is_raised(), "not announced yet");
    outlet.announce();
    assert!(inlet.waker().is_raised());
    inlet.get_up(true);
    assert!(!inlet.waker().is_raised());
    assert_eq!(take_numbers(&mut inlet, 9), [5]);
}

#[test]
fn nobody_hands_anything_to_itself_or_to_strangers() {
    let (mut outlet, _) = ends();
    for to in [0, 2, 60_000] {
        send_to(&mut outlet, WorkerId(to));
    }
    assert_eq!((outlet.handed_over, outlet.dropped), (0, 0));
    assert!(!outlet.has_backlog());
}

fn send_to(outlet: &mut Outlet, to: WorkerId) {
    outlet.send_packet(to, &head(), &[0; 20]);
    outlet.send_message(to, gone(1));
    outlet.announce();
}

/// The consumer sleeps whenever it may, on its descriptor; were a wake-up lost, it would sleep for ever.
#[test]
fn two_threads_hammer_a_ring() {
    const COUNT: u64 = 200_000;
    let (mut outlet, mut inlet) = ends();
    let head = head();
    let consumer = std::thread::spawn(move || {
        let (mut numbers, mut messages, mut last) = (0, 0, None);
        loop {
            if inlet.lie_down() {
                sleep_on(&inlet);
            }
            inlet.get_up(true);
            for number in take_numbers(&mut inlet, RING_BATCH) {
                assert!(last.is_none_or(|last| last < number), "{number} is late");
                last = Some(number);
                numbers += 1;
            }
            inlet.take_messages();
            while let Some((_, message)) = inlet.next_message() {
                assert_eq!(message, gone(messages));
                messages += 1;
                if message == gone(COUNT / 1_000) {
                    numbers += take_numbers(&mut inlet, usize::MAX).len() as u64;
                    return (numbers, messages);
                }
            }
        }
    });
    for number in 0..COUNT {
        send_number(&mut outlet, &head, number);
        if number % 1_000 == 0 {
            outlet.send_message(TO, gone(number / 1_000));
        }
        if number % 7 == 0 {
            outlet.announce();
        }
    }
    outlet.send_message(TO, gone(COUNT / 1_000));
    while outlet.has_backlog() {
        outlet.announce();
    }
    outlet.announce();
    let (numbers, messages) = consumer.join().unwrap();
    assert_eq!(messages, COUNT / 1_000 + 1);
    assert_eq!(numbers, outlet.handed_over);
    assert_eq!(outlet.handed_over + outlet.dropped, COUNT);
}

fn sleep_on(inlet: &Inlet) {
    let mut entry = libc::pollfd {
        fd: inlet.waker().descriptor(),
        events: libc::POLLIN,
        revents: 0,
    };
    let timeout = Duration::from_secs(10).as_millis() as i32;
    // SAFETY: one live pollfd.
    let ready = unsafe { libc::poll(&raw mut entry, 1, timeout) };
    assert_eq!(ready, 1, "a wake-up was lost");
}
