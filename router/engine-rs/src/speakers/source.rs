//! One source of a group: whose it is, how it sounds, whether it has been silent for long.

use super::SILENT_LEVEL;
use super::activity::Activity;
use super::stage::Standing;
use crate::ids::ProducerId;
use crate::time::Micros;

/// A source that is digitally silent for so long leaves its places. Less, and the gaps of a noise gate would cost them.
pub const SILENCE_LEAVES: Micros = Micros::from_millis(1_000);

/// What a source without levels counts as: -40 dBov, speech from some distance.
const UNKNOWN_LOUDNESS: u8 = SILENT_LEVEL - 40;
/// Loudness is smoothed over so many active packets, a third of a second.
const SMOOTHING: i32 = 16;
/// Parts of a decibel that the smoothed loudness is kept in.
const PARTS: i32 = 16;

/// A track, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The track.
    pub producer: ProducerId,
    /// The participant who owns it.
    pub participant: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Source {
    /// Which track it is.
    pub owned: Owned,
    /// It may be heard: it is not muted by the server.
    pub competes: bool,
    /// Packets come.
    pub sending: bool,
    /// It is listed among those who were active lately.
    pub listed: bool,
    /// Its speech on three time scales.
    pub activity: Activity,
    /// What its last packet with a level carried.
    pub level: Option<u8>,
    silent_since: Option<Micros>,
    last_speech: Option<Micros>,
    loudness: i32,
}

/// What a packet with sound holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sound {
    /// Speech by its level.
    pub active: bool,
    /// Speech that has gone on for more than a click, or of unknown level.
    pub speaks: bool,
}

impl Source {
    /// Nothing was heard of it yet.
    pub fn new(owned: Owned, competes: bool) -> Self {
        Self {
            owned,
            competes,
            sending: false,
            listed: false,
            activity: Activity::default(),
            level: None,
            silent_since: None,
            last_speech: None,
            loudness: i32::from(UNKNOWN_LOUDNESS) * PARTS,
        }
    }

    /// How it stands in the competition for places.
    pub fn standing(&self) -> Standing {
        Standing {
            last_speech: self.last_speech,
            loudness: (self.loudness / PARTS) as u8,
            has_levels: self.level.is_some(),
        }
    }

    /// A packet that is not digitally silent.
    #[inline]
    pub fn on_sound(&mut self, level: Option<u8>, now: Micros) -> Sound {
        self.level = level.or(self.level);
        self.silent_since = None;
        let Some(level) = level else {
            return self.on_unknown(now);
        };
        if !self.activity.on_level(level, now) {
            return Sound::default();
        }
        let loudness = i32::from(SILENT_LEVEL.saturating_sub(level)) * PARTS;
        self.loudness = match self.last_speech {
            Some(_) => self.loudness + (loudness - self.loudness) / SMOOTHING,
            None => loudness,
        };
        self.last_speech = Some(now);
        Sound {
            active: true,
            speaks: self.activity.is_onset(),
        }
    }

    /// A packet without a level. A stream that has shown levels does not lose them by one packet.
    fn on_unknown(&mut self, now: Micros) -> Sound {
        let speaks = self.level.is_none();
        if speaks {
            self.last_speech = Some(now);
        }
        Sound {
            active: false,
            speaks,
        }
    }

    /// A packet that is digitally silent. True when it has been so for long.
    #[inline]
    pub fn on_silence(&mut self, now: Micros) -> bool {
        self.level = Some(SILENT_LEVEL);
        let since = *self.silent_since.get_or_insert(now);
        let rests = now >= since + SILENCE_LEAVES;
        if !rests {
            self.activity.on_level(SILENT_LEVEL, now);
        }
        rests
    }

    /// Forgets what was heard: it may not be heard now.
    pub fn forget(&mut self) {
        self.activity = Activity::default();
        self.last_speech = None;
    }
}
