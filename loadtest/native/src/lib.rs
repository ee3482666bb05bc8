//! The native part of `router-loadtest`: it sends and counts for thousands of clients on one core, so that the
//! generator is much cheaper than the server it loads. Nothing of the router's engine is used.
//!
//! - [`generator`]: the thread: sockets, timers, commands. [`peer`]: one client after its handshake.
//! - [`traffic`]: when which packet is due. [`packet`]: what is in it, and the check of what came back.
//! - [`stream`], [`histogram`]: what is counted. [`stun`], [`rtcp`]: what keeps servers sending.
//! - [`floor`]: a server that only copies, protects and sends: no server can cost less for the same traffic.
//! - [`srtp`], [`socket`], [`clock`], `py`: libsrtp, the kernel, the clocks and Python: the only unsafe code.
//!
//! Left out: retransmission (a lost packet is counted as lost), congestion control, IPv6.

#![deny(unsafe_code)]

pub mod clock;
pub mod floor;
pub mod generator;
pub mod histogram;
pub mod packet;
pub mod peer;
pub mod rtcp;
pub mod socket;
pub mod srtp;
pub mod stream;
pub mod stun;
pub mod traffic;

#[cfg(feature = "python")]
#[allow(unsafe_code)] // PyO3's macros expand to it
mod py;
