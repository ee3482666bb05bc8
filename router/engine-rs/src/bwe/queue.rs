//! What stands in the queue before the receiver: how much later packets arrive than those that waited least.
//!
//! Not a part of Google's congestion control, whose trend only tells whether a queue *grows*. Two uses: an overuse without
//! a queue is jitter, and a queue that a drop of the link has built is drained (see `drain.rs`) rather than left standing.

use super::groups::GroupDelay;

/// Groups whose smallest delay is what stands in the queue: one that waited less is proof that there is no more.
const RECENT: usize = 6;
/// The delay of an empty queue is the smallest of the last 10 to 20 s, so that clocks may drift and paths change.
const BASE_PERIOD_US: i64 = 10_000_000;
/// Weight of a group in the jitter, as in RFC 3550 section 6.4.1, and the most that a group can add.
const JITTER_WEIGHT: f64 = 1.0 / 16.0;
const MAX_JITTER_US: i64 = 200_000;

/// See the module.
#[derive(Clone, Debug)]
pub struct Queue {
    recent: [i64; RECENT],
    next: usize,
    /// Smallest delay of the current period and of the one before.
    base: [i64; 2],
    period_began: i64,
    last: Option<i64>,
    jitter_us: f64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            recent: [i64::MAX; RECENT],
            next: 0,
            base: [i64::MAX; 2],
            period_began: i64::MIN,
            last: None,
            jitter_us: 0.0,
        }
    }
}

impl Queue {
    /// A group arrived.
    pub fn on_group(&mut self, group: &GroupDelay) {
        if let Some(last) = self.last.replace(group.delay) {
            let step_us = group.delay.saturating_sub(last).saturating_abs();
            self.jitter_us += JITTER_WEIGHT * (step_us.min(MAX_JITTER_US) as f64 - self.jitter_us);
        }
        self.recent[self.next] = group.delay;
        self.next = (self.next + 1) % RECENT;
        let age = group.arrived_at.saturating_sub(self.period_began);
        if !(0..BASE_PERIOD_US).contains(&age) {
            self.base = [i64::MAX, self.base[0]];
            self.period_began = group.arrived_at;
        }
        self.base[0] = self.base[0].min(group.delay);
    }

    /// The delay of an empty queue, on the scale of [`GroupDelay::delay`].
    pub fn base(&self) -> Option<i64> {
        let base = self.base[0].min(self.base[1]);
        (base != i64::MAX).then_some(base)
    }

    /// Microseconds that packets wait at the least, now.
    pub fn standing_us(&self) -> i64 {
        let least = self.recent.iter().copied().min().unwrap_or(i64::MAX);
        match self.base() {
            Some(base) if least != i64::MAX => least.saturating_sub(base),
            _ => 0,
        }
    }

    /// Mean step in delay from a group to the next, in microseconds.
    pub const fn jitter_us(&self) -> f64 {
        self.jitter_us
    }

    /// Takes what stands in the queue for the path's own: somebody else keeps it full, and waiting for it to drain would
    /// leave the link to him.
    pub fn rebase(&mut self) {
        let least = self.recent.iter().copied().min().unwrap_or(i64::MAX);
        self.base = [least; 2];
    }

    /// The recent groups say nothing any more; the path is the same.
    pub fn forget_recent(&mut self) {
        self.recent = [i64::MAX; RECENT];
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Micros;

    fn feed(queue: &mut Queue, from_ms: i64, delays_ms: &[i64]) {
        for (index, delay) in delays_ms.iter().enumerate() {
            let arrived_at = 1_000 * (from_ms + 33 * index as i64 + delay) - 5_000_000;
            queue.on_group(&GroupDelay {
                sent_at: Micros(0),
                arrived_at,
                delay: 1_000 * delay - 5_000_000,
            });
        }
    }

    #[test]
    fn one_group_without_a_wait_proves_that_nothing_stands() {
        let mut queue = Queue::default();
        assert_eq!(queue.standing_us(), 0);
        feed(&mut queue, 0, &[20, 20, 20, 20, 20, 20, 50, 60, 70, 80, 90]);
        assert_eq!(queue.standing_us(), 0);
        feed(&mut queue, 400, &[100]);
        assert_eq!(queue.standing_us(), 30_000);
    }

    #[test]
    fn base_follows_a_longer_path_after_twenty_seconds() {
        let mut queue = Queue::default();
        feed(&mut queue, 0, &[20; 10]);
        feed(&mut queue, 1_000, &[80; 250]);
        assert_eq!(queue.standing_us(), 60_000);
        feed(&mut queue, 10_000, &[80; 400]);
        assert_eq!(queue.standing_us(), 0);
    }

    #[test]
    fn rebase_takes_the_queue_for_the_path() {
        let mut queue = Queue::default();
        feed(&mut queue, 0, &[20, 300, 280, 290, 300, 300, 300]);
        assert_eq!(queue.standing_us(), 260_000);
        queue.rebase();
        assert_eq!(queue.standing_us(), 0);
        feed(&mut queue, 300, &[330; RECENT]);
        assert_eq!(queue.standing_us(), 50_000);
    }
}
