//! RTP packets as they are sent, and the check of those that came back (RFC 3550, RFC 8285, RFC 7741, RFC 6184).
//!
//! A payload is: what a router may look at (descriptor and frame tag), filler that the packet's number gives, and a
//! stamp at the very end, before any padding. A router may rewrite the first [`REWRITABLE`] bytes; the rest must come
//! back as it was. A packet too small for a stamp (DTX) has none.

use crate::traffic::Planned;

/// Bytes of a stamp: magic, track, number, nanoseconds.
pub const STAMP: usize = 4 + 4 + 4 + 8;
/// The largest packet written, before SRTP.
pub const MAX_PACKET: usize = 1400;
const MAGIC: [u8; 4] = *b"\xa5Ld\x5a";
const REWRITABLE: usize = 48;
const HEADER: usize = 12;
const LOUD: u8 = 0x80 | 0x1E;
const SILENT: u8 = 0x7F;

/// How a payload begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// RFC 7741.
    Vp8,
    /// RFC 6184, packetization mode 1.
    H264,
    /// RFC 7587.
    Opus,
}

/// What all packets of a track have in common.
#[derive(Clone, Debug)]
pub struct Format {
    /// The codec.
    pub codec: Codec,
    /// RTP payload type.
    pub payload_type: u8,
    /// SSRC, also the track's name in stamps.
    pub ssrc: u32,
    /// Header extensions, one-byte form, with their header; empty for none.
    pub extensions: Vec<u8>,
    /// Where in `extensions` the audio level is.
    pub level_at: Option<usize>,
}

impl Format {
    /// Extensions of RFC 8285: MID (RFC 8843) and audio level (RFC 6464), each with its id if it was agreed on.
    pub fn set_extensions(&mut self, mid: Option<(u8, &str)>, level: Option<u8>) {
        let mut body = Vec::new();
        if let Some((id, mid)) = mid.filter(|(_, mid)| (1..=16).contains(&mid.len())) {
            body.push(id << 4 | (mid.len() as u8 - 1));
            body.extend(mid.as_bytes());
        }
        if let Some(id) = level {
            body.push(id << 4);
            self.level_at = Some(4 + body.len());
            body.push(SILENT);
        }
        if !body.is_empty() {
            body.resize(body.len().next_multiple_of(4), 0);
            self.extensions = vec![0xBE, 0xDE, 0, (body.len() / 4) as u8];
            self.extensions.extend(body);
        }
    }

