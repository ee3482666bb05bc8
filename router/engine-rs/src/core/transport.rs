//! One peer: its paths, its keys, its tables, and the two doors through which anything leaves to it.

use super::Sink;
use super::allowance::Allowance;
use super::arena::Ix;
use super::bandwidth::{Bandwidth, Numbering};
use super::bucket::TokenBucket;
use super::capture::Tap;
use super::command::TransportConfig;
use super::counters::{Totals, Traffic};
use super::first_frame::FirstFrame;
use super::reports::Reports;
use super::sink::Class;
use super::streams::Streams;
use super::timers::Alarm;
use crate::bwe::ProbeCluster;
use crate::ice::{Agent, Link, PlainPeer};
use crate::ids::{ProducerId, SlotId, Ssrc, TransportId, Tuple};
use crate::pace::Admission;
use crate::recv::clock::PeerClock;
use crate::recv::twcc::FeedbackBuilder;
use crate::srtp::SrtpSession;
use crate::time::Micros;
use crate::wire::ext::ExtensionMap;
use crate::wire::{DropCounters, DropReason};

/// DTLS datagrams handed to Python at once, and per second, per transport.
const DTLS_BURST: u64 = 64;
const DTLS_RATE: u64 = 50;

/// Media to a peer of whom nothing authentic came for so long waits until something comes. Consent (RFC 7675) would let
/// it go on for 30 s; a path that is dead fills the send buffer's queues meanwhile.
pub const MEDIA_SILENCE: Micros = Micros::from_secs(15);

/// An RTP packet that waits in the scratch space.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// Its length.
    pub len: usize,
    /// How much it matters.
    pub class: Class,
    /// The probe that it is padding for.
    pub probe: Option<ProbeCluster>,
}

impl Outgoing {
    /// Media.
    pub const fn media(len: usize, class: Class) -> Self {
        let probe = None;
        Self { len, class, probe }
    }

    /// Padding.
    pub const fn padding(len: usize, probe: ProbeCluster) -> Self {
        Self {
            len,
            class: Class::VideoLayer,
            probe: Some(probe),
        }
    }
}

/// State of one peer. What a packet to it does not need is boxed: the rest is fetched ahead for each receiver
/// (`forward.rs`).
pub struct Transport {
    /// Its id.
    pub id: TransportId,
    /// Paths and consent.
    pub link: Link,
    /// When `link` wants attention, as of the last time it was settled.
    pub ice_deadline: Option<Micros>,
    /// Keys, once the fingerprint was verified.
    pub srtp: Option<Box<dyn SrtpSession>>,
    /// Where those for sending lie: [`SrtpSession::place`].
    pub srtp_place: usize,
    /// CNAME of our RTCP to it.
    pub cname: String,
    /// Given up after this long without an authentic packet.
    pub timeout: Micros,
    /// The last authentic packet of any kind, at first its creation.
    pub last_authenticated: Micros,
    /// An authentic packet has come.
    pub was_authenticated: bool,
    /// Given up; it waits for its removal and neither sends nor receives.
    pub is_lost: bool,
    /// Who is shown its packets.
    pub tap: Option<Tap>,
    /// Its timer entry.
    pub alarm: Alarm,
    /// What its SSRCs carry.
    pub streams: Streams,
    /// Header extension ids it sends with.
    pub extensions: Box<ExtensionMap>,
    /// Tracks it publishes.
    pub producers: Vec<Ix<ProducerId>>,
    /// M-lines sent to it.
    pub slots: Vec<Ix<SlotId>>,
    /// Budget of DTLS datagrams for Python.
    pub dtls: TokenBucket,
    /// What it is told in reports.
    pub reports: Reports,
    /// Arrivals of its transport-wide numbers.
    pub arrivals: Box<FeedbackBuilder>,
    /// The stream that last carried such a number.
    pub arrivals_of: Ssrc,
    /// Its clock, as its sender reports tell it.
    pub clock: PeerClock,
    /// Datagrams received.
    pub received: Traffic,
    /// Datagrams sent.
    pub sent: Traffic,
    /// Media it may be sent now.
    pub allowance: Allowance,
    /// How long it waits for a picture.
    pub first_frame: FirstFrame,
    /// How it tells of arrivals.
    pub numbering: Numbering,
    /// What its link carries, once it is sent video.
    pub bandwidth: Option<Box<Bandwidth>>,
    /// Drops by reason.
    pub drops: Box<DropCounters>,
    /// How often a pair was selected.
    pub pair_changes: u64,
}

