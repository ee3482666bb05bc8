//! RTP header extensions (RFC 8285): one-byte and two-byte elements, read once per packet and written per receiver.
//!
//! [`ExtensionMap`] is what one m-line negotiated; it turns ids into [`Extension`]s and back in constant time.
//! What a malformed block held before its defect still counts: section 4.2 demands that for reserved ids, and a
//! receiver that dropped the whole packet would be stricter than every browser.

use super::WriteError;
use super::bytes::{Span, Writer, read_u16, read_u24};
use super::rtp::ExtensionBlock;
use crate::ids::{Mid, Rid};
use crate::media::{Extension, ExtensionIds};

/// Profile of a block of one-byte elements (RFC 8285 section 4.2).
pub const ONE_BYTE_PROFILE: u16 = 0xBEDE;

/// Profile of a block of two-byte elements (section 4.3); the low four bits are the application's.
pub const TWO_BYTE_PROFILE: u16 = 0x1000;

/// Most bytes of elements that we write into one packet: a dependency descriptor with its structure takes about 100.
/// Bounds what a rewrite can add to a packet (threat R11).
pub const MAX_BLOCK: usize = 252;

/// Number of known extensions.
const KNOWN: usize = Extension::DependencyDescriptor as usize + 1;

/// Iterates over `(id, value)` of the elements of a block, padding left out. Other profiles have no elements.
pub fn elements<'a>(packet: &'a [u8], block: &ExtensionBlock) -> Elements<'a> {
    let form = match block.profile {
        ONE_BYTE_PROFILE => Form::OneByte,
        profile if profile & 0xFFF0 == TWO_BYTE_PROFILE => Form::TwoByte,
        _ => {
            return Elements {
                packet,
                at: 0,
                end: 0,
                form: Form::OneByte,
            };
        }
    };
    let end = (block.span.end as usize).min(packet.len());
    Elements {
        packet,
        at: block.span.start as usize,
        end,
        form,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

/// See [`elements`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    packet: &'a [u8],
    at: usize,
    end: usize,
    form: Form,
}

impl Elements<'_> {
    /// Reads the element's head: id, offset of its value, length of its value. `None` ends the block.
    fn read_head(&self, first: u8) -> Option<(u8, usize, usize)> {
        match self.form {
            // Id 15 ends the block; so does id 0 with a length (section 4.2).
            Form::OneByte if first >> 4 == 15 || first >> 4 == 0 => None,
            Form::OneByte => Some((first >> 4, self.at + 1, (first & 0x0F) as usize + 1)),
            Form::TwoByte => {
                let length = self.packet[..self.end].get(self.at + 1)?;
                Some((first, self.at + 2, *length as usize))
            }
        }
    }
}

impl Iterator for Elements<'_> {
    type Item = (u8, Span);

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.end {
            let first = self.packet[self.at];
            if first == 0 {
                self.at += 1; // padding
                continue;
            }
            let element = self
                .read_head(first)
                .filter(|(_, start, length)| start + length <= self.end);
            let Some((id, start, length)) = element else {
                self.at = self.end;
                return None;
            };
            self.at = start + length;
            return Some((id, Span::new(start, start + length)?));
        }
        None
    }
}

/// The extension ids of one m-line for writing: one byte each, as every producer of a slot keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutgoingIds([u8; KNOWN]);

impl OutgoingIds {
    /// The id of an extension, when negotiated.
    pub const fn id_of(&self, extension: Extension) -> Option<u8> {
        match self.0[extension as usize] {
            0 => None,
            id => Some(id),
        }
    }
}

/// The extension ids of one m-line, both ways in constant time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionMap {
    by_id: [Option<Extension>; 256],
    outgoing: OutgoingIds,
}

impl Default for ExtensionMap {
    fn default() -> Self {
        Self {
            by_id: [None; 256],
            outgoing: OutgoingIds::default(),
        }
    }
}

impl ExtensionMap {
    /// Builds the map. Id 0 is padding and ignored; of an id or an extension given twice, the last counts.
    pub fn new(ids: &ExtensionIds) -> Self {
        let mut map = Self::default();
        let outgoing = &mut map.outgoing.0;
        for (extension, id) in ids.0.iter().filter(|(_, id)| *id != 0) {
            if let Some(replaced) = map.by_id[*id as usize].replace(*extension) {
                outgoing[replaced as usize] = 0;
            }
            let former = std::mem::replace(&mut outgoing[*extension as usize], *id);
            if former != 0 && former != *id {
                map.by_id[former as usize] = None;
            }
        }
        map
    }

    /// What the id stands for.
    pub const fn get(&self, id: u8) -> Option<Extension> {
        self.by_id[id as usize]
    }

    /// The id of an extension, when negotiated.
    pub const fn id_of(&self, extension: Extension) -> Option<u8> {
        self.outgoing.id_of(extension)
    }

    /// The half that is needed for writing.
    pub const fn outgoing(&self) -> OutgoingIds {
        self.outgoing
    }
}

/// Audio level of a packet (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Level in -dBov: 0 is loudest, 127 is silence.
    pub level: u8,
    /// The sender thinks that it is speech.
    pub voice: bool,
}

impl AudioLevel {
    /// The byte that travels.
    pub const fn to_byte(self) -> u8 {
        (self.level & 0x7F) | if self.voice { 0x80 } else { 0 }
    }

    const fn from_byte(byte: u8) -> Self {
        Self {
            level: byte & 0x7F,
            voice: byte & 0x80 != 0,
        }
    }
}

