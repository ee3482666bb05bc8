//! A receiver of one slot: puts packets in order, asks for what is missing, joins frames, finds what they refer to
//! (`references.rs`), decodes, and compares each conclusion with the truth in the stamps.

use super::camera::{DEPENDENCY, Stamp};
use super::references::{Finder, Numbers, Verdict};
use fork_router_engine::core::command::Codec;
use fork_router_engine::wire::ext::elements;
use fork_router_engine::wire::rtp::RtpHeader;
use std::collections::{BTreeMap, HashMap};

#[derive(Clone, Debug)]
struct Packet {
    timestamp: u32,
    marker: bool,
    codec: Codec,
    payload: Vec<u8>,
    dependency: Option<Vec<u8>>,
    contributor: u32,
}

#[derive(Clone, Debug)]
struct Frame {
    numbers: Numbers,
    codec: Codec,
    timestamp: u32,
    stamp: Stamp,
}

/// A frame that was decoded.
#[derive(Clone, Copy, Debug)]
pub struct Decoded {
    pub stamp: Stamp,
    pub codec: Codec,
    pub timestamp: u32,
    pub at_ms: u64,
}

/// See the module.
pub struct Receiver {
    seed: u64,
    ssrc: u32,
    rtx_ssrc: u32,
    packets: BTreeMap<i64, Packet>,
    unreadable: BTreeMap<i64, Packet>,
    highest: Option<i64>,
    first: i64,
    asked: HashMap<i64, (u32, u64)>,
    finder: Finder,
    kind: Option<(Codec, bool)>,
    offset: i64,
    structure: Option<(u8, u16)>,
    stash: Vec<Frame>,
    ready: BTreeMap<i64, (Frame, Vec<i64>)>,
    history: BTreeMap<i64, Stamp>,
    last_id: i64,
    last_pli_ms: u64,
    pub decoded: Vec<Decoded>,
    pub plis: u32,
    pub longest_stall_ms: u64,
    /// Frames whose ids went back, so that the receiver had to forget all before.
    pub cleared: u32,
}

/// Payload types of the slot, from the publishers': 10 more.
pub const PAYLOAD_TYPE_SHIFT: u8 = 10;
/// Time without a decoded frame after which a key frame is asked for.
const PATIENCE_MS: u64 = 300;

fn codec_of(payload_type: u8) -> Codec {
    match payload_type - PAYLOAD_TYPE_SHIFT {
        96 | 97 => Codec::Vp8,
        98 | 99 => Codec::Vp9,
        102 | 103 => Codec::H264,
        45 | 46 => Codec::Av1,
        other => panic!("payload type {other} was not negotiated"),
    }
}

impl Receiver {
    pub fn new(seed: u64, ssrc: u32, rtx_ssrc: u32) -> Self {
        Self {
            seed,
            ssrc,
            rtx_ssrc,
            packets: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            highest: None,
            first: 0,
            asked: HashMap::new(),
            finder: Finder::default(),
            kind: None,
            offset: 0,
            structure: None,
            stash: Vec::new(),
            ready: BTreeMap::new(),
            history: BTreeMap::new(),
            last_id: -1,
            last_pli_ms: 0,
            decoded: Vec::new(),
            plis: 0,
            longest_stall_ms: 0,
            cleared: 0,
        }
    }

    pub fn take(&mut self, bytes: &[u8], now_ms: u64) {
        let header = RtpHeader::parse(bytes).expect("what leaves is valid");
        let mut payload = header.payload.of(bytes);
        let mut seq = header.seq;
        if header.ssrc.0 == self.rtx_ssrc {
            seq = u16::from_be_bytes([payload[0], payload[1]]);
            payload = &payload[2..];
        } else {
            assert_eq!(header.ssrc.0, self.ssrc);
        }
        let seq = self.widen(seq);
        let dependency = header.extension.and_then(|block| {
            let mut found = elements(bytes, &block).filter(|(id, _)| *id == DEPENDENCY);
            found.next().map(|(_, value)| value.of(bytes).to_vec())
        });
        let packet = Packet {
            timestamp: header.timestamp,
            marker: header.marker,
            codec: codec_of(header.payload_type.0),
            payload: payload.to_vec(),
            dependency,
            contributor: header.csrcs().last().copied().unwrap_or(0),
        };
        if self.packets.contains_key(&seq) {
            return;
        }
        self.highest = self.highest.max(Some(seq));
        if !self.can_read(&packet) {
            self.unreadable.insert(seq, packet);
            return;
        }
        self.packets.insert(seq, packet);
        self.join(seq);
        for (seq, packet) in std::mem::take(&mut self.unreadable) {
            if self.can_read(&packet) {
                self.packets.insert(seq, packet);
                self.join(seq);
            } else {
                self.unreadable.insert(seq, packet);
            }
        }
        self.decode(now_ms);
    }

