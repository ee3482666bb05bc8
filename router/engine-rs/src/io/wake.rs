//! An eventfd (eventfd(2)) that wakes a poller, at most one write per sleep.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Wakes whoever polls its descriptor. Wake-ups before the next [`Waker::clear`] coalesce into one system call.
#[derive(Debug)]
pub struct Waker {
    descriptor: OwnedFd,
    raised: AtomicBool,
}

impl Waker {
    /// A waker at rest.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            // SAFETY: a fresh descriptor that nobody else owns.
            descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) },
            raised: AtomicBool::new(false),
        })
    }

    /// The descriptor, readable while raised.
    pub fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// Makes the descriptor readable.
    pub fn raise(&self) {
        if self.raised.swap(true, Ordering::SeqCst) {
            return;
        }
        let one = 1u64;
        // SAFETY: eight readable bytes. Failing with EAGAIN would mean a full counter, thus readable already.
        unsafe { libc::write(self.descriptor(), (&raw const one).cast(), 8) };
    }

    /// Whether [`Waker::raise`] was called since the last [`Waker::clear`].
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Makes the descriptor unreadable again. To be called before looking for work, so that work added meanwhile raises
    /// it anew: a lost wake-up is impossible, a spurious one harmless.
    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight writable bytes. EAGAIN means that it was at rest.
        unsafe { libc::read(self.descriptor(), (&raw mut count).cast(), 8) };
        self.raised.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(waker: &Waker) -> bool {
        let mut entry = libc::pollfd {
            fd: waker.descriptor(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live pollfd, no waiting.
        unsafe { libc::poll(&raw mut entry, 1, 0) == 1 }
    }

    #[test]
    fn raising_makes_it_readable_until_cleared() {
        let waker = Waker::new().unwrap();
        assert!(!readable(&waker));
        waker.raise();
        waker.raise();
        assert!(readable(&waker) && waker.is_raised());
        waker.clear();
        assert!(!readable(&waker) && !waker.is_raised());
        waker.raise();
        assert!(readable(&waker));
    }
}
