//! UDP sockets of Linux: batches in (recvmmsg, GRO), runs out (GSO), with the kernel's receive time and its count of
//! dropped datagrams; epoll and eventfd.
#![allow(unsafe_code)]

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Datagrams taken by one call.
pub const BATCH: usize = 16;
const DATAGRAM: usize = 65_536;
/// What is asked for; the kernel grants `net.core.rmem_max`.
const BUFFER_BYTES: i32 = 4 << 20;
const CONTROL_WORDS: usize = 16;
/// The largest run: 64 segments (`UDP_MAX_SEGMENTS`), one datagram in all.
pub const MAX_SEGMENTS: usize = 64;
/// Bytes of a run.
pub const MAX_RUN: usize = 65_000;
const SO_RXQ_OVFL: i32 = 40;

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn set_option(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the value is a live int of the size given.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), 4) }).map(drop)
}

/// Large buffers, receive times, the count of drops; with `coalesces` runs are taken whole (GRO).
pub fn prepare(fd: RawFd, coalesces: bool) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, BUFFER_BYTES)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, BUFFER_BYTES)?;
    set_option(fd, libc::SOL_SOCKET, SO_RXQ_OVFL, 1)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    set_option(fd, libc::SOL_UDP, libc::UDP_GRO, coalesces.into())
}

/// A UDP socket on a free port of this address.
pub fn bind(address: Ipv4Addr) -> io::Result<(OwnedFd, SocketAddrV4)> {
    let socket = std::net::UdpSocket::bind(SocketAddrV4::new(address, 0))?;
    socket.set_nonblocking(true)?;
    let std::net::SocketAddr::V4(bound) = socket.local_addr()? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    Ok((socket.into(), bound))
}

/// Takes over a descriptor.
///
/// # Safety
/// It must be open and nobody else's.
pub unsafe fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller gives it away.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// What the kernel says of a datagram, or of several that it coalesced.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Bytes in all.
    pub length: usize,
    /// Bytes of each datagram; the last one may be shorter.
    pub segment: usize,
    /// When it reached the socket, on the realtime clock; 0 if the kernel did not say.
    pub received_ns: u64,
    /// Datagrams that this socket's buffer had no room for, ever.
    pub dropped: u32,
    /// The sender.
    pub source: SocketAddrV4,
}

