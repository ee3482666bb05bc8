//! From a datagram to an authentic packet: RFC 7983 demultiplexing, tuple to transport, ICE, DTLS punts, SRTP.
//!
//! Invariants: an unknown tuple gets no byte from here; nothing of a packet is believed before SRTP or
//! MESSAGE-INTEGRITY accepted it; libsrtp sees no more than [`super::streams::MAX_SSRCS`] SSRCs per peer.

use super::arena::Ix;
use super::{Core, Event, Sink};
use crate::ice::StunOutcome;
use crate::ids::{TransportId, Tuple};
use crate::srtp::SrtpError;
use crate::time::Micros;
use crate::wire::DropReason;
use crate::wire::demux::{DatagramClass, classify};
use crate::wire::stun::{StunClass, StunMessage};
use crate::wire::{rtcp, rtp};

/// A datagram where its receiver keeps it.
pub struct Datagram<'a> {
    /// The datagram, and [`crate::srtp::SRTP_MAX_OVERHEAD`] bytes to spare behind it.
    pub data: &'a mut [u8],
    /// Its length.
    pub len: usize,
    /// When it reached this machine, `now` at the latest: what is told and measured of a path goes by it.
    pub arrived: Micros,
    /// By which [`super::Received`] finds it again.
    pub index: usize,
}

impl Core {
    pub(super) fn on_datagram(
        &mut self,
        now: Micros,
        tuple: Tuple,
        mut datagram: Datagram,
        sink: &mut impl Sink,
    ) {
        let len = datagram.len.min(datagram.data.len());
        datagram.len = len;
        let data = &mut *datagram.data;
        let class = match classify(&data[..len]) {
            Ok(class) => class,
            Err(reason) => return self.totals.drops.count(reason),
        };
        let Some(ix) = self.tuples.get(&tuple).copied() else {
            return self.on_unknown_tuple(now, class, tuple, &data[..len], sink);
        };
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        self.current = Some(transport.id);
        transport.received.count(len);
        if let Some(tap) = transport.tap {
            tap.received(now, tuple, &data[..len], sink);
        }
        match class {
            DatagramClass::Stun => self.on_stun(now, ix, tuple, &data[..len], sink),
            DatagramClass::Dtls => self.on_dtls(now, ix, tuple, &data[..len], sink),
            DatagramClass::Rtp => self.on_srtp(now, ix, datagram, sink),
            DatagramClass::Rtcp => self.on_srtcp(now, (ix, tuple), data, len, sink),
        }
        self.current = None;
    }

    /// Python may know what to do with a STUN message; nothing else is of use from a stranger.
    fn on_unknown_tuple(
        &mut self,
        now: Micros,
        class: DatagramClass,
        tuple: Tuple,
        data: &[u8],
        sink: &mut impl Sink,
    ) {
        if !self.tapped.is_empty() && class == DatagramClass::Stun {
            self.tap_stranger(now, tuple, data, sink);
        }
        let verdict = match class {
            DatagramClass::Stun => judge_stranger(data),
            DatagramClass::Dtls => Err(DropReason::DtlsUnknownTuple),
            DatagramClass::Rtp | DatagramClass::Rtcp => Err(DropReason::UnknownTuple),
        };
        match verdict {
            Ok(()) => sink.event(Event::Stun {
                tuple,
                data: data.to_vec(),
            }),
            Err(reason) => self.totals.drops.count(reason),
        }
    }

