//! The packets of a scalable encoder, as browsers send them, with the truth about each at its end.

use super::Stream;
use crate::common::scalability::{Encoder, Frame, InterLayer, size};
use fork_router_engine::core::command::Codec;
use fork_router_engine::ids::{PayloadType, Ssrc};
use fork_router_engine::wire::ext::{Element, elements};
use fork_router_engine::wire::rtp::{OutgoingHeader, RtpHeader, write_header};
use std::collections::HashMap;

pub const PAYLOAD_TYPE: PayloadType = PayloadType(96);
pub const RTX: PayloadType = PayloadType(97);
/// Id of the dependency descriptor, of the publisher and of the receiver.
pub const DEPENDENCY: u8 = 12;
const SSRC: u32 = 1_000;
const RTX_SSRC: u32 = 1_500;
/// Packets of a frame.
pub const PACKETS: u8 = 2;

/// What a packet says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub number: u64,
    pub picture: u64,
    pub spatial: u8,
    pub temporal: u8,
    pub key: bool,
    /// Which packet of the frame.
    pub part: u8,
    pub references: Vec<u64>,
}

impl Stamp {
    fn write(&self, payload: &mut Vec<u8>) {
        let start = payload.len();
        payload.extend(self.number.to_be_bytes());
        payload.extend(self.picture.to_be_bytes());
        payload.extend([self.spatial, self.temporal, u8::from(self.key), self.part]);
        for reference in &self.references {
            payload.extend(reference.to_be_bytes());
        }
        payload.push((payload.len() - start) as u8);
    }

    pub fn read(payload: &[u8]) -> Self {
        let (len, rest) = payload.split_last().expect("a stamp");
        let bytes = &rest[rest.len() - usize::from(*len)..];
        let word = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight"));
        Self {
            number: word(0),
            picture: word(8),
            spatial: bytes[16],
            temporal: bytes[17],
            key: bytes[18] == 1,
            part: bytes[19],
            references: (20..bytes.len()).step_by(8).map(word).collect(),
        }
    }
}

pub struct Publisher {
    pub encoder: Encoder,
    pub key_frame_wanted: bool,
    pub key_frames: u32,
    /// All frames made: number, layers.
    pub made: Vec<(u64, u8, u8)>,
    stream: Stream,
    seq: u16,
    rtx_seq: u16,
    picture: u64,
    tl0: u8,
    /// Place among the four pictures that repeat.
    place: u64,
    sent: HashMap<u16, Vec<u8>>,
}

impl Publisher {
    /// All its numbers begin shortly before they wrap.
    pub fn new(stream: Stream) -> Self {
        Self {
            encoder: Encoder::new(stream.mode, 65_500),
            key_frame_wanted: true,
            key_frames: 0,
            made: Vec::new(),
            stream,
            seq: 65_400,
            rtx_seq: 7,
            picture: 0x7FFF - 40,
            tl0: 250,
            place: 0,
            sent: HashMap::new(),
        }
    }

    /// The packets of the next picture.
    pub fn picture(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        let key = std::mem::take(&mut self.key_frame_wanted);
        self.key_frames += u32::from(key);
        self.place = if key { 0 } else { self.place + 1 };
        self.picture += 1;
        let frames = self.encoder.picture(key);
        self.tl0 = self.tl0.wrapping_add(u8::from(frames[0].temporal == 0));
        let timestamp = (u32::MAX - 700_000).wrapping_add(now_ms as u32 * 90);
        let top = frames.len() as u8 - 1;
        let mut packets = Vec::new();
        for frame in &frames {
            self.made
                .push((frame.number, frame.spatial, frame.temporal));
            for part in 0..PACKETS {
                let marker = frame.spatial == top && part == PACKETS - 1;
                packets.push(self.packet(frame, part, marker, timestamp));
            }
        }
        packets
    }

    fn packet(&mut self, frame: &Frame, part: u8, marker: bool, timestamp: u32) -> Vec<u8> {
        let (first, last) = (part == 0, part == PACKETS - 1);
        let mut payload = match self.stream.codec {
            Codec::Vp8 => self.vp8(frame, first),
            Codec::Vp9 => self.vp9(frame, first, last),
            Codec::H264 => h264(frame, first, last),
            _ => av1(frame, first, last),
        };
        payload.resize(payload.len() + (60 << (2 * frame.spatial)), 0xAB);
        let stamp = Stamp {
            number: frame.number,
            picture: self.picture,
            spatial: frame.spatial,
            temporal: frame.temporal,
            key: frame.key,
            part,
            references: frame.references.clone(),
        };
        stamp.write(&mut payload);
        let value = self.encoder.descriptor(frame, first, last);
        let elements = [Element {
            id: DEPENDENCY,
            value: &value,
        }];
        let header = OutgoingHeader {
            marker,
            padding: false,
            payload_type: PAYLOAD_TYPE,
            seq: self.seq,
            timestamp,
            ssrc: Ssrc(SSRC),
            csrcs: &[],
            extensions: if self.stream.dependency {
                &elements
            } else {
                &[]
            },
            allow_two_byte: true,
        };
        let packet = write(&header, &payload);
        self.sent.insert(self.seq, packet.clone());
        self.seq = self.seq.wrapping_add(1);
        packet
    }