/// Buffers for one call.
pub struct ReceiveBatch {
    data: Box<[u8]>,
    names: Box<[libc::sockaddr_in]>,
    control: Box<[[u64; CONTROL_WORDS]]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

// SAFETY: the raw pointers point into the boxes beside them, which move along.
unsafe impl Send for ReceiveBatch {}

impl Default for ReceiveBatch {
    fn default() -> Self {
        // SAFETY: all-zero is a valid value of these C structs.
        let (name, vector, header) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        Self {
            data: vec![0; BATCH * DATAGRAM].into_boxed_slice(),
            names: vec![name; BATCH].into_boxed_slice(),
            control: vec![[0; CONTROL_WORDS]; BATCH].into_boxed_slice(),
            vectors: vec![vector; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
        }
    }
}

impl ReceiveBatch {
    /// Takes what is there, without waiting; how many.
    pub fn receive(&mut self, fd: RawFd) -> usize {
        for index in 0..BATCH {
            self.vectors[index] = libc::iovec {
                iov_base: self.data[index * DATAGRAM..].as_mut_ptr().cast(),
                iov_len: DATAGRAM,
            };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.names[index]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = self.control[index].as_mut_ptr().cast();
            header.msg_controllen = size_of::<[u64; CONTROL_WORDS]>();
        }
        let headers = self.headers.as_mut_ptr();
        // SAFETY: all pointers in the headers were just set to buffers of the sizes given, which outlive the call.
        let count = unsafe {
            libc::recvmmsg(
                fd,
                headers,
                BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(count).unwrap_or(0)
    }

    /// The bytes of a datagram of the last call.
    pub fn data(&mut self, index: usize) -> &mut [u8] {
        let length = self.headers[index].msg_len as usize;
        &mut self.data[index * DATAGRAM..][..length]
    }

    /// What the kernel said of it.
    pub fn arrival(&self, index: usize) -> Arrival {
        let length = self.headers[index].msg_len as usize;
        let name = &self.names[index];
        let mut arrival = Arrival {
            length,
            segment: length,
            received_ns: 0,
            dropped: 0,
            source: SocketAddrV4::new(
                u32::from_be(name.sin_addr.s_addr).into(),
                u16::from_be(name.sin_port),
            ),
        };
        let header = &raw const self.headers[index].msg_hdr;
        // SAFETY: the kernel filled `msg_control` and its length; the macros walk within them, and each value is read
        // unaligned with the size that its type says.
        unsafe {
            let mut at = libc::CMSG_FIRSTHDR(header);
            while !at.is_null() {
                let value = libc::CMSG_DATA(at);
                match ((*at).cmsg_level, (*at).cmsg_type) {
                    (libc::SOL_UDP, libc::UDP_GRO) => {
                        arrival.segment =
                            (value.cast::<i32>().read_unaligned() as usize).clamp(1, length.max(1));
                    }
                    (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                        let time = value.cast::<libc::timespec>().read_unaligned();
                        arrival.received_ns =
                            time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
                    }
                    (libc::SOL_SOCKET, SO_RXQ_OVFL) => {
                        arrival.dropped = value.cast::<u32>().read_unaligned();
                    }
                    _ => {}
                }
                at = libc::CMSG_NXTHDR(header, at);
            }
        }
        arrival
    }
}

/// Runs of equal datagrams to one receiver each, for one call.
#[derive(Default)]
pub struct SendBatch {
    names: Vec<libc::sockaddr_in>,
    control: Vec<[u64; 3]>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    runs: Vec<(std::ops::Range<usize>, usize, Option<SocketAddrV4>)>,
}

// SAFETY: the raw pointers are set and used within `send` only.
unsafe impl Send for SendBatch {}

/// `UDP_SEGMENT` as a control message.
fn segment_control(segment: usize) -> [u64; 3] {
    // cmsg_len, then level and type, then the value: struct cmsghdr of 64-bit Linux, little endian.
    let length = 16 + 2;
    [
        length,
        (libc::UDP_SEGMENT as u64) << 32 | libc::SOL_UDP as u64,
        segment as u64,
    ]
}

impl SendBatch {
    /// Adds the bytes of `range` as datagrams of `segment` bytes each; `None` for a connected socket's peer.
    pub fn push(
        &mut self,
        range: std::ops::Range<usize>,
        segment: usize,
        receiver: Option<SocketAddrV4>,
    ) {
        self.runs.push((range, segment, receiver));
    }

    /// Runs not yet sent.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Sends and forgets the runs; the number of them that the kernel did not take.
    pub fn send(&mut self, fd: RawFd, data: &[u8]) -> usize {
        self.fill(data);
        let (mut sent, mut failed) = (0, 0);
        while sent < self.headers.len() {
            let rest = &mut self.headers[sent..];
            // SAFETY: `fill` set all pointers to live buffers of the sizes given.
            let result = unsafe {
                libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as u32, libc::MSG_DONTWAIT)
            };
            if result > 0 {
                sent += result as usize;
            } else {
                // The first of the rest could not be sent: it is lost, the others are not held up.
                sent += 1;
                failed += 1;
            }
        }
        self.runs.clear();
        failed
    }

    fn fill(&mut self, data: &[u8]) {
        // SAFETY: all-zero is a valid value of these C structs.
        let (name, vector, header) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        self.names.resize(self.runs.len(), name);
        self.control.resize(self.runs.len(), [0; 3]);
        self.vectors.resize(self.runs.len(), vector);
        self.headers.resize(self.runs.len(), header);
        for (index, (range, segment, receiver)) in self.runs.iter().enumerate() {
            let bytes = &data[range.clone()];
            self.vectors[index] = libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            };
            let message = &mut self.headers[index].msg_hdr;
            message.msg_iov = &raw mut self.vectors[index];
            message.msg_iovlen = 1;
            message.msg_control = std::ptr::null_mut();
            message.msg_controllen = 0;
            message.msg_name = std::ptr::null_mut();
            message.msg_namelen = 0;
            if bytes.len() > *segment {
                self.control[index] = segment_control(*segment);
                message.msg_control = self.control[index].as_mut_ptr().cast();
                message.msg_controllen = size_of::<[u64; 3]>();
            }
            if let Some(receiver) = receiver {
                self.names[index].sin_family = libc::AF_INET as u16;
                self.names[index].sin_port = receiver.port().to_be();
                self.names[index].sin_addr.s_addr = u32::from(*receiver.ip()).to_be();
                message.msg_name = (&raw mut self.names[index]).cast();
                message.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            }
        }
    }
}

/// Sends one datagram on a connected socket; whether the kernel took it.
pub fn send(fd: RawFd, data: &[u8]) -> bool {
    // SAFETY: the slice is live for the call.
    unsafe { libc::send(fd, data.as_ptr().cast(), data.len(), libc::MSG_DONTWAIT) >= 0 }
}

/// Sockets that have something to read.
pub struct Poller {
    epoll: OwnedFd,
    wake: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// The number under which [`Poller::wait`] tells of [`Poller::waker`].
pub const WAKE: u64 = u64::MAX;

impl Poller {
    /// With a descriptor of its own that wakes it.
    pub fn new() -> io::Result<Self> {
        // SAFETY: plain calls; each descriptor returned is new and ours.
        let (epoll, wake) = unsafe {
            let epoll = OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?);
            let wake = OwnedFd::from_raw_fd(check(libc::eventfd(
                0,
                libc::EFD_CLOEXEC | libc::EFD_NONBLOCK,
            ))?);
            (epoll, wake)
        };
        let poller = Self {
            epoll,
            wake,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; 64],
        };
        poller.add(poller.wake.as_raw_fd(), WAKE)?;
        Ok(poller)
    }

