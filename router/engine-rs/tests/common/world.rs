//! The core under test with its clock and what came out of it.

use super::peer::Peer;
use fork_router_engine::core::capture::Captured;
use fork_router_engine::core::mirror::{MirrorHead, MirrorMessage};
use fork_router_engine::core::sink::{Class, MAX_DATAGRAM};
use fork_router_engine::core::{Command, Core, Datagram, Event, Received, Sink};
use fork_router_engine::ids::{Tuple, WorkerId};
use fork_router_engine::srtp::{SRTP_MAX_OVERHEAD, SrtpError, SrtpSession};
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{RtcpMessage, messages};

/// Unix time minus engine time.
pub const WALL_OFFSET: i64 = 1_700_000_000_000_000;

pub struct ListSink {
    scratch: Vec<u8>,
    pub sent: Vec<(Tuple, Vec<u8>)>,
    pub events: Vec<Event>,
    /// Packets for captures.
    pub captured: Vec<(Captured, Vec<u8>)>,
    /// Packets for other workers.
    pub handed: Vec<(WorkerId, MirrorHead, Vec<u8>)>,
    /// Messages for other workers.
    pub told: Vec<(WorkerId, MirrorMessage)>,
}

impl Sink for ListSink {
    fn scratch(&mut self) -> &mut [u8] {
        &mut self.scratch
    }

    fn commit(&mut self, len: usize, to: Tuple, _: Class) {
        assert!(len <= MAX_DATAGRAM + SRTP_MAX_OVERHEAD);
        self.sent.push((to, self.scratch[..len].to_vec()));
        self.scratch.fill(0xEE);
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn capture(&mut self, head: &Captured, packet: &[u8]) {
        self.captured.push((*head, packet.to_vec()));
    }

    fn capture_scratch(&mut self, head: &Captured, len: usize) {
        self.captured.push((*head, self.scratch[..len].to_vec()));
    }

    fn mirror_packet(&mut self, to: WorkerId, head: &MirrorHead, bytes: &[u8]) {
        self.handed.push((to, *head, bytes.to_vec()));
    }

    fn mirror_message(&mut self, to: WorkerId, message: MirrorMessage) {
        self.told.push((to, message));
    }
}

/// Datagrams where they were received.
struct Batch(Vec<Vec<u8>>);

impl Received for Batch {
    fn bytes(&self, index: usize) -> &[u8] {
        &self.0[index]
    }
}

pub struct World {
    pub core: Core,
    pub now: Micros,
    pub sink: ListSink,
    random: u64,
}

/// RFC 3550 section 6.1: a report first, and a CNAME.
fn assert_compound(packet: &[u8]) {
    let all: Vec<RtcpMessage> = messages(packet).map(|it| it.expect("whole")).collect();
    let first = all.first().expect("a message");
    assert!(
        matches!(
            first,
            RtcpMessage::SenderReport(_) | RtcpMessage::ReceiverReport(_)
        ),
        "{first:?}"
    );
    let named = |message: &RtcpMessage| matches!(message, RtcpMessage::Sdes(_));
    assert!(all.iter().any(named), "{all:?}");
}

impl World {
    pub fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        let scratch = vec![0xEE; MAX_DATAGRAM + SRTP_MAX_OVERHEAD];
        Self {
            core: Core::new(key, WALL_OFFSET),
            now: Micros::from_secs(1000),
            sink: ListSink {
                scratch,
                sent: Vec::new(),
                events: Vec::new(),
                captured: Vec::new(),
                handed: Vec::new(),
                told: Vec::new(),
            },
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    /// xorshift64*: the network's dice.
    pub fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    }

    pub fn command(&mut self, command: Command) {
        self.core.handle_command(self.now, command, &mut self.sink);
    }

    pub fn receive(&mut self, from: Tuple, datagram: &[u8]) {
        let mut buffer = datagram.to_vec();
        buffer.resize(datagram.len() + SRTP_MAX_OVERHEAD, 0);
        self.core
            .handle_datagram(self.now, from, &mut buffer, datagram.len(), &mut self.sink);
        assert_eq!(self.core.current_transport(), None);
    }

    /// Datagrams that one wake-up of the worker found waiting.
    pub fn receive_batch(&mut self, datagrams: &[(Tuple, Vec<u8>)]) {
        self.receive_waiting(datagrams, &vec![Micros(0); datagrams.len()]);
    }

