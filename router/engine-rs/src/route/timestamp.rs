//! The slot's outgoing RTP timestamps: one offset per epoch, chosen so that media time goes on across a switch.
//!
//! Within an epoch every timestamp moves by the same offset, so frames stay together and reordering does not matter.
//! At a switch the offset follows the capture clocks of both sources where their sender reports give them
//! (RFC 3550 section 6.4.1), else the time of arrival. [`Anchor`] is such a clock, already in engine time.

use crate::recv::clock::{Anchor, ticks_between};
use crate::time::Micros;

/// Capture clocks that differ from the arrival clock by more than this are not believed.
pub const MAX_CLOCK_DISAGREEMENT: Micros = Micros::from_secs(2);

/// The newest packet sent.
#[derive(Clone, Copy, Debug)]
struct Newest {
    /// Our timestamp.
    timestamp: u32,
    arrived: Micros,
    captured: Option<Micros>,
}

/// What a switch needs to know of the packet it happens at.
#[derive(Clone, Copy, Debug)]
pub struct SwitchPoint {
    /// The packet's timestamp.
    pub timestamp: u32,
    /// When it arrived.
    pub arrived: Micros,
    /// Its source's clock.
    pub anchor: Option<Anchor>,
    /// Ticks per second.
    pub clock_rate: u32,
}

/// Timestamps of one slot.
#[derive(Clone, Copy, Debug)]
pub struct TimestampMapper {
    offset: u32,
    first: u32,
    /// How far our time runs ahead because it may not go back: made good at later switches, or it would add up.
    ahead: Micros,
    newest: Option<Newest>,
}

impl TimestampMapper {
    /// The first packet sent will carry `first`.
    pub fn new(first: u32) -> Self {
        Self {
            offset: 0,
            first,
            ahead: Micros(0),
            newest: None,
        }
    }

    /// A new source begins with this packet. Its timestamp will lie behind all that were sent.
    pub fn switch(&mut self, point: SwitchPoint) {
        let target = match self.newest {
            None => self.first,
            Some(newest) => newest.timestamp.wrapping_add(self.step(newest, point)),
        };
        self.offset = target.wrapping_sub(point.timestamp);
    }

    /// Ticks from the newest packet to the switch point: at least one, as two frames may not share a timestamp.
    fn step(&mut self, newest: Newest, point: SwitchPoint) -> u32 {
        let captured = point
            .anchor
            .map(|anchor| anchor.time_of(point.timestamp, point.clock_rate));
        let believable =
            |time: Micros, arrived: Micros| time.0.abs_diff(arrived.0) <= MAX_CLOCK_DISAGREEMENT.0;
        let (from, to) = match (newest.captured, captured) {
            (Some(from), Some(to))
                if believable(from, newest.arrived) && believable(to, point.arrived) =>
            {
                (from, to)
            }
            _ => (newest.arrived, point.arrived),
        };
        let due = from + self.ahead;
        let step = ticks_between(due.min(to), to, point.clock_rate).max(1);
        let span = u64::from(step) * 1_000_000 / u64::from(point.clock_rate.max(1));
        self.ahead = (due + Micros(span) - to).min(MAX_CLOCK_DISAGREEMENT);
        step
    }