impl Transport {
    /// A peer without tuples or keys.
    pub fn new(now: Micros, config: TransportConfig, tie_breaker: u64) -> Self {
        Self {
            id: config.id,
            link: Link::ice(Agent::new(config.local, tie_breaker)),
            ice_deadline: None,
            srtp: None,
            srtp_place: 0,
            cname: config.cname,
            timeout: config.timeout,
            last_authenticated: now,
            was_authenticated: false,
            is_lost: false,
            tap: None,
            alarm: Alarm::default(),
            streams: Streams::default(),
            extensions: Box::default(),
            producers: Vec::new(),
            slots: Vec::new(),
            dtls: TokenBucket::new(DTLS_BURST, DTLS_RATE),
            reports: Reports::new(Ssrc(tie_breaker as u32 | 1)),
            arrivals: Box::default(),
            arrivals_of: Ssrc(0),
            clock: PeerClock::default(),
            received: Traffic::default(),
            sent: Traffic::default(),
            allowance: Allowance::new(),
            first_frame: FirstFrame::default(),
            numbering: Numbering::default(),
            bandwidth: None,
            drops: Box::default(),
            pair_changes: 0,
        }
    }

    /// An authentic packet arrived.
    #[inline]
    pub fn on_authentic(&mut self, now: Micros) {
        self.last_authenticated = now;
        self.was_authenticated = true;
    }

    /// A peer without ICE: at these addresses, and without DTLS.
    pub fn make_plain(&mut self, peer: PlainPeer) {
        self.link = Link::plain(peer);
        self.dtls = TokenBucket::new(0, 1);
    }

    /// When this peer wants attention for its own sake.
    pub fn deadline(&self) -> Option<Micros> {
        if self.is_lost {
            return None;
        }
        let liveness = self.last_authenticated + self.timeout;
        let ice = self.ice_deadline.into_iter();
        let own = ice
            .chain(self.reports.deadline())
            .chain(self.arrivals.deadline());
        let bandwidth = self.bandwidth.iter().map(|it| it.deadline());
        Some(own.chain(bandwidth).fold(liveness, Micros::min))
    }

    /// When its link wants attention, if that has changed.
    #[inline]
    pub fn take_restless(&mut self) -> Option<Micros> {
        let bandwidth = self.bandwidth.as_mut()?;
        bandwidth.take_restless().then(|| bandwidth.deadline())
    }

    /// Counts a drop, here and in the totals.
    #[inline]
    pub fn drop_packet(&mut self, reason: DropReason, totals: &mut Totals) {
        self.drops.count(reason);
        totals.drops.count(reason);
    }

    /// Sends the first `len` bytes of the scratch space as they are: STUN.
    pub fn send_plain(&mut self, now: Micros, len: usize, to: Tuple, sink: &mut impl Sink) {
        self.sent.count(len);
        if let Some(tap) = self.tap {
            tap.sent(now, to, len, sink);
        }
        sink.commit(len, to, Class::Control);
    }

    /// Sends the RTP packet in the first bytes of the scratch space to what [`Self::media_outlet`] gave, or keeps it until
    /// the peer's link has room.
    #[inline]
    pub fn send_rtp(
        &mut self,
        now: Micros,
        to: Tuple,
        (outgoing, is_repair): (Outgoing, bool),
        sink: &mut impl Sink,
        totals: &mut Totals,
    ) {
        let Outgoing { len, class, .. } = outgoing;
        if let Some(bandwidth) = &mut self.bandwidth {
            match bandwidth.admit(&sink.scratch()[..len], class, is_repair, now) {
                Admission::Pass => {}
                Admission::Wait => return,
                Admission::Drop(reason) => return self.drop_packet(reason, totals),
            }
        }
        self.send_out(now, to, outgoing, sink, totals);
    }

