//! One line of outgoing numbers, whatever sources follow each other: the picture ids of a slot, or its frame numbers.
//!
//! Frames that are not forwarded leave a gap that is kept, or closed. VP8's are closed: its decoders read a gap as a lost
//! frame and hold back what follows. Those of VP9 and the dependency descriptor are kept: their frames name what they refer
//! to by the distance of numbers, or by their place in a group of pictures, and would refer to another frame.
//!
//! Each source is an *epoch* with one offset, chosen so that its first number follows the highest sent before. Numbers
//! are widened to 64 bits on arrival and cut to the packet's own width on the way out.

use super::super::epoch::Epoch;

/// Drops remembered, and the reordering believed, in frames.
const SPAN: u64 = 256;
/// Where numbers are widened from, and where a line begins: the first number sent is the next one. There is room below
/// for what came before, and it is a multiple of every width.
const ORIGIN: u64 = 1 << 32;

/// A number as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireNumber {
    /// Its value.
    pub value: u16,
    /// Its width: it counts modulo two to this power.
    pub bits: u32,
}

impl WireNumber {
    /// The number congruent to it that is nearest to the highest seen; half way counts as ahead.
    pub fn widen(self, highest: Option<u64>) -> u64 {
        let value = ORIGIN + u64::from(self.value);
        let Some(highest) = highest else {
            return value;
        };
        let modulus = 1u64 << self.bits;
        let ahead = value.wrapping_sub(highest) & (modulus - 1);
        if ahead > modulus / 2 {
            (highest + ahead).saturating_sub(modulus)
        } else {
            highest + ahead
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Line {
    epoch: Option<Epoch>,
    highest_out: u64,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            epoch: None,
            highest_out: ORIGIN,
        }
    }
}

impl Line {
    /// A new source begins with this number, or has none.
    pub fn switch(&mut self, first: Option<WireNumber>) {
        let next = self.highest_out + 1;
        self.epoch = None;
        self.epoch = first.map(|number| Epoch::new(self.widen(number), next, SPAN));
    }

    /// A key frame that begins behind what was sent before it, or far ahead: its encoder began to count anew.
    pub fn is_new_count(&self, number: WireNumber) -> bool {
        let number = self.widen(number);
        self.epoch.as_ref().is_some_and(|epoch| {
            number < epoch.highest_in || number > epoch.highest_in.saturating_add(SPAN)
        })
    }

    /// The outgoing number of a frame that passes, where dropped ones leave their gap; `None` when it is too old.
    pub fn map(&mut self, number: WireNumber) -> Option<u64> {
        let number = self.widen(number);
        let epoch = self.epoch_from(number);
        if epoch.is_too_old(number) {
            return None;
        }
        if number > epoch.highest_in {
            epoch.advance(number);
        }
        let out = epoch.first_out + (number - epoch.first_in);
        self.highest_out = self.highest_out.max(out);
        Some(out)
    }

    /// The outgoing number where gaps are closed; `None` when the frame is dropped, or too old. `passes` is asked once
    /// per frame, at the first packet that comes of it, so that a frame is dropped or passed whole.
    pub fn map_closed(&mut self, number: WireNumber, passes: impl FnOnce() -> bool) -> Option<u64> {
        let number = self.widen(number);
        let epoch = self.epoch_from(number);
        if epoch.is_too_old(number) || epoch.is_dropped(number) {
            return None;
        }
        if number > epoch.highest_in {
            epoch.advance(number);
            if !passes() {
                epoch.drop_highest();
                return None;
            }
        }
        let out = epoch.out_of(number);
        self.highest_out = self.highest_out.max(out);
        Some(out)
    }

    fn epoch_from(&mut self, number: u64) -> &mut Epoch {
        let next = self.highest_out + 1;
        self.epoch
            .get_or_insert_with(|| Epoch::new(number, next, SPAN))
    }

    fn widen(&self, number: WireNumber) -> u64 {
        number.widen(self.epoch.as_ref().map(|epoch| epoch.highest_in))
    }
}

/// A line of which every gap is kept, so that it is one distance for each source: frame numbers.
#[derive(Clone, Debug)]
pub struct DistanceLine {
    /// From the source's numbers to ours, modulo 2^64.
    distance: u64,
    first_in: u64,
    highest_in: Option<u64>,
    highest_out: u64,
}

impl Default for DistanceLine {
    fn default() -> Self {
        Self {
            distance: 0,
            first_in: 0,
            highest_in: None,
            highest_out: ORIGIN,
        }
    }
}

impl DistanceLine {
    /// A new source begins with this number, or has none.
    pub fn switch(&mut self, first: Option<WireNumber>) {
        self.highest_in = None;
        if let Some(first) = first {
            self.begin(first.widen(None));
        }
    }

    fn begin(&mut self, first: u64) {
        self.distance = (self.highest_out + 1).wrapping_sub(first);
        (self.first_in, self.highest_in) = (first, Some(first));
    }

    /// As for any line.
    pub fn is_new_count(&self, number: WireNumber) -> bool {
        let number = number.widen(self.highest_in);
        self.highest_in
            .is_some_and(|highest| number < highest || number > highest.saturating_add(SPAN))
    }

    /// The outgoing number; `None` when it is too old.
    pub fn map(&mut self, number: WireNumber) -> Option<u64> {
        let number = number.widen(self.highest_in);
        let Some(highest) = self.highest_in else {
            self.begin(number);
            return Some(self.map_widened(number));
        };
        if number < self.first_in || number + SPAN < highest {
            return None;
        }
        self.highest_in = Some(highest.max(number));
        Some(self.map_widened(number))
    }

    fn map_widened(&mut self, number: u64) -> u64 {
        let out = number.wrapping_add(self.distance);
        self.highest_out = self.highest_out.max(out);
        out
    }
}
