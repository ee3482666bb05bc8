//! Batched sending (sendmmsg(2)). A datagram that cannot be sent is counted and skipped; it never holds up the others.

use super::messages::{empty_headers, empty_vectors};
use super::sockaddr::RawAddress;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// Datagrams handed over by one system call at most. The kernel takes up to 1024 (`UIO_MAXIOV`).
pub const SEND_BATCH: usize = 128;

/// How long one flush may wait for room in a socket's send buffer, in milliseconds and tries. A packet is never held
/// back longer; what still does not fit is dropped, as a router drops on a full queue.
const WAIT_MS: i32 = 1;
const MAX_WAITS: u32 = 1;

/// What became of the datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendCounters {
    /// Datagrams the kernel took.
    pub datagrams: u64,
    /// Bytes of those datagrams.
    pub bytes: u64,
    /// System calls that sent something.
    pub batches: u64,
    /// Datagrams given up: no room, no route, no such socket.
    pub errors: u64,
}

/// Headers for one system call. Allocated once, filled per batch.
pub struct Sender {
    names: Box<[RawAddress]>,
    vectors: Box<[libc::iovec]>,
    /// Their pointers hold only during [`Sender::send`].
    headers: Box<[libc::mmsghdr]>,
    waits_left: u32,
    /// Totals.
    pub counters: SendCounters,
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

impl Sender {
    /// Headers, empty.
    pub fn new() -> Self {
        Self {
            names: vec![RawAddress::zeroed(); SEND_BATCH].into_boxed_slice(),
            vectors: empty_vectors(SEND_BATCH),
            headers: empty_headers(SEND_BATCH),
            waits_left: MAX_WAITS,
            counters: SendCounters::default(),
        }
    }

    /// A new flush begins: it may wait again.
    pub fn begin(&mut self) {
        self.waits_left = MAX_WAITS;
    }

    /// Sends all datagrams by this socket, in order.
    pub fn send<'a>(
        &mut self,
        socket: RawFd,
        datagrams: impl Iterator<Item = (&'a [u8], SocketAddr)>,
    ) {
        let mut count = 0;
        for (data, to) in datagrams {
            self.vectors[count] = libc::iovec {
                // sendmmsg only reads the data, its iovec is shared with recvmmsg.
                iov_base: data.as_ptr().cast_mut().cast(),
                iov_len: data.len(),
            };
            self.headers[count].msg_hdr.msg_namelen = self.names[count].write(to);
            count += 1;
            if count == SEND_BATCH {
                self.transmit(socket, count);
                count = 0;
            }
        }
        self.transmit(socket, count);
    }

