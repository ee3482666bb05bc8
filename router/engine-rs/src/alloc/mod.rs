//! Who gets what of a receiver's bandwidth: one estimate, many slots, a rung or a pause for each, and why.
//!
//! No RFC says how; the rules are in `docs/allocation.md`. They owe to Jitsi's `doc/allocation.md` (order, one step at a
//! time, never more than is shown), `LiveKit`'s stream allocator (pause instead of freeze, back-off of what failed) and
//! mediasoup's priorities. In short:
//!
//! 1. Audio is taken off first, and a share for repair.
//! 2. Every slot gets its lowest rung, in order of weight ([`claim`]).
//! 3. Then the cheapest step by its slot's weight is taken, again and again ([`fill`]). A slot of more weight is never the
//!    loser when there is more to give.
//! 4. The budget that is filled lags behind the estimate on its way up and is forgiving on its way down ([`standing`]), so
//!    that neither noise nor a key frame changes what is shown.
//!
//! Pure, and without allocation once the scratch space has grown. Left out: measuring (`route/ladder.rs`), estimating
//! (`bwe/`), and switching to what was granted (`route/slot.rs`).

pub mod allocator;
pub mod claim;
pub mod fill;
pub mod grant;
pub mod path;
pub mod standing;
#[cfg(test)]
mod tests;

pub use allocator::{Allocation, Allocator, Budget, MARGIN_PERCENT};
pub use claim::{Claim, Preference, Priority, Wants};
pub use grant::{Cause, Grant, Reason};
pub use standing::{Headroom, Standing};
