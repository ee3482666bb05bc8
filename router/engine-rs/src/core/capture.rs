//! The tap on a peer's packets: which of them a capture gets, and how much of each. Off, it costs a branch a packet.
//!
//! Invariant: no media leaves by it in the clear. SRTP hides payloads and not headers (RFC 3711 section 3.1), so headers
//! are cut off the packets as they travel, and only RTCP, which has no media, is seen decrypted.

use super::transport::Transport;
use super::{Core, Sink};
use crate::ids::{TransportId, Tuple};
use crate::time::Micros;
use crate::wire::demux::{DatagramClass, classify};
use crate::wire::pcapng::Direction;
use crate::wire::rtp;
use crate::wire::stun::StunMessage;

/// RTCP's header and the SSRC of its sender, which SRTCP leaves readable (RFC 3711 section 3.4).
const RTCP_CLEAR: usize = 8;

/// One capture, of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CaptureId(pub u32);

/// How much of a packet is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// All of it, as it travels.
    Encrypted,
    /// Of RTP all but its payload; RTCP decrypted; STUN and DTLS as they travel.
    Headers,
}

/// What taps a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Who gets the packets.
    pub capture: CaptureId,
    /// How much of them.
    pub what: What,
}

/// One packet of a capture; its bytes are beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// For whom it is.
    pub capture: CaptureId,
    /// When it came or went.
    pub at: Micros,
    /// Between which addresses.
    pub tuple: Tuple,
    /// Which way.
    pub direction: Direction,
    /// So many of its bytes are wanted.
    pub kept: usize,
}

impl Tap {
    fn head(self, at: Micros, tuple: Tuple, direction: Direction, kept: usize) -> Captured {
        Captured {
            capture: self.capture,
            at,
            tuple,
            direction,
            kept,
        }
    }

    /// How much is wanted of a packet as it travels; `None` of one that is wanted decrypted.
    fn kept(self, packet: &[u8]) -> Option<usize> {
        match (self.what, classify(packet)) {
            (What::Headers, Ok(DatagramClass::Rtp)) => Some(rtp::peek_header_len(packet)),
            (What::Headers, Ok(DatagramClass::Rtcp)) => None,
            _ => Some(packet.len()),
        }
    }

    /// A packet came, as it is here.
    #[cold]
    pub fn received(self, now: Micros, from: Tuple, packet: &[u8], sink: &mut impl Sink) {
        if let Some(kept) = self.kept(packet) {
            let head = self.head(now, from, Direction::Inbound, kept);
            sink.capture(&head, packet);
        }
    }

    /// RTCP came and was decrypted, or could not be.
    #[cold]
    pub fn received_rtcp(
        self,
        now: Micros,
        from: Tuple,
        packet: &[u8],
        is_plain: bool,
        sink: &mut impl Sink,
    ) {
        if self.what == What::Headers {
            let kept = if is_plain { packet.len() } else { RTCP_CLEAR };
            let head = self.head(now, from, Direction::Inbound, kept);
            sink.capture(&head, packet);
        }
    }

    /// A packet leaves as it is in the first `len` bytes of the scratch space.
    #[cold]
    pub fn sent(self, now: Micros, to: Tuple, len: usize, sink: &mut impl Sink) {
        if let Some(kept) = self.kept(&sink.scratch()[..len]) {
            sink.capture_scratch(&self.head(now, to, Direction::Outbound, kept), len);
        }
    }

    /// RTCP will leave, and is in the first `len` bytes of the scratch space before it is encrypted.
    #[cold]
    pub fn sent_rtcp(self, now: Micros, to: Tuple, len: usize, sink: &mut impl Sink) {
        if self.what == What::Headers {
            sink.capture_scratch(&self.head(now, to, Direction::Outbound, len), len);
        }
    }
}

impl Core {
    /// Taps a peer, or ends that.
    pub(super) fn set_tap(&mut self, id: TransportId, tap: Option<Tap>) -> Option<()> {
        self.tapped.retain(|tapped| *tapped != id);
        let (_, transport) = self.name_transport(id)?;
        transport.tap = tap;
        if tap.is_some() {
            self.tapped.push(id);
        }
        Some(())
    }

    /// A check from an address that is nobody's yet: the tapped peer that it names gets it.
    #[cold]
    pub(super) fn tap_stranger(
        &mut self,
        now: Micros,
        from: Tuple,
        data: &[u8],
        sink: &mut impl Sink,
    ) {
        let message = StunMessage::parse(data).ok();
        let Some(ufrags) = message.as_ref().and_then(StunMessage::ufrags) else {
            return;
        };
        let named = |transport: &mut Transport| {
            let agent = transport.link.agent()?;
            transport.tap.filter(|_| agent.is_named_by(now, ufrags))
        };
        for id in &self.tapped {
            let ix = self.transports.find(*id);
            let transport = ix.and_then(|ix| self.transports.get_mut(ix));
            if let Some(tap) = transport.and_then(named) {
                tap.received(now, from, data, sink);
            }
        }
    }

    /// Python sends a datagram: STUN or DTLS.
    pub fn datagram_leaves(&self, now: Micros, to: Tuple, data: &[u8], sink: &mut impl Sink) {
        if self.tapped.is_empty() {
            return;
        }
        let owner = self.tuples.get(&to).copied();
        let owner = owner.and_then(|ix| self.transports.get(ix));
        if let Some(tap) = owner.and_then(|transport| transport.tap) {
            let head = tap.head(now, to, Direction::Outbound, data.len());
            sink.capture(&head, data);
        }
    }
}
