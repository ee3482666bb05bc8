//! Numbers codec by codec: goldens, then a model of what a receiver must see over any switches.

use super::*;
use crate::recv::content::PayloadDescriptor::{Vp8, Vp9};
use crate::recv::dependencies::Dependency;
use crate::recv::layers::{Evidence, FrameLayers, Layers};
use crate::wire::dependency_descriptor::DependencyDescriptor;
use crate::wire::picture_id::PictureId;
use crate::wire::vp8::Vp8Descriptor;
use crate::wire::vp9::Vp9Descriptor;
use proptest::prelude::*;

/// Which number of a frame is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Vp8 { wide: bool },
    Vp9 { wide: bool },
    Dependency,
}

impl Line {
    const ALL: [Self; 5] = [
        Self::Vp8 { wide: true },
        Self::Vp8 { wide: false },
        Self::Vp9 { wide: true },
        Self::Vp9 { wide: false },
        Self::Dependency,
    ];

    fn mask(self) -> u16 {
        match self {
            Self::Vp8 { wide } | Self::Vp9 { wide } if wide => 0x7FFF,
            Self::Dependency => 0xFFFF,
            _ => 0x7F,
        }
    }

    fn closes_gaps(self) -> bool {
        matches!(self, Self::Vp8 { .. })
    }

    fn content(self, number: u16, tl0: u8, layer: u8, begins_key_frame: bool) -> Content {
        let value = number & self.mask();
        let base = Content {
            begins_key_frame,
            layers: Some(layered(layer, false)),
            ..Content::default()
        };
        match self {
            Self::Vp8 { wide } => Content {
                descriptor: Some(Vp8(vp8(value, wide, Some(tl0)))),
                ..base
            },
            Self::Vp9 { wide } => Content {
                descriptor: Some(Vp9(vp9(value, wide, tl0))),
                ..base
            },
            Self::Dependency => Content {
                dependency: Some(dependency(value, begins_key_frame)),
                ..base
            },
        }
    }

    fn of(self, numbers: PictureNumbers) -> u16 {
        let number = match self {
            Self::Dependency => numbers.frame_number,
            _ => numbers.picture_id,
        };
        number & self.mask()
    }

    /// From one number to a later one.
    fn distance(self, from: u16, to: u16) -> u16 {
        to.wrapping_sub(from) & self.mask()
    }
}

fn vp8(value: u16, wide: bool, tl0_pic_idx: Option<u8>) -> Vp8Descriptor {
    let payload = crate::recv::testing::vp8(value, 0, 0, false);
    Vp8Descriptor {
        picture_id: Some(PictureId { value, wide }),
        tl0_pic_idx,
        ..Vp8Descriptor::parse(&payload).expect("valid")
    }
}

fn vp9(value: u16, wide: bool, tl0: u8) -> Vp9Descriptor {
    let payload = [0xA8, 0x80, 0, 0x10, tl0, 1];
    Vp9Descriptor {
        picture_id: Some(PictureId { value, wide }),
        ..Vp9Descriptor::parse(&payload).expect("valid")
    }
}

fn dependency(frame_number: u16, has_structure: bool) -> Dependency {
    let descriptor = DependencyDescriptor {
        start_of_frame: true,
        end_of_frame: true,
        template_id: 0,
        frame_number,
        has_structure,
    };
    Dependency {
        descriptor,
        targets: None,
    }
}

/// A frame of a temporal layer, which may be entered with it.
fn layered(temporal: u8, sync: bool) -> FrameLayers {
    let needed = Layers::from(Layer::new(0, temporal));
    FrameLayers {
        layer: Layer::new(0, temporal),
        needed,
        opens: if sync {
            needed.and(Layers::of_temporal(temporal))
        } else {
            Layers::NONE
        },
        evidence: Evidence::Layer {
            begins: false,
            below: temporal.saturating_sub(1),
        },
        restarts: false,
        ends: true,
    }
}

/// A cut in time alone.
fn up_to(temporal: u8) -> Layer {
    Layer::new(u8::MAX, temporal)
}

/// Maps a packet of a source whose timestamps follow its numbers.
fn map(mapper: &mut PictureMapper, content: &Content, newest: bool) -> Option<PictureNumbers> {
    mapper.map(content, timestamp(content), newest)
}

fn switch(mapper: &mut PictureMapper, content: &Content) {
    mapper.switch(content, timestamp(content));
}

fn timestamp(content: &Content) -> u32 {
    let number = picture_id(content).or(frame_number(content));
    number.map_or(0, |number| u32::from(number.value) * 3_000)
}

const WIDE: Line = Line::Vp8 { wide: true };