    /// A descriptor for [`wake`].
    pub fn waker(&self) -> io::Result<OwnedFd> {
        self.wake.try_clone()
    }

    /// Watches a socket under this number.
    pub fn add(&self, fd: RawFd, number: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: number,
        };
        // SAFETY: the event is live for the call.
        check(unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                fd,
                &raw mut event,
            )
        })
        .map(drop)
    }

    /// Waits at most so long; the numbers of what is readable.
    pub fn wait(&mut self, timeout_us: u64, ready: &mut Vec<u64>) {
        let timeout = libc::timespec {
            tv_sec: (timeout_us / 1_000_000) as i64,
            tv_nsec: (timeout_us % 1_000_000 * 1000) as i64,
        };
        // SAFETY: buffer and timeout are live, the buffer has the length given.
        let count = unsafe {
            libc::epoll_pwait2(
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as i32,
                &raw const timeout,
                std::ptr::null(),
            )
        };
        ready.clear();
        let count = usize::try_from(count).unwrap_or(0);
        ready.extend(self.events[..count].iter().map(|event| event.u64));
        if ready.contains(&WAKE) {
            let mut value = 0u64;
            // SAFETY: eight bytes are what an eventfd gives.
            unsafe { libc::read(self.wake.as_raw_fd(), (&raw mut value).cast(), 8) };
        }
    }
}

/// Ends a wait of the poller that this descriptor came from.
pub fn wake(waker: &OwnedFd) {
    let one = 1u64;
    // SAFETY: eight bytes are what an eventfd takes.
    unsafe { libc::write(waker.as_raw_fd(), (&raw const one).cast(), 8) };
}
