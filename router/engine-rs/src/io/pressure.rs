//! How full a socket's send buffer is, and what is dropped before it is full: the newest packets of what matters least,
//! so that there is always room for audio.

use crate::core::sink::Class;
use crate::time::Micros;
use std::ffi::c_int;
use std::os::fd::RawFd;

/// How often the kernel is asked.
const INTERVAL: Micros = Micros::from_millis(1);

/// What the fill of the send buffer lets pass. One per worker, for the socket that was looked at last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pressure {
    socket: RawFd,
    next_look: Micros,
    /// The least important class that still passes.
    limit: Option<Class>,
}

impl Pressure {
    /// Looks at the socket, if it is time to.
    #[inline]
    pub fn look(&mut self, socket: RawFd, now: Micros) {
        if self.socket != socket || now >= self.next_look {
            self.socket = socket;
            self.next_look = now + INTERVAL;
            self.limit = limit(queued_bytes(socket), buffer_bytes(socket));
        }
    }

    /// Whether datagrams of this class are sent.
    #[inline]
    pub fn admits(&self, class: Class) -> bool {
        self.limit.is_none_or(|limit| class <= limit)
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
        assert!(pressure.admits(Class::VideoLayer));
        assert!(buffer_bytes(socket.descriptor()) >= 100_000);
    }

    #[test]
    fn a_closed_socket_is_no_reason_to_drop() {
        let mut pressure = Pressure::default();
        pressure.look(-1, Micros(1));
        assert!(pressure.admits(Class::VideoLayer));
    }

    #[test]
    fn the_kernel_is_not_asked_for_every_packet() {
        let socket = loopback("127.0.0.1");
        let mut pressure = Pressure {
            socket: socket.descriptor(),
            next_look: Micros(1_000),
            limit: Some(Class::Audio),
        };
        pressure.look(socket.descriptor(), Micros(999));
        assert!(!pressure.admits(Class::Video));
        pressure.look(socket.descriptor(), Micros(1_000));
        assert!(pressure.admits(Class::Video));
    }
}
