//! What the engine says about the streams it sends, hears about them (RTCP, RFC 3550 section 6) and thinks of them; and
//! what it sends only to find out how much a receiver's link carries.

pub mod assessment;
pub mod probe_packets;
pub mod quality;
pub mod report;
pub mod transport_number;
