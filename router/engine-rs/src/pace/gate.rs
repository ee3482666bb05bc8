//! A receiver's link as the sender sees it: bytes on the way, drained at the pace. The leaky bucket of every pacer.

use crate::time::Micros;

/// Pace in percent of the estimate: no less than allocation may keep (`alloc::allocator::TOLERANCE_PERCENT`), so that what
/// waits gets shorter, and hardly more, because beyond the estimate the network's queues fill, where audio waits too.
/// libwebrtc's 250 is for encoders that fill their rate with nothing kept free.
const PACE_PERCENT: u64 = 105;
/// What may be on the way beyond what has drained: a frame of a stream that fills the link, at 25 frames a second.
const BURST: Micros = Micros::from_millis(40);
/// At least so many bytes: two packets.
const MIN_BURST: u64 = 3_000;
/// A run lasts so long at least,
const SLOT: Micros = Micros::from_millis(5);
/// is lengthened to so many bytes, four packets, where that makes it
const RUN_BYTES: u64 = 4_800;
/// no longer than this.
const MAX_SLOT: Micros = Micros::from_millis(35);
/// Whatever the rate, one packet.
const MIN_RUN: u64 = 1_500;
/// More than this is no limit: `core/allowance.rs` has one of its own.
const AMPLE_BPS: u64 = 100_000_000;

/// The model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    /// Bytes per second; 0 is no limit.
    pace: u64,
    /// Bytes on the way when last looked at.
    level: u64,
    seen: Micros,
}

impl Gate {
    /// Takes the estimate.
    pub fn set_rate(&mut self, estimate: Option<u64>, now: Micros) {
        self.drain(now);
        let limit = estimate.filter(|bps| *bps < AMPLE_BPS);
        self.pace = limit.map_or(0, |bps| (bps / 8 * PACE_PERCENT / 100).max(1));
        if self.pace == 0 {
            self.level = 0;
        }
    }

    /// There is a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.pace != 0
    }

    fn rate(&self) -> u64 {
        self.pace.max(1)
    }

    fn bytes_in(&self, time: Micros) -> u64 {
        self.rate().saturating_mul(time.0) / 1_000_000
    }

    fn burst(&self) -> u64 {
        self.bytes_in(BURST).max(MIN_BURST)
    }

    /// Lets time pass. What is left of a microsecond's worth is lost, never gained.
    #[inline]
    fn drain(&mut self, now: Micros) {
        let drained = self.bytes_in(now - self.seen);
        if drained >= self.level {
            self.level = 0;
            self.seen = now;
        } else if drained > 0 {
            self.level -= drained;
            self.seen = self.seen + Micros((drained * 1_000_000).div_ceil(self.rate()));
        }
    }

    /// So many bytes may leave now.
    #[inline]
    pub fn has_room(&mut self, bytes: usize, now: Micros) -> bool {
        if !self.is_limited() {
            return true;
        }
        self.drain(now);
        self.level + bytes as u64 <= self.burst()
    }

    /// So many bytes left, whether there was room or not.
    #[inline]
    pub fn on_sent(&mut self, bytes: usize, now: Micros) {
        if self.is_limited() {
            self.drain(now);
            self.level = self.level.saturating_add(bytes as u64);
        }
    }

    /// When there is room for a run, or for all `waiting` bytes if they are less; a time gone by when there is.
    pub fn next_run(&self, waiting: usize) -> Micros {
        if !self.is_limited() {
            return self.seen;
        }
        let run = self
            .bytes_in(SLOT)
            .max(RUN_BYTES.min(self.bytes_in(MAX_SLOT)));
        let run = run.max(MIN_RUN).min(waiting as u64);
        let excess = self.level.saturating_sub(self.burst().saturating_sub(run));
        self.seen + Micros((excess * 1_000_000).div_ceil(self.rate()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Micros = Micros::from_secs(100);

    fn gate(bps: u64) -> Gate {
        let mut gate = Gate::default();
        gate.set_rate(Some(bps), START);
        gate
    }

    /// Bytes that pass at once, in packets of `len`.
    fn passes(gate: &mut Gate, len: usize, now: Micros) -> usize {
        let mut passed = 0;
        while gate.has_room(len, now) {
            gate.on_sent(len, now);
            passed += len;
        }
        passed
    }

    #[test]
    fn a_burst_then_the_pace() {
        let mut gate = gate(10_000_000);
        assert_eq!(
            passes(&mut gate, 100, START),
            52_500,
            "40 ms at 10.5 Mbit/s"
        );
        let later = START + Micros::from_millis(10);
        assert_eq!(passes(&mut gate, 100, later), 13_100);
    }

    #[test]
    fn runs_are_of_four_packets_where_that_is_soon() {
        let run = |bps: u64| {
            let mut gate = gate(bps);
            passes(&mut gate, 10, START);
            let at = gate.next_run(1 << 20);
            (at - START, passes(&mut gate, 10, at))
        };
        let ms = Micros::from_millis;
        assert_eq!(run(20_000_000), (ms(5), 13_120));
        let (time, fast) = run(4_000_000);
        assert!(time < ms(10) && (4_790..=4_800).contains(&fast), "{fast}");
        let (time, slower) = run(1_000_000);
        assert!(
            time <= ms(35) && (4_580..=4_600).contains(&slower),
            "{slower}"
        );
        let (_, slow) = run(100_000);
        assert!((1_490..=1_500).contains(&slow), "one packet: {slow}");
    }

    #[test]
    fn no_estimate_and_a_large_one_are_no_limit() {
        let mut gate = gate(1_000_000);
        passes(&mut gate, 1_000, START);
        for estimate in [None, Some(AMPLE_BPS)] {
            gate.set_rate(estimate, START);
            assert!(!gate.is_limited() && gate.has_room(1 << 30, START));
        }
    }

    proptest! {
        /// However often it is looked at, no more passes than the pace and one burst.
        #[test]
        fn never_above_the_pace(bps in 20_000..90_000_000_u64, waits in prop::collection::vec(0..20_000_u64, 1..300)) {
            let mut gate = gate(bps);
            let (mut now, mut passed) = (START, 0);
            for wait in waits {
                now = now + Micros(wait);
                passed += passes(&mut gate, 500, now) as u64;
                let allowed = gate.burst() + gate.bytes_in(now - START);
                prop_assert!(passed <= allowed, "{passed} of {allowed}");
                prop_assert!(passed + 600 + gate.burst() / 1_000 >= allowed.min(gate.burst()));
            }
        }

        /// At the time named there is room, not before.
        #[test]
        fn the_run_is_on_time(bps in 20_000..90_000_000_u64, sent in 0..200_000_usize, waiting in 1..50_000_usize) {
            let mut gate = gate(bps);
            gate.on_sent(sent, START);
            let at = gate.next_run(waiting);
            let run = waiting.min(MIN_RUN as usize);
            prop_assert!(gate.has_room(run, at), "{gate:?}");
        }
    }
}
