//! Which of the last frames were forwarded, by their numbers: so that all packets of a frame share its fate, and a frame
//! whose reference was dropped is not forwarded.

use super::line::WireNumber;
use crate::wire::dependency_descriptor::References;

/// Where numbers are widened from: room for what came before.
const ORIGIN: u64 = 1 << 32;

/// The last 128 frames of a source. Bit `n` stands for the frame `n` before the highest.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameLog {
    highest: Option<u64>,
    forwarded: u128,
    dropped: u128,
}

impl FrameLog {
    /// The number congruent to what travels that is nearest to the highest.
    pub fn widen(&self, number: WireNumber) -> u64 {
        let Some(highest) = self.highest else {
            return ORIGIN + u64::from(number.value);
        };
        let modulus = 1u64 << number.bits;
        let ahead = (ORIGIN + u64::from(number.value)).wrapping_sub(highest) & (modulus - 1);
        if ahead > modulus / 2 {
            (highest + ahead).saturating_sub(modulus)
        } else {
            highest + ahead
        }
    }

    /// Whether the frame is ahead of all others.
    pub fn is_newest(&self, frame: u64) -> bool {
        self.highest.is_none_or(|highest| frame > highest)
    }

    fn back(&self, frame: u64) -> Option<u32> {
        let back = self.highest?.checked_sub(frame)?;
        u32::try_from(back).ok().filter(|back| *back < u128::BITS)
    }

    /// Whether it was forwarded; `None` when nothing was decided, or it is forgotten.
    pub fn decision(&self, frame: u64) -> Option<bool> {
        let back = self.back(frame)?;
        match (self.forwarded >> back & 1, self.dropped >> back & 1) {
            (1, _) => Some(true),
            (_, 1) => Some(false),
            _ => None,
        }
    }

    /// Notes what was decided.
    pub fn decide(&mut self, frame: u64, forwarded: bool) {
        if let Some(ahead) = self.highest.map(|highest| frame.saturating_sub(highest)) {
            let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
            self.forwarded = self.forwarded.checked_shl(shift).unwrap_or(0);
            self.dropped = self.dropped.checked_shl(shift).unwrap_or(0);
        }
        self.highest = self.highest.max(Some(frame));
        let Some(back) = self.back(frame) else { return };
        if forwarded {
            self.forwarded |= 1 << back;
        } else {
            self.dropped |= 1 << back;
        }
    }

    /// None of the frames it refers to was dropped. One that has not come yet may come.
    pub fn has(&self, references: References, frame: u64) -> bool {
        // The one right before the frame, when the frame is ahead of all: behind the bits that are left.
        let highest = self.highest.unwrap_or(frame);
        let (own, gap) = (highest.saturating_sub(frame), frame.saturating_sub(highest));
        let shift = |by: u64| u32::try_from(by).unwrap_or(u32::MAX);
        let dropped = if gap > 0 {
            self.dropped.checked_shl(shift(gap - 1)).unwrap_or(0)
        } else {
            self.dropped.checked_shr(shift(own + 1)).unwrap_or(0)
        };
        let missing = dropped & u128::from(references.near) != 0;
        !missing && (!references.far || dropped == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn wire(value: u16) -> WireNumber {
        WireNumber { value, bits: 16 }
    }

    #[test]
    fn numbers_wrap() {
        let mut log = FrameLog::default();
        let last = log.widen(wire(65_535));
        log.decide(last, true);
        assert_eq!(log.widen(wire(1)), last + 2);
        log.decide(last + 2, false);
        assert_eq!(log.widen(wire(65_534)), last - 1);
        assert_eq!(log.decision(last), Some(true));
        assert_eq!((log.decision(last + 2), log.decision(last + 1)), (Some(false), None));
        assert!(log.is_newest(last + 3) && !log.is_newest(last + 1));
    }

    #[test]
    fn long_references_want_everything() {
        let far = References { near: 0, far: true };
        let mut log = FrameLog::default();
        log.decide(1_000, true);
        assert!(log.has(far, 1_001));
        log.decide(1_001, false);
        assert!(!log.has(far, 1_002));
    }

    proptest! {
        /// As a map does: decisions, and references that were dropped within the last 128 frames.
        #[test]
        fn remembers(steps in proptest::collection::vec((-20i64..8, any::<bool>(), any::<u64>()), 1..300)) {
            let mut log = FrameLog::default();
            let mut model: BTreeMap<u64, bool> = BTreeMap::new();
            let mut highest = 1 << 20;
            for (step, forwarded, near) in steps {
                let frame = (highest as i64 + step) as u64;
                let seen = model.keys().next_back().copied();
                let kept = |number: u64| seen.is_some_and(|seen| number + 128 > seen);
                let missing = (0..64).any(|bit| {
                    let number = frame - 1 - bit;
                    near >> bit & 1 == 1 && kept(number) && model.get(&number) == Some(&false)
                });
                // Behind a gap the oldest bits are beyond those that are kept.
                prop_assert_eq!(log.has(References { near, far: false }, frame), !missing);
                if kept(frame) || seen.is_none() {
                    let before = model.get(&frame).copied();
                    prop_assert_eq!(log.decision(frame), before);
                    if before.is_none() {
                        log.decide(frame, forwarded);
                        model.insert(frame, forwarded);
                        highest = highest.max(frame);
                    }
                }
            }
        }
    }
}