    fn transmit(&mut self, socket: RawFd, count: usize) {
        let targets = self.names.iter_mut().zip(&mut self.vectors);
        let headers = &mut self.headers[..count];
        for (header, (name, vector)) in headers.iter_mut().zip(targets) {
            header.msg_hdr.msg_name = (&raw mut *name).cast();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        transmit(
            headers,
            &mut self.waits_left,
            &mut self.counters,
            // SAFETY: the headers point at live buffers: `send` filled them from borrowed data.
            |headers| unsafe { send_messages(socket, headers) },
            || wait_writable(socket),
        );
    }
}

/// The rules of giving up, apart from the system calls so that they can be tested.
fn transmit(
    headers: &mut [libc::mmsghdr],
    waits_left: &mut u32,
    counters: &mut SendCounters,
    mut send: impl FnMut(&mut [libc::mmsghdr]) -> io::Result<usize>,
    mut wait: impl FnMut() -> bool,
) {
    let mut next = 0;
    while next < headers.len() {
        match send(&mut headers[next..]) {
            Ok(sent) => {
                let sent = sent.clamp(1, headers.len() - next);
                counters.batches += 1;
                counters.datagrams += sent as u64;
                counters.bytes += headers[next..next + sent]
                    .iter()
                    .map(|h| u64::from(h.msg_len))
                    .sum::<u64>();
                next += sent;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if *waits_left == 0 || !wait() {
                    *waits_left = 0;
                    counters.errors += (headers.len() - next) as u64;
                    return;
                }
                *waits_left -= 1;
            }
            // It concerns the first datagram alone: no route, refused, a bad address, ENOBUFS.
            Err(_) => {
                counters.errors += 1;
                next += 1;
            }
        }
    }
}

/// # Safety
/// The headers must point at live buffers of the stated lengths.
unsafe fn send_messages(socket: RawFd, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let sent = unsafe {
        libc::sendmmsg(
            socket,
            headers.as_mut_ptr(),
            headers.len() as _,
            (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn wait_writable(socket: RawFd) -> bool {
    let mut entry = libc::pollfd {
        fd: socket,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one live, exclusive pollfd.
    unsafe { libc::poll(&raw mut entry, 1, WAIT_MS) == 1 }
}

#[cfg(test)]
mod tests {
    use super::super::socket::tests::{loopback, receiver};
    use super::*;

    fn receive(socket: &std::net::UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 2_000];
        let len = socket.recv(&mut buffer).unwrap();
        buffer[..len].to_vec()
    }

    #[test]
    fn sends_more_than_one_batch_in_order() {
        for host in ["127.0.0.1", "[::1]"] {
            let socket = loopback(host);
            let peer = receiver(host);
            let to = peer.local_addr().unwrap();
            let payloads: Vec<[u8; 2]> = (0..300u16).map(u16::to_be_bytes).collect();
            let mut sender = Sender::new();
            sender.send(
                socket.descriptor(),
                payloads.iter().map(|p| (p.as_slice(), to)),
            );
            for payload in &payloads {
                assert_eq!(receive(&peer), payload);
            }
            let counters = sender.counters;
            assert_eq!(
                (counters.datagrams, counters.bytes, counters.errors),
                (300, 600, 0)
            );
            assert_eq!(counters.batches, 3);
        }
    }

    #[test]
    fn a_datagram_that_cannot_be_sent_is_skipped() {
        let socket = loopback("127.0.0.1");
        let peer = receiver("127.0.0.1");
        let to = peer.local_addr().unwrap();
        let bad: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let other_family: SocketAddr = "[::1]:9".parse().unwrap();
        let targets = [to, bad, to, other_family, bad, to];
        let payloads: Vec<[u8; 1]> = (0..6).map(|i| [i]).collect();
        let mut sender = Sender::new();
        sender.send(
            socket.descriptor(),
            payloads.iter().map(<[u8; 1]>::as_slice).zip(targets),
        );
        assert_eq!(
            [receive(&peer), receive(&peer), receive(&peer)],
            [[0], [2], [5]]
        );
        assert_eq!((sender.counters.datagrams, sender.counters.errors), (3, 3));
    }

    fn headers(count: usize) -> Vec<libc::mmsghdr> {
        // SAFETY: zero is a value of mmsghdr; the scripted kernel never follows the pointers.
        (0..count).map(|_| unsafe { std::mem::zeroed() }).collect()
    }

    fn errno(code: i32) -> io::Result<usize> {
        Err(io::Error::from_raw_os_error(code))
    }

    /// Runs `transmit` against a scripted kernel: counters, sizes of the calls, number of waits.
    fn scripted(
        count: usize,
        script: Vec<io::Result<usize>>,
        writable: bool,
    ) -> (SendCounters, Vec<usize>, u32) {
        let mut counters = SendCounters::default();
        let mut calls = Vec::new();
        let mut waits = 0;
        let mut waits_left = MAX_WAITS;
        let mut script = script.into_iter();
        transmit(
            &mut headers(count),
            &mut waits_left,
            &mut counters,
            |rest| {
                calls.push(rest.len());
                script.next().expect("the script covers every call")
            },
            || {
                waits += 1;
                writable
            },
        );
        assert!(script.next().is_none(), "calls are missing");
        (counters, calls, waits)
    }

    #[test]
    fn a_partial_send_continues_where_it_stopped() {
        let (counters, calls, _) =
            scripted(10, vec![Ok(4), errno(libc::EINTR), Ok(5), Ok(1)], true);
        assert_eq!(calls, [10, 6, 6, 1]);
        assert_eq!(
            (counters.datagrams, counters.batches, counters.errors),
            (10, 3, 0)
        );
    }

    #[test]
    fn single_failures_are_skipped() {
        for code in [
            libc::ENOBUFS,
            libc::ECONNREFUSED,
            libc::EHOSTUNREACH,
            libc::EPERM,
            libc::EMSGSIZE,
        ] {
            let (counters, calls, waits) = scripted(4, vec![Ok(1), errno(code), Ok(2)], true);
            assert_eq!(calls, [4, 3, 2]);
            assert_eq!((counters.datagrams, counters.errors, waits), (3, 1, 0));
        }
    }

    #[test]
    fn a_full_buffer_is_waited_for_once_then_the_rest_is_dropped() {
        let again = || errno(libc::EAGAIN);
        let (counters, _, waits) = scripted(5, vec![Ok(2), again(), Ok(3)], true);
        assert_eq!((counters.datagrams, counters.errors, waits), (5, 0, 1));
        let (counters, _, waits) = scripted(5, vec![Ok(2), again()], false);
        assert_eq!((counters.datagrams, counters.errors, waits), (2, 3, 1));
        let (counters, _, waits) = scripted(5, vec![again(), Ok(1), again()], true);
        assert_eq!((counters.datagrams, counters.errors, waits), (1, 4, 1));
    }
}
