//! A slot: one sending m-line of a peer, with its SSRC, sequence and timestamp space for life, whatever it shows.
//!
//! `core` calls [`Slot::on_packet`] with every packet of the producers it shows and waits for, [`Slot::select`] now and
//! then (and right after [`Slot::assign`]), and hands in the receiver's RTCP. The slot switches to an encoding at a packet
//! its decoder can begin with, and answers NACKs from the producer's history within a budget (`slot/repair.rs`).
//!
//! Video is made before it is broken: what is shown goes on until the key frame of what was assigned comes. So a slot
//! has up to two producers (`slot/source.rs`). Invariant: one waits only while another is shown.

use super::budget::RepairBudget;
use super::encodings::Encodings;
use super::ladder::Ladder;
use super::picture::{PictureMapper, PictureNumbers, PictureShift};
use super::rewrite::{Form, Numbers, PlannedCodec, Written};
use super::select::{Allowed, Reason, Share};
use super::seq::{Dropped, SeqManager, Verdict};
use super::timestamp::{SwitchPoint, TimestampMapper};
use crate::core::command::{Codec, Limits, MediaKind, ProducerConfig, SlotConfig};
use crate::ids::{PayloadType, ProducerId, Ssrc};
use crate::recv::MediaPacket;
use crate::recv::clock::Anchor;
use crate::send::report::{ReceiverView, SenderReports};
use crate::time::Micros;
use crate::wire::rtcp::{ReportBlock, SenderInfo};
use assess::Judged;
use copies::CopyLog;
use source::Source;

pub mod assess;
mod copies;
mod probe;
mod repair;
mod snapshot;
mod source;

/// Of every video payload (RFC 6184, 7741, 9628 and the AV1 specification), and of no audio that we know.
const VIDEO_CLOCK: u32 = 90_000;

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

/// What must be known to make a sent packet once more, besides what its producer keeps of it ([`MediaPacket`]): packets
/// that follow each other share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    /// What was added to the packet's timestamp; of a filler, the timestamp itself.
    timestamp: u32,
    picture: PictureShift,
    encoding: u8,
    /// Which assignment it belongs to, modulo 256.
    generation: u8,
    payload_type: PayloadType,
}

/// Where a packet comes from.
#[derive(Clone, Copy, Debug)]
pub struct Incoming {
    /// Its producer.
    pub producer: ProducerId,
    /// Index of the encoding.
    pub encoding: u8,
    /// The encoding's clock.
    pub anchor: Option<Anchor>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    packets: u64,
    bytes: u64,
    header_bytes: u64,
    repair_packets: u64,
    repair_bytes: u64,
    trimmed: u64,
}

/// One sending m-line. In this order: what every packet needs comes first, and is fetched ahead ([`Slot::HOT`]).
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Slot {
    /// Shown, or the one to be shown next when nothing is.
    current: Option<Box<Source>>,
    /// Assigned, and shown from its key frame on.
    waiting: Option<Box<Source>>,
    /// The encoding of `current` that is shown.
    shown: Option<u8>,
    generation: u8,
    codec: Option<PlannedCodec>,
    seq: SeqManager<Note>,
    timestamps: TimestampMapper,
    pictures: PictureMapper,
    counters: Counters,
    budget: RepairBudget,
    reports: SenderReports,
    /// Timestamp of the last packet, so that the meter of freezes is looked at once a frame.
    frame: u32,
    config: SlotConfig,
    allowed: Allowed,
    /// Shown before: its last packets can still be repaired.
    former: Option<Box<Source>>,
    copies: CopyLog,
    rtx_seq: u16,
    receiver: ReceiverView,
    /// Once something was sent or asked for.
    judged: Option<Box<Judged>>,
}

impl Slot {
    /// Bytes from the beginning that every packet needs.
    pub const HOT: usize = std::mem::offset_of!(Self, config);

    /// A slot that shows nothing.
    pub fn new(config: SlotConfig, seed: SlotSeed) -> Self {
        let kind = config.kind;
        Self {
            seq: SeqManager::new(seed.seq & 0x7FFF, kind),
            timestamps: TimestampMapper::new(seed.timestamp),
            reports: SenderReports::new(kind, seed.jitter),
            copies: CopyLog::default(),
            rtx_seq: seed.rtx_seq & 0x7FFF,
            config,
            allowed: Allowed::default(),
            current: None,
            waiting: None,
            former: None,
            generation: 0,
            shown: None,
            pictures: PictureMapper::default(),
            budget: RepairBudget::default(),
            receiver: ReceiverView::default(),
            frame: seed.timestamp.wrapping_sub(1),
            judged: None,
            codec: None,
            counters: Counters::default(),
        }
    }

