//! A received packet written anew for one receiver, header and payload in one pass (RFC 3550 section 5.1).
//!
//! Everything that identifies the publisher's hop is replaced: SSRC, sequence number, timestamp, payload type, extension
//! ids, picture and frame numbers. The producer's contributor id goes behind the CSRCs that are there. Only end-to-end
//! extensions pass, and only those both sides agreed on; the publisher's padding does not, ours comes to even out sizes.
//! A packet that would not fit a datagram loses our additions first.
//!
//! The result depends only on the packet, the plan and the numbers, so that a packet repeated without RTX is the same
//! plaintext under the same SRTP index (RFC 3711 section 9.1).

use super::picture::{Cut, PictureNumbers};
use crate::core::command::{Codec, CodecConfig, Extension, Feedback, ProducerConfig, SlotConfig};
use crate::ids::{Mid, PayloadType, Ssrc};
use crate::recv::MediaPacket;
use crate::recv::layers::FrameLayers;
use crate::send::transport_number::ROOM;
use crate::wire::dependency_descriptor::{DependencyDescriptor, restrict};
use crate::wire::ext::{Element, ExtensionMap, MAX_BLOCK, OutgoingIds};
use crate::wire::rtp::{MAX_CSRCS, OutgoingHeader, write_header};
use crate::wire::rtx::OSN_LEN;
use crate::wire::{MAX_DATAGRAM, Span};
use arrayvec::ArrayVec;
use plain_header::PlainHeader;

mod plain_header;
mod redundant;

/// Largest plain RTP packet: a datagram less the tag of `AEAD_AES_128_GCM`, the longest one (RFC 7714 section 13.2).
pub const MAX_RTP: usize = MAX_DATAGRAM - 16;
/// Extensions that a packet can carry to a receiver.
const MAX_ELEMENTS: usize = 8;
/// The P bit in a header's first byte (RFC 3550 section 5.1).
const PADDING_BIT: u8 = 0x20;
/// Level of a source whose level is not known: silence (RFC 6465 section 3).
const SILENCE: u8 = 127;

/// How one payload type of the producer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedCodec {
    /// Payload type on arrival.
    pub from: PayloadType,
    /// Payload type to the receiver.
    pub to: PayloadType,
    /// Payload type of RTX to the receiver.
    pub rtx: Option<PayloadType>,
    /// The codec.
    pub codec: Codec,
    /// Ticks per second.
    pub clock_rate: u32,
    /// What becomes of redundancy.
    pub redundancy: Redundancy,
}

/// What becomes of redundant audio (RFC 2198) on the way to a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redundancy {
    /// The codec has none of that kind.
    #[default]
    None,
    /// The receiver gets the primary block alone.
    Removed,
    /// It is passed on.
    Kept,
}

impl PlannedCodec {
    /// The same stream goes on, with redundancy or without, packet by packet.
    pub fn goes_on_in(self, next: Self) -> bool {
        let is_audio = |codec| matches!(codec, Codec::Opus | Codec::Red);
        let same_clock = self.clock_rate == next.clock_rate;
        self.from == next.from || is_audio(self.codec) && is_audio(next.codec) && same_clock
    }

    /// The receiver's decoder can begin only at a key frame.
    pub fn waits_for_key_frame(self) -> bool {
        matches!(
            self.codec,
            Codec::Vp8 | Codec::Vp9 | Codec::H264 | Codec::Av1
        )
    }
}

/// The numbers of one outgoing packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Sequence number.
    pub seq: u16,
    /// Media timestamp.
    pub timestamp: u32,
    /// Numbers of the picture and the frame.
    pub picture: PictureNumbers,
}

/// How the packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// On the slot's own SSRC.
    Media,
    /// As retransmission (RFC 4588) with this SSRC and sequence number.
    Rtx(Ssrc, u16),
}

/// A packet written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes in all.
    pub len: usize,
    /// Of these, header and padding.
    pub header_len: usize,
    /// Of these, padding.
    pub padding: u8,
    /// Something of ours had to be left out: no room in the datagram, or among the CSRCs.
    pub trimmed: bool,
}

