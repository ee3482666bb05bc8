//! One room over several workers: a *mirror* is a producer on one worker whose packets come from another, its home.
//!
//! The home worker receives, decrypts and unwraps; each accepted packet is handed over as it was parsed, and enters an
//! ordinary producer on the watching worker, with its own history, routes and slots. So nothing of a stream's state is
//! shared or shipped. What travels besides packets is a [`MirrorMessage`]: who watches, what ended, the stream's clock one
//! way; requests for key frames the other, where they merge with those of the home's own receivers.
//!
//! Invariants: a mirror sends nothing upstream and raises no events; it lives while a slot or a speaker group uses it and
//! [`LINGER`] longer, so that repairs of what was shown last find its history; a home that is gone answers every
//! [`MirrorMessage::Watch`] with [`MirrorMessage::Gone`]. Packets may be lost between workers, messages may not.

use super::arena::Ix;
use super::command::{Feedback, ProducerConfig};
use super::producer::{Home, Producer};
use super::timers::Owner;
use super::{Core, Sink};
use crate::ids::{ProducerId, WorkerId};
use crate::recv::MediaPacket;
use crate::recv::clock::Anchor;
use crate::recv::layer_meter::MeasuredLayer;
use crate::route::encodings::Encodings;
use crate::route::ladder::MAX_ENCODINGS;
use crate::time::Micros;
use crate::wire::ext::ExtensionValues;
use crate::wire::rtp::RtpHeader;

/// How long a mirror that nobody uses is kept: receivers ask for lost packets so long.
pub const LINGER: Micros = Micros::from_millis(1_000);
/// A mirror is not woken more often than this.
const MIN_WAKE: Micros = Micros::from_millis(1);

/// Where a mirror is on the worker that watches: handed back with each packet, so that nothing is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorRef(Ix<ProducerId>);

/// A worker that has a mirror of a producer.
#[derive(Clone, Copy, Debug)]
pub struct Watcher {
    /// Which.
    pub worker: WorkerId,
    mirror: MirrorRef,
    /// The encodings that it uses, once it has told.
    pub used: Option<Encodings>,
}

/// All of a packet that is handed over but its bytes.
#[derive(Clone, Copy, Debug)]
pub struct MirrorHead {
    /// The mirror.
    pub mirror: MirrorRef,
    /// What it mirrors; a packet that comes after the mirror's end is known by it.
    pub producer: ProducerId,
    /// The encoding.
    pub encoding: u8,
    /// When the home worker received it.
    pub arrived: Micros,
    /// Its header, of the original packet also when it came by RTX.
    pub header: RtpHeader,
    /// Its header extensions.
    pub extensions: ExtensionValues,
}

/// What workers tell each other. The worker that is told is the producer's home for the first four.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MirrorMessage {
    /// Packets are wanted from now on.
    Watch {
        /// The producer.
        producer: ProducerId,
        /// Where its mirror is.
        mirror: MirrorRef,
    },
    /// Packets are no longer wanted.
    Unwatch {
        /// The producer.
        producer: ProducerId,
    },
    /// A receiver of the mirror needs a key frame.
    RequestKeyFrame {
        /// The producer.
        producer: ProducerId,
        /// Index of its encoding.
        encoding: u8,
    },
    /// These encodings are used there (`demand.rs`).
    Uses {
        /// The producer.
        producer: ProducerId,
        /// All of them.
        used: Encodings,
    },
    /// An encoding rests; one message for each layer that it had.
    Rests {
        /// The producer.
        producer: ProducerId,
        /// Index of its encoding.
        encoding: u8,
        /// As it was measured.
        layer: MeasuredLayer,
    },
    /// The publisher was asked for an encoding that rested.
    Wakes {
        /// The producer.
        producer: ProducerId,
        /// Index of its encoding.
        encoding: u8,
    },
    /// The producer was removed.
    Gone {
        /// The producer.
        producer: ProducerId,
    },
    /// The producer was muted by the server, or may be heard again.
    Paused {
        /// The producer.
        producer: ProducerId,
        /// Muted.
        paused: bool,
    },
    /// Where the media clock of an encoding meets engine time, which is the same on all workers.
    Anchored {
        /// The producer.
        producer: ProducerId,
        /// Index of its encoding.
        encoding: u8,
        /// The point.
        anchor: Anchor,
    },
    /// An encoding ended by RTCP BYE.
    Bye {
        /// The producer.
        producer: ProducerId,
        /// Index of its encoding.
        encoding: u8,
    },
}

/// Hands a packet that was accepted to the workers that watch its producer.
#[inline]
pub fn hand_over(producer: &Producer, encoding: u8, packet: &MediaPacket, sink: &mut impl Sink) {
    for watcher in &producer.watchers {
        let head = MirrorHead {
            mirror: watcher.mirror,
            producer: producer.config.id,
            encoding,
            arrived: packet.arrived,
            header: packet.header,
            extensions: packet.extensions,
        };
        sink.mirror_packet(watcher.worker, &head, packet.bytes);
    }
}