    fn widen(&mut self, seq: u16) -> i64 {
        let Some(highest) = self.highest else {
            self.first = i64::from(seq);
            return self.first;
        };
        highest + i64::from(seq.wrapping_sub(highest as u16) as i16)
    }

    /// A dependency descriptor is nothing without the structure of its key frame. What comes too early waits for it.
    fn can_read(&mut self, packet: &Packet) -> bool {
        let Some(value) = &packet.dependency else {
            return true;
        };
        let stamp = Stamp::read(&packet.payload);
        assert_eq!(packet.contributor, 0xC0_0000 + u32::from(stamp.camera));
        let number = u16::from_be_bytes([value[1], value[2]]);
        if value.len() > 3 {
            assert!(stamp.key && value[3..].contains(&stamp.camera));
            self.structure = Some((stamp.camera, number));
        }
        self.structure.is_some_and(|(camera, begun)| {
            camera == stamp.camera || (number.wrapping_sub(begun) as i16) < 0
        })
    }

    /// Joins the frame that a new packet completes.
    fn join(&mut self, seq: i64) {
        let packet = &self.packets[&seq];
        if packet.payload.is_empty() {
            self.finder.on_padding(seq);
            return;
        }
        let timestamp = packet.timestamp;
        let same = |at: i64| {
            let packet = self.packets.get(&at);
            packet.is_some_and(|it| it.timestamp == timestamp && !it.payload.is_empty())
        };
        let (mut first, mut last) = (seq, seq);
        while !self.is_first(first) && same(first - 1) {
            first -= 1;
        }
        while !self.packets[&last].marker && same(last + 1) {
            last += 1;
        }
        if !self.is_first(first) || !self.packets[&last].marker {
            return;
        }
        let frame = self.frame(first, last);
        self.reset_for(&frame);
        self.stash.push(frame);
        self.find();
    }

    fn is_first(&self, seq: i64) -> bool {
        let packet = &self.packets[&seq];
        let start = packet.payload[0];
        match packet.codec {
            Codec::Vp8 => start & 0x10 != 0,
            Codec::Vp9 => start & 0x08 != 0,
            Codec::H264 => start == 0x67 || (start, packet.payload[1]) == (0x7C, 0x81),
            _ => start & 0x80 == 0,
        }
    }

    fn frame(&self, first: i64, last: i64) -> Frame {
        let packet = &self.packets[&first];
        let payload = &packet.payload;
        let stamp = Stamp::read(payload);
        for seq in first..=last {
            let packet = &self.packets[&seq];
            let other = Stamp::read(&packet.payload);
            assert_eq!(other, stamp, "a frame of two, seed {}", self.seed);
            let id = 0xC0_0000 + u32::from(stamp.camera);
            assert_eq!(packet.contributor, id, "seed {}", self.seed);
        }
        let numbers = match (packet.codec, &packet.dependency) {
            (_, Some(value)) => Numbers::Dependency {
                frame: u16::from_be_bytes([value[1], value[2]]),
            },
            (Codec::Vp8, None) => Numbers::Vp8 {
                picture: u16::from_be_bytes([payload[2] & 0x7F, payload[3]]),
                tl0: payload[4],
                sync: payload[5] & 0x20 != 0,
            },
            (Codec::Vp9, None) => Numbers::Vp9 {
                picture: u16::from_be_bytes([payload[1] & 0x7F, payload[2]]),
                tl0: payload[4],
            },
            _ => Numbers::Sequence { first, last },
        };
        Frame {
            numbers,
            codec: packet.codec,
            timestamp: packet.timestamp,
            stamp,
        }
    }

    /// Another kind of numbers: they are counted from nothing, and behind all that was, when the codec is another too.
    fn reset_for(&mut self, frame: &Frame) {
        let generic = matches!(frame.numbers, Numbers::Dependency { .. });
        let kind = Some((frame.codec, generic));
        let newer = self
            .decoded
            .last()
            .is_none_or(|last| is_later(last.timestamp, frame.timestamp));
        if kind == self.kind || !newer {
            return;
        }
        if self.kind.map(|(codec, _)| codec) != Some(frame.codec) {
            self.offset = self.last_id + 65_535;
        }
        self.kind = kind;
        self.finder = Finder::default();
        self.stash.clear();
    }

    /// Tries all frames that wait for their references, until nothing new is found.
    fn find(&mut self) {
        let mut progress = true;
        while std::mem::take(&mut progress) {
            for frame in std::mem::take(&mut self.stash) {
                let generic = matches!(frame.numbers, Numbers::Dependency { .. });
                if self.kind != Some((frame.codec, generic)) {
                    continue;
                }
                match self.finder.find(frame.numbers, frame.stamp) {
                    Verdict::Found(id, refs) => {
                        progress = true;
                        let refs = refs.iter().map(|id| id + self.offset).collect();
                        self.ready.insert(id + self.offset, (frame, refs));
                    }
                    Verdict::Stash => self.stash.push(frame),
                    Verdict::Drop(why) => {
                        let decoded = self.decoded.last().map(|last| last.timestamp);
                        let found = self.ready.values().map(|(frame, _)| frame.timestamp);
                        let late = found
                            .chain(decoded)
                            .any(|timestamp| !is_later(timestamp, frame.timestamp));
                        assert!(late, "{why}: {frame:?}, seed {}", self.seed);
                    }
                }
            }
            // Packets of padding may continue a line that a frame has just reached.
            while let Some(seq) = self.padding_behind() {
                progress |= self.finder.on_padding(seq);
            }
        }
        let excess = self.stash.len().saturating_sub(100);
        self.stash.drain(..excess);
    }