    /// The same, of datagrams that have been waiting for so long.
    pub fn receive_waiting(&mut self, datagrams: &[(Tuple, Vec<u8>)], waited: &[Micros]) {
        let mut batch = Batch(datagrams.iter().map(|(_, data)| data.clone()).collect());
        for (index, ((from, datagram), waited)) in datagrams.iter().zip(waited).enumerate() {
            let data = &mut batch.0[index];
            data.resize(datagram.len() + SRTP_MAX_OVERHEAD, 0);
            let len = datagram.len();
            let arrived = self.now - *waited;
            let datagram = Datagram {
                data,
                len,
                arrived,
                index,
            };
            self.core
                .take_datagram(self.now, *from, datagram, &mut self.sink);
        }
        self.core.forward_pending(self.now, &batch, &mut self.sink);
        assert_eq!(self.core.current_transport(), None);
    }

    /// Lets time pass, doing what is due on the way. Peers are not there: nobody answers.
    pub fn advance(&mut self, span: Micros) {
        self.advance_with(span, &mut []);
    }

    /// As `advance`, with these peers answering challenges 10 ms later... at once, for simplicity.
    pub fn advance_with(&mut self, span: Micros, peers: &mut [&mut Peer]) {
        let end = self.now + span;
        self.answer_challenges(peers);
        let mut rounds = 0;
        while let Some(at) = self.core.poll_deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.core.handle_timeout(self.now, &mut self.sink);
            self.answer_challenges(peers);
            rounds += 1;
            assert!(
                rounds < 1_000_000,
                "the core wants attention without end at {:?}",
                self.now
            );
        }
        self.now = end;
    }

    pub fn answer_challenges(&mut self, peers: &mut [&mut Peer]) {
        let mut seen = 0;
        while seen < self.sink.sent.len() {
            let (to, data) = self.sink.sent[seen].clone();
            seen += 1;
            let peer = peers.iter().find(|peer| peer.tuple == to && peer.answers);
            if let Some(answer) = peer.and_then(|peer| peer.answer(&data)) {
                self.sink.sent.remove(seen - 1);
                seen -= 1;
                self.receive(to, &answer);
            }
        }
    }

    /// What was sent to a tuple since the last call.
    pub fn take_sent(&mut self, to: Tuple) -> Vec<Vec<u8>> {
        let (taken, rest) = std::mem::take(&mut self.sink.sent)
            .into_iter()
            .partition(|(tuple, _)| *tuple == to);
        self.sink.sent = rest;
        let taken: Vec<(Tuple, Vec<u8>)> = taken;
        taken.into_iter().map(|(_, data)| data).collect()
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.sink.events)
    }

    pub fn dropped(&self, slug: &str) -> u64 {
        let counters = self.core.counters();
        counters
            .dropped
            .iter()
            .find(|(reason, _)| *reason == slug)
            .unwrap_or_else(|| panic!("no {slug}"))
            .1
    }

    /// A transport whose first check Python has authenticated.
    pub fn introduce(&mut self, peer: &mut Peer, nominated: bool) {
        self.command(Command::CreateTransport(peer.config()));
        self.command(Command::SetRemoteIce(peer.transport, peer.own.clone()));
        let (transport, tuple) = (peer.transport, peer.tuple);
        self.command(Command::AddTuple {
            transport,
            tuple,
            nominated,
            priority: 1000,
        });
    }

    /// A peer that is connected and keyed.
    pub fn connect(&mut self, peer: &mut Peer) {
        self.introduce(peer, true);
        self.answer_challenges(&mut [peer]);
        let session = peer.srtp.mirrored();
        self.command(Command::SetSrtp(peer.transport, Box::new(session)));
        let selected = self
            .core
            .transport_stats(self.now, peer.transport)
            .unwrap()
            .selected;
        assert_eq!(selected, Some(peer.tuple), "not connected");
    }

    /// Plain packets sent to a peer since the last call: RTP, then RTCP. Everything must decrypt.
    pub fn take_media(&mut self, peer: &mut Peer) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        self.take_media_lossy(peer, |_| false)
    }

    /// As `take_media`; `lost` decides on each RTP packet, before the peer sees it.
    pub fn take_media_lossy(
        &mut self,
        peer: &mut Peer,
        mut lost: impl FnMut(&mut Self) -> bool,
    ) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let (mut rtp, mut rtcp) = (Vec::new(), Vec::new());
        for mut data in self.take_sent(peer.tuple) {
            if data[0] < 128 {
                continue;
            }
            let len = data.len();
            if (192..=223).contains(&data[1]) {
                let plain = peer
                    .srtp
                    .unprotect_rtcp(&mut data, len)
                    .expect("SRTCP to a peer");
                data.truncate(plain);
                assert_compound(&data);
                rtcp.push(data);
            } else if !lost(self) {
                match peer.srtp.unprotect_rtp(&mut data, len) {
                    Ok(plain) => data.truncate(plain),
                    // A loss repaired by repetition: the peer's library drops what it already has.
                    Err(SrtpError::Replay) => continue,
                    Err(error) => panic!("SRTP to a peer: {error:?}"),
                }
                rtp.push(data);
            }
        }
        (rtp, rtcp)
    }
}