    /// Writes a planned packet with this number; returns its length. `out` holds [`MAX_PACKET`] bytes.
    pub fn write(
        &self,
        planned: &Planned,
        number: u32,
        speaks: bool,
        now_ns: u64,
        out: &mut [u8],
    ) -> usize {
        let extended = !self.extensions.is_empty();
        out[0] = 0x80 | u8::from(extended) << 4;
        out[1] = u8::from(planned.marker) << 7 | self.payload_type;
        out[2..4].copy_from_slice(&(number as u16).to_be_bytes());
        out[4..8].copy_from_slice(&planned.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        let start = HEADER + self.extensions.len();
        out[HEADER..start].copy_from_slice(&self.extensions);
        if let Some(at) = self.level_at {
            out[HEADER + at] = if speaks { LOUD } else { SILENT };
        }
        let end = planned.bytes.clamp(start + 3, MAX_PACKET);
        let payload = &mut out[start..end];
        payload.fill(number as u8);
        self.write_head(planned, payload);
        if payload.len() >= REWRITABLE + STAMP {
            let at = payload.len() - STAMP;
            let stamp = &mut payload[at..];
            stamp[..4].copy_from_slice(&MAGIC);
            stamp[4..8].copy_from_slice(&self.ssrc.to_be_bytes());
            stamp[8..12].copy_from_slice(&number.to_be_bytes());
            stamp[12..].copy_from_slice(&now_ns.to_be_bytes());
        }
        end
    }

    fn write_head(&self, planned: &Planned, payload: &mut [u8]) {
        match self.codec {
            Codec::Vp8 => write_vp8(planned, payload),
            Codec::H264 => write_h264(planned, payload),
            // Fullband CELT of 20 ms, one frame.
            Codec::Opus => payload[0] = 0xF8,
        }
    }
}

fn put(payload: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(payload.len());
    payload[..length].copy_from_slice(&bytes[..length]);
}

/// A descriptor with a picture id of 15 bits; the first packet of a frame has the frame tag (RFC 6386 section 9.1).
fn write_vp8(planned: &Planned, payload: &mut [u8]) {
    let picture = planned.frame as u16 | 0x8000;
    let [high, low] = picture.to_be_bytes();
    put(
        payload,
        &[0x80 | u8::from(planned.first) << 4, 0x80, high, low],
    );
    if planned.first && planned.key {
        // A key frame of 640 by 480.
        put(
            &mut payload[4.min(planned.bytes)..],
            b"\x10\x00\x00\x9d\x01\x2a\x80\x02\xe0\x01",
        );
    } else if planned.first {
        put(&mut payload[4.min(planned.bytes)..], b"\x11\x00\x00");
    }
}

/// A key frame begins with SPS, PPS and the first part of its slice in one STAP-A; other packets are fragments (FU-A).
fn write_h264(planned: &Planned, payload: &mut [u8]) {
    const SPS_PPS: &[u8] = b"\x78\x00\x0e\x67\x42\xe0\x1f\x8c\x8d\x40\x50\x1e\xd0\x0f\x08\x84\x6a\x00\x04\x68\xce\x3c\x80";
    let slice: u8 = if planned.key { 5 } else { 1 };
    if planned.first && planned.key && payload.len() > SPS_PPS.len() + 3 {
        let left = (payload.len() - SPS_PPS.len() - 2) as u16;
        put(payload, SPS_PPS);
        put(
            &mut payload[SPS_PPS.len()..],
            &[(left >> 8) as u8, left as u8, 0x65],
        );
    } else if planned.first && planned.marker {
        put(payload, &[0x60 | slice]);
    } else {
        put(
            payload,
            &[
                0x7C,
                u8::from(planned.first) << 7 | u8::from(planned.marker) << 6 | slice,
            ],
        );
    }
}

/// The fields of a header that stay readable behind SRTP; `None` for what is no RTP.
pub fn parse_header(data: &[u8]) -> Option<(u32, u16, u8)> {
    if data.len() < HEADER || data[0] >> 6 != 2 {
        return None;
    }
    let ssrc = u32::from_be_bytes(data[8..12].try_into().ok()?);
    Some((ssrc, u16::from_be_bytes([data[2], data[3]]), data[1] & 0x7F))
}

/// What a decrypted packet turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// As it was sent, at this time.
    Good {
        /// The track's SSRC at its publisher.
        track: u32,
        /// When it was sent, in nanoseconds.
        sent_ns: u64,
    },
    /// Too small for a stamp, or padding only.
    Unstamped,
    /// Not what was sent.
    Wrong,
}

/// Checks a whole RTP packet.
pub fn check(data: &[u8]) -> Checked {
    let Some(payload) = payload_of(data) else {
        return Checked::Wrong;
    };
    if payload.len() < REWRITABLE + STAMP - 4 {
        return Checked::Unstamped;
    }
    let (body, stamp) = payload.split_at(payload.len() - STAMP);
    let word = |at: usize| u32::from_be_bytes(stamp[at..at + 4].try_into().unwrap_or_default());
    let filler = word(8) as u8;
    if stamp[..4] != MAGIC || body.iter().skip(REWRITABLE).any(|byte| *byte != filler) {
        return Checked::Wrong;
    }
    Checked::Good {
        track: word(4),
        sent_ns: u64::from(word(12)) << 32 | u64::from(word(16)),
    }
}

