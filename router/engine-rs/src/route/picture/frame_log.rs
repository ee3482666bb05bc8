//! Which of the last frames were forwarded, by their numbers: so that all packets of a frame share its fate, and a frame
//! whose reference was dropped is not forwarded.

use super::line::WireNumber;
use crate::wire::dependency_descriptor::References;

/// The last 64 frames of a source: as many as can be referred to. Bit `n` stands for the frame `n` before the highest.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameLog {
    /// Zero before the first.
    highest: u64,
    forwarded: u64,
    dropped: u64,
    /// Referred to by a frame that was forwarded.
    wanted: u64,
}

impl FrameLog {
    /// The number congruent to what travels that is nearest to the highest.
    pub fn widen(&self, number: WireNumber) -> u64 {
        number.widen(Some(self.highest).filter(|highest| *highest > 0))
    }

    fn back(&self, frame: u64) -> Option<u32> {
        let back = self.highest.checked_sub(frame)?;
        u32::try_from(back).ok().filter(|back| *back < u64::BITS)
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
        let ahead = u32::try_from(frame.saturating_sub(self.highest)).unwrap_or(u32::MAX);
        self.forwarded = self.forwarded.checked_shl(ahead).unwrap_or(0);
        self.dropped = self.dropped.checked_shl(ahead).unwrap_or(0);
        self.wanted = self.wanted.checked_shl(ahead).unwrap_or(0);
        self.highest = self.highest.max(frame);
        let Some(back) = self.back(frame) else { return };
        if forwarded {
            self.forwarded |= 1 << back;
        } else {
            self.dropped |= 1 << back;
        }
    }

    /// Notes what a forwarded frame refers to.
    pub fn want(&mut self, references: References, frame: u64) {
        let Some(back) = self.back(frame) else { return };
        let near = references.near.checked_shl(back + 1);
        self.wanted |= near.unwrap_or(0);
    }

    /// A frame that was forwarded refers to it.
    pub fn is_wanted(&self, frame: u64) -> bool {
        let back = self.back(frame);
        back.is_some_and(|back| self.wanted >> back & 1 == 1)
    }

    /// None of the frames it refers to was dropped. One that has not come yet may come.
    pub fn has(&self, references: References, frame: u64) -> bool {
        let dropped = self.before(self.dropped, frame);
        dropped & references.near == 0 && (!references.far || dropped == 0)
    }

    /// All frames that it refers to were forwarded, but for these, which must not have been dropped.
    pub fn has_forwarded(&self, references: References, but_for: u64, frame: u64) -> bool {
        let needed = references.near & !but_for;
        let forwarded = self.before(self.forwarded, frame) & needed == needed;
        forwarded && !references.far && self.has(references, frame)
    }

    /// A frame with a higher number was dropped, or may have been.
    pub fn has_dropped_behind(&self, frame: u64) -> bool {
        let Some(behind) = self.highest.checked_sub(frame) else {
            return false;
        };
        let behind = u32::try_from(behind)
            .ok()
            .and_then(|behind| 1_u64.checked_shl(behind));
        behind.is_none_or(|bit| self.dropped & (bit - 1) != 0)
    }

    /// The bits of the frames before this one: bit 0 is the one right before.
    fn before(&self, bits: u64, frame: u64) -> u64 {
        let shift = |by: u64| u32::try_from(by).unwrap_or(u32::MAX);
        let shifted = match frame.checked_sub(self.highest + 1) {
            Some(gap) => bits.checked_shl(shift(gap)),
            None => bits.checked_shr(shift(self.highest + 1 - frame)),
        };
        shifted.unwrap_or(0)
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
        assert_eq!(
            (log.decision(last + 2), log.decision(last + 1)),
            (Some(false), None)
        );
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
        /// As a map does: decisions, and references that were dropped within the last 64 frames.
        #[test]
        fn remembers(steps in proptest::collection::vec((-20i64..8, any::<bool>(), any::<u64>()), 1..300)) {
            let mut log = FrameLog::default();
            let mut model: BTreeMap<u64, bool> = BTreeMap::new();
            let mut highest = 1 << 20;
            for (step, forwarded, near) in steps {
                let frame = (highest as i64 + step) as u64;
                let seen = model.keys().next_back().copied();
                let kept = |number: u64| seen.is_some_and(|seen| number + 64 > seen);
                let missing = (0..64).any(|bit| {
                    let number = frame - 1 - bit;
                    near >> bit & 1 == 1 && kept(number) && model.get(&number) == Some(&false)
                });
                let references = References { near, far: false };
                prop_assert_eq!(log.has(references, frame), !missing);
                let all = (0..64).all(|bit| {
                    let number = frame - 1 - bit;
                    near >> bit & 1 == 0 || kept(number) && model.get(&number) == Some(&true)
                });
                prop_assert_eq!(log.has_forwarded(references, 0, frame), all);
                prop_assert_eq!(log.has_forwarded(references, u64::MAX, frame), !missing);
                let mut behind = model.range(frame + 1..);
                let dropped = behind.any(|(number, forwarded)| kept(*number) && !forwarded);
                if kept(frame) || seen < Some(frame) {
                    prop_assert_eq!(log.has_dropped_behind(frame), dropped);
                }
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
