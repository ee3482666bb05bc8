//! A slot that shows one publisher after another, of one codec or of several, is one stream that never breaks.

use crate::media::{CLEAN, Impairment, LOSSY, Rng};
use crate::studio::receiver::Decoded;
use crate::studio::{Studio, captured_ms};
use fork_router_engine::core::Command;
use fork_router_engine::core::command::{Codec, Limits};
use fork_router_engine::ids::{ProducerId, SlotId};

const VP8: (Codec, bool) = (Codec::Vp8, false);
const VP9: (Codec, bool) = (Codec::Vp9, false);
const H264: (Codec, bool) = (Codec::H264, false);
const AV1: (Codec, bool) = (Codec::Av1, true);
/// With the dependency descriptor beside its own numbers, as Chromium sends it when it was agreed on.
const VP8_DEPENDENCY: (Codec, bool) = (Codec::Vp8, true);
const CHANGES: usize = 200;

/// Assigns other cameras at random until the picture has changed 200 times; layers are left and entered meanwhile.
fn change_often(seed: u64, cameras: &[(Codec, bool)], impairment: Impairment) -> Studio {
    let mut studio = Studio::new(seed, cameras, impairment);
    let mut rng = Rng::new(seed);
    while studio.receiver.changes() < CHANGES {
        change(&mut studio, &mut rng, cameras.len() as u64);
        if rng.percent(25) {
            let layers = Some(1 + rng.below(3) as u8);
            let limits = Limits {
                max_temporal_layers: layers,
                ..Limits::default()
            };
            studio.world.command(Command::SetLimits(SlotId(1), limits));
        }
    }
    let stall = studio.receiver.longest_stall_ms;
    assert!(stall < 1_000, "stood for {stall} ms, seed {seed}");
    studio
}

/// After a while, assigns another camera.
fn change(studio: &mut Studio, rng: &mut Rng, cameras: u64) {
    studio.run(200 + rng.below(300));
    let assigned = studio.stats().producer.map_or(0, |producer| producer.0);
    let step = 1 + rng.below(cameras - 1);
    studio.assign((assigned - 1 + step) % cameras + 1);
    assert!(studio.now_ms() < 1_400_000, "changes take too long");
}

#[test]
fn two_hundred_changes_between_cameras_of_one_codec() {
    for (seed, camera) in [(1, VP8), (2, VP9), (3, AV1), (4, H264), (5, VP8_DEPENDENCY)] {
        let studio = change_often(seed, &[camera; 3], CLEAN);
        assert_eq!(studio.receiver.plis, 0, "nothing to ask for, {camera:?}");
        assert_eq!(studio.receiver.cleared, 0, "ids went back, {camera:?}");
    }
}

#[test]
fn two_hundred_changes_under_loss_and_reordering() {
    for (seed, camera) in [
        (11, VP8),
        (12, VP9),
        (13, AV1),
        (14, H264),
        (15, VP8_DEPENDENCY),
    ] {
        let studio = change_often(seed, &[camera; 3], LOSSY);
        assert_eq!(studio.receiver.cleared, 0, "ids went back, {camera:?}");
    }
}

#[test]
fn two_hundred_changes_between_codecs() {
    let cameras = [VP8, VP9, H264, AV1, VP8];
    let studio = change_often(21, &cameras, CLEAN);
    assert_eq!(studio.receiver.plis, 0);
    for seed in [22, 23] {
        change_often(seed, &cameras, LOSSY);
    }
}

#[test]
fn cameras_with_and_without_descriptors_of_one_codec_take_turns() {
    for (seed, impairment) in [(31, CLEAN), (32, LOSSY)] {
        change_often(seed, &[VP8, VP8_DEPENDENCY, VP8], impairment);
    }
}

#[test]
fn the_picture_never_waits_for_a_key_frame() {
    let (mut studio, mut rng) = (Studio::new(41, &[VP8, VP9, AV1], CLEAN), Rng::new(41));
    while studio.receiver.changes() < CHANGES {
        change(&mut studio, &mut rng, 3);
    }
    for pair in studio.receiver.decoded.windows(2) {
        let gap = pair[1].at_ms - pair[0].at_ms;
        assert!(gap <= 70, "{gap} ms between {pair:?}");
        let changes = pair[0].stamp.camera != pair[1].stamp.camera;
        assert!(!changes || pair[1].stamp.key, "{pair:?}");
        let ticks = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(ticks <= 70 * 90, "{ticks} ticks between {pair:?}");
    }
}

/// The newest sender report that the receiver had when it decoded a frame: when it came, and by how much it misses the
/// time at which the frame was captured.
fn told(studio: &Studio, frame: &Decoded) -> Option<(u64, f64)> {
    let mut reports = studio.reports.iter().rev();
    let (at_ms, info) = reports.find(|(at_ms, _)| *at_ms <= frame.at_ms)?;
    let error = captured_ms(info, frame.timestamp) - frame.stamp.captured_ms as f64;
    Some((*at_ms, error))
}

#[test]
fn sender_reports_tell_when_the_picture_was_taken() {
    let studio = change_often(51, &[VP8, H264, AV1], CLEAN);
    let (mut begun_ms, mut camera, mut checked) = (0, 0, 0);
    for frame in &studio.receiver.decoded {
        if frame.stamp.camera != camera {
            (begun_ms, camera) = (frame.at_ms, frame.stamp.camera);
        }
        let Some((at_ms, error)) = told(&studio, frame) else {
            continue;
        };
        // The first report about this camera comes 100 ms after the change.
        if at_ms < begun_ms {
            let late = frame.at_ms - begun_ms;
            assert!(late < 150, "not told for {late} ms");
            continue;
        }
        assert!(error.abs() < 5.0, "off by {error} ms: {frame:?}");
        checked += 1;
    }
    assert!(checked > 1_000, "{checked} frames checked");
}

