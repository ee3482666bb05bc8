//! The whole core between simulcast publishers and receivers behind narrow links, in virtual time: what bandwidth
//! estimation, allocation, selection of layers and pacing make of it together.
//!
//! Publishers send three VP8 encodings with three temporal layers over clean uplinks. Each receiver negotiated feedback, has
//! a seeded link, repairs losses and decodes (`view.rs`). Every run prints its seed and a table (`-- --nocapture`).

mod changes;
mod encoder;
mod flapping;
mod liars;
mod loss;
mod many;
mod publisher;
mod receiver;
mod reception;
mod reports;
mod room;
mod sharing;
mod steady;
mod survey;
mod table;
mod trace;
mod view;

#[path = "../common/mod.rs"]
mod common;
#[path = "../paths/mod.rs"]
mod paths;
