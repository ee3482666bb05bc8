//! The clocks, and the thread's place on a core.
#![allow(unsafe_code)]

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live, exclusive timespec; the call cannot fail for the clocks named below.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// For stamps: the kernel's receive timestamps are on this clock.
pub fn realtime_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// For schedules.
pub fn monotonic_us() -> u64 {
    read(libc::CLOCK_MONOTONIC) / 1000
}

/// What the calling thread has used.
pub fn thread_cpu_us() -> u64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID) / 1000
}

/// Keeps the calling thread on one core.
pub fn pin_to_core(core: usize) -> std::io::Result<()> {
    // SAFETY: a zeroed cpu_set_t is the empty set; CPU_SET checks the index against the set's size.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}
