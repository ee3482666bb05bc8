//! One client after its handshake: what it sends, and what it makes of what arrives.

use crate::histogram::Histogram;
use crate::packet::{self, Checked, Codec, Format, MAX_PACKET};
use crate::rtcp::{self, ReportBlock, Request};
use crate::socket::{Arrival, MAX_RUN, MAX_SEGMENTS, SendBatch, send};
use crate::srtp::{Context, OVERHEAD};
use crate::stream::{Stream, StreamCounts};
use crate::stun::{self, Credentials};
use crate::traffic::{Planned, Schedule};
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd};

/// Streams that one client keeps count of; further SSRCs are counted as unknown.
const MAX_STREAMS: usize = 512;
/// Every so many packets of a stream are decrypted: a prime, so that all places in a frame have their turn.
pub const SAMPLE_STRIDE: u32 = 13;

/// A track that a client sends.
#[derive(Debug)]
pub struct Track {
    /// What its packets look like.
    pub format: Format,
    /// When they are due.
    pub schedule: Schedule,
    /// The next packet's number; its lower 16 bits are the sequence number.
    pub number: u32,
    /// Packets and bytes sent, before SRTP.
    pub sent: (u64, u64),
}

/// What all clients of one thread count.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// RTP packets handed to the kernel.
    pub sent: u64,
    /// RTP packets that the kernel did not take.
    pub send_failures: u64,
    /// RTP packets received, and their bytes.
    pub received: u64,
    /// Bytes of these.
    pub received_bytes: u64,
    /// Datagrams read; less than packets when the kernel coalesced them.
    pub datagrams: u64,
    /// Datagrams that sockets had no room for.
    pub overflowed: u64,
    /// Packets decrypted and found as sent.
    pub checked: u64,
    /// Packets that did not decrypt.
    pub undecryptable: u64,
    /// Packets that decrypted to something else than was sent.
    pub wrong: u64,
    /// Packets of more streams than a client keeps count of.
    pub unknown: u64,
    /// Requests for key frames received.
    pub key_requests: u64,
    /// NACKs received.
    pub nacks: u64,
    /// STUN requests answered.
    pub answered: u64,
    /// From stamp to arrival, in nanoseconds.
    pub latency: Histogram,
    /// From due to sent, in nanoseconds.
    pub lateness: Histogram,
}

/// A client.
pub struct Peer {
    /// Its connected socket.
    pub socket: OwnedFd,
    /// The server's address.
    pub remote: SocketAddrV4,
    /// For consent checks.
    pub credentials: Credentials,
    /// From the server.
    pub inbound: Context,
    /// To the server.
    pub outbound: Context,
    /// What it sends.
    pub tracks: Vec<Track>,
    /// Payload types of video that it receives: their streams begin with a PLI.
    pub video_types: Vec<u8>,
    /// The estimate that its reports carry; 0 for none.
    pub remb_bps: u64,
    streams: Vec<Stream>,
    last_stream: usize,
    dropped: u32,
    checks: u64,
}

/// Scratch memory of a thread.
pub struct Scratch {
    /// Packets that are due.
    pub planned: Vec<Planned>,
    run: Vec<u8>,
    batch: SendBatch,
    control: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            planned: Vec::new(),
            run: vec![0; MAX_RUN + MAX_PACKET + OVERHEAD],
            batch: SendBatch::default(),
            control: Vec::with_capacity(MAX_PACKET),
        }
    }
}

impl Peer {
    /// A client that has received nothing yet.
    pub fn new(
        socket: OwnedFd,
        remote: SocketAddrV4,
        credentials: Credentials,
        srtp: (Context, Context),
    ) -> Self {
        Self {
            socket,
            remote,
            credentials,
            inbound: srtp.0,
            outbound: srtp.1,
            tracks: Vec::new(),
            video_types: Vec::new(),
            remb_bps: 0,
            streams: Vec::new(),
            last_stream: 0,
            dropped: 0,
            checks: 0,
        }
    }

