//! Packets written and read back by the parser that receivers are modelled on.

use super::super::picture::Cut;
use super::*;
use crate::core::command::{ExtensionIds, MediaKind};
use crate::ids::{SeqNo, SlotId, TransportId};
use crate::recv::content::read_content;
use crate::recv::dependencies::Dependencies;
use crate::recv::testing::{Built, codec, producer, vp8};
use crate::time::Micros;
use crate::wire::ext::ExtensionValues;
use crate::wire::rtp::RtpHeader;
use proptest::prelude::*;

const MID: u8 = 4;
const LEVEL: u8 = 5;
const CSRC_LEVEL: u8 = 6;
const ORIENTATION: u8 = 9;
const DEPENDENCY: u8 = 7;

fn slot_config(codec_of: Codec) -> SlotConfig {
    SlotConfig {
        id: SlotId(1),
        transport: TransportId(2),
        kind: MediaKind::Video,
        mid: Some(Mid::from("v0").expect("short")),
        ssrc: Ssrc(0xAAAA),
        rtx_ssrc: Some(Ssrc(0xBBBB)),
        codecs: vec![codec(codec_of, 120, Some(121))],
        extensions: ExtensionIds(vec![
            (Extension::Mid, MID),
            (Extension::AudioLevel, LEVEL),
            (Extension::CsrcAudioLevel, CSRC_LEVEL),
            (Extension::VideoOrientation, ORIENTATION),
            (Extension::DependencyDescriptor, DEPENDENCY),
            (Extension::TransportCc, 3),
        ]),
        allow_mixed_extensions: false,
    }
}

/// For a receiver that understands two-byte elements.
fn mixed_plan(codec_of: Codec) -> RewritePlan {
    let slot = SlotConfig {
        allow_mixed_extensions: true,
        ..slot_config(codec_of)
    };
    RewritePlan::new(&slot, &producer(1, codec_of, 1))
}

fn plan(codec_of: Codec) -> RewritePlan {
    RewritePlan::new(&slot_config(codec_of), &producer(1, codec_of, 1))
}

/// Ids of the producer's side: audio level 1, orientation 13, as `testing::producer` has them, and transport-cc 2.
fn received(bytes: &[u8], codec_of: Codec) -> MediaPacket<'_> {
    let header = RtpHeader::parse(bytes).expect("valid");
    let ids = vec![
        (Extension::AudioLevel, 1),
        (Extension::TransportCc, 2),
        (Extension::CsrcAudioLevel, 3),
        (Extension::VideoOrientation, 13),
        (Extension::DependencyDescriptor, 14),
    ];
    let map = ExtensionMap::new(&ExtensionIds(ids));
    let extensions = ExtensionValues::parse(bytes, header.extension.as_ref(), &map);
    let mut content = read_content(codec_of, header.payload.of(bytes));
    if let Some(value) = extensions.dependency_descriptor {
        let mut dependencies = Dependencies::default();
        dependencies.learn(value.of(bytes));
        if let Some((dependency, layers)) = dependencies.read(value.of(bytes)) {
            content = content.with_dependency(dependency, layers);
        }
    }
    MediaPacket {
        in_key_frame: false,
        padding: 0,
        bytes,
        header,
        extensions,
        seq: SeqNo(u64::from(header.seq)),
        arrived: Micros(0),
        content,
        restarts: false,
    }
}

fn write(plan: &RewritePlan, packet: &MediaPacket, form: Form) -> Option<(Vec<u8>, Written)> {
    let numbers = Numbers {
        seq: 777,
        timestamp: 888,
        picture: PictureNumbers {
            picture_id: 0x1234,
            frame_number: 0xABCD,
            tl0_picture_index: 99,
            cut: Cut::default(),
        },
    };
    let mut out = vec![0xEE; MAX_DATAGRAM];
    let codec = plan.codec(packet.header.payload_type).expect("accepted");
    let written = plan.write(packet, codec, numbers, form, &mut out)?;
    out.truncate(written.len);
    Some((out, written))
}

