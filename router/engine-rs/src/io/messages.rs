//! The headers that recvmmsg(2) and sendmmsg(2) take, made once per worker and filled per call.

/// One datagram's place in memory, `count` times.
pub fn empty_vectors(count: usize) -> Box<[libc::iovec]> {
    let empty = libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    };
    vec![empty; count].into_boxed_slice()
}

/// One datagram's header, `count` times.
pub fn empty_headers(count: usize) -> Box<[libc::mmsghdr]> {
    // SAFETY: mmsghdr is integers and pointers, for which zero is a value.
    let empty: libc::mmsghdr = unsafe { std::mem::zeroed() };
    vec![empty; count].into_boxed_slice()
}
