//! The core with a virtual clock, one file per subject. They are one program, because compiling and linking one for each
//! took longer than running all; `cargo test --test core NAME` runs one.
#![allow(missing_docs)]

mod batches;
mod cameras;
mod captures;
#[path = "../common/mod.rs"]
mod common;
mod constraints;
mod continuity;
mod demand;
mod forwarding;
mod hostile_receivers;
mod ice_paths;
mod layers;
mod media;
mod media_loss;
mod media_switch;
mod mirrors;
mod plain_peers;
mod publishing;
mod redundancy;
mod reports;
mod scalable;
mod speakers;
mod studio;
mod switching;
mod threats_media;
mod threats_paths;
mod wraps;
