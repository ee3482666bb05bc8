//! What a slot claims of its receiver's bandwidth, and how much it weighs against the others.

use super::standing::Standing;
use crate::core::command::Limits;
use crate::route::ladder::Ladder;

/// How much a slot matters by decree. Each step outweighs any difference in size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// As any other.
    #[default]
    Ordinary,
    /// Before others: a shared screen.
    Preferred,
    /// Pinned by the receiver.
    Pinned,
}

/// What to keep when not all of a picture can be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preference {
    /// A camera: larger pictures only when they still move.
    #[default]
    Motion,
    /// A shared screen: text is read, so size goes before frame rate.
    Detail,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Wants<'a> {
    /// Audio at this measured rate, RTP header and payload, in bits per second.
    Audio(u64),
    /// A rung of this ladder.
    Video(&'a Ladder),
    /// Nothing now: paused by the server, by the client, or nothing assigned.
    Nothing,
}

/// The claim of one slot.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The caller's index of the slot. Decides between equals: the lower one goes first.
    pub slot: u16,
    /// What it wants.
    pub wants: Wants<'a>,
    /// How much it matters by decree.
    pub priority: Priority,
    /// What to keep when not all can be had.
    pub preference: Preference,
    /// At which size it is shown, and what client and application allow.
    pub limits: Limits,
    /// What was granted before, as the last [`super::Grant`] gave it.
    pub standing: Standing,
}

/// Area at which a slot weighs 1.
const UNIT_AREA: u32 = 320 * 180;
/// Weight by size is 1, 2, 4 or 8.
const MAX_SIZE_SHIFT: u32 = 3;
/// A slot of unknown size weighs as one of 640x360.
const UNKNOWN_SIZE_SHIFT: u32 = 1;

impl Claim<'_> {
    /// Weight against the other slots. A power of two: four times the area counts double, a step of priority more than any
    /// area.
    pub fn weight(&self) -> u64 {
        let by_size = self.area().map_or(UNKNOWN_SIZE_SHIFT, |area| {
            let ratio = (area / UNIT_AREA).max(1);
            // Half of the logarithm, rounded: four times the area is twice the weight.
            ratio.ilog2().div_ceil(2).min(MAX_SIZE_SHIFT)
        });
        1 << (by_size + (MAX_SIZE_SHIFT + 1) * self.priority as u32)
    }

    /// Pixels it can make use of.
    fn area(&self) -> Option<u32> {
        let (width, height) = self.limits.shown_at.unzip();
        let known = |side: &u16| *side != u16::MAX;
        let (width, height) = (width.filter(known), height.filter(known));
        let smaller = |shown: Option<u16>, limit: Option<u16>| match (shown, limit) {
            (Some(shown), Some(limit)) => Some(shown.min(limit)),
            (one, other) => one.or(other),
        };
        let width = smaller(width, self.limits.max_width);
        let height = smaller(height, self.limits.max_height);
        // One dimension tells the other: most pictures are 16:9.
        let width = width.or(height.map(|height| (u32::from(height) * 16 / 9) as u16))?;
        let height = height.unwrap_or((u32::from(width) * 9 / 16) as u16);
        Some(u32::from(width) * u32::from(height))
    }

    /// The client says that nobody sees it.
    pub fn is_hidden(&self) -> bool {
        self.limits
            .shown_at
            .is_some_and(|(width, height)| width == 0 || height == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(priority: Priority, shown_at: Option<(u16, u16)>) -> u64 {
        Claim {
            slot: 0,
            wants: Wants::Nothing,
            priority,
            preference: Preference::Motion,
            limits: Limits {
                shown_at,
                ..Limits::default()
            },
            standing: Standing::default(),
        }
        .weight()
    }

    #[test]
    fn four_times_the_area_weighs_twice_as_much() {
        let sizes = [
            (160, 90),
            (320, 180),
            (640, 360),
            (1_280, 720),
            (3_840, 2_160),
        ];
        let weights = sizes.map(|size| weight(Priority::Ordinary, Some(size)));
        assert_eq!(weights, [1, 1, 2, 4, 8]);
        assert_eq!(weight(Priority::Ordinary, None), 2);
        assert_eq!(weight(Priority::Ordinary, Some((1_280, u16::MAX))), 4);
    }

    #[test]
    fn priority_outweighs_any_size() {
        let small = Some((16, 16));
        let large = Some((u16::MAX, u16::MAX));
        assert!(weight(Priority::Preferred, small) > weight(Priority::Ordinary, large));
        assert!(weight(Priority::Pinned, small) > weight(Priority::Preferred, large));
    }
}
