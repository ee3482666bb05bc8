//! The send-side estimator over simulated paths, in virtual time: what it makes of a link, and what of a receiver who lies.
//!
//! The sender forwards like the server does: a frame leaves in one batch, without pacing. Feedback is what the engine's
//! own receiving side writes. Every run has a seed, which a failure prints.

mod changes;
mod cost;
mod hostile;
mod impairments;
mod link;
#[path = "../paths/mod.rs"]
mod paths;
mod rfc8867;
mod sender;
mod sharing;
mod source;
mod steady;
mod sweep;
mod tcp;
mod trace;
mod world;
