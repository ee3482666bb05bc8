//! What the core tells Python. Plain values and ids; bounded by the queue in `io`, whose overflow is counted.

use crate::ids::{GroupId, ProducerId, Ssrc, TransportId, Tuple};
use crate::speakers::GroupState;
use crate::time::Micros;

/// Why a transport was given up by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostReason {
    /// No authenticated packet of any kind for the transport's timeout (RFC 7675 sets 30 s as the ceiling).
    ConsentExpired,
    /// A panic inside the engine was caught; the transport is closed, the worker lives.
    EngineBug,
}

/// Why a producer's media ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilentReason {
    /// RTCP BYE from the peer.
    Bye,
    /// No packet for the media timeout.
    Timeout,
}

/// An event of the core.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A STUN message that the engine cannot settle: an unknown tuple, another user name than the tuple's transport, or
    /// a response to a request that the engine did not make. Not authenticated.
    Stun {
        /// Where it came from.
        tuple: Tuple,
        /// The whole datagram.
        data: Vec<u8>,
    },
    /// A DTLS datagram from a tuple of this transport.
    Dtls {
        /// The transport.
        transport: TransportId,
        /// Where it came from.
        tuple: Tuple,
        /// The whole datagram.
        data: Vec<u8>,
    },
    /// Media now goes to this tuple: the first one, or a move by authenticated nomination and path challenge.
    PairSelected {
        /// The transport.
        transport: TransportId,
        /// The selected tuple.
        tuple: Tuple,
    },
    /// The first key frame left for a peer.
    FirstFrame {
        /// The transport.
        transport: TransportId,
        /// Since one of its video slots was assigned a track.
        waited: Micros,
    },
    /// The engine has stopped sending; Python should close the fork.
    TransportLost {
        /// The transport.
        transport: TransportId,
        /// Why.
        reason: LostReason,
    },
    /// The transport is gone from the engine: its SRTP contexts are no longer used and may be freed.
    TransportRemoved {
        /// The transport.
        transport: TransportId,
    },
    /// The first authenticated packet of a producer's encoding, also after silence.
    EncodingActive {
        /// The producer.
        producer: ProducerId,
        /// Index into the producer's configured encodings.
        encoding: u8,
        /// Its SSRC.
        ssrc: Ssrc,
    },
    /// All encodings of the producer have fallen silent.
    ProducerSilent {
        /// The producer.
        producer: ProducerId,
        /// Why.
        reason: SilentReason,
    },
    /// What is in use of a producer whose publisher follows changed ([`super::Command::FollowDemand`]): the others may
    /// pause. At once when more is, after a second of disuse and later each time when less is.
    EncodingsWanted {
        /// The producer.
        producer: ProducerId,
        /// Indices into the producer's configured encodings.
        encodings: Vec<u8>,
    },
    /// The set of CSRCs received on a producer changed (RFC 3550 section 5.1), at most 5 times a second, always ending
    /// on the true state; with levels in -dBov where RFC 6465 carries them.
    Contributors {
        /// The producer.
        producer: ProducerId,
        /// CSRC and level.
        sources: Vec<(u32, Option<u8>)>,
    },
    /// Who speaks in a group changed, at most 5 times a second, always ending on the true state.
    SpeakersChanged {
        /// The group.
        group: GroupId,
        /// What is true now.
        state: GroupState,
        /// How loud those in places were last, in -dBov.
        levels: Vec<(ProducerId, u8)>,
    },
}