    fn on_stun(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        tuple: Tuple,
        data: &[u8],
        sink: &mut impl Sink,
    ) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        match transport.link.handle_stun(now, tuple, data, sink.scratch()) {
            StunOutcome::Reply(len) => {
                transport.on_authentic(now);
                transport.send_plain(now, len, tuple, sink);
            }
            StunOutcome::Accepted => transport.on_authentic(now),
            StunOutcome::Punt => {
                return match judge_stranger(data) {
                    Ok(()) => sink.event(Event::Stun {
                        tuple,
                        data: data.to_vec(),
                    }),
                    Err(reason) => transport.drop_packet(reason, &mut self.totals),
                };
            }
            StunOutcome::Dropped(reason) => {
                return transport.drop_packet(reason, &mut self.totals);
            }
        }
        self.settle_ice(now, ix, sink);
    }

    fn on_dtls(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        tuple: Tuple,
        data: &[u8],
        sink: &mut impl Sink,
    ) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        // Before there is a path, hellos wait in Python until theirs is proven.
        let is_unproven = transport
            .link
            .agent()
            .is_some_and(|agent| agent.selected().is_some() && !agent.is_validated(tuple));
        if is_unproven {
            return transport.drop_packet(DropReason::UnprovenTuple, &mut self.totals);
        }
        if !transport.dtls.take(now) {
            return transport.drop_packet(DropReason::DtlsRate, &mut self.totals);
        }
        sink.event(Event::Dtls {
            transport: transport.id,
            tuple,
            data: data.to_vec(),
        });
    }

    fn on_srtp(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        mut datagram: Datagram,
        sink: &mut impl Sink,
    ) {
        let len = datagram.len;
        match self.unprotect(now, ix, datagram.data, len, DatagramClass::Rtp) {
            Ok(plain) => {
                self.totals.rtp_received.count(len);
                datagram.len = plain;
                self.on_rtp(now, ix, &datagram, sink);
            }
            Err(reason) => self.drop_of(ix, reason),
        }
    }

    fn on_srtcp(
        &mut self,
        now: Micros,
        (ix, tuple): (Ix<TransportId>, Tuple),
        data: &mut [u8],
        len: usize,
        sink: &mut impl Sink,
    ) {
        let plain = self.unprotect(now, ix, data, len, DatagramClass::Rtcp);
        if let Some(tap) = self.transports.get(ix).and_then(|it| it.tap) {
            let packet = &data[..plain.unwrap_or(len)];
            tap.received_rtcp(now, tuple, packet, plain.is_ok(), sink);
        }
        match plain {
            Ok(len) => self.on_rtcp(now, ix, &data[..len], sink),
            Err(reason) => self.drop_of(ix, reason),
        }
    }

    /// Verifies and decrypts in place: the plain length.
    fn unprotect(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        data: &mut [u8],
        len: usize,
        class: DatagramClass,
    ) -> Result<usize, DropReason> {
        let transport = self
            .transports
            .get_mut(ix)
            .ok_or(DropReason::UnknownTuple)?;
        let is_rtp = class == DatagramClass::Rtp;
        let (ssrc, malformed) = if is_rtp {
            (rtp::peek_ssrc(&data[..len]), DropReason::RtpMalformed)
        } else {
            (rtcp::peek_ssrc(&data[..len]), DropReason::RtcpMalformed)
        };
        let ssrc = ssrc.map_err(|_| malformed)?;
        let srtp = transport.srtp.as_mut().ok_or(DropReason::RtpBeforeKeys)?;
        if !transport.streams.admits(ssrc) {
            return Err(DropReason::SsrcLimit);
        }
        let plain = if is_rtp {
            srtp.unprotect_rtp(data, len)
        } else {
            srtp.unprotect_rtcp(data, len)
        };
        let plain = plain.map_err(|error| match error {
            SrtpError::Auth => DropReason::SrtpAuth,
            SrtpError::Replay => DropReason::SrtpReplay,
            SrtpError::Malformed => malformed,
            SrtpError::Other(_) => DropReason::SrtpOther,
        })?;
        transport.on_authentic(now);
        transport.streams.on_authentic(ssrc);
        Ok(plain.min(len))
    }

    pub(super) fn drop_of(&mut self, ix: Ix<TransportId>, reason: DropReason) {
        if let Some(transport) = self.transports.get_mut(ix) {
            transport.drop_packet(reason, &mut self.totals);
        }
    }
}

/// Whether a STUN message from a stranger deserves Python's time: a complete check, or an answer (which Python matches
/// with the requests it made).
fn judge_stranger(data: &[u8]) -> Result<(), DropReason> {
    let message = StunMessage::parse(data).map_err(|_| DropReason::StunMalformed)?;
    match message.class {
        StunClass::Request if !message.verify_fingerprint() => Err(DropReason::StunFingerprint),
        StunClass::Request if message.ufrags().is_none() || !message.has_integrity() => {
            Err(DropReason::StunAuth)
        }
        StunClass::Indication => Err(DropReason::StunUnexpected),
        _ => Ok(()),
    }
}
