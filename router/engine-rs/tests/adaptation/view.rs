//! A receiver's view of one video slot: repairs losses, joins packets to frames, and decodes what can be decoded.
//!
//! In the manner of libwebrtc's receiver: a missing packet is asked for after a moment and again each round trip, ten times;
//! a frame waits a moment for one before it that is incomplete; a key frame is asked for when nothing can be decoded.

use crate::encoder::Stamp;
use fork_router_engine::time::Micros;
use std::collections::{BTreeMap, HashSet, VecDeque};

/// A gap is asked about after this long: packets overtake each other.
const REORDERING: Micros = Micros::from_millis(10);
const MAX_TRIES: u32 = 10;
/// What could be decoded waits so long for what is missing before it.
const PATIENCE: Micros = Micros::from_millis(100);
/// Packets come, but nothing could be decoded for so long.
const BLIND: Micros = Micros::from_millis(500);
/// Intervals from which a freeze is told (W3C webrtc-stats, `freezeCount`).
const INTERVALS: usize = 30;
/// Packets and frames remembered.
const MEMORY: i64 = 3_000;

#[derive(Clone, Debug)]
struct Packet {
    timestamp: u32,
    marker: bool,
    first: bool,
    stamp: Option<Stamp>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    last: i64,
    timestamp: u32,
    stamp: Stamp,
    complete_at: Micros,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    tries: u32,
    next: Micros,
}

/// A frame that was shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub stamp: Stamp,
    pub at: Micros,
}

/// What became of packets that were missed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Losses {
    pub missed: u32,
    pub repaired: u32,
    /// Came by themselves.
    pub late: u32,
    pub given_up: u32,
}

#[derive(Default)]
pub struct View {
    packets: BTreeMap<i64, Packet>,
    highest: Option<i64>,
    missing: BTreeMap<i64, Missing>,
    frames: BTreeMap<i64, Frame>,
    /// Frames since the last key frame that were decoded.
    references: HashSet<(u8, u32)>,
    decoded_to: i64,
    last: Option<(Frame, Micros)>,
    last_packet: Micros,
    last_request: Micros,
    intervals: VecDeque<u64>,
    /// Something was given up since the last key frame.
    is_torn: bool,
    pub shown: Vec<Shown>,
    pub freezes: Vec<(Micros, Micros)>,
    pub losses: Losses,
    pub key_frame_requests: u32,
    /// Whole frames with nothing missing before them that could not be decoded.
    pub broken: u32,
}

impl View {
    /// A packet of the stream came, by itself or repeated.
    pub fn take(
        &mut self,
        seq: u16,
        rtp: (u32, bool),
        payload: &[u8],
        repaired: bool,
        now: Micros,
    ) {
        let number = self.widen(seq);
        self.last_packet = now;
        if self.packets.contains_key(&number) || number <= self.decoded_to - MEMORY {
            return;
        }
        if let Some(missing) = self.missing.remove(&number) {
            if repaired {
                self.losses.repaired += 1;
            } else {
                self.losses.late += 1;
            }
            if missing.tries == 0 {
                self.losses.missed += 1;
            }
        }
        for missed in self.highest.map_or(number, |highest| highest + 1)..number {
            let next = now + REORDERING;
            self.missing.insert(missed, Missing { tries: 0, next });
        }
        self.highest = self.highest.max(Some(number));
        let packet = Packet {
            timestamp: rtp.0,
            marker: rtp.1,
            first: payload.first().is_some_and(|byte| byte & 0x10 != 0),
            stamp: (!payload.is_empty()).then(|| Stamp::read(payload)),
        };
        self.packets.insert(number, packet);
        self.join(number, now);
    }

    fn widen(&self, seq: u16) -> i64 {
        self.highest.map_or(i64::from(seq) + MEMORY, |highest| {
            highest + i64::from(seq.wrapping_sub((highest - MEMORY) as u16) as i16)
        })
    }

    fn join(&mut self, seq: i64, now: Micros) {
        let timestamp = self.packets[&seq].timestamp;
        let same = |at: i64| {
            let packet = self.packets.get(&at);
            packet.filter(|it| it.timestamp == timestamp && it.stamp.is_some())
        };
        let Some(mut packet) = same(seq) else { return };
        let mut first = seq;
        while !packet.first {
            let Some(before) = same(first - 1) else {
                return;
            };
            (first, packet) = (first - 1, before);
        }
        let stamp = packet.stamp.expect("media");
        let mut last = first;
        while !packet.marker {
            let Some(behind) = same(last + 1) else { return };
            assert_eq!(behind.stamp, Some(stamp), "a frame of two");
            (last, packet) = (last + 1, behind);
        }
        let frame = Frame {
            last,
            timestamp,
            stamp,
            complete_at: now,
        };
        self.frames.insert(first, frame);
    }

