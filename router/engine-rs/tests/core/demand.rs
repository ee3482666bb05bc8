//! Layers that nobody watches pause at a publisher that follows, and come back (`core/demand.rs`).

use crate::cameras::{Camera, LAYERS, encoders};
use crate::common::House;
use crate::common::media::Encoder;
use fork_router_engine::core::command::Limits;
use fork_router_engine::core::{Command, Event};
use fork_router_engine::time::Micros;

/// A camera that follows, and a receiver that shows its best layer.
fn watched(seed: u64) -> Camera {
    let mut camera = Camera::new(seed, 1);
    camera.follow(true);
    camera.run(3_000);
    assert_eq!(camera.shown(0), Some(2));
    camera
}

#[test]
fn what_is_not_watched_pauses_and_is_back_within_a_second() {
    let mut camera = watched(1);
    assert_eq!(camera.active, [false, false, true], "{:?}", camera.told);
    camera.limit_width(0, Some(320));
    let woken = camera.wait(1_000, |it| it.shown(0) == Some(0));
    assert!(camera.active[2], "until the other is there");
    let paused = camera.wait(4_000, |it| it.active == [true, false, false]);
    camera.limit_width(0, None);
    let back = camera.wait(1_000, |it| it.shown(0) == Some(2));
    println!("woken {woken} ms, paused {paused} ms, back {back} ms");
    assert_eq!(camera.silences, 0);
    assert_eq!(camera.call.subscribers[0].view.missing(), [0u16; 0]);
}

#[test]
fn it_pauses_within_two_seconds() {
    let mut camera = Camera::new(2, 2);
    camera.limit_width(1, Some(320));
    camera.run(3_000);
    assert_eq!((camera.shown(0), camera.shown(1)), (Some(2), Some(0)));
    camera.follow(true);
    camera.run(2_000);
    assert_eq!(camera.active, [true, false, true]);
    camera.run(30_000);
    camera.assign(0, false);
    let paused = camera.wait(2_000, |it| it.active == [true, false, false]);
    println!("paused {paused} ms after the last receiver went");
    assert!(paused > 1_000, "a look away pauses nothing");
}

#[test]
fn a_camera_that_nobody_watches_is_not_silent() {
    let mut camera = watched(3);
    camera.assign(0, false);
    camera.wait(2_000, |it| it.active == [false; 3]);
    camera.run(60_000);
    assert_eq!(camera.silences, 0, "it was asked to be");
    camera.assign(0, true);
    let (at, wanted) = camera.told.last().cloned().expect("told");
    assert_eq!((at, wanted), (camera.now(), vec![2]), "at once, the best");
    let back = camera.wait(1_000, |it| it.shown(0) == Some(2));
    println!("back {back} ms after it was assigned");
}

#[test]
fn who_does_not_follow_is_told_nothing_and_goes_on() {
    let mut camera = Camera::new(4, 1);
    camera.limit_width(0, Some(320));
    camera.run(10_000);
    camera.assign(0, false);
    camera.run(10_000);
    assert_eq!((camera.told.len(), camera.active), (0, [true; 3]));
    let frames = camera.encoders.each_ref().map(|it| it.sent.len());
    assert!(frames.iter().all(|frames| *frames > 1_100), "{frames:?}");
}

#[test]
fn who_does_not_obey_is_shown_as_it_is() {
    let mut camera = watched(5);
    camera.obeys = false;
    camera.active = [true; 3];
    camera.limit_width(0, Some(320));
    camera.run(20_000);
    assert_eq!(camera.shown(0), Some(0));
    camera.limit_width(0, None);
    camera.wait(1_000, |it| it.shown(0) == Some(2));
}

#[test]
fn who_stops_following_is_asked_for_everything() {
    let mut camera = watched(6);
    assert_eq!(camera.active, [false, false, true]);
    camera.follow(false);
    camera.active = [true; 3];
    let told = camera.told.len();
    camera.run(30_000);
    assert_eq!(camera.told.len(), told);
    // Nothing is excused any more.
    camera.active = [false; 3];
    camera.run(10_000);
    assert_eq!(camera.silences, 1);
}

#[test]
fn what_does_not_come_back_is_given_up_for_the_best_that_does() {
    let mut camera = watched(7);
    camera.limit_width(0, Some(320));
    camera.wait(4_000, |it| it.active == [true, false, false]);
    camera.broken[2] = true;
    camera.limit_width(0, None);
    camera.run(2_000);
    assert_eq!(camera.shown(0), Some(0), "goes on meanwhile");
    let other = camera.wait(3_000, |it| it.shown(0) == Some(1));
    println!("the next best {other} ms later");
    // It stays wanted, so it comes when the uplink has room.
    assert!(camera.active[2]);
    camera.run(20_000);
    camera.broken[2] = false;
    camera.wait(2_000, |it| it.shown(0) == Some(2));
}

#[test]
fn a_camera_that_never_comes_back_falls_silent() {
    let mut camera = watched(8);
    camera.assign(0, false);
    camera.wait(2_000, |it| it.active == [false; 3]);
    camera.broken = [true; 3];
    camera.run(20_000);
    assert_eq!(camera.silences, 0);
    camera.assign(0, true);
    camera.run(15_000);
    assert_eq!(camera.silences, 1);
}

#[test]
fn mutes_of_the_server_pause_too() {
    let mut camera = watched(9);
    let producer = fork_router_engine::ids::ProducerId(1);
    let world = &mut camera.call.world;
    world.command(Command::PauseProducer(producer, true));
    camera.wait(2_000, |it| it.active == [false; 3]);
    let world = &mut camera.call.world;
    world.command(Command::PauseProducer(producer, false));
    camera.wait(1_000, |it| it.shown(0) == Some(2));
}