    /// Sends what is due of one track, a run of equal packets per system call.
    pub fn send_due(
        &mut self,
        index: usize,
        now_us: u64,
        now_ns: u64,
        scratch: &mut Scratch,
        totals: &mut Totals,
    ) {
        let track = &mut self.tracks[index];
        totals
            .lateness
            .record(now_us.saturating_sub(track.schedule.due_us()) * 1000);
        scratch.planned.clear();
        track.schedule.poll(now_us, &mut scratch.planned);
        let fd = self.socket.as_raw_fd();
        let (mut start, mut end, mut segment, mut count) = (0, 0, 0, 0);
        for planned in &scratch.planned {
            let out = &mut scratch.run[end..];
            let plain =
                track
                    .format
                    .write(planned, track.number, track.schedule.speaks(), now_ns, out);
            track.number = track.number.wrapping_add(1);
            track.sent = (track.sent.0 + 1, track.sent.1 + plain as u64);
            let Some(length) = self.outbound.protect(out, plain) else {
                totals.send_failures += 1;
                continue;
            };
            totals.sent += 1;
            // A run's datagrams are equal, but the last may be shorter.
            let fits = count < MAX_SEGMENTS && end + length - start <= MAX_RUN && length <= segment;
            if count > 0 && !fits {
                scratch.batch.push(start..end, segment, None);
                (start, count) = (end, 0);
            }
            segment = if count == 0 { length } else { segment };
            end += length;
            count += 1;
            if length < segment || end > MAX_RUN {
                scratch.batch.push(start..end, segment, None);
                (start, count) = (end, 0);
            }
            if end > MAX_RUN {
                totals.send_failures += scratch.batch.send(fd, &scratch.run) as u64;
                (start, end) = (0, 0);
            }
        }
        if count > 0 {
            scratch.batch.push(start..end, segment, None);
        }
        if !scratch.batch.is_empty() {
            totals.send_failures += scratch.batch.send(fd, &scratch.run) as u64;
        }
    }

    /// Takes in one datagram, or several that the kernel coalesced.
    pub fn handle(
        &mut self,
        data: &mut [u8],
        arrival: &Arrival,
        scratch: &mut Scratch,
        totals: &mut Totals,
    ) {
        totals.datagrams += 1;
        if arrival.dropped != self.dropped {
            totals.overflowed += u64::from(arrival.dropped.wrapping_sub(self.dropped));
            self.dropped = arrival.dropped;
        }
        for segment in data.chunks_mut(arrival.segment.max(1)) {
            match segment {
                // RFC 7983, and RFC 5761 for RTCP on the same port.
                [0..=3, ..] => self.on_stun(segment, totals),
                [128..=191, 192..=223, ..] => self.on_rtcp(segment, totals),
                [128..=191, ..] => self.on_rtp(segment, arrival.received_ns, scratch, totals),
                _ => {}
            }
        }
    }

    fn on_stun(&mut self, data: &[u8], totals: &mut Totals) {
        if !stun::is_request(data) {
            return;
        }
        if let Some(answer) = stun::write_answer(data, self.remote, &self.credentials) {
            totals.answered += u64::from(send(self.socket.as_raw_fd(), &answer));
        }
    }

    fn on_rtp(
        &mut self,
        data: &mut [u8],
        received_ns: u64,
        scratch: &mut Scratch,
        totals: &mut Totals,
    ) {
        let Some((ssrc, sequence, payload_type)) = packet::parse_header(data) else {
            return;
        };
        totals.received += 1;
        totals.received_bytes += data.len() as u64;
        let Some((stream, is_new)) = self.stream(ssrc, sequence) else {
            totals.unknown += 1;
            return;
        };
        if !is_new {
            stream.on_packet(sequence);
        }
        if stream.is_sample(SAMPLE_STRIDE) {
            self.look_into(data, received_ns, totals);
        }
        if is_new && self.video_types.contains(&payload_type) {
            self.request_key(ssrc, scratch);
        }
    }

    fn stream(&mut self, ssrc: u32, sequence: u16) -> Option<(&mut Stream, bool)> {
        let at = match self.streams.get(self.last_stream) {
            Some(stream) if stream.ssrc == ssrc => Some(self.last_stream),
            _ => self.streams.iter().position(|stream| stream.ssrc == ssrc),
        };
        let is_new = at.is_none();
        if is_new {
            if self.streams.len() == MAX_STREAMS {
                return None;
            }
            self.streams.push(Stream::new(ssrc, sequence));
        }
        self.last_stream = at.unwrap_or(self.streams.len() - 1);
        Some((&mut self.streams[self.last_stream], is_new))
    }

