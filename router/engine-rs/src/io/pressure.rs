//! How full a socket's send buffer is, and what is dropped before it is full: the newest packets of what matters least,
//! so that there is always room for audio.

use crate::core::sink::Class;
use crate::time::Micros;
use std::ffi::c_int;
use std::os::fd::RawFd;

/// What the kernel adds to a datagram in its account, about: headers and its own bookkeeping.
const OVERHEAD: usize = 512;
/// How often the kernel is asked.
const INTERVAL: Micros = Micros::from_millis(1);

/// What the fill of the send buffer lets pass. One per worker, for the socket that was looked at last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pressure {
    socket: RawFd,
    next_look: Micros,
    /// Bytes that waited at the last look, and what was let pass since.
    queued: usize,
    buffer: usize,
}

impl Pressure {
    /// Looks at the socket, if it is time to.
    #[inline]
    pub fn look(&mut self, socket: RawFd, now: Micros) {
        if self.socket != socket || now >= self.next_look {
            self.read(socket);
            self.next_look = now + INTERVAL;
        }
    }

    fn read(&mut self, socket: RawFd) {
        self.socket = socket;
        self.queued = queued_bytes(socket);
        self.buffer = buffer_bytes(socket);
    }

    /// Whether a datagram of this class and size is sent. What seems full is looked at again: most of what was let pass
    /// may have left.
    #[inline]
    pub fn admits(&mut self, class: Class, len: usize) -> bool {
        self.queued += len + OVERHEAD;
        if self.passes(class) {
            return true;
        }
        self.read(self.socket);
        self.queued += len + OVERHEAD;
        self.passes(class)
    }

    #[inline]
    fn passes(&self, class: Class) -> bool {
        // Far from any limit, which is nearly always.
        self.queued < self.buffer / 2
            || limit(self.queued, self.buffer).is_none_or(|limit| class <= limit)
    }
}

/// Upper layers go when half of the buffer is full, other video at three quarters, key frames at seven eighths.
fn limit(queued: usize, buffer: usize) -> Option<Class> {
    match queued.saturating_mul(8) / buffer.max(1) {
        0..4 => None,
        4..6 => Some(Class::Video),
        6..7 => Some(Class::VideoKey),
        _ => Some(Class::Audio),
    }
}

/// Bytes that wait in the socket's send buffer, with the kernel's overhead.
fn queued_bytes(socket: RawFd) -> usize {
    let mut queued: c_int = 0;
    // SAFETY: TIOCOUTQ (SIOCOUTQ of udp(7)) writes one live int.
    let result = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut queued) };
    usize::try_from(queued)
        .ok()
        .filter(|_| result == 0)
        .unwrap_or(0)
}

/// The size of the socket's send buffer, by the same measure.
fn buffer_bytes(socket: RawFd) -> usize {
    let mut bytes: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `bytes` is a live int of `length` bytes, both exclusive.
    let result = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            (&raw mut bytes).cast(),
            &raw mut length,
        )
    };
    usize::try_from(bytes)
        .ok()
        .filter(|_| result == 0)
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::socket::tests::loopback;
    use super::*;

    #[test]
    fn audio_keeps_the_last_of_the_room() {
        let at = |queued| limit(queued, 800);
        assert_eq!(at(399), None);
        assert_eq!(at(400), Some(Class::Video));
        assert_eq!(at(600), Some(Class::VideoKey));
        assert_eq!(at(700), Some(Class::Audio));
        assert_eq!(at(5_000), Some(Class::Audio));
    }

    #[test]
    fn an_idle_socket_admits_all() {
        let socket = loopback("127.0.0.1");
        let mut pressure = Pressure::default();
        pressure.look(socket.descriptor(), Micros(1));
        assert!(pressure.admits(Class::VideoLayer, 1_000));
        assert!(buffer_bytes(socket.descriptor()) >= 100_000);
    }

    #[test]
    fn a_closed_socket_is_no_reason_to_drop() {
        let mut pressure = Pressure::default();
        pressure.look(-1, Micros(1));
        assert!(pressure.admits(Class::VideoLayer, 1_000));
    }

    #[test]
    fn what_was_let_pass_counts_until_the_next_look() {
        let mut pressure = Pressure {
            socket: -1,
            next_look: Micros(1_000),
            queued: 0,
            buffer: 10 * (1_000 + OVERHEAD),
        };
        for _ in 0..4 {
            assert!(pressure.passes(Class::VideoLayer));
            pressure.queued += 1_000 + OVERHEAD;
        }
        pressure.queued += 4 * (1_000 + OVERHEAD);
        assert!(!pressure.passes(Class::Video));
        assert!(pressure.passes(Class::VideoKey));
        pressure.look(-1, Micros(999));
        assert!(
            !pressure.passes(Class::Video),
            "the kernel is not asked again so soon"
        );
    }

    #[test]
    fn what_seems_full_is_looked_at_again() {
        let socket = loopback("127.0.0.1");
        let mut pressure = Pressure {
            socket: socket.descriptor(),
            next_look: Micros(1_000),
            queued: 5_000,
            buffer: 5_000,
        };
        assert!(pressure.admits(Class::Video, 1_000));
        assert!(pressure.buffer >= 100_000);
    }
}
