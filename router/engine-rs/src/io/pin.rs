//! A thread bound to one CPU (`sched_setaffinity(2)`), so that its caches stay warm and no two workers share a core.

/// Binds the calling thread to a CPU; says which one, if the kernel agreed.
pub fn pin_current_thread(cpu: usize) -> Option<usize> {
    // SAFETY: cpu_set_t is an array of integers, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu >= libc::CPU_SETSIZE as usize {
        return None;
    }
    // SAFETY: a live set, and a number that it has room for.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: a live set of the size that is told; 0 is the calling thread.
    let failed =
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    (failed == 0).then_some(cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CPUs that the calling thread may use.
    fn allowed() -> Vec<usize> {
        // SAFETY: as above.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: a live set of the size that is told.
        unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
        // SAFETY: numbers that the set has room for.
        let has = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
        (0..libc::CPU_SETSIZE as usize).filter(has).collect()
    }

    #[test]
    fn a_pinned_thread_has_one_cpu() {
        std::thread::spawn(|| {
            let cpu = *allowed().last().unwrap();
            assert_eq!(pin_current_thread(cpu), Some(cpu));
            assert_eq!(allowed(), [cpu]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_cpu_that_is_not_there_changes_nothing() {
        let before = allowed();
        assert_eq!(pin_current_thread(1_023), None);
        assert_eq!(pin_current_thread(usize::MAX), None);
        assert_eq!(allowed(), before);
    }
}
