//! Who speaks, and who is heard: dominant and recent speakers, and the N loudest in sticky places, from the audio levels
//! that packets carry (RFC 6464). Pure: levels and times in, decisions out. `docs/speakers.md` tells the algorithm.
//!
//! Invariants: a source that is digitally silent costs a look at each stage per packet, no timer; nothing allocates while
//! who is heard stays the same; every list but that of the sources, which Python makes, has a named cap.

mod activity;
mod dominant;
mod group;
mod scale;
mod source;
mod stage;

pub use dominant::{DECISION_INTERVAL, MAX_RECENT};
pub use group::{Changed, Group, GroupState, REPORTS_PER_SECOND};
pub use source::{Owned, SILENCE_LEAVES};
pub use stage::{HANGOVER, LONG_REST, LOUDER_FOR, LOUDER_MARGIN, MAX_PLACES};

/// A level of RFC 6464 that means digital silence: a muted microphone.
pub const SILENT_LEVEL: u8 = 127;

/// Position of a source in its group; reused after the source left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceIx(pub u32);
