//! A small world in virtual time for the media scenarios: publishers, lossy links, the router's receive and slot parts,
//! and a receiver that checks what it gets. Everything follows from the seed, which each failure names.

#![allow(dead_code)] // each scenario uses its part

use fork_router_engine::core::command::{
    Codec, CodecConfig, EncodingConfig, ExtensionIds, Feedback, MediaKind, ProducerConfig,
    SlotConfig,
};
use fork_router_engine::ids::{PayloadType, ProducerId, SlotId, Ssrc, TransportId};
use fork_router_engine::recv::ReceiveStream;
use fork_router_engine::route::ladder::Ladder;
use fork_router_engine::route::slot::Incoming;
use fork_router_engine::route::{Slot, SlotSeed};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::DropReason;
use fork_router_engine::wire::ext::ExtensionValues;
use fork_router_engine::wire::rtp::{OutgoingHeader, RtpHeader, write_header};
use std::collections::{BTreeMap, HashMap, HashSet};

pub const SLOT_SSRC: Ssrc = Ssrc(0xAAAA);
pub const SLOT_RTX: Ssrc = Ssrc(0xBBBB);
const MEDIA: PayloadType = PayloadType(96);
const RTX: PayloadType = PayloadType(97);

/// Xorshift, so that a seed means the same run for ever.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(10_000) < percent * 100
    }
}

/// What a link does to datagrams.
#[derive(Clone, Copy)]
pub struct Impairment {
    pub loss_percent: u64,
    pub duplicate_percent: u64,
    pub delay_ms: u64,
    pub jitter_ms: u64,
}

pub const CLEAN: Impairment = Impairment {
    loss_percent: 0,
    duplicate_percent: 0,
    delay_ms: 20,
    jitter_ms: 0,
};
pub const LOSSY: Impairment = Impairment {
    loss_percent: 5,
    duplicate_percent: 2,
    delay_ms: 20,
    jitter_ms: 8,
};

/// One direction of a path.
pub struct Link {
    pub impairment: Impairment,
    rng: Rng,
    queue: BTreeMap<(u64, u64), Vec<u8>>,
    count: u64,
    pub lost: u64,
}

impl Link {
    pub fn new(impairment: Impairment, seed: u64) -> Self {
        Self {
            impairment,
            rng: Rng::new(seed),
            queue: BTreeMap::new(),
            count: 0,
            lost: 0,
        }
    }

    pub fn send(&mut self, datagram: Vec<u8>, now_ms: u64) {
        if self.rng.percent(self.impairment.loss_percent) {
            self.lost += 1;
            return;
        }
        if self.rng.percent(self.impairment.duplicate_percent) {
            self.enqueue(datagram.clone(), now_ms);
        }
        self.enqueue(datagram, now_ms);
    }

    fn enqueue(&mut self, datagram: Vec<u8>, now_ms: u64) {
        let delay = self.impairment.delay_ms + self.rng.below(self.impairment.jitter_ms + 1);
        self.count += 1;
        self.queue.insert((now_ms + delay, self.count), datagram);
    }

    pub fn receive(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        let later = self.queue.split_off(&(now_ms + 1, 0));
        std::mem::replace(&mut self.queue, later)
            .into_values()
            .collect()
    }
}

/// One encoding at its sender: frames of VP8 or opus, and RTX for what is asked again.
pub struct Source {
    codec: Codec,
    ssrc: u32,
    seq: u16,
    rtx_seq: u16,
    timestamp: u32,
    picture: u16,
    id: u64,
    packets_per_frame: u64,
    size: u16,
    sent: HashMap<u16, (u32, bool, Vec<u8>)>,
    pub key_frame_wanted: bool,
}

impl Source {
    pub fn new(codec: Codec, ssrc: u32, seq: u16, timestamp: u32, packets_per_frame: u64) -> Self {
        Self {
            codec,
            ssrc,
            seq,
            rtx_seq: 65_530,
            timestamp,
            picture: 0x7FF0,
            id: u64::from(ssrc) << 32,
            packets_per_frame,
            size: 100 * packets_per_frame as u16,
            sent: HashMap::new(),
            key_frame_wanted: true,
        }
    }

