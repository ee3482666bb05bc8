//! SRTP by libsrtp 2 (RFC 3711, RFC 7714), on contexts that pylibsrtp made.
//!
//! Python hands over addresses: the four C functions once per engine, two `srtp_t` per peer. The signatures are
//! checked there (`ffi.typeof`) together with a known-answer self-test, because nothing here can check them.
//! Creating and freeing contexts is left to their Python owner.

use super::{SRTP_MAX_OVERHEAD, SrtpError, SrtpSession};
use std::ffi::{c_int, c_void};

/// `srtp_err_status_t f(srtp_t context, void *packet, int *length)`.
type RawFunction = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_int) -> c_int;

// srtp_err_status_t of libsrtp 2 (include/srtp.h).
const STATUS_OK: c_int = 0;
const STATUS_BAD_PARAM: c_int = 2;
const STATUS_AUTH_FAIL: c_int = 7;
const STATUS_REPLAY_FAIL: c_int = 9;
const STATUS_REPLAY_OLD: c_int = 10;
const STATUS_PARSE_ERR: c_int = 21;

/// One libsrtp function that works on a packet in place.
#[derive(Clone, Copy, Debug)]
pub struct SrtpFunction(RawFunction);

impl SrtpFunction {
    /// The function at this address; `None` for a null address.
    ///
    /// # Safety
    /// A non-zero `address` must be that of a function with the signature of `RawFunction`, loaded for the life of
    /// the process.
    pub unsafe fn from_address(address: usize) -> Option<Self> {
        if address == 0 {
            return None;
        }
        // SAFETY: the caller vouches for address and signature; function pointers and usize have equal size on Linux.
        Some(Self(unsafe {
            std::mem::transmute::<usize, RawFunction>(address)
        }))
    }

    /// Calls it on the first `len` bytes of `buffer`: the library's status and the new length.
    ///
    /// # Safety
    /// `session` must be a live `srtp_t` that no other thread uses during the call. A protecting function may write
    /// [`SRTP_MAX_OVERHEAD`] bytes past `len`; the buffer must have them.
    pub unsafe fn call(self, session: usize, buffer: &mut [u8], len: usize) -> (c_int, usize) {
        let mut length = len as c_int;
        // SAFETY: the caller vouches for session and room; `length` is an exclusive, live int.
        let status = unsafe {
            (self.0)(
                session as *mut c_void,
                buffer.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        (status, usize::try_from(length).unwrap_or(0))
    }
}

/// The four functions, in the order of the engine's `srtp_functions`.
#[derive(Clone, Copy, Debug)]
pub struct SrtpFunctions {
    protect: SrtpFunction,
    unprotect: SrtpFunction,
    protect_rtcp: SrtpFunction,
    unprotect_rtcp: SrtpFunction,
}

impl SrtpFunctions {
    /// The functions at these addresses: protect, unprotect, protect RTCP, unprotect RTCP. `None` when one is null.
    ///
    /// # Safety
    /// As for [`SrtpFunction::from_address`].
    pub unsafe fn from_addresses(addresses: [usize; 4]) -> Option<Self> {
        // SAFETY: the caller's promise, passed on four times.
        let [protect, unprotect, protect_rtcp, unprotect_rtcp] =
            addresses.map(|address| unsafe { SrtpFunction::from_address(address) });
        Some(Self {
            protect: protect?,
            unprotect: unprotect?,
            protect_rtcp: protect_rtcp?,
            unprotect_rtcp: unprotect_rtcp?,
        })
    }
}

/// The two directions of one peer, as libsrtp contexts.
#[derive(Debug)]
pub struct LibSrtp {
    functions: SrtpFunctions,
    inbound: usize,
    outbound: usize,
}

impl LibSrtp {
    /// A session on two `srtp_t`; `None` when one is null.
    ///
    /// # Safety
    /// Both must stay live, and be used by nobody else, until the session is dropped. The engine reports that by
    /// `TransportRemoved`.
    pub unsafe fn new(functions: SrtpFunctions, inbound: usize, outbound: usize) -> Option<Self> {
        (inbound != 0 && outbound != 0).then_some(Self {
            functions,
            inbound,
            outbound,
        })
    }
}

fn protect(
    function: SrtpFunction,
    session: usize,
    buffer: &mut [u8],
    len: usize,
) -> Result<usize, SrtpError> {
    if len + SRTP_MAX_OVERHEAD > buffer.len() {
        return Err(SrtpError::Malformed);
    }
    // SAFETY: `LibSrtp::new` promises a live context of our own; the room was checked above.
    let (status, length) = unsafe { function.call(session, buffer, len) };
    check(status, length, buffer.len())
}

fn unprotect(
    function: SrtpFunction,
    session: usize,
    buffer: &mut [u8],
    len: usize,
) -> Result<usize, SrtpError> {
    if len > buffer.len() {
        return Err(SrtpError::Malformed);
    }
    // SAFETY: `LibSrtp::new` promises a live context of our own; unprotecting never writes past `len`.
    let (status, length) = unsafe { function.call(session, buffer, len) };
    check(status, length, len)
}

fn check(status: c_int, length: usize, limit: usize) -> Result<usize, SrtpError> {
    match status {
        STATUS_OK if length <= limit => Ok(length),
        STATUS_OK | STATUS_BAD_PARAM | STATUS_PARSE_ERR => Err(SrtpError::Malformed),
        STATUS_AUTH_FAIL => Err(SrtpError::Auth),
        STATUS_REPLAY_FAIL | STATUS_REPLAY_OLD => Err(SrtpError::Replay),
        other => Err(SrtpError::Other(other)),
    }
}

impl SrtpSession for LibSrtp {
    fn place(&self) -> usize {
        self.outbound
    }

    fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        protect(self.functions.protect, self.outbound, buffer, len)
    }

    fn unprotect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        unprotect(self.functions.unprotect, self.inbound, buffer, len)
    }

    fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        protect(self.functions.protect_rtcp, self.outbound, buffer, len)
    }

    fn unprotect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        unprotect(self.functions.unprotect_rtcp, self.inbound, buffer, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands in for libsrtp: adds 16 to the length, or fails with the status in the first byte of the packet.
    unsafe extern "C" fn grow(
        session: *mut c_void,
        packet: *mut c_void,
        length: *mut c_int,
    ) -> c_int {
        assert_eq!(session as usize, 0x10);
        // SAFETY: the tests pass at least one byte and a live length.
        unsafe {
            *length += 16;
            c_int::from(*packet.cast::<u8>())
        }
    }

    /// Claims a length beyond the packet.
    unsafe extern "C" fn lie(_: *mut c_void, _: *mut c_void, length: *mut c_int) -> c_int {
        // SAFETY: a live length.
        unsafe { *length = c_int::MAX };
        0
    }

    fn session(function: RawFunction) -> LibSrtp {
        let address = function as usize;
        // SAFETY: test functions of the right signature, which do not touch the session.
        unsafe {
            let functions = SrtpFunctions::from_addresses([address; 4]).unwrap();
            LibSrtp::new(functions, 0x10, 0x10).unwrap()
        }
    }

    #[test]
    fn null_addresses_are_refused() {
        // SAFETY: null is the case under test, the other function has the right signature.
        unsafe {
            assert!(SrtpFunctions::from_addresses([0; 4]).is_none());
            let functions = SrtpFunctions::from_addresses([grow as *const () as usize; 4]).unwrap();
            assert!(LibSrtp::new(functions, 0, 1).is_none());
            assert!(LibSrtp::new(functions, 1, 0).is_none());
        }
    }

    #[test]
    fn protecting_needs_room_for_the_tag() {
        let mut session = session(grow);
        let mut buffer = [0; 100 + SRTP_MAX_OVERHEAD];
        assert_eq!(session.protect_rtp(&mut buffer, 100), Ok(116));
        assert_eq!(session.protect_rtcp(&mut buffer, 100), Ok(116));
        assert_eq!(
            session.protect_rtp(&mut buffer, 101),
            Err(SrtpError::Malformed)
        );
        assert_eq!(
            session.protect_rtcp(&mut buffer, 101),
            Err(SrtpError::Malformed)
        );
    }

    #[test]
    fn statuses_stay_apart() {
        let mut session = session(grow);
        for (status, error) in [
            (7, SrtpError::Auth),
            (9, SrtpError::Replay),
            (10, SrtpError::Replay),
            (2, SrtpError::Malformed),
            (21, SrtpError::Malformed),
            (13, SrtpError::Other(13)),
        ] {
            let mut buffer = [status; 64];
            assert_eq!(session.unprotect_rtp(&mut buffer, 32), Err(error));
            assert_eq!(session.unprotect_rtcp(&mut buffer, 32), Err(error));
            assert_eq!(session.protect_rtp(&mut buffer, 32), Err(error));
        }
    }

    #[test]
    fn a_length_beyond_the_buffer_is_never_believed() {
        let mut session = session(lie);
        let mut buffer = [0; 64];
        assert_eq!(
            session.unprotect_rtp(&mut buffer, 32),
            Err(SrtpError::Malformed)
        );
        assert_eq!(
            session.protect_rtp(&mut buffer, 32),
            Err(SrtpError::Malformed)
        );
        assert_eq!(
            session.unprotect_rtp(&mut buffer, 65),
            Err(SrtpError::Malformed)
        );
    }
}
