//! A slot: one sending m-line of a peer, with its SSRC, sequence and timestamp space for life, whatever it shows.
//!
//! `core` calls [`Slot::on_packet`] with every packet of the assigned producer, [`Slot::select`] now and then (and right
//! after [`Slot::assign`]), and hands in the receiver's RTCP. The slot switches to an encoding at a packet its decoder
//! can begin with, and answers NACKs from the producer's history within a budget (`slot/repair.rs`).

use super::budget::RepairBudget;
use super::picture::{PictureMapper, PictureNumbers};
use super::rewrite::{Form, Numbers, PlannedCodec, RewritePlan, Written};
use super::select::{Decision, Reason, Selector};
use super::seq::{Dropped, SeqManager, Verdict};
use super::timestamp::{SwitchPoint, TimestampMapper};
use crate::core::command::{Codec, Limits, MediaKind, ProducerConfig, SlotConfig};
use crate::core::stats::SlotStats;
use crate::ids::{PayloadType, ProducerId, Ssrc};
use crate::recv::clock::Anchor;
use crate::recv::{Measured, MediaPacket};
use crate::send::report::{ReceiverView, SenderReports};
use crate::time::Micros;
use crate::wire::rtcp::{ReportBlock, SenderInfo};

mod repair;

/// Where a slot's numbers begin: random, so that they tell nothing (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotSeed {
    /// Sequence number of the first packet; its top bit is ignored (RFC 3711 section 3.3.1).
    pub seq: u16,
    /// Timestamp of the first packet.
    pub timestamp: u32,
    /// Sequence number of the first RTX packet; its top bit is ignored.
    pub rtx_seq: u16,
    /// Spreads the sender reports.
    pub jitter: u32,
}

/// What must be known to make a sent packet once more.
#[derive(Clone, Copy, Debug)]
struct Note {
    /// What our timestamp was; absolute.
    timestamp: u32,
    /// When it was sent last, in milliseconds, modulo 2^32.
    last_ms: u32,
    picture: PictureNumbers,
    encoding: u8,
    copies: u8,
    /// Which assignment it belongs to, modulo 256.
    generation: u8,
    payload_type: PayloadType,
}

/// One producer shown in the slot, now or just before.
#[derive(Clone, Debug)]
struct Shown {
    producer: ProducerId,
    plan: RewritePlan,
    generation: u8,
    single: bool,
}

/// What the slot is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    /// Whatever begins first: nothing was measured yet.
    Any,
    Encoding(u8),
}

#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    packets: u64,
    bytes: u64,
    header_bytes: u64,
    repair_packets: u64,
    repair_bytes: u64,
    nacks: u64,
    plis: u64,
    firs: u64,
    trimmed: u64,
}

/// One sending m-line.
#[derive(Clone, Debug)]
pub struct Slot {
    config: SlotConfig,
    limits: Limits,
    current: Option<Shown>,
    former: Option<Shown>,
    generation: u8,
    paused: bool,
    wanted: Wanted,
    shown: Option<u8>,
    reason: Reason,
    selector: Selector,
    seq: SeqManager<Note>,
    timestamps: TimestampMapper,
    pictures: PictureMapper,
    rtx_seq: u16,
    budget: RepairBudget,
    reports: SenderReports,
    receiver: ReceiverView,
    codec: Option<PlannedCodec>,
    counters: Counters,
}

impl Slot {
    /// A slot that shows nothing.
    pub fn new(config: SlotConfig, seed: SlotSeed) -> Self {
        let kind = config.kind;
        Self {
            seq: SeqManager::new(seed.seq & 0x7FFF, kind),
            timestamps: TimestampMapper::new(seed.timestamp),
            reports: SenderReports::new(kind, seed.jitter),
            rtx_seq: seed.rtx_seq & 0x7FFF,
            config,
            limits: Limits::default(),
            current: None,
            former: None,
            generation: 0,
            paused: false,
            wanted: Wanted::Nothing,
            shown: None,
            reason: Reason::Unassigned,
            selector: Selector::default(),
            pictures: PictureMapper::default(),
            budget: RepairBudget::default(),
            receiver: ReceiverView::default(),
            codec: None,
            counters: Counters::default(),
        }
    }

