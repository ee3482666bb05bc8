//! What peers send and expect: an encoder's packets, a receiver's view of a slot, configurations for both.

use fork_router_engine::core::command::{
    Codec, CodecConfig, EncodingConfig, Extension, ExtensionIds, Feedback, MediaKind,
    ProducerConfig, SlotConfig,
};
use fork_router_engine::ids::{Mid, PayloadType, ProducerId, Rid, SlotId, Ssrc, TransportId};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::ext::Element;
use fork_router_engine::wire::rtcp::{
    CompoundWriter, SenderInfo, write_cname, write_sender_report,
};
use fork_router_engine::wire::rtp::{OutgoingHeader, RtpHeader, write_header};
use std::collections::BTreeMap;

pub const VP8: PayloadType = PayloadType(96);
pub const VP8_RTX: PayloadType = PayloadType(97);
pub const OPUS: PayloadType = PayloadType(111);
/// The receivers' numbers differ on purpose.
pub const SLOT_VP8: PayloadType = PayloadType(100);
pub const SLOT_VP8_RTX: PayloadType = PayloadType(101);
pub const SLOT_OPUS: PayloadType = PayloadType(109);

pub const MID_ID: u8 = 4;
pub const RID_ID: u8 = 10;
pub const RRID_ID: u8 = 11;
pub const TWCC_ID: u8 = 3;
pub const LEVEL_ID: u8 = 1;
pub const SLOT_MID_ID: u8 = 9;

pub fn vp8(payload_type: PayloadType, rtx_payload_type: Option<PayloadType>) -> CodecConfig {
    let feedback = vec![
        Feedback::Nack,
        Feedback::Pli,
        Feedback::Fir,
        Feedback::TransportCc,
    ];
    CodecConfig {
        payload_type,
        rtx_payload_type,
        codec: Codec::Vp8,
        format: 8,
        clock_rate: 90_000,
        feedback,
    }
}

pub fn opus(payload_type: PayloadType) -> CodecConfig {
    let feedback = vec![Feedback::TransportCc];
    CodecConfig {
        payload_type,
        rtx_payload_type: None,
        codec: Codec::Opus,
        format: 1,
        clock_rate: 48_000,
        feedback,
    }
}

pub fn extensions() -> ExtensionIds {
    ExtensionIds(vec![
        (Extension::Mid, MID_ID),
        (Extension::Rid, RID_ID),
        (Extension::RepairedRid, RRID_ID),
        (Extension::TransportCc, TWCC_ID),
        (Extension::AudioLevel, LEVEL_ID),
    ])
}

pub fn video_producer(id: u64, transport: TransportId, rids: &[&str]) -> ProducerConfig {
    let encoding = |rid: &&str| EncodingConfig {
        rid: Rid::from(rid).ok(),
        ssrc: None,
        rtx_ssrc: None,
    };
    let mut encodings: Vec<EncodingConfig> = rids.iter().map(encoding).collect();
    if encodings.is_empty() {
        encodings.push(EncodingConfig::default());
    }
    ProducerConfig {
        id: ProducerId(id),
        transport,
        kind: MediaKind::Video,
        mid: Mid::from("1").ok(),
        codecs: vec![vp8(VP8, Some(VP8_RTX))],
        extensions: extensions(),
        encodings,
        contributor: 0xC0_0000 + id as u32,
        media_timeout: Micros::from_secs(5),
    }
}

pub fn audio_producer(id: u64, transport: TransportId) -> ProducerConfig {
    ProducerConfig {
        kind: MediaKind::Audio,
        mid: Mid::from("0").ok(),
        codecs: vec![opus(OPUS)],
        ..video_producer(id, transport, &[])
    }
}

