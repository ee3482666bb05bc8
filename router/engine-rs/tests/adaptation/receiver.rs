//! A receiver with some slots, and what it says of what arrives: by transport-wide feedback, REMB, or reports alone; the
//! truth or not.

use crate::common::Peer;
use crate::common::plain_srtp::TAG;
use crate::encoder::Stamp;
use crate::reception::Reception;
use crate::trace::Trace;
use crate::view::View;
use fork_router_engine::ids::Ssrc;
use fork_router_engine::recv::twcc::FeedbackBuilder;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::ext::elements;
use fork_router_engine::wire::rtcp::{
    RtcpMessage, TransportCcHead, messages, write_nack, write_pli, write_receiver_report,
    write_remb, write_transport_cc,
};
use fork_router_engine::wire::rtp::RtpHeader;

/// Id of transport-wide numbers at receivers.
pub const NUMBER_ID: u8 = 5;
const OWN: Ssrc = Ssrc(1);
const REPORT_GAP: Micros = Micros::from_secs(1);
/// The receiver's clock has another origin, and is 80 ppm faster.
const CLOCK_OFFSET: Micros = Micros::from_secs(3_000_000);

/// How it tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    TransportCc,
    /// This REMB, each second.
    Remb(u64),
    Reports,
    Lies(Lie),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lie {
    /// All arrived, and in no time.
    Instant,
    /// REMB of one bit per second.
    OneBit,
    /// Feedback on numbers that were never sent.
    NeverSent,
    /// Reports on, and requests for, streams of others.
    Foreign,
}

/// A slot's stream.
pub struct Stream {
    pub ssrc: Ssrc,
    pub rtx_ssrc: Option<Ssrc>,
    pub view: View,
    reception: Reception,
    rtx_reception: Reception,
}

pub struct Receiver {
    pub peer: Peer,
    pub manner: Manner,
    pub link: usize,
    /// From asking to getting, when nothing queues.
    pub round_trip: Micros,
    pub streams: Vec<Stream>,
    pub audio: Ssrc,
    pub trace: Trace,
    audio_reception: Reception,
    builder: FeedbackBuilder,
    highest_number: u16,
    messages: u32,
    next_report: Micros,
    next_lie: Micros,
}

impl Receiver {
    pub fn new(peer: Peer, manner: Manner, link: usize, (start, now): (Micros, Micros)) -> Self {
        let phase = Micros(peer.transport.0 * 31_337 % 100_000);
        Self {
            peer,
            manner,
            link,
            round_trip: Micros::from_millis(100),
            streams: Vec::new(),
            audio: Ssrc(0),
            trace: Trace::new(start),
            audio_reception: Reception::default(),
            builder: FeedbackBuilder::default(),
            highest_number: 0,
            messages: 0,
            next_report: now + phase + REPORT_GAP,
            next_lie: now + phase,
        }
    }

    pub fn add_stream(&mut self, ssrc: Ssrc, rtx_ssrc: Option<Ssrc>) {
        self.streams.push(Stream {
            ssrc,
            rtx_ssrc,
            view: View::default(),
            reception: Reception::default(),
            rtx_reception: Reception::default(),
        });
    }

    /// SRTP or SRTCP came.
    pub fn take(&mut self, datagram: &[u8], wire: usize, now: Micros) {
        let plain = &datagram[..datagram.len() - TAG];
        if (192..=223).contains(&plain[1]) {
            self.trace.of(now).control += wire;
            return self.on_rtcp(plain, now);
        }
        let header = RtpHeader::parse(plain).expect("what leaves is valid");
        let number = header.extension.and_then(|block| {
            let mut found = elements(plain, &block).filter(|(id, _)| *id == NUMBER_ID);
            let value = found.next()?.1.of(plain).first_chunk().copied();
            value.map(u16::from_be_bytes)
        });
        if let Some(number) = number {
            self.on_number(number, now);
        }
        let payload = header.payload.of(plain);
        let (seq, timestamp) = (header.seq, header.timestamp);
        if header.ssrc == self.audio {
            self.audio_reception.on_packet(seq, timestamp, 48_000, now);
            let delay = now - Stamp::read(payload).captured;
            let step = self.trace.of(now);
            step.audio += wire;
            step.audio_delay = step.audio_delay.max(delay);
            return;
        }
        let own = |it: &&mut Stream| it.ssrc == header.ssrc || it.rtx_ssrc == Some(header.ssrc);
        let stream = self.streams.iter_mut().find(own).expect("its stream");
        let step = self.trace.of(now);
        let rtp = (timestamp, header.marker);
        if header.ssrc == stream.ssrc {
            stream.reception.on_packet(seq, timestamp, 90_000, now);
            step.video += wire;
            stream.view.take(seq, rtp, payload, false, now);
            return;
        }
        stream.rtx_reception.on_packet(seq, timestamp, 90_000, now);
        match payload.split_first_chunk() {
            Some((original, payload)) => {
                let repaired = stream.view.losses.repaired;
                let original = u16::from_be_bytes(*original);
                stream.view.take(original, rtp, payload, true, now);
                if stream.view.losses.repaired > repaired {
                    step.repairs += wire;
                } else {
                    step.padding += wire;
                }
            }
            None => step.padding += wire,
        }
    }