    /// Shows a producer, or nothing. Video begins at its next key frame, and what was shown goes on until then; audio
    /// and nothing take its place at once. The same producer again changes nothing; the one shown cancels another that
    /// waits.
    pub fn assign(&mut self, producer: Option<&ProducerConfig>) {
        let id = producer.map(|producer| producer.id);
        if id == self.producer() {
            return;
        }
        self.waiting = None;
        if id == self.current.as_ref().map(|source| source.producer) {
            return;
        }
        let next = producer.map(|producer| {
            self.generation = self.generation.wrapping_add(1);
            Box::new(Source::new(&self.config, producer, self.generation))
        });
        let can_wait = self.config.kind == MediaKind::Video && self.shown.is_some();
        match next {
            Some(next) if can_wait && next.plan.has_codec() => self.waiting = Some(next),
            next => {
                self.stop();
                self.former = self.current.take().or(self.former.take());
                self.current = next;
            }
        }
    }

    /// The producer assigned: shown, or waited for.
    pub fn producer(&self) -> Option<ProducerId> {
        let assigned = self.waiting.as_ref().or(self.current.as_ref());
        assigned.map(|source| source.producer)
    }

    /// The producer shown.
    pub fn shown_producer(&self) -> Option<ProducerId> {
        let current = self.current.as_ref().filter(|_| self.shown.is_some());
        current.map(|source| source.producer)
    }

    /// Another producer is shown until the key frame of the assigned one comes.
    pub fn is_changing(&self) -> bool {
        self.waiting.is_some()
    }

    /// Names the memory that the next packet needs and that the slot only points to.
    #[inline]
    pub fn fetch_ahead(&self, mut fetch: impl FnMut(&Source)) {
        if let Some(current) = self.current.as_deref() {
            fetch(current);
        }
    }

    /// A producer was paused or resumed by the server.
    pub fn set_paused(&mut self, producer: ProducerId, paused: bool) {
        let [current, waiting] = [&mut self.current, &mut self.waiting]
            .map(|source| source.as_mut().filter(|it| it.producer == producer));
        if let Some(waiting) = waiting {
            waiting.set_paused(paused);
        } else if current.is_some_and(|current| current.set_paused(paused)) {
            self.stop();
        }
    }

    /// Replaces all limits; they act at the next [`Self::select`].
    pub fn set_limits(&mut self, limits: Limits) {
        self.allowed.limits = limits;
    }

    /// The slot's share of the receiver's bandwidth; acts at the next [`Self::select`]. True when it is another one.
    pub fn set_share(&mut self, share: Share) -> bool {
        std::mem::replace(&mut self.allowed.share, share) != share
    }

    /// What the application allows.
    pub fn limits(&self) -> Limits {
        self.allowed.limits
    }

    /// What is shown stops. One that waits needs not let it go on any more.
    pub fn stop(&mut self) {
        if let Some(judged) = &mut self.judged {
            judged.freezes.stop();
        }
        self.interrupt();
    }

    /// The same, but the receiver is to see it again as soon as may be.
    fn interrupt(&mut self) {
        self.shown = None;
        self.seq.stop();
        self.turn();
    }

    /// Who waits becomes the current one.
    fn turn(&mut self) {
        if let Some(next) = self.waiting.take() {
            self.pictures.set_target(next.target);
            self.former = self.current.replace(next);
        }
    }

    /// Chooses a rung of a producer's ladder. Returns the encoding whose key frame is needed now: ask for it each time,
    /// the requests merge.
    pub fn select(&mut self, producer: ProducerId, ladder: &Ladder, now: Micros) -> Option<u8> {
        if let Some(waiting) = self.waiting.as_mut().filter(|it| it.producer == producer) {
            waiting.select(None, ladder, &self.allowed, now);
            return waiting.waits_for(None);
        }
        let current = self.current.as_mut().filter(|it| it.producer == producer)?;
        if !current.select(self.shown, ladder, &self.allowed, now) {
            self.stop();
            return None;
        }
        match current.forwarded(self.shown, ladder, &self.allowed) {
            Some(layer) => self.pictures.set_target(layer),
            None => self.interrupt(),
        }
        // Its layers too are entered at a key frame, where nothing else lets them in.
        let layers = self.shown.filter(|_| self.pictures.wants_key_frame());
        self.waits_for().or(layers)
    }

