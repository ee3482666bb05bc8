//! What publishers are asked for: lost packets (NACK) and key frames (PLI or FIR), merged over all receivers; and what
//! they are told of the path: transport-wide arrivals.
//!
//! One compound packet per wake-up of a producer. Requests are taken from the streams even when the peer
//! cannot be reached, so that nothing stays due.

use super::arena::Ix;
use super::command::Feedback;
use super::compound::Compound;
use super::counters::Totals;
use super::producer::{Home, Producer};
use super::timers::Owner;
use super::{Core, Event, Sink};
use crate::ids::{ProducerId, Ssrc, TransportId};
use crate::recv::ReceiveStream;
use crate::time::Micros;
use crate::wire::WriteError;
use crate::wire::rtcp::{FirEntry, write_fir, write_nack, write_pli};
use arrayvec::ArrayVec;

/// Most packets named in one NACK; the rest follows with the next wake-up.
const MAX_NACK: usize = 256;
/// A producer is not woken more often than this.
const MIN_WAKE: Micros = Micros::from_millis(1);

impl Core {
    pub(super) fn wake_producer(
        &mut self,
        now: Micros,
        at: Micros,
        ix: Ix<ProducerId>,
        sink: &mut impl Sink,
    ) {
        let Some(producer) = self.producers.get_mut(ix) else {
            return;
        };
        if !producer.alarm.take(at) {
            return;
        }
        let peer = match producer.home {
            Home::Peer(peer) => peer,
            Home::Worker(home) => return self.wake_mirror(now, ix, home),
        };
        let Some(transport) = self.transports.get_mut(peer) else {
            return;
        };
        self.current = Some(transport.id);
        let silent = producer.poll_silence(now);
        if let Some(event) = silent.clone() {
            sink.event(event);
        }
        if let Some(sources) = producer.contributors.poll(now) {
            let sources = sources.to_vec();
            sink.event(Event::Contributors {
                producer: producer.config.id,
                sources,
            });
        }
        if silent.is_some() {
            self.quiet_speaker(ix);
        }
        let Some(producer) = self.producers.get(ix) else {
            return;
        };
        if silent.is_some() || producer.next_select.is_some_and(|at| at <= now) {
            self.select(now, ix, None);
        }
        self.request(now, ix, peer, sink);
    }

    /// Tells a publisher when its packets arrived, so that its encoder finds the rate of the path.
    pub(super) fn report_arrivals(
        &mut self,
        now: Micros,
        ix: Ix<TransportId>,
        sink: &mut impl Sink,
    ) {
        let Some(transport) = self.transports.get_mut(ix) else {
            return;
        };
        let (own, media) = (transport.reports.ssrc, transport.arrivals_of);
        loop {
            let mut compound = Compound::with_head(transport);
            let arrivals = &mut transport.arrivals;
            let written = |buffer: &mut [u8]| {
                arrivals
                    .poll(now, own, media, buffer)
                    .ok_or(WriteError::NoRoom)
            };
            if !compound.push(written) {
                return;
            }
            compound.flush(now, transport, sink, &mut self.totals);
        }
    }

    /// Asks the publisher for what is missing, and sets the timer.
    fn request(
        &mut self,
        now: Micros,
        ix: Ix<ProducerId>,
        peer: Ix<TransportId>,
        sink: &mut impl Sink,
    ) {
        let Some(producer) = self.producers.get_mut(ix) else {
            return;
        };
        let Some(transport) = self.transports.get_mut(peer) else {
            return;
        };
        let mut compound = Compound::with_head(transport);
        write_requests(
            now,
            transport.reports.ssrc,
            producer,
            &mut compound,
            &mut self.totals,
        );
        compound.flush(now, transport, sink, &mut self.totals);
        if let Some(at) = producer.deadline() {
            let at = at.max(now + MIN_WAKE);
            self.timers
                .arm(&mut producer.alarm, Owner::Producer(ix), at);
        }
    }
}

fn write_requests(
    now: Micros,
    sender: Ssrc,
    producer: &mut Producer,
    compound: &mut Compound,
    totals: &mut Totals,
) {
    let listens = producer.encoder.defer(now) == now;
    for stream in &mut producer.streams {
        write_lost(now, sender, stream, compound, totals);
        let Some(media) = stream.ssrc().filter(|_| listens) else {
            continue;
        };
        let feedback = stream.poll_key_frame(now);
        if feedback.is_some() {
            producer.encoder.on_request(now);
        }
        match feedback {
            Some(Feedback::Fir) => {
                producer.fir_sequence = producer.fir_sequence.wrapping_add(1);
                let entry = FirEntry {
                    media,
                    sequence: producer.fir_sequence,
                };
                compound.push(|buffer| write_fir(buffer, sender, &[entry]));
                totals.sent_feedback.fir += 1;
            }
            Some(_) => {
                compound.push(|buffer| write_pli(buffer, sender, media));
                totals.sent_feedback.pli += 1;
            }
            None => {}
        }
    }
}

fn write_lost(
    now: Micros,
    sender: Ssrc,
    stream: &mut ReceiveStream,
    compound: &mut Compound,
    totals: &mut Totals,
) {
    let mut lost: ArrayVec<u16, MAX_NACK> = ArrayVec::new();
    stream.poll_nack(now, MAX_NACK, |seq| {
        let _ = lost.try_push(seq.wire());
    });
    if let (Some(media), false) = (stream.ssrc(), lost.is_empty()) {
        compound.push(|buffer| write_nack(buffer, sender, media, &lost));
        totals.sent_feedback.nack += 1;
    }
}
