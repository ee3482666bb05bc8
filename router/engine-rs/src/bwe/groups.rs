//! Bursts of packets that the network treats as one (draft-ietf-rmcat-gcc-02 section 5.2), and the delay of each.
//!
//! A forwarding server does not pace: a frame leaves in one batch. How late the *last* packet of a frame arrives tells how
//! large the frame was; how late the *earliest* is tells what still stood in the queue when the frame came to it. So the
//! delay of a group is the smallest of its packets', which reordering and the stalls of radio links spoil least.

use super::sent::SentPacket;
use crate::time::Micros;

/// Packets sent within this time of the first are one group.
const SEND_SPAN: Micros = Micros::from_millis(5);
/// Packets that arrive within this time of each other, having been sent further apart, left a queue that was stalled:
/// they are one group too, as in libwebrtc's `inter_arrival_delta.cc`.
const ARRIVAL_GAP_US: i64 = 5_000;
/// A group that such bursts lengthen ends after this time.
const MAX_ARRIVAL_SPAN_US: i64 = 100_000;

/// A finished group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupDelay {
    /// When its first packet was sent.
    pub sent_at: Micros,
    /// When its last packet arrived, by the receiver's clock.
    pub arrived_at: i64,
    /// The smallest time from sending to arriving of its packets, between two clocks: only differences mean something.
    pub delay: i64,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: Micros,
    first_arrived: i64,
    last_arrived: i64,
    delay: i64,
}

/// Sorts packets into groups, in the order they were sent.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    current: Option<Group>,
}

impl Groups {
    /// A packet arrived; returns the group before it, when it begins a new one.
    pub fn on_arrival(&mut self, packet: &SentPacket, arrived_at: i64) -> Option<GroupDelay> {
        let delay = arrived_at.saturating_sub(packet.sent_at.0 as i64);
        let Some(group) = &mut self.current else {
            self.current = Some(Group::of(packet.sent_at, arrived_at, delay));
            return None;
        };
        // Told late, or out of order: the group it belongs to is finished.
        if packet.sent_at < group.first_sent {
            return None;
        }
        if group.takes(packet.sent_at, arrived_at, delay) {
            group.last_arrived = group.last_arrived.max(arrived_at);
            group.delay = group.delay.min(delay);
            return None;
        }
        let finished = GroupDelay {
            sent_at: group.first_sent,
            arrived_at: group.last_arrived,
            delay: group.delay,
        };
        *group = Group::of(packet.sent_at, arrived_at, delay);
        Some(finished)
    }

    /// Begins anew: what was sent before says nothing of what comes.
    pub const fn reset(&mut self) {
        self.current = None;
    }
}

impl Group {
    const fn of(sent_at: Micros, arrived_at: i64, delay: i64) -> Self {
        Self {
            first_sent: sent_at,
            first_arrived: arrived_at,
            last_arrived: arrived_at,
            delay,
        }
    }

    fn takes(&self, sent_at: Micros, arrived_at: i64, delay: i64) -> bool {
        if sent_at - self.first_sent <= SEND_SPAN {
            return true;
        }
        // A full link hands frames over without a gap too, but each has waited at least as long as the one before.
        arrived_at.saturating_sub(self.last_arrived) <= ARRIVAL_GAP_US
            && delay < self.delay
            && arrived_at.saturating_sub(self.first_arrived) < MAX_ARRIVAL_SPAN_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends at `ms`, arrives `delay_us` later plus an offset of the receiver's clock.
    fn arrive(groups: &mut Groups, ms: u64, delay_us: i64) -> Option<GroupDelay> {
        let sent_at = Micros::from_secs(50) + Micros::from_millis(ms);
        let packet = SentPacket {
            sent_at,
            bytes: 1_200,
            cluster: 0,
        };
        groups.on_arrival(&packet, ms as i64 * 1_000 + delay_us - 7_000_000_000)
    }

    #[test]
    fn delay_of_a_frame_is_that_of_its_first_packet() {
        let mut groups = Groups::default();
        for packet in 0..10 {
            assert_eq!(arrive(&mut groups, 0, 20_000 + 4_000 * packet), None);
        }
        let first = arrive(&mut groups, 33, 27_000).expect("the next frame begins");
        assert_eq!(arrive(&mut groups, 34, 26_000), None, "sent within 5 ms");
        let second = arrive(&mut groups, 66, 30_000).expect("the next frame begins");
        assert_eq!(second.delay - first.delay, 6_000);
        assert_eq!(second.sent_at - first.sent_at, Micros::from_millis(33));
    }

    #[test]
    fn a_stall_is_one_group_with_the_delay_of_what_waited_least() {
        let mut groups = Groups::default();
        arrive(&mut groups, 0, 20_000);
        // Stalled for 80 ms, then handed over together.
        for ms in [20, 40, 60, 80] {
            let finished = arrive(&mut groups, ms, 20_000 + (100 - ms as i64) * 1_000);
            assert_eq!(finished.is_some(), ms == 20);
        }
        let stalled = arrive(&mut groups, 120, 20_000).expect("over");
        assert_eq!(stalled.delay, 20_000 + 20_000 - 7_050_000_000);
    }

    #[test]
    fn bursts_do_not_join_for_ever() {
        let mut groups = Groups::default();
        let ended = (0..200_u64).any(|step| {
            // Each arrives 1 ms after the one before, though sent 6 ms apart.
            let delay = 2_000_000 - 5_000 * step as i64;
            arrive(&mut groups, 6 * step, delay).is_some()
        });
        assert!(ended);
    }

    #[test]
    fn what_was_sent_before_the_group_is_not_looked_at() {
        let mut groups = Groups::default();
        arrive(&mut groups, 100, 20_000);
        assert_eq!(arrive(&mut groups, 90, 1), None);
        let group = arrive(&mut groups, 120, 20_000).expect("finished");
        assert_eq!(group.delay, 20_000 - 7_050_000_000);
    }
}