/// How packets of one producer are written for one slot.
#[derive(Clone, Debug)]
pub struct RewritePlan {
    ssrc: Ssrc,
    mid: Option<Mid>,
    ids: OutgoingIds,
    /// Id of the element with the transport-wide number.
    number: Option<u8>,
    allow_two_byte: bool,
    contributor: u32,
    /// The header of a packet that carries nothing but media.
    plain: PlainHeader,
    codecs: Vec<PlannedCodec>,
}

impl RewritePlan {
    /// The plan; without any codec when the receiver accepts none of the producer's.
    pub fn new(slot: &SlotConfig, producer: &ProducerConfig) -> Self {
        let ids = ExtensionMap::new(&slot.extensions).outgoing();
        let number = ids.id_of(Extension::TransportCc);
        let number = number.filter(|_| slot.codecs.iter().all(|codec| is_unique(codec, slot)));
        let mut elements = ArrayVec::<Element, 2>::new();
        elements.extend(number.map(room_for_number));
        let mid = slot.mid.as_ref().zip(ids.id_of(Extension::Mid));
        elements.extend(mid.map(|(mid, id)| Element {
            id,
            value: mid.as_bytes(),
        }));
        let plain = PlainHeader::new(
            slot.ssrc,
            producer.contributor,
            &elements,
            slot.allow_mixed_extensions,
        );
        Self {
            number,
            ssrc: slot.ssrc,
            mid: slot.mid,
            ids,
            allow_two_byte: slot.allow_mixed_extensions,
            contributor: producer.contributor,
            codecs: producer
                .codecs
                .iter()
                .filter_map(|codec| plan_codec(codec, &slot.codecs))
                .collect(),
            plain,
        }
    }

    /// Nothing of this packet's own header reaches the receiver but marker, payload type and timestamp.
    #[inline]
    fn is_plain(&self, packet: &MediaPacket) -> bool {
        let seen = &packet.extensions;
        packet.header.csrcs().is_empty()
            && seen.audio_level.is_none()
            && seen.csrc_levels.is_none()
            && seen.video_orientation.is_none()
            && seen.abs_capture_time.is_none()
            && seen.playout_delay.is_none()
            && (seen.dependency_descriptor.is_none() || !self.sends_dependency())
    }

    /// How this payload type of the producer is sent, if it is.
    pub fn codec(&self, from: PayloadType) -> Option<PlannedCodec> {
        self.codecs.iter().copied().find(|codec| codec.from == from)
    }

