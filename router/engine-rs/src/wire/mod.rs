//! The wire formats: bytes to values and values to bytes, and nothing else.
//!
//! Everything here is sans-IO and borrows from the datagram. The RTP path makes no allocation. No function panics for
//! any bytes: a parser returns [`ParseError`], a writer whose buffer is too small returns [`WriteError`]. Numbers are
//! the protocol's own (a 16-bit sequence number is a `u16`); [`seq`] widens them before they leave this module.

pub mod av1;
pub mod bits;
pub mod bytes;
pub mod codec;
pub mod demux;
pub mod dependency_descriptor;
pub mod drop_reason;
pub mod ext;
pub mod h264;
pub mod opus;
pub mod pcapng;
pub mod picture_id;
pub mod red;
pub mod rtcp;
pub mod rtp;
pub mod rtx;
pub mod seq;
pub mod stun;
pub mod vp8;
pub mod vp9;

pub use bytes::Span;
pub use drop_reason::{DropCounters, DropReason};

/// The largest datagram the core reads or writes, in bytes. Larger ones are dropped on arrival.
pub const MAX_DATAGRAM: usize = 1500;

/// Why bytes were not understood. Carries no text and no allocation: the caller counts a [`DropReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Ends before its fixed part does.
    #[error("shorter than its fixed part")]
    TooShort,
    /// Longer than any datagram we handle.
    #[error("longer than any datagram we handle")]
    TooLong,
    /// A version, cookie or fixed bit pattern differs.
    #[error("unknown version or magic value")]
    BadVersion,
    /// A length field points past the end, or does not match what follows.
    #[error("length field does not match")]
    BadLength,
    /// Padding that is zero or longer than what it pads (RFC 3550 section 5.1).
    #[error("padding longer than the packet")]
    BadPadding,
    /// A field holds a value that its RFC forbids.
    #[error("forbidden value")]
    BadValue,
    /// Well formed, but of a type that we do not know.
    #[error("unknown type")]
    UnknownType,
}

/// Why a message could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The buffer is too small.
    #[error("no room in the buffer")]
    NoRoom,
    /// More items, or a larger value, than the format can express.
    #[error("value does not fit the format")]
    OutOfRange,
}
