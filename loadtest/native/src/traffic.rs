//! When which packet of a track is due: pure arithmetic on the caller's clock.
//!
//! `Steady` is for comparisons: equal packets, in equal frames. `Camera` and `Voice` are shaped like libwebrtc's: frames
//! split evenly, larger key frames, a pacer that sends bursts of 5 ms at 2.5 times the rate (libwebrtc's
//! `PacedSender::kDefaultPaceMultiplier`); talk spurts with DTX between them.

use std::collections::VecDeque;

const VIDEO_CLOCK_KHZ: u64 = 90;
const AUDIO_CLOCK_KHZ: u64 = 48;
/// Steady tracks begin a key frame so often, as well as when asked.
const STEADY_KEY_EVERY: u32 = 100;
/// A track that is so far behind skips what it could not send, and counts it.
const MAX_BEHIND_US: u64 = 100_000;
const PACER_INTERVAL_US: u64 = 5_000;
const PACE_NUMERATOR: u64 = 5;
const PACE_DENOMINATOR: u64 = 2;
const KEY_FRAME_FACTOR: u64 = 5;
/// Key frames that are asked for come at most so often.
const KEY_INTERVAL_US: u64 = 300_000;
const VOICE_INTERVAL_US: u64 = 20_000;
/// Opus sends a packet so often while nobody speaks (RFC 6716 section 2.1.9).
const DTX_INTERVAL_US: u64 = 400_000;
/// A packet of comfort noise: header, extensions and one to three bytes.
const DTX_BYTES: usize = 24;
const SPURT_MEAN_US: u64 = 1_200_000;
const PAUSE_MEAN_US: u64 = 1_800_000;

/// How a track's packets come.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Frames of `per_frame` packets back to back, so that `packets_per_s` come about.
    Steady {
        /// Of a packet, before SRTP.
        bytes: usize,
        /// Packets of a frame.
        per_frame: u32,
        /// Packets a second.
        packets_per_s: f64,
    },
    /// Video.
    Camera {
        /// Of the whole track.
        bits_per_s: u64,
        /// Frames a second.
        frames_per_s: u32,
        /// The largest packet, before SRTP.
        max_bytes: usize,
    },
    /// Audio, a packet every 20 ms while somebody speaks.
    Voice {
        /// Of a packet, before SRTP.
        bytes: usize,
        /// Whether it pauses; otherwise it is one long spurt.
        dtx: bool,
    },
}

/// A packet that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Of the whole RTP packet, before SRTP.
    pub bytes: usize,
    /// The RTP marker: end of a frame, or start of a talk spurt.
    pub marker: bool,
    /// First packet of its frame.
    pub first: bool,
    /// Part of a key frame.
    pub key: bool,
    /// Number of its frame.
    pub frame: u32,
    /// RTP timestamp.
    pub timestamp: u32,
}

/// One track's schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    shape: Shape,
    scale: f64,
    due_us: u64,
    next_frame_us: f64,
    frame: u32,
    wants_key: bool,
    key_sent_us: u64,
    paced: VecDeque<Planned>,
    sizes: Vec<usize>,
    spurt_ends_us: u64,
    speaks: bool,
    random: u64,
    /// Frames that were skipped because the generator was late.
    pub skipped: u64,
}

impl Schedule {
    /// A track that begins at `start_us`. `seed` makes tracks differ from one another.
    pub fn new(shape: Shape, start_us: u64, seed: u64) -> Self {
        Self {
            shape,
            scale: 1.0,
            due_us: start_us,
            next_frame_us: start_us as f64,
            frame: 0,
            wants_key: true,
            key_sent_us: 0,
            paced: VecDeque::new(),
            sizes: Vec::new(),
            spurt_ends_us: 0,
            speaks: false,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            skipped: 0,
        }
    }

    /// When [`Schedule::poll`] has something.
    pub fn due_us(&self) -> u64 {
        self.due_us
    }

    /// Whether somebody speaks, for audio levels.
    pub fn speaks(&self) -> bool {
        self.speaks
    }

    /// The next frame shall be a key frame.
    pub fn request_key(&mut self) {
        self.wants_key = true;
    }

    /// Makes a steady track or a camera so much faster than its shape says.
    pub fn set_scale(&mut self, scale: f64) {
        self.scale = scale;
    }

    /// Starts again at `now_us` after a pause.
    pub fn restart(&mut self, now_us: u64) {
        self.due_us = now_us;
        self.next_frame_us = now_us as f64;
        self.paced.clear();
        self.spurt_ends_us = now_us;
    }

