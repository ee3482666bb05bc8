//! One received encoding of a published track: joins the parts of `recv` into one call per packet.
//!
//! Packets by RTX (RFC 4588) are put back into the original stream here, before history and forwarding, so nobody
//! behind this file knows RTX from the publisher. Which packet belongs to which stream is `core`'s to know.
//!
//! When the SSRC changes, the stream starts anew in another range of [`SeqNo`]: a number never names two packets.

use super::clock::Anchor;
use super::content::{Content, PayloadDescriptor, read_content};
use super::dependencies::Dependencies;
use super::history::History;
use super::keyframe::KeyFrameRequests;
use super::layer_meter::{LayerMeter, MeasuredLayers};
use super::layers::SPATIAL_LAYERS;
use super::nack::{Effect, NackTracker};
use super::packet::MediaPacket;
use super::parameter_sets::ParameterSets;
use super::payload_layers::SpatialLayers;
use super::reception::{Arrival, Reception};
use crate::core::command::{Codec, CodecConfig, Feedback, MediaKind, ProducerConfig};
use crate::core::stats::EncodingStats;
use crate::ids::{PayloadType, Rid, SeqNo, Ssrc};
use crate::media::Counted;
use crate::recv::freezes::FreezeMeter;
use crate::time::Micros;
use crate::wire::DropReason;
use crate::wire::ext::{ExtensionMap, ExtensionValues};
use crate::wire::red::RedPayload;
use crate::wire::rtcp::ReportBlock;
use crate::wire::rtp::RtpHeader;
use crate::wire::rtx;
use crate::wire::seq::SeqUnwrapper;

/// An encoding flows while its last packet is younger than this.
pub const FLOW_TIMEOUT: Micros = Micros::from_millis(1_000);
/// Distance between the number ranges of two SSRCs of one stream.
const GENERATION: u64 = 1 << 48;

/// What is measured of an encoding, for the choice of a layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Packets arrive.
    pub flowing: bool,
    /// Its layers; one at least when it flows.
    pub layers: MeasuredLayers,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    bytes: u64,
    header_bytes: u64,
    repaired: u64,
    /// Packets that came by RTX only.
    restored: u64,
    rtx_packets: u64,
    nacks: u64,
    plis: u64,
    firs: u64,
    key_frames: u64,
}

/// One received encoding.
#[derive(Clone, Debug)]
pub struct ReceiveStream {
    kind: MediaKind,
    codecs: Vec<CodecConfig>,
    extensions: ExtensionMap,
    rid: Option<Rid>,
    ssrc: Option<Ssrc>,
    rtx_ssrc: Option<Ssrc>,
    generation: u64,
    seqs: SeqUnwrapper,
    codec: Option<usize>,
    reception: Reception,
    nack: NackTracker,
    history: History,
    key_frames: KeyFrameRequests,
    parameter_sets: ParameterSets,
    /// Timestamp of the last key frame.
    key_timestamp: Option<u32>,
    meter: LayerMeter,
    freezes: FreezeMeter,
    /// Of the whole stream.
    size: Option<(u16, u16)>,
    /// Of each spatial layer, where the payload tells.
    layer_sizes: [Option<(u16, u16)>; SPATIAL_LAYERS],
    spatial: SpatialLayers,
    dependencies: Dependencies,
    anchor: Option<Anchor>,
    last_packet: Option<Micros>,
    counters: Counters,
}

impl ReceiveStream {
    /// An encoding of this producer, nothing received yet.
    pub fn new(producer: &ProducerConfig, encoding: usize) -> Self {
        let config = producer.encodings.get(encoding);
        Self {
            kind: producer.kind,
            codecs: producer.codecs.clone(),
            extensions: ExtensionMap::new(&producer.extensions),
            rid: config.and_then(|config| config.rid),
            ssrc: None,
            rtx_ssrc: None,
            generation: 0,
            seqs: SeqUnwrapper::default(),
            codec: None,
            reception: Reception::new(producer.codecs.first().map_or(0, |codec| codec.clock_rate)),
            nack: NackTracker::default(),
            history: History::new(producer.kind),
            key_frames: KeyFrameRequests::default(),
            parameter_sets: ParameterSets::default(),
            key_timestamp: None,
            meter: LayerMeter::default(),
            freezes: FreezeMeter::default(),
            size: None,
            layer_sizes: [None; SPATIAL_LAYERS],
            spatial: SpatialLayers::default(),
            dependencies: Dependencies::default(),
            anchor: None,
            last_packet: None,
            counters: Counters::default(),
        }
    }

