//! Which packets of a received stream are missing, and when to ask for them again (generic NACK, RFC 4585 section 6.2.1).
//!
//! The list is bounded in length and each entry in tries. A gap too large to repair clears the list and asks for a key
//! frame instead (`threats-and-faults.md` R6): work per packet is O(gap) with the gap capped, and O(log n) for a repair.

use crate::ids::SeqNo;
use crate::time::Micros;
use std::collections::VecDeque;

/// Most packets missing at a time (mediasoup's number, `NackGenerator.cpp`).
pub const MAX_MISSING: usize = 1_000;
/// How far the very first packets may overtake each other (RFC 3550 appendix A.1).
pub const MAX_MISORDER: u64 = 100;
/// Most requests for one packet (mediasoup and libwebrtc agree).
pub const MAX_TRIES: u8 = 10;
/// Wait this long before the first request: most reordering settles itself.
pub const REORDER_DELAY: Micros = Micros::from_millis(10);
/// Requests for one packet are never closer than this.
pub const MIN_RETRY: Micros = Micros::from_millis(20);
/// Round trip assumed before one is measured.
pub const DEFAULT_RTT: Micros = Micros::from_millis(100);
/// A longer round trip is taken as this: a liar must not switch repair off.
pub const MAX_RTT: Micros = Micros::from_millis(1_000);

/// What a packet did to the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing was missing before it, or it was not awaited.
    None,
    /// Packets before it are missing now.
    Gap,
    /// It was missing and had been asked for: a repair.
    Repaired,
    /// It was missing, and came by itself before it was asked for.
    Reordered,
    /// Too much is missing: the list was cleared, a key frame is needed.
    Reset,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    seq: u64,
    next: Micros,
    tries: u8,
}

/// The missing packets of one stream.
#[derive(Clone, Debug)]
pub struct NackTracker {
    highest: Option<u64>,
    /// Lowest seen; below it nothing is missed.
    lowest: u64,
    missing: VecDeque<Missing>,
    key_frame: Option<u64>,
    retry: Micros,
    deadline: Option<Micros>,
    given_up: u64,
}

impl Default for NackTracker {
    fn default() -> Self {
        Self {
            highest: None,
            lowest: 0,
            missing: VecDeque::new(),
            key_frame: None,
            retry: DEFAULT_RTT,
            deadline: None,
            given_up: 0,
        }
    }
}

impl NackTracker {
    /// The peer's round trip time, as measured.
    pub fn set_rtt(&mut self, rtt: Micros) {
        self.retry = rtt.clamp(MIN_RETRY, MAX_RTT);
    }

    /// A packet arrived, by itself or by RTX. `key_frame`: it starts one.
    pub fn on_packet(&mut self, seq: SeqNo, key_frame: bool, now: Micros) -> Effect {
        let seq = seq.0;
        if key_frame {
            self.key_frame = Some(self.key_frame.map_or(seq, |last| last.max(seq)));
        }
        let Some(highest) = self.highest else {
            self.highest = Some(seq);
            self.lowest = seq;
            return Effect::None;
        };
        if seq < self.lowest {
            return self.widen_down(seq, now);
        }
        if seq <= highest {
            return self.take(seq);
        }
        self.highest = Some(seq);
        let gap = seq - highest - 1;
        if gap == 0 {
            return Effect::None;
        }
        if !self.make_room(gap, seq) {
            return Effect::Reset;
        }
        let next = now + REORDER_DELAY;
        self.missing.extend((highest + 1..seq).map(|seq| Missing {
            seq,
            next,
            tries: 0,
        }));
        self.deadline = Some(self.deadline.map_or(next, |deadline| deadline.min(next)));
        Effect::Gap
    }

    /// The first packets came out of order: what lies between is missing too.
    fn widen_down(&mut self, seq: u64, now: Micros) -> Effect {
        let gap = self.lowest - seq - 1;
        if gap > MAX_MISORDER || self.missing.len() + gap as usize > MAX_MISSING {
            return Effect::None;
        }
        let next = now + REORDER_DELAY;
        for seq in (seq + 1..self.lowest).rev() {
            let tries = 0;
            self.missing.push_front(Missing { seq, next, tries });
        }
        self.lowest = seq;
        if gap == 0 {
            return Effect::None;
        }
        self.deadline = Some(self.deadline.map_or(next, |deadline| deadline.min(next)));
        Effect::Gap
    }

    fn take(&mut self, seq: u64) -> Effect {
        let Ok(index) = self
            .missing
            .binary_search_by_key(&seq, |missing| missing.seq)
        else {
            return Effect::None;
        };
        let tries = self
            .missing
            .remove(index)
            .map_or(0, |missing| missing.tries);
        if self.missing.is_empty() {
            self.deadline = None;
        }
        if tries == 0 {
            Effect::Reordered
        } else {
            Effect::Repaired
        }
    }

