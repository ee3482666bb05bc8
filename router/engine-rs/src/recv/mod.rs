//! What the engine keeps per received RTP stream (one encoding of a published track): statistics, missing packets,
//! history for retransmission, key frame requests, rates. Pure: packets and times in, values and deadlines out.

pub mod bitrate;
pub mod clock;
pub mod contributors;
pub mod history;
pub mod keyframe;
pub mod nack;
pub mod reception;