    fn vp8(&self, frame: &Frame, first: bool) -> Vec<u8> {
        let [high, low] = ((self.picture & 0x7FFF) as u16).to_be_bytes();
        // Refers to the base layer alone.
        let sync = frame.temporal > 0 && (self.stream.mode.temporal == 2 || self.place % 4 < 3);
        let start = if first { 0x90 } else { 0x80 };
        let layer = frame.temporal << 6 | if sync { 0x20 } else { 0 };
        let mut payload = vec![start, 0xE0, 0x80 | high, low, self.tl0, layer];
        payload.extend([u8::from(!frame.key), 0, 0, 0x9D, 1, 0x2A]);
        let (width, height) = size(0);
        payload.extend(width.to_le_bytes());
        payload.extend(height.to_le_bytes());
        payload
    }

    fn vp9(&self, frame: &Frame, first: bool, last: bool) -> Vec<u8> {
        let mode = self.stream.mode;
        let inter_layer = match mode.inter_layer {
            InterLayer::Always => true,
            InterLayer::KeyFrames => frame.key,
            InterLayer::Never => false,
        };
        let structure = frame.key && first && frame.spatial == 0;
        let bits = [
            (!frame.key, 0x40),
            (first, 0x08),
            (last, 0x04),
            (structure, 0x02),
            (!inter_layer || frame.spatial + 1 == mode.spatial, 0x01),
        ];
        let set = bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit);
        let [high, low] = ((self.picture & 0x7FFF) as u16).to_be_bytes();
        let lower = u8::from(inter_layer && frame.spatial > 0);
        let layer = frame.temporal << 5 | 0x10 | frame.spatial << 1 | lower;
        let mut payload = vec![0xA0 | set.sum::<u8>(), 0x80 | high, low, layer, self.tl0];
        if structure {
            payload.push((self.encoder.active - 1) << 5 | 0x10);
            for (width, height) in (0..self.encoder.active).map(size) {
                payload.extend(width.to_be_bytes());
                payload.extend(height.to_be_bytes());
            }
        }
        payload
    }

    /// A packet once more, by RTX.
    pub fn repair(&mut self, seq: u16) -> Option<Vec<u8>> {
        let original = self.sent.get(&seq)?;
        let parsed = RtpHeader::parse(original).expect("own packet");
        let payload = [&seq.to_be_bytes()[..], parsed.payload.of(original)].concat();
        let found = parsed.extension.map(|block| {
            let mut found = elements(original, &block);
            let (_, value) = found.next().expect("one element");
            value.of(original)
        });
        let elements: Vec<Element> = found
            .map(|value| Element {
                id: DEPENDENCY,
                value,
            })
            .into_iter()
            .collect();
        self.rtx_seq = self.rtx_seq.wrapping_add(1);
        let header = OutgoingHeader {
            marker: parsed.marker,
            padding: false,
            payload_type: RTX,
            seq: self.rtx_seq,
            timestamp: parsed.timestamp,
            ssrc: Ssrc(RTX_SSRC),
            csrcs: &[],
            extensions: &elements,
            allow_two_byte: true,
        };
        Some(write(&header, &payload))
    }
}

/// One OBU in several packets; the first of a key picture says so.
fn av1(frame: &Frame, first: bool, last: bool) -> Vec<u8> {
    let begins = frame.key && first && frame.spatial == 0;
    let bits = [(!first, 0x80), (!last, 0x40), (begins, 0x08)];
    let set = bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit);
    vec![0x10 | set.sum::<u8>(), 0x30]
}

/// A fragmented NAL unit: a slice, of an IDR picture or not.
fn h264(frame: &Frame, first: bool, last: bool) -> Vec<u8> {
    let kind = if frame.key { 5 } else { 1 };
    vec![0x7C, u8::from(first) << 7 | u8::from(last) << 6 | kind]
}

fn write(header: &OutgoingHeader, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 1_500];
    let len = write_header(&mut bytes, header).expect("room");
    bytes.truncate(len);
    bytes.extend_from_slice(payload);
    bytes
}
