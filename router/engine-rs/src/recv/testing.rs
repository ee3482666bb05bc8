//! Packets and configurations for the unit tests of `recv` and `route`.

use crate::core::command::{
    Codec, CodecConfig, EncodingConfig, Extension, ExtensionIds, Feedback, MediaKind,
    ProducerConfig,
};
use crate::ids::{PayloadType, ProducerId, Ssrc, TransportId};
use crate::time::Micros;
use crate::wire::ext::Element;
use crate::wire::rtp::{OutgoingHeader, write_header};

/// A packet to be built.
pub struct Built<'a> {
    pub payload_type: u8,
    pub seq: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub marker: bool,
    pub csrcs: &'a [u32],
    pub extensions: &'a [Element<'a>],
    pub payload: &'a [u8],
    pub padding: u8,
}

impl Default for Built<'_> {
    fn default() -> Self {
        Self {
            payload_type: 96,
            seq: 0,
            timestamp: 0,
            ssrc: 1,
            marker: false,
            csrcs: &[],
            extensions: &[],
            payload: b"payload",
            padding: 0,
        }
    }
}

impl Built<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2_000];
        let header = OutgoingHeader {
            marker: self.marker,
            padding: self.padding > 0,
            payload_type: PayloadType(self.payload_type),
            seq: self.seq,
            timestamp: self.timestamp,
            ssrc: Ssrc(self.ssrc),
            csrcs: self.csrcs,
            extensions: self.extensions,
            allow_two_byte: true,
        };
        let len = write_header(&mut buffer, &header).expect("room");
        buffer.truncate(len);
        buffer.extend_from_slice(self.payload);
        if self.padding > 0 {
            buffer.extend(std::iter::repeat_n(0, usize::from(self.padding) - 1));
            buffer.push(self.padding);
        }
        buffer
    }
}

pub fn codec(codec: Codec, payload_type: u8, rtx: Option<u8>) -> CodecConfig {
    CodecConfig {
        payload_type: PayloadType(payload_type),
        rtx_payload_type: rtx.map(PayloadType),
        codec,
        format: codec as u32,
        clock_rate: if codec == Codec::Opus { 48_000 } else { 90_000 },
        feedback: if codec == Codec::Opus {
            vec![]
        } else {
            vec![Feedback::Nack, Feedback::Pli]
        },
    }
}

pub fn producer(id: u64, codec_of: Codec, encodings: usize) -> ProducerConfig {
    let kind = if codec_of == Codec::Opus {
        MediaKind::Audio
    } else {
        MediaKind::Video
    };
    ProducerConfig {
        id: ProducerId(id),
        transport: TransportId(1),
        kind,
        mid: None,
        codecs: vec![codec(codec_of, 96, Some(97))],
        extensions: ExtensionIds(vec![
            (Extension::AudioLevel, 1),
            (Extension::VideoOrientation, 13),
        ]),
        encodings: vec![EncodingConfig::default(); encodings],
        contributor: 0xC0 + id as u32,
        media_timeout: Micros::from_secs(5),
    }
}

/// A VP8 payload: extended descriptor with a 15-bit picture id, TL0PICIDX and layer; layers above 0 are sync points.
pub fn vp8(picture_id: u16, tl0: u8, layer: u8, key: bool) -> Vec<u8> {
    let [high, low] = (picture_id & 0x7FFF).to_be_bytes();
    let sync = if layer > 0 { 0x20 } else { 0 };
    let mut payload = vec![0x90, 0xE0, 0x80 | high, low, tl0, layer << 6 | sync];
    payload.extend_from_slice(&[u8::from(!key), 0, 0]);
    payload.extend_from_slice(&[0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01]);
    payload.extend_from_slice(&[picture_id as u8; 60]);
    payload
}
