//! Steady load on a core: one publisher at a thousand packets a second, many receivers, nothing kept of what leaves.

use super::Call;
use super::media::{Encoder, video_producer};
use super::plain_srtp::{PlainSrtp, TAG};
use fork_router_engine::core::sink::{Class, MAX_DATAGRAM};
use fork_router_engine::core::{Command, Core, Datagram, Event, Received, Sink};
use fork_router_engine::ids::{Mid, ProducerId, Ssrc, Tuple};
use fork_router_engine::srtp::SRTP_MAX_OVERHEAD;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{write_nack, write_receiver_report};

/// Time between two packets of the publisher.
const PACE: Micros = Micros::from_millis(1);
/// Payload bytes of a packet: about 1100 in all.
const PAYLOAD: usize = 1_070;
/// A receiver is silent for so many packets at most.
const SILENCE: usize = 2_000;
/// Of so many packets, one is lost and comes by RTX.
const LOSS: usize = 50;

/// Counts what leaves, by first byte.
pub struct CountingSink {
    scratch: Vec<u8>,
    pub rtp: u64,
    pub other: u64,
    pub events: u64,
    /// The newest sequence number, by the low byte of the SSRC.
    newest: [u16; 256],
}

impl CountingSink {
    pub fn new() -> Self {
        Self {
            scratch: vec![0; MAX_DATAGRAM + SRTP_MAX_OVERHEAD],
            rtp: 0,
            other: 0,
            events: 0,
            newest: [0; 256],
        }
    }
}

impl Sink for CountingSink {
    fn scratch(&mut self) -> &mut [u8] {
        &mut self.scratch
    }

    fn commit(&mut self, len: usize, _: Tuple, _: Class) {
        assert!(len > 12);
        let is_rtp = self.scratch[0] >> 6 == 2 && !(192..=223).contains(&self.scratch[1]);
        self.rtp += u64::from(is_rtp);
        self.other += u64::from(!is_rtp);
        if is_rtp && self.scratch[8] == 0x50 {
            let seq = u16::from_be_bytes([self.scratch[2], self.scratch[3]]);
            self.newest[usize::from(self.scratch[11])] = seq;
        }
    }

    fn event(&mut self, _: Event) {
        self.events += 1;
    }
}

/// Datagrams of one wake-up, in buffers that are used again.
#[derive(Default)]
struct Batch {
    buffers: Vec<Vec<u8>>,
    lengths: Vec<usize>,
}

impl Received for Batch {
    fn bytes(&self, index: usize) -> &[u8] {
        &self.buffers[index]
    }
}

impl Batch {
    fn fill(&mut self, packets: &[Vec<u8>]) {
        self.buffers.resize(
            self.buffers.len().max(packets.len()),
            vec![0; MAX_DATAGRAM + SRTP_MAX_OVERHEAD],
        );
        self.lengths.clear();
        for (buffer, packet) in self.buffers.iter_mut().zip(packets) {
            buffer[..packet.len()].copy_from_slice(packet);
            self.lengths.push(packet.len() + TAG);
        }
    }

    fn play(&mut self, core: &mut Core, now: Micros, from: Tuple, sink: &mut CountingSink) {
        for (index, (data, len)) in self.buffers.iter_mut().zip(&self.lengths).enumerate() {
            let len = *len;
            let datagram = Datagram {
                data,
                len,
                arrived: now,
                index,
            };
            core.take_datagram(now, from, datagram, sink);
        }
        core.forward_pending(now, self, sink);
    }
}

pub struct Load {
    pub call: Call,
    pub sink: CountingSink,
    encoder: Encoder,
    buffer: Vec<u8>,
    batch: Batch,
    prepared: Vec<Vec<u8>>,
    rtx_seq: u16,
}

impl Load {
    pub fn new(receivers: usize) -> Self {
        let mut call = Call::new(1, &[], receivers, true);
        let peers = call.subscribers.iter().map(|it| it.peer.transport);
        let all: Vec<_> = peers.chain([call.publisher.transport]).collect();
        for transport in all {
            call.world
                .command(Command::SetSrtp(transport, Box::new(PlainSrtp)));
        }
        let mut encoder = Encoder::video(0x1234);
        encoder.payload_len = PAYLOAD;
        encoder.transport_cc = Some(1);
        Self {
            call,
            sink: CountingSink::new(),
            encoder,
            buffer: vec![0; MAX_DATAGRAM + SRTP_MAX_OVERHEAD],
            batch: Batch::default(),
            prepared: Vec::new(),
            rtx_seq: 0,
        }
    }

