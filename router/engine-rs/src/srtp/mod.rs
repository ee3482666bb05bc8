//! SRTP as the core sees it (RFC 3711, RFC 7714): a session that works in place on a buffer.
//!
//! `libsrtp` drives the C contexts that pylibsrtp made; tests use a toy session. The core knows only this trait.

#[allow(unsafe_code)]
pub mod libsrtp;

/// Why a packet was refused. Replay and authentication failure are never merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpError {
    /// The authentication tag did not match.
    Auth,
    /// The index was seen before or lies before the replay window.
    Replay,
    /// Too short, malformed, or no room for the tag.
    Malformed,
    /// Any other status of the library, by its code.
    Other(i32),
}

/// Bytes a session may add to a packet: GCM tag (16), SRTCP index (4), and some room.
pub const SRTP_MAX_OVERHEAD: usize = 32;

/// The two directions of one peer's keys. `buffer` holds the packet in its first `len` bytes and has at least
/// [`SRTP_MAX_OVERHEAD`] bytes to spare when protecting; the result is the packet's new length.
pub trait SrtpSession: Send {
    /// Where the state for sending lies, to be brought near before a packet is protected; 0 when that is not known.
    fn place(&self) -> usize {
        0
    }
    /// Encrypts an RTP packet to the peer.
    fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError>;
    /// Verifies and decrypts an RTP packet from the peer.
    fn unprotect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError>;
    /// Encrypts a compound RTCP packet to the peer.
    fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError>;
    /// Verifies and decrypts a compound RTCP packet from the peer.
    fn unprotect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError>;
}
