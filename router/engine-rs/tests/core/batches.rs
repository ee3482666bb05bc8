//! Packets that arrive together: forwarded receiver by receiver, evened out in size, and otherwise as if each had come
//! alone.

use crate::common::media::{Encoder, video_producer};
use crate::common::{Call, Peer};
use fork_router_engine::core::Command;
use fork_router_engine::ids::{Mid, ProducerId, Ssrc, Tuple};
use fork_router_engine::wire::rtcp::write_nack;
use fork_router_engine::wire::rtp::RtpHeader;

/// A frame whose packets are longer by these numbers of bytes.
fn uneven(encoder: &mut Encoder, key: bool, longer: &[usize]) -> Vec<Vec<u8>> {
    let mut frame = encoder.frame(key, longer.len());
    for (packet, longer) in frame.iter_mut().zip(longer) {
        packet.resize(packet.len() + longer, 0x77);
    }
    encoder.pass(3_000);
    frame
}

fn publish_together(call: &mut Call, packets: &[Vec<u8>]) {
    let from = call.publisher.tuple;
    let publisher = &mut call.publisher;
    let batch: Vec<(Tuple, Vec<u8>)> = packets
        .iter()
        .map(|packet| (from, publisher.protect(packet)))
        .collect();
    call.world.receive_batch(&batch);
}

/// Sizes of what left to each receiver, in the order of sending.
fn sent_sizes(call: &Call) -> Vec<(Tuple, Vec<usize>)> {
    let mut runs: Vec<(Tuple, Vec<usize>)> = Vec::new();
    for (to, data) in &call.world.sink.sent {
        match runs.last_mut() {
            Some((last, sizes)) if last == to => sizes.push(data.len()),
            _ => runs.push((*to, vec![data.len()])),
        }
    }
    runs
}

fn payload(packet: &[u8]) -> Vec<u8> {
    let header = RtpHeader::parse(packet).unwrap();
    header.payload.of(packet).to_vec()
}

#[test]
fn each_receiver_gets_all_of_its_own_in_a_row() {
    let mut call = Call::new(1, &[], 3, true);
    let frame = Encoder::video(7).frame(true, 5);
    publish_together(&mut call, &frame);
    let runs = sent_sizes(&call);
    let to: Vec<Tuple> = call.subscribers.iter().map(|it| it.peer.tuple).collect();
    assert_eq!(runs.iter().map(|run| run.0).collect::<Vec<_>>(), to);
    assert!(runs.iter().all(|(_, sizes)| sizes.len() == 5), "{runs:?}");
    call.deliver_all();
    for subscriber in &call.subscribers {
        let got: Vec<_> = subscriber
            .view
            .packets
            .values()
            .map(|it| payload(it))
            .collect();
        let sent: Vec<_> = frame.iter().map(|it| payload(it)).collect();
        assert_eq!(got.len(), sent.len());
        for (got, sent) in got.iter().zip(&sent) {
            assert_eq!(got[4..], sent[4..], "behind the picture id");
        }
    }
}

#[test]
fn sizes_of_a_frame_are_evened_out_and_payloads_are_not() {
    let mut call = Call::new(2, &[], 2, true);
    let frame = uneven(&mut Encoder::video(7), true, &[0, 1, 1, 12, 0, 3]);
    publish_together(&mut call, &frame);
    for (_, sizes) in sent_sizes(&call) {
        let (last, run) = sizes.split_last().unwrap();
        assert!(run.iter().all(|size| *size == run[0]), "{sizes:?}");
        assert!(*last <= run[0], "{sizes:?}");
    }
    call.deliver_all();
    for subscriber in &call.subscribers {
        for (got, sent) in subscriber.view.packets.values().zip(&frame) {
            assert_eq!(payload(got)[4..], payload(sent)[4..]);
            assert_eq!(
                RtpHeader::parse(got).unwrap().padding > 0,
                got[0] & 0x20 != 0
            );
        }
    }
    let counters = call.world.core.counters();
    // Two receivers; of six packets the third longest and the last need nothing.
    assert_eq!(
        (counters.padded_packets, counters.padding_bytes),
        (8, 2 * (12 + 11 + 11 + 12))
    );
}

#[test]
fn what_comes_alone_or_differs_much_is_not_padded() {
    let mut call = Call::new(3, &[], 1, true);
    let mut encoder = Encoder::video(7);
    for longer in [&[5][..], &[0, 100, 300], &[400, 100]] {
        publish_together(&mut call, &uneven(&mut encoder, true, longer));
    }
    let counters = call.world.core.counters();
    assert_eq!((counters.rtp_packets_sent, counters.padded_packets), (6, 0));
}

/// RFC 3711 section 9.1: the same number must never carry another plaintext, padding included.
#[test]
fn a_padded_packet_repeated_without_rtx_is_the_same() {
    let mut call = Call::new(4, &[], 1, false);
    let frame = uneven(&mut Encoder::video(7), true, &[0, 9, 9, 9]);
    publish_together(&mut call, &frame);
    let secured = call.world.sink.sent[0].clone();
    let first = call.world.take_media(&mut call.subscribers[0].peer).0;
    let header = RtpHeader::parse(&first[0]).unwrap();
    assert_eq!(header.padding, 9);
    let mut nack = [0; 16];
    let ssrc = call.subscribers[0].slot.ssrc;
    let len = write_nack(&mut nack, Ssrc(1), ssrc, &[header.seq]).unwrap();
    call.pass(100);
    call.world.sink.sent.clear();
    call.send_rtcp(0, &nack[..len]);
    assert_eq!(call.world.sink.sent, [secured]);
}

