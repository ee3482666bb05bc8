//! What the engine says about the streams it sends, and hears about them (RTCP, RFC 3550 section 6).

pub mod report;