fn read(bytes: &[u8]) -> (RtpHeader, ExtensionValues) {
    let header = RtpHeader::parse(bytes).expect("what we write is valid");
    let map = ExtensionMap::new(&slot_config(Codec::Other).extensions);
    let values = ExtensionValues::parse(bytes, header.extension.as_ref(), &map);
    (header, values)
}

#[test]
fn the_hop_is_replaced_and_the_rest_passes() {
    let extensions = [
        Element {
            id: 1,
            value: &[128 + 33],
        },
        Element {
            id: 2,
            value: &[1, 2],
        },
        Element {
            id: 13,
            value: &[3],
        },
    ];
    let built = Built {
        marker: true,
        extensions: &extensions,
        csrcs: &[7, 8],
        padding: 50,
        ..Built::default()
    };
    let bytes = built.bytes();
    let (out, written) = write(
        &plan(Codec::Other),
        &received(&bytes, Codec::Other),
        Form::Media,
    )
    .expect("fits");
    let (header, values) = read(&out);
    assert_eq!(
        (header.ssrc, header.payload_type),
        (Ssrc(0xAAAA), PayloadType(120))
    );
    assert_eq!(
        (header.seq, header.timestamp, header.marker),
        (777, 888, true)
    );
    assert_eq!(header.csrcs(), [7, 8, 0xC1]);
    assert_eq!(
        (header.payload.of(&out), header.padding),
        (b"payload".as_slice(), 0)
    );
    assert_eq!(values.mid.as_deref(), Some("v0"));
    assert_eq!(
        values.audio_level.map(|level| (level.level, level.voice)),
        Some((33, true))
    );
    assert_eq!(
        values.video_orientation.map(|span| span.of(&out)),
        Some([3].as_slice())
    );
    assert_eq!(values.transport_cc, Some(0), "hop by hop: room for ours");
    assert_eq!(
        written,
        Written {
            len: out.len(),
            header_len: out.len() - 7,
            padding: 0,
            trimmed: false
        }
    );
}

#[test]
fn levels_follow_the_contributors() {
    let extensions = [
        Element {
            id: 1,
            value: &[20],
        },
        Element {
            id: 3,
            value: &[40],
        },
    ];
    let bytes = Built {
        extensions: &extensions,
        csrcs: &[7, 8],
        ..Built::default()
    }
    .bytes();
    let (out, _) = write(
        &plan(Codec::Other),
        &received(&bytes, Codec::Other),
        Form::Media,
    )
    .expect("fits");
    let levels = read(&out).1.csrc_levels.map(|span| span.of(&out).to_vec());
    assert_eq!(
        levels,
        Some(vec![40, SILENCE, 20]),
        "given, unknown, the publisher's own"
    );
    let bytes = Built {
        csrcs: &[7],
        ..Built::default()
    }
    .bytes();
    let (out, _) = write(
        &plan(Codec::Other),
        &received(&bytes, Codec::Other),
        Form::Media,
    )
    .expect("fits");
    assert_eq!(read(&out).1.csrc_levels, None, "no levels are made up");
}

#[test]
fn fifteen_contributors_leave_no_place_for_ours() {
    let csrcs: Vec<u32> = (1..=15).collect();
    let bytes = Built {
        csrcs: &csrcs,
        ..Built::default()
    }
    .bytes();
    let (out, written) = write(
        &plan(Codec::Other),
        &received(&bytes, Codec::Other),
        Form::Media,
    )
    .expect("fits");
    assert_eq!(read(&out).0.csrcs(), csrcs.as_slice());
    assert!(written.trimmed, "ours is missed");
}

#[test]
fn rtx_carries_the_number_in_front() {
    let bytes = Built::default().bytes();
    let packet = received(&bytes, Codec::Other);
    let (out, _) = write(&plan(Codec::Other), &packet, Form::Rtx(Ssrc(0xBBBB), 5)).expect("fits");
    let (header, values) = read(&out);
    assert_eq!(
        (header.ssrc, header.payload_type, header.seq),
        (Ssrc(0xBBBB), PayloadType(121), 5)
    );
    assert_eq!(
        header.payload.of(&out),
        [&777u16.to_be_bytes()[..], b"payload"].concat()
    );
    assert_eq!((header.timestamp, values.mid.as_deref()), (888, Some("v0")));
}

