//! Two workers in one process: two cores in virtual time, joined by lists instead of rings.

use super::media::{Encoder, Receiver, audio_producer, audio_slot, video_producer, video_slot};
use super::{Peer, World};
use fork_router_engine::core::Command;
use fork_router_engine::core::command::{ProducerConfig, SlotConfig};
use fork_router_engine::ids::{GroupId, ProducerId, SlotId, Ssrc, TransportId, WorkerId};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{RtcpMessage, messages, write_nack, write_pli};
use std::collections::HashMap;

/// A peer on one worker, with a slot that shows video or hears audio, and perhaps a track that it publishes.
pub struct Guest {
    pub worker: usize,
    pub peer: Peer,
    pub slot: SlotConfig,
    pub view: Receiver,
    /// RTCP received, plain.
    pub rtcp: Vec<Vec<u8>>,
    pub encoder: Encoder,
    pub producer: ProducerId,
}

pub struct House {
    pub workers: [World; 2],
    pub guests: Vec<Guest>,
    configs: HashMap<ProducerId, ProducerConfig>,
    /// Packets handed over so far.
    pub handed: usize,
    /// Of those, every so many is lost on the way; 0: none.
    pub overflow: usize,
    rtx_seq: u16,
}

impl House {
    pub fn new(seed: u64) -> Self {
        Self {
            workers: [World::new(seed), World::new(seed + 1_000)],
            guests: Vec::new(),
            configs: HashMap::new(),
            handed: 0,
            overflow: 0,
            rtx_seq: 0,
        }
    }

    /// A peer with a video slot that shows nothing; guests have indices in order of coming.
    pub fn join(&mut self, worker: usize) -> usize {
        self.enter(worker, |id, transport| video_slot(id, transport, true))
    }

    /// The same with an audio slot.
    pub fn join_audio(&mut self, worker: usize) -> usize {
        self.enter(worker, audio_slot)
    }

    fn enter(&mut self, worker: usize, slot: impl FnOnce(u64, TransportId) -> SlotConfig) -> usize {
        let number = self.guests.len() as u16 + 1;
        let id = WorkerId(worker as u16).id(u64::from(number));
        let mut peer = Peer::new(number);
        peer.transport = TransportId(id);
        let world = &mut self.workers[worker];
        world.connect(&mut peer);
        let mut slot = slot(u64::from(number), peer.transport);
        slot.id = SlotId(id);
        world.command(Command::AddSlot(slot.clone()));
        self.guests.push(Guest {
            worker,
            peer,
            view: Receiver::new(slot.ssrc, slot.rtx_ssrc),
            slot,
            rtcp: Vec::new(),
            encoder: Encoder::video(u32::from(number)),
            producer: ProducerId(id),
        });
        self.guests.len() - 1
    }

    /// A guest publishes a camera.
    pub fn publish_video(&mut self, guest: usize, rids: &[&str]) {
        let number = guest as u32 + 1;
        let encoder = Encoder {
            seq: (number * 7_000) as u16,
            timestamp: number.wrapping_mul(1_000_000_007),
            ..Encoder::video(number)
        };
        self.publish(guest, encoder, |id, peer| video_producer(id, peer, rids));
    }

    /// A guest publishes a microphone.
    pub fn publish_audio(&mut self, guest: usize) {
        let encoder = Encoder::audio(guest as u32 + 1);
        self.publish(guest, encoder, audio_producer);
    }

    fn publish(
        &mut self,
        guest: usize,
        encoder: Encoder,
        config: impl FnOnce(u64, TransportId) -> ProducerConfig,
    ) {
        let it = &mut self.guests[guest];
        let config = config(it.producer.0, it.peer.transport);
        it.encoder = encoder;
        self.configs.insert(config.id, config.clone());
        self.command(it_worker(&self.guests, guest), Command::AddProducer(config));
    }

    pub fn command(&mut self, worker: usize, command: Command) {
        self.workers[worker].command(command);
        self.settle();
    }

    /// As the binding does: a mirror first, where one is needed.
    fn mirror(&mut self, worker: usize, producer: ProducerId) {
        if usize::from(producer.worker().0) != worker {
            let config = self.configs[&producer].clone();
            self.command(worker, Command::Mirror(Box::new(config)));
        }
    }

    /// A guest's slot shows what another publishes.
    pub fn assign(&mut self, guest: usize, publisher: Option<usize>) {
        let producer = publisher.map(|publisher| self.guests[publisher].producer);
        let (worker, slot) = (self.guests[guest].worker, self.guests[guest].slot.id);
        if let Some(producer) = producer {
            self.mirror(worker, producer);
        }
        self.command(worker, Command::Assign(slot, producer));
    }

    /// A guest's voice competes in the groups of both workers, its slot hears its own worker's.
    pub fn talk(&mut self, guest: usize) {
        let (producer, worker) = (self.guests[guest].producer, self.guests[guest].worker);
        let participant = guest as u64;
        for host in 0..2 {
            self.mirror(host, producer);
            let join = Command::JoinSpeakers {
                producer,
                group: group(host),
                participant,
            };
            self.command(host, join);
        }
        let follow = Command::FollowSpeakers {
            slots: vec![self.guests[guest].slot.id],
            group: group(worker),
            participant,
        };
        self.command(worker, follow);
    }

