//! The floor: a server that does nothing but receive, copy, protect per receiver and send, for the same traffic.
//!
//! One socket, one thread, keys and addresses agreed beforehand. A publisher's datagrams of one batch are unprotected,
//! and go to each receiver as one run (GSO), protected with the receiver's key; runs of several receivers are one
//! `sendmmsg`. SSRC and sequence number stay. RTCP and STUN are dropped.

use crate::clock::pin_to_core;
use crate::socket::{self, MAX_RUN, MAX_SEGMENTS, Poller, ReceiveBatch, SendBatch, WAKE, wake};
use crate::srtp::{Context, OVERHEAD};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

const MAX_WAIT_US: u64 = 100_000;
/// Bytes gathered for one `sendmmsg`: what stays in the second-level cache.
const GATHER: usize = 256 << 10;

/// Who joins.
pub enum Member {
    /// Packets from this address are decrypted and go to all receivers that do not share its number.
    Publisher(u64, SocketAddrV4, Context),
    /// Gets all packets of others; `u64::MAX` is nobody's number.
    Receiver(u64, SocketAddrV4, Context),
}

/// The handle to the thread.
pub struct Floor {
    members: Sender<Option<Member>>,
    waker: OwnedFd,
    thread: Option<JoinHandle<()>>,
    /// Where it receives.
    pub address: SocketAddrV4,
}

impl Floor {
    /// Starts it.
    pub fn start(core: Option<usize>) -> io::Result<Self> {
        let (fd, address) = socket::bind(Ipv4Addr::LOCALHOST)?;
        socket::prepare(fd.as_raw_fd(), true)?;
        let poller = Poller::new()?;
        poller.add(fd.as_raw_fd(), 0)?;
        let waker = poller.waker()?;
        let (members, inbox) = channel();
        let run = move || {
            if let Some(core) = core {
                let _ = pin_to_core(core);
            }
            Loop::new(fd).run(poller, &inbox);
        };
        let thread = std::thread::Builder::new()
            .name("floor".into())
            .spawn(run)?;
        Ok(Self {
            members,
            waker,
            thread: Some(thread),
            address,
        })
    }

    /// Adds a publisher or receiver.
    pub fn add(&self, member: Member) {
        let _ = self.members.send(Some(member));
        wake(&self.waker);
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.members.send(None);
        wake(&self.waker);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Packets of one publisher, decrypted; all equal, but the last may be shorter.
#[derive(Default)]
struct Burst {
    data: Vec<u8>,
    ends: Vec<usize>,
    segment: usize,
    publisher: u64,
}

impl Burst {
    fn takes(&self, length: usize) -> bool {
        let last = self.ends.last().map_or(0, |end| {
            end - self.ends.iter().rev().nth(1).copied().unwrap_or(0)
        });
        let room = self.ends.len() < MAX_SEGMENTS
            && self.data.len() + length + MAX_SEGMENTS * OVERHEAD <= MAX_RUN;
        self.ends.is_empty() || room && last == self.segment && length <= self.segment
    }

    fn push(&mut self, packet: &[u8]) {
        if self.ends.is_empty() {
            self.segment = packet.len();
        }
        self.data.extend_from_slice(packet);
        self.ends.push(self.data.len());
    }

    fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
    }
}

/// The receivers, and what is gathered for them.
struct Output {
    fd: OwnedFd,
    receivers: Vec<(u64, SocketAddrV4, Context)>,
    data: Vec<u8>,
    filled: usize,
    runs: SendBatch,
}

impl Output {
    /// Copies and protects a burst for each receiver that is not its publisher.
    fn fan_out(&mut self, burst: &mut Burst) {
        for index in 0..self.receivers.len() {
            if self.filled >= GATHER {
                self.send();
            }
            let (number, address, context) = &mut self.receivers[index];
            if *number == burst.publisher {
                continue;
            }
            let (start, mut read, mut segment) = (self.filled, 0, 0);
            for end in &burst.ends {
                let packet = &burst.data[read..*end];
                read = *end;
                let out = &mut self.data[self.filled..];
                out[..packet.len()].copy_from_slice(packet);
                let Some(length) = context.protect(out, packet.len()) else {
                    continue;
                };
                segment = segment.max(length);
                self.filled += length;
            }
            if self.filled > start {
                self.runs.push(start..self.filled, segment, Some(*address));
            }
        }
        burst.clear();
    }

    fn send(&mut self) {
        if !self.runs.is_empty() {
            self.runs.send(self.fd.as_raw_fd(), &self.data);
        }
        self.filled = 0;
    }
}

struct Loop {
    publishers: HashMap<SocketAddrV4, (u64, Context)>,
    burst: Burst,
    output: Output,
}

impl Loop {
    fn new(fd: OwnedFd) -> Self {
        Self {
            publishers: HashMap::new(),
            burst: Burst::default(),
            output: Output {
                fd,
                receivers: Vec::new(),
                data: vec![0; GATHER + MAX_RUN + MAX_SEGMENTS * OVERHEAD],
                filled: 0,
                runs: SendBatch::default(),
            },
        }
    }

    fn run(mut self, mut poller: Poller, inbox: &Receiver<Option<Member>>) {
        let mut batch = ReceiveBatch::default();
        let mut ready = Vec::new();
        loop {
            poller.wait(MAX_WAIT_US, &mut ready);
            if ready.contains(&WAKE) {
                while let Ok(member) = inbox.try_recv() {
                    match member {
                        Some(Member::Publisher(number, address, context)) => {
                            self.publishers.insert(address, (number, context));
                        }
                        Some(Member::Receiver(number, address, context)) => {
                            self.output.receivers.push((number, address, context));
                        }
                        None => return,
                    }
                }
            }
            if ready.contains(&0) {
                self.forward(&mut batch);
            }
        }
    }

    fn forward(&mut self, batch: &mut ReceiveBatch) {
        let count = batch.receive(self.output.fd.as_raw_fd());
        for index in 0..count {
            let arrival = batch.arrival(index);
            let Some((number, context)) = self.publishers.get_mut(&arrival.source) else {
                continue;
            };
            if *number != self.burst.publisher {
                self.output.fan_out(&mut self.burst);
                self.burst.publisher = *number;
            }
            for packet in batch.data(index).chunks_mut(arrival.segment) {
                // RTCP shares the port (RFC 5761).
                if packet.len() < 12 || (192..=223).contains(&packet[1]) {
                    continue;
                }
                let Some(length) = context.unprotect(packet) else {
                    continue;
                };
                if !self.burst.takes(length) {
                    self.output.fan_out(&mut self.burst);
                }
                self.burst.push(&packet[..length]);
            }
        }
        self.output.fan_out(&mut self.burst);
        self.output.send();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_takes_equal_packets_and_one_shorter_at_its_end() {
        let mut burst = Burst::default();
        assert!(burst.takes(1100));
        burst.push(&[0; 1100]);
        burst.push(&[0; 1100]);
        assert!(burst.takes(1100));
        assert!(!burst.takes(1101));
        assert!(burst.takes(900));
        burst.push(&[0; 900]);
        assert!(!burst.takes(900), "behind a shorter one nothing may follow");
        burst.clear();
        assert!(burst.takes(1200));
    }

    #[test]
    fn a_burst_ends_before_a_datagram_would_be_too_large() {
        let mut burst = Burst::default();
        while burst.takes(1100) {
            burst.push(&[0; 1100]);
        }
        assert!(burst.ends.len() < MAX_SEGMENTS);
        assert!(burst.data.len() + burst.ends.len() * 16 <= MAX_RUN);
    }
}
