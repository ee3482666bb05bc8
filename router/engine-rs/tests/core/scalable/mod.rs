//! One publisher of a scalable stream, the router's core, and a receiver whose limits change. The way up loses and reorders
//! as told; the way down does not, so that what is missing there is the router's doing.
#![allow(dead_code)] // each scenario uses its part

pub mod check;
pub mod publisher;

use crate::common::scalability::Mode;
use crate::common::{Peer, World};
use crate::media::{Impairment, Link};
use check::{Arrived, Report};
use fork_router_engine::core::Command;
use fork_router_engine::core::command::{
    Codec, CodecConfig, EncodingConfig, Extension, ExtensionIds, Feedback, Limits, MediaKind,
    ProducerConfig, SlotConfig,
};
use fork_router_engine::core::stats::SlotStats;
use fork_router_engine::ids::{ProducerId, SlotId, Ssrc, TransportId};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{RtcpMessage, messages};
use fork_router_engine::wire::rtp::RtpHeader;
use publisher::{DEPENDENCY, PAYLOAD_TYPE, Publisher, RTX, Stamp};
use std::collections::HashSet;

const TICK_MS: u64 = 3;
const PICTURE_MS: u64 = 33;

/// What a publisher sends.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    pub codec: Codec,
    pub mode: Mode,
    /// With the dependency descriptor.
    pub dependency: bool,
}

pub struct Scene {
    pub world: World,
    stream: Stream,
    publisher: Publisher,
    camera: Peer,
    viewer: Peer,
    uplink: Link,
    /// What reached the router: frame and packet.
    received: HashSet<(u64, u8)>,
    arrived: Vec<Arrived>,
    /// From which of these on [`Scene::highest`] looks.
    recent: usize,
}

fn codecs(codec: Codec) -> Vec<CodecConfig> {
    vec![CodecConfig {
        payload_type: PAYLOAD_TYPE,
        rtx_payload_type: Some(RTX),
        codec,
        format: 1,
        clock_rate: 90_000,
        feedback: vec![Feedback::Nack, Feedback::Pli],
    }]
}

fn producer(stream: Stream, transport: TransportId) -> ProducerConfig {
    ProducerConfig {
        id: ProducerId(1),
        transport,
        kind: MediaKind::Video,
        mid: None,
        codecs: codecs(stream.codec),
        extensions: ExtensionIds(vec![(Extension::DependencyDescriptor, DEPENDENCY)]),
        encodings: vec![EncodingConfig::default()],
        contributor: 0xC0,
        media_timeout: Micros::from_secs(5),
    }
}

fn slot(stream: Stream, transport: TransportId) -> SlotConfig {
    SlotConfig {
        id: SlotId(1),
        transport,
        kind: MediaKind::Video,
        mid: None,
        ssrc: Ssrc(0x5000),
        rtx_ssrc: Some(Ssrc(0x6000)),
        codecs: codecs(stream.codec),
        extensions: ExtensionIds(vec![(Extension::DependencyDescriptor, DEPENDENCY)]),
        allow_mixed_extensions: true,
    }
}

impl Scene {
    pub fn new(seed: u64, stream: Stream, impairment: Impairment) -> Self {
        println!("{stream:?}");
        let mut world = World::new(seed);
        let (mut camera, mut viewer) = (Peer::new(1), Peer::new(2));
        world.connect(&mut camera);
        world.connect(&mut viewer);
        world.command(Command::AddProducer(producer(stream, camera.transport)));
        world.command(Command::AddSlot(slot(stream, viewer.transport)));
        world.command(Command::Assign(SlotId(1), Some(ProducerId(1))));
        Self {
            world,
            stream,
            publisher: Publisher::new(stream),
            camera,
            viewer,
            uplink: Link::new(impairment, seed + 1),
            received: HashSet::new(),
            arrived: Vec::new(),
            recent: 0,
        }
    }

    pub fn limit(&mut self, limits: Limits) {
        self.world.command(Command::SetLimits(SlotId(1), limits));
    }

    /// The publisher sends so many spatial layers from now on, as when its uplink is narrow. New ones begin at a key frame.
    pub fn set_active(&mut self, active: u8) {
        self.publisher.key_frame_wanted |= active > self.publisher.encoder.active;
        self.publisher.encoder.active = active;
    }

    pub fn key_frames(&self) -> u32 {
        self.publisher.key_frames
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
        let now_ms = self.world.now.as_millis();
        if now_ms % PICTURE_MS < TICK_MS {
            for packet in self.publisher.picture(now_ms) {
                self.uplink.send(packet, now_ms);
            }
        }
        for packet in self.uplink.receive(now_ms) {
            let header = RtpHeader::parse(&packet).expect("own packet");
            let stamp = Stamp::read(header.payload.of(&packet));
            self.received.insert((stamp.number, stamp.part));
            let data = self.camera.protect(&packet);
            self.world.receive(self.camera.tuple, &data);
        }
        let mut peers = [&mut self.camera, &mut self.viewer];
        self.world
            .advance_with(Micros::from_millis(TICK_MS), &mut peers);
        for rtcp in self.world.take_media(&mut self.camera).1 {
            for message in messages(&rtcp).flatten() {
                match message {
                    RtcpMessage::Pli(_) => self.publisher.key_frame_wanted = true,
                    RtcpMessage::Nack(nack) => {
                        for packet in nack.lost().filter_map(|seq| self.publisher.repair(seq)) {
                            self.uplink.send(packet, now_ms);
                        }
                    }
                    _ => {}
                }
            }
        }
        for packet in self.world.take_media(&mut self.viewer).0 {
            self.arrived.push(Arrived::read(&packet, now_ms));
        }
    }

    /// [`Scene::highest`] looks only at what comes from now on.
    pub fn forget(&mut self) {
        self.recent = self.arrived.len();
    }

    /// The highest spatial and temporal layer that came.
    pub fn highest(&self) -> Option<(u8, u8)> {
        let stamps = self.arrived[self.recent..]
            .iter()
            .filter_map(|it| it.stamp.as_ref());
        let spatial = stamps.clone().map(|stamp| stamp.spatial).max()?;
        Some((spatial, stamps.map(|stamp| stamp.temporal).max()?))
    }

    /// The last half second had all layers.
    pub fn shows_everything(&mut self) -> bool {
        self.forget();
        self.run(500);
        let mode = self.stream.mode;
        self.highest() == Some((mode.spatial - 1, mode.temporal - 1))
    }

    /// What all that came says of the router.
    pub fn check(&self) -> Report {
        let clean = self.uplink.lost == 0 && self.uplink.impairment.jitter_ms == 0;
        check::check(
            self.stream,
            &self.arrived,
            &self.received,
            &self.publisher.made,
            clean,
        )
    }
}
