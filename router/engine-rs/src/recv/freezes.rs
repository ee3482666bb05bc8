//! Frozen pictures, as far as a router that decodes nothing can know of them (W3C webrtc-stats, `freezeCount`,
//! `totalFreezesDuration`).
//!
//! A picture froze when two frames that could be shown follow each other at no less than `max(3 d, d + 150 ms)`, where d
//! is the average distance of frames, over about the last 30. A frame is taken as shown when its first packet passes
//! here: behind a receiver's buffer it comes later, but not at other distances. Towards a receiver, frames cannot be
//! shown from its picture loss indication (PLI, RFC 4585 section 6.3.1) on, until a key frame passes: losses that were
//! repaired in time freeze nothing, the others end in a PLI.
//!
//! Other than in W3C's counters, a freeze counts as soon as it is one, and grows while it lasts. What is stopped on
//! purpose (by the server, by a limit, by want of bandwidth) freezes nothing: [`FreezeMeter::stop`].

use crate::time::Micros;

/// Frames in the average.
const AVERAGED: u8 = 30;
/// Before so many distances are known nothing is a freeze (as in libwebrtc).
const LEAST_KNOWN: u8 = 5;
/// Longer than the average by this.
const LEAST_EXCESS_US: u32 = 150_000;
/// Timestamps less than a second behind the newest are of frames that passed. Others are of another clock: senders that
/// change their source may begin anew (aiortc does).
const BEHIND: u32 = 90_000;
/// A PLI that was sent before the last key frame came is no news. So long it may have been under way, if nobody knows.
const UNDER_WAY: Micros = Micros::from_millis(100);

/// Counters of one stream of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freezes {
    /// Frames.
    pub frames: u64,
    /// Of those, key frames.
    pub key_frames: u64,
    /// Freezes begun.
    pub count: u64,
    /// How long they lasted together.
    pub duration: Micros,
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct FreezeMeter {
    /// Of the newest frame.
    timestamp: u32,
    average_us: u32,
    /// When the last frame was shown; while the picture is frozen, up to when that is counted.
    last: Micros,
    last_key: Micros,
    frames: u64,
    frozen: Micros,
    key_frames: u32,
    count: u32,
    known: u8,
    is_running: bool,
    is_frozen: bool,
    /// The receiver cannot show anything before the next key frame.
    is_lost: bool,
}

impl FreezeMeter {
    /// A packet of a frame passes.
    #[inline]
    pub fn on_packet(&mut self, timestamp: u32, in_key_frame: bool, now: Micros) {
        if !self.is_running || self.timestamp.wrapping_sub(timestamp) >= BEHIND {
            self.on_frame(timestamp, in_key_frame, now);
        }
    }

    fn on_frame(&mut self, timestamp: u32, is_key: bool, now: Micros) {
        self.timestamp = timestamp;
        self.frames += 1;
        if is_key {
            self.key_frames = self.key_frames.saturating_add(1);
            self.last_key = now;
            self.is_lost = false;
        }
        if self.is_lost {
            return;
        }
        if self.is_running {
            self.settle(now);
            self.learn(now);
        }
        self.is_running = true;
        self.is_frozen = false;
        self.last = now;
    }

    /// What exceeds a freeze's threshold counts as that: else one long freeze would hide the next ones.
    fn learn(&mut self, now: Micros) {
        let threshold = self.threshold_us();
        let distance = match u32::try_from((now - self.last).0) {
            Ok(distance) if !self.is_frozen => distance.min(threshold),
            _ => threshold,
        };
        self.known = self.known.saturating_add(1).min(AVERAGED);
        let step = (i64::from(distance) - i64::from(self.average_us)) / i64::from(self.known);
        self.average_us = self.average_us.saturating_add_signed(step as i32);
    }

    fn threshold_us(&self) -> u32 {
        if self.known < LEAST_KNOWN {
            return u32::MAX;
        }
        let average = self.average_us;
        average
            .saturating_mul(3)
            .max(average.saturating_add(LEAST_EXCESS_US))
    }

    /// Counts a freeze that lasts.
    fn settle(&mut self, now: Micros) {
        let since = now - self.last;
        if !self.is_running || now < self.last {
            return;
        }
        if !self.is_frozen {
            if self.known < LEAST_KNOWN || since.0 < self.threshold_us().into() {
                return;
            }
            self.is_frozen = true;
            self.count = self.count.saturating_add(1);
        }
        self.frozen = self.frozen + since;
        self.last = now;
    }

    /// The receiver says that it lost the picture. Where key frames are not known, nobody could tell when it is back.
    pub fn on_picture_loss(&mut self, round_trip: Option<Micros>, now: Micros) {
        let under_way = round_trip.unwrap_or(UNDER_WAY);
        let is_news = self.is_running && now >= self.last_key + under_way;
        self.is_lost |= is_news && self.key_frames > 0;
    }

    /// Nothing is shown any more, and nobody is to miss it.
    pub fn stop(&mut self) {
        self.is_running = false;
        self.is_frozen = false;
        self.is_lost = false;
    }

    /// Frames pass, or should.
    pub fn is_running(&self) -> bool {
        self.is_running
    }