    fn on_number(&mut self, number: u16, now: Micros) {
        let time = receiver_time(now);
        if self.manner == Manner::Lies(Lie::Instant) {
            // Everything between arrived too, all in one moment.
            let moment = Micros(time.0 / 100_000 * 100_000);
            let mut missed = self.highest_number;
            while number.wrapping_sub(missed) < 1_000 && missed != number {
                missed = missed.wrapping_add(1);
                self.builder.on_packet(missed, moment);
            }
        }
        self.highest_number = number;
        self.builder.on_packet(number, time);
    }

    fn on_rtcp(&mut self, plain: &[u8], now: Micros) {
        for message in messages(plain) {
            if let RtcpMessage::SenderReport(report) = message.expect("whole") {
                let streams = self.streams.iter_mut();
                let receptions = streams.map(|it| (it.ssrc, &mut it.reception));
                let audio = (self.audio, &mut self.audio_reception);
                for (ssrc, reception) in receptions.chain([audio]) {
                    if ssrc == report.info.ssrc {
                        reception.on_sender_report(report.info.ntp, now);
                    }
                }
            }
        }
    }

    /// What it sends now, plain.
    pub fn poll(&mut self, now: Micros) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        for stream in &mut self.streams {
            stream.view.decode(now);
            for lost in stream.view.nacks(self.round_trip, now).chunks(200) {
                sent.push(written(|buffer| write_nack(buffer, OWN, stream.ssrc, lost)));
            }
            if stream.view.wants_key_frame(now) {
                sent.push(written(|buffer| write_pli(buffer, OWN, stream.ssrc)));
            }
        }
        if matches!(self.manner, Manner::TransportCc | Manner::Lies(_)) {
            self.tell_arrivals(&mut sent, now);
        }
        if self.next_report <= now {
            self.next_report = self.next_report + REPORT_GAP;
            self.report(&mut sent, now);
        }
        if let Manner::Lies(lie) = self.manner
            && self.next_lie <= now
        {
            self.next_lie = self.next_lie + Micros::from_millis(50);
            sent.push(self.lie(lie, now));
        }
        sent
    }

    fn tell_arrivals(&mut self, sent: &mut Vec<Vec<u8>>, now: Micros) {
        let mut buffer = [0; 1_200];
        let media = self.streams.first().map_or(self.audio, |it| it.ssrc);
        while let Some(len) = self
            .builder
            .poll(receiver_time(now), OWN, media, &mut buffer)
        {
            let mut message = buffer[..len].to_vec();
            self.messages += 1;
            if self.messages.is_multiple_of(3) {
                pad(&mut message);
            }
            sent.push(message);
        }
    }

    fn report(&mut self, sent: &mut Vec<Vec<u8>>, now: Micros) {
        let mut blocks = vec![self.audio_reception.report(self.audio, now)];
        for stream in &mut self.streams {
            blocks.push(stream.reception.report(stream.ssrc, now));
            if let Some(ssrc) = stream.rtx_ssrc {
                blocks.push(stream.rtx_reception.report(ssrc, now));
            }
        }
        let blocks: Vec<_> = blocks.into_iter().flatten().collect();
        for blocks in blocks.chunks(31) {
            sent.push(written(|buffer| write_receiver_report(buffer, OWN, blocks)));
        }
        if let Manner::Remb(bps) = self.manner {
            let ssrcs: Vec<Ssrc> = self.streams.iter().map(|it| it.ssrc).collect();
            sent.push(written(|buffer| write_remb(buffer, OWN, bps, &ssrcs)));
        }
    }

    fn lie(&mut self, lie: Lie, now: Micros) -> Vec<u8> {
        match lie {
            // Its feedback is the lie already.
            Lie::Instant => written(|buffer| write_remb(buffer, OWN, 10_000_000_000, &[])),
            Lie::OneBit => written(|buffer| write_remb(buffer, OWN, 1, &[])),
            Lie::NeverSent => {
                let head = TransportCcHead {
                    sender: OWN,
                    media: self.audio,
                    base_seq: self.highest_number.wrapping_add(5_000),
                    feedback_count: 0,
                };
                let arrivals = vec![Some(receiver_time(now)); 200];
                written(|buffer| write_transport_cc(buffer, &head, &arrivals).map(|(len, _)| len))
            }
            Lie::Foreign => {
                // The neighbour's slots, and the publisher's streams.
                let foreign = [Ssrc(self.audio.0 + 100), Ssrc(self.streams[0].ssrc.0 + 100)];
                let mut message = Vec::new();
                for ssrc in foreign.into_iter().chain([Ssrc(11), Ssrc(13)]) {
                    let block = Reception::worst(ssrc);
                    message.extend(written(|buffer| {
                        write_receiver_report(buffer, ssrc, &[block])
                    }));
                    message.extend(written(|buffer| write_pli(buffer, OWN, ssrc)));
                    message.extend(written(|buffer| write_nack(buffer, OWN, ssrc, &[1, 2, 3])));
                    message.extend(written(|buffer| {
                        write_remb(buffer, OWN, 20_000_000, &[ssrc])
                    }));
                }
                message
            }
        }
    }
}

fn receiver_time(at: Micros) -> Micros {
    CLOCK_OFFSET + at + Micros(at.0 * 8 / 100_000)
}

fn written<E: std::fmt::Debug>(write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Vec<u8> {
    let mut buffer = [0; 1_400];
    let len = write(&mut buffer).expect("room");
    buffer[..len].to_vec()
}

/// Four bytes of padding behind a message.
fn pad(message: &mut Vec<u8>) {
    message[0] |= 0x20;
    message.extend([0, 0, 0, 4]);
    let words = (message.len() / 4 - 1) as u16;
    message[2..4].copy_from_slice(&words.to_be_bytes());
}