    /// The next frame, `ticks` after the last one.
    pub fn frame(&mut self, ticks: u32) -> Vec<Vec<u8>> {
        self.timestamp = self.timestamp.wrapping_add(ticks);
        self.picture = (self.picture + 1) & 0x7FFF;
        let key = std::mem::take(&mut self.key_frame_wanted);
        (0..self.packets_per_frame)
            .map(|index| self.packet(index, key))
            .collect()
    }

    fn packet(&mut self, index: u64, key: bool) -> Vec<u8> {
        self.id += 1;
        let mut payload = Vec::new();
        if self.codec == Codec::Vp8 {
            let [high, low] = self.picture.to_be_bytes();
            let start = if index == 0 { 0x10 } else { 0 };
            payload.extend([0x80 | start, 0x80, 0x80 | high, low]);
            let [width, high] = self.size.to_le_bytes();
            payload.extend([
                u8::from(!key),
                0,
                0,
                0x9D,
                1,
                0x2A,
                width,
                high,
                width,
                high,
            ]);
        }
        payload.extend(self.id.to_be_bytes());
        payload.resize(900, self.id as u8);
        let marker = index + 1 == self.packets_per_frame;
        self.sent
            .insert(self.seq, (self.timestamp, marker, payload.clone()));
        let bytes = write(
            (MEDIA, self.ssrc, self.seq),
            self.timestamp,
            marker,
            &payload,
        );
        self.seq = self.seq.wrapping_add(1);
        bytes
    }

    /// The packet once more, by RTX.
    pub fn repair(&mut self, seq: u16) -> Option<Vec<u8>> {
        let (timestamp, marker, payload) = self.sent.get(&seq)?;
        let payload = [seq.to_be_bytes().as_slice(), payload].concat();
        self.rtx_seq = self.rtx_seq.wrapping_add(1);
        Some(write(
            (RTX, self.ssrc + 1_000, self.rtx_seq),
            *timestamp,
            *marker,
            &payload,
        ))
    }

    pub fn last_id(&self) -> u64 {
        self.id
    }
}

fn write(
    (payload_type, ssrc, seq): (PayloadType, u32, u16),
    timestamp: u32,
    marker: bool,
    payload: &[u8],
) -> Vec<u8> {
    let header = OutgoingHeader {
        marker,
        padding: false,
        payload_type,
        seq,
        timestamp,
        ssrc: Ssrc(ssrc),
        csrcs: &[],
        extensions: &[],
        allow_two_byte: false,
    };
    let mut bytes = vec![0; 1_500];
    let len = write_header(&mut bytes, &header).expect("room");
    bytes.truncate(len);
    bytes.extend_from_slice(payload);
    bytes
}

fn codec_config(codec: Codec, rtx: bool) -> CodecConfig {
    let video = codec != Codec::Opus;
    CodecConfig {
        payload_type: MEDIA,
        rtx_payload_type: rtx.then_some(RTX),
        codec,
        format: 1,
        clock_rate: if video { 90_000 } else { 48_000 },
        feedback: if video {
            vec![Feedback::Nack, Feedback::Pli]
        } else {
            vec![]
        },
    }
}

/// A published track: its sources, the way to the router, and what the router keeps of it.
pub struct Track {
    pub config: ProducerConfig,
    pub sources: Vec<Source>,
    pub uplink: Link,
    pub streams: Vec<ReceiveStream>,
}

impl Track {
    pub fn new(id: u64, sources: Vec<Source>, uplink: Link) -> Self {
        let codec = sources[0].codec;
        let config = ProducerConfig {
            id: ProducerId(id),
            transport: TransportId(id),
            kind: if codec == Codec::Opus {
                MediaKind::Audio
            } else {
                MediaKind::Video
            },
            mid: None,
            codecs: vec![codec_config(codec, true)],
            extensions: ExtensionIds::default(),
            encodings: vec![EncodingConfig::default(); sources.len()],
            contributor: id as u32,
            media_timeout: Micros::from_secs(5),
        };
        let streams = (0..sources.len())
            .map(|encoding| ReceiveStream::new(&config, encoding))
            .collect();
        Self {
            config,
            sources,
            uplink,
            streams,
        }
    }

    pub fn publish(&mut self, encoding: usize, ticks: u32, now_ms: u64) {
        for packet in self.sources[encoding].frame(ticks) {
            self.uplink.send(packet, now_ms);
        }
    }
}