#[test]
fn vp8_numbers_are_patched_in_media_and_rtx() {
    let payload = vp8(5, 6, 0, true);
    let bytes = Built {
        payload: &payload,
        ..Built::default()
    }
    .bytes();
    let packet = received(&bytes, Codec::Vp8);
    for (form, skip) in [(Form::Media, 0), (Form::Rtx(Ssrc(0xBBBB), 5), 2)] {
        let (out, _) = write(&plan(Codec::Vp8), &packet, form).expect("fits");
        let sent = &read(&out).0.payload.of(&out)[skip..];
        let content = read_content(Codec::Vp8, sent);
        let descriptor = content.descriptor.expect("still VP8");
        assert_eq!(
            (
                descriptor.picture_id().map(|id| id.value),
                descriptor.tl0_pic_idx()
            ),
            (Some(0x1234), Some(99))
        );
        assert!(content.begins_key_frame);
        assert_eq!(sent[5..], payload[5..], "nothing else changes");
    }
}

#[test]
fn codecs_are_matched_by_format() {
    let mut slot = slot_config(Codec::H264);
    let mut source = producer(1, Codec::H264, 1);
    assert!(RewritePlan::new(&slot, &source).has_codec());
    source.codecs[0].format += 1;
    assert!(
        !RewritePlan::new(&slot, &source).has_codec(),
        "another H264 profile"
    );
    slot.codecs = vec![codec(Codec::Vp8, 100, None)];
    let vp8_source = producer(1, Codec::Vp8, 1);
    let planned = RewritePlan::new(&slot, &vp8_source)
        .codec(PayloadType(96))
        .expect("VP8");
    assert_eq!((planned.to, planned.rtx), (PayloadType(100), None));
    assert!(planned.waits_for_key_frame());
    let audio = RewritePlan::new(&slot_config(Codec::Opus), &producer(1, Codec::Opus, 1));
    assert!(
        !audio
            .codec(PayloadType(96))
            .expect("opus")
            .waits_for_key_frame()
    );
}

#[test]
fn too_large_loses_our_additions_first() {
    let plan = plan(Codec::Other);
    let orientation = [Element {
        id: 13,
        value: &[3],
    }];
    // What is left of the header at each payload size: CSRC, MID, orientation.
    let table = [
        (MAX_RTP - 12 - 4 - 12, Some((1, true, true, false))),
        (MAX_RTP - 12 - 4 - 12 + 1, Some((0, true, true, true))),
        (MAX_RTP - 12 - 12, Some((0, true, true, true))),
        (MAX_RTP - 12 - 12 + 1, Some((0, false, false, true))),
        (MAX_RTP - 12, Some((0, false, false, true))),
        (MAX_RTP - 12 + 1, None),
    ];
    for (size, expected) in table {
        let payload = vec![1; size];
        let bytes = Built {
            payload: &payload,
            extensions: &orientation,
            ..Built::default()
        }
        .bytes();
        let sent =
            write(&plan, &received(&bytes, Codec::Other), Form::Media).map(|(out, written)| {
                assert!(out.len() <= MAX_RTP);
                let (header, values) = read(&out);
                (
                    header.csrcs().len(),
                    values.mid.is_some(),
                    values.video_orientation.is_some(),
                    written.trimmed,
                )
            });
        assert_eq!(sent, expected, "{size}");
    }
}

/// A key frame's first packet, its structure too long for a one-byte element.
const STRUCTURE: [u8; 20] = [
    0x80, 0, 50, 0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
];

fn with_dependency(value: &[u8], payload: &[u8]) -> Vec<u8> {
    Built {
        extensions: &[Element { id: 14, value }],
        payload,
        ..Built::default()
    }
    .bytes()
}

