//! `ReceiveStream` packet by packet: numbering, RTX, probes, restarts, requests, statistics.

use super::super::testing::{Built, producer};
use super::*;

fn stream() -> ReceiveStream {
    ReceiveStream::new(&producer(1, Codec::Other, 1), 0)
}

fn receive<'a>(
    stream: &mut ReceiveStream,
    bytes: &'a [u8],
    at_ms: u64,
) -> Result<MediaPacket<'a>, DropReason> {
    let header = RtpHeader::parse(bytes).expect("valid");
    stream.on_rtp(
        bytes,
        &header,
        &ExtensionValues::default(),
        Micros::from_millis(at_ms),
    )
}

fn receive_rtx<'a>(
    stream: &mut ReceiveStream,
    bytes: &'a [u8],
    at_ms: u64,
) -> Result<Option<MediaPacket<'a>>, DropReason> {
    let header = RtpHeader::parse(bytes).expect("valid");
    stream.on_rtx(
        bytes,
        &header,
        &ExtensionValues::default(),
        Micros::from_millis(at_ms),
    )
}

fn rtp(seq: u16) -> Vec<u8> {
    Built {
        seq,
        timestamp: u32::from(seq) * 3_000,
        payload: &[seq as u8; 100],
        ..Built::default()
    }
    .bytes()
}

fn rtx_of(osn: u16, seq: u16) -> Vec<u8> {
    let payload = [osn.to_be_bytes().as_slice(), &[osn as u8; 100]].concat();
    let built = Built {
        payload_type: 97,
        ssrc: 2,
        seq,
        timestamp: u32::from(osn) * 3_000,
        payload: &payload,
        ..Built::default()
    };
    built.bytes()
}

fn asked(stream: &mut ReceiveStream, at_ms: u64) -> Vec<u16> {
    let mut list = Vec::new();
    stream.poll_nack(Micros::from_millis(at_ms), 100, |seq| list.push(seq.wire()));
    list
}

#[test]
fn numbers_go_up_over_the_wrap() {
    let mut stream = stream();
    let mut last = None;
    for step in 0..10u16 {
        let bytes = rtp(65_531u16.wrapping_add(step));
        let packet = receive(&mut stream, &bytes, u64::from(step)).expect("new");
        assert!(last.is_none_or(|last| packet.seq.0 == last + 1));
        assert!(!packet.restarts);
        last = Some(packet.seq.0);
    }
    assert_eq!(stream.ssrc(), Some(Ssrc(1)));
    assert_eq!(stream.codec(), Some((Codec::Other, PayloadType(96))));
}

#[test]
fn unknown_payload_type_and_duplicates_are_refused() {
    let mut stream = stream();
    let alien = Built {
        payload_type: 100,
        ..Built::default()
    }
    .bytes();
    assert_eq!(
        receive(&mut stream, &alien, 0).err(),
        Some(DropReason::UnknownPayloadType)
    );
    let bytes = rtp(7);
    assert!(receive(&mut stream, &bytes, 0).is_ok());
    assert_eq!(
        receive(&mut stream, &bytes, 0).err(),
        Some(DropReason::Duplicate)
    );
    assert_eq!(stream.stats(Micros(0)).packets_duplicated, 1);
}

#[test]
fn loss_is_asked_for_and_repaired_by_rtx() {
    let mut stream = stream();
    for seq in [10, 11, 14] {
        receive(&mut stream, &rtp(seq), 0).expect("new");
    }
    assert_eq!(stream.nack_deadline(), Some(Micros::from_millis(10)));
    assert_eq!(asked(&mut stream, 10), [12, 13]);
    let bytes = rtx_of(12, 900);
    let repaired = receive_rtx(&mut stream, &bytes, 60)
        .expect("known")
        .expect("no probe");
    assert_eq!(
        (repaired.header.ssrc, repaired.header.payload_type),
        (Ssrc(1), PayloadType(96))
    );
    assert_eq!(
        (repaired.header.seq, repaired.payload()),
        (12, [12; 100].as_slice())
    );
    assert_eq!(asked(&mut stream, 300), [13]);
    stream.on_forward(&repaired);
    let kept = stream
        .history()
        .get(repaired.seq, Micros::from_millis(60))
        .expect("kept");
    assert_eq!(
        kept.header.payload.of(kept.bytes),
        [12; 100],
        "the history knows the original"
    );
    let stats = stream.stats(Micros::from_millis(60));
    assert_eq!(
        (
            stats.packets_repaired,
            stats.retransmitted_packets_received,
            stats.nack_count
        ),
        (1, 1, 2)
    );
    assert_eq!((stats.rtx_ssrc, stats.packets_lost), (Some(Ssrc(2)), 2));
}

