//! What arrivals tell: groups, their trend, what stands in the queue, and how much arrives. One per receiver that gives
//! feedback on packets; the rest of the estimator is small enough for those who do not.

use super::acked::Acked;
use super::groups::{GroupDelay, Groups};
use super::overuse::{Detector, Observation, Usage};
use super::queue::Queue;
use super::sent::SentPacket;
use super::trendline::Trendline;
use crate::time::Micros;

/// A packet cannot have waited longer than since it was sent; so much more is the clocks' inaccuracy.
const SLACK_US: i64 = 200_000;
/// Nor arrive so much earlier than the fastest before: the receiver's clock was set, or he lies.
const MAX_EARLIER_US: i64 = 1_000_000;

/// The receiver's time of an arrival cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impossible;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    groups: Groups,
    trendline: Trendline,
    detector: Detector,
    queue: Queue,
    acked: Acked,
    last_sent_at: Option<Micros>,
    latest_wait_us: i64,
    /// Groups since [`Self::take_news`].
    news: u32,
}

impl Arrivals {
    /// A packet arrived. After an impossible time nothing known of the receiver's clock holds: all begins anew.
    pub fn on_arrival(
        &mut self,
        packet: &SentPacket,
        arrived_at: i64,
        now: Micros,
    ) -> Result<(), Impossible> {
        let delay = arrived_at.saturating_sub(packet.sent_at.0 as i64);
        let waited = self
            .queue
            .base()
            .map_or(0, |base| delay.saturating_sub(base));
        let longest = (now - packet.sent_at).0 as i64 + SLACK_US;
        if !(-MAX_EARLIER_US..=longest).contains(&waited) {
            self.restart();
            return Err(Impossible);
        }
        self.latest_wait_us = waited;
        self.acked.on_arrival(arrived_at, packet.bytes);
        if let Some(group) = self.groups.on_arrival(packet, arrived_at) {
            self.on_group(&group);
        }
        Ok(())
    }

    fn on_group(&mut self, group: &GroupDelay) {
        self.news += 1;
        self.queue.on_group(group);
        let before = self.last_sent_at.replace(group.sent_at);
        let Some(trend) = self.trendline.update(group.arrived_at, group.delay) else {
            return;
        };
        let sent_delta = group.sent_at - before.unwrap_or(group.sent_at);
        self.detector.update(&Observation {
            trend,
            arrived_at: group.arrived_at,
            sent_delta_ms: sent_delta.0 as f64 / 1e3,
            standing_us: self.queue.standing_us(),
            jitter_us: self.queue.jitter_us(),
        });
    }

    /// What the delay says, if groups came since the last call.
    pub const fn take_news(&mut self) -> Option<Usage> {
        let news = self.news;
        self.news = 0;
        if news > 0 {
            Some(self.detector.usage())
        } else {
            None
        }
    }

    /// What the delay last said.
    pub const fn usage(&self) -> Usage {
        self.detector.usage()
    }

    /// Microseconds that stand in the queue.
    pub fn standing_us(&self) -> i64 {
        self.queue.standing_us()
    }

    /// Jitter of the path.
    pub const fn jitter(&self) -> Micros {
        Micros(self.queue.jitter_us() as u64)
    }

    /// Microseconds that the last packet waited, the rest of its own frame before it included.
    pub const fn latest_wait_us(&self) -> i64 {
        self.latest_wait_us
    }

    /// What stands in the queue is somebody else's.
    pub fn rebase(&mut self) {
        self.queue.rebase();
    }

    /// The acknowledged bitrate.
    pub fn acked(&self) -> Option<f64> {
        self.acked.rate()
    }

    /// The same over a shorter time.
    pub fn acked_short(&self) -> Option<f64> {
        self.acked.short_rate()
    }

    /// After an outage: the path is the same, but what was measured last is of no use.
    pub fn resume(&mut self) {
        self.groups.reset();
        self.trendline.reset();
        self.detector.reset();
        self.queue.forget_recent();
        self.acked.reset();
        self.last_sent_at = None;
        self.latest_wait_us = 0;
    }

    fn restart(&mut self) {
        self.resume();
        self.queue = Queue::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Micros = Micros::from_millis(60);

    /// A packet sent at `ms`, told a round trip later to have arrived at `arrived_ms` of the receiver's clock.
    fn arrive(arrivals: &mut Arrivals, ms: u64, arrived_ms: i64) -> Result<(), Impossible> {
        let sent_at = Micros::from_secs(100) + Micros::from_millis(ms);
        let packet = SentPacket {
            sent_at,
            bytes: 1_200,
            cluster: 0,
        };
        arrivals.on_arrival(&packet, arrived_ms * 1_000, sent_at + RTT)
    }

    fn steady(arrivals: &mut Arrivals, from: u64, count: u64, clock_ms: i64) {
        for n in 0..count {
            let ms = from + 20 * n;
            assert_eq!(arrive(arrivals, ms, clock_ms + ms as i64), Ok(()));
        }
    }

    #[test]
    fn packet_cannot_wait_longer_than_since_it_was_sent() {
        let mut arrivals = Arrivals::default();
        steady(&mut arrivals, 0, 50, -5_000);
        assert_eq!(arrive(&mut arrivals, 1_000, -5_000 + 1_000 + 250), Ok(()));
        assert_eq!(
            arrive(&mut arrivals, 1_020, -5_000 + 1_020 + 300),
            Err(Impossible)
        );
    }

    #[test]
    fn clock_that_jumps_begins_anew_and_is_believed_again() {
        for jump in [-86_400_000, -3_000, 3_000, 86_400_000] {
            let mut arrivals = Arrivals::default();
            steady(&mut arrivals, 0, 100, 7);
            assert!(arrivals.acked().is_some());
            assert_eq!(arrive(&mut arrivals, 2_000, 2_007 + jump), Err(Impossible));
            assert_eq!(arrivals.acked(), None);
            steady(&mut arrivals, 2_020, 100, 7 + jump);
            assert_eq!(
                (arrivals.standing_us(), arrivals.usage()),
                (0, Usage::Normal)
            );
            assert!(arrivals.acked().is_some());
        }
    }

    #[test]
    fn growing_queue_is_overuse() {
        let mut arrivals = Arrivals::default();
        steady(&mut arrivals, 0, 100, 0);
        assert_eq!(arrivals.take_news(), Some(Usage::Normal));
        assert_eq!(arrivals.take_news(), None);
        for n in 0..20_u64 {
            let ms = 2_000 + 20 * n;
            arrive(&mut arrivals, ms, (ms + 4 * n) as i64).expect("possible");
        }
        assert_eq!(arrivals.take_news(), Some(Usage::Overuse));
        assert!(arrivals.standing_us() > 50_000);
    }
}
