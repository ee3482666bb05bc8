//! The clock of one peer, learned from its sender reports (RFC 3550 section 6.4.1), in engine time.
//!
//! Peers' NTP clocks are theirs alone: a browser's may be hours off. What can be told is how its clock stands to ours
//! at best: the least of (arrival - NTP) over recent reports, of all its streams together since they share the clock.
//! So a peer's audio and video keep their exact distance, and different peers agree but for their one-way delays.

use crate::time::Micros;

/// The least delay is looked for in windows this long; a clock that drifts or jumps is followed after two.
pub const WINDOW: Micros = Micros::from_secs(60);
/// A report this far off the estimate means that the peer's clock jumped.
pub const MAX_STEP: Micros = Micros::from_secs(1);

/// A point where a source's RTP time meets engine time: `timestamp` was captured at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// RTP timestamp of the source.
    pub timestamp: u32,
    /// When it was captured, in engine time.
    pub at: Micros,
}

impl Anchor {
    /// When this timestamp was captured; right within half the timestamp space.
    pub fn time_of(self, timestamp: u32, clock_rate: u32) -> Micros {
        let ticks = i64::from(timestamp.wrapping_sub(self.timestamp) as i32);
        let micros = ticks * 1_000_000 / i64::from(clock_rate.max(1));
        Micros(self.at.0.saturating_add_signed(micros))
    }

    /// The timestamp that media captured now would carry.
    pub fn timestamp_at(self, now: Micros, clock_rate: u32) -> u32 {
        self.timestamp
            .wrapping_add(ticks_between(self.at, now, clock_rate))
    }
}

/// Clock ticks from one time to another, modulo 2^32; negative steps wrap.
pub fn ticks_between(from: Micros, to: Micros, clock_rate: u32) -> u32 {
    let span = i128::from(to.0) - i128::from(from.0);
    (span * i128::from(clock_rate) / 1_000_000) as u32
}

/// Maps a peer's NTP time to engine time. One per transport.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerClock {
    /// Least engine time minus NTP time, in microseconds, of the former window and of this one.
    former: Option<i64>,
    current: Option<i64>,
    window_start: Micros,
}

impl PeerClock {
    /// A sender report of any stream of the peer arrived: learns from it, and gives the stream's anchor.
    pub fn on_sender_report(&mut self, ntp: u64, timestamp: u32, now: Micros) -> Anchor {
        let ntp_us = ntp_to_micros(ntp);
        let offset = (now.0 as i64).saturating_sub(ntp_us);
        if self
            .offset()
            .is_some_and(|known| offset.abs_diff(known) > MAX_STEP.0)
        {
            *self = Self::default();
        }
        if now - self.window_start >= WINDOW {
            self.former = self.current.take();
            self.window_start = now;
        }
        self.current = Some(self.current.map_or(offset, |least| least.min(offset)));
        let offset = self.offset().unwrap_or(offset);
        Anchor {
            timestamp,
            at: Micros(u64::try_from(ntp_us.saturating_add(offset)).unwrap_or(0)),
        }
    }

    fn offset(&self) -> Option<i64> {
        match (self.former, self.current) {
            (Some(former), Some(current)) => Some(former.min(current)),
            (former, current) => former.or(current),
        }
    }
}

/// 32.32 fixed point seconds to microseconds; always fits, 2^32 s are 2^52 us.
pub fn ntp_to_micros(ntp: u64) -> i64 {
    let seconds = ntp >> 32;
    let fraction = ntp & 0xFFFF_FFFF;
    (seconds * 1_000_000 + ((fraction * 1_000_000) >> 32)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtcp::NtpTime;
    use proptest::prelude::*;

    /// The peer's clock is an hour ahead of ours, its path takes `delay_ms`.
    fn report(clock: &mut PeerClock, captured_ms: u64, delay_ms: u64) -> Micros {
        let ntp = NtpTime::from_unix_micros((captured_ms + 3_600_000) * 1_000).0;
        clock
            .on_sender_report(ntp, 0, Micros::from_millis(captured_ms + delay_ms))
            .at
    }

    fn near(left: Micros, right_ms: u64) {
        assert!(
            left.0.abs_diff(right_ms * 1_000) <= 2,
            "{left:?} {right_ms}"
        );
    }

    #[test]
    fn least_delay_wins() {
        let mut clock = PeerClock::default();
        near(report(&mut clock, 1_000, 80), 1_080);
        near(report(&mut clock, 2_000, 20), 2_020);
        near(report(&mut clock, 3_000, 500), 3_020);
    }

    #[test]
    fn audio_and_video_of_a_peer_agree_whatever_their_reports_delay() {
        let mut clock = PeerClock::default();
        report(&mut clock, 0, 30);
        let audio = report(&mut clock, 5_000, 90);
        let video = report(&mut clock, 5_000, 35);
        assert_eq!(audio, video);
    }

    #[test]
    fn a_longer_path_is_followed_after_two_windows() {
        let mut clock = PeerClock::default();
        report(&mut clock, 0, 20);
        for second in 1..=60 {
            near(report(&mut clock, second * 1_000, 120), second * 1_000 + 20);
        }
        for second in 61..=130 {
            report(&mut clock, second * 1_000, 120);
        }
        near(report(&mut clock, 131_000, 120), 131_120);
    }

    #[test]
    fn a_jump_of_the_clock_is_followed_at_once() {
        let mut clock = PeerClock::default();
        report(&mut clock, 1_000, 20);
        let jumped = clock.on_sender_report(
            NtpTime::from_unix_micros(77).0,
            5,
            Micros::from_millis(2_000),
        );
        assert!(jumped.at.0.abs_diff(2_000_000) <= 2);
        assert_eq!(jumped.timestamp, 5);
    }

    proptest! {
        #[test]
        fn ntp_there_and_back(micros in 0u64..2_000_000_000_000_000) {
            let origin = ntp_to_micros(NtpTime::from_unix_micros(0).0) as u64;
            let back = ntp_to_micros(NtpTime::from_unix_micros(micros).0) as u64 - origin;
            prop_assert!(micros.abs_diff(back) <= 1);
        }

        #[test]
        fn no_input_panics(reports in proptest::collection::vec((any::<u64>(), any::<u64>()), 1..50)) {
            let mut clock = PeerClock::default();
            for (ntp, now) in reports {
                clock.on_sender_report(ntp, 0, Micros(now));
            }
        }
    }
}