fn frame(id: u16, tl0: u8, layer: u8, key: bool, sync: bool) -> Content {
    Content {
        layers: Some(layered(layer, sync)),
        ..WIDE.content(id, tl0, layer, key)
    }
}

fn start_with(key: &Content) -> PictureMapper {
    let mut mapper = PictureMapper::default();
    switch(&mut mapper, key);
    map(&mut mapper, key, true).expect("a key frame passes");
    mapper
}

fn start(id: u16, tl0: u8) -> PictureMapper {
    start_with(&frame(id, tl0, 0, true, false))
}

#[test]
fn goes_on_over_switches_and_wraps() {
    for line in Line::ALL {
        let mut mapper = start_with(&line.content(0xFFFF, 255, 0, true));
        let second = map(&mut mapper, &line.content(0, 0, 0, false), true);
        let second = second.expect("passes");
        let key = line.content(500, 77, 0, true);
        switch(&mut mapper, &key);
        let third = map(&mut mapper, &key, true).expect("passes");
        let step = line.distance(line.of(second), line.of(third));
        assert_eq!(step, 1, "{line:?}");
        let base = third
            .tl0_picture_index
            .wrapping_sub(second.tl0_picture_index);
        assert_eq!(base, u8::from(line != Line::Dependency), "{line:?}");
    }
}

#[test]
fn dropped_layers_leave_no_gap_in_vp8_and_their_gap_elsewhere() {
    for line in Line::ALL {
        let mut mapper = start_with(&line.content(100, 5, 0, true));
        mapper.set_target(up_to(0));
        let mut sent = Vec::new();
        for step in 1..=8u16 {
            let layer = [0, 2, 1, 2][usize::from(step) % 4];
            let content = line.content(100 + step, 5, layer, false);
            for _packet in 0..3 {
                sent.extend(map(&mut mapper, &content, true).map(|numbers| line.of(numbers)));
            }
        }
        sent.dedup();
        // The key frame was number 1; frames 104 and 108 pass.
        let expected = if line.closes_gaps() { [2, 3] } else { [5, 9] };
        assert_eq!(sent, expected, "{line:?}");
    }
}

#[test]
fn a_switch_closes_up_to_the_highest_sent_whatever_was_dropped() {
    let line = Line::Vp9 { wide: true };
    let mut mapper = start_with(&line.content(100, 5, 0, true));
    mapper.set_target(up_to(0));
    assert!(map(&mut mapper, &line.content(101, 5, 2, false), true).is_none());
    let key = line.content(9, 0, 0, true);
    switch(&mut mapper, &key);
    assert_eq!(
        map(&mut mapper, &key, true).map(|it| it.picture_id),
        Some(2)
    );
}

#[test]
fn both_numbers_of_a_frame_go_on_and_the_picture_decides() {
    let both = |id: u16, number: u16, layer: u8, key: bool| Content {
        dependency: Some(dependency(number, key)),
        ..frame(id, 0, layer, key, false)
    };
    let mut mapper = start_with(&both(100, 40_000, 0, true));
    mapper.set_target(up_to(0));
    assert!(map(&mut mapper, &both(101, 40_001, 2, false), true).is_none());
    assert!(map(&mut mapper, &both(101, 40_001, 2, false), true).is_none());
    let numbers = map(&mut mapper, &both(102, 40_002, 0, false), true);
    let numbers = numbers.expect("passes");
    assert_eq!(
        (numbers.picture_id, numbers.frame_number),
        (2, 3),
        "the picture moved up, the frame kept its distance"
    );
}

#[test]
fn the_layers_of_a_picture_share_its_id_and_have_frame_numbers_of_their_own() {
    let layer = |number: u16, key: bool| Content {
        dependency: Some(dependency(number, key)),
        begins_key_frame: key,
        ..Line::Vp9 { wide: true }.content(7, 3, 0, key)
    };
    let mut mapper = start_with(&layer(60, true));
    let upper = map(&mut mapper, &layer(61, false), true).expect("passes");
    assert_eq!((upper.picture_id, upper.frame_number), (1, 2));
}