    /// Appends what is due at `now_us`.
    pub fn poll(&mut self, now_us: u64, out: &mut Vec<Planned>) {
        match self.shape {
            Shape::Steady {
                bytes,
                per_frame,
                packets_per_s,
            } => {
                let interval_us = f64::from(per_frame) * 1e6 / (packets_per_s * self.scale);
                self.skip_what_is_late(now_us, interval_us);
                let key =
                    self.frame.is_multiple_of(STEADY_KEY_EVERY) || self.takes_key_request(now_us);
                let mut sizes = std::mem::take(&mut self.sizes);
                sizes.clear();
                sizes.resize(per_frame as usize, bytes);
                out.extend(self.plan_frame(&sizes, key, now_us));
                self.sizes = sizes;
                self.next_frame_us += interval_us;
                self.due_us = self.next_frame_us as u64;
            }
            Shape::Camera {
                bits_per_s,
                frames_per_s,
                max_bytes,
            } => {
                let rate = (bits_per_s as f64 * self.scale) as u64;
                self.poll_camera(now_us, rate, frames_per_s, max_bytes);
                self.pace(now_us, rate, out);
            }
            Shape::Voice { bytes, dtx } => self.poll_voice(now_us, bytes, dtx, out),
        }
    }

    fn skip_what_is_late(&mut self, now_us: u64, interval_us: f64) {
        let behind = now_us as f64 - self.next_frame_us;
        if behind > MAX_BEHIND_US as f64 {
            self.skipped += (behind / interval_us) as u64;
            self.next_frame_us = now_us as f64;
        }
    }

    fn takes_key_request(&mut self, now_us: u64) -> bool {
        let takes =
            self.wants_key && (self.frame == 0 || now_us >= self.key_sent_us + KEY_INTERVAL_US);
        if takes {
            self.wants_key = false;
            self.key_sent_us = now_us;
        }
        takes
    }

    /// The packets of the next frame, of these sizes.
    fn plan_frame(
        &mut self,
        sizes: &[usize],
        key: bool,
        now_us: u64,
    ) -> impl Iterator<Item = Planned> {
        let frame = self.frame;
        self.frame = self.frame.wrapping_add(1);
        let count = sizes.len();
        sizes.iter().enumerate().map(move |(index, bytes)| Planned {
            bytes: *bytes,
            marker: index + 1 == count,
            first: index == 0,
            key,
            frame,
            timestamp: (now_us * VIDEO_CLOCK_KHZ / 1000) as u32,
        })
    }

    fn poll_camera(&mut self, now_us: u64, rate: u64, frames_per_s: u32, max_bytes: usize) {
        if now_us < self.next_frame_us as u64 {
            return;
        }
        let interval_us = 1e6 / f64::from(frames_per_s);
        self.skip_what_is_late(now_us, interval_us);
        self.next_frame_us += interval_us;
        let key = self.takes_key_request(now_us);
        // Frames of one scene differ by a fifth either way.
        let usual = rate / 8 / u64::from(frames_per_s);
        let varied = usual * (80 + self.draw(41)) / 100;
        let bytes = (if key {
            usual * KEY_FRAME_FACTOR
        } else {
            varied
        })
        .max(64) as usize;
        let count = bytes.div_ceil(max_bytes);
        // libwebrtc's packetizers split a frame into packets that differ by one byte at most.
        let mut sizes = std::mem::take(&mut self.sizes);
        sizes.clear();
        sizes.extend((0..count).map(|index| bytes / count + usize::from(index < bytes % count)));
        let planned: Vec<Planned> = self.plan_frame(&sizes, key, now_us).collect();
        self.paced.extend(planned);
        self.sizes = sizes;
    }

    fn pace(&mut self, now_us: u64, rate: u64, out: &mut Vec<Planned>) {
        let budget = rate * PACE_NUMERATOR / PACE_DENOMINATOR / 8 * PACER_INTERVAL_US / 1_000_000;
        let mut sent = 0;
        while sent == 0 || sent < budget {
            let Some(packet) = self.paced.pop_front() else {
                break;
            };
            sent += packet.bytes as u64;
            out.push(packet);
        }
        let next_frame = self.next_frame_us as u64;
        self.due_us = if self.paced.is_empty() {
            next_frame
        } else {
            next_frame.min(now_us + PACER_INTERVAL_US)
        };
    }

    fn poll_voice(&mut self, now_us: u64, bytes: usize, dtx: bool, out: &mut Vec<Planned>) {
        let mut starts = self.frame == 0;
        if dtx && now_us >= self.spurt_ends_us {
            self.speaks = !self.speaks;
            starts = self.speaks;
            let mean = if self.speaks {
                SPURT_MEAN_US
            } else {
                PAUSE_MEAN_US
            };
            // Uniform between half and one and a half of the mean.
            self.spurt_ends_us = now_us + mean / 2 + self.draw(mean);
        }
        self.speaks |= !dtx;
        let interval_us = if self.speaks {
            VOICE_INTERVAL_US
        } else {
            DTX_INTERVAL_US
        };
        self.skip_what_is_late(now_us, interval_us as f64);
        out.push(Planned {
            bytes: if self.speaks { bytes } else { DTX_BYTES },
            marker: starts,
            first: true,
            key: false,
            frame: self.frame,
            timestamp: (now_us * AUDIO_CLOCK_KHZ / 1000) as u32,
        });
        self.frame = self.frame.wrapping_add(1);
        self.next_frame_us += interval_us as f64;
        self.due_us = self.next_frame_us as u64;
        if dtx && !self.speaks {
            self.due_us = self
                .due_us
                .min(self.spurt_ends_us.max(now_us + VOICE_INTERVAL_US));
            self.next_frame_us = self.due_us as f64;
        }
    }

