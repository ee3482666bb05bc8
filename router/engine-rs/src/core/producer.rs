//! A published track: its received encodings, who shows it, and when it counts as alive.

use super::Event;
use super::arena::{Arena, Ix};
use super::command::ProducerConfig;
use super::demand::Demand;
use super::event::SilentReason;
use super::mirror::Watcher;
use super::reselect::Reselect;
use super::speakers::Speaker;
use super::timers::Alarm;
use crate::ids::{ProducerId, SlotId, TransportId, WorkerId};
use crate::recv::contributors::Contributors;
use crate::recv::keyframe::Encoder;
use crate::recv::packet::MediaPacket;
use crate::recv::stream::ReceiveStream;
use crate::route::encodings::Encodings;
use crate::route::ladder::Ladder;
use crate::route::slot::Incoming;
use crate::send::assessment::Assessment;
use crate::time::Micros;

/// How often slots choose among the encodings by what is measured.
const SELECT_INTERVAL: Micros = Micros::from_millis(250);

/// Where the packets of a producer come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// The peer that publishes it.
    Peer(Ix<TransportId>),
    /// Another worker, whose producer this one mirrors.
    Worker(WorkerId),
}

/// One published track.
pub struct Producer {
    /// As Python described it.
    pub config: ProducerConfig,
    /// Where its packets come from.
    pub home: Home,
    /// Its encodings, in configured order.
    pub streams: Vec<ReceiveStream>,
    /// Slots that show it.
    pub route: Vec<Ix<SlotId>>,
    /// Muted by the server.
    pub paused: bool,
    /// Where it competes to be heard.
    pub speaker: Option<Speaker>,
    /// Its timer entry.
    pub alarm: Alarm,
    /// CSRCs received.
    pub contributors: Contributors,
    /// Last RFC 6464 level.
    pub audio_level: Option<u8>,
    /// Sequence number of the last FIR sent (RFC 5104 section 4.3.1.1).
    pub fir_sequence: u8,
    /// Whether key frames may be asked for.
    pub encoder: Encoder,
    /// How good what arrives is.
    pub assessment: Assessment,
    /// How often it was forwarded: whose turn it is to be served first.
    turn: usize,
    /// When its slots choose their encodings anew.
    pub next_select: Option<Micros>,
    /// Whether they have to then.
    pub reselect: Reselect,
    /// The ways to show it, as measured when its slots chose last.
    pub ladder: Option<Box<Ladder>>,
    /// What is in use of it, where its publisher follows that.
    pub demand: Option<Box<Demand>>,
    /// What the home of a mirror was told of it.
    pub told_used: Option<Encodings>,
    /// Workers that mirror it.
    pub watchers: Vec<Watcher>,
    /// A mirror that nobody uses is removed then.
    pub idle_until: Option<Micros>,
    /// Encodings reported as active.
    active: Vec<bool>,
}

impl Producer {
    /// A track of which nothing has been received.
    pub fn new(config: ProducerConfig, home: Home) -> Self {
        let count = config.encodings.len();
        Self {
            streams: (0..count)
                .map(|encoding| ReceiveStream::new(&config, encoding))
                .collect(),
            active: vec![false; count],
            config,
            home,
            route: Vec::new(),
            paused: false,
            speaker: None,
            alarm: Alarm::default(),
            contributors: Contributors::default(),
            audio_level: None,
            fir_sequence: 0,
            encoder: Encoder::default(),
            assessment: Assessment::default(),
            turn: 0,
            next_select: None,
            reselect: Reselect::default(),
            ladder: None,
            demand: None,
            told_used: None,
            watchers: Vec::new(),
            idle_until: None,
        }
    }