/// As the home has it, but for what is the home's alone: asking the publisher for lost packets.
fn mirrored_config(mut config: ProducerConfig) -> ProducerConfig {
    for codec in &mut config.codecs {
        codec.feedback.retain(|kind| *kind != Feedback::Nack);
    }
    config
}

impl Core {
    // -- the home's side -----------------------------------------------------------------------------------------

    /// Tells those who watch a producer.
    pub(super) fn tell_watchers(&mut self, ix: Ix<ProducerId>, message: MirrorMessage) {
        if let Some(producer) = self.producers.get(ix) {
            let watchers = producer.watchers.iter();
            self.mirror_outbox
                .extend(watchers.map(|watcher| (watcher.worker, message)));
        }
    }

    fn watch(&mut self, worker: WorkerId, id: ProducerId, mirror: MirrorRef) {
        let found = self.producers.find(id);
        let producer = found.and_then(|ix| self.producers.get_mut(ix));
        let Some(producer) = producer.filter(|producer| !producer.is_mirror()) else {
            let gone = MirrorMessage::Gone { producer: id };
            return self.mirror_outbox.push((worker, gone));
        };
        producer.unwatch(worker);
        producer.watchers.push(Watcher {
            worker,
            mirror,
            used: None,
        });
        let resting = producer.describe_rest(Encodings::ALL);
        let resting = resting.map(|message| (worker, message));
        self.mirror_outbox.extend(resting);
        if producer.paused {
            let (producer, paused) = (id, true);
            self.mirror_outbox
                .push((worker, MirrorMessage::Paused { producer, paused }));
        }
        for (encoding, stream) in producer.streams.iter().enumerate() {
            if let Some(anchor) = stream.anchor() {
                let anchored = MirrorMessage::Anchored {
                    producer: id,
                    encoding: encoding as u8,
                    anchor,
                };
                self.mirror_outbox.push((worker, anchored));
            }
        }
    }

    // -- the watching worker's side ------------------------------------------------------------------------------

    /// A producer of another worker is wanted here: its mirror is made, unless there is one.
    pub(super) fn want_mirror(&mut self, config: ProducerConfig) -> Option<()> {
        let id = config.id;
        if let Some(ix) = self.producers.find(id) {
            let is_mirror = self.producers.get(ix)?.is_mirror();
            // Whoever asks uses it with the next command.
            self.idle_mirrors.push(ix);
            return is_mirror.then_some(());
        }
        if config.encodings.is_empty() || config.encodings.len() > MAX_ENCODINGS {
            return None;
        }
        let home = id.worker();
        let producer = Producer::new(mirrored_config(config), Home::Worker(home));
        let ix = self.producers.insert(id, producer)?;
        self.mirrors += 1;
        self.idle_mirrors.push(ix);
        let mirror = MirrorRef(ix);
        self.mirror_outbox.push((
            home,
            MirrorMessage::Watch {
                producer: id,
                mirror,
            },
        ));
        Some(())
    }

    pub(super) fn on_mirrored(
        &mut self,
        now: Micros,
        head: &MirrorHead,
        bytes: &[u8],
        index: usize,
    ) {
        let MirrorRef(ix) = head.mirror;
        let producer = self.producers.get_mut(ix);
        let producer = producer.filter(|it| it.config.id == head.producer && it.is_mirror());
        let Some(producer) = producer else {
            return self.totals.mirror_stale += 1;
        };
        let Some(encoding) = producer.stream(head.encoding) else {
            return;
        };
        let taken = encoding.on_rtp(bytes, &head.header, &head.extensions, head.arrived);
        let packet = match taken {
            Ok(packet) => packet,
            Err(reason) => return self.totals.drops.count(reason),
        };
        self.totals.mirror_received += 1;
        if producer.on_packet(head.encoding, &packet).is_some() {
            producer.next_select = Some(now);
        }
        let from = producer.incoming(head.encoding);
        let (paused, speaker) = (producer.paused, producer.speaker);
        self.arm_producer(ix);
        if paused {
            return;
        }
        if let Some(speaker) = speaker {
            self.on_voice(now, speaker, packet.extensions.audio_level);
        }
        self.pending.push(ix, from, &packet, index);
    }

