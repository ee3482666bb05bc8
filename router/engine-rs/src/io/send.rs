//! Batched sending (sendmmsg(2)): datagrams in a row to one address, of one size, become one message that the kernel
//! segments (`offload.rs`). A datagram that cannot be sent is counted and skipped (`transmit.rs`).

use super::messages::{empty_headers, empty_vectors};
use super::offload::{MAX_BYTES, MAX_SEGMENTS, Offload, SegmentControl};
use super::pressure::Pressure;
use super::sockaddr::RawAddress;
use super::transmit::{Kernel, Message, SendCounters, Transmission, WAIT_MS};
use crate::core::sink::Class;
use crate::time::Micros;
use arrayvec::ArrayVec;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// Messages handed over by one system call at most. The kernel takes up to 1024 (`UIO_MAXIOV`).
pub const MAX_MESSAGES: usize = 128;
/// Datagrams in those messages at most.
pub const MAX_DATAGRAMS: usize = 512;

const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// A datagram to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its bytes.
    pub data: &'a [u8],
    /// Where to.
    pub to: SocketAddr,
    /// How much it matters.
    pub class: Class,
}

/// Headers for one system call. Allocated once, filled per batch.
pub struct Sender {
    names: Box<[RawAddress]>,
    controls: Box<[SegmentControl]>,
    vectors: Box<[libc::iovec]>,
    used: usize,
    /// Their pointers hold only during [`Sender::send`].
    headers: Box<[libc::mmsghdr]>,
    messages: ArrayVec<Message, MAX_MESSAGES>,
    may_wait: bool,
    now: Micros,
    /// Where segmentation works.
    pub offload: Offload,
    /// Totals.
    pub counters: SendCounters,
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

impl Sender {
    /// Headers, empty. Segmentation is not used before [`Offload::probe`].
    pub fn new() -> Self {
        Self {
            names: vec![RawAddress::zeroed(); MAX_MESSAGES].into_boxed_slice(),
            controls: vec![SegmentControl::new(0); MAX_MESSAGES].into_boxed_slice(),
            vectors: empty_vectors(MAX_DATAGRAMS),
            used: 0,
            headers: empty_headers(MAX_MESSAGES),
            messages: ArrayVec::new(),
            may_wait: true,
            now: Micros(0),
            offload: Offload::default(),
            counters: SendCounters::default(),
        }
    }

    /// A new flush begins: it may wait again.
    pub fn begin(&mut self, now: Micros) {
        self.now = now;
        self.may_wait = true;
        self.offload.forgive(now);
    }

    /// Sends all datagrams by this socket, in order.
    pub fn send<'a>(
        &mut self,
        socket: RawFd,
        pressure: &mut Pressure,
        datagrams: impl Iterator<Item = Outgoing<'a>>,
    ) {
        pressure.begin(self.now);
        for datagram in datagrams {
            if !self.finds_room(socket, pressure, &datagram) {
                self.counters.drop_of(datagram.class, 1);
                continue;
            }
            if self.used == MAX_DATAGRAMS {
                self.transmit(socket);
            }
            if !self.append(&datagram) {
                if self.messages.is_full() {
                    self.transmit(socket);
                }
                self.begin_message(&datagram);
            }
            self.add_vector(datagram.data);
        }
        self.transmit(socket);
    }

    #[inline]
    fn finds_room(&mut self, socket: RawFd, pressure: &mut Pressure, datagram: &Outgoing) -> bool {
        let (class, len) = (datagram.class, datagram.data.len());
        if pressure.admits(class, len) {
            return true;
        }
        self.transmit(socket);
        pressure.look_again() && pressure.admits(class, len)
    }

    /// The last message's next piece of memory, or more of its last one.
    #[inline]
    fn add_vector(&mut self, data: &[u8]) {
        let Some(message) = self.messages.last_mut() else {
            return;
        };
        let last = self.vectors[..self.used].last_mut();
        if let Some(last) = last.filter(|_| message.vectors > 0)
            && last.iov_base.addr() + last.iov_len == data.as_ptr().addr()
        {
            last.iov_len += data.len();
            return;
        }
        // sendmmsg only reads the data, its iovec is shared with recvmmsg.
        self.vectors[self.used] = libc::iovec {
            iov_base: data.as_ptr().cast_mut().cast(),
            iov_len: data.len(),
        };
        self.used += 1;
        message.vectors += 1;
    }

