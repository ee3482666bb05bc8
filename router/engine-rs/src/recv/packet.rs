//! A received media packet as the rest of the engine sees it: parsed once, decapsulated, numbered, borrowed.

use super::content::Content;
use crate::ids::SeqNo;
use crate::time::Micros;
use crate::wire::ext::ExtensionValues;
use crate::wire::rtp::RtpHeader;

/// One packet of a received stream. `header` speaks of the original packet also when it came by RTX (RFC 4588); only
/// its spans point into `bytes`, which is the datagram as it came.
#[derive(Clone, Copy, Debug)]
pub struct MediaPacket<'a> {
    /// The decrypted datagram.
    pub bytes: &'a [u8],
    /// Its header.
    pub header: RtpHeader,
    /// Its header extensions.
    pub extensions: ExtensionValues,
    /// Its widened sequence number.
    pub seq: SeqNo,
    /// When it arrived.
    pub arrived: Micros,
    /// What its payload contains.
    pub content: Content,
    /// Of a key frame, as far as the codec tells: losing it costs the whole picture.
    pub in_key_frame: bool,
    /// The stream jumped here: a receiver must begin anew.
    pub restarts: bool,
    /// Bytes of padding to send it with, so that packets sent in a row have one size. Not the publisher's padding.
    pub padding: u8,
}

impl<'a> MediaPacket<'a> {
    /// The payload without padding.
    pub fn payload(&self) -> &'a [u8] {
        self.header.payload.of(self.bytes)
    }

    /// All but the bytes, to be kept for a while.
    pub fn detached(&self) -> MediaPacket<'static> {
        MediaPacket {
            bytes: &[],
            ..*self
        }
    }

    /// With the bytes again that it was parsed from; the buffer may be longer.
    #[must_use]
    pub fn attached(&self, buffer: &'a [u8]) -> Self {
        Self {
            bytes: buffer,
            ..*self
        }
    }
}
