//! What flows over the links of these tests.

pub use crate::paths::link::{Jitter, Loss, Outage};

pub type Link = crate::paths::link::Link<Payload>;
pub type Packet = crate::paths::link::Packet<Payload>;

#[derive(Clone, Debug)]
pub enum Payload {
    /// A packet of flow `flow` with a transport-wide number.
    Media {
        flow: usize,
        seq: u16,
        is_media: bool,
    },
    /// Feedback of flow `flow`, as it is on the wire.
    Feedback {
        flow: usize,
        message: Vec<u8>,
    },
    /// A segment, or the cumulative acknowledgement of one.
    Segment(u64),
    Ack(u64),
}