    /// What the workers have for each other is delivered until there is nothing more.
    pub fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for from in 0..2 {
                let sink = &mut self.workers[from].sink;
                let (handed, told) = (
                    std::mem::take(&mut sink.handed),
                    std::mem::take(&mut sink.told),
                );
                quiet &= handed.is_empty() && told.is_empty();
                let other = &mut self.workers[1 - from];
                for (to, head, bytes) in handed {
                    assert_eq!(usize::from(to.0), 1 - from);
                    self.handed += 1;
                    if !self.handed.is_multiple_of(self.overflow) {
                        let now = other.now;
                        other.core.take_mirrored(now, &head, &bytes, 0);
                        let received = &&bytes[..];
                        other.core.forward_pending(now, received, &mut other.sink);
                    }
                }
                for (to, message) in told {
                    assert_eq!(usize::from(to.0), 1 - from);
                    let (now, from) = (other.now, WorkerId(from as u16));
                    other
                        .core
                        .handle_mirror_message(now, from, message, &mut other.sink);
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// A guest sends plain RTP.
    pub fn send(&mut self, guest: usize, packets: &[Vec<u8>]) {
        let Guest { worker, peer, .. } = &mut self.guests[guest];
        for packet in packets {
            let data = peer.protect(packet);
            self.workers[*worker].receive(peer.tuple, &data);
        }
        self.settle();
    }

    /// A guest sends plain RTCP.
    pub fn send_rtcp(&mut self, guest: usize, plain: &[u8]) {
        let Guest { worker, peer, .. } = &mut self.guests[guest];
        let data = peer.protect_rtcp(plain);
        self.workers[*worker].receive(peer.tuple, &data);
        self.settle();
    }

    /// A frame of a guest's camera, the next one 33 ms later.
    pub fn film(&mut self, guest: usize, key: bool) {
        let encoder = &mut self.guests[guest].encoder;
        let frame = encoder.frame(key, 3);
        encoder.pass(3_000);
        self.send(guest, &frame);
    }

    /// Time passes on both workers, in steps of a millisecond; then all is delivered but what `lost` says.
    pub fn pass_with(&mut self, ms: u64, mut lost: impl FnMut(usize) -> bool) {
        for _ in 0..ms {
            for (number, world) in self.workers.iter_mut().enumerate() {
                let guests = self.guests.iter_mut();
                let mut peers: Vec<&mut Peer> = guests
                    .filter(|guest| guest.worker == number)
                    .map(|guest| &mut guest.peer)
                    .collect();
                world.advance_with(Micros::from_millis(1), &mut peers);
            }
            self.settle();
        }
        for (index, guest) in self.guests.iter_mut().enumerate() {
            let world = &mut self.workers[guest.worker];
            let (rtp, rtcp) = world.take_media_lossy(&mut guest.peer, |_| lost(index));
            guest.rtcp.extend(rtcp);
            for packet in rtp {
                guest.view.take(&packet);
            }
        }
    }

    pub fn pass(&mut self, ms: u64) {
        self.pass_with(ms, |_| false);
    }

    /// Receivers ask for what they miss.
    pub fn ask_for_losses(&mut self) {
        for index in 0..self.guests.len() {
            let missing = self.guests[index].view.missing();
            if missing.is_empty() {
                continue;
            }
            let mut buffer = [0; 1400];
            let ssrc = self.guests[index].slot.ssrc;
            let len = write_nack(&mut buffer, Ssrc(1), ssrc, &missing).unwrap();
            self.send_rtcp(index, &buffer[..len]);
        }
    }

    pub fn ask_for_key_frame(&mut self, guest: usize) {
        let mut buffer = [0; 20];
        let len = write_pli(&mut buffer, Ssrc(1), self.guests[guest].slot.ssrc).unwrap();
        self.send_rtcp(guest, &buffer[..len]);
    }

    /// What a publisher was asked for since the last call: key frames, and packets, which it sends by RTX.
    pub fn serve(&mut self, guest: usize) -> (usize, usize) {
        let (mut plis, mut nacks) = (0, 0);
        for rtcp in std::mem::take(&mut self.guests[guest].rtcp) {
            for message in messages(&rtcp) {
                match message.unwrap() {
                    RtcpMessage::Pli(_) => plis += 1,
                    RtcpMessage::Nack(nack) => {
                        nacks += 1;
                        for lost in nack.lost() {
                            self.rtx_seq = self.rtx_seq.wrapping_add(1);
                            let encoder = &self.guests[guest].encoder;
                            let repair = encoder.rtx(0x7777, self.rtx_seq, lost);
                            self.send(guest, &[repair.expect("it was sent")]);
                        }
                    }
                    _ => {}
                }
            }
        }
        (plis, nacks)
    }

    pub fn leave(&mut self, guest: usize) {
        let it = &self.guests[guest];
        let (worker, transport) = (it.worker, it.peer.transport);
        self.command(worker, Command::RemoveTransport(transport));
    }

    pub fn mirrors(&self) -> [u64; 2] {
        [0, 1].map(|worker| self.workers[worker].core.counters().mirrors)
    }
}

fn it_worker(guests: &[Guest], guest: usize) -> usize {
    guests[guest].worker
}

pub fn group(worker: usize) -> GroupId {
    GroupId(WorkerId(worker as u16).id(9_000))
}
