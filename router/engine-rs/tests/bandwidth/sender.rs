//! One flow: an estimator with its source, and the receiver that writes feedback on it.

use crate::link::{Packet, Payload};
use crate::source::Source;
use crate::trace::Trace;
use fork_router_engine::bwe::Estimator;
use fork_router_engine::ids::Ssrc;
use fork_router_engine::recv::twcc::FeedbackBuilder;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{RtcpMessage, messages};

const START_BPS: u64 = 300_000;
const OVERHEAD: usize = 12;
const PADDING: usize = 1_100;
/// The receiver's clock: another origin, and 80 ppm faster.
const CLOCK_OFFSET: Micros = Micros::from_secs(1_000_000);

pub struct Flow {
    pub estimator: Estimator,
    pub trace: Trace,
    index: usize,
    source: Source,
    seq: u16,
    receiver: FeedbackBuilder,
}

impl Flow {
    pub fn new(index: usize, source: Source) -> Self {
        let mut estimator = Estimator::new(Micros(0), START_BPS);
        estimator.set_wanted(source.wanted() as u64);
        Self {
            estimator,
            trace: Trace::default(),
            index,
            source,
            seq: 65_000,
            receiver: FeedbackBuilder::default(),
        }
    }

    /// Packets that leave now.
    pub fn send(&mut self, now: Micros, packets: &mut Vec<Packet>) {
        if self.estimator.deadline().is_some_and(|at| at <= now) {
            self.estimator.tick(now);
        }
        for bytes in self.source.poll(now, self.estimator.estimate() as f64) {
            self.estimator
                .on_sent(self.seq, bytes + OVERHEAD, now, None);
            packets.push(self.packet(bytes + OVERHEAD, true));
        }
        if let Some(probe) = self.estimator.poll_probe(now) {
            let mut left = probe.bytes;
            while left > 0 {
                let bytes = left.clamp(100, PADDING);
                self.estimator
                    .on_sent(self.seq, bytes, now, Some(probe.cluster));
                packets.push(self.packet(bytes, false));
                left = left.saturating_sub(bytes);
            }
        }
        let deadline = self.estimator.deadline();
        assert!(
            deadline.is_none_or(|at| at > now),
            "{deadline:?} is over at {now:?}"
        );
    }

    fn packet(&mut self, bytes: usize, is_media: bool) -> Packet {
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        let payload = Payload::Media {
            flow: self.index,
            seq,
            is_media,
        };
        Packet { bytes, payload }
    }

    pub fn on_arrival(&mut self, at: Micros, seq: u16, bytes: usize, is_media: bool) {
        self.receiver.on_packet(seq, receiver_time(at));
        self.trace.on_arrival(at, bytes, is_media);
    }

    pub fn feedback(&mut self, now: Micros) -> Option<Packet> {
        let mut buffer = [0; 1_200];
        let len = self
            .receiver
            .poll(receiver_time(now), Ssrc(1), Ssrc(2), &mut buffer)?;
        let message = buffer[..len].to_vec();
        let payload = Payload::Feedback {
            flow: self.index,
            message,
        };
        Some(Packet {
            bytes: len + 40,
            payload,
        })
    }

    pub fn on_feedback(&mut self, at: Micros, message: &[u8]) {
        for message in messages(message) {
            if let Ok(RtcpMessage::TransportCc(message)) = message {
                self.estimator.on_transport_cc(&message, at);
            }
        }
    }
}

fn receiver_time(at: Micros) -> Micros {
    CLOCK_OFFSET + at + Micros(at.0 * 8 / 100_000)
}