    /// The MID, with the id of its element, where the receiver agreed on it.
    pub fn mid(&self) -> Option<Element<'_>> {
        let id = self.ids.id_of(Extension::Mid)?;
        let value = self.mid.as_ref()?.as_bytes();
        Some(Element { id, value })
    }

    /// Id of the element with the transport-wide number, where packets have one: the receiver agreed on it, and repairs
    /// come by RTX or not at all. The packet itself can then not be repeated, for it would have another number.
    pub fn number_id(&self) -> Option<u8> {
        self.number
    }

    /// The receiver accepts some codec of the producer.
    pub fn has_codec(&self) -> bool {
        !self.codecs.is_empty()
    }

    /// The receiver agreed on the dependency descriptor, and can be sent one: with its structure it needs two-byte
    /// elements (RFC 8285 section 4.3), and without the structure the rest could not be read.
    pub fn sends_dependency(&self) -> bool {
        self.allow_two_byte && self.ids.id_of(Extension::DependencyDescriptor).is_some()
    }

    /// Writes the packet. `None` when it does not fit a datagram whatever is left out.
    pub fn write(
        &self,
        packet: &MediaPacket,
        codec: PlannedCodec,
        numbers: Numbers,
        form: Form,
        out: &mut [u8],
    ) -> Option<Written> {
        if codec.redundancy != Redundancy::None {
            return self.write_redundant(packet, codec, numbers, form, out);
        }
        self.write_payload_as_is(packet, codec, numbers, form, out)
    }

    fn write_payload_as_is(
        &self,
        packet: &MediaPacket,
        codec: PlannedCodec,
        numbers: Numbers,
        form: Form,
        out: &mut [u8],
    ) -> Option<Written> {
        let payload = packet.payload();
        if form == Form::Media && self.is_plain(packet) {
            let room = MAX_RTP.checked_sub(payload.len())?;
            let (marker, to) = (ends_picture(packet, numbers.picture.cut), codec.to);
            if let Some(len) = self.plain.write(marker, to, numbers, room, out) {
                return Self::write_payload(packet, numbers, (len, false), out);
            }
        }
        self.write_whole(packet, codec, numbers, form, out)
    }

    /// Any packet, in any form.
    fn write_whole(
        &self,
        packet: &MediaPacket,
        codec: PlannedCodec,
        numbers: Numbers,
        form: Form,
        out: &mut [u8],
    ) -> Option<Written> {
        let payload = packet.payload();
        let (osn, ssrc, seq, payload_type) = match form {
            Form::Media => (0, self.ssrc, numbers.seq, codec.to),
            Form::Rtx(ssrc, seq) => (OSN_LEN, ssrc, seq, codec.rtx?),
        };
        let header = OutgoingHeader {
            marker: ends_picture(packet, numbers.picture.cut),
            padding: false,
            payload_type,
            seq,
            timestamp: numbers.timestamp,
            ssrc,
            csrcs: &[],
            extensions: &[],
            allow_two_byte: self.allow_two_byte,
        };
        let room = MAX_RTP.checked_sub(osn + payload.len())?;
        let picture = Some(numbers.picture).filter(|_| self.sends_dependency());
        let values = ElementValues::new(packet, picture);
        let (header_len, trimmed) = self.write_fitting(&values, header, room, out)?;
        if form == Form::Media {
            return Self::write_payload(packet, numbers, (header_len, trimmed), out);
        }
        let start = header_len + osn;
        out.get_mut(header_len..start)?
            .copy_from_slice(&numbers.seq.to_be_bytes()[..osn]);
        let len = start + copy_payload(packet, numbers.picture, out.get_mut(start..)?)?;
        Some(Written {
            len,
            header_len,
            padding: 0,
            trimmed,
        })
    }

    /// Writes payload and padding behind a header.
    #[inline]
    fn write_payload(
        packet: &MediaPacket,
        numbers: Numbers,
        (header_len, trimmed): (usize, bool),
        out: &mut [u8],
    ) -> Option<Written> {
        let payload_len = copy_payload(packet, numbers.picture, out.get_mut(header_len..)?)?;
        let len = header_len + payload_len;
        let padding = pad(out, len, packet.padding);
        Some(Written {
            len: len + usize::from(padding),
            header_len: header_len + usize::from(padding),
            padding,
            trimmed,
        })
    }

    /// Writes the header with all that fits into `room` bytes: its length, and whether something was left out.
    fn write_fitting(
        &self,
        values: &ElementValues,
        header: OutgoingHeader,
        room: usize,
        out: &mut [u8],
    ) -> Option<(usize, bool)> {
        let own = values.packet.header.csrcs().len();
        for trim in Trim::STEPS {
            let csrcs = self.csrcs(values.packet, *trim);
            let elements = self.elements(values, csrcs.len(), *trim);
            let header = OutgoingHeader {
                csrcs: &csrcs,
                extensions: &elements,
                ..header
            };
            match write_header(out, &header) {
                Ok(len) if len <= room => {
                    return Some((len, *trim != Trim::Nothing || csrcs.len() == own));
                }
                _ => {}
            }
        }
        None
    }

    /// Writes a packet of padding only, to fill a number. `out` must have room for a header.
    pub fn write_filler(
        &self,
        payload_type: PayloadType,
        seq: u16,
        timestamp: u32,
        out: &mut [u8],
    ) -> Option<Written> {
        let header = OutgoingHeader {
            marker: false,
            padding: true,
            payload_type,
            seq,
            timestamp,
            ssrc: self.ssrc,
            csrcs: &[],
            extensions: &[],
            allow_two_byte: false,
        };
        let header_len = write_header(out, &header).ok()?;
        *out.get_mut(header_len)? = 1;
        Some(Written {
            len: header_len + 1,
            header_len,
            padding: 0,
            trimmed: false,
        })
    }

    /// The packet's own CSRCs, ours last: left out when there are fifteen already.
    fn csrcs(&self, packet: &MediaPacket, trim: Trim) -> ArrayVec<u32, MAX_CSRCS> {
        let mut csrcs = ArrayVec::new();
        let _ = csrcs.try_extend_from_slice(packet.header.csrcs());
        if trim == Trim::Nothing {
            let _ = csrcs.try_push(self.contributor);
        }
        csrcs
    }

    /// Most important first: what exceeds the extension block is left out from the end.
    fn elements<'a>(
        &'a self,
        values: &'a ElementValues,
        csrc_count: usize,
        trim: Trim,
    ) -> ArrayVec<Element<'a>, MAX_ELEMENTS> {
        let mut elements = ArrayVec::new();
        let mut add = |extension, value: Option<&'a [u8]>| {
            if let (Some(id), Some(value)) = (self.ids.id_of(extension), value) {
                elements.push(Element { id, value });
            }
        };
        if trim < Trim::AllButDependency {
            let number = self.number.map(|_| &ROOM[..]);
            add(Extension::TransportCc, number);
            add(Extension::Mid, self.mid.as_ref().map(|mid| mid.as_bytes()));
        }
        if trim < Trim::All {
            add(
                Extension::DependencyDescriptor,
                values.dependency.as_deref(),
            );
        }
        if trim < Trim::Optional {
            let packet = values.packet;
            let seen = &packet.extensions;
            let passed_on = |span: Option<Span>| span.map(|span| span.of(packet.bytes));
            let level = values.level.as_ref().map(<[u8; 1]>::as_slice);
            let csrc_levels = values
                .csrc_levels
                .get(..csrc_count)
                .filter(|levels| !levels.is_empty());
            add(Extension::AudioLevel, level);
            add(
                Extension::VideoOrientation,
                passed_on(seen.video_orientation),
            );
            add(Extension::AbsCaptureTime, passed_on(seen.abs_capture_time));
            add(Extension::PlayoutDelay, passed_on(seen.playout_delay));
            add(Extension::CsrcAudioLevel, csrc_levels);
        }
        elements
    }
}

