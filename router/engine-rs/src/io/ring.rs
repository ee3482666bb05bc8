//! From one worker to another: a bounded ring of packets and one of messages for each ordered pair, made when first used.
//!
//! Each ring has one producer and one consumer. Packets are copied into entries that are made while the first bursts need
//! them, at most [`PACKETS`], and go round for ever: full ones forth, empty ones back. Nobody locks, nobody waits: a
//! packet that finds no empty entry is dropped and counted, a message that finds no room is kept by its sender and tried
//! again. The queues are crossbeam's, whose indices have cache lines of their own; that they would serve several
//! producers costs one uncontended compare-and-swap and keeps this file free of unsafe code.
//!
//! Waking: a worker says that it sleeps before it looks at its rings for the last time; who puts something in looks at
//! that afterwards. So the eventfd is written only for sleepers, and no wake-up is lost.

use super::wake::Waker;
use crate::core::Received;
use crate::core::mirror::{MirrorHead, MirrorMessage};
use crate::core::sink::MAX_DATAGRAM;
use crate::ids::WorkerId;
use crossbeam_queue::ArrayQueue;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};

/// Packets on their way between two workers at most: a hundred milliseconds of ten thousand a second.
pub const PACKETS: usize = 1_024;

/// Packets taken of each other worker at a time, so that none of them, nor a socket, waits for long.
pub const RING_BATCH: usize = 64;

/// Messages on their way between two workers at most; more wait with their sender.
pub const MESSAGES: usize = 256;

/// A packet on its way, or an empty entry.
pub struct Packet {
    head: Option<MirrorHead>,
    len: usize,
    bytes: [u8; MAX_DATAGRAM],
}

impl Packet {
    fn empty() -> Box<Self> {
        Box::new(Self {
            head: None,
            len: 0,
            bytes: [0; MAX_DATAGRAM],
        })
    }

    fn fill(&mut self, head: &MirrorHead, bytes: &[u8]) {
        self.len = bytes.len().min(MAX_DATAGRAM);
        self.bytes[..self.len].copy_from_slice(&bytes[..self.len]);
        self.head = Some(*head);
    }

    /// What was filled in.
    pub fn parts(&self) -> Option<(&MirrorHead, &[u8])> {
        Some((self.head.as_ref()?, self.bytes.get(..self.len)?))
    }
}

/// One ordered pair of workers.
struct Ring {
    full: ArrayQueue<Box<Packet>>,
    empty: ArrayQueue<Box<Packet>>,
    messages: ArrayQueue<MirrorMessage>,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            full: ArrayQueue::new(PACKETS),
            empty: ArrayQueue::new(PACKETS),
            messages: ArrayQueue::new(MESSAGES),
        }
    }
}

/// Where a worker sleeps.
struct Bed {
    waker: Waker,
    sleeps: AtomicBool,
}

/// The rings of all pairs.
pub struct Mesh {
    workers: usize,
    rings: Box<[OnceLock<Box<Ring>>]>,
    beds: Box<[Bed]>,
}

impl Mesh {
    /// For so many workers, nothing on its way.
    pub fn new(workers: usize) -> io::Result<Arc<Self>> {
        let bed = |_| {
            Ok(Bed {
                waker: Waker::new()?,
                sleeps: AtomicBool::new(false),
            })
        };
        Ok(Arc::new(Self {
            workers,
            rings: (0..workers * workers).map(|_| OnceLock::new()).collect(),
            beds: (0..workers).map(bed).collect::<io::Result<_>>()?,
        }))
    }

    fn cell(&self, from: usize, to: usize) -> Option<&OnceLock<Box<Ring>>> {
        let exists = from < self.workers && to < self.workers && from != to;
        exists.then(|| &self.rings[from * self.workers + to])
    }
}

/// The end by which a worker hands something to others.
pub struct Outlet {
    mesh: Arc<Mesh>,
    own: usize,
    /// Entries made of each ring so far.
    made: Vec<usize>,
    /// Who got something since the last [`Outlet::announce`].
    touched: Vec<usize>,
    /// Messages that wait, by receiver, so that those to one stay in order.
    backlog: Vec<VecDeque<MirrorMessage>>,
    /// Packets handed over.
    pub handed_over: u64,
    /// Packets that found no empty entry.
    pub dropped: u64,
}

impl Outlet {
    /// The end of worker `own`.
    pub fn new(mesh: Arc<Mesh>, own: usize) -> Self {
        Self {
            made: vec![0; mesh.workers],
            // Nothing grows on the media path.
            touched: Vec::with_capacity(mesh.workers),
            backlog: vec![VecDeque::new(); mesh.workers],
            handed_over: 0,
            dropped: 0,
            mesh,
            own,
        }
    }

    /// Copies a packet into the ring to a worker, or counts it as dropped.
    pub fn send_packet(&mut self, to: WorkerId, head: &MirrorHead, bytes: &[u8]) {
        let to = usize::from(to.0);
        let Some(cell) = self.mesh.cell(self.own, to) else {
            return;
        };
        let ring = cell.get_or_init(Box::default);
        let entry = ring.empty.pop().or_else(|| {
            let more = self.made[to] < PACKETS;
            self.made[to] += usize::from(more);
            more.then(Packet::empty)
        });
        let Some(mut entry) = entry else {
            return self.dropped += 1;
        };
        entry.fill(head, bytes);
        // There are no more entries than places.
        let _ = ring.full.push(entry);
        self.handed_over += 1;
        self.touch(to);
    }