    /// Shows a producer from its next key frame on, or nothing. What was shown before stops at once; its last packets
    /// can still be repaired. The same producer again changes nothing.
    pub fn assign(&mut self, producer: Option<&ProducerConfig>) {
        let same = self.current.as_ref().map(|shown| shown.producer)
            == producer.map(|producer| producer.id);
        if same {
            return;
        }
        self.stop();
        if let Some(shown) = self.current.take() {
            self.former = Some(shown);
        }
        self.selector = Selector::default();
        self.paused = false;
        self.wanted = Wanted::Nothing;
        self.reason = Reason::Unassigned;
        let Some(producer) = producer else { return };
        self.generation = self.generation.wrapping_add(1);
        let plan = RewritePlan::new(&self.config, producer);
        self.reason = if plan.has_codec() {
            Reason::NothingFlows
        } else {
            Reason::NoCodec
        };
        self.wanted = if plan.has_codec() {
            Wanted::Any
        } else {
            Wanted::Nothing
        };
        let single = producer.encodings.len() <= 1;
        self.current = Some(Shown {
            producer: producer.id,
            plan,
            generation: self.generation,
            single,
        });
    }

    /// The producer assigned.
    pub fn producer(&self) -> Option<ProducerId> {
        self.current.as_ref().map(|shown| shown.producer)
    }

    /// The producer was paused or resumed by the server.
    pub fn set_paused(&mut self, paused: bool) {
        if paused == self.paused || self.current.is_none() || self.reason == Reason::NoCodec {
            return;
        }
        self.paused = paused;
        self.stop();
        (self.wanted, self.reason) = if paused {
            (Wanted::Nothing, Reason::Paused)
        } else {
            (Wanted::Any, Reason::NothingFlows)
        };
    }

    /// Replaces all limits; they act at the next [`Self::select`].
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    fn stop(&mut self) {
        self.shown = None;
        self.seq.stop();
    }

    /// Chooses the encoding by what is measured of all of the producer's, in order. Returns the one whose key frame is
    /// needed now: ask for it each time, the requests merge.
    pub fn select(&mut self, measured: &[Measured], now: Micros) -> Option<u8> {
        if self.wanted == Wanted::Nothing
            && (self.paused || matches!(self.reason, Reason::NoCodec | Reason::Unassigned))
        {
            return None;
        }
        let decision = self
            .selector
            .decide(measured, &self.limits, self.shown, now);
        self.pictures.set_max_layer(decision.max_temporal_layer);
        self.reason = decision.reason;
        match decision {
            Decision {
                encoding: Some(encoding),
                ..
            } => self.wanted = Wanted::Encoding(encoding),
            // What is shown may fall silent and come back: its line goes on. Any other may take over.
            Decision {
                reason: Reason::NothingFlows,
                ..
            } => self.wanted = Wanted::Any,
            _ => {
                self.wanted = Wanted::Nothing;
                self.stop();
            }
        }
        self.waits_for()
    }

    /// The encoding whose key frame the slot waits for.
    fn waits_for(&self) -> Option<u8> {
        if self.config.kind == MediaKind::Audio {
            return None;
        }
        match self.wanted {
            Wanted::Encoding(encoding) => Some(encoding).filter(|_| self.shown != Some(encoding)),
            Wanted::Any
                if self.shown.is_none()
                    && self.current.as_ref().is_some_and(|shown| shown.single) =>
            {
                Some(0)
            }
            _ => None,
        }
    }