    /// A packet of the stream itself. What comes back goes to the slots, also when its payload is empty: such packets
    /// of padding only take a sequence number, which the slots have to close up.
    pub fn on_rtp<'a>(
        &mut self,
        bytes: &'a [u8],
        header: &RtpHeader,
        extensions: &ExtensionValues,
        now: Micros,
    ) -> Result<MediaPacket<'a>, DropReason> {
        let index = self
            .codecs
            .iter()
            .position(|codec| codec.payload_type == header.payload_type);
        let index = index.ok_or(DropReason::UnknownPayloadType)?;
        self.check_redundancy(index, header.payload.of(bytes))?;
        let restarted = self.ssrc.is_some_and(|ssrc| ssrc != header.ssrc);
        if restarted {
            self.restart();
        }
        self.ssrc = Some(header.ssrc);
        if self.codec != Some(index) {
            self.codec = Some(index);
            self.reception.set_clock_rate(self.codecs[index].clock_rate);
            self.parameter_sets = ParameterSets::default();
        }
        let seq = self.seqs.unwrap(header.seq);
        let seq = self.number(seq);
        let arrival = self.reception.on_packet(seq, header.timestamp, now);
        if !arrival.is_new() {
            return Err(drop_reason(arrival));
        }
        self.learn_layers(bytes, extensions);
        let mut packet = self.packet(bytes, *header, extensions, seq, now);
        self.note_beginning(&mut packet);
        if let Some(descriptor) = &packet.content.descriptor {
            self.spatial.on_packet(descriptor, header.marker);
        }
        packet.restarts = restarted || arrival == Arrival::Jump;
        if arrival == Arrival::Jump {
            self.nack.restart(seq);
            self.request_key_frame(now);
        }
        self.counters.bytes += packet.payload().len() as u64;
        self.counters.header_bytes += (bytes.len() - packet.payload().len()) as u64;
        self.take(&packet);
        Ok(packet)
    }

    /// A packet of the stream's RTX. `None`: a probe of padding only.
    pub fn on_rtx<'a>(
        &mut self,
        bytes: &'a [u8],
        header: &RtpHeader,
        extensions: &ExtensionValues,
        now: Micros,
    ) -> Result<Option<MediaPacket<'a>>, DropReason> {
        let ssrc = self.ssrc.ok_or(DropReason::RtxUnknown)?;
        let index = self
            .codecs
            .iter()
            .position(|codec| codec.rtx_payload_type == Some(header.payload_type))
            .ok_or(DropReason::RtxUnknown)?;
        let payload_type = self.codecs[index].payload_type;
        self.rtx_ssrc = Some(header.ssrc);
        self.counters.rtx_packets += 1;
        let original = rtx::decapsulate(bytes, header, ssrc, payload_type)
            .map_err(|_| DropReason::RtxMalformed)?;
        let Some(original) = original else {
            return Ok(None);
        };
        self.check_redundancy(index, original.payload.of(bytes))?;
        let seq = self.number(self.seqs.peek(original.seq));
        let arrival = self.reception.on_retransmission(seq);
        if !arrival.is_new() {
            return Err(drop_reason(arrival));
        }
        self.counters.restored += 1;
        self.learn_layers(bytes, extensions);
        let mut packet = self.packet(bytes, original, extensions, seq, now);
        self.note_beginning(&mut packet);
        self.take(&packet);
        Ok(Some(packet))
    }

    /// The blocks of a RED payload must be of a codec that was negotiated: they may have to be taken out, or renamed.
    fn check_redundancy(&self, index: usize, payload: &[u8]) -> Result<(), DropReason> {
        if self.codecs[index].codec != Codec::Red || payload.is_empty() {
            return Ok(());
        }
        let red = RedPayload::parse(payload).map_err(|_| DropReason::RedMalformed)?;
        let opus = self.codecs.iter().filter(|it| it.codec == Codec::Opus);
        let known = red.consists_of(payload, |of| opus.clone().any(|it| it.payload_type == of));
        known.then_some(()).ok_or(DropReason::RedMalformed)
    }

    /// A stream with parameter sets of its own begins at these, not at the slices behind them.
    fn note_beginning(&mut self, packet: &mut MediaPacket) {
        let content = &mut packet.content;
        let begins = self.parameter_sets.begins(content, packet.header.timestamp);
        let told = content
            .dependency
            .is_some_and(|it| it.descriptor.begins_sequence());
        content.begins_key_frame = begins || told;
        if content.begins_key_frame {
            self.key_timestamp = Some(packet.header.timestamp);
        }
        packet.in_key_frame = self.key_timestamp == Some(packet.header.timestamp);
    }

    fn number(&self, seq: SeqNo) -> SeqNo {
        SeqNo(seq.0 + self.generation * GENERATION)
    }

    fn packet<'a>(
        &self,
        bytes: &'a [u8],
        header: RtpHeader,
        extensions: &ExtensionValues,
        seq: SeqNo,
        now: Micros,
    ) -> MediaPacket<'a> {
        let codec = self
            .codecs
            .iter()
            .find(|codec| codec.payload_type == header.payload_type);
        let payload = header.payload.of(bytes);
        let content = match codec {
            Some(codec) if !payload.is_empty() => {
                let descriptor = extensions.dependency_descriptor.unwrap_or_default();
                self.content(codec.codec, payload, descriptor.of(bytes))
            }
            _ => Content::default(),
        };
        MediaPacket {
            bytes,
            header,
            extensions: *extensions,
            seq,
            arrived: now,
            content,
            in_key_frame: false,
            restarts: false,
            padding: 0,
        }
    }

    fn content(&self, codec: Codec, payload: &[u8], dependency: &[u8]) -> Content {
        let mut content = read_content(codec, payload);
        content.layers = content.descriptor.and_then(|it| self.spatial.read(&it));
        match self.dependencies.read(dependency) {
            Some((dependency, layers)) => content.with_dependency(dependency, layers),
            None => content,
        }
    }

    /// Takes note of the layers that a packet tells of, before it is read itself.
    fn learn_layers(&mut self, bytes: &[u8], extensions: &ExtensionValues) {
        if let Some(value) = extensions.dependency_descriptor {
            self.dependencies.learn(value.of(bytes));
        }
    }

    /// What is the same for packets of both ways.
    fn take(&mut self, packet: &MediaPacket) {
        let now = packet.arrived;
        match self
            .nack
            .on_packet(packet.seq, packet.content.begins_key_frame, now)
        {
            Effect::Repaired => self.counters.repaired += 1,
            Effect::Reset => self.request_key_frame(now),
            Effect::None | Effect::Gap | Effect::Reordered => {}
        }
        self.last_packet = Some(now);
        let layer = packet.content.layers.map(|layers| layers.layer);
        let has_frame = !packet.payload().is_empty();
        let timestamp = Some(packet.header.timestamp).filter(|_| has_frame);
        self.meter
            .on_packet(layer, packet.bytes.len(), timestamp, now);
        if !has_frame {
            return;
        }
        self.note_sizes(packet);
        if self.kind == MediaKind::Video {
            let timestamp = packet.header.timestamp;
            self.freezes.on_packet(timestamp, packet.in_key_frame, now);
        }
        if packet.content.begins_key_frame {
            self.counters.key_frames += 1;
            self.key_frames.on_key_frame();
        }
        self.history
            .insert(packet.seq, &packet.header, packet.bytes, now);
    }

    fn note_sizes(&mut self, packet: &MediaPacket) {
        self.size = packet.content.size.or(self.size);
        if let (Some(_), Some(PayloadDescriptor::Vp9(descriptor))) =
            (packet.content.size, packet.content.descriptor)
        {
            let sizes = descriptor.sizes(packet.payload());
            for (own, size) in self.layer_sizes.iter_mut().zip(sizes) {
                *own = size.map(|size| (size.width, size.height));
            }
        }
    }

    fn restart(&mut self) {
        self.generation += 1;
        self.seqs = SeqUnwrapper::default();
        let clock_rate = self.codec.map_or(0, |index| self.codecs[index].clock_rate);
        self.reception = Reception::new(clock_rate);
        self.nack = NackTracker::default();
        self.history.clear();
        self.anchor = None;
        self.key_timestamp = None;
        self.meter.restart();
        self.spatial = SpatialLayers::default();
        self.dependencies = Dependencies::default();
    }

    /// A sender report of the stream. `anchor` is what the peer's clock made of it.
    pub fn on_sender_report(&mut self, ntp: u64, anchor: Anchor, now: Micros) {
        self.reception.on_sender_report(ntp, now);
        self.anchor = Some(anchor);
    }

    /// Where the stream's media clock meets engine time, as another worker learned it.
    pub fn set_anchor(&mut self, anchor: Anchor) {
        self.anchor = Some(anchor);
    }

    /// The report block for the publisher; `None` before the first packet.
    pub fn report(&mut self, now: Micros) -> Option<ReportBlock> {
        self.reception.report(self.ssrc?, now)
    }

    /// Round trip time to the publisher.
    pub fn set_rtt(&mut self, rtt: Micros) {
        self.nack.set_rtt(rtt);
    }

    /// Somebody needs a key frame. Does nothing for audio.
    pub fn request_key_frame(&mut self, now: Micros) {
        if self.kind == MediaKind::Video {
            self.key_frames.request(now);
        }
    }

    /// Which message asks the publisher for a key frame now, if one is due.
    pub fn poll_key_frame(&mut self, now: Micros) -> Option<Feedback> {
        let feedback = self.key_frame_feedback()?;
        if self.ssrc.is_none() || !self.key_frames.poll(now) {
            return None;
        }
        match feedback {
            Feedback::Fir => self.counters.firs += 1,
            _ => self.counters.plis += 1,
        }
        Some(feedback)
    }

    fn key_frame_feedback(&self) -> Option<Feedback> {
        let agreed = |feedback: Feedback| {
            self.config()
                .is_some_and(|codec| codec.feedback.contains(&feedback))
        };
        [Feedback::Pli, Feedback::Fir]
            .into_iter()
            .find(|&feedback| agreed(feedback))
    }

    fn config(&self) -> Option<&CodecConfig> {
        self.codec
            .and_then(|index| self.codecs.get(index))
            .or(self.codecs.first())
    }

    /// Calls `ask` for each packet to be named in a NACK now, ascending. Returns how many.
    pub fn poll_nack(&mut self, now: Micros, limit: usize, mut ask: impl FnMut(SeqNo)) -> usize {
        if !self
            .config()
            .is_some_and(|codec| codec.feedback.contains(&Feedback::Nack))
        {
            return 0;
        }
        let mut asked = 0;
        let given_up = self.nack.poll(now, limit, |seq| {
            asked += 1;
            ask(seq);
        });
        if given_up > 0 {
            self.request_key_frame(now);
        }
        self.counters.nacks += u64::from(asked > 0);
        asked
    }

    /// When [`Self::poll_nack`] has something to do.
    pub fn nack_deadline(&self) -> Option<Micros> {
        let nacks = self
            .config()
            .is_some_and(|codec| codec.feedback.contains(&Feedback::Nack));
        self.nack.deadline().filter(|_| nacks)
    }

    /// When [`Self::poll_key_frame`] has something to do.
    pub fn key_frame_deadline(&self) -> Option<Micros> {
        let ready = self.ssrc.is_some() && self.key_frame_feedback().is_some();
        self.key_frames.deadline().filter(|_| ready)
    }

    /// Measures for the choice of a layer.
    pub fn measure(&mut self, now: Micros) -> Measured {
        if !self.is_flowing(now) {
            return Measured::default();
        }
        let told = self.dependencies.is_nested();
        let is_nested = told.unwrap_or_else(|| self.spatial.is_nested());
        let (sizes, own) = (self.dependencies.sizes(), &self.layer_sizes);
        let mut layers = self.meter.measure(now, is_nested, |spatial| {
            let spatial = usize::from(spatial);
            sizes.get(spatial).copied().or(own[spatial])
        });
        // What is told of the whole is true of its highest layer.
        let top = layers.last().map_or(0, |layer| layer.spatial);
        for layer in layers.iter_mut().filter(|layer| layer.spatial == top) {
            layer.size = layer.size.or(self.size);
        }
        Measured {
            flowing: true,
            layers,
        }
    }

    /// It has just begun: what is measured of it is no measure yet of what it costs.
    pub fn is_young(&self, now: Micros) -> bool {
        self.meter.is_young(now)
    }

    /// Interarrival jitter.
    pub fn jitter(&self) -> Micros {
        Micros((self.reception.jitter_s() * 1e6) as u64)
    }

    /// What was counted so far, for the quality of what arrives here.
    pub fn counted(&mut self, now: Micros) -> Counted {
        let (freezes, lost) = (self.freezes.read(now), self.reception.lost());
        Counted {
            packets: self.reception.received() + lost,
            lost,
            repaired: self.counters.restored,
            frames: freezes.frames,
            frozen: freezes.duration,
        }
    }

    /// Packets arrived within [`FLOW_TIMEOUT`].
    pub fn is_flowing(&self, now: Micros) -> bool {
        self.last_packet
            .is_some_and(|last| now - last < FLOW_TIMEOUT)
    }

    /// Arrival of the last packet.
    pub fn last_packet(&self) -> Option<Micros> {
        self.last_packet
    }

    /// A packet is forwarded now, and can be had by [`Self::replay`] from here on as it is.
    #[inline]
    pub fn on_forward(&mut self, packet: &MediaPacket) {
        self.history.on_forward(packet.seq, packet.padding);
    }

    /// A packet that was forwarded once more, from the history.
    pub fn replay(&self, seq: SeqNo, now: Micros) -> Option<MediaPacket<'_>> {
        let kept = self.history.get(seq, now)?;
        let extension = kept.header.extension.as_ref();
        let extensions = ExtensionValues::parse(kept.bytes, extension, &self.extensions);
        let packet = self.packet(kept.bytes, *kept.header, &extensions, seq, now);
        Some(MediaPacket {
            padding: kept.padding,
            ..packet
        })
    }

    /// The packets kept for retransmission.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Where the stream's media clock meets engine time.
    pub fn anchor(&self) -> Option<Anchor> {
        self.anchor
    }

    /// SSRC of the stream, once known.
    pub fn ssrc(&self) -> Option<Ssrc> {
        self.ssrc
    }

    /// Codec and payload type of the last packet.
    pub fn codec(&self) -> Option<(Codec, PayloadType)> {
        self.codec
            .map(|index| (self.codecs[index].codec, self.codecs[index].payload_type))
    }

    /// Snapshot of the counters.
    pub fn stats(&mut self, now: Micros) -> EncodingStats {
        let counters = self.counters;
        let freezes = self.freezes.read(now);
        EncodingStats {
            ssrc: self.ssrc,
            rtx_ssrc: self.rtx_ssrc,
            rid: self.rid,
            packets_received: self.reception.received(),
            bytes_received: counters.bytes,
            header_bytes_received: counters.header_bytes,
            packets_lost: self.reception.lost() as i64,
            packets_duplicated: self.reception.duplicates(),
            packets_repaired: counters.repaired,
            retransmitted_packets_received: counters.rtx_packets,
            nack_count: counters.nacks,
            pli_count: counters.plis,
            fir_count: counters.firs,
            key_frames_received: counters.key_frames,
            frames_received: self.meter.total_frames(),
            jitter_s: self.reception.jitter_s(),
            frame_width: self.size.map(|(width, _)| width),
            frame_height: self.size.map(|(_, height)| height),
            frames_per_second: self.meter.frame_rate(now),
            bitrate_bps: self.meter.bps(now),
            layers: self.layers(now),
            freeze_count: freezes.count,
            total_freezes_duration_s: freezes.duration.as_secs_f64(),
            last_packet: self.last_packet,
        }
    }

    fn layers(&mut self, now: Micros) -> MeasuredLayers {
        let is_video = self.kind == MediaKind::Video;
        Some(self.measure(now).layers)
            .filter(|_| is_video)
            .unwrap_or_default()
    }
}

fn drop_reason(arrival: Arrival) -> DropReason {
    if arrival == Arrival::Duplicate {
        DropReason::Duplicate
    } else {
        DropReason::TooOld
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
