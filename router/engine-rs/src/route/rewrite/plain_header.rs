//! The header of most packets, written once per source of a slot: contributor and MID, and no extension of the packet's
//! own. What differs from packet to packet is four fields (RFC 3550 section 5.1).

use super::Numbers;
use crate::ids::{PayloadType, Ssrc};
use crate::wire::ext::Element;
use crate::wire::rtp::{OutgoingHeader, write_header};

/// Fixed header, one CSRC, a MID of 16 bytes and a transport-wide number in an extension block: the longest there is.
const ROOM: usize = 12 + 4 + 4 + 20;

/// A header that is ready but for marker, payload type, sequence number and timestamp.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainHeader {
    bytes: [u8; ROOM],
    len: usize,
}

impl PlainHeader {
    /// The header of packets with this SSRC, contributor and first elements.
    pub fn new(ssrc: Ssrc, contributor: u32, elements: &[Element], allow_two_byte: bool) -> Self {
        let header = OutgoingHeader {
            marker: false,
            padding: false,
            payload_type: PayloadType(0),
            seq: 0,
            timestamp: 0,
            ssrc,
            csrcs: &[contributor],
            extensions: elements,
            allow_two_byte,
        };
        let mut bytes = [0; ROOM];
        // One that does not fit is never used.
        let len = write_header(&mut bytes, &header).unwrap_or(usize::MAX);
        Self { bytes, len }
    }

    /// Writes it: its length. `None` when it is longer than `room`.
    #[inline]
    pub fn write(
        &self,
        marker: bool,
        to: PayloadType,
        numbers: Numbers,
        room: usize,
        out: &mut [u8],
    ) -> Option<usize> {
        let out = out.first_chunk_mut::<ROOM>()?;
        if self.len > room {
            return None;
        }
        *out = self.bytes;
        out[1] = u8::from(marker) << 7 | to.0;
        [out[2], out[3]] = numbers.seq.to_be_bytes();
        [out[4], out[5], out[6], out[7]] = numbers.timestamp.to_be_bytes();
        Some(self.len)
    }
}
