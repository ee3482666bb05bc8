//! Limits act within a second, on slots that show something, without a word to the receiver; the times are printed.

use crate::cameras::Camera;
use crate::common::scalability::{InterLayer, Mode};
use crate::media::CLEAN;
use crate::scalable::{Scene, Stream};
use fork_router_engine::core::Command;
use fork_router_engine::core::command::{Codec, Limits};
use fork_router_engine::ids::{ProducerId, SlotId};

/// In which all of it must be in force.
const SECOND: u64 = 1_000;

/// A camera of three layers, measured; the receiver shows the best.
fn shown(seed: u64) -> Camera {
    let mut camera = Camera::new(seed, 1);
    camera.run(3_000);
    assert_eq!(camera.shown(0), Some(2));
    camera
}

fn limit(camera: &mut Camera, limits: Limits) {
    let command = Command::SetLimits(SlotId(100), limits);
    camera.call.world.command(command);
}

/// How long it takes until this encoding is what arrives, and nothing else.
fn wait_for(camera: &mut Camera, encoding: Option<u8>) -> u64 {
    camera.wait(SECOND, |it| it.shown(0) == encoding)
}

/// Each in turn is obeyed within a second, and stays so.
fn obeys(camera: &mut Camera, limits: Limits, expected: u8) {
    limit(camera, limits);
    let ms = wait_for(camera, Some(expected));
    println!("{limits:?}: encoding {expected} after {ms} ms");
    camera.run(1_000);
    assert_eq!(camera.shown(0), Some(expected), "{limits:?}");
}

#[test]
fn sizes_of_pictures() {
    let mut camera = shown(1);
    for (max_width, expected) in [(640, 1), (320, 0), (1_280, 2), (639, 0), (100, 0)] {
        let limits = Limits {
            max_width: Some(max_width),
            ..Limits::default()
        };
        obeys(&mut camera, limits, expected);
    }
}

#[test]
fn sizes_of_places() {
    let mut camera = shown(7);
    let any = u16::MAX;
    for (width, height, expected) in [
        (529, 559, 1),
        (320, 180, 0),
        (1_280, any, 2),
        (any, 360, 1),
        (100, 100, 0),
        (4_000, 3_000, 2),
    ] {
        let limits = Limits {
            shown_at: Some((width, height)),
            ..Limits::default()
        };
        obeys(&mut camera, limits, expected);
    }
}

#[test]
fn bits_a_second() {
    let mut camera = shown(2);
    for (max_bitrate_bps, expected) in [
        (Some(300_000), Some(1)),
        (Some(100_000), Some(0)),
        (Some(1_000), None),
        (None, Some(2)),
    ] {
        let limits = Limits {
            max_bitrate_bps,
            ..Limits::default()
        };
        limit(&mut camera, limits);
        let ms = wait_for(&mut camera, expected);
        println!("bitrate {max_bitrate_bps:?}: encoding {expected:?} after {ms} ms");
        camera.run(1_000);
        assert_eq!(camera.shown(0), expected);
    }
}

#[test]
fn pauses() {
    let mut camera = shown(3);
    camera.assign(0, false);
    let before = camera.call.subscribers[0].view.packets.len();
    camera.run(1_000);
    let after = camera.call.subscribers[0].view.packets.len();
    assert_eq!(before, after, "by the receiver, from the next packet on");
    camera.assign(0, true);
    let back = wait_for(&mut camera, Some(2));
    println!("back {back} ms after the receiver's pause");

    let pause = |paused| Command::PauseProducer(ProducerId(1), paused);
    camera.call.world.command(pause(true));
    let before = camera.call.subscribers[0].view.packets.len();
    camera.run(1_000);
    let after = camera.call.subscribers[0].view.packets.len();
    assert_eq!(before, after, "by the server, from the next packet on");
    camera.call.world.command(pause(false));
    let back = wait_for(&mut camera, Some(2));
    println!("back {back} ms after the server's pause");
}

/// A stream of three temporal layers; until its highest forwarded one is this.
fn wait_for_layer(scene: &mut Scene, temporal: u8) -> u64 {
    let step = 100;
    for ms in (0..SECOND).step_by(step as usize) {
        scene.forget();
        scene.run(step);
        if scene.highest() == Some((0, temporal)) {
            return ms + step;
        }
    }
    panic!("no change to temporal layer {temporal}");
}

#[test]
fn frames_a_second() {
    for (codec, dependency) in [(Codec::Vp8, false), (Codec::Av1, true), (Codec::H264, true)] {
        let stream = Stream {
            codec,
            mode: Mode::new(1, 3, InterLayer::Always),
            dependency,
        };
        let mut scene = Scene::new(4, stream, CLEAN);
        scene.run(3_000);
        let by_rate = |rate| Limits {
            max_frame_rate: rate,
            ..Limits::default()
        };
        let by_layers = |layers| Limits {
            max_temporal_layers: layers,
            ..Limits::default()
        };
        for (limits, expected) in [
            (by_rate(Some(15)), 1),
            (by_rate(Some(8)), 0),
            (by_rate(None), 2),
            (by_layers(Some(1)), 0),
            (by_layers(None), 2),
        ] {
            scene.limit(limits);
            let ms = wait_for_layer(&mut scene, expected);
            println!("{codec:?}: temporal layer {expected} within {ms} ms");
        }
        assert_eq!(scene.check().undecodable, 0);
    }
}