    /// Numbers and encrypts the RTP packet in the first bytes of the scratch space, and sends it.
    #[inline]
    pub fn send_out(
        &mut self,
        now: Micros,
        to: Tuple,
        Outgoing { len, class, probe }: Outgoing,
        sink: &mut impl Sink,
        totals: &mut Totals,
    ) {
        if !self.allowance.take(len, class == Class::Audio) {
            return self.drop_packet(DropReason::PeerRate, totals);
        }
        let padding = padding_of(&sink.scratch()[..len]);
        if padding != 0 {
            totals.padding.count(padding);
        }
        if let Some(bandwidth) = &mut self.bandwidth {
            bandwidth.on_leaving(&mut sink.scratch()[..len], probe, now);
        }
        let to = (now, Some(to));
        let sent = self.send_secured(to, class, sink, totals, |srtp, buffer| {
            srtp.protect_rtp(buffer, len)
        });
        if let Some(len) = sent {
            totals.rtp_sent.count(len);
        }
    }

    /// Encrypts and sends the RTCP packet in the first `len` bytes of the scratch space.
    pub fn send_rtcp(
        &mut self,
        now: Micros,
        len: usize,
        sink: &mut impl Sink,
        totals: &mut Totals,
    ) -> bool {
        let to = self.link.rtcp_outlet(now);
        if let (Some(tap), Some(to)) = (self.tap, to) {
            tap.sent_rtcp(now, to, len, sink);
        }
        let sent = self.send_secured((now, to), Class::Control, sink, totals, |srtp, buffer| {
            srtp.protect_rtcp(buffer, len)
        });
        if let (Some(bandwidth), Some(sent)) = (&mut self.bandwidth, sent) {
            bandwidth.on_control(sent, now);
        }
        sent.is_some()
    }

    fn send_secured<E>(
        &mut self,
        (now, to): (Micros, Option<Tuple>),
        class: Class,
        sink: &mut impl Sink,
        totals: &mut Totals,
        protect: impl FnOnce(&mut dyn SrtpSession, &mut [u8]) -> Result<usize, E>,
    ) -> Option<usize> {
        let (Some(to), Some(srtp)) = (to, self.srtp.as_mut()) else {
            self.drop_packet(DropReason::NoSelectedTuple, totals);
            return None;
        };
        let Ok(len) = protect(srtp.as_mut(), sink.scratch()) else {
            self.drop_packet(DropReason::SrtpProtect, totals);
            return None;
        };
        self.sent.count(len);
        if let Some(tap) = self.tap {
            tap.sent(now, to, len, sink);
        }
        sink.commit(len, to, class);
        Some(len)
    }

    /// Where media can leave to now, if there are keys and a path with somebody at its end.
    #[inline]
    pub fn media_outlet(&mut self, now: Micros) -> Option<Tuple> {
        self.allowance.refill(now);
        self.outlet(now)
    }

    /// Media can leave to it now.
    #[inline]
    pub fn can_send(&self, now: Micros) -> bool {
        self.outlet(now).is_some()
    }

    #[inline]
    fn outlet(&self, now: Micros) -> Option<Tuple> {
        self.srtp.as_ref()?;
        let is_silent = now >= self.last_authenticated + MEDIA_SILENCE;
        self.link.rtp_outlet(now).filter(|_| !is_silent)
    }
}

/// Bytes of padding of a packet that we made: its last byte counts them (RFC 3550 section 5.1).
#[inline]
fn padding_of(packet: &[u8]) -> usize {
    match (packet.first(), packet.last()) {
        (Some(first), Some(count)) if first & 0x20 != 0 => usize::from(*count),
        _ => 0,
    }
}
