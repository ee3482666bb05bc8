//! The media engine of fork-router.
//!
//! Everything but [`io`] and `py` is sans-IO: bytes and a time go in, bytes, events and the next deadline come out.
//! Direction of dependency: `wire` depends on nothing; `recv`, `route`, `send`, `ice` and `srtp` on `wire`;
//! `core` on all of those; `io` on `core`; `py` on `io`. Only `io` reads a clock, owns a socket or starts a thread.

#![deny(unsafe_code)]

pub mod core;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod ice;
pub mod ids;
#[allow(unsafe_code)]
pub mod io;
#[cfg(feature = "python")]
#[allow(unsafe_code)]
mod py;
pub mod recv;
pub mod route;
pub mod send;
pub mod srtp;
pub mod time;
pub mod wire;