    /// The counters up to now.
    pub fn read(&mut self, now: Micros) -> Freezes {
        self.settle(now);
        Freezes {
            frames: self.frames,
            key_frames: self.key_frames.into(),
            count: self.count.into(),
            duration: self.frozen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: Micros = Micros(33_333);

    /// A film at 30 frames a second, of three packets each.
    struct Film {
        meter: FreezeMeter,
        now: Micros,
        timestamp: u32,
    }

    impl Film {
        fn new() -> Self {
            Self {
                meter: FreezeMeter::default(),
                now: Micros::from_secs(5),
                timestamp: u32::MAX - 30_000,
            }
        }

        fn frame(&mut self, is_key: bool) {
            for _packet in 0..3 {
                self.meter.on_packet(self.timestamp, is_key, self.now);
            }
            self.wait(FRAME);
        }

        fn frames(&mut self, count: usize) {
            for _frame in 0..count {
                self.frame(false);
            }
        }

        fn wait(&mut self, span: Micros) {
            self.now = self.now + span;
            self.timestamp = self.timestamp.wrapping_add((span.0 * 9 / 100) as u32);
        }

        fn read(&mut self) -> (u64, u64) {
            let freezes = self.meter.read(self.now);
            (freezes.count, freezes.duration.as_millis())
        }
    }

    #[test]
    fn a_smooth_film_has_none() {
        let mut film = Film::new();
        film.frame(true);
        film.frames(299);
        assert_eq!(film.read(), (0, 0));
        let freezes = film.meter.read(film.now);
        assert_eq!((freezes.frames, freezes.key_frames), (300, 1));
        // 33 + 150 ms are the threshold.
        film.wait(Micros::from_millis(145));
        film.frames(30);
        assert_eq!(film.read(), (0, 0));
    }

    #[test]
    fn a_gap_is_one_freeze_however_often_it_is_looked_at() {
        for looks in [0, 1, 7] {
            let mut film = Film::new();
            film.frames(60);
            for _look in 0..looks {
                film.wait(Micros::from_millis(100));
                film.read();
            }
            film.wait(Micros::from_millis(1_000 - 100 * looks));
            film.frames(60);
            assert_eq!(film.read(), (1, 1_033), "{looks}");
        }
    }

    #[test]
    fn a_freeze_that_lasts_is_counted_and_grows() {
        let mut film = Film::new();
        film.frames(60);
        film.wait(Micros::from_millis(500));
        assert_eq!(film.read(), (1, 533));
        film.wait(Micros::from_millis(4_000));
        assert_eq!(film.read(), (1, 4_533));
        film.meter.stop();
        film.wait(Micros::from_secs(60));
        assert_eq!(film.read(), (1, 4_533), "stopped on purpose");
        film.frames(60);
        assert_eq!(film.read(), (1, 4_533));
    }

    #[test]
    fn a_slower_film_is_no_row_of_freezes() {
        let mut film = Film::new();
        film.frames(60);
        for _frame in 0..120 {
            film.frame(false);
            film.wait(Micros::from_millis(467));
        }
        assert!(
            film.read().0 <= 30,
            "two frames a second: {:?}",
            film.read()
        );
        let before = film.read();
        for _frame in 0..120 {
            film.frame(false);
            film.wait(Micros::from_millis(467));
        }
        assert_eq!(film.read(), before);
    }

    #[test]
    fn a_lost_picture_is_frozen_until_the_next_key_frame() {
        let mut film = Film::new();
        film.frame(true);
        film.frames(60);
        film.meter.on_picture_loss(None, film.now);
        film.frames(30);
        assert_eq!(film.read().0, 1, "frames pass, but cannot be shown");
        film.frame(true);
        film.frames(60);
        let (count, ms) = film.read();
        assert_eq!(count, 1);
        assert!((1_000..1_070).contains(&ms), "{ms}");
    }

    #[test]
    fn a_picture_found_again_at_once_did_not_freeze() {
        let mut film = Film::new();
        film.frame(true);
        film.frames(60);
        film.meter.on_picture_loss(None, film.now);
        film.frames(2);
        film.frame(true);
        film.frames(60);
        assert_eq!(film.read(), (0, 0));
    }

    #[test]
    fn a_loss_that_crossed_a_key_frame_is_no_news() {
        for (round_trip_ms, count) in [(200, 0), (20, 1)] {
            let mut film = Film::new();
            film.frames(60);
            film.frame(true);
            film.frame(false);
            let round_trip = Some(Micros::from_millis(round_trip_ms));
            film.meter.on_picture_loss(round_trip, film.now);
            film.frames(30);
            assert_eq!(film.read().0, count, "{round_trip_ms}");
        }
    }

    #[test]
    fn late_packets_are_no_frames_and_another_clock_is_no_end() {
        let mut film = Film::new();
        film.frames(60);
        let late = film.timestamp.wrapping_sub(20 * 3_000);
        film.meter.on_packet(late, false, film.now);
        assert_eq!(film.meter.read(film.now).frames, 60);
        for (back, frames) in [(1 << 30, 120), (3 * 90_000, 180)] {
            film.timestamp = film.timestamp.wrapping_sub(back);
            film.frames(60);
            assert_eq!(film.meter.read(film.now).frames, frames);
        }
        assert_eq!(film.read(), (0, 0));
    }

    proptest! {
        /// Whatever comes: counters never fall, and no more is frozen than time passed.
        #[test]
        fn counters_only_grow(steps in proptest::collection::vec((0..4_u8, any::<u32>(), 0..2_000_000_u64), 1..300)) {
            let mut meter = FreezeMeter::default();
            let start = Micros::from_secs(1);
            let (mut now, mut before) = (start, Freezes::default());
            for (what, timestamp, wait) in steps {
                now = now + Micros(wait);
                match what {
                    0 => meter.on_packet(timestamp, timestamp % 7 == 0, now),
                    1 => meter.on_packet((now.0 * 9 / 100) as u32, false, now),
                    2 => meter.on_picture_loss(Some(Micros(timestamp.into())), now),
                    _ if wait % 5 == 0 => meter.stop(),
                    _ => {}
                }
                let read = meter.read(now);
                prop_assert!(read.count >= before.count && read.duration >= before.duration);
                prop_assert!(read.frames >= before.frames && read.count <= read.frames);
                prop_assert!(read.duration <= now - start);
                before = read;
            }
        }
    }
}
