//! Who publishes a camera in three simulcast encodings and a microphone, over a clean uplink: paces what it sends, obeys
//! requests for key frames after a while with all encodings at once, as libwebrtc's encoder does.

use crate::common::media::{MID_ID, OPUS, audio_producer, camera_report, video_producer};
use crate::common::plain_srtp::TAG;
use crate::common::{Peer, World};
use crate::encoder::{Encoder, FRAME, Shape, Stamp, write};
use fork_router_engine::core::Command;
use fork_router_engine::ids::{ProducerId, Ssrc};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::ext::Element;
use fork_router_engine::wire::rtcp::{RtcpMessage, messages};
use fork_router_engine::wire::rtp::OutgoingHeader;
use std::collections::VecDeque;

/// From a request to the frame.
const OBEDIENCE: Micros = Micros::from_millis(60);
const AUDIO_GAP: Micros = Micros::from_millis(20);
const AUDIO_PAYLOAD: usize = 80;
/// Packets of video that leave in a millisecond.
const PACE: usize = 3;

/// 150 kbit/s at 180p, 500 at 360p, and this at 720p.
pub fn simulcast(top: f64) -> [Shape; 3] {
    let shape = |rid, size, bps| Shape { rid, size, bps };
    [
        shape("q", (320, 180), 150e3),
        shape("h", (640, 360), 500e3),
        shape("f", (1280, 720), top),
    ]
}

pub struct Publisher {
    pub peer: Peer,
    pub encoders: [Encoder; 3],
    /// Encodings below this one are not sent.
    pub lowest: usize,
    queue: VecDeque<Vec<u8>>,
    next_frame: Micros,
    next_audio: Micros,
    next_report: Micros,
    audio_ssrc: u32,
    audio_seq: u16,
}

impl Publisher {
    /// Number `number` of a room: its ids follow from that.
    pub fn new(number: u16, top: f64, seed: u64) -> Self {
        let own = u32::from(number) * 10;
        let mut index = 0;
        let encoders = simulcast(top).map(|shape| {
            index += 1;
            Encoder::new(
                index - 1,
                own + u32::from(index),
                shape,
                seed ^ u64::from(own) << 8,
            )
        });
        Self {
            peer: Peer::new(number),
            encoders,
            lowest: 0,
            queue: VecDeque::new(),
            next_frame: Micros(0),
            next_audio: Micros(0),
            next_report: Micros(0),
            audio_ssrc: own,
            audio_seq: 7,
        }
    }

    pub fn video(&self) -> ProducerId {
        ProducerId(self.peer.transport.0 * 10)
    }

    pub fn audio(&self) -> ProducerId {
        ProducerId(self.peer.transport.0 * 10 + 1)
    }

    /// Its producers, once it is connected.
    pub fn publish(&mut self, world: &mut World) {
        let (video, audio) = (self.video().0, self.audio().0);
        let rids = self.encoders.each_ref().map(|encoder| encoder.shape.rid);
        let transport = self.peer.transport;
        world.command(Command::AddProducer(video_producer(
            video, transport, &rids,
        )));
        world.command(Command::AddProducer(audio_producer(audio, transport)));
        // Cameras do not run in step.
        let phase = Micros(transport.0 * 7_919 % FRAME.0);
        self.next_frame = world.now + phase;
        self.next_audio = world.now + phase;
        self.next_report = world.now + phase + Micros::from_millis(100);
    }

    /// Datagrams that leave in this millisecond.
    pub fn send(&mut self, now: Micros) -> Vec<Vec<u8>> {
        let mut leaving = Vec::new();
        if self.next_audio <= now {
            leaving.push(self.audio_packet());
            self.next_audio = self.next_audio + AUDIO_GAP;
        }
        if self.next_frame <= now {
            for encoder in &mut self.encoders[self.lowest..] {
                self.queue.extend(encoder.frame(self.next_frame));
            }
            self.next_frame = self.next_frame + FRAME;
        }
        let pace = PACE.min(self.queue.len());
        leaving.extend(self.queue.drain(..pace));
        if self.next_report <= now {
            let sending = self.encoders[self.lowest..].iter();
            leaving.extend(sending.map(|encoder| camera_report(&encoder.report(now))));
            self.next_report = self.next_report + Micros::from_secs(1);
        }
        for datagram in &mut leaving {
            datagram.extend([0; TAG]);
        }
        leaving
    }

    fn audio_packet(&mut self) -> Vec<u8> {
        let mut payload = vec![0xCD; AUDIO_PAYLOAD - Stamp::LEN];
        let stamp = Stamp {
            captured: self.next_audio,
            ..Stamp::default()
        };
        stamp.write(&mut payload);
        let elements = [Element {
            id: MID_ID,
            value: b"0",
        }];
        let header = OutgoingHeader {
            marker: false,
            padding: false,
            payload_type: OPUS,
            seq: self.audio_seq,
            timestamp: u32::from(self.audio_seq) * 960,
            ssrc: Ssrc(self.audio_ssrc),
            csrcs: &[],
            extensions: &elements,
            allow_two_byte: false,
        };
        self.audio_seq = self.audio_seq.wrapping_add(1);
        write(&header, &payload)
    }

    /// RTCP came, plain.
    pub fn on_rtcp(&mut self, plain: &[u8], now: Micros) {
        for message in messages(plain).flatten() {
            match message {
                RtcpMessage::Pli(_) => {
                    for encoder in &mut self.encoders {
                        encoder.request_key_frame(now + OBEDIENCE);
                    }
                }
                RtcpMessage::Nack(nack) => panic!("nothing is lost on the way up: {nack:?}"),
                _ => {}
            }
        }
    }
}