#[test]
fn the_frame_number_is_patched_in_media_and_rtx() {
    let plan = mixed_plan(Codec::Av1);
    assert!(plan.sends_dependency());
    for value in [&STRUCTURE[..], &[0x41, 0, 51]] {
        let bytes = with_dependency(value, b"payload");
        let packet = received(&bytes, Codec::Av1);
        for form in [Form::Media, Form::Rtx(Ssrc(0xBBBB), 5)] {
            let (out, _) = write(&plan, &packet, form).expect("fits");
            let sent = read(&out).1.dependency_descriptor.expect("sent").of(&out);
            assert_eq!((sent[0], &sent[1..3]), (value[0], &[0xAB, 0xCD][..]));
            assert_eq!(sent[3..], value[3..], "nothing else changes");
        }
    }
}

#[test]
fn a_dependency_descriptor_is_sent_only_to_who_can_have_all_of_it() {
    let sent = |plan: &RewritePlan, value: &[u8]| {
        let bytes = with_dependency(value, b"payload");
        let (out, _) = write(plan, &received(&bytes, Codec::Av1), Form::Media).expect("fits");
        read(&out).1.dependency_descriptor.is_some()
    };
    let mut slot = slot_config(Codec::Av1);
    let source = producer(1, Codec::Av1, 1);
    let all = mixed_plan(Codec::Av1);
    assert!(sent(&all, &[0x41, 0, 51]));
    assert!(!sent(&all, &[0x41, 0]), "one that cannot be read");
    let short_elements = RewritePlan::new(&slot, &source);
    assert!(!sent(&short_elements, &[0x41, 0, 51]));
    slot.extensions
        .0
        .retain(|(extension, _)| *extension == Extension::Mid);
    slot.allow_mixed_extensions = true;
    let plain = RewritePlan::new(&slot, &source);
    assert!(!plain.sends_dependency() && !sent(&plain, &STRUCTURE));
}

#[test]
fn the_dependency_descriptor_is_left_out_last() {
    let plan = mixed_plan(Codec::Av1);
    // Header with the descriptor alone: 12, the block's 4, and 4 of the element.
    let table = [
        (MAX_RTP - 20, (true, false)),
        (MAX_RTP - 19, (false, false)),
    ];
    for (size, expected) in table {
        let bytes = with_dependency(&[0x41, 0, 51], &vec![1; size]);
        let (out, _) = write(&plan, &received(&bytes, Codec::Av1), Form::Media).expect("fits");
        let values = read(&out).1;
        let left = (values.dependency_descriptor.is_some(), values.mid.is_some());
        assert_eq!(left, expected, "{size}");
    }
}

/// What is sent of a packet of `count` CSRCs and this size in all, with levels or without.
fn with_csrcs(
    count: u32,
    size: usize,
    levels: bool,
    form: Form,
) -> (Vec<u8>, Option<(Vec<u8>, Written)>) {
    let csrcs: Vec<u32> = (1..=count).collect();
    let values = vec![30; count.max(1) as usize];
    let extensions = [Element {
        id: 3,
        value: &values,
    }];
    let mut built = Built {
        csrcs: &csrcs,
        extensions: if levels { &extensions } else { &[] },
        payload: &[],
        ..Built::default()
    };
    let payload = vec![7; size - built.bytes().len()];
    built.payload = &payload;
    let bytes = built.bytes();
    let sent = write(&plan(Codec::Other), &received(&bytes, Codec::Other), form);
    (payload, sent)
}