#[test]
fn rtx_that_is_a_probe_or_nonsense_changes_nothing() {
    let mut stream = stream();
    assert_eq!(
        receive_rtx(&mut stream, &rtx_of(10, 0), 0).err(),
        Some(DropReason::RtxUnknown),
        "before the stream"
    );
    for seq in [10, 12] {
        receive(&mut stream, &rtp(seq), 0).expect("new");
    }
    let probe = Built {
        payload_type: 97,
        ssrc: 2,
        payload: &[],
        padding: 224,
        ..Built::default()
    }
    .bytes();
    assert!(matches!(receive_rtx(&mut stream, &probe, 1), Ok(None)));
    for short in [&[][..], &[0]] {
        let bytes = Built {
            payload_type: 97,
            ssrc: 2,
            payload: short,
            ..Built::default()
        }
        .bytes();
        assert_eq!(
            receive_rtx(&mut stream, &bytes, 1).err(),
            Some(DropReason::RtxMalformed)
        );
    }
    assert_eq!(
        receive_rtx(&mut stream, &rtx_of(12, 1), 1).err(),
        Some(DropReason::Duplicate),
        "probe with old media"
    );
    assert_eq!(
        receive_rtx(&mut stream, &rtx_of(5_000, 2), 1).err(),
        Some(DropReason::TooOld),
        "never sent"
    );
    let wrong_type = Built {
        payload_type: 98,
        ssrc: 2,
        ..Built::default()
    }
    .bytes();
    assert_eq!(
        receive_rtx(&mut stream, &wrong_type, 1).err(),
        Some(DropReason::RtxUnknown)
    );
    assert!(
        receive_rtx(&mut stream, &rtx_of(11, 3), 1)
            .expect("known")
            .is_some(),
        "still repairable"
    );
}

#[test]
fn padding_only_packet_counts_but_is_no_media() {
    let mut stream = stream();
    receive(&mut stream, &rtp(10), 0).expect("new");
    let bytes = Built {
        seq: 11,
        payload: &[],
        padding: 100,
        ..Built::default()
    }
    .bytes();
    let packet = receive(&mut stream, &bytes, 0).expect("new");
    stream.on_forward(&packet);
    assert!(packet.payload().is_empty() && !packet.content.begins_key_frame);
    assert!(stream.history().get(packet.seq, Micros(0)).is_none());
    let stats = stream.stats(Micros(0));
    assert_eq!(
        (
            stats.packets_received,
            stats.frames_received,
            stats.bytes_received
        ),
        (2, 1, 100)
    );
    assert_eq!(stats.header_bytes_received, 12 + 112);
}

#[test]
fn another_ssrc_is_another_range_of_numbers() {
    let mut stream = stream();
    let first = rtp(10);
    let before = receive(&mut stream, &first, 0).expect("new");
    stream.on_forward(&before);
    let bytes = Built {
        seq: 10,
        ssrc: 3,
        ..Built::default()
    }
    .bytes();
    let after = receive(&mut stream, &bytes, 0).expect("not a duplicate");
    assert!(after.restarts && after.seq != before.seq && after.seq.wire() == 10);
    assert!(
        stream.history().get(before.seq, Micros(0)).is_none(),
        "the old one is not mistaken for the new"
    );
    assert_eq!(stream.report(Micros(0)).expect("received").ssrc, Ssrc(3));
}