    fn padding_behind(&self) -> Option<i64> {
        let next = self.finder.end()? + 1;
        let packet = self.packets.get(&next)?;
        packet.payload.is_empty().then_some(next)
    }

    fn decode(&mut self, now_ms: u64) {
        while let Some(id) = self.next_decodable() {
            let (frame, refs) = self.ready.remove(&id).expect("just found");
            self.check(&frame, &refs, now_ms);
            self.history.insert(id, frame.stamp);
            self.last_id = id;
            self.decoded.push(Decoded {
                stamp: frame.stamp,
                codec: frame.codec,
                timestamp: frame.timestamp,
                at_ms: now_ms,
            });
            self.ready = self.ready.split_off(&id);
        }
        self.history = self.history.split_off(&(self.last_id - 300));
        let old = self.highest.unwrap_or(0) - 3_000;
        self.packets = self.packets.split_off(&old);
        self.unreadable = self.unreadable.split_off(&old);
    }

    fn next_decodable(&mut self) -> Option<i64> {
        let back = self.ready.iter().find(|(id, (frame, _))| {
            let last = self.decoded.last();
            let newer = last.is_some_and(|last| is_later(last.timestamp, frame.timestamp));
            **id <= self.last_id && frame.stamp.key && newer
        });
        if let Some((&id, _)) = back {
            self.cleared += 1;
            self.history.clear();
            return Some(id);
        }
        let decodable = |refs: &[i64]| refs.iter().all(|id| self.history.contains_key(id));
        let mut later = self.ready.range(self.last_id + 1..);
        let found = later.find(|(_, (_, refs))| decodable(refs));
        found.map(|(id, _)| *id)
    }

    /// Compares what the numbers told with the truth.
    fn check(&mut self, frame: &Frame, refs: &[i64], now_ms: u64) {
        let seed = self.seed;
        let stamp = frame.stamp;
        assert_eq!(refs.is_empty(), stamp.key, "{frame:?}, seed {seed}");
        let seen: Vec<Stamp> = refs.iter().map(|id| self.history[id]).collect();
        assert!(
            seen.iter().all(|it| it.camera == stamp.camera),
            "refers to another camera: {frame:?} {seen:?}, seed {seed}"
        );
        let needed = stamp.index - u32::from(stamp.needs);
        assert!(
            stamp.key || seen.iter().any(|it| it.index == needed),
            "refers to the wrong frame: {frame:?} {seen:?}, seed {seed}"
        );
        if let Some(last) = self.decoded.last() {
            assert!(
                is_later(last.timestamp, frame.timestamp),
                "time stood or went back: {last:?} {frame:?}, seed {seed}"
            );
            self.longest_stall_ms = self.longest_stall_ms.max(now_ms - last.at_ms);
        }
    }

    /// Sequence numbers to ask for: after 15 ms, then every 50 ms, ten times.
    pub fn nacks(&mut self, now_ms: u64) -> Vec<u16> {
        let Some(highest) = self.highest else {
            return Vec::new();
        };
        let mut list = Vec::new();
        for seq in self.first.max(highest - 600)..highest {
            if self.packets.contains_key(&seq) || self.unreadable.contains_key(&seq) {
                continue;
            }
            let (tries, next) = self.asked.entry(seq).or_insert((0, now_ms + 15));
            if *next <= now_ms && *tries < 10 {
                (*tries, *next) = (*tries + 1, now_ms + 50);
                list.push(seq as u16);
            }
        }
        list
    }

    /// Whether to ask for a key frame now.
    pub fn wants_key_frame(&mut self, now_ms: u64) -> bool {
        if self.last_pli_ms == 0 {
            self.last_pli_ms = now_ms; // the beginning
        }
        let last = self.decoded.last().map_or(0, |last| last.at_ms);
        let wants = now_ms - last.max(self.last_pli_ms) > PATIENCE_MS;
        if wants {
            self.last_pli_ms = now_ms;
            self.plis += 1;
        }
        wants
    }

    /// How often the picture changed from one camera to another.
    pub fn changes(&self) -> usize {
        let pairs = self.decoded.windows(2);
        pairs
            .filter(|pair| pair[0].stamp.camera != pair[1].stamp.camera)
            .count()
    }
}

fn is_later(before: u32, after: u32) -> bool {
    after.wrapping_sub(before) as i32 > 0
}
