//! Which pictures are larger than a receiver can make use of: those beyond the smallest that covers its place on the screen.
//!
//! A picture is shown whole, so the side that reaches the edge of its place first decides. What covers it almost is
//! enough: the next one has four times the pixels.

use super::ladder::Ladder;

/// A picture covers its place when a side has so many percent of the place's.
const COVERS_PERCENT: u32 = 85;

/// Pixels of a picture.
pub fn area((width, height): (u16, u16)) -> u32 {
    u32::from(width) * u32::from(height)
}

/// The area of the smallest picture that covers a place of this size, if that is known and one of those that flow does. A
/// side of `u16::MAX` is not known: the other one decides.
pub fn smallest_covering(ladder: &Ladder, shown_at: Option<(u16, u16)>) -> Option<u32> {
    let (width, height) = shown_at?;
    let side = |have: u16, want: u16| u32::from(have) * 100 >= u32::from(want) * COVERS_PERCENT;
    let flowing = ladder.rungs().iter().filter(|rung| rung.bps > 0);
    let sizes = flowing.filter_map(|rung| rung.size);
    let covering = sizes.filter(|size| side(size.0, width) || side(size.1, height));
    covering.map(area).min()
}
