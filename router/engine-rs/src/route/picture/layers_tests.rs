//! Targets that change with every picture, packets that are lost and overtake each other: what is forwarded can be decoded.

use super::super::PictureMapper;
use crate::recv::content::Content;
use crate::recv::dependencies::Dependencies;
use crate::recv::layers::Layer;
use crate::scalability::{Encoder, Frame, InterLayer, Mode};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const MODES: [Mode; 9] = [
    Mode::new(1, 2, InterLayer::Always),
    Mode::new(1, 3, InterLayer::Always),
    Mode::new(2, 1, InterLayer::Always),
    Mode::new(2, 2, InterLayer::Always),
    Mode::new(3, 3, InterLayer::Always),
    Mode::new(2, 2, InterLayer::KeyFrames),
    Mode::new(3, 3, InterLayer::KeyFrames),
    Mode::new(2, 1, InterLayer::Never),
    Mode::new(3, 3, InterLayer::Never),
];
/// Packets of a frame.
const PARTS: usize = 2;

/// One packet on its way: when it comes, in pictures, its frame and its descriptor.
type Packet = (usize, usize, Frame, Vec<u8>);

/// The target of a picture, and what becomes of each of its packets: lost, or late by so many pictures.
type Picture = ((u8, u8), bool, Vec<(bool, usize)>);

fn pictures(loss: f64) -> impl Strategy<Value = Vec<Picture>> {
    let late = prop_oneof![8 => Just(0usize), 1 => 1usize..4];
    let fate = (prop::bool::weighted(loss), late);
    let fates = prop::collection::vec(fate, 3 * PARTS);
    let target = (0u8..4, 0u8..4);
    prop::collection::vec((target, prop::bool::weighted(0.3), fates), 1..150)
}

/// Everything from the publisher to what is forwarded of it.
struct Scene {
    encoder: Encoder,
    dependencies: Dependencies,
    mapper: PictureMapper,
    begun: bool,
    on_way: Vec<Packet>,
    /// What became of each frame.
    fates: HashMap<u64, bool>,
    /// What was forwarded refers to them.
    wanted: HashSet<u64>,
    distance: Option<u16>,
}

impl Scene {
    fn new(mode: Mode) -> Self {
        Self {
            encoder: Encoder::new(mode, 65_500),
            dependencies: Dependencies::default(),
            mapper: PictureMapper::default(),
            begun: false,
            on_way: Vec::new(),
            fates: HashMap::new(),
            wanted: HashSet::new(),
            distance: None,
        }
    }

    fn picture(&mut self, at: usize, ((spatial, temporal), obeys, fates): &Picture) {
        let key = at == 0 || *obeys && self.mapper.wants_key_frame();
        let mut fates = fates.iter();
        for frame in self.encoder.picture(key) {
            for part in 0..PARTS {
                let (lost, late) = fates.next().copied().unwrap_or_default();
                let value = self
                    .encoder
                    .descriptor(&frame, part == 0, part + 1 == PARTS);
                if !lost || at == 0 {
                    let late = if at == 0 { 0 } else { late };
                    self.on_way.push((at + late, at, frame.clone(), value));
                }
            }
        }
        self.mapper.set_target(Layer::new(*spatial, *temporal));
        let (due, later) = std::mem::take(&mut self.on_way)
            .into_iter()
            .partition(|packet| packet.0 <= at);
        self.on_way = later;
        let due: Vec<Packet> = due;
        for packet in due {
            self.take(&packet);
        }
    }

    fn take(&mut self, (_, picture, frame, value): &Packet) {
        self.dependencies.learn(value);
        let (dependency, layers) = self.dependencies.read(value).expect("a descriptor");
        let content = Content::default().with_dependency(dependency, layers);
        let timestamp = (u32::MAX - 90_000).wrapping_add(*picture as u32 * 3_000);
        if !std::mem::replace(&mut self.begun, true) {
            self.mapper.switch(&content, timestamp);
        }
        let newest = !self.fates.keys().any(|number| *number > frame.number);
        let numbers = self.mapper.map(&content, timestamp, newest);
        match self.fates.insert(frame.number, numbers.is_some()) {
            Some(fate) => assert_eq!(fate, numbers.is_some(), "part of a frame: {frame:?}"),
            None => self.check(frame, numbers.is_some()),
        }
        if let Some(numbers) = numbers {
            let distance = numbers.frame_number.wrapping_sub(frame.number as u16);
            assert_eq!(*self.distance.get_or_insert(distance), distance);
        }
    }

    /// No frame that is forwarded refers to one that was dropped before; and none is dropped that one needs which was
    /// forwarded before, if it could be decoded.
    fn check(&mut self, frame: &Frame, forwarded: bool) {
        let mut references = frame.references.iter();
        let missing = references.find(|it| self.fates.get(it) == Some(&false));
        if forwarded {
            assert_eq!(missing, None, "for {frame:?}");
            self.wanted.extend(&frame.references);
        } else if missing.is_none() {
            assert!(!self.wanted.contains(&frame.number), "wanted: {frame:?}");
        }
    }

    fn run(&mut self, pictures: &[Picture]) {
        for (at, picture) in pictures.iter().enumerate() {
            self.picture(at, picture);
        }
    }
}

/// The lowest layer of a picture was dropped; then the highest comes, before the one between, which will be dropped too.
#[test]
fn what_overtakes_in_a_picture_opens_nothing_that_is_broken_below() {
    let mut scene = Scene::new(Mode::new(3, 3, InterLayer::Always));
    let calm: Picture = ((2, 0), false, vec![(false, 0); 3 * PARTS]);
    scene.picture(0, &calm);
    scene.picture(1, &((0, 0), false, calm.2.clone()));
    let fates = [0, 2, 1].map(|late| [(false, late); PARTS]);
    scene.picture(2, &((0, 0), false, fates.concat()));
    scene.picture(3, &((2, 2), false, calm.2.clone()));
    scene.picture(4, &calm);
    let middle = scene.encoder.picture(false)[0].number - 8;
    assert!(!scene.fates[&middle], "its base layer was dropped");
    assert!(!scene.fates[&(middle + 1)], "so it cannot be shown");
}

proptest! {
    #[test]
    fn what_is_forwarded_can_be_decoded(
        which in 0..MODES.len(), pictures in pictures(0.0)
    ) {
        let mut scene = Scene::new(MODES[which]);
        scene.run(&pictures);
        // Left alone, it comes to show everything.
        let calm: Picture = ((3, 3), true, vec![(false, 0); 3 * PARTS]);
        for at in 0..20 {
            scene.picture(pictures.len() + at, &calm);
        }
        scene.fates.clear();
        for at in 20..24 {
            scene.picture(pictures.len() + at, &calm);
        }
        let mode = MODES[which];
        let spatial = if mode.inter_layer == InterLayer::Always { mode.spatial } else { 1 };
        let forwarded = scene.fates.values().filter(|forwarded| **forwarded).count();
        prop_assert_eq!(forwarded, 4 * usize::from(spatial), "{:?}", mode);
    }

    #[test]
    fn what_is_forwarded_refers_to_nothing_dropped_under_loss(
        which in 0..MODES.len(), pictures in pictures(0.1)
    ) {
        Scene::new(MODES[which]).run(&pictures);
    }
}
