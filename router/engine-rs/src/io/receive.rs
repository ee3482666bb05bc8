//! Batched receiving (recvmmsg(2)): many datagrams by one system call, into buffers that live as long as the worker.

use super::messages::{empty_headers, empty_vectors};
use super::sockaddr::{RAW_ADDRESS_LEN, RawAddress};
use super::socket::UdpSocket;
use crate::core::Received;
use crate::core::sink::MAX_DATAGRAM;
use crate::srtp::SRTP_MAX_OVERHEAD;
use std::ffi::c_int;
use std::io;
use std::net::SocketAddr;

/// Datagrams read by one system call at most.
pub const RECEIVE_BATCH: usize = 64;

/// Room for one datagram, with what SRTP may need to spare behind it.
const BUFFER_BYTES: usize = 2048;
const _: () = assert!(BUFFER_BYTES >= MAX_DATAGRAM + SRTP_MAX_OVERHEAD);

/// Room for control messages, aligned as `cmsghdr` wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

/// libsrtp reads RTP headers as 32-bit words.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Buffer([u8; BUFFER_BYTES]);

/// Buffers for one batch, which live as long as their worker.
pub struct ReceiveBatch {
    buffers: Box<[Buffer]>,
    names: Box<[RawAddress]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    /// Their pointers hold only during a system call.
    headers: Box<[libc::mmsghdr]>,
}

/// One received datagram.
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// The datagram, with spare room behind it.
    pub buffer: &'a mut [u8],
    /// Its length.
    pub len: usize,
    /// It was longer than [`MAX_DATAGRAM`] and was cut.
    pub truncated: bool,
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl ReceiveBatch {
    /// Buffers, empty.
    pub fn new() -> Self {
        Self {
            buffers: vec![Buffer([0; BUFFER_BYTES]); RECEIVE_BATCH].into_boxed_slice(),
            names: vec![RawAddress::zeroed(); RECEIVE_BATCH].into_boxed_slice(),
            controls: vec![Control([0; 64]); RECEIVE_BATCH].into_boxed_slice(),
            vectors: empty_vectors(RECEIVE_BATCH),
            headers: empty_headers(RECEIVE_BATCH),
        }
    }

    fn point_headers(&mut self) {
        let addresses = self.names.iter_mut().zip(&mut self.controls);
        let data = self.buffers.iter_mut().zip(&mut self.vectors);
        for (header, ((name, control), (buffer, vector))) in
            self.headers.iter_mut().zip(addresses.zip(data))
        {
            vector.iov_base = buffer.0.as_mut_ptr().cast();
            vector.iov_len = MAX_DATAGRAM;
            let message = &mut header.msg_hdr;
            message.msg_name = (&raw mut *name).cast();
            message.msg_namelen = RAW_ADDRESS_LEN;
            message.msg_iov = vector;
            message.msg_iovlen = 1;
            message.msg_control = (&raw mut *control).cast();
            message.msg_controllen = size_of::<Control>() as _;
            message.msg_flags = 0;
        }
    }

    /// Reads what waits on the socket, up to [`RECEIVE_BATCH`] datagrams: how many. Nothing waiting is zero.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.point_headers();
        // SAFETY: every header points at live, exclusive buffers of the stated lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.descriptor(),
                self.headers.as_mut_ptr(),
                RECEIVE_BATCH as _,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if let Ok(count) = usize::try_from(count) {
            return Ok(count);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
            _ => Err(error),
        }
    }

    /// Datagram `index` of the last [`ReceiveBatch::receive`]; `None` when its source is of no known family.
    pub fn datagram(&mut self, index: usize) -> Option<Datagram<'_>> {
        let header = &self.headers[index];
        Some(Datagram {
            source: self.names[index].read()?,
            len: header.msg_len as usize,
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            buffer: &mut self.buffers[index].0,
        })
    }

    /// The socket's drop counter as datagram `index` carried it; absent while it is zero.
    pub fn overflow(&self, index: usize) -> Option<u32> {
        let header = &self.headers[index].msg_hdr;
        let control = &self.controls[index].0;
        // SAFETY: the kernel filled `msg_controllen` bytes of `control`; the macros stay within them.
        let message = unsafe { libc::CMSG_FIRSTHDR(header).as_ref() }?;
        if (message.cmsg_level, message.cmsg_type) != (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) {
            return None;
        }
        // SAFETY: pure arithmetic on a length.
        let start = unsafe { libc::CMSG_LEN(0) } as usize;
        let bytes = control.get(start..start + size_of::<c_int>())?;
        bytes.try_into().ok().map(u32::from_ne_bytes)
    }
}