#[test]
fn retransmissions_by_rtx_are_not_padded() {
    let mut call = Call::new(5, &[], 1, true);
    let frame = uneven(&mut Encoder::video(7), true, &[0, 9, 9, 9]);
    publish_together(&mut call, &frame);
    let first = call.world.take_media(&mut call.subscribers[0].peer).0;
    let seq = RtpHeader::parse(&first[0]).unwrap().seq;
    let mut nack = [0; 16];
    let len = write_nack(&mut nack, Ssrc(1), call.subscribers[0].slot.ssrc, &[seq]).unwrap();
    call.pass(100);
    call.world.sink.sent.clear();
    call.send_rtcp(0, &nack[..len]);
    let again = call.world.take_media(&mut call.subscribers[0].peer).0;
    assert_eq!(again.len(), 1);
    assert_eq!(RtpHeader::parse(&again[0]).unwrap().padding, 0);
}

/// A receiver asks for a packet that lies in the same batch, behind its request.
#[test]
fn a_packet_asked_for_while_it_waits_is_sent_once() {
    let mut call = Call::new(6, &[], 1, true);
    let mut encoder = Encoder::video(7);
    publish_together(&mut call, &encoder.frame(true, 2));
    encoder.pass(3_000);
    let first = call.world.take_media(&mut call.subscribers[0].peer).0;
    let last = RtpHeader::parse(&first[1]).unwrap().seq;
    let mut nack = [0; 16];
    let ssrc = call.subscribers[0].slot.ssrc;
    let next = last.wrapping_add(1);
    let len = write_nack(&mut nack, Ssrc(1), ssrc, &[next]).unwrap();
    let frame = encoder.frame(false, 2);
    let publisher = call.publisher.tuple;
    let mut batch: Vec<_> = frame
        .iter()
        .map(|packet| (publisher, call.publisher.protect(packet)))
        .collect();
    let peer = &mut call.subscribers[0].peer;
    batch.insert(1, (peer.tuple, peer.protect_rtcp(&nack[..len])));
    call.world.receive_batch(&batch);
    let got = call.world.take_media(&mut call.subscribers[0].peer).0;
    let seqs: Vec<u16> = got
        .iter()
        .map(|it| RtpHeader::parse(it).unwrap().seq)
        .collect();
    assert_eq!(seqs, [next, next.wrapping_add(1)]);
}

/// Two cameras in one batch, and the slot changes from one to the other at a key frame in it.
#[test]
fn a_slot_changes_its_source_within_a_batch() {
    let mut call = Call::new(7, &[], 1, true);
    let mut other = Peer::new(2);
    call.world.connect(&mut other);
    let mut config = video_producer(2, other.transport, &[]);
    config.mid = Mid::from("2").ok();
    call.world.command(Command::AddProducer(config));
    let mut encoder = Encoder::video(7);
    publish_together(&mut call, &encoder.frame(true, 2));
    encoder.pass(3_000);
    let slot = call.subscribers[0].slot.id;
    call.world
        .command(Command::Assign(slot, Some(ProducerId(2))));
    call.deliver_all();
    let mut second = Encoder {
        mid: Some("2"),
        ..Encoder::video(9)
    };
    let from = call.publisher.tuple;
    let mut batch: Vec<_> = encoder
        .frame(false, 2)
        .iter()
        .map(|packet| (from, call.publisher.protect(packet)))
        .collect();
    let news = second.frame(true, 3);
    batch.extend(
        news.iter()
            .map(|packet| (other.tuple, other.protect(packet))),
    );
    call.world.receive_batch(&batch);
    call.deliver_all();
    let view = &call.subscribers[0].view;
    assert!(view.missing().is_empty());
    let last: Vec<_> = view
        .packets
        .values()
        .rev()
        .take(3)
        .map(|it| payload(it))
        .collect();
    for (got, sent) in last.iter().rev().zip(&news) {
        assert_eq!(got[4..], payload(sent)[4..]);
    }
    let stats = call.slot_stats(0);
    assert_eq!(stats.shown_producer, Some(ProducerId(2)));
    assert_eq!(stats.packets_sent, 7);
}

#[test]
fn more_packets_than_one_pass_takes_are_all_forwarded() {
    let mut call = Call::new(8, &[], 2, true);
    let frame = Encoder::video(7).frame(true, 150);
    publish_together(&mut call, &frame);
    call.deliver_all();
    for subscriber in &call.subscribers {
        assert_eq!(subscriber.view.packets.len(), 150);
        assert!(subscriber.view.missing().is_empty());
    }
}

/// Who is served last is late, and the first to go short: so it is another one each time.
#[test]
fn receivers_take_turns_in_being_first() {
    let mut call = Call::new(9, &[], 3, true);
    let to: Vec<Tuple> = call.subscribers.iter().map(|it| it.peer.tuple).collect();
    let mut encoder = Encoder::video(7);
    for turn in 0..6 {
        call.world.sink.sent.clear();
        publish_together(&mut call, &encoder.frame(turn == 0, 2));
        encoder.pass(3_000);
        let served: Vec<Tuple> = sent_sizes(&call).iter().map(|run| run.0).collect();
        let expected: Vec<Tuple> = (0..3).map(|at| to[(turn + at) % 3]).collect();
        assert_eq!(served, expected, "turn {turn}");
    }
}