/// What the known extensions of one packet say. A value that is malformed counts as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionValues {
    /// Media identification.
    pub mid: Option<Mid>,
    /// RTP stream id.
    pub rid: Option<Rid>,
    /// RTP stream id of the stream that this RTX packet repairs.
    pub repaired_rid: Option<Rid>,
    /// Client-to-mixer audio level.
    pub audio_level: Option<AudioLevel>,
    /// Mixer-to-client audio levels: one byte per CSRC, level in the low 7 bits.
    pub csrc_levels: Option<Span>,
    /// Transport-wide sequence number.
    pub transport_cc: Option<u16>,
    /// Absolute send time: 24 bits, 6.18 fixed point seconds.
    pub abs_send_time: Option<u32>,
    /// Absolute capture time, passed on as it is.
    pub abs_capture_time: Option<Span>,
    /// Coordination of video orientation, passed on as it is.
    pub video_orientation: Option<Span>,
    /// Playout delay, passed on as it is.
    pub playout_delay: Option<Span>,
    /// AV1 dependency descriptor.
    pub dependency_descriptor: Option<Span>,
}

impl ExtensionValues {
    /// Reads the elements that `map` knows. Of repeated elements the last counts.
    pub fn parse(packet: &[u8], block: Option<&ExtensionBlock>, map: &ExtensionMap) -> Self {
        let mut values = Self::default();
        let Some(block) = block else { return values };
        for (id, span) in elements(packet, block) {
            if let Some(extension) = map.get(id) {
                values.set(extension, span, span.of(packet));
            }
        }
        values
    }

    /// Bytes that the values passed on to receivers take in a block of one-byte elements, with a MID of one byte.
    pub fn passed_on_len(&self) -> usize {
        let spans = [
            self.abs_capture_time,
            self.video_orientation,
            self.playout_delay,
            self.dependency_descriptor,
        ];
        let passed_on = spans.into_iter().flatten();
        (2 + passed_on.map(|span| 1 + span.len()).sum::<usize>()).next_multiple_of(4)
    }

    fn set(&mut self, extension: Extension, span: Span, value: &[u8]) {
        match extension {
            Extension::Mid => self.mid = parse_name(value),
            Extension::Rid => self.rid = parse_name(value),
            Extension::RepairedRid => self.repaired_rid = parse_name(value),
            Extension::AudioLevel => {
                self.audio_level = value.first().map(|byte| AudioLevel::from_byte(*byte));
            }
            Extension::CsrcAudioLevel => self.csrc_levels = Some(span),
            Extension::TransportCc => self.transport_cc = read_u16(value, 0).ok(),
            Extension::AbsSendTime => self.abs_send_time = read_u24(value, 0).ok(),
            Extension::AbsCaptureTime => self.abs_capture_time = Some(span),
            Extension::VideoOrientation => self.video_orientation = Some(span),
            Extension::PlayoutDelay => self.playout_delay = Some(span),
            Extension::DependencyDescriptor => self.dependency_descriptor = Some(span),
        }
    }
}

/// MID, RID: ASCII, at most 16 bytes here; some senders pad with NUL, as libwebrtc's parser expects.
fn parse_name(value: &[u8]) -> Option<arrayvec::ArrayString<16>> {
    let end = value
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(value.len());
    let name = std::str::from_utf8(&value[..end])
        .ok()
        .filter(|name| !name.is_empty() && name.is_ascii())?;
    arrayvec::ArrayString::from(name).ok()
}

/// An element to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its id, 1-255.
    pub id: u8,
    /// Its value, at most 255 bytes.
    pub value: &'a [u8],
}

impl Element<'_> {
    /// Ids 1-14 and 1-16 bytes fit a one-byte element.
    const fn fits_one_byte(&self) -> bool {
        matches!(self.id, 1..=14) && matches!(self.value.len(), 1..=16)
    }
}

/// Writes an extension block, padded to a word, and says whether there was anything to write. One packet has one form:
/// two-byte only when some element needs it and the peer allows it, else such elements are left out.
pub(super) fn write_elements(
    writer: &mut Writer,
    list: &[Element],
    allow_two_byte: bool,
) -> Result<bool, WriteError> {
    let two_byte = allow_two_byte && list.iter().any(|element| !element.fits_one_byte());
    let fits = |element: &&Element| {
        if two_byte {
            element.id != 0 && element.value.len() <= 255
        } else {
            element.fits_one_byte()
        }
    };
    let head = if two_byte { 2 } else { 1 };
    let start = writer.len();
    let mut size = 0;
    for element in list.iter().filter(fits) {
        if size + head + element.value.len() > MAX_BLOCK {
            continue;
        }
        if size == 0 {
            writer.put_u16(if two_byte {
                TWO_BYTE_PROFILE
            } else {
                ONE_BYTE_PROFILE
            })?;
            writer.put_u16(0)?;
        }
        if two_byte {
            writer.put(&[element.id, element.value.len() as u8])?;
        } else {
            writer.put_u8(element.id << 4 | (element.value.len() as u8 - 1))?;
        }
        writer.put(element.value)?;
        size += head + element.value.len();
    }
    if size == 0 {
        return Ok(false);
    }
    writer.pad_to_word()?;
    writer.patch_u16(start + 2, size.div_ceil(4) as u16)?;
    Ok(true)
}

#[cfg(test)]
#[path = "ext_tests.rs"]
mod tests;