    /// Decodes what can be.
    pub fn decode(&mut self, now: Micros) {
        while let Some((first, frame)) = self.next(now) {
            self.frames = self.frames.split_off(&(first + 1));
            self.decoded_to = frame.last;
            self.show(frame, now);
        }
        let old = self.highest.unwrap_or(0) - MEMORY;
        if self.packets.len() as i64 > 2 * MEMORY {
            self.packets = self.packets.split_off(&old);
        }
    }

    fn next(&mut self, now: Micros) -> Option<(i64, Frame)> {
        let gap = self
            .missing
            .first_key_value()
            .map_or(i64::MAX, |(seq, _)| *seq);
        let mut broken = None;
        for (&first, &frame) in &self.frames {
            if first <= self.decoded_to {
                continue;
            }
            let waited = first < gap || now - frame.complete_at >= PATIENCE;
            if !waited {
                return None;
            }
            let stamp = frame.stamp;
            let needed = (stamp.encoding, stamp.index - u32::from(stamp.needs));
            if stamp.key || self.references.contains(&needed) {
                return Some((first, frame));
            }
            if first < gap && !self.is_torn {
                broken = Some(first);
                break;
            }
        }
        if let Some(first) = broken {
            self.frames.remove(&first);
            self.broken += 1;
        }
        None
    }

    fn show(&mut self, frame: Frame, now: Micros) {
        let stamp = frame.stamp;
        if stamp.key {
            self.references.clear();
            self.is_torn = false;
        }
        self.references.insert((stamp.encoding, stamp.index));
        if let Some((last, at)) = self.last {
            let ahead = frame.timestamp.wrapping_sub(last.timestamp) as i32;
            assert!(ahead > 0, "time stood or went back: {last:?} {frame:?}");
            self.note_interval(at, now);
        }
        self.last = Some((frame, now));
        self.shown.push(Shown { stamp, at: now });
    }

    fn note_interval(&mut self, from: Micros, to: Micros) {
        let interval = (to - from).0;
        let count = self.intervals.len() as u64;
        let mean = self.intervals.iter().sum::<u64>() / count.max(1);
        if count > 5 && interval > (3 * mean).max(mean + 150_000) {
            self.freezes.push((from, to));
        }
        self.intervals.push_back(interval);
        if self.intervals.len() > INTERVALS {
            self.intervals.pop_front();
        }
    }

    /// Sequence numbers to ask for.
    pub fn nacks(&mut self, round_trip: Micros, now: Micros) -> Vec<u16> {
        let mut asked = Vec::new();
        let losses = &mut self.losses;
        let is_torn = &mut self.is_torn;
        self.missing.retain(|seq, missing| {
            if missing.next > now {
                return true;
            }
            losses.missed += u32::from(missing.tries == 0);
            if missing.tries == MAX_TRIES {
                losses.given_up += 1;
                *is_torn = true;
                return false;
            }
            missing.tries += 1;
            missing.next = now + round_trip;
            asked.push((seq - MEMORY) as u16);
            true
        });
        asked
    }

    /// Whether to ask for a key frame now.
    pub fn wants_key_frame(&mut self, now: Micros) -> bool {
        let flows = now - self.last_packet < BLIND && self.last_packet > Micros(0);
        let last = self.last.map_or(Micros(0), |(_, at)| at);
        let wants = flows && now - last.max(self.last_request) > BLIND;
        if wants {
            self.last_request = now;
            self.key_frame_requests += 1;
        }
        wants
    }

    /// Packets that are missed now.
    pub fn open(&self) -> usize {
        self.missing.values().filter(|it| it.tries > 0).count()
    }

    /// Encoding shown last, and frames a second, of the time between.
    pub fn rung(&self, from: Micros, to: Micros) -> Option<(u8, u32)> {
        let behind = self.shown.partition_point(|shown| shown.at < to);
        let last = self.shown[..behind].last()?;
        let mut count = 0;
        for shown in self.shown[..behind].iter().rev() {
            if shown.at < from || shown.stamp.encoding != last.stamp.encoding {
                break;
            }
            count += 1;
        }
        (count > 0).then(|| {
            let rate = f64::from(count) / (to - from).as_secs_f64();
            (last.stamp.encoding, rate.round() as u32)
        })
    }
}