    /// A number below `limit` (xorshift64*).
    fn draw(&mut self, limit: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(shape: Shape, seconds: u64) -> (Schedule, Vec<(u64, Planned)>) {
        let mut schedule = Schedule::new(shape, 1_000, 1);
        let (mut all, mut batch) = (Vec::new(), Vec::new());
        while schedule.due_us() < 1_000 + seconds * 1_000_000 {
            let now = schedule.due_us();
            schedule.poll(now, &mut batch);
            all.extend(batch.drain(..).map(|packet| (now, packet)));
        }
        (schedule, all)
    }

    const CAMERA: Shape = Shape::Camera {
        bits_per_s: 2_000_000,
        frames_per_s: 30,
        max_bytes: 1100,
    };

    #[test]
    fn a_steady_track_has_the_packets_asked_for() {
        let (_, packets) = run(
            Shape::Steady {
                bytes: 1100,
                per_frame: 8,
                packets_per_s: 228.0,
            },
            10,
        );
        assert!((2272..=2288).contains(&packets.len()), "{}", packets.len());
        assert!(packets.iter().all(|(_, packet)| packet.bytes == 1100));
        assert_eq!(
            packets.iter().filter(|(_, packet)| packet.marker).count() * 8,
            packets.len()
        );
        assert!(
            packets
                .iter()
                .take(8)
                .all(|(_, packet)| packet.key && packet.frame == 0)
        );
        assert!(!packets[8].1.key);
    }

    #[test]
    fn a_camera_keeps_its_rate_and_never_bursts_more_than_the_pacer_allows() {
        let (_, packets) = run(CAMERA, 20);
        let bits: usize = packets.iter().map(|(_, packet)| packet.bytes * 8).sum();
        assert!((38_000_000..42_000_000).contains(&bits), "{bits}");
        let mut bursts = std::collections::BTreeMap::new();
        for (now, packet) in &packets {
            *bursts.entry(*now).or_insert(0) += packet.bytes;
        }
        // 5 ms at 2.5 times the rate, and the packet that crosses it.
        assert!(bursts.values().all(|bytes| *bytes <= 3125 + 1100));
        assert!(bursts.len() > 2 * 600);
    }

    #[test]
    fn a_key_frame_is_larger_and_comes_once_for_many_requests() {
        let mut schedule = Schedule::new(CAMERA, 0, 1);
        let (mut packets, mut keys) = (Vec::new(), std::collections::BTreeMap::new());
        while schedule.due_us() < 2_000_000 {
            if schedule.due_us() > 1_000_000 && schedule.due_us() < 1_200_000 {
                schedule.request_key();
            }
            schedule.poll(schedule.due_us(), &mut packets);
        }
        let sizes = packets.iter().filter(|packet| packet.key);
        sizes.for_each(|packet| *keys.entry(packet.frame).or_insert(0) += packet.bytes);
        assert_eq!(keys.len(), 3, "the first, at 1 s, and 300 ms later");
        assert!(keys.values().all(|bytes| *bytes == 5 * 8333), "{keys:?}");
    }

    #[test]
    fn a_voice_pauses_and_a_spurt_starts_with_the_marker() {
        let (_, packets) = run(
            Shape::Voice {
                bytes: 110,
                dtx: true,
            },
            60,
        );
        let quiet = packets
            .iter()
            .filter(|(_, packet)| packet.bytes == DTX_BYTES)
            .count();
        let loud = packets.len() - quiet;
        assert!((800..1600).contains(&loud), "{loud}");
        assert!((60..140).contains(&quiet), "{quiet}");
        let spurts = packets.iter().filter(|(_, packet)| packet.marker).count();
        assert!((12..30).contains(&spurts), "{spurts}");
        let (_, steady) = run(
            Shape::Voice {
                bytes: 110,
                dtx: false,
            },
            60,
        );
        assert_eq!(steady.len(), 3000);
    }

    #[test]
    fn a_late_track_skips_and_says_so() {
        let (mut schedule, _) = run(
            Shape::Steady {
                bytes: 100,
                per_frame: 1,
                packets_per_s: 100.0,
            },
            1,
        );
        let mut out = Vec::new();
        schedule.poll(3_001_000, &mut out);
        assert_eq!(out.len(), 1);
        assert!(
            (199..=200).contains(&schedule.skipped),
            "{}",
            schedule.skipped
        );
        assert!(schedule.due_us() > 3_001_000);
    }
}
