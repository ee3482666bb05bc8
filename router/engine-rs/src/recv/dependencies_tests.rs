//! Structures come, change, and go: what descriptors mean meanwhile.

use super::*;
use crate::scalability::{Encoder, InterLayer, Mode, size};
use proptest::prelude::*;

const L3T3: Mode = Mode::new(3, 3, InterLayer::Always);
const L3T3_KEY: Mode = Mode::new(3, 3, InterLayer::KeyFrames);
const S2T1: Mode = Mode::new(2, 1, InterLayer::Never);

fn feed(dependencies: &mut Dependencies, encoder: &mut Encoder, key: bool) -> Vec<FrameLayers> {
    let frames = encoder.picture(key);
    let read = frames.iter().map(|frame| {
        let value = encoder.descriptor(frame, true, true);
        dependencies.learn(&value);
        let (_, layers) = dependencies.read(&value).expect("a descriptor");
        layers.expect("the structure is known")
    });
    read.collect()
}

#[test]
fn frames_are_needed_by_the_cuts_at_and_above_their_layer() {
    let mut dependencies = Dependencies::default();
    let mut encoder = Encoder::new(L3T3, 10);
    for picture in 0..6 {
        for frame in feed(&mut dependencies, &mut encoder, picture == 0) {
            assert_eq!(frame.needed, Layers::from(frame.layer), "{frame:?}");
            assert_eq!(frame.restarts, picture == 0 && frame.layer == Layer::BASE);
        }
    }
    assert_eq!(dependencies.sizes()[1], size(1));
    assert_eq!(dependencies.is_nested(), Some(true));
}

#[test]
fn independent_layers_are_needed_by_their_own_cuts() {
    for mode in [L3T3_KEY, S2T1] {
        let mut dependencies = Dependencies::default();
        let mut encoder = Encoder::new(mode, 10);
        feed(&mut dependencies, &mut encoder, true);
        let frames = feed(&mut dependencies, &mut encoder, false);
        let top = frames.len() - 1;
        for (spatial, frame) in frames.iter().enumerate() {
            assert_eq!(
                frame.needed.contains(Layer::TOP),
                spatial == top,
                "{mode:?}"
            );
            assert!(frame.needed.contains(Layer::new(spatial as u8, 3)));
        }
        assert_eq!(dependencies.is_nested(), Some(false), "{mode:?}");
    }
}

#[test]
fn targets_of_a_cut_are_told() {
    let grid = |mode| {
        let mut dependencies = Dependencies::default();
        let mut encoder = Encoder::new(mode, 10);
        feed(&mut dependencies, &mut encoder, true);
        dependencies.current.expect("known").grid
    };
    let cut = Layer::new(1, 1);
    assert_eq!(grid(L3T3).active(cut), Some(0b0_0001_1011));
    assert_eq!(grid(L3T3_KEY).active(cut), Some(0b0_0001_1000));
    assert_eq!(grid(S2T1).active(Layer::new(1, 0)), Some(0b10));
    for mode in [L3T3, L3T3_KEY, S2T1] {
        assert_eq!(grid(mode).active(Layer::TOP), None, "all");
    }
    assert_eq!(grid(L3T3).active(Layer::new(2, 2)), None);
}

#[test]
fn layers_that_the_publisher_turns_off_leave_their_cuts_to_the_next() {
    let mut dependencies = Dependencies::default();
    let mut encoder = Encoder::new(L3T3_KEY, 10);
    feed(&mut dependencies, &mut encoder, true);
    encoder.active = 2;
    let frames = feed(&mut dependencies, &mut encoder, false);
    assert!(
        frames[1].needed.contains(Layer::TOP),
        "the highest there is"
    );
    encoder.active = 3;
    let frames = feed(&mut dependencies, &mut encoder, true);
    assert!(
        frames[2].needed.contains(Layer::TOP),
        "a structure brings all back"
    );
    let frames = feed(&mut dependencies, &mut encoder, false);
    assert!(!frames[1].needed.contains(Layer::TOP));
}

#[test]
fn a_frame_without_its_structure_has_no_layers() {
    let mut dependencies = Dependencies::default();
    let mut encoder = Encoder::new(L3T3, 10);
    let key = encoder.picture(true);
    let later = encoder.descriptor(&key[1], true, true);
    dependencies.learn(&later);
    let (dependency, layers) = dependencies.read(&later).expect("a descriptor");
    assert_eq!((dependency.targets, layers), (None, None));
    // Repaired.
    dependencies.learn(&encoder.descriptor(&key[0], true, false));
    let (dependency, layers) = dependencies.read(&later).expect("a descriptor");
    assert!(dependency.targets.is_some() && layers.is_some());
    assert!(dependencies.read(&[0x80, 0]).is_none());
}

#[test]
fn the_former_structure_is_known_for_what_came_before() {
    let mut dependencies = Dependencies::default();
    let mut first = Encoder::new(L3T3, 65_530);
    feed(&mut dependencies, &mut first, true);
    let frames = first.picture(false);
    let late = first.descriptor(&frames[1], true, true);
    let mut second = Encoder::new(S2T1, 65_536 + 4);
    feed(&mut dependencies, &mut second, true);
    dependencies.learn(&late);
    let (_, layers) = dependencies.read(&late).expect("a descriptor");
    assert_eq!(layers.expect("known").layer, Layer::new(1, 2));
    assert_eq!(dependencies.sizes().len(), 2);
}

#[test]
fn a_structure_holds_for_as_long_as_no_other_comes() {
    let mut dependencies = Dependencies::default();
    let mut encoder = Encoder::new(L3T3, 10);
    feed(&mut dependencies, &mut encoder, true);
    for _picture in 0..50_000 {
        feed(&mut dependencies, &mut encoder, false);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..40)) {
        let mut dependencies = Dependencies::default();
        let mut encoder = Encoder::new(L3T3, 10);
        let key = encoder.picture(true);
        dependencies.learn(&encoder.descriptor(&key[0], true, true));
        for value in values {
            dependencies.learn(&value);
            let _ = dependencies.read(&value);
        }
    }
}