impl Received for ReceiveBatch {
    fn bytes(&self, index: usize) -> &[u8] {
        &self.buffers[index].0
    }
}

#[cfg(test)]
mod tests {
    use super::super::socket::tests::loopback;
    use super::super::socket::{BufferSizes, UdpSocket};
    use super::*;
    use crate::ids::SocketId;
    use std::os::fd::RawFd;

    fn wait_readable(fd: RawFd) {
        let mut entry = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live pollfd.
        assert_eq!(unsafe { libc::poll(&raw mut entry, 1, 2_000) }, 1);
    }

    fn receive_all(
        socket: &UdpSocket,
        batch: &mut ReceiveBatch,
    ) -> Vec<(SocketAddr, Vec<u8>, bool)> {
        wait_readable(socket.descriptor());
        let count = batch.receive(socket).unwrap();
        (0..count)
            .map(|i| {
                let datagram = batch.datagram(i).unwrap();
                (
                    datagram.source,
                    datagram.buffer[..datagram.len].to_vec(),
                    datagram.truncated,
                )
            })
            .collect()
    }

    #[test]
    fn reads_a_batch_of_both_families() {
        for (host, ip) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
            let socket = loopback(host);
            let peer = std::net::UdpSocket::bind((ip, 0)).unwrap();
            for i in 0..10u8 {
                peer.send_to(&[i; 5], socket.address()).unwrap();
            }
            let mut batch = ReceiveBatch::new();
            let received = receive_all(&socket, &mut batch);
            assert_eq!(received.len(), 10);
            for (i, (source, data, truncated)) in received.into_iter().enumerate() {
                assert_eq!(source, peer.local_addr().unwrap());
                assert_eq!(data, [i as u8; 5]);
                assert!(!truncated);
            }
            assert_eq!(batch.receive(&socket).unwrap(), 0, "nothing waits any more");
        }
    }

    #[test]
    fn a_full_batch_leaves_the_rest_for_the_next() {
        let socket = loopback("127.0.0.1");
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..RECEIVE_BATCH + 3 {
            peer.send_to(&[], socket.address()).unwrap();
        }
        let mut batch = ReceiveBatch::new();
        assert_eq!(receive_all(&socket, &mut batch).len(), RECEIVE_BATCH);
        assert_eq!(receive_all(&socket, &mut batch).len(), 3);
    }

    #[test]
    fn longer_datagrams_are_marked() {
        let socket = loopback("127.0.0.1");
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for len in [MAX_DATAGRAM, MAX_DATAGRAM + 1, 9_000] {
            peer.send_to(&vec![1; len], socket.address()).unwrap();
        }
        let received = receive_all(&socket, &mut ReceiveBatch::new());
        let lengths: Vec<_> = received
            .iter()
            .map(|(_, data, cut)| (data.len(), *cut))
            .collect();
        assert_eq!(lengths, [(1500, false), (1500, true), (1500, true)]);
    }

    #[test]
    fn kernel_drops_are_told() {
        let buffers = BufferSizes {
            receive: 1,
            send: 65_536,
        };
        let mut socket =
            UdpSocket::bind(SocketId(1), "127.0.0.1:0".parse().unwrap(), buffers).unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let sent = 100;
        let mut batch = ReceiveBatch::new();
        for _ in 0..sent {
            peer.send_to(&[0; 1_000], socket.address()).unwrap();
        }
        let first = receive_all(&socket, &mut batch).len();
        // The counter travels with the next datagram that is accepted.
        peer.send_to(&[0; 1_000], socket.address()).unwrap();
        assert_eq!(receive_all(&socket, &mut batch).len(), 1);
        let counter = batch.overflow(0).expect("drops happened");
        assert_eq!(socket.note_overflow(counter), sent - first as u64);
    }
}