#[test]
fn jump_restarts_and_asks_for_a_key_frame() {
    let mut stream = stream();
    receive(&mut stream, &rtp(10), 0).expect("new");
    let bytes = rtp(20_010);
    assert!(receive(&mut stream, &bytes, 0).expect("new").restarts);
    assert_eq!(asked(&mut stream, 500), [] as [u16; 0]);
    // `Other` has no frames to wait for, so the packet after the jump already serves.
    stream.request_key_frame(Micros::from_millis(1));
    assert_eq!(
        stream.poll_key_frame(Micros::from_millis(1)),
        Some(Feedback::Pli)
    );
    assert_eq!(stream.poll_key_frame(Micros::from_millis(2)), None);
    assert_eq!(stream.stats(Micros(0)).pli_count, 1);
}

#[test]
fn key_frames_are_asked_by_what_was_agreed() {
    let mut config = producer(1, Codec::Vp8, 1);
    for (feedback, expected) in [
        (vec![Feedback::Fir], Some(Feedback::Fir)),
        (vec![Feedback::Fir, Feedback::Pli], Some(Feedback::Pli)),
        (vec![], None),
    ] {
        config.codecs[0].feedback = feedback;
        let mut stream = ReceiveStream::new(&config, 0);
        stream.request_key_frame(Micros(0));
        assert_eq!(stream.poll_key_frame(Micros(0)), None, "nobody to ask yet");
        receive(&mut stream, &rtp(1), 0).expect("new");
        assert_eq!(stream.key_frame_deadline().is_some(), expected.is_some());
        assert_eq!(stream.poll_key_frame(Micros(0)), expected);
    }
    let mut audio = ReceiveStream::new(&producer(1, Codec::Opus, 1), 0);
    receive(&mut audio, &rtp(1), 0).expect("new");
    audio.request_key_frame(Micros(0));
    assert_eq!(audio.key_frame_deadline(), None);
}

#[test]
fn without_nack_nothing_is_asked() {
    let mut audio = ReceiveStream::new(&producer(1, Codec::Opus, 1), 0);
    for seq in [1, 5] {
        receive(&mut audio, &rtp(seq), 0).expect("new");
    }
    assert_eq!(audio.nack_deadline(), None);
    assert!(asked(&mut audio, 1_000).is_empty());
}

#[test]
fn gives_up_and_asks_for_a_key_frame() {
    let mut stream = ReceiveStream::new(&producer(1, Codec::Vp8, 1), 0);
    for seq in [1, 3] {
        receive(&mut stream, &rtp(seq), 0).expect("new");
    }
    let mut now = Micros(0);
    let mut plis = 0;
    while let Some(deadline) = stream
        .nack_deadline()
        .into_iter()
        .chain(stream.key_frame_deadline())
        .min()
        .filter(|&deadline| deadline < Micros::from_secs(3))
    {
        now = now.max(deadline);
        stream.poll_nack(now, 100, |_| {});
        plis += u32::from(stream.poll_key_frame(now).is_some());
    }
    assert!(plis >= 2, "asked and repeated: {plis}");
}

#[test]
fn measures_what_flows() {
    let mut stream = stream();
    for step in 0..100u16 {
        receive(&mut stream, &rtp(step), u64::from(step) * 20).expect("new");
    }
    let measured = stream.measure(Micros::from_millis(2_000));
    assert!(measured.flowing);
    let base = measured.layers[0];
    assert!((40_000..=50_000).contains(&base.bps), "{measured:?}");
    assert!((base.frame_rate - 50.0).abs() < 6.0, "{measured:?}");
    assert!(!stream.measure(Micros::from_millis(2_980)).flowing);
}

#[test]
fn sender_report_is_kept_for_report_and_anchor() {
    let mut stream = stream();
    assert_eq!(stream.report(Micros(0)), None);
    receive(&mut stream, &rtp(1), 0).expect("new");
    let anchor = Anchor {
        timestamp: 5,
        at: Micros(7),
    };
    stream.on_sender_report(0x0001_0002_0003_0004, anchor, Micros::from_secs(1));
    assert_eq!(
        stream
            .report(Micros::from_secs(2))
            .expect("received")
            .last_sr,
        0x0002_0003
    );
    assert_eq!(stream.anchor(), Some(anchor));
}