    /// Notes a packet of an encoding; an event when it is the first, also after silence.
    #[inline]
    pub fn on_packet(&mut self, encoding: u8, packet: &MediaPacket) -> Option<Event> {
        if let Some(level) = packet.extensions.audio_level {
            self.audio_level = Some(level.level);
        }
        if !self.is_mirror() {
            let levels = packet.extensions.csrc_levels;
            let levels = levels.map(|span| span.of(packet.bytes));
            self.contributors.on_packet(packet.header.csrcs(), levels);
        }
        let active = self.active.get_mut(encoding as usize)?;
        if *active {
            return None;
        }
        *active = true;
        let (producer, ssrc) = (self.config.id, packet.header.ssrc);
        Some(Event::EncodingActive {
            producer,
            encoding,
            ssrc,
        })
    }

    /// An encoding ended by RTCP BYE.
    pub fn on_bye(&mut self, encoding: u8) -> Option<Event> {
        self.silence(SilentReason::Bye, |index, _| index == encoding as usize)
    }

    /// Encodings without a packet for the media timeout fall silent.
    pub fn poll_silence(&mut self, now: Micros) -> Option<Event> {
        let timeout = self.config.media_timeout;
        self.silence(SilentReason::Timeout, |_, stream| {
            stream
                .last_packet()
                .is_none_or(|last| last + timeout <= now)
        })
    }

    fn silence(
        &mut self,
        reason: SilentReason,
        ended: impl Fn(usize, &ReceiveStream) -> bool,
    ) -> Option<Event> {
        let before = self.active.contains(&true);
        for (index, stream) in self.streams.iter().enumerate() {
            if self.active[index] && !self.may_be_silent(index) && ended(index, stream) {
                self.active[index] = false;
            }
        }
        if !before || self.active.contains(&true) {
            return None;
        }
        self.contributors.clear();
        Some(Event::ProducerSilent {
            producer: self.config.id,
            reason,
        })
    }

    /// When it wants attention: losses, key frame requests, silence, contributors.
    pub fn deadline(&self) -> Option<Micros> {
        let timeout = self.config.media_timeout;
        let alive = self.streams.iter().enumerate();
        let silence = alive
            .filter(|(index, _)| self.active[*index] && !self.may_be_silent(*index))
            .filter_map(|(_, stream)| Some(stream.last_packet()? + timeout))
            .max();
        let losses = self.streams.iter().filter_map(ReceiveStream::nack_deadline);
        let key_frames = self
            .streams
            .iter()
            .filter_map(ReceiveStream::key_frame_deadline)
            .map(|at| self.encoder.defer(at));
        let contributors = self.contributors.deadline();
        silence
            .into_iter()
            .chain(losses)
            .chain(key_frames)
            .chain(contributors)
            .chain(self.next_select)
            .chain(self.idle_until)
            .min()
    }

    /// When slots choose anew after `now`: while anything flows and anyone watches.
    pub fn plan_select(&mut self, now: Micros) {
        let in_use = !self.route.is_empty() || self.has_open_demand();
        let busy = in_use && self.active.contains(&true);
        self.next_select = busy.then(|| now + SELECT_INTERVAL);
    }

    /// What slots are told of a packet's source.
    #[inline]
    pub fn incoming(&self, encoding: u8) -> Incoming {
        let stream = self.streams.get(encoding as usize);
        Incoming {
            producer: self.config.id,
            encoding,
            anchor: stream.and_then(ReceiveStream::anchor),
        }
    }

    /// The route in two parts, of which the first is served first; another slot begins each time. Else the last one would
    /// always be the latest, and the one for whom there is no room.
    #[inline]
    pub fn take_turn(&mut self) -> [&[Ix<SlotId>]; 2] {
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn.wrapping_sub(1) % self.route.len().max(1);
        let (last, first) = self.route.split_at(first);
        [first, last]
    }

    /// The stream of an encoding.
    pub fn stream(&mut self, encoding: u8) -> Option<&mut ReceiveStream> {
        self.streams.get_mut(encoding as usize)
    }
}

/// An encoding of a producer, by the producer's id: what a slot repeats need not come from the one it shows now.
pub fn find_stream(
    producers: &Arena<ProducerId, Producer>,
    id: ProducerId,
    encoding: u8,
) -> Option<&ReceiveStream> {
    let producer = producers.get(producers.find(id)?)?;
    producer.streams.get(usize::from(encoding))
}