    /// A second camera of the same publisher, for whose key frame all receivers wait from now on.
    pub fn change_camera(&mut self) {
        let transport = self.call.publisher.transport;
        let mut config = video_producer(2, transport, &[]);
        config.mid = Mid::from("2").ok();
        self.call.world.command(Command::AddProducer(config));
        for subscriber in 0..self.call.subscribers.len() {
            let id = self.call.subscribers[subscriber].slot.id;
            self.call
                .world
                .command(Command::Assign(id, Some(ProducerId(2))));
        }
        self.encoder = Encoder {
            mid: Some("2"),
            ..Encoder::video(0x4321)
        };
    }

    /// Makes one frame of four packets.
    pub fn prepare_frame(&mut self, key: bool) {
        self.prepared = self.encoder.frame(key, 4);
        self.encoder.pass(360);
    }

    /// Makes the next packets, in frames of four, the first a key frame. With `losses`, some come late and by RTX.
    pub fn prepare(&mut self, packets: usize, losses: bool) {
        self.prepared.clear();
        self.encoder.sent.clear();
        let mut lost = Vec::new();
        while self.prepared.len() < packets {
            let key = self.prepared.is_empty();
            for packet in self.encoder.frame(key, 4) {
                let seq = u16::from_be_bytes([packet[2], packet[3]]);
                if losses && usize::from(seq) % LOSS == 0 && !key {
                    lost.push(seq);
                } else {
                    self.prepared.push(packet);
                }
            }
            self.encoder.pass(360);
            for seq in lost.drain(..) {
                self.rtx_seq = self.rtx_seq.wrapping_add(1);
                let packet = self.encoder.rtx(super::call::RTX_SSRC, self.rtx_seq, seq);
                self.prepared.extend(packet);
            }
        }
    }

    /// Plays what was prepared, and returns how many packets that were. `measure` is around every call into the core.
    pub fn play(&mut self, mut measure: impl FnMut(&mut dyn FnMut())) -> usize {
        let prepared = std::mem::take(&mut self.prepared);
        for (index, packet) in prepared.iter().enumerate() {
            if index % SILENCE == SILENCE - 1 {
                self.report(&mut measure);
            }
            let from = self.call.publisher.tuple;
            self.receive(from, packet, &mut measure);
            self.call.world.now = self.call.world.now + PACE;
            self.serve_timers(&mut measure);
        }
        prepared.len()
    }

    /// Plays what was prepared in batches of so many packets. `measure` is around every call into the core.
    pub fn play_batches(&mut self, size: usize, mut measure: impl FnMut(&mut dyn FnMut())) {
        let prepared = std::mem::take(&mut self.prepared);
        let from = self.call.publisher.tuple;
        for packets in prepared.chunks(size) {
            self.batch.fill(packets);
            let Self {
                call, sink, batch, ..
            } = self;
            let world = &mut call.world;
            measure(&mut || batch.play(&mut world.core, world.now, from, sink));
            world.now = world.now + Micros(PACE.0 * packets.len() as u64);
            self.serve_timers(&mut measure);
        }
    }

    /// Every receiver says that it is there.
    fn report(&mut self, measure: &mut impl FnMut(&mut dyn FnMut())) {
        let mut report = [0; 16];
        let len = write_receiver_report(&mut report, Ssrc(1), &[]).unwrap();
        for index in 0..self.call.subscribers.len() {
            let from = self.call.subscribers[index].peer.tuple;
            self.receive(from, &report[..len], measure);
        }
    }

    /// Every receiver asks for the packet that it was sent last.
    pub fn ask_again(&mut self, mut measure: impl FnMut(&mut dyn FnMut())) {
        for index in 0..self.call.subscribers.len() {
            let (from, ssrc) = {
                let subscriber = &self.call.subscribers[index];
                (subscriber.peer.tuple, subscriber.slot.ssrc)
            };
            let lost = self.sink.newest[ssrc.0 as usize % 256];
            let mut nack = [0; 16];
            let len = write_nack(&mut nack, Ssrc(1), ssrc, &[lost]).unwrap();
            self.receive(from, &nack[..len], &mut measure);
        }
    }

    fn receive(&mut self, from: Tuple, plain: &[u8], measure: &mut impl FnMut(&mut dyn FnMut())) {
        let Self {
            call, sink, buffer, ..
        } = self;
        buffer[..plain.len()].copy_from_slice(plain);
        let world = &mut call.world;
        measure(&mut || {
            let len = plain.len() + TAG;
            world
                .core
                .handle_datagram(world.now, from, buffer, len, sink);
        });
    }

    fn serve_timers(&mut self, measure: &mut impl FnMut(&mut dyn FnMut())) {
        let Self { call, sink, .. } = self;
        let world = &mut call.world;
        while world.core.poll_deadline().is_some_and(|at| at <= world.now) {
            measure(&mut || world.core.handle_timeout(world.now, sink));
        }
    }
}
