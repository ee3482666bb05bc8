//! Publishers, the core, links and receivers, millisecond by millisecond.

use crate::common::media::{audio_slot, video_slot};
use crate::common::plain_srtp::{PlainSrtp, TAG};
use crate::common::{Peer, World};
use crate::paths::link::{Link, Packet};
use crate::publisher::Publisher;
use crate::receiver::{Manner, NUMBER_ID, Receiver};
use crate::trace::STEP;
use fork_router_engine::core::Command;
use fork_router_engine::core::TransportStats;
use fork_router_engine::core::command::{Extension, Feedback, SlotConfig};
use fork_router_engine::ids::{ProducerId, SlotId, Tuple};
use fork_router_engine::time::Micros;
use std::collections::BTreeMap;

const TICK: Micros = Micros::from_millis(1);
/// A receiver asks again after a round trip and this.
const RETRY: Micros = Micros::from_millis(15);
/// UDP and IP headers.
const OVERHEAD: usize = 28;
/// Number of the first receiver.
const FIRST: u16 = 100;

/// A datagram for a receiver.
#[derive(Clone, Debug)]
pub struct Parcel {
    receiver: usize,
    bytes: Vec<u8>,
}

pub struct Room {
    pub world: World,
    pub publishers: Vec<Publisher>,
    pub receivers: Vec<Receiver>,
    pub links: Vec<Link<Parcel>>,
    start: Micros,
    forth: BTreeMap<(Micros, u64), Parcel>,
    back: BTreeMap<(Micros, u64), Parcel>,
    count: u64,
    next_look: Micros,
}

fn connect(world: &mut World, peer: &mut Peer) {
    world.introduce(peer, true);
    world.answer_challenges(&mut [peer]);
    world.command(Command::SetSrtp(peer.transport, Box::new(PlainSrtp)));
}

impl Room {
    /// Cameras with so much at the top, and links; nobody receives yet.
    pub fn new(seed: u64, cameras: u16, top: f64, links: Vec<Link<Parcel>>) -> Self {
        let mut world = World::new(seed);
        let start = world.now;
        let publishers = (1..=cameras).map(|number| {
            let mut publisher = Publisher::new(number, top, seed);
            connect(&mut world, &mut publisher.peer);
            publisher.publish(&mut world);
            publisher
        });
        Self {
            publishers: publishers.collect(),
            world,
            receivers: Vec::new(),
            links,
            start,
            forth: BTreeMap::new(),
            back: BTreeMap::new(),
            count: 0,
            next_look: start,
        }
    }

    /// A receiver behind a link, with the first camera's voice and slots for these cameras.
    pub fn join(&mut self, manner: Manner, link: usize, cameras: &[usize]) -> usize {
        let number = FIRST + self.receivers.len() as u16;
        let mut peer = Peer::new(number);
        connect(&mut self.world, &mut peer);
        let transport = peer.transport;
        let mut receiver = Receiver::new(peer, manner, link, (self.start, self.world.now));
        let delay = self.links[link].delay;
        receiver.round_trip = delay + delay + RETRY;
        let mut audio = audio_slot(u64::from(number) * 100, transport);
        receiver.audio = audio.ssrc;
        negotiate(&mut audio, manner);
        let voice = self.publishers[0].audio();
        self.show(audio, voice);
        for (index, camera) in cameras.iter().enumerate() {
            let id = u64::from(number) * 100 + 1 + index as u64;
            let mut video = video_slot(id, transport, true);
            receiver.add_stream(video.ssrc, video.rtx_ssrc);
            negotiate(&mut video, manner);
            let shown = self.publishers[*camera].video();
            self.show(video, shown);
        }
        self.receivers.push(receiver);
        self.receivers.len() - 1
    }

    fn show(&mut self, slot: SlotConfig, producer: ProducerId) {
        let id = slot.id;
        self.world.command(Command::AddSlot(slot));
        self.world.command(Command::Assign(id, Some(producer)));
    }

    /// Id of a receiver's video slot.
    pub fn slot(receiver: usize, index: usize) -> SlotId {
        SlotId((u64::from(FIRST) + receiver as u64) * 100 + 1 + index as u64)
    }

    pub fn seconds(&self) -> f64 {
        (self.world.now - self.start).as_secs_f64()
    }

    pub fn at(&self, seconds: f64) -> Micros {
        self.start + Micros((seconds * 1e6) as u64)
    }

    /// The link has this rate from now on.
    pub fn set_rate(&mut self, link: usize, bps: f64) {
        let now = self.world.now;
        self.links[link].rates.push((now, bps));
    }

    pub fn run(&mut self, seconds: f64) {
        let end = self.world.now + Micros((seconds * 1e6) as u64);
        while self.world.now < end {
            self.tick();
        }
    }

