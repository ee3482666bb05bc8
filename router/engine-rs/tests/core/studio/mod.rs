//! Cameras of several codecs in one core, a slot that shows now one and now another, and a receiver that would notice
//! every number that does not fit. Links lose and reorder. Time is virtual; everything follows from the seed.
#![allow(dead_code)] // each scenario uses its part

pub mod camera;
pub mod receiver;
pub mod references;

use crate::common::media::camera_report;
use crate::common::world::WALL_OFFSET;
use crate::common::{Peer, World};
use crate::media::{Impairment, Link};
use camera::{Camera, DEPENDENCY, payload_type};
use fork_router_engine::core::Command;
use fork_router_engine::core::command::{
    Codec, CodecConfig, EncodingConfig, Extension, ExtensionIds, Feedback, MediaKind,
    ProducerConfig, SlotConfig,
};
use fork_router_engine::core::stats::SlotStats;
use fork_router_engine::ids::{PayloadType, ProducerId, SlotId, Ssrc, TransportId};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{RtcpMessage, SenderInfo, messages, write_nack, write_pli};
use receiver::{PAYLOAD_TYPE_SHIFT, Receiver};

const SLOT: Ssrc = Ssrc(0x5000_0000);
const SLOT_RTX: Ssrc = Ssrc(0x6000_0000);
/// Time that passes at once.
const TICK_MS: u64 = 3;
/// Time between two frames.
const FRAME_MS: u64 = 33;

fn codec_config(codec: Codec, shift: u8) -> CodecConfig {
    let payload_type = payload_type(codec).0 + shift;
    CodecConfig {
        payload_type: PayloadType(payload_type),
        rtx_payload_type: Some(PayloadType(payload_type + 1)),
        codec,
        format: codec as u32,
        clock_rate: 90_000,
        feedback: vec![Feedback::Nack, Feedback::Pli],
    }
}

fn producer(camera: &Camera, transport: TransportId) -> ProducerConfig {
    ProducerConfig {
        id: ProducerId(camera.id.into()),
        transport,
        kind: MediaKind::Video,
        mid: None,
        codecs: vec![codec_config(camera.codec, 0)],
        extensions: ExtensionIds(vec![(Extension::DependencyDescriptor, DEPENDENCY)]),
        encodings: vec![EncodingConfig::default()],
        contributor: 0xC0_0000 + u32::from(camera.id),
        media_timeout: Micros::from_secs(5),
    }
}

fn slot(transport: TransportId) -> SlotConfig {
    let codecs = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];
    SlotConfig {
        id: SlotId(1),
        transport,
        kind: MediaKind::Video,
        mid: None,
        ssrc: SLOT,
        rtx_ssrc: Some(SLOT_RTX),
        codecs: codecs
            .map(|codec| codec_config(codec, PAYLOAD_TYPE_SHIFT))
            .to_vec(),
        extensions: ExtensionIds(vec![(Extension::DependencyDescriptor, DEPENDENCY)]),
        allow_mixed_extensions: true,
    }
}

/// A camera, its peer and its way to the router.
struct Publisher {
    camera: Camera,
    peer: Peer,
    uplink: Link,
    /// In which tick of the interval it sends its frame.
    turn: u64,
    is_live: bool,
}

pub struct Studio {
    pub world: World,
    pub receiver: Receiver,
    /// Sender reports that the receiver got, with the time.
    pub reports: Vec<(u64, SenderInfo)>,
    publishers: Vec<Publisher>,
    viewer: Peer,
    downlink: Link,
}

impl Studio {
    /// Cameras 1, 2 and so on, and a viewer whose slot shows the first.
    pub fn new(seed: u64, cameras: &[(Codec, bool)], impairment: Impairment) -> Self {
        let mut world = World::new(seed);
        let mut viewer = Peer::new(100);
        world.connect(&mut viewer);
        world.command(Command::AddSlot(slot(viewer.transport)));
        let mut publishers = Vec::new();
        for (index, &(codec, dependency)) in cameras.iter().enumerate() {
            let camera = Camera::new(index as u8 + 1, codec, dependency);
            let mut peer = Peer::new(u16::from(camera.id));
            world.connect(&mut peer);
            let config = producer(&camera, peer.transport);
            world.command(Command::AddProducer(config));
            publishers.push(Publisher {
                camera,
                peer,
                uplink: Link::new(impairment, seed + 10 + index as u64),
                turn: index as u64 * 4 % (FRAME_MS / TICK_MS),
                is_live: true,
            });
        }
        let mut studio = Self {
            world,
            receiver: Receiver::new(seed, SLOT.0, SLOT_RTX.0),
            reports: Vec::new(),
            publishers,
            viewer,
            downlink: Link::new(impairment, seed + 5),
        };
        studio.assign(1);
        studio
    }

    pub fn now_ms(&self) -> u64 {
        self.world.now.as_millis()
    }

    pub fn assign(&mut self, camera: u64) {
        let command = Command::Assign(SlotId(1), Some(ProducerId(camera)));
        self.world.command(command);
    }