/// What the receiver got, by widened sequence number.
#[derive(Default)]
pub struct Receiver {
    /// Media payloads by number; empty for a packet of padding only.
    pub got: BTreeMap<u64, (u32, Vec<u8>)>,
    highest: Option<u64>,
    asked: HashMap<u64, (u32, u64)>,
    pub duplicates: u64,
    pub by_rtx: u64,
}

impl Receiver {
    pub fn receive(&mut self, bytes: &[u8], seed: u64) {
        let header = RtpHeader::parse(bytes).expect("what leaves is valid");
        assert!(
            !header.csrcs().is_empty() || header.payload.is_empty(),
            "the contributor is named, seed {seed}"
        );
        let mut payload = header.payload.of(bytes);
        let mut seq = header.seq;
        if header.ssrc == SLOT_RTX {
            seq = u16::from_be_bytes([payload[0], payload[1]]);
            payload = &payload[2..];
            self.by_rtx += 1;
        }
        let wide = self.widen(seq);
        self.highest = self.highest.max(Some(wide));
        match self.got.get(&wide) {
            Some((timestamp, first)) => {
                assert_eq!(
                    (*timestamp, first.as_slice()),
                    (header.timestamp, payload),
                    "two plaintexts, seed {seed}"
                );
                self.duplicates += 1;
            }
            None => {
                self.got.insert(wide, (header.timestamp, payload.to_vec()));
            }
        }
    }

    fn widen(&self, seq: u16) -> u64 {
        let Some(highest) = self.highest else {
            return 0x1_0000 + u64::from(seq);
        };
        let distance = seq.wrapping_sub(highest as u16) as i16;
        highest
            .checked_add_signed(distance.into())
            .expect("far above zero")
    }

    /// Numbers missing between the first and the highest.
    pub fn missing(&self) -> Vec<u64> {
        let (Some(first), Some(highest)) = (self.got.keys().next(), self.highest) else {
            return Vec::new();
        };
        (*first..highest)
            .filter(|seq| !self.got.contains_key(seq))
            .collect()
    }

    /// What to ask for: each number missing of the newest 1000, first after 15 ms, then every 60 ms, ten times.
    pub fn nacks(&mut self, now_ms: u64) -> Vec<u16> {
        let (Some(first), Some(highest)) = (self.got.keys().next(), self.highest) else {
            return Vec::new();
        };
        let from = (*first).max(highest.saturating_sub(1_000));
        let got: HashSet<u64> = self.got.range(from..).map(|(seq, _)| *seq).collect();
        let mut list = Vec::new();
        for seq in (from..highest).filter(|seq| !got.contains(seq)) {
            let (tries, next) = self.asked.entry(seq).or_insert((0, now_ms + 15));
            if *next <= now_ms && *tries < 10 {
                *tries += 1;
                *next = now_ms + 60;
                list.push(seq as u16);
            }
        }
        list
    }

    /// Ids of the packets received, in order of their numbers, padding left out.
    pub fn ids(&self, codec: Codec) -> Vec<u64> {
        let skip = if codec == Codec::Vp8 { 14 } else { 0 };
        let payloads = self
            .got
            .values()
            .map(|(_, payload)| payload)
            .filter(|payload| !payload.is_empty());
        payloads
            .map(|payload| {
                u64::from_be_bytes(payload[skip..skip + 8].try_into().expect("eight bytes"))
            })
            .collect()
    }
}

/// The whole world: tracks, one slot, one receiver.
pub struct World {
    pub seed: u64,
    pub now_ms: u64,
    pub tracks: Vec<Track>,
    pub slot: Slot,
    pub downlink: Link,
    pub receiver: Receiver,
    pub refused: HashMap<DropReason, u64>,
    /// Numbers for which the router had nothing, when it was asked.
    pub unavailable: HashSet<u16>,
}