    /// A packet of one of the producer's encodings, with that encoding's clock. Returns how many bytes of `out` to send,
    /// if any. `out` must have room for [`super::rewrite::MAX_RTP`] bytes.
    pub fn on_packet(
        &mut self,
        encoding: u8,
        packet: &MediaPacket,
        anchor: Option<Anchor>,
        out: &mut [u8],
    ) -> Option<usize> {
        let codec = self
            .current
            .as_ref()?
            .plan
            .codec(packet.header.payload_type);
        let wanted = match self.wanted {
            Wanted::Nothing => return None,
            Wanted::Any => self.shown.is_none_or(|shown| shown != encoding),
            Wanted::Encoding(wanted) => wanted == encoding && self.shown != Some(encoding),
        };
        if let Some(codec) = codec {
            let begins = packet.content.begins_key_frame
                || !codec.waits_for_key_frame() && !packet.payload().is_empty();
            if wanted && begins {
                self.switch(encoding, packet, codec, anchor);
            } else if self.shown == Some(encoding) && packet.restarts {
                self.restart(begins, packet, codec, anchor);
            }
        }
        if self.shown != Some(encoding) {
            return None;
        }
        let Some(codec) = codec.filter(|_| !packet.payload().is_empty()) else {
            return self.skip(encoding, packet, out);
        };
        let Some(picture) = self.pictures.map(&packet.content) else {
            return self.skip(encoding, packet, out);
        };
        self.send(encoding, packet, codec, picture, anchor, out)
    }

    fn switch(
        &mut self,
        encoding: u8,
        packet: &MediaPacket,
        codec: PlannedCodec,
        anchor: Option<Anchor>,
    ) {
        self.shown = Some(encoding);
        // The first one that came stays until layers are measured.
        if self.wanted == Wanted::Any {
            self.wanted = Wanted::Encoding(encoding);
        }
        self.seq.switch(packet.seq);
        self.timestamps.switch(point(packet, codec, anchor));
        self.pictures.switch(&packet.content);
    }

    /// The shown stream jumped, or changed its SSRC.
    fn restart(
        &mut self,
        begins: bool,
        packet: &MediaPacket,
        codec: PlannedCodec,
        anchor: Option<Anchor>,
    ) {
        match self.shown {
            Some(encoding) if begins => self.switch(encoding, packet, codec, anchor),
            _ => self.stop(),
        }
    }

    fn note(
        &self,
        encoding: u8,
        packet: &MediaPacket,
        to: PayloadType,
        picture: PictureNumbers,
    ) -> Note {
        Note {
            timestamp: self.timestamps.map(packet.header.timestamp),
            last_ms: packet.arrived.as_millis() as u32,
            picture,
            encoding,
            copies: 0,
            generation: self.generation,
            payload_type: to,
        }
    }

    /// Drops a packet of the shown encoding without leaving a gap.
    fn skip(&mut self, encoding: u8, packet: &MediaPacket, out: &mut [u8]) -> Option<usize> {
        let to = self.codec?.to;
        let note = self.note(encoding, packet, to, PictureNumbers::default());
        let Dropped::Filler(number) = self.seq.drop_packet(packet.seq, note) else {
            return None;
        };
        let plan = &self.current.as_ref()?.plan;
        let written = plan.write_filler(to, number.wire(), note.timestamp, out)?;
        self.count(written, packet.arrived);
        Some(written.len)
    }

    fn send(
        &mut self,
        encoding: u8,
        packet: &MediaPacket,
        codec: PlannedCodec,
        picture: PictureNumbers,
        anchor: Option<Anchor>,
        out: &mut [u8],
    ) -> Option<usize> {
        let note = self.note(encoding, packet, codec.to, picture);
        let Verdict::Send(number) = self.seq.forward(packet.seq, note) else {
            return None;
        };
        let plan = &self.current.as_ref()?.plan;
        let numbers = Numbers {
            seq: number.wire(),
            timestamp: note.timestamp,
            picture,
        };
        let written = plan.write(packet, codec, numbers, Form::Media, out)?;
        self.codec = Some(codec);
        self.timestamps.on_sent(point(packet, codec, anchor));
        self.count(written, packet.arrived);
        Some(written.len)
    }

    fn count(&mut self, written: Written, now: Micros) {
        self.counters.packets += 1;
        self.counters.bytes += (written.len - written.header_len) as u64;
        self.counters.header_bytes += written.header_len as u64;
        self.counters.trimmed += u64::from(written.trimmed);
        self.budget.on_media(written.len, now);
        self.reports.on_sent(now);
    }

