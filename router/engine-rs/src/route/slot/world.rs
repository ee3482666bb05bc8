//! A small world for the slot's tests: publishers' packets go through `ReceiveStream`, the slot's packets are read back.

use super::*;
use crate::core::command::{Extension, ExtensionIds};
use crate::ids::{SlotId, TransportId};
use crate::recv::testing::{Built, codec, producer, vp8};
use crate::recv::{Measured, ReceiveStream};
use crate::wire::DropReason;
use crate::wire::ext::{ExtensionMap, ExtensionValues};
use crate::wire::rtp::RtpHeader;

pub const SEED: SlotSeed = SlotSeed {
    seq: 500,
    timestamp: 9_000,
    rtx_seq: 60,
    jitter: 1,
};

/// Id of the dependency descriptor, the publishers' and the slot's.
pub const DEPENDENCY: u8 = 7;

/// A slot whose receiver accepts these codecs, at payload types 120, 110 and so on down. `dependency`: it agreed on the
/// dependency descriptor and on two-byte elements.
pub fn slot(codecs: &[Codec], rtx: bool, dependency: bool) -> Slot {
    let mut extensions = vec![(Extension::Mid, 4)];
    extensions.extend(dependency.then_some((Extension::DependencyDescriptor, DEPENDENCY)));
    let config = SlotConfig {
        id: SlotId(1),
        transport: TransportId(2),
        kind: if codecs[0] == Codec::Opus {
            MediaKind::Audio
        } else {
            MediaKind::Video
        },
        mid: None,
        ssrc: Ssrc(0xAAAA),
        rtx_ssrc: rtx.then_some(Ssrc(0xBBBB)),
        codecs: codecs
            .iter()
            .zip((90..=120).rev().step_by(10))
            .map(|(codec_of, payload_type)| {
                codec(*codec_of, payload_type, rtx.then_some(payload_type + 1))
            })
            .collect(),
        extensions: ExtensionIds(extensions),
        allow_mixed_extensions: dependency,
    };
    Slot::new(config, SEED)
}

/// Producers with their encodings, and one slot.
pub struct World {
    pub producers: Vec<(ProducerConfig, Vec<ReceiveStream>)>,
    pub slot: Slot,
    pub now: Micros,
}

/// What left the slot, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub ssrc: Ssrc,
    pub payload_type: u8,
    pub seq: u16,
    pub timestamp: u32,
    pub payload: Vec<u8>,
    pub bytes: Vec<u8>,
}

pub fn read(bytes: &[u8]) -> Sent {
    let header = RtpHeader::parse(bytes).expect("what we send is valid");
    Sent {
        ssrc: header.ssrc,
        payload_type: header.payload_type.0,
        seq: header.seq,
        timestamp: header.timestamp,
        payload: header.payload.of(bytes).to_vec(),
        bytes: bytes.to_vec(),
    }
}

impl World {
    pub fn new(codec_of: Codec, encodings: &[usize], rtx: bool) -> Self {
        let configs = encodings.iter().enumerate();
        let configs = configs.map(|(index, &count)| producer(index as u64 + 1, codec_of, count));
        Self::of(configs.collect(), slot(&[codec_of], rtx, false))
    }

    /// One producer of each codec, one encoding each, and a slot that accepts them all.
    pub fn mixed(codecs: &[Codec], rtx: bool, dependency: bool) -> Self {
        let configs = codecs.iter().enumerate();
        let configs = configs.map(|(index, &codec)| {
            let mut config = producer(index as u64 + 1, codec, 1);
            let dependency = (Extension::DependencyDescriptor, DEPENDENCY);
            config.extensions.0.push(dependency);
            config
        });
        Self::of(configs.collect(), slot(codecs, rtx, dependency))
    }

    fn of(configs: Vec<ProducerConfig>, slot: Slot) -> Self {
        let producers = configs.into_iter().map(|config| {
            let streams = (0..config.encodings.len())
                .map(|encoding| ReceiveStream::new(&config, encoding))
                .collect();
            (config, streams)
        });
        let mut world = Self {
            producers: producers.collect(),
            slot,
            now: Micros::from_secs(1),
        };
        world.assign(Some(0));
        world
    }

    pub fn assign(&mut self, producer: Option<usize>) {
        self.slot
            .assign(producer.map(|index| &self.producers[index].0));
    }

    pub fn pause(&mut self, producer: usize, paused: bool) {
        let id = self.producers[producer].0.id;
        self.slot.set_paused(id, paused);
    }

    pub fn wait(&mut self, ms: u64) {
        self.now = self.now + Micros::from_millis(ms);
    }

    pub fn select(&mut self, producer: usize) -> Option<u8> {
        let measured: Vec<Measured> = self.producers[producer]
            .1
            .iter_mut()
            .map(|stream| stream.measure(self.now))
            .collect();
        let producer = self.producers[producer].0.id;
        self.slot
            .select(producer, &Ladder::new(&measured), self.now)
    }

    /// A packet of an encoding arrives; what the slot sends of it.
    pub fn receive(&mut self, producer: usize, encoding: usize, built: &Built) -> Option<Sent> {
        let bytes = built.bytes();
        let header = RtpHeader::parse(&bytes).expect("valid");
        let (config, streams) = &mut self.producers[producer];
        let stream = &mut streams[encoding];
        let map = ExtensionMap::new(&config.extensions);
        let values = ExtensionValues::parse(&bytes, header.extension.as_ref(), &map);
        let packet = stream.on_rtp(&bytes, &header, &values, self.now).ok()?;
        stream.on_forward(&packet);
        let from = Incoming {
            producer: config.id,
            encoding: encoding as u8,
            anchor: stream.anchor(),
        };
        let mut out = [0; 1_600];
        let len = self.slot.on_packet(from, &packet, &mut out)?;
        Some(read(&out[..len]))
    }

    pub fn vp8(
        &mut self,
        encoding: usize,
        seq: u16,
        picture: u16,
        layer: u8,
        key: bool,
    ) -> Option<Sent> {
        self.vp8_of(0, encoding, seq, picture, layer, key)
    }

    pub fn vp8_of(
        &mut self,
        producer: usize,
        encoding: usize,
        seq: u16,
        picture: u16,
        layer: u8,
        key: bool,
    ) -> Option<Sent> {
        let payload = vp8(picture, picture as u8, layer, key);
        let ssrc = 10 + encoding as u32;
        let timestamp = u32::from(picture) * 3_000;
        self.receive(
            producer,
            encoding,
            &Built {
                seq,
                timestamp,
                ssrc,
                payload: &payload,
                ..Built::default()
            },
        )
    }

    pub fn repair(&mut self, seq: u16) -> Result<Sent, DropReason> {
        let mut out = [0; 1_600];
        let producers = &self.producers;
        let find = |id: ProducerId, encoding: u8| {
            let (_, streams) = producers.iter().find(|(config, _)| config.id == id)?;
            streams.get(usize::from(encoding))
        };
        self.slot
            .repair(seq, self.now, find, &mut out)
            .map(|len| read(&out[..len]))
    }
}
