//! The engine's only clocks.
//!
//! Engine time is `CLOCK_MONOTONIC` itself, so that Python's `time.monotonic_ns()` and the engine agree. The wall clock
//! is read once per worker, as an offset, so that a jump of the system clock cannot disturb a call.

use crate::time::Micros;

/// Engine time now.
pub fn now() -> Micros {
    read(libc::CLOCK_MONOTONIC)
}

/// Unix time minus engine time, in microseconds.
pub fn wall_offset() -> i64 {
    let wall = read(libc::CLOCK_REALTIME).0;
    let monotonic = now().0;
    i64::try_from(wall).unwrap_or(0) - i64::try_from(monotonic).unwrap_or(0)
}

fn read(clock: libc::clockid_t) -> Micros {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is an exclusive, live timespec. The call cannot fail for these two clocks (clock_gettime(2)).
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    from_timespec(time)
}

/// A time that the kernel told.
pub fn from_timespec(time: libc::timespec) -> Micros {
    Micros(time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000)
}

/// Lets this thread's waits end when they should: by default the kernel adds up to 50 us (prctl(2)).
pub fn sleep_precisely() {
    const NANOSECONDS: libc::c_ulong = 1;
    // SAFETY: takes no pointers. Where it fails, waits are longer, which is no harm.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, NANOSECONDS) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_time_never_goes_back() {
        let mut last = now();
        for _ in 0..1_000 {
            let next = now();
            assert!(next >= last);
            last = next;
        }
    }

    #[test]
    fn the_offset_leads_to_unix_time() {
        let unix = now().0 as i64 + wall_offset();
        assert!(unix > 1_700_000_000_000_000, "{unix} is before 2023");
    }
}