    pub(super) fn on_mirror_message(
        &mut self,
        now: Micros,
        from: WorkerId,
        message: MirrorMessage,
    ) -> Option<()> {
        match message {
            MirrorMessage::Watch { producer, mirror } => {
                self.watch(from, producer, mirror);
                Some(())
            }
            MirrorMessage::Unwatch { producer } => {
                let ix = self.producers.find(producer)?;
                let producer = self.producers.get_mut(ix)?;
                producer.unwatch(from);
                producer.use_may_shrink(Some(now));
                self.arm_producer(ix);
                Some(())
            }
            MirrorMessage::RequestKeyFrame { producer, encoding } => {
                let ix = self.producers.find(producer)?;
                let producer = self.producers.get_mut(ix)?;
                producer.stream(encoding)?.request_key_frame(now);
                self.arm_producer(ix);
                Some(())
            }
            MirrorMessage::Uses { producer, used } => self.on_uses(now, from, producer, used),
            MirrorMessage::Rests {
                producer,
                encoding,
                layer,
            } => self.on_rests(now, producer, encoding, layer),
            MirrorMessage::Wakes { producer, encoding } => self.on_wakes(now, producer, encoding),
            MirrorMessage::Gone { producer } => {
                let ix = self.find_mirror(producer)?;
                self.forget_producer(ix)
            }
            MirrorMessage::Paused { producer, paused } => {
                self.find_mirror(producer)?;
                self.pause_producer(now, producer, paused)
            }
            MirrorMessage::Anchored {
                producer,
                encoding,
                anchor,
            } => {
                let ix = self.find_mirror(producer)?;
                let producer = self.producers.get_mut(ix)?;
                producer.stream(encoding)?.set_anchor(anchor);
                Some(())
            }
            MirrorMessage::Bye { producer, encoding } => {
                let ix = self.find_mirror(producer)?;
                self.producers.get_mut(ix)?.on_bye(encoding)?;
                self.quiet_speaker(ix);
                Some(())
            }
        }
    }

    pub(super) fn find_mirror(&self, id: ProducerId) -> Option<Ix<ProducerId>> {
        let ix = self.producers.find(id)?;
        self.producers.get(ix)?.is_mirror().then_some(ix)
    }

    /// What is due of a mirror: silence, choices of encodings, requests to its home, its own end.
    pub(super) fn wake_mirror(&mut self, now: Micros, ix: Ix<ProducerId>, home: WorkerId) {
        let Some(producer) = self.producers.get_mut(ix) else {
            return;
        };
        if producer.idle_until.take_if(|until| *until <= now).is_some() && producer.is_unused() {
            let producer = producer.config.id;
            self.mirror_outbox
                .push((home, MirrorMessage::Unwatch { producer }));
            self.forget_producer(ix);
            return;
        }
        let is_silent = producer.poll_silence(now).is_some();
        let selects = is_silent || producer.next_select.is_some_and(|at| at <= now);
        if is_silent {
            self.quiet_speaker(ix);
        }
        if selects {
            self.select(now, ix, None);
        }
        self.request_of_home(now, ix, home);
    }

    fn request_of_home(&mut self, now: Micros, ix: Ix<ProducerId>, home: WorkerId) {
        let Some(producer) = self.producers.get_mut(ix) else {
            return;
        };
        let id = producer.config.id;
        for (encoding, stream) in producer.streams.iter_mut().enumerate() {
            if stream.poll_key_frame(now).is_some() {
                let request = MirrorMessage::RequestKeyFrame {
                    producer: id,
                    encoding: encoding as u8,
                };
                self.mirror_outbox.push((home, request));
            }
        }
        if let Some(at) = producer.deadline() {
            let at = at.max(now + MIN_WAKE);
            self.timers
                .arm(&mut producer.alarm, Owner::Producer(ix), at);
        }
    }

    /// After any call: mirrors that nobody uses any more begin to linger, and messages leave.
    pub(super) fn settle_mirrors(&mut self, now: Micros, sink: &mut impl Sink) {
        while let Some(ix) = self.idle_mirrors.pop() {
            let producer = self.producers.get_mut(ix);
            if let Some(producer) = producer.filter(|it| it.is_mirror() && it.is_unused()) {
                producer.idle_until = Some(now + LINGER);
                self.arm_producer(ix);
            }
        }
        self.send_mirror_messages(sink);
    }

    pub(super) fn send_mirror_messages(&mut self, sink: &mut impl Sink) {
        for (to, message) in self.mirror_outbox.drain(..) {
            sink.mirror_message(to, message);
        }
        self.send_events(sink);
    }
}

impl Producer {
    /// Its packets come from another worker.
    #[inline]
    pub fn is_mirror(&self) -> bool {
        matches!(self.home, Home::Worker(_))
    }

    /// No slot shows it or waits for it, no group hears it.
    pub fn is_unused(&self) -> bool {
        self.route.is_empty() && self.speaker.is_none()
    }

    fn unwatch(&mut self, worker: WorkerId) {
        self.watchers.retain(|watcher| watcher.worker != worker);
    }
}
