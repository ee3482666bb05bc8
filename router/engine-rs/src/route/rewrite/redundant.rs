//! Redundant audio (RFC 2198) to a receiver: with its payload types in the blocks, or the primary block alone. Both depend
//! on the packet and the plan only, like all that is written.

use super::{Form, Numbers, PlannedCodec, Redundancy, RewritePlan, Written};
use crate::recv::MediaPacket;
use crate::wire::Span;
use crate::wire::red::RedPayload;

impl RewritePlan {
    /// A packet whose payload is RED.
    pub(super) fn write_redundant(
        &self,
        packet: &MediaPacket,
        codec: PlannedCodec,
        numbers: Numbers,
        form: Form,
        out: &mut [u8],
    ) -> Option<Written> {
        let red = RedPayload::parse(packet.payload()).ok()?;
        if codec.redundancy == Redundancy::Removed {
            let primary = only(packet, red.primary);
            return self.write_payload_as_is(&primary, codec, numbers, form, out);
        }
        let written = self.write_payload_as_is(packet, codec, numbers, form, out)?;
        let end = written.len - usize::from(written.padding);
        let payload = out.get_mut(end - packet.payload().len()..end)?;
        red.rename(payload, |old| Some(self.codec(old)?.to))?;
        Some(written)
    }
}

/// The packet with a part of its payload as the whole.
fn only<'a>(packet: &MediaPacket<'a>, part: Span) -> MediaPacket<'a> {
    let start = packet.header.payload.start;
    let payload = Span {
        start: start.saturating_add(part.start),
        end: start.saturating_add(part.end),
    };
    let mut narrowed = *packet;
    narrowed.header.payload = payload;
    narrowed
}