#[test]
fn steps_up_only_where_nothing_is_missing() {
    let mut mapper = start(100, 5);
    let limits = [0, 0, 0, 2, 2, 2, 2, 2, 2, 2];
    let frames = [
        (1, true, false, "above the limit"),
        (2, true, false, "above the limit"),
        (0, false, true, "base layer"),
        (1, false, false, "may refer to a dropped frame"),
        (2, true, false, "the layer below is missing"),
        (1, true, true, "refers to the base layer alone"),
        (2, false, false, "may refer to a dropped frame"),
        (2, true, true, "refers to the base layer alone"),
        (1, false, true, "its layer is there"),
        (2, false, true, "its layer is there"),
    ];
    for (step, ((layer, sync, expected, why), limit)) in frames.into_iter().zip(limits).enumerate()
    {
        mapper.set_target(up_to(limit));
        let content = frame(101 + step as u16, 5, layer, false, sync);
        assert_eq!(
            map(&mut mapper, &content, true).is_some(),
            expected,
            "{why}"
        );
    }
    mapper.set_target(up_to(0));
    assert!(map(&mut mapper, &frame(111, 5, 1, false, true), true).is_none());
    mapper.set_target(up_to(2));
    assert!(map(&mut mapper, &frame(112, 6, 0, true, false), true).is_some());
    let top = map(&mut mapper, &frame(113, 6, 2, false, false), true);
    assert!(top.is_some(), "a key frame opens all");
}

#[test]
fn what_was_not_dropped_is_not_missed() {
    let mut mapper = start(100, 5);
    mapper.set_target(up_to(0));
    assert!(map(&mut mapper, &frame(101, 5, 2, false, true), true).is_none());
    mapper.set_target(up_to(2));
    let middle = map(&mut mapper, &frame(102, 5, 1, false, false), true);
    assert!(middle.is_some(), "only the highest layer is missing");
}

#[test]
fn a_frame_is_dropped_or_passed_whole() {
    for line in Line::ALL {
        let top = |id| Content {
            layers: Some(layered(2, true)),
            ..line.content(id, 5, 2, false)
        };
        let mut mapper = start_with(&line.content(100, 5, 0, true));
        assert!(map(&mut mapper, &top(101), true).is_some());
        mapper.set_target(up_to(0));
        assert!(
            map(&mut mapper, &top(101), true).is_some(),
            "its first packet passed"
        );
        assert!(map(&mut mapper, &top(103), true).is_none());
        mapper.set_target(up_to(2));
        assert!(
            map(&mut mapper, &top(103), true).is_none(),
            "its first packet was dropped"
        );
        assert!(
            map(&mut mapper, &top(102), false).is_some(),
            "late, its number was kept free"
        );
    }
}

#[test]
fn an_encoder_that_counts_anew_is_followed() {
    for line in Line::ALL {
        // Far behind, a little behind, far ahead.
        for anew in [7, 19_990, 25_000] {
            let mut mapper = start_with(&line.content(20_000, 5, 0, true));
            let key = line.content(anew, 9, 0, true);
            let behind = line.distance(20_000, anew) > line.mask() / 2;
            if !behind && line.mask() == 0x7F {
                continue; // seven bits cannot tell a leap
            }
            let numbers = map(&mut mapper, &key, true).expect("passes");
            assert_eq!(line.of(numbers), 2, "{line:?} at {anew}");
            let next = map(&mut mapper, &line.content(anew + 1, 10, 0, false), true);
            assert_eq!(next.map(|numbers| line.of(numbers)), Some(3), "{line:?}");
        }
    }
}

#[test]
fn a_late_packet_of_a_key_frame_is_no_new_count() {
    let mut mapper = start(100, 5);
    map(&mut mapper, &frame(101, 6, 0, true, false), true);
    map(&mut mapper, &frame(102, 7, 0, false, false), true);
    let late = map(&mut mapper, &frame(101, 6, 0, true, false), false);
    assert_eq!(late.map(|numbers| numbers.picture_id), Some(2));
}

#[test]
fn what_came_before_the_key_frame_is_refused_also_at_the_wrap() {
    for line in Line::ALL {
        for first in [0, 1, 0x7FFF] {
            let mut mapper = start_with(&line.content(first, 5, 0, true));
            let late = line.content(first.wrapping_sub(1), 5, 0, false);
            assert_eq!(map(&mut mapper, &late, false), None, "{line:?} at {first}");
            let next = line.content(first + 1, 6, 0, false);
            let next = map(&mut mapper, &next, true).map(|numbers| line.of(numbers));
            assert_eq!(next, Some(2), "{line:?} at {first}");
        }
    }
}

#[test]
fn stream_without_numbers_is_filtered_by_layer_alone() {
    let mut mapper = PictureMapper::default();
    let plain = |layer: Option<u8>| Content {
        layers: layer.map(|layer| layered(layer, false)),
        ..Content::default()
    };
    mapper.set_target(up_to(1));
    switch(&mut mapper, &plain(Some(0)));
    assert!(map(&mut mapper, &plain(Some(0)), true).is_some());
    assert!(map(&mut mapper, &plain(Some(2)), true).is_none());
    assert!(map(&mut mapper, &plain(None), true).is_some());
}

