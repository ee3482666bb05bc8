//! An encoder of one codec with three temporal layers (H.264: one), whose packets tell what is in them.
//!
//! Frames repeat layers 0, 2, 1, 2. Behind whatever the codec wants, each payload ends with a [`Stamp`]: the truth that
//! the receiver's conclusions from numbers are compared with.

use fork_router_engine::core::command::Codec;
use fork_router_engine::ids::{PayloadType, Ssrc};
use fork_router_engine::wire::ext::Element;
use fork_router_engine::wire::rtcp::{NtpTime, SenderInfo};
use fork_router_engine::wire::rtp::{OutgoingHeader, RtpHeader, write_header};
use std::collections::HashMap;

/// Payload type of a codec at its publishers; RTX has the next one.
pub fn payload_type(codec: Codec) -> PayloadType {
    PayloadType(match codec {
        Codec::Vp8 => 96,
        Codec::Vp9 => 98,
        Codec::H264 => 102,
        _ => 45,
    })
}

/// Id of the dependency descriptor at the publishers.
pub const DEPENDENCY: u8 = 12;
/// Layers of the four frames that repeat.
pub const LAYERS: [u8; 4] = [0, 2, 1, 2];

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    pub camera: u8,
    pub key: bool,
    /// Place among the four frames.
    pub place: u8,
    /// How far back the frame is that this one needs; 0 for none.
    pub needs: u8,
    /// Number of the frame.
    pub index: u32,
    pub captured_ms: u64,
}

impl Stamp {
    pub const LEN: usize = 16;

    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend([self.camera, u8::from(self.key), self.place, self.needs]);
        payload.extend(self.index.to_be_bytes());
        payload.extend(self.captured_ms.to_be_bytes());
    }

    pub fn read(payload: &[u8]) -> Self {
        let bytes = &payload[payload.len() - Self::LEN..];
        Self {
            camera: bytes[0],
            key: bytes[1] == 1,
            place: bytes[2],
            needs: bytes[3],
            index: u32::from_be_bytes(bytes[4..8].try_into().expect("four bytes")),
            captured_ms: u64::from_be_bytes(bytes[8..].try_into().expect("eight bytes")),
        }
    }
}

pub struct Camera {
    pub id: u8,
    pub codec: Codec,
    /// Frames carry the dependency descriptor.
    pub dependency: bool,
    /// It makes key frames when it is asked.
    pub is_obedient: bool,
    pub key_frame_wanted: bool,
    pub key_frames: u32,
    pub ignored_requests: u32,
    ssrc: u32,
    seq: u16,
    rtx_seq: u16,
    timestamp_offset: u32,
    /// Its clock less ours.
    clock_skew_us: u64,
    picture: u16,
    tl0: u8,
    frame_number: u16,
    index: u32,
    since_key: u32,
    captured_ms: u64,
    sent: HashMap<u16, Vec<u8>>,
}

impl Camera {
    /// All its numbers begin shortly before they wrap.
    pub fn new(id: u8, codec: Codec, dependency: bool) -> Self {
        let near = u16::from(id) * 7;
        Self {
            id,
            codec,
            dependency,
            is_obedient: true,
            key_frame_wanted: true,
            key_frames: 0,
            ignored_requests: 0,
            ssrc: 1_000 + u32::from(id),
            seq: 65_530 - near,
            rtx_seq: 9,
            timestamp_offset: u32::MAX - 500_000 * u32::from(id),
            clock_skew_us: 3_600_000_000 * u64::from(id),
            picture: 0x7FFF - near,
            tl0: 250 - id,
            frame_number: 65_500 + near,
            index: 0,
            since_key: 0,
            captured_ms: 0,
            sent: HashMap::new(),
        }
    }

    fn timestamp(&self, at_ms: u64) -> u32 {
        self.timestamp_offset.wrapping_add((at_ms * 90) as u32)
    }

    pub fn on_key_frame_request(&mut self) {
        self.key_frame_wanted |= self.is_obedient;
        self.ignored_requests += u32::from(!self.is_obedient);
    }

    /// The next frame.
    pub fn frame(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        let key = std::mem::take(&mut self.key_frame_wanted);
        self.key_frames += u32::from(key);
        self.since_key = if key { 0 } else { self.since_key + 1 };
        self.index += 1;
        self.picture = (self.picture + 1) & 0x7FFF;
        self.frame_number = self.frame_number.wrapping_add(1);
        self.captured_ms = now_ms;
        let stamp = self.stamp(key);
        if LAYERS[usize::from(stamp.place)] == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        let starts = self.payload_starts(stamp);
        let count = starts.len();
        starts
            .into_iter()
            .enumerate()
            .map(|(at, start)| self.packet(stamp, start, (at, count)))
            .collect()
    }

    fn stamp(&self, key: bool) -> Stamp {
        let chained = self.codec == Codec::H264;
        let place = if chained {
            0
        } else {
            (self.since_key % 4) as u8
        };
        let needs = match place {
            _ if key => 0,
            _ if chained => 1,
            0 => 4,
            2 => 2,
            _ => 1,
        };
        Stamp {
            camera: self.id,
            key,
            place,
            needs,
            index: self.index,
            captured_ms: self.captured_ms,
        }
    }

    /// What the codec wants at the start of each packet of a frame.
    fn payload_starts(&self, stamp: Stamp) -> Vec<Vec<u8>> {
        match self.codec {
            Codec::Vp8 => (0..3).map(|at| self.vp8(stamp, at == 0)).collect(),
            Codec::Vp9 => (0..3).map(|at| self.vp9(stamp, at)).collect(),
            Codec::H264 if stamp.key => [&[0x67, 0x42, 0xC0][..], &[0x68, 1], &[0x65, 1]]
                .map(<[u8]>::to_vec)
                .to_vec(),
            Codec::H264 => vec![vec![0x7C, 0x81], vec![0x7C, 0x41]],
            _ => (0..3).map(|at| av1(stamp, at)).collect(),
        }
    }