#[test]
fn feedback_and_reports_are_about_what_is_shown_while_another_is_awaited() {
    let mut studio = Studio::new(55, &[VP8, VP9], CLEAN);
    studio.set_obedient(2, false);
    studio.run(1_000);
    let first = studio.receiver.decoded.len();
    studio.assign(2);
    studio.run(3_000);
    assert_eq!(studio.stats().shown_producer, Some(ProducerId(1)));
    assert!(studio.ignored_requests(2) > 4, "asked again and again");
    for frame in &studio.receiver.decoded[first..] {
        let (_, error) = told(&studio, frame).expect("told");
        assert!(error.abs() < 5.0, "off by {error} ms: {frame:?}");
    }
    assert_eq!(studio.key_frames(1), 1);
    studio.ask_for_key_frame();
    studio.run(200);
    assert_eq!(
        studio.key_frames(1),
        2,
        "the receiver lost what it is shown"
    );
    studio.set_obedient(2, true);
    studio.run(700);
    assert_eq!(studio.stats().shown_producer, Some(ProducerId(2)));
}

#[test]
fn what_is_shown_goes_on_while_the_other_camera_is_silent() {
    let mut studio = Studio::new(61, &[VP8, VP9], CLEAN);
    studio.set_live(2, false);
    studio.run(1_000);
    studio.assign(2);
    studio.run(5_000);
    let stats = studio.stats();
    assert_eq!(
        (stats.producer, stats.shown_producer, stats.waiting),
        (Some(ProducerId(2)), Some(ProducerId(1)), true)
    );
    let stall = studio.receiver.longest_stall_ms;
    assert!(stall <= 70, "{stall} ms");
    assert_eq!(studio.key_frames(1), 1, "nobody needs another");
    studio.set_live(2, true);
    studio.run(500);
    let stats = studio.stats();
    assert_eq!(
        (stats.shown_producer, stats.waiting),
        (Some(ProducerId(2)), false)
    );
    studio.assign(1);
    studio.assign(2);
    studio.run(1_000);
    assert_eq!(studio.receiver.changes(), 1, "the last assignment counts");
}

#[test]
fn producers_that_end_or_pause_leave_no_trace_in_the_other_route() {
    let mut studio = Studio::new(71, &[VP8, VP9, H264], CLEAN);
    studio.run(500);
    // The one that waits ends: nothing is assigned any more, so nothing is shown.
    studio.set_live(2, false);
    studio.assign(2);
    studio.run(300);
    studio.world.command(Command::RemoveProducer(ProducerId(2)));
    let stats = studio.stats();
    assert_eq!((stats.producer, stats.shown_producer), (None, None));
    let frames = studio.receiver.decoded.len();
    studio.run(300);
    assert!(
        studio.receiver.decoded.len() <= frames + 2,
        "what was on its way"
    );
    // The shown one pauses while another waits.
    studio.assign(1);
    studio.run(700);
    assert_eq!(studio.stats().shown_producer, Some(ProducerId(1)));
    studio.set_live(3, false);
    studio.assign(3);
    studio
        .world
        .command(Command::PauseProducer(ProducerId(1), true));
    assert_eq!(studio.stats().shown_producer, None);
    studio.set_live(3, true);
    studio.run(700);
    assert_eq!(studio.stats().shown_producer, Some(ProducerId(3)));
    studio
        .world
        .command(Command::PauseProducer(ProducerId(1), false));
    studio.run(300);
    assert_eq!(studio.stats().shown_producer, Some(ProducerId(3)));
    // The shown one ends while another waits.
    studio.assign(1);
    studio.world.command(Command::RemoveProducer(ProducerId(3)));
    let stats = studio.stats();
    assert_eq!(
        (stats.producer, stats.shown_producer),
        (Some(ProducerId(1)), None)
    );
    studio.run(700);
    assert_eq!(studio.stats().shown_producer, Some(ProducerId(1)));
    studio.world.command(Command::RemoveSlot(SlotId(1)));
    studio.run(300);
}

/// Whatever is commanded in whatever order: what is told of the slot is what was commanded, and it comes.
#[test]
fn any_order_of_commands_ends_where_it_should() {
    for seed in 81..=84 {
        let mut studio = Studio::new(seed, &[VP8, VP9, H264, AV1], LOSSY);
        let mut rng = Rng::new(seed);
        let (mut assigned, mut paused) = (Some(1), [false; 5]);
        for _ in 0..150 {
            let camera = 1 + rng.below(4);
            match rng.below(5) {
                0 => {
                    let pause = !paused[camera as usize];
                    paused[camera as usize] = pause;
                    let command = Command::PauseProducer(ProducerId(camera), pause);
                    studio.world.command(command);
                }
                1 => {
                    assigned = None;
                    studio.world.command(Command::Assign(SlotId(1), None));
                }
                _ => {
                    assigned = Some(camera);
                    studio.assign(camera);
                }
            }
            let stats = studio.stats();
            assert_eq!(stats.producer, assigned.map(ProducerId), "seed {seed}");
            let shown = stats.shown_producer.map_or(0, |shown| shown.0);
            assert!(!paused[shown as usize], "seed {seed}");
            studio.run(rng.below(400));
            if rng.percent(10) {
                studio.run(1_500);
                let expected = assigned.filter(|camera| !paused[*camera as usize]);
                let shown = studio.stats().shown_producer;
                if let Some(expected) = expected {
                    assert_eq!(shown, Some(ProducerId(expected)), "seed {seed}");
                }
            }
        }
    }
}
