//! Tests of header extensions: the forms of RFC 8285, its reserved ids, and threat R11.

use super::*;
use crate::ids::{PayloadType, Ssrc};
use crate::wire::rtp::{OutgoingHeader, RtpHeader, write_header};
use proptest::prelude::*;

fn block(profile: u16, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let block = ExtensionBlock {
        profile,
        span: Span::new(0, bytes.len()).unwrap(),
    };
    elements(bytes, &block)
        .map(|(id, span)| (id, span.of(bytes).to_vec()))
        .collect()
}

fn write(elements: &[Element], allow_two_byte: bool) -> Vec<u8> {
    let header = OutgoingHeader {
        marker: false,
        padding: false,
        payload_type: PayloadType(0),
        seq: 0,
        timestamp: 0,
        ssrc: Ssrc(0),
        csrcs: &[],
        extensions: elements,
        allow_two_byte,
    };
    let mut buffer = [0xEE; 600];
    let len = write_header(&mut buffer, &header).unwrap();
    buffer[..len].to_vec()
}

fn read(packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let header = RtpHeader::parse(packet).unwrap();
    let list = header
        .extension
        .iter()
        .flat_map(|block| elements(packet, block));
    list.map(|(id, span)| (id, span.of(packet).to_vec()))
        .collect()
}

#[test]
fn reads_one_byte_elements_with_padding_between() {
    let bytes = [0x10, 0xAA, 0, 0, 0x22, 1, 2, 3];
    assert_eq!(block(0xBEDE, &bytes), [(1, vec![0xAA]), (2, vec![1, 2, 3])]);
}

#[test]
fn reads_two_byte_elements_with_any_application_bits() {
    let bytes = [1, 0, 0, 200, 2, 7, 8, 0];
    for profile in 0x1000..=0x100F {
        assert_eq!(block(profile, &bytes), [(1, vec![]), (200, vec![7, 8])]);
    }
    assert_eq!(block(0x1010, &bytes), []);
    assert_eq!(block(0, &bytes), []);
}

#[test]
fn reserved_one_byte_ids_end_the_block() {
    assert_eq!(block(0xBEDE, &[0x10, 1, 0xF0, 2, 0x30, 3]), [(1, vec![1])]);
    assert_eq!(block(0xBEDE, &[0x10, 1, 0x02, 2, 0x30, 3]), [(1, vec![1])]);
}

#[test]
fn a_length_past_the_end_ends_the_block() {
    assert_eq!(block(0xBEDE, &[0x10, 1, 0x23, 2]), [(1, vec![1])]);
    assert_eq!(block(0x1000, &[1, 1, 9, 2, 200, 1]), [(1, vec![9])]);
    assert_eq!(block(0x1000, &[1, 1, 9, 2]), [(1, vec![9])]);
}

#[test]
fn known_values_are_read() {
    let ids = [
        (Extension::Mid, 1),
        (Extension::Rid, 2),
        (Extension::RepairedRid, 3),
        (Extension::AudioLevel, 4),
        (Extension::CsrcAudioLevel, 5),
        (Extension::TransportCc, 6),
        (Extension::AbsSendTime, 7),
        (Extension::AbsCaptureTime, 8),
        (Extension::VideoOrientation, 9),
        (Extension::PlayoutDelay, 10),
        (Extension::DependencyDescriptor, 200),
    ];
    let map = ExtensionMap::new(&ExtensionIds(ids.to_vec()));
    let descriptor = [0x80; 40];
    let packet = write(
        &[
            Element { id: 1, value: b"0" },
            Element {
                id: 2,
                value: b"hi\0\0",
            },
            Element {
                id: 3,
                value: b"lo",
            },
            Element {
                id: 4,
                value: &[0x80 | 0x2D],
            },
            Element {
                id: 5,
                value: &[1, 2],
            },
            Element {
                id: 6,
                value: &[0xAB, 0xCD],
            },
            Element {
                id: 7,
                value: &[1, 2, 3],
            },
            Element {
                id: 8,
                value: &[8; 8],
            },
            Element { id: 9, value: &[9] },
            Element {
                id: 10,
                value: &[10; 3],
            },
            Element {
                id: 200,
                value: &descriptor,
            },
        ],
        true,
    );
    let header = RtpHeader::parse(&packet).unwrap();
    let values = ExtensionValues::parse(&packet, header.extension.as_ref(), &map);
    assert_eq!(values.mid.as_deref(), Some("0"));
    assert_eq!(values.rid.as_deref(), Some("hi"));
    assert_eq!(values.repaired_rid.as_deref(), Some("lo"));
    let level = values.audio_level.unwrap();
    assert_eq!(
        (level.level, level.voice, level.to_byte()),
        (45, true, 0x80 | 0x2D)
    );
    assert_eq!(values.csrc_levels.unwrap().of(&packet), [1, 2]);
    assert_eq!(values.transport_cc, Some(0xABCD));
    assert_eq!(values.abs_send_time, Some(0x01_0203));
    assert_eq!(values.abs_capture_time.unwrap().of(&packet), [8; 8]);
    assert_eq!(values.video_orientation.unwrap().of(&packet), [9]);
    assert_eq!(values.playout_delay.unwrap().of(&packet), [10; 3]);
    assert_eq!(
        values.dependency_descriptor.unwrap().of(&packet),
        descriptor
    );
    let none = ExtensionValues::parse(&packet, header.extension.as_ref(), &ExtensionMap::default());
    assert_eq!(none, ExtensionValues::default());
}

