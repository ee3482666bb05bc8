//! Which ids live, so that a call with a wrong one fails at once instead of vanishing in a worker's queue.
//!
//! Ids carry the worker in their top 16 bits, count upwards from 1 and are never reused.

use super::arguments::{Number, PyAddress, peer_address};
use super::errors::{config, refused, state};
use crate::core::command::{MediaKind, ProducerConfig};
use crate::ids::{GroupId, ProducerId, SlotId, SocketId, TransportId, Tuple, WorkerId};
use pyo3::prelude::PyResult;
use std::collections::{HashMap, HashSet};

const SOCKET_WORKER_SHIFT: u32 = 16;

/// Sockets of one worker alive at most: each is polled at every wake-up.
const MAX_SOCKETS_PER_WORKER: usize = 256;

/// Sockets one worker ever opens at most: as far as their ids count.
const MAX_SOCKET_NUMBER: u32 = 0xffff;

/// Producers of one transport at most.
const MAX_PRODUCERS: usize = 256;

/// Slots of one transport at most.
const MAX_SLOTS: usize = 1_024;

/// The worker in an id.
pub fn worker_of(id: u64) -> usize {
    usize::from(WorkerId::of(id).0)
}

/// The worker in a socket's id.
pub fn worker_of_socket(id: SocketId) -> usize {
    (id.0 >> SOCKET_WORKER_SHIFT) as usize
}

#[derive(Default)]
struct Transport {
    producers: Vec<ProducerId>,
    slots: Vec<SlotId>,
}

struct Track {
    transport: TransportId,
    kind: MediaKind,
}

/// A producer to be mirrored first, a slot, and what it is to show.
pub type Assignment = (Option<Box<ProducerConfig>>, SlotId, Option<ProducerId>);

/// The living ids.
#[derive(Default)]
pub struct Registry {
    /// Whether the socket is IPv4.
    sockets: HashMap<SocketId, bool>,
    transports: HashMap<TransportId, Transport>,
    producers: HashMap<ProducerId, Track>,
    slots: HashMap<SlotId, Track>,
    /// What other workers need to mirror a producer; kept when there are any.
    configs: HashMap<ProducerId, Box<ProducerConfig>>,
    groups: HashSet<GroupId>,
    last_socket: HashMap<usize, u32>,
    last_id: u64,
}

fn unknown(what: &str, id: u64) -> pyo3::PyErr {
    state(format!("unknown {what} {id}"))
}

impl Registry {
    fn next_id(&mut self, worker: usize) -> u64 {
        self.last_id += 1;
        WorkerId(worker as u16).id(self.last_id)
    }

    /// An id for a socket that will be opened.
    pub fn next_socket(&mut self, worker: usize) -> PyResult<SocketId> {
        let open = self
            .sockets
            .keys()
            .filter(|id| worker_of_socket(**id) == worker)
            .count();
        if open >= MAX_SOCKETS_PER_WORKER {
            return Err(refused(format!(
                "worker {worker} has {open} sockets already"
            )));
        }
        let last = self.last_socket.entry(worker).or_default();
        if *last == MAX_SOCKET_NUMBER {
            return Err(refused(format!(
                "worker {worker} has opened {last} sockets in its life"
            )));
        }
        *last += 1;
        Ok(SocketId((worker as u32) << SOCKET_WORKER_SHIFT | *last))
    }

    /// The socket is open.
    pub fn add_socket(&mut self, id: SocketId, ipv4: bool) {
        self.sockets.insert(id, ipv4);
    }

    /// A tuple on a living socket of the transport's worker.
    pub fn tuple(
        &self,
        transport: TransportId,
        socket: Number,
        address: &PyAddress,
    ) -> PyResult<Tuple> {
        let tuple = self.target(socket, address)?;
        if worker_of_socket(tuple.socket) != worker_of(transport.0) {
            return Err(config(
                "socket: it lives on another worker than the transport",
            ));
        }
        Ok(tuple)
    }