#[test]
fn a_receiver_that_wavers_does_not_make_the_publisher_waver() {
    let mut camera = watched(10);
    let told = camera.told.len();
    for round in 0..600 {
        camera.limit_width(0, (round % 2 == 0).then_some(320));
        camera.run(500);
    }
    for second in [1_500, 2_500, 4_000] {
        for round in 0..20 {
            camera.limit_width(0, (round % 2 == 0).then_some(320));
            camera.run(second);
        }
    }
    let told = camera.told.len() - told;
    println!("told {told} times in 460 s of wavering");
    assert!(told <= 60, "{told}");
}

#[test]
fn any_history_ends_with_what_is_watched() {
    for seed in 20..40 {
        let mut camera = Camera::new(seed, 3);
        camera.follow(true);
        for _ in 0..60 {
            let dice = camera.call.world.random(8);
            let receiver = camera.call.world.random(3) as usize;
            match dice {
                0 => camera.assign(receiver, false),
                1..=3 => camera.assign(receiver, true),
                4 => camera.limit_width(receiver, Some(320)),
                5 => camera.limit_width(receiver, Some(640)),
                6 => camera.limit_width(receiver, None),
                _ => camera.broken[receiver] ^= true,
            }
            let ms = 50 + camera.call.world.random(1_500);
            camera.run(ms);
        }
        camera.broken = [false; 3];
        camera.run(25_000);
        let mut watched = [false; 3];
        for receiver in 0..3 {
            if let Some(shown) = camera.shown(receiver) {
                watched[usize::from(shown)] = true;
            }
        }
        assert_eq!(camera.active, watched, "{:?}", camera.told.last());
        for receiver in 0..3 {
            let stats = camera.call.slot_stats(receiver);
            let should = stats.producer.is_some();
            assert_eq!(stats.encoding.is_some(), should, "receiver {receiver}");
        }
    }
}

/// A house with a camera of three layers on worker 0.
struct Studio {
    house: House,
    encoders: [Encoder; 3],
    active: [bool; 3],
    told: Vec<(Micros, Vec<u8>)>,
}

impl Studio {
    /// Guest 0 publishes; the others are on these workers.
    fn new(seed: u64, workers: &[usize]) -> Self {
        let mut house = House::new(seed);
        house.join(0);
        for worker in workers {
            house.join(*worker);
        }
        house.publish_video(0, &LAYERS);
        let producer = house.guests[0].producer;
        house.command(0, Command::FollowDemand(producer, true));
        Self {
            house,
            encoders: encoders(),
            active: [true; 3],
            told: Vec::new(),
        }
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 33 {
            for (encoder, active) in self.encoders.iter_mut().zip(self.active) {
                encoder.pass(3_000);
                if active {
                    let key = encoder.picture_id % 15 == 10;
                    let frame = encoder.frame(key, 2);
                    self.house.send(0, &frame);
                }
            }
            self.house.pass(33);
            let now = self.house.workers[0].now;
            for event in self.house.workers[0].take_events() {
                if let Event::EncodingsWanted { encodings, .. } = event {
                    self.active = [0, 1, 2].map(|index| encodings.contains(&index));
                    self.told.push((now, encodings));
                }
            }
        }
    }

    fn shown(&mut self, guest: usize) -> Option<u8> {
        let it = &self.house.guests[guest];
        let world = &mut self.house.workers[it.worker];
        let stats = world.core.transport_stats(world.now, it.peer.transport);
        stats.expect("there").slots[0].encoding
    }

    fn limit_width(&mut self, guest: usize, max_width: Option<u16>) {
        let limits = Limits {
            max_width,
            ..Limits::default()
        };
        let it = &self.house.guests[guest];
        let (worker, slot) = (it.worker, it.slot.id);
        self.house.command(worker, Command::SetLimits(slot, limits));
    }
}

#[test]
fn receivers_on_other_workers_count() {
    let mut studio = Studio::new(50, &[0, 1]);
    studio.house.assign(1, Some(0));
    studio.house.assign(2, Some(0));
    studio.limit_width(1, Some(320));
    studio.limit_width(2, Some(640));
    studio.run(4_000);
    assert_eq!((studio.shown(1), studio.shown(2)), (Some(0), Some(1)));
    assert_eq!(studio.active, [true, true, false], "{:?}", studio.told);
    // A layer that rests is chosen over there, by what the home remembers.
    studio.limit_width(2, None);
    studio.run(1_000);
    assert_eq!(studio.shown(2), Some(2), "{:?}", studio.told);
    studio.run(20_000);
    assert_eq!(studio.active, [true, false, true], "{:?}", studio.told);
    studio.house.assign(2, None);
    studio.run(20_000);
    assert_eq!(studio.active, [true, false, false], "{:?}", studio.told);
    assert_eq!(studio.house.mirrors(), [0, 0]);
}

#[test]
fn a_worker_that_begins_to_watch_wakes_only_what_it_uses() {
    let mut studio = Studio::new(51, &[1]);
    studio.run(4_000);
    assert_eq!(studio.active, [false; 3]);
    studio.limit_width(1, Some(640));
    studio.house.assign(1, Some(0));
    studio.run(1_000);
    assert_eq!(studio.shown(1), Some(1), "{:?}", studio.told);
    assert_eq!(studio.active, [false, true, false], "{:?}", studio.told);
    let at_first = studio.told.iter().position(|(_, it)| it.is_empty());
    let since = &studio.told[at_first.expect("all rested") + 1..];
    assert!(since.iter().all(|(_, it)| it == &[1]), "{since:?}");
    let told = |event: &Event| matches!(event, Event::EncodingsWanted { .. });
    assert!(!studio.house.workers[1].take_events().iter().any(told));
}
