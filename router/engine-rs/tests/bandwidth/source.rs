//! What a receiver is sent: audio, and video at 30 frames a second whose rate follows the estimate, at will or in steps.

use crate::paths::random::Random;
use fork_router_engine::time::Micros;

const AUDIO_GAP: Micros = Micros::from_millis(20);
const AUDIO_BYTES: usize = 120;
const AUDIO_BPS: f64 = 48_000.0;
const PACKET: usize = 1_200;

#[derive(Clone, Debug)]
pub enum Rate {
    /// Whatever the estimate is, up to this.
    Elastic(f64),
    /// The highest of these that fits.
    Ladder(Vec<f64>),
}

impl Rate {
    /// A simulcast of three encodings with two temporal layers each.
    pub fn simulcast() -> Self {
        Self::Ladder(vec![90e3, 150e3, 300e3, 500e3, 900e3, 1.5e6, 2.5e6])
    }
}

#[derive(Clone, Debug)]
pub struct Source {
    rate: Rate,
    /// Sends between these times.
    active: (Micros, Micros),
    next_frame: Micros,
    next_audio: Micros,
    rung: usize,
    key_frame: bool,
    random: Random,
}

impl Source {
    pub fn new(rate: Rate, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let phase = Micros(random.next() % 33_333);
        Self {
            rate,
            active: (Micros(0), Micros(u64::MAX)),
            next_frame: phase,
            next_audio: phase,
            rung: 0,
            key_frame: true,
            random,
        }
    }

    pub fn active(mut self, from: Micros, to: Micros) -> Self {
        self.active = (from, to);
        self
    }

    /// Most that it could use.
    pub fn wanted(&self) -> f64 {
        match &self.rate {
            Rate::Elastic(most) => *most,
            Rate::Ladder(rungs) => rungs[rungs.len() - 1] * 1.1 + AUDIO_BPS,
        }
    }

    /// Sizes of the packets that leave now.
    pub fn poll(&mut self, now: Micros, estimate: f64) -> Vec<usize> {
        let mut packets = Vec::new();
        if now < self.active.0 || now >= self.active.1 {
            (self.next_frame, self.next_audio) = (now, now);
            return packets;
        }
        while self.next_audio <= now {
            self.next_audio = self.next_audio + AUDIO_GAP;
            packets.push(AUDIO_BYTES);
        }
        while self.next_frame <= now {
            self.next_frame = self.next_frame + Micros(33_333);
            let mut left = self.frame_bytes(estimate);
            while left > 0 {
                let bytes = left.min(PACKET);
                packets.push(bytes.max(60));
                left -= bytes;
            }
        }
        packets
    }

    fn frame_bytes(&mut self, estimate: f64) -> usize {
        let video = (estimate - AUDIO_BPS).max(20e3);
        let bps = match &self.rate {
            Rate::Elastic(most) => video.min(*most),
            Rate::Ladder(rungs) => {
                let before = self.rung;
                while self.rung > 0 && rungs[self.rung] > video {
                    self.rung -= 1;
                }
                // Up only with a little to spare.
                while self.rung + 1 < rungs.len() && rungs[self.rung + 1] * 1.05 < video {
                    self.rung += 1;
                }
                self.key_frame |= self.rung > before;
                rungs[self.rung]
            }
        };
        let mut scale = self.random.between(0.8, 1.2);
        if std::mem::take(&mut self.key_frame) {
            scale *= 4.0;
        }
        (bps * scale / 8.0 / 30.0) as usize
    }
}