    fn look_into(&mut self, data: &mut [u8], received_ns: u64, totals: &mut Totals) {
        let Some(length) = self.inbound.unprotect(data) else {
            totals.undecryptable += 1;
            return;
        };
        match packet::check(&data[..length]) {
            Checked::Good { sent_ns, .. } => {
                totals.checked += 1;
                totals.latency.record(received_ns.saturating_sub(sent_ns));
            }
            Checked::Unstamped => totals.checked += 1,
            Checked::Wrong => totals.wrong += 1,
        }
    }

    fn on_rtcp(&mut self, data: &mut [u8], totals: &mut Totals) {
        if self.tracks.is_empty() {
            return;
        }
        let Some(length) = self.inbound.unprotect_rtcp(data) else {
            totals.undecryptable += 1;
            return;
        };
        rtcp::parse(&data[..length], |request| match request {
            Request::KeyFrame(ssrc) => {
                totals.key_requests += 1;
                let tracks = self
                    .tracks
                    .iter_mut()
                    .filter(|track| track.format.ssrc == ssrc);
                tracks.for_each(|track| track.schedule.request_key());
            }
            Request::Packets(_) => totals.nacks += 1,
        });
    }

    /// The SSRC that its RTCP comes from.
    fn own_ssrc(&self) -> u32 {
        self.tracks.first().map_or(1, |track| track.format.ssrc)
    }

    fn request_key(&mut self, media: u32, scratch: &mut Scratch) {
        let own = self.own_ssrc();
        scratch.control.clear();
        rtcp::write_receiver_report(&mut scratch.control, own, &[]);
        rtcp::write_cname(&mut scratch.control, own);
        rtcp::write_pli(&mut scratch.control, own, media);
        self.send_control(scratch);
    }

    /// Sends the reports that are due: on what it sends and on what it receives.
    pub fn send_report(&mut self, now_us: u64, now_ns: u64, scratch: &mut Scratch) {
        for track in &self.tracks {
            let khz = if track.format.codec == Codec::Opus {
                48
            } else {
                90
            };
            let rtp_time = (now_us * khz / 1000) as u32;
            scratch.control.clear();
            let ssrc = track.format.ssrc;
            rtcp::write_sender_report(&mut scratch.control, ssrc, now_ns, rtp_time, track.sent);
            rtcp::write_cname(&mut scratch.control, ssrc);
            Self::send_compound(&mut self.outbound, &self.socket, &mut scratch.control);
        }
        if self.streams.is_empty() {
            return;
        }
        let own = self.own_ssrc();
        let blocks: Vec<ReportBlock> = self
            .streams
            .iter_mut()
            .take(rtcp::MAX_BLOCKS)
            .map(block_of)
            .collect();
        scratch.control.clear();
        rtcp::write_receiver_report(&mut scratch.control, own, &blocks);
        rtcp::write_cname(&mut scratch.control, own);
        if self.remb_bps > 0 {
            let media: Vec<u32> = blocks.iter().map(|block| block.ssrc).collect();
            rtcp::write_remb(&mut scratch.control, own, self.remb_bps, &media);
        }
        self.send_control(scratch);
    }

    fn send_control(&mut self, scratch: &mut Scratch) {
        Self::send_compound(&mut self.outbound, &self.socket, &mut scratch.control);
    }

    fn send_compound(outbound: &mut Context, socket: &OwnedFd, compound: &mut Vec<u8>) {
        let length = compound.len();
        compound.resize(length + OVERHEAD, 0);
        if let Some(length) = outbound.protect_rtcp(compound, length) {
            send(socket.as_raw_fd(), &compound[..length]);
        }
    }

    /// Keeps the server's consent fresh; nothing for a server without ICE.
    pub fn send_check(&mut self) {
        if !self.credentials.remote_username.is_empty() {
            self.checks += 1;
            let check = stun::write_request(self.checks, &self.credentials);
            send(self.socket.as_raw_fd(), &check);
        }
    }

    /// Begins a window of measurement.
    pub fn begin(&mut self) {
        self.streams.iter_mut().for_each(Stream::begin);
    }

    /// What its streams counted in the window, and how many streams had packets.
    pub fn add_counts(&self, counts: &mut StreamCounts) -> usize {
        self.streams
            .iter()
            .for_each(|stream| counts.add(&stream.counts));
        self.streams
            .iter()
            .filter(|stream| stream.counts.unique > 0)
            .count()
    }
}

fn block_of(stream: &mut Stream) -> ReportBlock {
    let (fraction_lost, lost) = stream.report_loss();
    ReportBlock {
        ssrc: stream.ssrc,
        fraction_lost,
        lost,
        highest: stream.extended_highest(),
    }
}
