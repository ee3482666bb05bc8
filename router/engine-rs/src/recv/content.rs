//! What the router must know of a packet's payload, whatever the codec: key frames, layers, picture size.
//!
//! The codecs' own syntax is parsed in `wire`; this file only translates. Codecs the engine does not look into have no
//! frames it could tell apart: every packet of theirs may begin a stream.

use crate::core::command::Codec;

/// VP8's descriptor fields that are rewritten per receiver (RFC 7741 section 4.2), as offsets into the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp8Fields {
    /// Picture id: offset, value, and whether it has 15 bits instead of 7.
    pub picture_id: Option<(u8, u16, bool)>,
    /// TL0PICIDX: offset and value.
    pub tl0_picture_index: Option<(u8, u8)>,
}

/// What one packet contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// A decoder may begin with this packet.
    pub begins_key_frame: bool,
    /// Temporal layer, where the codec names it.
    pub temporal_layer: Option<u8>,
    /// This frame needs nothing of its own temporal layer but the base: a receiver may step up to the layer here.
    pub layer_sync: bool,
    /// Picture width and height, where this packet tells them.
    pub size: Option<(u16, u16)>,
    /// Present for VP8.
    pub vp8: Option<Vp8Fields>,
}

/// Reads a payload. Never fails: what cannot be understood begins nothing and names nothing.
pub fn read_content(codec: Codec, payload: &[u8]) -> Content {
    match codec {
        Codec::Opus | Codec::Other => Content {
            begins_key_frame: !payload.is_empty(),
            ..Content::default()
        },
        _ => Content::default(),
    }
}
