//! The engine's outer shell: the only part that reads a clock, owns sockets and starts threads.
//!
//! A worker thread owns its sockets and one [`crate::core::Core`]. It receives in batches, lets the core answer into
//! one send batch per wake-up, and shares nothing with other workers but what it hands them over (`ring.rs`). Commands
//! come in by one bounded queue per worker, events leave by one bounded queue per worker and one eventfd for all.

pub mod batch;
pub mod capture;
pub mod clock;
pub mod engine;
pub mod messages;
pub mod offload;
pub mod pacing;
pub mod pin;
pub mod prefetch;
pub mod pressure;
pub mod queue;
pub mod receive;
pub mod ring;
pub mod send;
pub mod sockaddr;
pub mod socket;
pub mod stats;
pub mod transmit;
pub mod wake;
pub mod worker;
