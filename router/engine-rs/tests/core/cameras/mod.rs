//! A camera with three simulcast layers whose publisher pauses what nobody uses, as a browser does: a while after it was
//! told, with a BYE, and back with a key frame.

#![allow(dead_code, missing_docs)]

use crate::common::Call;
use crate::common::media::Encoder;
use fork_router_engine::core::command::Limits;
use fork_router_engine::core::{Command, Event};
use fork_router_engine::ids::{ProducerId, SlotId, Ssrc};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::write_bye;
use std::collections::VecDeque;

/// From the event to the encoder.
const SIGNALLING: Micros = Micros::from_millis(100);
const FRAME_MS: u64 = 33;

pub const LAYERS: [&str; 3] = ["q", "h", "f"];

pub fn encoders() -> [Encoder; 3] {
    let layer = |index: u32, size, payload_len| Encoder {
        rid: Some(LAYERS[index as usize]),
        size,
        payload_len,
        seq: 1_000 * index as u16,
        timestamp: index * 1_000_000,
        ..Encoder::video(100 + index)
    };
    [
        layer(0, (320, 180), 150),
        layer(1, (640, 360), 400),
        layer(2, (1280, 720), 1_000),
    ]
}

pub struct Camera {
    pub call: Call,
    pub encoders: [Encoder; 3],
    /// What it sends.
    pub active: [bool; 3],
    /// Layers that do not come back: the uplink has no room.
    pub broken: [bool; 3],
    pub obeys: bool,
    /// When it was told what is wanted.
    pub told: Vec<(Micros, Vec<u8>)>,
    pub silences: usize,
    instructions: VecDeque<(Micros, Vec<u8>)>,
    key_frames: Vec<u32>,
}

impl Camera {
    pub fn new(seed: u64, receivers: usize) -> Self {
        Self {
            call: Call::new(seed, &LAYERS, receivers, true),
            encoders: encoders(),
            active: [true; 3],
            broken: [false; 3],
            obeys: true,
            told: Vec::new(),
            silences: 0,
            instructions: VecDeque::new(),
            key_frames: Vec::new(),
        }
    }

    pub fn follow(&mut self, follows: bool) {
        let command = Command::FollowDemand(ProducerId(1), follows);
        self.call.world.command(command);
        self.read_events();
    }

    pub fn now(&self) -> Micros {
        self.call.world.now
    }

    pub fn limit_width(&mut self, receiver: usize, max_width: Option<u16>) {
        let limits = Limits {
            max_width,
            ..Limits::default()
        };
        let slot = SlotId(100 + receiver as u64);
        self.call.world.command(Command::SetLimits(slot, limits));
        self.read_events();
    }

    pub fn assign(&mut self, receiver: usize, shown: bool) {
        let slot = SlotId(100 + receiver as u64);
        let producer = shown.then_some(ProducerId(1));
        self.call.world.command(Command::Assign(slot, producer));
        self.read_events();
    }

    pub fn shown(&mut self, receiver: usize) -> Option<u8> {
        self.call.slot_stats(receiver).encoding
    }

    pub fn run(&mut self, ms: u64) {
        let end = self.now() + Micros::from_millis(ms);
        while self.now() < end {
            self.frame();
        }
    }

    /// How long it takes until something is so; at most this many ms.
    pub fn wait(&mut self, at_most: u64, mut done: impl FnMut(&mut Self) -> bool) -> u64 {
        let start = self.now();
        loop {
            let waited = (self.now() - start).0 / 1_000;
            assert!(waited <= at_most, "not within {at_most} ms");
            if done(self) {
                return waited;
            }
            self.frame();
        }
    }

    fn frame(&mut self) {
        self.heed();
        for index in 0..3 {
            let encoder = &mut self.encoders[index];
            encoder.pass(3_000);
            if self.active[index] && !self.broken[index] {
                let key = encoder.sent.is_empty() || self.key_frames.contains(&encoder.ssrc);
                let packets = encoder.frame(key, 2);
                self.call.publish(&packets);
            }
        }
        self.call.pass(FRAME_MS);
        self.call.deliver_all();
        self.key_frames = self.call.serve_publisher(&self.encoders);
        self.read_events();
    }

    fn read_events(&mut self) {
        let now = self.now();
        for event in self.call.world.take_events() {
            match event {
                Event::EncodingsWanted { encodings, .. } => {
                    self.told.push((now, encodings.clone()));
                    self.instructions.push_back((now + SIGNALLING, encodings));
                }
                Event::ProducerSilent { .. } => self.silences += 1,
                _ => {}
            }
        }
    }

    /// Obeys what it was told a while ago.
    fn heed(&mut self) {
        while let Some((at, wanted)) = self.instructions.front().cloned() {
            if at > self.now() {
                return;
            }
            self.instructions.pop_front();
            for index in (0..3).filter(|_| self.obeys) {
                let active = wanted.contains(&(index as u8));
                let ssrc = self.encoders[index].ssrc;
                if self.active[index] && !active {
                    let mut buffer = [0; 64];
                    let len = write_bye(&mut buffer, &[Ssrc(ssrc)]).expect("room");
                    self.call.publish_rtcp(&buffer[..len]);
                }
                if active && !self.active[index] {
                    self.key_frames.push(ssrc);
                }
                self.active[index] = active;
            }
        }
    }
}