    /// The encoding of the current producer whose key frame the slot waits for.
    fn waits_for(&self) -> Option<u8> {
        let current = self.current.as_ref()?;
        current
            .waits_for(self.shown)
            .filter(|_| self.config.kind == MediaKind::Video)
    }

    /// The encodings of a producer that the slot shows or waits for.
    pub fn uses(&self, producer: ProducerId) -> Encodings {
        let of = |source: Option<&Source>, shown: Option<u8>| {
            let source = source.filter(|it| it.producer == producer);
            source.map_or(Encodings::NONE, |it| it.uses(shown))
        };
        let waiting = of(self.waiting.as_deref(), None);
        waiting.or(of(self.current.as_deref(), self.shown))
    }

    /// A packet of a producer that the slot shows or waits for. Returns how many bytes of `out` to send, if any. `out`
    /// must have room for [`super::rewrite::MAX_RTP`] bytes.
    pub fn on_packet(
        &mut self,
        from: Incoming,
        packet: &MediaPacket,
        out: &mut [u8],
    ) -> Option<usize> {
        if self.waiting.is_some() {
            self.change_at(from, packet);
        }
        let current = self.current.as_ref()?;
        if current.producer != from.producer || !current.wants_any() {
            return None;
        }
        let encoding = from.encoding;
        let codec = current.plan.codec(packet.header.payload_type);
        if let Some(codec) = codec {
            let begins = current.can_begin(packet, codec);
            if begins && current.wants(encoding, self.shown) {
                self.switch(from, packet, codec);
            } else if self.shown == Some(encoding) && self.is_new_stream(packet, codec) {
                self.restart(begins, from, packet, codec);
            }
        }
        if self.shown != Some(encoding) {
            return None;
        }
        let Some(codec) = codec.filter(|_| !packet.payload().is_empty()) else {
            return self.skip(encoding, packet, out);
        };
        let newest = self.seq.is_newest(packet.seq);
        let timestamp = packet.header.timestamp;
        let Some(picture) = self.pictures.map(&packet.content, timestamp, newest) else {
            return self.skip(encoding, packet, out);
        };
        self.send(from, packet, (codec, picture), out)
    }

    /// The one that waits takes over, if this is its packet and a decoder can begin with it.
    fn change_at(&mut self, from: Incoming, packet: &MediaPacket) {
        let begins = |waiting: &Source| {
            let codec = waiting.plan.codec(packet.header.payload_type)?;
            Some(waiting.wants(from.encoding, None) && waiting.can_begin(packet, codec))
        };
        let waiting = self.waiting.as_deref();
        if waiting
            .filter(|it| it.producer == from.producer)
            .and_then(begins)
            == Some(true)
        {
            self.shown = None;
            self.turn();
        }
    }

    fn switch(&mut self, from: Incoming, packet: &MediaPacket, codec: PlannedCodec) {
        self.shown = Some(from.encoding);
        self.codec = Some(codec);
        if let Some(current) = &mut self.current {
            current.on_shown(from.encoding);
            self.pictures.set_target(current.target);
        }
        self.seq.switch(packet.seq);
        self.timestamps.switch(point(packet, codec, from.anchor));
        self.pictures
            .switch(&packet.content, packet.header.timestamp);
        self.reports.on_switch(packet.arrived);
    }

    /// The shown stream jumped, changed its SSRC, or goes on in another codec.
    fn is_new_stream(&self, packet: &MediaPacket, codec: PlannedCodec) -> bool {
        let same = self.codec.is_some_and(|shown| shown.goes_on_in(codec));
        packet.restarts || !same && self.seq.is_newest(packet.seq)
    }

    fn restart(&mut self, begins: bool, from: Incoming, packet: &MediaPacket, codec: PlannedCodec) {
        if begins {
            self.switch(from, packet, codec);
        } else {
            self.interrupt();
        }
    }

    fn note(&self, encoding: u8, timestamp: u32, to: PayloadType, picture: PictureShift) -> Note {
        Note {
            timestamp,
            picture,
            encoding,
            generation: self.current.as_ref().map_or(0, |source| source.generation),
            payload_type: to,
        }
    }

