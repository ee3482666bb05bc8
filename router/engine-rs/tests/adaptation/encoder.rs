//! One simulcast encoding of a VP8 camera, as browsers send it: three temporal layers, frames whose sizes waver, key frames
//! four times as large. Behind what the codec wants, each payload ends with a [`Stamp`]: the truth for the receiver.

use crate::common::media::{MID_ID, RID_ID, VP8};
use crate::paths::random::Random;
use fork_router_engine::ids::Ssrc;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::ext::Element;
use fork_router_engine::wire::rtcp::{NtpTime, SenderInfo};
use fork_router_engine::wire::rtp::{OutgoingHeader, write_header};

pub const FRAME: Micros = Micros(33_333);
/// Temporal layers of the four frames that repeat, and what part of four frames' bits each has.
const LAYERS: [u8; 4] = [0, 2, 1, 2];
const SHARES: [f64; 4] = [0.4, 0.2, 0.2, 0.2];
/// How far back the frame is that each refers to.
const NEEDS: [u8; 4] = [4, 1, 2, 1];
/// The last of the four refers to all layers, those before it to the base layer alone.
const SYNC: [u8; 4] = [0, 0x20, 0x20, 0];
const KEY_FRAME_FACTOR: f64 = 4.0;
const MAX_PAYLOAD: usize = 1_150;

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Which encoding.
    pub encoding: u8,
    pub key: bool,
    pub temporal: u8,
    /// How far back the frame is that this one needs; 0 for none.
    pub needs: u8,
    /// Number of the frame.
    pub index: u32,
    pub captured: Micros,
}

impl Stamp {
    pub const LEN: usize = 16;

    pub fn write(&self, payload: &mut Vec<u8>) {
        payload.extend([self.encoding, u8::from(self.key), self.temporal, self.needs]);
        payload.extend(self.index.to_be_bytes());
        payload.extend(self.captured.0.to_be_bytes());
    }

    pub fn read(payload: &[u8]) -> Self {
        let bytes = payload.last_chunk::<{ Self::LEN }>().expect("a stamp");
        Self {
            encoding: bytes[0],
            key: bytes[1] == 1,
            temporal: bytes[2],
            needs: bytes[3],
            index: u32::from_be_bytes(bytes[4..8].try_into().expect("four bytes")),
            captured: Micros(u64::from_be_bytes(
                bytes[8..].try_into().expect("eight bytes"),
            )),
        }
    }
}

/// What an encoding is set to.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub rid: &'static str,
    pub size: (u16, u16),
    pub bps: f64,
}

pub struct Encoder {
    pub shape: Shape,
    pub ssrc: u32,
    pub key_frames: u32,
    encoding: u8,
    seq: u16,
    timestamp_offset: u32,
    picture: u16,
    tl0: u8,
    index: u32,
    since_key: u32,
    /// When a key frame is to come.
    key_frame_at: Option<Micros>,
    random: Random,
}

impl Encoder {
    pub fn new(encoding: u8, ssrc: u32, shape: Shape, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            shape,
            ssrc,
            key_frames: 0,
            encoding,
            seq: random.next() as u16,
            timestamp_offset: random.next() as u32,
            picture: random.next() as u16,
            tl0: random.next() as u8,
            index: 0,
            since_key: 0,
            key_frame_at: Some(Micros(0)),
            random,
        }
    }

    /// A key frame is asked for; further requests until it comes are the same one.
    pub fn request_key_frame(&mut self, at: Micros) {
        self.key_frame_at.get_or_insert(at);
    }

    fn timestamp(&self, at: Micros) -> u32 {
        self.timestamp_offset.wrapping_add((at.0 * 9 / 100) as u32)
    }

    /// The packets of the next frame.
    pub fn frame(&mut self, now: Micros) -> Vec<Vec<u8>> {
        let key = self.key_frame_at.take_if(|at| *at <= now).is_some();
        self.key_frames += u32::from(key);
        self.since_key = if key { 0 } else { self.since_key + 1 };
        self.index += 1;
        self.picture = self.picture.wrapping_add(1);
        let place = (self.since_key % 4) as usize;
        self.tl0 = self.tl0.wrapping_add(u8::from(place == 0));
        let stamp = Stamp {
            encoding: self.encoding,
            key,
            temporal: LAYERS[place],
            needs: if key { 0 } else { NEEDS[place] },
            index: self.index,
            captured: now,
        };
        let bytes = self.frame_bytes(key, place);
        let count = bytes.div_ceil(MAX_PAYLOAD);
        (0..count)
            .map(|at| {
                let payload = self.payload((stamp, place), at == 0, bytes / count);
                self.packet(&payload, at + 1 == count, now)
            })
            .collect()
    }

    fn frame_bytes(&mut self, key: bool, place: usize) -> usize {
        let mean = self.shape.bps / 8.0 * FRAME.as_secs_f64();
        let factor = if key {
            KEY_FRAME_FACTOR
        } else {
            4.0 * SHARES[place]
        };
        (mean * factor * self.random.between(0.85, 1.15)) as usize
    }

    fn payload(&self, (stamp, place): (Stamp, usize), first: bool, len: usize) -> Vec<u8> {
        let [high, low] = self.picture.to_be_bytes();
        let start = if first { 0x90 } else { 0x80 };
        let layer = stamp.temporal << 6 | SYNC[place];
        let mut payload = vec![start, 0xE0, 0x80 | high, low, self.tl0, layer];
        if first {
            payload.extend([u8::from(!stamp.key) | 0x10, 0, 0, 0x9D, 1, 0x2A]);
            payload.extend(self.shape.size.0.to_le_bytes());
            payload.extend(self.shape.size.1.to_le_bytes());
        }
        payload.resize(len.max(payload.len() + Stamp::LEN) - Stamp::LEN, 0xAB);
        stamp.write(&mut payload);
        payload
    }

    fn packet(&mut self, payload: &[u8], marker: bool, now: Micros) -> Vec<u8> {
        let elements = [
            Element {
                id: MID_ID,
                value: b"1",
            },
            Element {
                id: RID_ID,
                value: self.shape.rid.as_bytes(),
            },
        ];
        let header = OutgoingHeader {
            marker,
            padding: false,
            payload_type: VP8,
            seq: self.seq,
            timestamp: self.timestamp(now),
            ssrc: Ssrc(self.ssrc),
            csrcs: &[],
            extensions: &elements,
            allow_two_byte: false,
        };
        self.seq = self.seq.wrapping_add(1);
        write(&header, payload)
    }

    /// What its sender report says.
    pub fn report(&self, now: Micros) -> SenderInfo {
        SenderInfo {
            ssrc: Ssrc(self.ssrc),
            ntp: NtpTime::from_unix_micros(1_000_000_000 + now.0),
            rtp_timestamp: self.timestamp(now),
            ..SenderInfo::default()
        }
    }
}

pub fn write(header: &OutgoingHeader, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 100];
    let len = write_header(&mut bytes, header).expect("room");
    bytes.truncate(len);
    bytes.extend_from_slice(payload);
    bytes
}
