//! The media engine of fork-router.
//!
//! Everything but [`io`] and `py` is sans-IO: bytes and a time go in, bytes, events and the next deadline come out.
//! Direction of dependency: `ids`, `media` and `time` are plain values; `wire` depends on them alone; `recv`, `send`,
//! `bwe`, `ice`, `pace` and `srtp` on `wire`; `route` on `recv` and `send` too; `alloc` on `route`'s ladders; `speakers`
//! on the plain values alone; `core` on all of those but `alloc`, `bwe` and `pace`, which nothing uses yet; `io` on `core`;
//! `py` on `io`.
//! Of `core`, only its configuration, statistics and classes of datagrams, plain values too, are named below it. Only `io`
//! reads a clock, owns a socket or starts a thread.

#![deny(unsafe_code)]

pub mod alloc;
pub mod bwe;
pub mod core;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod ice;
pub mod ids;
#[allow(unsafe_code)]
pub mod io;
pub mod media;
pub mod pace;
#[cfg(feature = "python")]
#[allow(unsafe_code)]
mod py;
pub mod recv;
pub mod route;
pub mod send;
pub mod speakers;
pub mod srtp;
pub mod time;
pub mod wire;