pub fn video_slot(id: u64, transport: TransportId, rtx: bool) -> SlotConfig {
    SlotConfig {
        id: SlotId(id),
        transport,
        kind: MediaKind::Video,
        mid: Mid::from("v").ok(),
        ssrc: Ssrc(0x5000_0000 + id as u32),
        rtx_ssrc: rtx.then_some(Ssrc(0x6000_0000 + id as u32)),
        codecs: vec![vp8(SLOT_VP8, rtx.then_some(SLOT_VP8_RTX))],
        extensions: ExtensionIds(vec![
            (Extension::Mid, SLOT_MID_ID),
            (Extension::AudioLevel, 2),
        ]),
        allow_mixed_extensions: false,
    }
}

pub fn audio_slot(id: u64, transport: TransportId) -> SlotConfig {
    SlotConfig {
        kind: MediaKind::Audio,
        mid: Mid::from("a").ok(),
        codecs: vec![opus(SLOT_OPUS)],
        ..video_slot(id, transport, false)
    }
}

/// One encoder: a video layer or an audio source.
#[derive(Clone)]
pub struct Encoder {
    pub ssrc: u32,
    pub payload_type: PayloadType,
    pub mid: Option<&'static str>,
    pub rid: Option<&'static str>,
    pub seq: u16,
    pub timestamp: u32,
    pub size: (u16, u16),
    pub payload_len: usize,
    pub picture_id: u16,
    pub csrcs: Vec<u32>,
    pub transport_cc: Option<u16>,
    /// RFC 6464 level.
    pub level: Option<u8>,
    /// What was sent, for retransmission.
    pub sent: BTreeMap<u16, Vec<u8>>,
}

impl Encoder {
    pub fn video(ssrc: u32) -> Self {
        Self {
            ssrc,
            payload_type: VP8,
            mid: Some("1"),
            rid: None,
            seq: 1000,
            timestamp: 90_000,
            size: (640, 360),
            payload_len: 300,
            picture_id: 10,
            csrcs: Vec::new(),
            transport_cc: None,
            level: None,
            sent: BTreeMap::new(),
        }
    }

    pub fn audio(ssrc: u32) -> Self {
        Self {
            payload_type: OPUS,
            mid: Some("0"),
            payload_len: 80,
            ..Self::video(ssrc)
        }
    }

    fn write(
        &self,
        ssrc: u32,
        payload_type: PayloadType,
        seq: u16,
        marker: bool,
        payload: &[u8],
    ) -> Vec<u8> {
        let twcc = self.transport_cc.unwrap_or(0).to_be_bytes();
        let level = self.level.unwrap_or(0).to_be_bytes();
        let mut elements = Vec::new();
        let is_rtx = payload_type == VP8_RTX;
        if let Some(mid) = self.mid {
            elements.push(Element {
                id: MID_ID,
                value: mid.as_bytes(),
            });
        }
        if let Some(rid) = self.rid {
            elements.push(Element {
                id: if is_rtx { RRID_ID } else { RID_ID },
                value: rid.as_bytes(),
            });
        }
        if self.transport_cc.is_some() {
            elements.push(Element {
                id: TWCC_ID,
                value: &twcc,
            });
        }
        if self.level.is_some() {
            elements.push(Element {
                id: LEVEL_ID,
                value: &level,
            });
        }
        let header = OutgoingHeader {
            marker,
            padding: false,
            payload_type,
            seq,
            timestamp: self.timestamp,
            ssrc: Ssrc(ssrc),
            csrcs: &self.csrcs,
            extensions: &elements,
            allow_two_byte: false,
        };
        let mut buffer = [0; 1500];
        let len = write_header(&mut buffer, &header).unwrap();
        let mut packet = buffer[..len].to_vec();
        packet.extend_from_slice(payload);
        packet
    }

