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

/// What the fill of one socket's send buffer lets pass.
#[derive(Clone, Copy, Debug)]
pub struct Pressure {
    socket: RawFd,
    buffer: usize,
    next_look: Micros,
    /// Bytes that waited at the last look, and what was let pass since.
    queued: usize,
    may_look_again: bool,
}

impl Pressure {
    /// Of this socket, whose buffer has its final size.
    pub fn new(socket: RawFd) -> Self {
        Self {
            socket,
            buffer: buffer_bytes(socket),
            next_look: Micros(0),
            queued: 0,
            may_look_again: false,
        }
    }

    /// A flush begins. The kernel is asked if it is time to.
    #[inline]
    pub fn begin(&mut self, now: Micros) {
        self.may_look_again = true;
        if now >= self.next_look {
            self.queued = queued_bytes(self.socket);
            self.next_look = now + INTERVAL;
        }
    }

    /// Whether a datagram of this class and size is sent; it counts from now on.
    #[inline]
    pub fn admits(&mut self, class: Class, len: usize) -> bool {
        let queued = self.queued + len + OVERHEAD;
        // Far from any limit, which is nearly always.
        let passes = queued < self.buffer / 2
            || limit(queued, self.buffer).is_none_or(|limit| class <= limit);
        if passes {
            self.queued = queued;
        }
        passes
    }

    /// Looks again before something is dropped, once per flush and when all that was let pass has been handed over: most
    /// of it may have left. False when it is too late for that.
    pub fn look_again(&mut self) -> bool {
        let may = std::mem::replace(&mut self.may_look_again, false);
        if may {
            self.queued = queued_bytes(self.socket);
        }
        may
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
        let mut pressure = Pressure::new(socket.descriptor());
        assert!(pressure.buffer >= 100_000);
        pressure.begin(Micros(1));
        assert!(pressure.admits(Class::VideoLayer, 1_000));
    }

    #[test]
    fn a_closed_socket_is_no_reason_to_drop() {
        let mut pressure = Pressure::new(-1);
        pressure.begin(Micros(1));
        assert!(pressure.admits(Class::VideoLayer, 1_000));
    }

    /// Room for ten datagrams of a thousand bytes.
    fn small(socket: RawFd) -> Pressure {
        Pressure {
            buffer: 10 * (1_000 + OVERHEAD),
            ..Pressure::new(socket)
        }
    }

    #[test]
    fn what_was_let_pass_counts_until_the_next_look() {
        let mut pressure = small(-1);
        pressure.begin(Micros(1));
        let mut admitted = [0; Class::ALL.len()];
        for class in Class::ALL.into_iter().rev() {
            while admitted[class as usize] < 20 && pressure.admits(class, 1_000) {
                admitted[class as usize] += 1;
            }
        }
        assert_eq!(
            admitted,
            [20, 20, 1, 3, 4],
            "control and audio are the kernel's to refuse"
        );
        pressure.begin(Micros(2));
        assert!(
            !pressure.admits(Class::Video, 1_000),
            "the kernel is not asked so soon"
        );
        pressure.begin(Micros(1) + INTERVAL);
        assert!(pressure.admits(Class::Video, 1_000));
    }

    #[test]
    fn what_seems_full_is_looked_at_again_once_per_flush() {
        let socket = loopback("127.0.0.1");
        let mut pressure = small(socket.descriptor());
        pressure.begin(Micros(1));
        for _ in 0..2 {
            while pressure.admits(Class::Video, 1_000) {}
            pressure.look_again();
        }
        assert!(!pressure.look_again());
        pressure.begin(Micros(2));
        assert!(pressure.look_again());
    }
}
