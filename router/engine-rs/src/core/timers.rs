//! Deadlines of transports, producers and speaker groups: a binary heap in which an owner has one live entry.
//!
//! A deadline that moves later costs nothing: the old entry fires, the owner finds nothing due and arms again. So the
//! media path pays one comparison per packet, and an idle peer one entry.

use super::arena::Ix;
use crate::ids::{GroupId, ProducerId, TransportId};
use crate::time::Micros;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Whose deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// ICE, reports, feedback.
    Transport(Ix<TransportId>),
    /// Losses, key frame requests, silence.
    Producer(Ix<ProducerId>),
    /// Decisions on the dominant speaker, reports.
    Speakers(Ix<GroupId>),
    /// Judging all tracks and slots in turn.
    Census,
}

/// The owner's half: the time of its live entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alarm(Option<Micros>);

impl Alarm {
    /// True once for the live entry; stale entries, left by an earlier arming, are ignored.
    pub fn take(&mut self, at: Micros) -> bool {
        let live = self.0 == Some(at);
        if live {
            self.0 = None;
        }
        live
    }
}

/// All deadlines of a core.
#[derive(Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Micros, Owner)>>,
}

impl Timers {
    /// Makes sure that `owner` is woken at `at` or earlier.
    #[inline]
    pub fn arm(&mut self, alarm: &mut Alarm, owner: Owner, at: Micros) {
        if alarm.0.is_none_or(|armed| at < armed) {
            alarm.0 = Some(at);
            self.heap.push(Reverse((at, owner)));
        }
    }

    /// The next entry due at `now`.
    pub fn poll_due(&mut self, now: Micros) -> Option<(Micros, Owner)> {
        if self.heap.peek()?.0.0 > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.0)
    }

    /// Entries, stale ones too.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// When the earliest entry is due.
    #[inline]
    pub fn poll_deadline(&self) -> Option<Micros> {
        self.heap.peek().map(|entry| entry.0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::arena::Arena;
    use super::*;

    fn owner() -> Owner {
        let mut arena = Arena::new();
        Owner::Transport(arena.insert(TransportId(1), ()).unwrap())
    }

    #[test]
    fn an_earlier_deadline_replaces_a_later_one() {
        let (mut timers, mut alarm) = (Timers::default(), Alarm::default());
        timers.arm(&mut alarm, owner(), Micros(50));
        timers.arm(&mut alarm, owner(), Micros(20));
        timers.arm(&mut alarm, owner(), Micros(70));
        assert_eq!(timers.poll_deadline(), Some(Micros(20)));
        let (at, _) = timers.poll_due(Micros(30)).unwrap();
        assert!(alarm.take(at));
        assert!(timers.poll_due(Micros(30)).is_none());
        let (stale, _) = timers.poll_due(Micros(60)).unwrap();
        assert!(!alarm.take(stale));
        assert!(timers.poll_deadline().is_none());
    }
}