/// Packets of this codec are never repeated under their own number.
fn is_unique(codec: &CodecConfig, slot: &SlotConfig) -> bool {
    let by_rtx = slot.rtx_ssrc.is_some() && codec.rtx_payload_type.is_some();
    by_rtx || !codec.feedback.contains(&Feedback::Nack)
}

const fn room_for_number(id: u8) -> Element<'static> {
    Element { id, value: &ROOM }
}

/// What is left out of a packet that is too large, step by step. The dependency descriptor goes last: a receiver that
/// agreed on it takes a frame without one for a frame of another stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trim {
    Nothing,
    Contributor,
    Optional,
    AllButDependency,
    All,
}

impl Trim {
    const STEPS: &[Self] = &[
        Self::Nothing,
        Self::Contributor,
        Self::Optional,
        Self::AllButDependency,
        Self::All,
    ];
}

/// A packet, and the values that do not leave as they came.
struct ElementValues<'a> {
    packet: &'a MediaPacket<'a>,
    level: Option<[u8; 1]>,
    /// One per CSRC that leaves, ours last: the publisher's own level speaks for it (RFC 6465). Empty when unknown.
    csrc_levels: ArrayVec<u8, MAX_CSRCS>,
    dependency: Option<ArrayVec<u8, MAX_BLOCK>>,
}

