//! The engine's identifiers: one type per kind of number, so that no two are ever mixed up.
//!
//! Ids that Python hands out carry the worker in their top 16 bits and are never reused.

use arrayvec::ArrayString;
use std::net::SocketAddr;

/// A UDP socket of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

/// One remote peer: ICE credentials, tuples, SRTP keys. One per fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportId(pub u64);

/// A track that a peer publishes: one m-line of media received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerId(pub u64);

/// A sending m-line towards a peer. It keeps its SSRC, sequence and timestamp space for life, whatever it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u64);

/// A speaker group: audio tracks that compete to be heard, and slots that hear the loudest of them. One per room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u64);

/// Synchronisation source (RFC 3550 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ssrc(pub u32);

/// RTP payload type, 0-127.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadType(pub u8);

/// Media identification (RFC 9143): at most 16 bytes here, as much as a one-byte header extension holds.
pub type Mid = ArrayString<16>;

/// RTP stream id (RFC 8851, RFC 8852): at most 16 bytes here.
pub type Rid = ArrayString<16>;

/// A sequence number widened to 64 bits on arrival, so that later code compares without wrap rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeqNo(pub u64);

/// Where a datagram came from or goes to: our socket and the peer's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Our socket.
    pub socket: SocketId,
    /// The peer's address.
    pub address: SocketAddr,
}
