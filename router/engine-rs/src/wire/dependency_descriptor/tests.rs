//! Descriptors as browsers send them, written by the model of an encoder, and broken ones.

use super::*;
use crate::scalability::{Encoder, InterLayer, Mode, size};
use proptest::prelude::*;

/// First packet of a key frame: mandatory fields, the flag of a structure, and bytes in its place.
const KEY_FRAME: [u8; 12] = [
    0x80, 0x00, 0x01, 0x80, 0x00, 0x1E, 0xA8, 0x51, 0x41, 0x01, 0x0C, 0x13,
];

#[test]
fn a_key_frame_carries_its_structure() {
    let descriptor = DependencyDescriptor::parse(&KEY_FRAME).unwrap();
    assert_eq!(
        descriptor,
        DependencyDescriptor {
            start_of_frame: true,
            end_of_frame: false,
            template_id: 0,
            frame_number: 1,
            has_structure: true,
        }
    );
    assert!(descriptor.begins_sequence());
}

#[test]
fn later_packets_begin_nothing() {
    let table: [(&[u8], bool, bool, u8); 4] = [
        (&[0x43, 0xFF, 0xFE], false, true, 3),
        (&[0xFF, 0xFF, 0xFE], true, true, 63),
        (&[0x80, 0xFF, 0xFE, 0x40], true, false, 0),
        (&[0x00, 0xFF, 0xFE, 0x80], false, false, 0),
    ];
    for (value, start, end, template) in table {
        let descriptor = DependencyDescriptor::parse(value).unwrap();
        assert_eq!(descriptor.frame_number, 0xFFFE);
        assert_eq!(
            (descriptor.start_of_frame, descriptor.end_of_frame),
            (start, end)
        );
        assert_eq!(descriptor.template_id, template);
        assert!(!descriptor.begins_sequence(), "{value:?}");
    }
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..MANDATORY {
        let short = &KEY_FRAME[..len];
        assert_eq!(
            DependencyDescriptor::parse(short),
            Err(ParseError::TooShort),
            "{len}"
        );
        let mut unchanged = short.to_vec();
        DependencyDescriptor::rewrite(&mut unchanged, 7);
        assert_eq!(unchanged, short);
    }
    let mut encoder = Encoder::new(MODES[4], 7);
    let frame = &encoder.picture(true)[0];
    let whole = encoder.descriptor(frame, true, false);
    assert!(Description::parse(&whole, None).is_ok());
    for len in 0..whole.len() - 1 {
        assert!(Description::parse(&whole[..len], None).is_err(), "{len}");
    }
}

/// L1T2 by hand: templates of a key frame, and of one frame of each layer; two targets, one chain, no sizes.
#[test]
fn a_structure_is_read_bit_by_bit() {
    let bits = [
        "11 000001 00000000 00000111", // first and last packet, template 1, frame 7
        "10000 000000 00001",          // with a structure; ids from 0; two targets
        "00 01 11",                    // same layer, next temporal layer, no more
        "10 10  10 10  00 01",         // SS SS -D
        "0  1 0001 0  1 0000 0",       // refers to none, 2 back, 1 back
        "10 0000 0010 0001",           // one chain, which needs no number; how far back it is
        "0",                           // no sizes
    ];
    let value = bytes_of(&bits.concat());
    let description = Description::parse(&value, None).expect("valid");
    let structure = description.structure.clone().expect("attached");
    assert_eq!((structure.targets(), structure.sizes().len()), (2, 0));
    assert_eq!(
        (description.spatial, description.temporal),
        (0, 0),
        "template 1"
    );
    assert_eq!(description.references.near, 0b10);
    assert!(description.indications.is_switch(0) && description.indications.is_switch(1));
    let upper = Description::parse(&[0xC2, 0, 8], Some(&structure)).expect("valid");
    assert_eq!((upper.temporal, upper.references.near), (1, 0b1));
    assert!(!upper.indications.is_present(0) && upper.indications.is_present(1));
    assert!(!upper.indications.is_switch(1), "discardable");
    let none = Description::parse(&[0xC3, 0, 8], Some(&structure));
    assert_eq!(none, Err(ParseError::BadValue), "no such template");
    let without = Description::parse(&[0xC2, 0, 8], None);
    assert_eq!(without, Err(ParseError::BadValue), "no structure");
}

#[test]
fn what_differs_from_the_template_follows() {
    let mut encoder = Encoder::new(MODES[1], 7);
    let key = encoder.picture(true);
    let value = encoder.descriptor(&key[0], true, true);
    let structure = Description::parse(&value, None).expect("valid").structure;
    // Active 01; custom indications SR; references 3, 17 and 300 back.
    let custom =
        "11 000101 00000000 00001000  01110  01  10 11  01 0010  10 00010000  11 000100101011  00";
    let read = Description::parse(&bytes_of(custom), structure.as_deref()).expect("valid");
    assert_eq!((read.active, read.structure), (Some(1), None));
    assert!(read.indications.is_switch(0) && !read.indications.is_switch(1));
    let near = 1 << 2 | 1 << 16;
    assert_eq!(read.references, References { near, far: true });
}