#[test]
fn contributors_of_any_number_pass_at_any_size() {
    for count in [0, 1, 14, 15] {
        for levels in [false, true] {
            for rtx in [false, true] {
                let form = if rtx {
                    Form::Rtx(Ssrc(0xBBBB), 5)
                } else {
                    Form::Media
                };
                let osn = if rtx { OSN_LEN } else { 0 };
                for size in (1_100..1_200).chain(MAX_RTP - 60..=MAX_RTP - osn) {
                    let (payload, sent) = with_csrcs(count, size, levels, form);
                    let (out, written) = sent.expect("what arrives can leave");
                    assert!(out.len() <= MAX_RTP, "{count} at {size}");
                    let (header, values) = read(&out);
                    assert_eq!(header.payload.of(&out)[osn..], payload);
                    let own: Vec<u32> = (1..=count).collect();
                    assert!(header.csrcs().starts_with(&own), "{count} at {size}");
                    let ours = header.csrcs().get(own.len()) == Some(&0xC1);
                    assert!(ours || written.trimmed, "counted when it is missing");
                    if size < 1_200 {
                        assert_eq!((ours, values.mid.is_some()), (count < 15, true));
                    }
                    if let Some(span) = values.csrc_levels {
                        assert_eq!(span.len(), header.csrcs().len(), "one each");
                    }
                }
            }
        }
    }
}

#[test]
fn filler_is_padding_only() {
    let mut out = [0; 64];
    let written = plan(Codec::Other)
        .write_filler(PayloadType(120), 9, 10, &mut out)
        .expect("fits");
    let (header, _) = read(&out[..written.len]);
    assert!(header.payload.is_empty() && header.padding == 1);
    assert_eq!(
        (header.seq, header.timestamp, header.ssrc),
        (9, 10, Ssrc(0xAAAA))
    );
}

proptest! {
    /// Any packet: what is written is valid, within the datagram, and carries the payload; written twice it is the same.
    #[test]
    fn written_packets_are_valid_and_repeatable(
        payload in proptest::collection::vec(any::<u8>(), 1..1_480),
        csrcs in proptest::collection::vec(any::<u32>(), 0..16),
        level in proptest::option::of(any::<u8>()),
        rtx: bool,
    ) {
        let value = [level.unwrap_or(0)];
        let extensions: Vec<Element> = level.iter().map(|_| Element { id: 1, value: &value }).collect();
        let bytes = Built { payload: &payload, csrcs: &csrcs, extensions: &extensions, ..Built::default() }.bytes();
        let packet = received(&bytes, Codec::Other);
        let form = if rtx { Form::Rtx(Ssrc(1), 2) } else { Form::Media };
        let first = write(&plan(Codec::Other), &packet, form);
        prop_assert_eq!(&first, &write(&plan(Codec::Other), &packet, form));
        let Some((out, written)) = first else {
            prop_assert!(bytes.len() + 2 > MAX_RTP);
            return Ok(());
        };
        prop_assert!(out.len() <= MAX_RTP && written.header_len < out.len());
        let header = read(&out).0;
        prop_assert!(header.payload.of(&out).ends_with(&payload));
        prop_assert!(header.csrcs().starts_with(&csrcs));
    }
}

/// The short way for packets of media alone writes what the long way writes.
#[test]
fn plain_packets_are_written_as_all_others() {
    let payload = vp8(300, 7, 0, false);
    for (marker, padding) in [(false, 0), (true, 0), (true, 5)] {
        let bytes = Built {
            marker,
            payload: &payload,
            ..Built::default()
        }
        .bytes();
        let packet = MediaPacket {
            padding,
            ..received(&bytes, Codec::Vp8)
        };
        for plan in [plan(Codec::Vp8), mixed_plan(Codec::Vp8)] {
            assert!(plan.is_plain(&packet));
            let codec = plan.codec(PayloadType(96)).expect("planned");
            let numbers = Numbers {
                seq: 0xFEDC,
                timestamp: 0x8765_4321,
                ..Numbers::default()
            };
            let (mut short, mut long) = ([0xEE; 1_500], [0xEE; 1_500]);
            let written = plan.write(&packet, codec, numbers, Form::Media, &mut short);
            let whole = plan.write_whole(&packet, codec, numbers, Form::Media, &mut long);
            let len = whole.expect("fits").len;
            assert_eq!(written, whole);
            assert_eq!(short[..len], long[..len]);
        }
    }
}

#[path = "cut_tests.rs"]
mod cut_tests;