fn payload_of(data: &[u8]) -> Option<&[u8]> {
    parse_header(data)?;
    let mut start = HEADER + 4 * usize::from(data[0] & 0x0F);
    if data[0] & 0x10 != 0 {
        let words = data.get(start + 2..start + 4)?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    let padding = if data[0] & 0x20 != 0 {
        usize::from(*data.last()?)
    } else {
        0
    };
    data.get(start..data.len().checked_sub(padding)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANNED: Planned = Planned {
        bytes: 1100,
        marker: false,
        first: true,
        key: true,
        frame: 300,
        timestamp: 9,
    };

    fn format(codec: Codec) -> Format {
        let mut format = Format {
            codec,
            payload_type: 96,
            ssrc: 77,
            extensions: Vec::new(),
            level_at: None,
        };
        format.set_extensions(Some((4, "cam")), Some(1));
        format
    }

    fn written(codec: Codec, planned: &Planned) -> Vec<u8> {
        let mut out = vec![0; MAX_PACKET];
        let length = format(codec).write(planned, 70_000, true, 1 << 40, &mut out);
        out.truncate(length);
        out
    }

    #[test]
    fn a_packet_comes_back_as_it_was_with_padding_or_other_extensions() {
        for codec in [Codec::Vp8, Codec::H264, Codec::Opus] {
            let mut packet = written(codec, &PLANNED);
            assert_eq!(
                (packet.len(), parse_header(&packet)),
                (1100, Some((77, 70_000u32 as u16, 96)))
            );
            let good = Checked::Good {
                track: 77,
                sent_ns: 1 << 40,
            };
            assert_eq!(check(&packet), good);
            packet[0] |= 0x20;
            packet.extend([0, 0, 3]);
            assert_eq!(check(&packet), good);
        }
    }

    #[test]
    fn a_changed_byte_is_found() {
        let mut packet = written(Codec::Vp8, &PLANNED);
        packet[500] ^= 1;
        assert_eq!(check(&packet), Checked::Wrong);
        let mut packet = written(Codec::Vp8, &PLANNED);
        packet.truncate(1099);
        assert_eq!(check(&packet), Checked::Wrong);
        assert_eq!(check(&packet[..11]), Checked::Wrong);
        // A picture id may be rewritten.
        let mut packet = written(Codec::Vp8, &PLANNED);
        packet[12 + 12 + 2] ^= 0x11;
        assert!(matches!(check(&packet), Checked::Good { .. }));
    }

    #[test]
    fn a_small_packet_has_no_stamp() {
        let quiet = Planned {
            bytes: 24,
            ..PLANNED
        };
        assert_eq!(check(&written(Codec::Opus, &quiet)), Checked::Unstamped);
    }

    #[test]
    fn the_extensions_are_those_agreed_on() {
        let packet = written(Codec::Opus, &PLANNED);
        assert_eq!(
            packet[12..24],
            [0xBE, 0xDE, 0, 2, 0x42, b'c', b'a', b'm', 0x10, LOUD, 0, 0]
        );
    }

    #[test]
    fn key_frames_are_visible_to_a_descriptor_parser() {
        let vp8 = written(Codec::Vp8, &PLANNED);
        assert_eq!(vp8[24..28], [0x90, 0x80, 0x81, 0x2C]);
        assert_eq!(vp8[28] & 1, 0);
        let delta = written(
            Codec::Vp8,
            &Planned {
                key: false,
                ..PLANNED
            },
        );
        assert_eq!(delta[28] & 1, 1);
        let h264 = written(Codec::H264, &PLANNED);
        assert_eq!((h264[24] & 0x1F, h264[27] & 0x1F), (24, 7));
        let rest = written(
            Codec::H264,
            &Planned {
                first: false,
                marker: true,
                ..PLANNED
            },
        );
        assert_eq!(rest[24..26], [0x7C, 0x45]);
    }
}
