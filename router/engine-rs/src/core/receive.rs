//! From an authentic RTP packet to its producer, and to those that wait to be forwarded (`pending.rs`).
//!
//! The packet is parsed once, here.

use super::arena::Ix;
use super::datagram::Datagram;
use super::mirror::hand_over;
use super::producer::Producer;
use super::streams::Stream;
use super::timers::Owner;
use super::{Core, Sink};
use crate::ids::{ProducerId, TransportId};
use crate::recv::packet::MediaPacket;
use crate::time::Micros;
use crate::wire::DropReason;
use crate::wire::ext::ExtensionValues;
use crate::wire::rtp::RtpHeader;

impl Core {
    pub(super) fn on_rtp(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        datagram: &Datagram,
        sink: &mut impl Sink,
    ) {
        if let Err(reason) = self.receive(now, ix, datagram, sink) {
            self.drop_of(ix, reason);
        }
    }

    fn receive(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        datagram: &Datagram,
        sink: &mut impl Sink,
    ) -> Result<(), DropReason> {
        let (data, arrived) = (&datagram.data[..datagram.len], datagram.arrived);
        let header = RtpHeader::parse(data).map_err(|_| DropReason::RtpMalformed)?;
        let transport = self
            .transports
            .get_mut(ix)
            .ok_or(DropReason::UnknownTuple)?;
        let extensions =
            ExtensionValues::parse(data, header.extension.as_ref(), &transport.extensions);
        if let Some(seq) = extensions.transport_cc {
            transport.arrivals.on_packet(seq, arrived);
            transport.arrivals_of = header.ssrc;
            if let Some(at) = transport.arrivals.deadline() {
                self.timers
                    .arm(&mut transport.alarm, Owner::Transport(ix), at);
            }
        }
        let stream =
            transport
                .streams
                .resolve(now, header.ssrc, header.payload_type, &extensions)?;
        let producer = self
            .producers
            .get_mut(stream.producer)
            .ok_or(DropReason::UnknownStream)?;
        let packet = accept(producer, stream, data, &header, &extensions, arrived)?;
        let Some(packet) = packet else { return Ok(()) };
        if let Some(event) = producer.on_packet(stream.encoding, &packet) {
            sink.event(event);
            producer.next_select = Some(now);
        }
        hand_over(producer, stream.encoding, &packet, sink);
        let from = producer.incoming(stream.encoding);
        let (paused, speaker) = (producer.paused, producer.speaker);
        self.note_media(now, ix);
        self.arm_producer(stream.producer);
        if paused {
            return Err(DropReason::ProducerPaused);
        }
        if let Some(speaker) = speaker {
            self.on_voice(now, speaker, packet.extensions.audio_level);
        }
        self.pending
            .push(stream.producer, from, &packet, datagram.index);
        Ok(())
    }

    /// Sets the producer's timer to its own deadline.
    pub(super) fn arm_producer(&mut self, ix: Ix<ProducerId>) {
        if let Some(producer) = self.producers.get_mut(ix)
            && let Some(at) = producer.deadline()
        {
            self.timers
                .arm(&mut producer.alarm, Owner::Producer(ix), at);
        }
    }
}

/// Hands a packet to its encoding. `None`: a probe of padding only.
fn accept<'a>(
    producer: &mut Producer,
    stream: Stream,
    data: &'a [u8],
    header: &RtpHeader,
    extensions: &ExtensionValues,
    arrived: Micros,
) -> Result<Option<MediaPacket<'a>>, DropReason> {
    let encoding = producer
        .stream(stream.encoding)
        .ok_or(DropReason::UnknownStream)?;
    if stream.is_rtx {
        encoding.on_rtx(data, header, extensions, arrived)
    } else {
        encoding.on_rtp(data, header, extensions, arrived).map(Some)
    }
}