impl<'a> ElementValues<'a> {
    /// `picture`: what the dependency descriptor is sent with, if it is.
    fn new(packet: &'a MediaPacket<'a>, picture: Option<PictureNumbers>) -> Self {
        let level = packet.extensions.audio_level;
        let given = packet
            .extensions
            .csrc_levels
            .map(|span| span.of(packet.bytes))
            .unwrap_or_default();
        let mut csrc_levels = ArrayVec::new();
        if level.is_some() || !given.is_empty() {
            let count = packet.header.csrcs().len();
            csrc_levels
                .extend((0..count).map(|index| given.get(index).copied().unwrap_or(SILENCE)));
            let _ = csrc_levels.try_push(level.map_or(SILENCE, |level| level.level & 0x7F));
        }
        Self {
            packet,
            level: level.map(|level| [level.to_byte()]),
            csrc_levels,
            dependency: picture.and_then(|picture| renumbered(packet, picture)),
        }
    }
}

/// Nothing of its picture follows a packet: the publisher marked it, or higher spatial layers are not forwarded.
#[inline]
fn ends_picture(packet: &MediaPacket, cut: Cut) -> bool {
    let ends = |layers: &FrameLayers| layers.ends && layers.layer.spatial == cut.layer().spatial;
    packet.header.marker || packet.content.layers.as_ref().is_some_and(ends)
}

/// The packet's dependency descriptor with another frame number, and with the first packet of each frame what is
/// forwarded of its layers. One that could not be read is not passed on.
fn renumbered(packet: &MediaPacket, picture: PictureNumbers) -> Option<ArrayVec<u8, MAX_BLOCK>> {
    let dependency = packet.content.dependency?;
    let value = packet.extensions.dependency_descriptor?.of(packet.bytes);
    let first = dependency.descriptor.start_of_frame;
    let targets = dependency.targets.filter(|_| first);
    let active =
        targets.and_then(|targets| Some((targets.count(), targets.active(picture.cut.layer())?)));
    let mut value = match active {
        Some((count, active)) => restrict(value, count, active).ok()?,
        None => ArrayVec::try_from(value).ok()?,
    };
    DependencyDescriptor::rewrite(&mut value, picture.frame_number);
    Some(value)
}

/// Copies the payload to the beginning of `out`, with the receiver's numbers in it: its length.
#[inline]
fn copy_payload(packet: &MediaPacket, picture: PictureNumbers, out: &mut [u8]) -> Option<usize> {
    let payload = packet.payload();
    let body = out.get_mut(..payload.len())?;
    body.copy_from_slice(payload);
    if let Some(descriptor) = &packet.content.descriptor {
        descriptor.rewrite(body, picture.picture_id, picture.tl0_picture_index);
    }
    Some(payload.len())
}

/// Adds padding to the packet in the first `len` bytes, if there is room for all of it: how much was added.
fn pad(out: &mut [u8], len: usize, padding: u8) -> u8 {
    let end = len + usize::from(padding);
    if padding == 0 || end > MAX_RTP {
        return 0;
    }
    let Some(added) = out.get_mut(len..end) else {
        return 0;
    };
    added.fill(0);
    added[usize::from(padding) - 1] = padding;
    out[0] |= PADDING_BIT;
    padding
}

fn plan_codec(codec: &CodecConfig, accepted: &[CodecConfig]) -> Option<PlannedCodec> {
    let same = accepted
        .iter()
        .find(|to| to.codec == codec.codec && to.format == codec.format);
    // Who did not negotiate redundancy is sent what it is of.
    let plain = || accepted.iter().find(|to| to.codec == Codec::Opus);
    let (to, redundancy) = match (codec.codec, same) {
        (Codec::Red, Some(to)) if plain().is_some() => (to, Redundancy::Kept),
        (Codec::Red, _) => (plain()?, Redundancy::Removed),
        (_, to) => (to?, Redundancy::None),
    };
    Some(PlannedCodec {
        from: codec.payload_type,
        to: to.payload_type,
        rtx: to.rtx_payload_type,
        codec: to.codec,
        clock_rate: codec.clock_rate,
        redundancy,
    })
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