    /// Drops a packet of the shown encoding without leaving a gap.
    fn skip(&mut self, encoding: u8, packet: &MediaPacket, out: &mut [u8]) -> Option<usize> {
        let to = self.codec?.to;
        let timestamp = self.timestamps.map(packet.header.timestamp);
        let note = self.note(encoding, timestamp, to, PictureShift::default());
        let Dropped::Filler(number) = self.seq.drop_packet(packet.seq, note) else {
            return None;
        };
        let plan = &self.current.as_ref()?.plan;
        let written = plan.write_filler(to, number.wire(), timestamp, out)?;
        self.count(written, packet.arrived);
        Some(written.len)
    }

    #[expect(clippy::inline_always, reason = "its only caller is the hot path")]
    #[inline(always)]
    fn send(
        &mut self,
        from: Incoming,
        packet: &MediaPacket,
        (codec, picture): (PlannedCodec, PictureNumbers),
        out: &mut [u8],
    ) -> Option<usize> {
        let shift = picture.shift_from(&packet.content);
        let note = self.note(from.encoding, self.timestamps.offset(), codec.to, shift);
        let Verdict::Send(number) = self.seq.forward(packet.seq, note) else {
            return None;
        };
        let plan = &self.current.as_ref()?.plan;
        let numbers = Numbers {
            seq: number.wire(),
            timestamp: self.timestamps.map(packet.header.timestamp),
            picture,
        };
        let written = plan.write(packet, codec, numbers, Form::Media, out)?;
        if self.timestamps.is_newest(packet.header.timestamp) {
            self.timestamps.on_sent(point(packet, codec, from.anchor));
        }
        if self.frame != numbers.timestamp {
            self.frame = numbers.timestamp;
            self.on_frame(packet, codec);
        }
        self.count(written, packet.arrived);
        Some(written.len)
    }

    #[inline(never)]
    fn on_frame(&mut self, packet: &MediaPacket, codec: PlannedCodec) {
        if codec.clock_rate == VIDEO_CLOCK {
            let freezes = &mut self.judged.get_or_insert_default().freezes;
            freezes.on_packet(self.frame, packet.in_key_frame, packet.arrived);
        }
    }

    fn count(&mut self, written: Written, now: Micros) {
        self.counters.packets += 1;
        self.counters.bytes += (written.len - written.header_len) as u64;
        self.counters.header_bytes += written.header_len as u64;
        self.counters.trimmed += u64::from(written.trimmed);
        self.budget.on_media(written.len, now);
        self.reports.on_sent(now);
    }

    /// The receiver lost the picture (PLI). Returns the encoding to ask for a key frame, of what is shown: the one that
    /// waits is asked anyway.
    pub fn on_pli(&mut self, now: Micros) -> Option<u8> {
        let judged = self.judged.get_or_insert_default();
        judged.plis += 1;
        judged.freezes.on_picture_loss(self.receiver.rtt(), now);
        self.key_frame_source()
    }

    /// The receiver wants a key frame (FIR). Returns the encoding to ask.
    pub fn on_fir(&mut self) -> Option<u8> {
        self.judged.get_or_insert_default().firs += 1;
        self.key_frame_source()
    }

    fn key_frame_source(&self) -> Option<u8> {
        self.waits_for()
            .or(self.shown)
            .filter(|_| self.config.kind == MediaKind::Video)
    }

    /// A report block about this slot's SSRC. Returns the round trip time, where the block tells it.
    pub fn on_report(&mut self, block: &ReportBlock, now: Micros) -> Option<Micros> {
        let clock_rate = self.codec.map_or(0, |codec| codec.clock_rate);
        let losses = &mut self.judged.get_or_insert_default().losses;
        losses.on_report(block.fraction_lost, self.counters.packets);
        let sent_at = self.reports.sent_at(block.last_sr);
        let rtt = self.receiver.on_report(block, clock_rate, sent_at, now)?;
        self.budget.set_rtt(rtt);
        Some(rtt)
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
        let current = self.current.as_ref();
        current.map_or(Reason::Unassigned, |source| source.reason)
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
        Codec::Red => "red",
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::H264 => "h264",
        Codec::Av1 => "av1",
        Codec::Other => "other",
    }
}

#[cfg(test)]
mod change_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