fn bytes_of(bits: &str) -> Vec<u8> {
    let bits: Vec<u8> = bits.bytes().filter(|bit| *bit != b' ').collect();
    let byte = |bits: &[u8]| {
        let filled = bits.iter().chain(std::iter::repeat(&b'0')).take(8);
        filled.fold(0, |byte, bit| byte << 1 | (bit - b'0'))
    };
    bits.chunks(8).map(byte).collect()
}

const MODES: [Mode; 7] = [
    Mode::new(1, 1, InterLayer::Always),
    Mode::new(1, 2, InterLayer::Always),
    Mode::new(1, 3, InterLayer::Always),
    Mode::new(2, 2, InterLayer::Always),
    Mode::new(3, 3, InterLayer::Always),
    Mode::new(3, 3, InterLayer::KeyFrames),
    Mode::new(2, 1, InterLayer::Never),
];

#[test]
fn all_modes_are_read_as_they_were_written() {
    for mode in MODES {
        let mut encoder = Encoder::new(mode, 65_530);
        let mut known: Option<Box<Structure>> = None;
        for picture in 0..30 {
            let key = picture % 13 == 0;
            for frame in encoder.picture(key) {
                let value = encoder.descriptor(&frame, true, true);
                let read = Description::parse(&value, known.as_deref()).expect("valid");
                assert_eq!(
                    (read.spatial, read.temporal),
                    (frame.spatial, frame.temporal)
                );
                let near = frame.references.iter();
                let near = near.fold(0, |near, it| near | 1 << (frame.number - it - 1));
                assert_eq!(
                    read.references,
                    References { near, far: false },
                    "{frame:?}"
                );
                for (target, indication) in frame.indications.iter().enumerate() {
                    let target = target as u8;
                    assert_eq!(read.indications.is_present(target), *indication != b'-');
                    assert_eq!(read.indications.is_switch(target), *indication == b'S');
                }
                known = read.structure.or(known);
            }
        }
        let structure = known.expect("came with the key frame");
        let targets = structure.decode_targets();
        assert_eq!(targets.len(), mode.targets());
        for (index, target) in targets.iter().enumerate() {
            let layers = (target.spatial * mode.temporal + target.temporal) as usize;
            assert_eq!(layers, index, "{mode:?}");
        }
        let sizes: Vec<_> = (0..mode.spatial).map(size).collect();
        assert_eq!(structure.sizes(), sizes);
    }
}

#[test]
fn fewer_active_targets_are_put_in_and_taken_back() {
    for mode in MODES {
        let mut encoder = Encoder::new(mode, 9);
        let mut known: Option<Box<Structure>> = None;
        for picture in 0..6 {
            for frame in encoder.picture(picture == 0) {
                let value = encoder.descriptor(&frame, true, false);
                let before = Description::parse(&value, known.as_deref()).expect("valid");
                let targets = mode.targets() as u8;
                let mask = (1 << targets) - 1;
                for active in [0, 1, 0b101 & mask, mask] {
                    let written = restrict(&value, targets, active).expect("fits");
                    let after = Description::parse(&written, known.as_deref()).expect("valid");
                    let expected = Description {
                        active: Some(active),
                        ..before.clone()
                    };
                    assert_eq!(after, expected);
                    let less = restrict(&written, targets, 0b11 & mask).expect("fits");
                    assert_eq!(less.len(), written.len(), "the bits were there");
                    let less = Description::parse(&less, known.as_deref()).expect("valid");
                    assert_eq!(less.active, Some(active & 0b11 & mask));
                }
                known = before.structure.or(known);
            }
        }
    }
}

proptest! {
    #[test]
    fn rewriting_changes_the_number_alone(
        value in prop::collection::vec(any::<u8>(), 0..40),
        frame_number: u16,
    ) {
        let Ok(before) = DependencyDescriptor::parse(&value) else { return Ok(()) };
        let mut written = value.clone();
        DependencyDescriptor::rewrite(&mut written, frame_number);
        let after = DependencyDescriptor::parse(&written).unwrap();
        prop_assert_eq!(after, DependencyDescriptor { frame_number, ..before });
        DependencyDescriptor::rewrite(&mut written, before.frame_number);
        prop_assert_eq!(written, value);
    }

    #[test]
    fn no_bytes_panic(
        value in prop::collection::vec(any::<u8>(), 0..255),
        flips in prop::collection::vec((0usize..400, 0u8..8), 0..6),
        targets in 1u8..=32,
        active: u32,
    ) {
        let _ = (Description::parse(&value, None), restrict(&value, targets, active));
        // A valid one with some bits turned gets further.
        let mut encoder = Encoder::new(MODES[5], 9);
        let frames = encoder.picture(true);
        let whole = encoder.descriptor(&frames[0], true, false);
        let structure = Description::parse(&whole, None).expect("valid").structure;
        let mut broken = whole;
        for (at, bit) in flips {
            let at = at % broken.len();
            broken[at] ^= 1 << bit;
        }
        let _ = (Description::parse(&broken, structure.as_deref()), restrict(&broken, targets, active));
        let _ = Description::parse(&value, structure.as_deref());
    }
}
