//! A call: one publisher, some receivers, each with a slot that shows it.

use super::media::{Encoder, Receiver, SLOT_VP8_RTX, audio_slot, video_producer, video_slot};
use super::{Peer, World};
use fork_router_engine::core::Command;
use fork_router_engine::core::command::SlotConfig;
use fork_router_engine::core::stats::SlotStats;
use fork_router_engine::ids::{ProducerId, SlotId, Ssrc};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{RtcpMessage, messages, write_nack, write_pli};

pub struct Subscriber {
    pub peer: Peer,
    pub slot: SlotConfig,
    pub view: Receiver,
    /// RTCP received, plain.
    pub rtcp: Vec<Vec<u8>>,
}

pub struct Call {
    pub world: World,
    pub publisher: Peer,
    pub subscribers: Vec<Subscriber>,
    rtx_seq: u16,
}

pub const RTX_SSRC: u32 = 0x7777;

impl Call {
    /// A publisher of one video track with these RIDs, and receivers with RTX or without.
    pub fn new(seed: u64, rids: &[&str], receivers: usize, rtx: bool) -> Self {
        let (mut world, mut publisher) = (World::new(seed), Peer::new(1));
        world.connect(&mut publisher);
        world.command(Command::AddProducer(video_producer(
            1,
            publisher.transport,
            rids,
        )));
        let mut call = Self::of(world, publisher);
        for _ in 0..receivers {
            call.join(rtx);
        }
        call.world.take_events();
        call
    }

    /// A call without receivers, whatever its publisher publishes.
    pub fn of(world: World, publisher: Peer) -> Self {
        Self {
            world,
            publisher,
            subscribers: Vec::new(),
            rtx_seq: 0,
        }
    }

    /// One more receiver that shows the video.
    pub fn join(&mut self, rtx: bool) {
        let number = 100 + self.subscribers.len() as u16;
        let peer = Peer::new(number);
        let slot = video_slot(u64::from(number), peer.transport, rtx);
        self.add(peer, slot);
        self.world.command(Command::Assign(
            SlotId(u64::from(number)),
            Some(ProducerId(1)),
        ));
    }

    /// One more receiver with an audio slot, which shows nothing.
    pub fn join_audio(&mut self) -> SlotId {
        let number = 100 + self.subscribers.len() as u16;
        let peer = Peer::new(number);
        let slot = audio_slot(u64::from(number), peer.transport);
        self.add(peer, slot);
        SlotId(u64::from(number))
    }

    pub fn add(&mut self, mut peer: Peer, slot: SlotConfig) {
        self.world.connect(&mut peer);
        self.world.command(Command::AddSlot(slot.clone()));
        let view = Receiver::new(slot.ssrc, slot.rtx_ssrc);
        self.subscribers.push(Subscriber {
            peer,
            slot,
            view,
            rtcp: Vec::new(),
        });
    }

    pub fn publish(&mut self, packets: &[Vec<u8>]) {
        for packet in packets {
            let data = self.publisher.protect(packet);
            self.world.receive(self.publisher.tuple, &data);
        }
    }

    pub fn publish_rtcp(&mut self, plain: &[u8]) {
        let data = self.publisher.protect_rtcp(plain);
        self.world.receive(self.publisher.tuple, &data);
    }

    pub fn send_rtcp(&mut self, subscriber: usize, plain: &[u8]) {
        let peer = &mut self.subscribers[subscriber].peer;
        let data = peer.protect_rtcp(plain);
        self.world.receive(peer.tuple, &data);
    }

    pub fn pass(&mut self, ms: u64) {
        let mut peers: Vec<&mut Peer> =
            self.subscribers.iter_mut().map(|it| &mut it.peer).collect();
        peers.push(&mut self.publisher);
        self.world.advance_with(Micros::from_millis(ms), &mut peers);
    }

    /// Delivers what was sent to the receivers; `lost` decides on each RTP packet.
    pub fn deliver(&mut self, mut lost: impl FnMut(&mut World) -> bool) {
        for subscriber in &mut self.subscribers {
            let (rtp, rtcp) = self.world.take_media_lossy(&mut subscriber.peer, &mut lost);
            subscriber.rtcp.extend(rtcp);
            for packet in rtp {
                subscriber.view.take(&packet);
            }
        }
    }

    pub fn deliver_all(&mut self) {
        self.deliver(|_| false);
    }

    /// Receivers ask for what they miss.
    pub fn ask_for_losses(&mut self) {
        for index in 0..self.subscribers.len() {
            let missing = self.subscribers[index].view.missing();
            if missing.is_empty() {
                continue;
            }
            let mut buffer = [0; 1400];
            let ssrc = self.subscribers[index].slot.ssrc;
            let len = write_nack(
                &mut buffer,
                Ssrc(1),
                ssrc,
                &missing[..missing.len().min(100)],
            )
            .unwrap();
            self.send_rtcp(index, &buffer[..len]);
        }
    }

    pub fn ask_for_key_frame(&mut self, subscriber: usize) {
        let mut buffer = [0; 20];
        let ssrc = self.subscribers[subscriber].slot.ssrc;
        let len = write_pli(&mut buffer, Ssrc(1), ssrc).unwrap();
        self.send_rtcp(subscriber, &buffer[..len]);
    }

    /// The publisher reads its RTCP: retransmits what was lost, and tells for which SSRCs a key frame is wanted.
    pub fn serve_publisher(&mut self, encoders: &[Encoder]) -> Vec<u32> {
        let mut wanted = Vec::new();
        for rtcp in self.world.take_media(&mut self.publisher).1 {
            for message in messages(&rtcp) {
                match message.unwrap() {
                    RtcpMessage::Pli(pli) => wanted.push(pli.media.0),
                    RtcpMessage::Nack(nack) => {
                        let Some(encoder) = encoders.iter().find(|it| it.ssrc == nack.media.0)
                        else {
                            continue;
                        };
                        let lost: Vec<u16> = nack.lost().collect();
                        for seq in lost {
                            self.rtx_seq = self.rtx_seq.wrapping_add(1);
                            if let Some(packet) = encoder.rtx(RTX_SSRC, self.rtx_seq, seq) {
                                self.publish(&[packet]);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        wanted
    }

    pub fn slot_stats(&mut self, subscriber: usize) -> SlotStats {
        let transport = self.subscribers[subscriber].peer.transport;
        self.world
            .core
            .transport_stats(self.world.now, transport)
            .unwrap()
            .slots[0]
            .clone()
    }
}

/// Payload of a media packet, also when it came by RTX.
pub fn media_payload(packet: &[u8]) -> Vec<u8> {
    let header = fork_router_engine::wire::rtp::RtpHeader::parse(packet).unwrap();
    let payload = header.payload.of(packet);
    if header.payload_type == SLOT_VP8_RTX {
        payload[2..].to_vec()
    } else {
        payload.to_vec()
    }
}

/// Plays simulcast for a while; each layer gives a key frame when asked.
pub fn play(call: &mut Call, encoders: &mut [Encoder], frames: u32) {
    let mut wanted: Vec<u32> = Vec::new();
    for _ in 0..frames {
        for encoder in &mut *encoders {
            let key = wanted.contains(&encoder.ssrc) || encoder.sent.is_empty();
            let packets = encoder.frame(key, 2);
            encoder.pass(3000);
            call.publish(&packets);
        }
        call.pass(33);
        call.deliver_all();
        wanted = call.serve_publisher(encoders);
    }
}
