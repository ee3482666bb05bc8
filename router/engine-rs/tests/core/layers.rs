//! A slot that shows some layers of a scalable stream, and other ones a moment later, stays decodable: whatever the codec
//! and the mode, with loss and reordering on the way up.

use crate::common::scalability::{InterLayer, Mode};
use crate::media::{CLEAN, Impairment, LOSSY, Rng};
use crate::scalable::{Scene, Stream};
use fork_router_engine::core::command::{Codec, Limits};

const fn mode(spatial: u8, temporal: u8, inter_layer: InterLayer) -> Mode {
    Mode::new(spatial, temporal, inter_layer)
}

const L1T2: Mode = mode(1, 2, InterLayer::Always);
const L1T3: Mode = mode(1, 3, InterLayer::Always);
const L2T1: Mode = mode(2, 1, InterLayer::Always);
const L2T2: Mode = mode(2, 2, InterLayer::Always);
const L3T3: Mode = mode(3, 3, InterLayer::Always);
const L2T2_KEY: Mode = mode(2, 2, InterLayer::KeyFrames);
const L3T3_KEY: Mode = mode(3, 3, InterLayer::KeyFrames);
const S2T1: Mode = mode(2, 1, InterLayer::Never);
const S3T3: Mode = mode(3, 3, InterLayer::Never);

/// Codecs with the modes that browsers send them in; with the dependency descriptor or without.
fn streams() -> Vec<Stream> {
    let with = |codec, modes: &[Mode], dependency| {
        let streams = modes.iter().map(move |&mode| Stream {
            codec,
            mode,
            dependency,
        });
        streams.collect::<Vec<_>>()
    };
    let all = [L1T2, L1T3, L2T1, L2T2, L3T3, L2T2_KEY, L3T3_KEY, S2T1, S3T3];
    let predicted = [L1T2, L1T3, L2T1, L2T2, L3T3, L2T2_KEY, L3T3_KEY];
    [
        with(Codec::Av1, &all, true),
        with(Codec::Vp9, &all, true),
        with(Codec::Vp9, &predicted, false),
        with(Codec::H264, &[L1T2, L1T3], true),
        with(Codec::Vp8, &[L1T2, L1T3], false),
        with(Codec::Vp8, &[L1T2, L1T3], true),
    ]
    .concat()
}

fn limits(rng: &mut Rng) -> Limits {
    let mut limits = Limits::default();
    if rng.percent(70) {
        limits.max_height = Some([100, 200, 400, 800][rng.below(4) as usize]);
    }
    if rng.percent(70) {
        limits.max_temporal_layers = Some(1 + rng.below(3) as u8);
    }
    limits
}

/// 200 changes of what is wanted, in a minute.
fn change_layers(seed: u64, stream: Stream, impairment: Impairment) -> Scene {
    let mut scene = Scene::new(seed, stream, impairment);
    let mut rng = Rng::new(seed);
    scene.run(600);
    for _ in 0..200 {
        scene.limit(limits(&mut rng));
        scene.run(300);
    }
    scene.limit(Limits::default());
    scene.run(2_000);
    scene
}

#[test]
fn two_hundred_changes_a_minute() {
    for (index, stream) in streams().into_iter().enumerate() {
        let mut scene = change_layers(100 + index as u64, stream, CLEAN);
        let report = scene.check();
        assert_eq!(report.undecodable, 0, "{stream:?} {report:?}");
        assert_eq!(report.lost, 0, "{stream:?} {report:?}");
        assert!(report.longest_stall_ms <= 500, "{stream:?} {report:?}");
        assert!(scene.shows_everything(), "{stream:?} {report:?}");
        assert!(report.dropped > 100, "{stream:?} {report:?}");
    }
}

#[test]
fn two_hundred_changes_a_minute_under_loss_and_reordering() {
    for (index, stream) in streams().into_iter().enumerate() {
        let mut scene = change_layers(200 + index as u64, stream, LOSSY);
        let report = scene.check();
        assert_eq!(report.undecodable, 0, "{stream:?} {report:?}");
        assert!(scene.shows_everything(), "{stream:?} {report:?}");
    }
}

#[test]
fn lower_layers_come_at_once_where_they_are_there() {
    for (mode, dependency) in [(L3T3, true), (L3T3, false)] {
        let stream = Stream {
            codec: Codec::Vp9,
            mode,
            dependency,
        };
        let mut scene = Scene::new(7, stream, CLEAN);
        scene.run(1_500);
        let key_frames = scene.key_frames();
        scene.limit(Limits {
            max_height: Some(200),
            ..Limits::default()
        });
        scene.run(100);
        scene.forget();
        scene.run(300);
        assert_eq!(scene.highest(), Some((0, 2)), "{stream:?}");
        assert_eq!(scene.key_frames(), key_frames, "none was needed");
    }
}

#[test]
fn a_publisher_that_turns_layers_off_and_on_is_followed() {
    for mode in [L3T3, L3T3_KEY] {
        for dependency in [true, false] {
            let stream = Stream {
                codec: Codec::Vp9,
                mode,
                dependency,
            };
            let mut scene = Scene::new(9, stream, CLEAN);
            scene.run(1_500);
            for active in [1, 3, 2, 1, 2, 3] {
                scene.set_active(active);
                scene.run(1_500);
                scene.forget();
                scene.run(300);
                let highest = scene.highest().map(|(spatial, _)| spatial);
                assert_eq!(highest, Some(active - 1), "{stream:?}");
            }
            let report = scene.check();
            assert_eq!(report.undecodable, 0, "{stream:?} {report:?}");
            assert!(report.longest_stall_ms <= 900, "{stream:?} {report:?}");
        }
    }
}

#[test]
fn fewer_layers_are_fewer_bits() {
    let stream = Stream {
        codec: Codec::Av1,
        mode: L3T3,
        dependency: true,
    };
    let mut scene = Scene::new(11, stream, CLEAN);
    scene.run(1_000);
    scene.limit(Limits {
        max_height: Some(100),
        ..Limits::default()
    });
    scene.run(2_000);
    scene.forget();
    scene.run(500);
    assert_eq!(scene.highest(), Some((0, 2)));
    let bps = scene.stats().bitrate_bps;
    scene.limit(Limits::default());
    scene.run(2_000);
    assert!(scene.stats().bitrate_bps > 3 * bps, "{bps}");
}