    /// A peer's address on a living socket of its family.
    pub fn target(&self, socket: Number, address: &PyAddress) -> PyResult<Tuple> {
        let (socket, ipv4) = self.socket(socket.id())?;
        let address = peer_address(address)?;
        if address.is_ipv4() != ipv4 {
            let family = if ipv4 { "IPv4" } else { "IPv6" };
            return Err(config(format!(
                "address: the socket is {family}, got {}",
                address.ip()
            )));
        }
        Ok(Tuple { socket, address })
    }

    /// A living socket, and whether it is IPv4.
    pub fn socket(&self, id: u64) -> PyResult<(SocketId, bool)> {
        let socket = u32::try_from(id).ok().map(SocketId);
        let found = socket.and_then(|socket| Some((socket, *self.sockets.get(&socket)?)));
        found.ok_or_else(|| unknown("socket", id))
    }

    /// The socket is closed.
    pub fn remove_socket(&mut self, id: SocketId) {
        self.sockets.remove(&id);
    }

    /// A new transport on the socket's worker.
    pub fn add_transport(&mut self, socket: SocketId) -> TransportId {
        let id = TransportId(self.next_id(worker_of_socket(socket)));
        self.transports.insert(id, Transport::default());
        id
    }

    /// A living transport.
    pub fn transport(&self, id: u64) -> PyResult<TransportId> {
        let transport = TransportId(id);
        let known = self.transports.contains_key(&transport);
        known
            .then_some(transport)
            .ok_or_else(|| unknown("transport", id))
    }

    /// The transport is gone, with its producers and slots.
    pub fn remove_transport(&mut self, id: TransportId) {
        if let Some(transport) = self.transports.remove(&id) {
            for producer in transport.producers {
                self.producers.remove(&producer);
                self.configs.remove(&producer);
            }
            for slot in transport.slots {
                self.slots.remove(&slot);
            }
        }
    }

    /// A new producer of a living transport.
    pub fn add_producer(
        &mut self,
        transport: TransportId,
        kind: MediaKind,
    ) -> PyResult<ProducerId> {
        let id = ProducerId(self.next_id(worker_of(transport.0)));
        let owner = self
            .transports
            .get_mut(&transport)
            .ok_or_else(|| unknown("transport", transport.0))?;
        if owner.producers.len() >= MAX_PRODUCERS {
            return Err(refused(format!(
                "transport {} has {MAX_PRODUCERS} producers already",
                transport.0
            )));
        }
        owner.producers.push(id);
        self.producers.insert(id, Track { transport, kind });
        Ok(id)
    }

    /// A living producer.
    pub fn producer(&self, id: u64) -> PyResult<ProducerId> {
        let producer = ProducerId(id);
        let known = self.producers.contains_key(&producer);
        known
            .then_some(producer)
            .ok_or_else(|| unknown("producer", id))
    }

    /// Keeps how a living producer is described, so that other workers can mirror it.
    pub fn keep_config(&mut self, config: &ProducerConfig) {
        let config = Box::new(config.clone());
        self.configs.insert(config.id, config);
    }

    /// What a worker must be told before it uses a producer that is not its own.
    pub fn mirror_for(&self, user: u64, producer: ProducerId) -> Option<Box<ProducerConfig>> {
        let foreign = worker_of(user) != worker_of(producer.0);
        foreign.then(|| self.configs.get(&producer).cloned())?
    }

    /// The producer is gone.
    pub fn remove_producer(&mut self, id: ProducerId) {
        self.configs.remove(&id);
        let Some(track) = self.producers.remove(&id) else {
            return;
        };
        if let Some(owner) = self.transports.get_mut(&track.transport) {
            owner.producers.retain(|producer| *producer != id);
        }
    }