#[test]
fn malformed_values_count_as_absent() {
    let ids = [
        (Extension::Mid, 1),
        (Extension::TransportCc, 2),
        (Extension::AbsSendTime, 3),
        (Extension::Rid, 4),
    ];
    let map = ExtensionMap::new(&ExtensionIds(ids.to_vec()));
    for mid in [&[0xFF][..], &[0], b"\xC3\xA9", b"seventeen-letters"] {
        let packet = write(
            &[
                Element { id: 1, value: mid },
                Element { id: 2, value: &[1] },
                Element {
                    id: 3,
                    value: &[1, 2],
                },
                Element { id: 4, value: &[] },
            ],
            true,
        );
        let header = RtpHeader::parse(&packet).unwrap();
        let values = ExtensionValues::parse(&packet, header.extension.as_ref(), &map);
        assert_eq!(values, ExtensionValues::default(), "{mid:?}");
    }
}

#[test]
fn the_map_answers_both_ways_and_the_last_entry_wins() {
    let ids = [
        (Extension::Mid, 3),
        (Extension::Rid, 3),
        (Extension::TransportCc, 5),
        (Extension::TransportCc, 255),
    ];
    let map = ExtensionMap::new(&ExtensionIds(ids.to_vec()));
    assert_eq!(
        (map.id_of(Extension::Mid), map.id_of(Extension::Rid)),
        (None, Some(3))
    );
    assert_eq!(
        (map.get(3), map.get(5), map.get(255)),
        (Some(Extension::Rid), None, Some(Extension::TransportCc))
    );
    assert_eq!(
        ExtensionMap::new(&ExtensionIds(vec![(Extension::Mid, 0)])).id_of(Extension::Mid),
        None
    );
}

#[test]
fn two_byte_form_only_when_needed_and_allowed() {
    let small = Element { id: 1, value: &[1] };
    let long = Element {
        id: 2,
        value: &[2; 17],
    };
    let high = Element {
        id: 16,
        value: &[3],
    };
    let empty = Element { id: 4, value: &[] };
    assert_eq!(
        write(&[small], true)[12..],
        [0xBE, 0xDE, 0, 1, 0x10, 1, 0, 0]
    );
    for extra in [long, high, empty] {
        assert_eq!(
            read(&write(&[small, extra], true)),
            [(1, vec![1]), (extra.id, extra.value.to_vec())]
        );
        assert_eq!(read(&write(&[small, extra], false)), [(1, vec![1])]);
        assert_eq!(
            write(&[extra], false),
            [&[0x80][..], &[0; 11]].concat(),
            "no block without elements"
        );
    }
}

#[test]
fn what_exceeds_the_block_is_left_out() {
    let half = [1; 130];
    let packet = write(
        &[
            Element {
                id: 20,
                value: &half,
            },
            Element {
                id: 21,
                value: &half,
            },
            Element {
                id: 22,
                value: &[5],
            },
        ],
        true,
    );
    assert_eq!(read(&packet), [(20, half.to_vec()), (22, vec![5])]);
}

proptest! {
    #[test]
    fn two_byte_write_then_read_is_identity(
        list in prop::collection::vec((1_u8..=255, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
    ) {
        let elements: Vec<_> = list.iter().map(|(id, value)| Element { id: *id, value }).collect();
        prop_assert_eq!(read(&write(&elements, true)), list);
    }

    #[test]
    fn any_block_is_read_without_panic(profile in prop_oneof![Just(0xBEDE), 0x1000_u16..0x1010, any::<u16>()],
            bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let total: usize = block(profile, &bytes).iter().map(|(_, value)| value.len() + 1).sum();
        prop_assert!(total <= bytes.len());
    }
}
