//! Asking the processor for memory that will be needed soon. The state of some hundred receivers is larger than the cache
//! of a core, and each receiver is visited for one or some packets only, so that waiting for memory is what a visit costs.

/// Requests the cache lines of `len` bytes at an address. Does nothing on processors other than x86-64.
#[inline]
pub fn prefetch(start: *const u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = start.cast::<i8>();
        for offset in (0..len).step_by(64) {
            // SAFETY: a prefetch is a hint: it reads nothing and faults at no address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, len);
}