    /// Room for `gap` more. Packets before the newest key frame go first, nobody needs them; then all.
    fn make_room(&mut self, gap: u64, seq: u64) -> bool {
        if gap > MAX_MISSING as u64 {
            self.clear();
            return false;
        }
        if self.missing.len() + gap as usize <= MAX_MISSING {
            return true;
        }
        if let Some(key_frame) = self.key_frame.filter(|&key_frame| key_frame < seq) {
            let useless = self
                .missing
                .partition_point(|missing| missing.seq < key_frame);
            self.missing.drain(..useless);
            self.given_up += useless as u64;
        }
        if self.missing.len() + gap as usize <= MAX_MISSING {
            return true;
        }
        self.clear();
        false
    }

    fn clear(&mut self) {
        self.given_up += self.missing.len() as u64;
        self.missing.clear();
        self.deadline = None;
    }

    /// The stream restarts at `seq` (a jump): what was missing is forgotten.
    pub fn restart(&mut self, seq: SeqNo) {
        self.clear();
        self.highest = Some(seq.0);
        self.lowest = seq.0;
        self.key_frame = None;
    }

    /// Calls `ask` for each packet to be asked for now, in order, at most `limit` of them. Returns how many packets were
    /// given up in this call: those will never come, so video needs a key frame.
    pub fn poll(&mut self, now: Micros, limit: usize, mut ask: impl FnMut(SeqNo)) -> u64 {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return 0;
        }
        let retry = self.retry;
        let before = self.missing.len();
        self.missing
            .retain(|missing| missing.tries < MAX_TRIES || missing.next > now);
        let given_up = (before - self.missing.len()) as u64;
        self.given_up += given_up;
        let due = self
            .missing
            .iter_mut()
            .filter(|missing| missing.next <= now);
        for missing in due.take(limit) {
            missing.tries += 1;
            missing.next = now + retry;
            ask(SeqNo(missing.seq));
        }
        self.deadline = self.missing.iter().map(|missing| missing.next).min();
        given_up
    }

    /// When [`Self::poll`] has something to do.
    pub fn deadline(&self) -> Option<Micros> {
        self.deadline
    }

    /// Packets missing now.
    pub fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Packets that were never repaired.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const MS: Micros = Micros::from_millis(1);

    fn asked(tracker: &mut NackTracker, now: Micros) -> Vec<u64> {
        let mut list = Vec::new();
        tracker.poll(now, usize::MAX, |seq| list.push(seq.0));
        list
    }

    fn with_gap(first: u64, next: u64) -> NackTracker {
        let mut tracker = NackTracker::default();
        tracker.on_packet(SeqNo(first), false, Micros(0));
        tracker.on_packet(SeqNo(next), false, Micros(0));
        tracker
    }

    #[test]
    fn asks_after_the_reorder_delay_then_every_round_trip() {
        let mut tracker = with_gap(100, 103);
        tracker.set_rtt(Micros::from_millis(50));
        assert_eq!(tracker.deadline(), Some(REORDER_DELAY));
        assert!(asked(&mut tracker, REORDER_DELAY - MS).is_empty());
        assert_eq!(asked(&mut tracker, REORDER_DELAY), [101, 102]);
        assert_eq!(
            tracker.deadline(),
            Some(REORDER_DELAY + Micros::from_millis(50))
        );
        assert!(asked(&mut tracker, REORDER_DELAY + Micros::from_millis(49)).is_empty());
        assert_eq!(
            asked(&mut tracker, REORDER_DELAY + Micros::from_millis(50)),
            [101, 102]
        );
    }

    #[test]
    fn reordering_is_not_a_repair() {
        let mut tracker = with_gap(100, 103);
        assert_eq!(tracker.on_packet(SeqNo(101), false, MS), Effect::Reordered);
        asked(&mut tracker, REORDER_DELAY);
        assert_eq!(
            tracker.on_packet(SeqNo(102), false, REORDER_DELAY + MS),
            Effect::Repaired
        );
        assert_eq!(
            tracker.on_packet(SeqNo(102), false, REORDER_DELAY + MS),
            Effect::None,
            "only once"
        );
        assert_eq!(tracker.deadline(), None);
    }

    #[test]
    fn gives_up_after_ten_tries() {
        let mut tracker = with_gap(100, 102);
        let mut tries = 0;
        let mut given_up = 0;
        while let Some(at) = tracker.deadline() {
            given_up += tracker.poll(at, usize::MAX, |_| tries += 1);
        }
        assert_eq!((tries, given_up, tracker.given_up()), (10, 1, 1));
        assert_eq!(tracker.missing(), 0);
    }

    #[test]
    fn a_lying_round_trip_is_clamped() {
        for (claimed, used) in [(Micros(0), MIN_RETRY), (Micros::from_secs(3_600), MAX_RTT)] {
            let mut tracker = with_gap(100, 102);
            tracker.set_rtt(claimed);
            asked(&mut tracker, REORDER_DELAY);
            assert_eq!(tracker.deadline(), Some(REORDER_DELAY + used));
        }
    }

    #[test]
    fn jump_resets_and_needs_a_key_frame() {
        let mut tracker = with_gap(100, 103);
        assert_eq!(tracker.on_packet(SeqNo(30_103), false, MS), Effect::Reset);
        assert_eq!(
            (tracker.missing(), tracker.deadline(), tracker.given_up()),
            (0, None, 2)
        );
        assert_eq!(
            tracker.on_packet(SeqNo(30_105), false, MS),
            Effect::Gap,
            "goes on from there"
        );
        tracker.restart(SeqNo(99_000));
        assert_eq!(tracker.on_packet(SeqNo(99_001), false, MS), Effect::None);
    }

    #[test]
    fn overflow_forgets_what_lies_before_the_key_frame_first() {
        let mut tracker = with_gap(0, 701);
        tracker.on_packet(SeqNo(702), true, MS);
        assert_eq!(tracker.on_packet(SeqNo(1_203), false, MS), Effect::Gap);
        assert_eq!(tracker.missing(), 500, "700 before the key frame went");
        assert_eq!(
            tracker.on_packet(SeqNo(1_804), false, MS),
            Effect::Reset,
            "no newer key frame to save it"
        );
        assert_eq!(tracker.missing(), 0);
    }

    #[test]
    fn first_packets_out_of_order_hide_no_loss() {
        let mut tracker = NackTracker::default();
        tracker.on_packet(SeqNo(1_104), false, Micros(0));
        assert_eq!(tracker.on_packet(SeqNo(1_101), true, MS), Effect::Gap);
        assert_eq!(
            tracker.on_packet(SeqNo(1_103), false, MS),
            Effect::Reordered
        );
        assert_eq!(asked(&mut tracker, REORDER_DELAY + MS), [1_102]);
        assert_eq!(
            tracker.on_packet(SeqNo(1_100), false, MS),
            Effect::None,
            "right before"
        );
        assert_eq!(
            tracker.on_packet(SeqNo(900), false, MS),
            Effect::None,
            "not from the start"
        );
        assert_eq!(tracker.missing(), 1);
    }

    #[test]
    fn limit_leaves_the_rest_due() {
        let mut tracker = with_gap(100, 111);
        let mut first = Vec::new();
        tracker.poll(REORDER_DELAY, 4, |seq| first.push(seq.0));
        assert_eq!(first, [101, 102, 103, 104]);
        assert_eq!(tracker.deadline(), Some(REORDER_DELAY), "still due");
        assert_eq!(
            asked(&mut tracker, REORDER_DELAY),
            [105, 106, 107, 108, 109, 110]
        );
    }

    proptest! {
        /// For any arrival order and poll times: never more than the cap missing, never more than ten tries per packet,
        /// tries never closer than the retry interval, and nothing asked for that has arrived.
        #[test]
        fn stays_bounded(steps in proptest::collection::vec((-60i64..200, 0u64..60), 1..400)) {
            let mut tracker = NackTracker::default();
            tracker.set_rtt(Micros::from_millis(30));
            let mut asked: HashMap<u64, (u8, Micros)> = HashMap::new();
            let mut arrived = std::collections::HashSet::new();
            let (mut at, mut now) = (100_000u64, Micros(0));
            for (step, wait) in steps {
                at = at.checked_add_signed(step).expect("stays far above zero");
                now = now + Micros::from_millis(wait);
                tracker.on_packet(SeqNo(at), step % 50 == 0, now);
                arrived.insert(at);
                let mut list = Vec::new();
                tracker.poll(now, 100, |seq| list.push(seq.0));
                for seq in list {
                    prop_assert!(!arrived.contains(&seq));
                    let entry = asked.entry(seq).or_insert((0, Micros(0)));
                    prop_assert!(entry.0 == 0 || now - entry.1 >= Micros::from_millis(30));
                    *entry = (entry.0 + 1, now);
                    prop_assert!(entry.0 <= MAX_TRIES);
                }
                prop_assert!(tracker.missing() <= MAX_MISSING);
            }
        }
    }
}