    /// A frame of video in this many packets; the time stands until `pass` is called.
    pub fn frame(&mut self, key: bool, packets: usize) -> Vec<Vec<u8>> {
        let mut frame = Vec::new();
        self.picture_id = (self.picture_id + 1) & 0x7FFF;
        for index in 0..packets {
            let mut payload = Vec::new();
            if self.payload_type == VP8 {
                let start = if index == 0 { 0x90 } else { 0x80 };
                payload.extend([
                    start,
                    0x80,
                    0x80 | (self.picture_id >> 8) as u8,
                    self.picture_id as u8,
                ]);
                if index == 0 {
                    let (width, height) = self.size;
                    payload.push(u8::from(!key) | 0x10);
                    payload.extend([0, 0, 0x9D, 0x01, 0x2A]);
                    payload.extend(width.to_le_bytes());
                    payload.extend(height.to_le_bytes());
                }
            }
            payload.resize(self.payload_len, self.seq as u8);
            let packet = self.write(
                self.ssrc,
                self.payload_type,
                self.seq,
                index + 1 == packets,
                &payload,
            );
            self.sent.insert(self.seq, packet.clone());
            self.seq = self.seq.wrapping_add(1);
            self.transport_cc = self.transport_cc.map(|seq| seq.wrapping_add(1));
            frame.push(packet);
        }
        frame
    }

    pub fn pass(&mut self, ticks: u32) {
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    /// The RTX packet for a lost one.
    pub fn rtx(&self, rtx_ssrc: u32, rtx_seq: u16, lost: u16) -> Option<Vec<u8>> {
        let original = self.sent.get(&lost)?;
        let header = RtpHeader::parse(original).unwrap();
        let mut payload = lost.to_be_bytes().to_vec();
        payload.extend_from_slice(header.payload.of(original));
        let mut then = self.clone();
        then.timestamp = header.timestamp;
        Some(then.write(rtx_ssrc, VP8_RTX, rtx_seq, header.marker, &payload))
    }
}

/// A receiver's view of one slot.
#[derive(Default)]
pub struct Receiver {
    pub ssrc: u32,
    pub rtx_ssrc: Option<u32>,
    /// Packets by sequence number, in the order of the wrapped line: relative to the first.
    pub packets: BTreeMap<i64, Vec<u8>>,
    pub duplicates: usize,
    pub by_rtx: usize,
    highest: Option<i64>,
}

impl Receiver {
    pub fn new(ssrc: Ssrc, rtx_ssrc: Option<Ssrc>) -> Self {
        Self {
            ssrc: ssrc.0,
            rtx_ssrc: rtx_ssrc.map(|ssrc| ssrc.0),
            ..Self::default()
        }
    }

    fn widen(&self, seq: u16) -> i64 {
        match self.highest {
            None => i64::from(seq),
            Some(highest) => highest + i64::from(seq.wrapping_sub(highest as u16) as i16),
        }
    }

    pub fn take(&mut self, packet: &[u8]) {
        let header = RtpHeader::parse(packet).expect("RTP to a receiver");
        let seq = if Some(header.ssrc.0) == self.rtx_ssrc {
            let payload = header.payload.of(packet);
            if payload.len() < 2 {
                return;
            }
            self.by_rtx += 1;
            self.widen(u16::from_be_bytes([payload[0], payload[1]]))
        } else if header.ssrc.0 == self.ssrc {
            self.widen(header.seq)
        } else {
            return;
        };
        self.highest = self.highest.max(Some(seq));
        if self.packets.insert(seq, packet.to_vec()).is_some() {
            self.duplicates += 1;
        }
    }

    /// Sequence numbers missing between the first and the last.
    pub fn missing(&self) -> Vec<u16> {
        let (Some((first, _)), Some((last, _))) = (
            self.packets.first_key_value(),
            self.packets.last_key_value(),
        ) else {
            return Vec::new();
        };
        (*first..=*last)
            .filter(|seq| !self.packets.contains_key(seq))
            .map(|seq| seq as u16)
            .collect()
    }
}

/// A camera's sender report with its name, as one compound packet.
pub fn camera_report(info: &SenderInfo) -> Vec<u8> {
    let mut buffer = [0; 200];
    let mut writer = CompoundWriter::new(&mut buffer);
    let written = writer.push(|buffer| write_sender_report(buffer, info, &[]));
    written.expect("room");
    let named = writer.push(|buffer| write_cname(buffer, &[info.ssrc], "camera"));
    named.expect("room");
    let len = writer.len();
    buffer[..len].to_vec()
}