#[test]
fn numbers_go_on_behind_a_source_that_has_none() {
    let mut mapper = start(100, 5);
    let h264 = Content {
        begins_key_frame: true,
        ..Content::default()
    };
    switch(&mut mapper, &h264);
    assert_eq!(
        map(&mut mapper, &h264, true),
        Some(PictureNumbers::default())
    );
    let key = frame(4_000, 200, 0, true, false);
    switch(&mut mapper, &key);
    let numbers = map(&mut mapper, &key, true).expect("passes");
    assert_eq!((numbers.picture_id, numbers.tl0_picture_index), (2, 6));
}

/// One frame of the model's source: how far its number is ahead, its layer, and whether the next source begins with it,
/// at a number near a wrap.
type Step = (u16, u8, Option<(bool, i16)>, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let switch = proptest::option::weighted(0.25, (any::<bool>(), -6i16..6));
    proptest::collection::vec((1u16..4, 0u8..3, switch, 0u8..4), 800)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// About 200 switches: within a source frames keep their distance, or follow without a gap where gaps are closed;
    /// a source follows the highest number sent; no number comes twice.
    #[test]
    fn a_receiver_sees_one_line(steps in steps(), which in 0usize..Line::ALL.len()) {
        let line = Line::ALL[which];
        let mut mapper = start_with(&line.content(0, 0, 0, true));
        // Number of the source and of ours, widened, of the newest frame that was sent.
        let (mut number, mut sent) = (0u16, vec![(0u16, 1u64)]);
        let mut timestamp = 0;
        for (ahead, layer, switch, limit) in steps {
            mapper.set_target(up_to(limit));
            number = match switch {
                Some((at_wrap, near)) => (if at_wrap { 0 } else { 0x7FFF_u16 }).wrapping_add_signed(near),
                None => number.wrapping_add(ahead),
            };
            let layer = if switch.is_some() { 0 } else { layer };
            let content = line.content(number, 0, layer, switch.is_some());
            timestamp += 3_000;
            if switch.is_some() {
                mapper.switch(&content, timestamp);
            }
            let Some(numbers) = mapper.map(&content, timestamp, true) else { continue };
            let (last_number, last_out) = sent[sent.len() - 1];
            let step = line.distance(last_out as u16 & line.mask(), line.of(numbers));
            let expected = match switch {
                Some(_) => 1,
                // What the source left out itself is a gap for VP8 too: a frame was lost on the way up.
                None if line.closes_gaps() => step,
                None => line.distance(last_number, number),
            };
            prop_assert_eq!(step, expected, "{:?}", line);
            prop_assert!(step > 0);
            sent.push((number, last_out + u64::from(step)));
        }
        for pair in sent.windows(2) {
            prop_assert!(pair[1].1 > pair[0].1);
        }
    }

    /// Over drops, switches and both widths: in order, forwarded frames of VP8 are numbered without a gap.
    #[test]
    fn in_order_frames_of_vp8_are_numbered_without_gap(
        steps in proptest::collection::vec((0u8..3, any::<bool>(), 0u8..4, any::<bool>()), 1..300),
        first: u16, wide: bool
    ) {
        let line = Line::Vp8 { wide };
        let mut mapper = start_with(&line.content(first, 0, 0, true));
        let (mut id, mut last, mut timestamp) = (first, 1, 0);
        for (layer, sync, max, switch) in steps {
            mapper.set_target(up_to(max));
            let switch = switch && layer == 0;
            id = if switch { first.rotate_left(3) } else { id.wrapping_add(1) };
            let content = Content { layers: Some(layered(layer, sync)), ..line.content(id, 0, layer, switch) };
            timestamp += 3_000;
            if switch {
                mapper.switch(&content, timestamp);
            }
            if let Some(numbers) = mapper.map(&content, timestamp, true) {
                prop_assert_eq!(line.distance(last, line.of(numbers)), 1);
                last = line.of(numbers);
            }
        }
    }

    #[test]
    fn no_input_panics(packets in proptest::collection::vec((any::<u16>(), 0usize..5, any::<u8>(), any::<bool>()), 1..200)) {
        let mut mapper = PictureMapper::default();
        for (id, which, layer, key) in packets {
            let line = Line::ALL[which];
            let content = Content { layers: Some(layered(layer & 3, key)), ..line.content(id, layer, layer & 3, key) };
            if key && layer > 200 { switch(&mut mapper, &content) }
            mapper.set_target(up_to(layer & 3));
            map(&mut mapper, &content, layer > 20);
        }
    }
}
