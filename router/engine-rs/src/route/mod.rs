//! From a published stream to a receiver's m-line (a *slot*): layer choice, one unbroken sequence and timestamp line,
//! the rewritten packet, and repair of what the receiver lost. Pure: packets and times in, bytes out.

pub mod budget;
pub mod cover;
pub mod encodings;
pub mod epoch;
pub mod ladder;
pub mod limited;
pub mod picture;
pub mod rewrite;
pub mod select;
pub mod sent;
pub mod seq;
pub mod slot;
pub mod timestamp;

pub use slot::{Slot, SlotSeed};
