//! What the engine keeps per received RTP stream (one encoding of a published track): statistics, missing packets,
//! history for retransmission, key frame requests, rates. Pure: packets and times in, values and deadlines out.
//!
//! [`ReceiveStream`] joins the parts; `core` owns one per encoding. [`clock::PeerClock`] and
//! [`twcc::FeedbackBuilder`] are per transport, [`contributors::Contributors`] per producer.

pub mod bitrate;
pub mod clock;
pub mod content;
pub mod contributors;
pub mod dependencies;
pub mod freezes;
pub mod history;
pub mod keyframe;
pub mod layer_meter;
pub mod layers;
pub mod nack;
pub mod packet;
pub mod parameter_sets;
pub mod payload_layers;
pub mod reception;
pub mod stream;
pub mod twcc;

pub use packet::MediaPacket;
pub use stream::{Measured, ReceiveStream};

#[cfg(test)]
pub(crate) mod testing;