    fn tick(&mut self) {
        let now = self.world.now + TICK;
        while let Some(at) = self.world.core.poll_deadline().filter(|at| *at <= now) {
            self.world.now = at.max(self.world.now);
            let World {
                core, sink, now, ..
            } = &mut self.world;
            core.handle_timeout(*now, sink);
            self.route();
        }
        self.world.now = now;
        for index in 0..self.publishers.len() {
            let publisher = &mut self.publishers[index];
            let from = publisher.peer.tuple;
            let datagrams: Vec<(Tuple, Vec<u8>)> = publisher
                .send(now)
                .into_iter()
                .map(|data| (from, data))
                .collect();
            if !datagrams.is_empty() {
                self.world.receive_batch(&datagrams);
            }
        }
        self.route();
        self.deliver(now);
        self.answer(now);
        self.world.sink.events.clear();
        if self.next_look <= now {
            self.next_look = self.next_look + STEP;
            self.look(now);
        }
    }

    /// Datagrams of the core go where they belong.
    fn route(&mut self) {
        let now = self.world.now;
        for (to, bytes) in std::mem::take(&mut self.world.sink.sent) {
            let number = to.address.port();
            if number < FIRST {
                self.on_publisher(usize::from(number) - 1, &bytes, now);
                continue;
            }
            let receiver = usize::from(number - FIRST);
            let link = self.receivers[receiver].link;
            let packet = Packet {
                bytes: bytes.len() + OVERHEAD,
                payload: Parcel { receiver, bytes },
            };
            self.links[link].send(now, packet);
        }
    }

    fn on_publisher(&mut self, index: usize, bytes: &[u8], now: Micros) {
        let publisher = &mut self.publishers[index];
        if bytes[0] < 2 {
            if let Some(answer) = publisher.peer.answer(bytes) {
                let from = publisher.peer.tuple;
                self.world.receive(from, &answer);
            }
            return;
        }
        publisher.on_rtcp(&bytes[..bytes.len() - TAG], now);
    }

    /// What has arrived at receivers.
    fn deliver(&mut self, now: Micros) {
        let mut arrivals = Vec::new();
        for link in &mut self.links {
            link.advance(now, &mut arrivals);
        }
        for (at, packet) in arrivals {
            self.count += 1;
            self.forth.insert((at, self.count), packet.payload);
        }
        while let Some(entry) = self.forth.first_entry()
            && entry.key().0 <= now
        {
            let ((at, _), Parcel { receiver, bytes }) = entry.remove_entry();
            let peer = &self.receivers[receiver];
            if bytes[0] < 2 {
                if let Some(answer) = peer.peer.answer(&bytes) {
                    self.send_back(receiver, answer, now);
                }
                continue;
            }
            let wire = bytes.len() + OVERHEAD;
            self.receivers[receiver].take(&bytes, wire, at);
        }
    }

    /// What receivers say, and what of it has come.
    fn answer(&mut self, now: Micros) {
        for index in 0..self.receivers.len() {
            for mut message in self.receivers[index].poll(now) {
                message.extend([0; TAG]);
                self.send_back(index, message, now);
            }
        }
        while let Some(entry) = self.back.first_entry()
            && entry.key().0 <= now
        {
            let Parcel { receiver, bytes } = entry.remove();
            let from = self.receivers[receiver].peer.tuple;
            self.world.receive(from, &bytes);
        }
        self.route();
    }

    /// The way back is fast, and out when the way forth is.
    fn send_back(&mut self, receiver: usize, bytes: Vec<u8>, now: Micros) {
        let link = &self.links[self.receivers[receiver].link];
        let out = |it: &&crate::paths::link::Outage| (it.from..it.to).contains(&now);
        if link.outages.iter().find(out).is_some() {
            return;
        }
        self.count += 1;
        let at = now + link.delay;
        self.back
            .insert((at, self.count), Parcel { receiver, bytes });
    }

    fn look(&mut self, now: Micros) {
        for index in 0..self.receivers.len() {
            let link = &self.links[self.receivers[index].link];
            let (queue, rate) = (link.wait(now), link.rate(now));
            let bandwidth = self.stats(index).bandwidth;
            let estimate = bandwidth.and_then(|it| it.estimate_bps).unwrap_or(0);
            let step = self.receivers[index].trace.of(now);
            (step.queue, step.link, step.estimate) = (queue, rate, estimate);
        }
    }

    pub fn stats(&mut self, receiver: usize) -> TransportStats {
        let transport = self.receivers[receiver].peer.transport;
        let stats = self.world.core.transport_stats(self.world.now, transport);
        stats.expect("alive")
    }
}

/// Agrees on the way of telling.
fn negotiate(slot: &mut SlotConfig, manner: Manner) {
    let feedback = match manner {
        Manner::TransportCc | Manner::Lies(_) => {
            slot.extensions.0.push((Extension::TransportCc, NUMBER_ID));
            return;
        }
        Manner::Remb(_) => vec![Feedback::Nack, Feedback::Pli, Feedback::Remb],
        Manner::Reports => vec![Feedback::Nack, Feedback::Pli],
    };
    for codec in &mut slot.codecs {
        codec.feedback.clone_from(&feedback);
    }
}