    /// A camera stops sending, or goes on.
    pub fn set_live(&mut self, camera: usize, is_live: bool) {
        self.publishers[camera - 1].is_live = is_live;
    }

    /// A camera ignores key frame requests, or obeys them.
    pub fn set_obedient(&mut self, camera: usize, is_obedient: bool) {
        self.publishers[camera - 1].camera.is_obedient = is_obedient;
    }

    pub fn ignored_requests(&self, camera: usize) -> u32 {
        self.publishers[camera - 1].camera.ignored_requests
    }

    pub fn key_frames(&self, camera: usize) -> u32 {
        self.publishers[camera - 1].camera.key_frames
    }

    pub fn stats(&mut self) -> SlotStats {
        let now = self.world.now;
        let stats = self.world.core.transport_stats(now, self.viewer.transport);
        stats.expect("alive").slots[0].clone()
    }

    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms / TICK_MS {
            self.tick();
        }
    }

    fn tick(&mut self) {
        let now_ms = self.now_ms();
        for index in 0..self.publishers.len() {
            self.publish(index, now_ms);
        }
        let mut peers: Vec<&mut Peer> = self.publishers.iter_mut().map(|it| &mut it.peer).collect();
        peers.push(&mut self.viewer);
        self.world
            .advance_with(Micros::from_millis(TICK_MS), &mut peers);
        for index in 0..self.publishers.len() {
            self.serve_publisher(index, now_ms);
        }
        self.deliver(now_ms);
        self.give_feedback(now_ms);
    }

    fn publish(&mut self, index: usize, now_ms: u64) {
        let publisher = &mut self.publishers[index];
        let turn = now_ms % FRAME_MS / TICK_MS == publisher.turn;
        if publisher.is_live && turn {
            for packet in publisher.camera.frame(now_ms) {
                publisher.uplink.send(packet, now_ms);
            }
        }
        for packet in publisher.uplink.receive(now_ms) {
            let data = publisher.peer.protect(&packet);
            self.world.receive(publisher.peer.tuple, &data);
        }
        if now_ms % 510 < TICK_MS {
            let info = publisher.camera.report(now_ms);
            let data = publisher.peer.protect_rtcp(&camera_report(&info));
            self.world.receive(publisher.peer.tuple, &data);
        }
    }

    /// The publisher reads its RTCP.
    fn serve_publisher(&mut self, index: usize, now_ms: u64) {
        let publisher = &mut self.publishers[index];
        for rtcp in self.world.take_media(&mut publisher.peer).1 {
            for message in messages(&rtcp).flatten() {
                match message {
                    RtcpMessage::Pli(_) => publisher.camera.on_key_frame_request(),
                    RtcpMessage::Nack(nack) => {
                        for packet in nack.lost().filter_map(|seq| publisher.camera.repair(seq)) {
                            publisher.uplink.send(packet, now_ms);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn deliver(&mut self, now_ms: u64) {
        let (rtp, rtcp) = self.world.take_media(&mut self.viewer);
        for packet in rtp {
            self.downlink.send(packet, now_ms);
        }
        for packet in self.downlink.receive(now_ms) {
            self.receiver.take(&packet, now_ms);
        }
        for message in rtcp.iter().flat_map(|rtcp| messages(rtcp).flatten()) {
            if let RtcpMessage::SenderReport(report) = message {
                self.reports.push((now_ms, report.info));
            }
        }
    }

    fn give_feedback(&mut self, now_ms: u64) {
        let lost = self.receiver.nacks(now_ms);
        let mut buffer = [0; 1_400];
        if !lost.is_empty() {
            let len = write_nack(&mut buffer, Ssrc(1), SLOT, &lost).expect("room");
            self.send_feedback(&buffer[..len]);
        }
        if self.receiver.wants_key_frame(now_ms) {
            self.ask_for_key_frame();
        }
    }

    /// The receiver lost the picture.
    pub fn ask_for_key_frame(&mut self) {
        let mut buffer = [0; 20];
        let len = write_pli(&mut buffer, Ssrc(1), SLOT).expect("room");
        self.send_feedback(&buffer[..len]);
    }

    fn send_feedback(&mut self, plain: &[u8]) {
        let data = self.viewer.protect_rtcp(plain);
        self.world.receive(self.viewer.tuple, &data);
    }
}

/// When a timestamp was captured, by a sender report: in milliseconds of engine time.
pub fn captured_ms(info: &SenderInfo, timestamp: u32) -> f64 {
    let unix_seconds = (info.ntp.0 >> 32) as f64 - 2_208_988_800.0;
    let fraction = (info.ntp.0 & 0xFFFF_FFFF) as f64 / 4_294_967_296.0;
    let engine_ms = (unix_seconds * 1_000.0 - WALL_OFFSET as f64 / 1_000.0) + fraction * 1_000.0;
    engine_ms + f64::from(timestamp.wrapping_sub(info.rtp_timestamp) as i32) / 90.0
}
