//! What an estimator tells of itself, for statistics and the reasons of the allocation.

use super::overuse::Usage;
use crate::time::Micros;

/// What the estimate is limited by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// Nothing is known yet: the rate it began with.
    #[default]
    Start,
    /// How the delay develops.
    Delay,
    /// A queue is being drained.
    Queue,
    /// Losses.
    Loss,
    /// The receiver's own word (REMB).
    Remb,
    /// The receiver is silent.
    Outage,
}

impl Limit {
    /// The name in statistics.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Delay => "delay",
            Self::Queue => "queue",
            Self::Loss => "loss",
            Self::Remb => "remb",
            Self::Outage => "outage",
        }
    }
}

/// Feedback that was not believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that were never sent, or so long ago that they are forgotten.
    pub unknown_packets: u64,
    /// Arrivals at times that cannot be.
    pub impossible_arrivals: u64,
    /// Messages beyond what is looked at.
    pub flooded_messages: u64,
}

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The estimate in bits per second.
    pub estimate_bps: u64,
    /// What limits it.
    pub limit: Limit,
    /// The acknowledged bitrate, in bits per second.
    pub acked_bps: Option<u64>,
    /// Bytes sent that nothing was heard of yet.
    pub in_flight_bytes: u64,
    /// What stands in the queue.
    pub queue: Micros,
    /// Round trip, with the wait for feedback.
    pub round_trip: Micros,
    /// Share of packets lost lately.
    pub loss: f32,
    /// What the delay says.
    pub usage: Usage,
    /// Feedback that was not believed.
    pub counters: Counters,
}