    /// The receiver lost the picture (PLI). Returns the encoding to ask for a key frame.
    pub fn on_pli(&mut self) -> Option<u8> {
        self.counters.plis += 1;
        self.key_frame_source()
    }

    /// The receiver wants a key frame (FIR). Returns the encoding to ask.
    pub fn on_fir(&mut self) -> Option<u8> {
        self.counters.firs += 1;
        self.key_frame_source()
    }

    fn key_frame_source(&self) -> Option<u8> {
        self.waits_for()
            .or(self.shown)
            .filter(|_| self.config.kind == MediaKind::Video)
    }

    /// A report block about this slot's SSRC.
    pub fn on_report(&mut self, block: &ReportBlock, now: Micros) {
        let clock_rate = self.codec.map_or(0, |codec| codec.clock_rate);
        if let Some(rtt) =
            self.receiver
                .on_report(block, clock_rate, self.reports.sent_at(block.last_sr), now)
        {
            self.budget.set_rtt(rtt);
        }
    }

    /// The sender report, when one is due. `wall_offset` is Unix time less engine time in microseconds, `anchor` the
    /// clock of the encoding shown.
    pub fn poll_report(
        &mut self,
        now: Micros,
        wall_offset: i64,
        anchor: Option<Anchor>,
    ) -> Option<SenderInfo> {
        if self.report_deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        let clock_rate = self.codec?.clock_rate;
        let rtp_timestamp = self.timestamps.timestamp_at(
            now,
            anchor.filter(|_| self.shown.is_some()),
            clock_rate,
        )?;
        Some(SenderInfo {
            ssrc: self.config.ssrc,
            ntp: self.reports.take(now, wall_offset),
            rtp_timestamp,
            packet_count: self.counters.packets as u32,
            octet_count: self.counters.bytes as u32,
        })
    }

    /// When [`Self::poll_report`] has something to do.
    pub fn report_deadline(&self) -> Option<Micros> {
        self.reports.deadline()
    }

    /// The encoding shown.
    pub fn encoding(&self) -> Option<u8> {
        self.shown
    }

    /// Why it shows what it shows.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// SSRC for life.
    pub fn ssrc(&self) -> Ssrc {
        self.config.ssrc
    }

    /// What the slot was made with.
    pub fn config(&self) -> &SlotConfig {
        &self.config
    }

    /// Round trip time by the receiver's reports.
    pub fn rtt(&self) -> Option<Micros> {
        self.receiver.rtt()
    }

    /// Snapshot of the counters.
    pub fn stats(&mut self, now: Micros) -> SlotStats {
        let counters = self.counters;
        SlotStats {
            id: self.config.id,
            kind: self.config.kind,
            mid: self.config.mid,
            ssrc: self.config.ssrc,
            rtx_ssrc: self.config.rtx_ssrc,
            producer: self.producer(),
            encoding: self.shown,
            reason: self.reason.text(),
            codec: self.codec.map(|codec| codec_name(codec.codec)),
            payload_type: self.codec.map(|codec| codec.to),
            packets_sent: counters.packets,
            bytes_sent: counters.bytes,
            header_bytes_sent: counters.header_bytes,
            retransmitted_packets_sent: counters.repair_packets,
            retransmitted_bytes_sent: counters.repair_bytes,
            nack_count: counters.nacks,
            pli_count: counters.plis,
            fir_count: counters.firs,
            bitrate_bps: self.budget.bps(now),
            packets_lost: self.receiver.packets_lost(),
            fraction_lost: self.receiver.fraction_lost(),
            jitter_s: self.receiver.jitter_s(),
            round_trip_time_s: self.receiver.rtt().map(Micros::as_secs_f64),
        }
    }
}

fn point(packet: &MediaPacket, codec: PlannedCodec, anchor: Option<Anchor>) -> SwitchPoint {
    let (timestamp, arrived) = (packet.header.timestamp, packet.arrived);
    SwitchPoint {
        timestamp,
        arrived,
        anchor,
        clock_rate: codec.clock_rate,
    }
}

/// The name that `router/_engine.pyi` gives a codec.
pub const fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::H264 => "h264",
        Codec::Av1 => "av1",
        Codec::Other => "other",
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