    /// A new slot of a living transport.
    pub fn add_slot(&mut self, transport: TransportId, kind: MediaKind) -> PyResult<SlotId> {
        let id = SlotId(self.next_id(worker_of(transport.0)));
        let owner = self
            .transports
            .get_mut(&transport)
            .ok_or_else(|| unknown("transport", transport.0))?;
        if owner.slots.len() >= MAX_SLOTS {
            return Err(refused(format!(
                "transport {} has {MAX_SLOTS} slots already",
                transport.0
            )));
        }
        owner.slots.push(id);
        self.slots.insert(id, Track { transport, kind });
        Ok(id)
    }

    /// A living slot.
    pub fn slot(&self, id: u64) -> PyResult<SlotId> {
        let slot = SlotId(id);
        let known = self.slots.contains_key(&slot);
        known.then_some(slot).ok_or_else(|| unknown("slot", id))
    }

    /// The slot is gone.
    pub fn remove_slot(&mut self, id: SlotId) {
        let Some(track) = self.slots.remove(&id) else {
            return;
        };
        if let Some(owner) = self.transports.get_mut(&track.transport) {
            owner.slots.retain(|slot| *slot != id);
        }
    }

    /// A new speaker group.
    pub fn add_group(&mut self, worker: usize) -> GroupId {
        let id = GroupId(self.next_id(worker));
        self.groups.insert(id);
        id
    }

    /// A living speaker group.
    pub fn group(&self, id: u64) -> PyResult<GroupId> {
        let known = self.groups.get(&GroupId(id)).copied();
        known.ok_or_else(|| unknown("group", id))
    }

    /// The speaker group is gone.
    pub fn remove_group(&mut self, id: GroupId) {
        self.groups.remove(&id);
    }

    /// A producer that can compete in the group: audio.
    pub fn speaker(&self, producer: u64, group: u64) -> PyResult<(ProducerId, GroupId)> {
        let (producer, group) = (self.producer(producer)?, self.group(group)?);
        let track = self.producers.get(&producer);
        if track.is_none_or(|track| track.kind != MediaKind::Audio) {
            return Err(config("producer: it is not audio"));
        }
        Ok((producer, group))
    }

    /// Slots that can hear the group: audio, of one peer, on its worker, each once.
    pub fn followers(&self, slots: &[u64], group: u64) -> PyResult<(Vec<SlotId>, GroupId)> {
        let group = self.group(group)?;
        if slots.is_empty() {
            return Err(config("slots: expected at least one"));
        }
        let mut chosen = Vec::with_capacity(slots.len().min(MAX_SLOTS));
        let mut peer = None;
        for (index, id) in slots.iter().enumerate() {
            let slot = self.slot(*id)?;
            let fault = match self.slots.get(&slot) {
                Some(track) if track.kind != MediaKind::Audio => "it is not audio",
                Some(track) if *peer.get_or_insert(track.transport) != track.transport => {
                    "it belongs to another peer than the first"
                }
                _ if worker_of(slot.0) != worker_of(group.0) => {
                    "it lives on another worker than the group"
                }
                _ if chosen.contains(&slot) => "it is given twice",
                _ => {
                    chosen.push(slot);
                    continue;
                }
            };
            return Err(config(format!("slots[{index}]: {fault}")));
        }
        Ok((chosen, group))
    }

    /// A living slot and what it is to show, of one kind; and what its worker must be told of before.
    pub fn assignment(&self, slot: u64, producer: Option<u64>) -> PyResult<Assignment> {
        let slot = self.slot(slot)?;
        let Some(producer) = producer else {
            return Ok((None, slot, None));
        };
        let producer = self.producer(producer)?;
        let kinds = (self.producers.get(&producer), self.slots.get(&slot));
        if let (Some(shown), Some(shows)) = kinds
            && shown.kind != shows.kind
        {
            return Err(config("producer: it is of another kind than the slot"));
        }
        Ok((self.mirror_for(slot.0, producer), slot, Some(producer)))
    }
}
