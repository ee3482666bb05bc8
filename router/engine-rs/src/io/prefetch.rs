//! Asking the processor for memory that will be needed soon. The state of some hundred receivers is larger than the cache
//! of a core, and each receiver is visited for one or some packets only, so that waiting for memory is what a visit costs.

/// Requests the cache lines of the first `len` bytes of a value. Does nothing on processors other than x86-64.
#[inline]
pub fn prefetch<T>(value: &T, len: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = std::ptr::from_ref(value).cast::<i8>();
        for offset in (0..size_of::<T>().min(len)).step_by(64) {
            // SAFETY: a prefetch is a hint and reads nothing; the address lies within the value.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, len);
}