impl World {
    pub fn new(
        seed: u64,
        tracks: Vec<Track>,
        rtx: bool,
        downlink: Impairment,
        slot_seed: SlotSeed,
    ) -> Self {
        println!("seed {seed}");
        let codec = tracks[0].sources[0].codec;
        let config = SlotConfig {
            id: SlotId(1),
            transport: TransportId(99),
            kind: tracks[0].config.kind,
            mid: None,
            ssrc: SLOT_SSRC,
            rtx_ssrc: rtx.then_some(SLOT_RTX),
            codecs: vec![codec_config(codec, rtx)],
            extensions: ExtensionIds::default(),
            allow_mixed_extensions: false,
        };
        let mut slot = Slot::new(config, slot_seed);
        slot.assign(Some(&tracks[0].config));
        Self {
            seed,
            now_ms: 1_000,
            tracks,
            slot,
            downlink: Link::new(downlink, seed ^ 0xD0),
            receiver: Receiver::default(),
            refused: HashMap::new(),
            unavailable: HashSet::new(),
        }
    }

    fn now(&self) -> Micros {
        Micros::from_millis(self.now_ms)
    }

    pub fn assign(&mut self, track: usize) {
        self.slot.assign(Some(&self.tracks[track].config));
    }

    /// One millisecond: packets up, packets down, feedback both ways. Feedback takes no time and is not lost: it is the
    /// media's loss that is under test.
    pub fn tick(&mut self) {
        self.now_ms += 1;
        let now = self.now();
        let mut out = [0; 1_532];
        for track in &mut self.tracks {
            for bytes in track.uplink.receive(self.now_ms) {
                let header = RtpHeader::parse(&bytes).expect("valid");
                let ssrc = if header.payload_type == RTX {
                    header.ssrc.0 - 1_000
                } else {
                    header.ssrc.0
                };
                let encoding = track
                    .sources
                    .iter()
                    .position(|source| source.ssrc == ssrc)
                    .expect("known");
                let stream = &mut track.streams[encoding];
                let values = ExtensionValues::default();
                let packet = if header.payload_type == RTX {
                    stream.on_rtx(&bytes, &header, &values, now)
                } else {
                    stream.on_rtp(&bytes, &header, &values, now).map(Some)
                };
                let Ok(Some(packet)) = packet else { continue };
                let from = Incoming {
                    producer: track.config.id,
                    encoding: encoding as u8,
                    anchor: stream.anchor(),
                };
                stream.on_forward(&packet);
                if let Some(len) = self.slot.on_packet(from, &packet, &mut out) {
                    self.downlink.send(out[..len].to_vec(), self.now_ms);
                }
            }
            for (stream, source) in track.streams.iter_mut().zip(&mut track.sources) {
                let mut asked = Vec::new();
                stream.poll_nack(now, 100, |seq| asked.push(seq.wire()));
                for repair in asked.into_iter().filter_map(|seq| source.repair(seq)) {
                    track.uplink.send(repair, self.now_ms);
                }
                source.key_frame_wanted |= stream.poll_key_frame(now).is_some();
            }
        }
        if self.now_ms.is_multiple_of(100) {
            self.select();
        }
        for bytes in self.downlink.receive(self.now_ms) {
            self.receiver.receive(&bytes, self.seed);
        }
        if self.now_ms.is_multiple_of(5) {
            for seq in self.receiver.nacks(self.now_ms) {
                self.repair(seq);
            }
        }
    }

    fn select(&mut self) {
        let now = self.now();
        for track in &mut self.tracks {
            let measured: Vec<_> = track
                .streams
                .iter_mut()
                .map(|stream| stream.measure(now))
                .collect();
            if let Some(encoding) = self
                .slot
                .select(track.config.id, &Ladder::new(&measured), now)
            {
                track.streams[usize::from(encoding)].request_key_frame(now);
            }
        }
    }

    fn repair(&mut self, seq: u16) {
        let mut out = [0; 1_532];
        let tracks = &self.tracks;
        let find = |id: ProducerId, encoding: u8| {
            let track = tracks.iter().find(|track| track.config.id == id)?;
            track.streams.get(usize::from(encoding))
        };
        match self
            .slot
            .repair(seq, Micros::from_millis(self.now_ms), find, &mut out)
        {
            Ok(len) => self.downlink.send(out[..len].to_vec(), self.now_ms),
            Err(reason) => {
                *self.refused.entry(reason).or_default() += 1;
                if reason == DropReason::NackNotInHistory {
                    self.unavailable.insert(seq);
                }
            }
        }
    }

    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.tick();
        }
    }
}