    /// Puts a message into the ring to a worker, behind those that wait.
    pub fn send_message(&mut self, to: WorkerId, message: MirrorMessage) {
        if let Some(waiting) = self.backlog.get_mut(usize::from(to.0)) {
            waiting.push_back(message);
        }
    }

    fn send_backlog(&mut self, to: usize) {
        let Some(cell) = self.mesh.cell(self.own, to) else {
            return self.backlog[to].clear();
        };
        let ring = cell.get_or_init(Box::default);
        while let Some(message) = self.backlog[to].pop_front() {
            if let Err(message) = ring.messages.push(message) {
                self.backlog[to].push_front(message);
                break;
            }
        }
        self.touch(to);
    }

    fn touch(&mut self, to: usize) {
        if !self.touched.contains(&to) {
            self.touched.push(to);
        }
    }

    /// Messages wait for room.
    pub fn has_backlog(&self) -> bool {
        self.backlog.iter().any(|waiting| !waiting.is_empty())
    }

    /// Sends messages as far as there is room, and wakes those who sleep and got something.
    pub fn announce(&mut self) {
        for to in 0..self.backlog.len() {
            if !self.backlog[to].is_empty() {
                self.send_backlog(to);
            }
        }
        if self.touched.is_empty() {
            return;
        }
        fence(Ordering::SeqCst);
        for to in self.touched.drain(..) {
            let bed = &self.mesh.beds[to];
            if bed.sleeps.load(Ordering::SeqCst) {
                bed.waker.raise();
            }
        }
    }
}

/// Packets of a worker while they are forwarded.
impl Received for Inlet {
    fn bytes(&self, index: usize) -> &[u8] {
        self.held
            .get(index)
            .and_then(|packet| packet.parts())
            .map_or(&[], |(_, bytes)| bytes)
    }
}

/// The end at which a worker takes what others hand it.
pub struct Inlet {
    mesh: Arc<Mesh>,
    own: usize,
    taken: VecDeque<(WorkerId, MirrorMessage)>,
    /// Packets that are being forwarded, and who handed them over.
    #[expect(
        clippy::vec_box,
        reason = "entries go round by their pointers, not their bytes"
    )]
    held: Vec<Box<Packet>>,
    held_from: usize,
}

impl Inlet {
    /// The end of worker `own`.
    pub fn new(mesh: Arc<Mesh>, own: usize) -> Self {
        Self {
            mesh,
            own,
            taken: VecDeque::new(),
            held: Vec::with_capacity(RING_BATCH),
            held_from: own,
        }
    }

    /// What wakes the worker.
    pub fn waker(&self) -> &Waker {
        &self.mesh.beds[self.own].waker
    }

    fn rings(&self) -> impl Iterator<Item = (usize, &Ring)> {
        (0..self.mesh.workers).filter_map(|from| Some((from, self.ring_from(from)?)))
    }

    /// The worker is about to sleep. False when something waits, so that it must not.
    pub fn lie_down(&self) -> bool {
        self.mesh.beds[self.own]
            .sleeps
            .store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let waits = |ring: &Ring| !ring.full.is_empty() || !ring.messages.is_empty();
        self.taken.is_empty() && !self.rings().any(|(_, ring)| waits(ring))
    }

    /// The worker is awake; `readable` says that its waker is what woke it.
    pub fn get_up(&self, readable: bool) {
        let bed = &self.mesh.beds[self.own];
        bed.sleeps.store(false, Ordering::SeqCst);
        if readable || bed.waker.is_raised() {
            bed.waker.clear();
        }
    }

    /// Workers there are, ourselves included.
    pub fn workers(&self) -> usize {
        self.mesh.workers
    }

    fn ring_from(&self, from: usize) -> Option<&Ring> {
        self.mesh.cell(from, self.own)?.get().map(|ring| &**ring)
    }

    /// Holds up to `limit` packets of a worker, until [`Inlet::release_packets`]. Whether there were any.
    pub fn hold_packets(&mut self, from: usize, limit: usize) -> bool {
        let mut held = std::mem::take(&mut self.held);
        if let Some(ring) = self.ring_from(from) {
            held.extend(std::iter::from_fn(|| ring.full.pop()).take(limit));
        }
        (self.held, self.held_from) = (held, from);
        !self.held.is_empty()
    }

    /// The packets that are held, oldest first.
    pub fn held(&self) -> impl Iterator<Item = (&MirrorHead, &[u8])> {
        self.held.iter().filter_map(|packet| packet.parts())
    }

    /// They were forwarded: their entries go back.
    pub fn release_packets(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        if let Some(ring) = self.ring_from(self.held_from) {
            for entry in held.drain(..) {
                // There are no more entries than places.
                let _ = ring.empty.push(entry);
            }
        }
        self.held = held;
    }

    /// Takes all messages out of the rings. Whether any waits for [`Inlet::next_message`].
    pub fn take_messages(&mut self) -> bool {
        let mut taken = std::mem::take(&mut self.taken);
        for (from, ring) in self.rings() {
            while let Some(message) = ring.messages.pop() {
                taken.push_back((WorkerId(from as u16), message));
            }
        }
        self.taken = taken;
        !self.taken.is_empty()
    }

    /// The oldest message that was taken.
    pub fn next_message(&mut self) -> Option<(WorkerId, MirrorMessage)> {
        self.taken.pop_front()
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