    /// Our timestamp for one of the source.
    pub fn map(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.offset)
    }

    /// The offset of the current epoch.
    pub fn offset(&self) -> u32 {
        self.offset
    }

    /// Notes a packet that is sent for the first time.
    pub fn on_sent(&mut self, point: SwitchPoint) {
        if self.is_newest(point.timestamp) {
            let captured = point
                .anchor
                .map(|anchor| anchor.time_of(point.timestamp, point.clock_rate));
            self.newest = Some(Newest {
                timestamp: self.map(point.timestamp),
                arrived: point.arrived,
                captured,
            });
        }
    }

    /// Nothing was sent of this timestamp or a later one: of a frame's packets, the first is to be noted.
    #[inline]
    pub fn is_newest(&self, timestamp: u32) -> bool {
        let ahead_of = |newest: Newest| self.map(timestamp).wrapping_sub(newest.timestamp) as i32;
        self.newest.is_none_or(|newest| ahead_of(newest) > 0)
    }

    /// The newest timestamp sent.
    pub fn newest(&self) -> Option<u32> {
        self.newest.map(|newest| newest.timestamp)
    }

    /// Our timestamp of this moment, for a sender report: by the source's clock, else carried on from the newest packet.
    pub fn timestamp_at(
        &self,
        now: Micros,
        anchor: Option<Anchor>,
        clock_rate: u32,
    ) -> Option<u32> {
        let newest = self.newest?;
        Some(match anchor {
            Some(anchor) => self.map(anchor.timestamp_at(now, clock_rate)),
            None => newest
                .timestamp
                .wrapping_add(ticks_between(newest.arrived, now, clock_rate)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VIDEO: u32 = 90_000;

    fn point(timestamp: u32, arrived_ms: u64, anchor: Option<Anchor>) -> SwitchPoint {
        SwitchPoint {
            timestamp,
            arrived: Micros::from_millis(arrived_ms),
            anchor,
            clock_rate: VIDEO,
        }
    }

    #[allow(clippy::unnecessary_wraps)] // what every caller wants
    fn anchor(timestamp: u32, at_ms: u64) -> Option<Anchor> {
        Some(Anchor {
            timestamp,
            at: Micros::from_millis(at_ms),
        })
    }

    #[test]
    fn begins_where_told() {
        let mut mapper = TimestampMapper::new(777);
        assert_eq!(mapper.timestamp_at(Micros(5), None, VIDEO), None);
        mapper.switch(point(4_000_000_000, 10, None));
        assert_eq!(mapper.map(4_000_000_000), 777);
        assert_eq!(mapper.map(4_000_003_000), 3_777);
    }

    #[test]
    fn goes_on_by_arrival_without_clocks() {
        let mut mapper = TimestampMapper::new(1_000);
        mapper.switch(point(50, 0, None));
        mapper.on_sent(point(50, 0, None));
        mapper.switch(point(9_999_999, 100, None));
        assert_eq!(mapper.map(9_999_999), 1_000 + 9_000);
    }

    #[test]
    fn goes_on_by_capture_time_with_clocks() {
        let mut mapper = TimestampMapper::new(0);
        // Source A: timestamp 0 captured at 10 ms, arrives at 30. Source B: 5000 captured at 43 ms, arrives at 130.
        mapper.switch(point(0, 30, anchor(0, 10)));
        mapper.on_sent(point(0, 30, anchor(0, 10)));
        mapper.switch(point(5_000, 130, anchor(5_000, 43)));
        assert_eq!(mapper.map(5_000), 33 * 90);
    }

    #[test]
    fn one_clock_alone_is_not_used() {
        let mut mapper = TimestampMapper::new(0);
        mapper.switch(point(0, 30, anchor(0, 10)));
        mapper.on_sent(point(0, 30, anchor(0, 10)));
        mapper.switch(point(5_000, 130, None));
        assert_eq!(mapper.map(5_000), 9_000);
    }

    #[test]
    fn an_unbelievable_clock_is_not_used() {
        let mut mapper = TimestampMapper::new(0);
        mapper.switch(point(0, 30, anchor(0, 10)));
        mapper.on_sent(point(0, 30, anchor(0, 10)));
        mapper.switch(point(5_000, 130, anchor(5_000, 3_600_000)));
        assert_eq!(mapper.map(5_000), 9_000);
    }

    #[test]
    fn time_never_stands_or_goes_back() {
        let mut mapper = TimestampMapper::new(0);
        mapper.switch(point(0, 50, anchor(0, 40)));
        mapper.on_sent(point(0, 50, anchor(0, 40)));
        // A simulcast key frame captured before the frame that was shown last.
        mapper.switch(point(70_000, 50, anchor(70_000, 10)));
        assert_eq!(mapper.map(70_000), 1);
    }

    #[test]
    fn what_time_ran_ahead_is_made_good_and_does_not_add_up() {
        let mut mapper = TimestampMapper::new(0);
        let shown = |mapper: &mut TimestampMapper, point: SwitchPoint| {
            mapper.switch(point);
            mapper.on_sent(point);
            mapper.map(point.timestamp)
        };
        shown(&mut mapper, point(0, 100, anchor(0, 100)));
        // Two sources take turns each 100 ms, the second one 150 ms behind: its frames are old when they come.
        for turn in 1..=100 {
            let at = 100 + turn * 200;
            let late = point(7_000, at, anchor(7_000, at - 250));
            let early = point(9_000, at + 100, anchor(9_000, at + 100));
            shown(&mut mapper, late);
            let ours = shown(&mut mapper, early);
            assert!(ours.abs_diff(at as u32 * 90) <= 2, "turn {turn}");
        }
    }

    #[test]
    fn late_packets_do_not_move_the_newest() {
        let mut mapper = TimestampMapper::new(u32::MAX - 10);
        mapper.switch(point(0, 0, None));
        mapper.on_sent(point(3_000, 33, None));
        mapper.on_sent(point(0, 40, None));
        assert_eq!(mapper.newest(), Some((u32::MAX - 10).wrapping_add(3_000)));
    }

    #[test]
    fn sender_report_time_follows_the_source() {
        let mut mapper = TimestampMapper::new(100);
        mapper.switch(point(1_000, 50, None));
        mapper.on_sent(point(1_000, 50, None));
        let now = Micros::from_millis(150);
        assert_eq!(
            mapper.timestamp_at(now, anchor(1_000, 40), VIDEO),
            Some(100 + 110 * 90)
        );
        assert_eq!(mapper.timestamp_at(now, None, VIDEO), Some(100 + 100 * 90));
    }

    #[test]
    fn anchor_is_its_own_inverse_across_the_wrap() {
        let anchor = Anchor {
            timestamp: u32::MAX - 5,
            at: Micros::from_secs(100),
        };
        assert_eq!(anchor.time_of(84, VIDEO), Micros(100_001_000));
        assert_eq!(anchor.time_of(u32::MAX - 95, VIDEO), Micros(99_999_000));
        assert_eq!(
            anchor.timestamp_at(Micros(100_001_000), VIDEO),
            (u32::MAX - 5).wrapping_add(90)
        );
    }

    proptest! {
        /// Over any switches: monotonic at switches, and constant distance within an epoch.
        #[test]
        fn switches_move_forward(first: u32, switches in proptest::collection::vec((any::<u32>(), 0u64..3_000, any::<bool>()), 1..60)) {
            let mut mapper = TimestampMapper::new(first);
            let mut now = 1_000_000u64;
            for (timestamp, wait, clock) in switches {
                now += wait;
                let clock = if clock { anchor(timestamp, now - 20) } else { None };
                let before = mapper.newest();
                mapper.switch(point(timestamp, now, clock));
                let ours = mapper.map(timestamp);
                if let Some(before) = before {
                    let step = ours.wrapping_sub(before);
                    prop_assert!(step >= 1 && step <= (wait as u32 + 21) * 90 + 1, "step {}", step);
                }
                mapper.on_sent(point(timestamp, now, clock));
                prop_assert_eq!(mapper.map(timestamp.wrapping_add(12_345)).wrapping_sub(ours), 12_345);
            }
        }

        #[test]
        fn no_input_panics(a: u32, b: u32, rate: u32, at: u64, now: u64) {
            let anchor = Anchor { timestamp: a, at: Micros(at) };
            anchor.time_of(b, rate);
            anchor.timestamp_at(Micros(now), rate);
            let mut mapper = TimestampMapper::new(a);
            let point = SwitchPoint { timestamp: b, arrived: Micros(now), anchor: Some(anchor), clock_rate: rate };
            mapper.switch(point);
            mapper.on_sent(point);
            mapper.switch(point);
            mapper.timestamp_at(Micros(at), Some(anchor), rate);
        }
    }
}
