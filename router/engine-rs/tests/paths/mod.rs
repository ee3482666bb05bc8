//! Paths of a simulated network, in virtual time; everything follows from the seed.
#![allow(
    dead_code,
    missing_docs,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)] // each test uses its part

pub mod link;
pub mod random;
