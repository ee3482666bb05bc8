//! A seeded virtual world around one core: peers with toy keys, a clock that jumps, datagrams in lists.
#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)]

pub mod call;
pub mod house;
pub mod load;
pub mod media;
pub mod peer;
pub mod plain_srtp;
pub mod scalability;
pub mod stun;
pub mod talk;
pub mod toy_srtp;
pub mod world;

pub use call::Call;
pub use house::House;
pub use load::{CountingSink, Load};
pub use peer::Peer;
pub use talk::Talk;
pub use world::World;