    /// Adds the datagram to the last message, if that may have one more like it.
    #[inline]
    fn append(&mut self, datagram: &Outgoing) -> bool {
        let Some(last) = self.messages.last_mut() else {
            return false;
        };
        let len = datagram.data.len();
        let fits = !last.is_closed
            && len <= usize::from(last.segment_bytes)
            && last.to == datagram.to
            && usize::from(last.segments) < MAX_SEGMENTS
            && last.bytes as usize + len <= MAX_BYTES
            && len > 0
            && self.offload.allows(datagram.to);
        if fits {
            last.segments += 1;
            last.bytes += len as u32;
            last.is_closed = len < usize::from(last.segment_bytes);
            last.class = last.class.min(datagram.class);
        }
        fits
    }

    fn begin_message(&mut self, datagram: &Outgoing) {
        let len = datagram.data.len();
        self.messages.push(Message {
            to: datagram.to,
            class: datagram.class,
            segments: 1,
            first: self.used as u16,
            vectors: 0,
            bytes: len as u32,
            segment_bytes: len as u16,
            is_closed: false,
        });
    }

    fn transmit(&mut self, socket: RawFd) {
        if self.messages.is_empty() {
            return;
        }
        self.fill_headers();
        let mut kernel = Socket {
            descriptor: socket,
            headers: &mut self.headers[..self.messages.len()],
            vectors: &mut self.vectors[..self.used],
            messages: &self.messages,
        };
        Transmission {
            kernel: &mut kernel,
            counters: &mut self.counters,
            offload: &mut self.offload,
            may_wait: &mut self.may_wait,
            now: self.now,
        }
        .run(&self.messages);
        self.messages.clear();
        self.used = 0;
    }

    fn fill_headers(&mut self) {
        let rooms = self.names.iter_mut().zip(&mut self.controls);
        let headers = self.headers.iter_mut().zip(rooms);
        for (message, (header, (name, control))) in self.messages.iter().zip(headers) {
            let header = &mut header.msg_hdr;
            header.msg_namelen = name.write(message.to);
            header.msg_name = (&raw mut *name).cast();
            header.msg_iov = &raw mut self.vectors[usize::from(message.first)];
            header.msg_iovlen = message.vectors as _;
            if message.segments > 1 {
                control.set(message.segment_bytes);
                header.msg_control = (&raw mut *control).cast();
                header.msg_controllen = size_of::<SegmentControl>() as _;
            } else {
                header.msg_control = std::ptr::null_mut();
                header.msg_controllen = 0;
            }
        }
    }
}

/// A socket, and the headers of what it is to send. They point at live buffers: `send` filled them from borrowed data.
struct Socket<'a> {
    descriptor: RawFd,
    headers: &'a mut [libc::mmsghdr],
    vectors: &'a mut [libc::iovec],
    messages: &'a [Message],
}

impl Socket<'_> {
    /// Where one datagram of a message lies. Vectors hold whole datagrams.
    fn find_segment(&self, message: usize, segment: usize) -> libc::iovec {
        let message = &self.messages[message];
        let whole = usize::from(message.segment_bytes);
        let first = usize::from(message.first);
        let mut offset = segment * whole;
        for vector in &self.vectors[first..first + usize::from(message.vectors)] {
            if offset < vector.iov_len {
                return libc::iovec {
                    iov_base: vector.iov_base.wrapping_byte_add(offset),
                    iov_len: whole.min(vector.iov_len - offset),
                };
            }
            offset -= vector.iov_len;
        }
        libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        }
    }
}

impl Kernel for Socket<'_> {
    fn send(&mut self, first: usize, end: usize) -> io::Result<usize> {
        let headers = &mut self.headers[first..end];
        // SAFETY: the headers point at live buffers of the stated lengths (see the type).
        let sent = unsafe {
            libc::sendmmsg(
                self.descriptor,
                headers.as_mut_ptr(),
                headers.len() as _,
                FLAGS as _,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    fn send_segment(&mut self, message: usize, segment: usize) -> io::Result<()> {
        let mut piece = self.find_segment(message, segment);
        let mut header = self.headers[message].msg_hdr;
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        header.msg_control = std::ptr::null_mut();
        header.msg_controllen = 0;
        // SAFETY: as in `send`; one vector, no control message.
        let sent = unsafe { libc::sendmsg(self.descriptor, &raw const header, FLAGS) };
        usize::try_from(sent)
            .map(|_| ())
            .map_err(|_| io::Error::last_os_error())
    }

    fn wait(&mut self) -> bool {
        let mut entry = libc::pollfd {
            fd: self.descriptor,
            events: libc::POLLOUT,
            revents: 0,
        };
        // SAFETY: one live, exclusive pollfd.
        unsafe { libc::poll(&raw mut entry, 1, WAIT_MS) == 1 }
    }
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
