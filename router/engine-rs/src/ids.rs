//! The engine's identifiers: one type per kind of number, so that no two are ever mixed up.
//!
//! Ids that Python hands out carry the worker in their top 16 bits and are never reused.

use arrayvec::ArrayString;
use std::net::SocketAddr;

/// Bits of an id below those that carry its worker.
const WORKER_SHIFT: u32 = 48;

/// A worker thread, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

impl WorkerId {
    /// The worker in an id that Python hands out.
    pub fn of(id: u64) -> Self {
        Self((id >> WORKER_SHIFT) as u16)
    }

    /// An id of this worker.
    pub fn id(self, number: u64) -> u64 {
        u64::from(self.0) << WORKER_SHIFT | number
    }
}

/// A UDP socket of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

/// One remote peer: ICE credentials, tuples, SRTP keys. One per fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportId(pub u64);

/// A track that a peer publishes: one m-line of media received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerId(pub u64);

impl ProducerId {
    /// The worker that receives it.
    pub fn worker(self) -> WorkerId {
        WorkerId::of(self.0)
    }
}

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