    fn vp8(&self, stamp: Stamp, first: bool) -> Vec<u8> {
        let [high, low] = self.picture.to_be_bytes();
        let layer = LAYERS[usize::from(stamp.place)];
        // The last of the four refers to all layers, the others to the base layer alone.
        let sync = if matches!(stamp.place, 1 | 2) {
            0x20
        } else {
            0
        };
        let start = if first { 0x90 } else { 0x80 };
        let mut payload = vec![start, 0xE0, 0x80 | high, low, self.tl0, layer << 6 | sync];
        payload.push(u8::from(!stamp.key));
        payload
    }

    fn vp9(&self, stamp: Stamp, at: usize) -> Vec<u8> {
        let [high, low] = self.picture.to_be_bytes();
        let structure = stamp.key && at == 0;
        let bits = [
            (!stamp.key, 0x40),
            (at == 0, 0x08),
            (at == 2, 0x04),
            (structure, 0x02),
        ];
        let set = bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit);
        let layer = LAYERS[usize::from(stamp.place)] << 5 | 0x10;
        let mut payload = vec![0xA0 | set.sum::<u8>(), 0x80 | high, low, layer, self.tl0];
        if structure {
            // A group of four pictures, each with one reference: its layer, that it may be switched up at, how far back.
            payload.extend([0x08, 4]);
            for (layer, back) in LAYERS.into_iter().zip([4, 1, 2, 1]) {
                payload.extend([layer << 5 | 0x14, back]);
            }
        }
        payload
    }

    fn dependency_descriptor(&self, stamp: Stamp, (at, count): (usize, usize)) -> Vec<u8> {
        let bits = [(at == 0, 0x80), (at + 1 == count, 0x40)];
        let set = bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit);
        let [high, low] = self.frame_number.to_be_bytes();
        let mut value = vec![set.sum::<u8>() | stamp.place, high, low];
        if stamp.key && at == 0 {
            value.push(0x80);
            value.extend([self.id; 20]);
        }
        value
    }

    fn packet(&mut self, stamp: Stamp, start: Vec<u8>, place: (usize, usize)) -> Vec<u8> {
        let mut payload = start;
        payload.resize(payload.len() + 300, self.id);
        stamp.write(&mut payload);
        let descriptor = self.dependency_descriptor(stamp, place);
        let elements = [Element {
            id: DEPENDENCY,
            value: &descriptor,
        }];
        let header = OutgoingHeader {
            marker: place.0 + 1 == place.1,
            padding: false,
            payload_type: payload_type(self.codec),
            seq: self.seq,
            timestamp: self.timestamp(stamp.captured_ms),
            ssrc: Ssrc(self.ssrc),
            csrcs: &[],
            extensions: if self.dependency { &elements } else { &[] },
            allow_two_byte: true,
        };
        let packet = write(&header, &payload);
        self.sent.insert(self.seq, packet.clone());
        self.seq = self.seq.wrapping_add(1);
        packet
    }

    /// A packet once more, by RTX.
    pub fn repair(&mut self, seq: u16) -> Option<Vec<u8>> {
        let original = self.sent.get(&seq)?;
        let parsed = RtpHeader::parse(original).expect("own packet");
        let payload = [&seq.to_be_bytes()[..], parsed.payload.of(original)].concat();
        let descriptor = parsed.extension.map(|block| {
            let (_, value) = fork_router_engine::wire::ext::elements(original, &block)
                .next()
                .expect("one element");
            value.of(original).to_vec()
        });
        let elements: Vec<Element> = descriptor
            .iter()
            .map(|value| Element {
                id: DEPENDENCY,
                value,
            })
            .collect();
        self.rtx_seq = self.rtx_seq.wrapping_add(1);
        let header = OutgoingHeader {
            marker: parsed.marker,
            padding: false,
            payload_type: PayloadType(parsed.payload_type.0 + 1),
            seq: self.rtx_seq,
            timestamp: parsed.timestamp,
            ssrc: Ssrc(self.ssrc + 500),
            csrcs: &[],
            extensions: &elements,
            allow_two_byte: true,
        };
        Some(write(&header, &payload))
    }

    /// What its sender report says at a time of ours.
    pub fn report(&self, now_ms: u64) -> SenderInfo {
        SenderInfo {
            ssrc: Ssrc(self.ssrc),
            ntp: NtpTime::from_unix_micros(1_000_000_000 + self.clock_skew_us + now_ms * 1_000),
            rtp_timestamp: self.timestamp(now_ms),
            ..SenderInfo::default()
        }
    }
}

/// An OBU of a frame in three packets, with its layer; the first packet of a key frame says so.
fn av1(stamp: Stamp, at: usize) -> Vec<u8> {
    let continues = if at == 0 { 0 } else { 0x80 };
    let continued = if at == 2 { 0 } else { 0x40 };
    let begins = if stamp.key && at == 0 { 0x08 } else { 0 };
    let mut payload = vec![continues | continued | begins | 0x10];
    if at == 0 {
        payload.extend([0x34, LAYERS[usize::from(stamp.place)] << 5]);
    }
    payload
}

fn write(header: &OutgoingHeader, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 1_500];
    let len = write_header(&mut bytes, header).expect("room");
    bytes.truncate(len);
    bytes.extend_from_slice(payload);
    bytes
}
