//! SRTP by libsrtp 2, on contexts that pylibsrtp made and owns; functions and contexts come as addresses.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

type RawFunction = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_int) -> c_int;

/// What protection adds at most (tag and, in RTCP, index), and libsrtp may write past a packet's end.
pub const OVERHEAD: usize = 40;

/// The four functions: protect, unprotect, and both for RTCP.
#[derive(Clone, Copy, Debug)]
pub struct Functions([RawFunction; 4]);

impl Functions {
    /// Takes addresses in the order above; `None` when one is null.
    ///
    /// # Safety
    /// Each must be a function `srtp_err_status_t f(srtp_t, void *, int *)` that stays loaded.
    pub unsafe fn from_addresses(addresses: [usize; 4]) -> Option<Self> {
        if addresses.contains(&0) {
            return None;
        }
        // SAFETY: the caller vouches for the addresses; function pointers and usize have equal size on Linux.
        Some(Self(addresses.map(|address| unsafe {
            std::mem::transmute::<usize, RawFunction>(address)
        })))
    }
}

/// One direction of one peer: an `srtp_t`, or none for traffic in the clear.
#[derive(Debug)]
pub struct Context {
    functions: Functions,
    session: usize,
}

impl Context {
    /// # Safety
    /// A `session` that is not 0 must be a live `srtp_t` that nobody else uses, for the life of this value.
    pub unsafe fn new(functions: Functions, session: usize) -> Self {
        Self { functions, session }
    }

    /// Protects the first `length` bytes in place; the new length, or `None` if libsrtp refuses.
    pub fn protect(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        self.call(0, buffer, length)
    }

    /// Unprotects in place.
    pub fn unprotect(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.call(1, buffer, buffer.len())
    }

    /// Protects RTCP in place.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        self.call(2, buffer, length)
    }

    /// Unprotects RTCP in place.
    pub fn unprotect_rtcp(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.call(3, buffer, buffer.len())
    }

    fn call(&mut self, function: usize, buffer: &mut [u8], length: usize) -> Option<usize> {
        if self.session == 0 {
            return Some(length);
        }
        let protects = function.is_multiple_of(2);
        assert!(
            buffer.len() >= length + if protects { OVERHEAD } else { 0 },
            "room for what libsrtp appends"
        );
        let mut result = length as c_int;
        // SAFETY: the session is live and ours alone (`new`), the buffer has the room that libsrtp may use.
        let status = unsafe {
            (self.functions.0[function])(
                self.session as *mut c_void,
                buffer.as_mut_ptr().cast(),
                &raw mut result,
            )
        };
        (status == 0).then_some(result as usize)
    }
}
