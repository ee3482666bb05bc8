//! From the numbers of a frame to the frames that it needs, as a receiver finds them without looking into the picture:
//! VP8 by TL0PICIDX and layers, VP9 by its group of pictures, the dependency descriptor by differences, H.264 by
//! unbroken sequence numbers. Modelled on what libwebrtc checks (`modules/video_coding/rtp_*_ref_finder.cc`).

use super::camera::{LAYERS, Stamp};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of a frame, read from its first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    Vp8 { picture: u16, tl0: u8, sync: bool },
    Vp9 { picture: u16, tl0: u8 },
    Dependency { frame: u16 },
    Sequence { first: i64, last: i64 },
}

/// What follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The frame's id, and the ids of those that it needs.
    Found(i64, Vec<i64>),
    /// Something before it is missing; it is tried again later.
    Stash,
    Drop(&'static str),
}

/// Widens numbers, each relative to the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Unwrapper(Option<i64>);

impl Unwrapper {
    fn unwrap(&mut self, value: u16, bits: u32) -> i64 {
        let wide = self.peek(value, bits);
        self.0 = Some(wide);
        wide
    }

    fn peek(self, value: u16, bits: u32) -> i64 {
        let modulus = 1i64 << bits;
        let Some(last) = self.0 else {
            return i64::from(value);
        };
        let ahead = (i64::from(value) - last).rem_euclid(modulus);
        last + if ahead > modulus / 2 {
            ahead - modulus
        } else {
            ahead
        }
    }
}

/// State of one kind of numbers; another kind begins with an empty one.
#[derive(Debug, Default)]
pub struct Finder {
    ids: Unwrapper,
    tl0s: Unwrapper,
    /// VP8: newest picture of each layer, by TL0PICIDX.
    layers: BTreeMap<i64, [Option<i64>; 3]>,
    /// VP9: start of the group of pictures, by TL0PICIDX.
    groups: BTreeMap<i64, i64>,
    last_picture: Option<i64>,
    not_yet: BTreeSet<i64>,
    /// H.264: last sequence number of the unbroken line.
    chain: Option<(i64, i64)>,
}

impl Finder {
    pub fn find(&mut self, numbers: Numbers, stamp: Stamp) -> Verdict {
        match numbers {
            Numbers::Vp8 { picture, tl0, sync } => self.vp8((picture, tl0, sync), stamp),
            Numbers::Vp9 { picture, tl0 } => self.vp9(picture, tl0, stamp),
            Numbers::Dependency { frame } => {
                let id = self.ids.unwrap(frame, 16);
                let back = Some(i64::from(stamp.needs)).filter(|back| *back > 0);
                Verdict::Found(id, back.iter().map(|back| id - back).collect())
            }
            Numbers::Sequence { first, last } => self.sequence(first, last, stamp.key),
        }
    }

    fn vp8(&mut self, (picture, tl0, sync): (u16, u8, bool), stamp: Stamp) -> Verdict {
        let layer = usize::from(LAYERS[usize::from(stamp.place)]);
        let id = self.ids.unwrap(picture, 15);
        self.note_gap(id);
        let tl0 = self.tl0s.unwrap(tl0.into(), 8);
        let refs = if stamp.key {
            self.layers.insert(tl0, [None; 3]);
            Vec::new()
        } else {
            let base = if layer == 0 { tl0 - 1 } else { tl0 };
            let Some(newest) = self.layers.get(&base).copied() else {
                return Verdict::Stash;
            };
            match self.vp8_references(id, newest, if sync || layer == 0 { 0 } else { layer }) {
                Ok(refs) => refs,
                Err(verdict) => return verdict,
            }
        };
        let before = self.layers.get(&(tl0 - 1)).copied();
        let layers = self.layers.entry(tl0).or_insert(before.unwrap_or_default());
        layers[layer] = layers[layer].max(Some(id));
        self.not_yet.remove(&id);
        self.layers = self.layers.split_off(&(tl0 - 50));
        Verdict::Found(id, refs)
    }

    /// The newest pictures of the layers up to this one, with nothing missing behind them.
    fn vp8_references(
        &self,
        id: i64,
        newest: [Option<i64>; 3],
        layer: usize,
    ) -> Result<Vec<i64>, Verdict> {
        let mut refs = Vec::new();
        for newest in &newest[..=layer] {
            let Some(newest) = *newest else {
                return Err(Verdict::Stash);
            };
            if newest >= id {
                return Err(Verdict::Drop("a later picture of its layer was there"));
            }
            let missing = self.not_yet.range(newest + 1..id).next().is_some();
            if layer > 0 && missing {
                return Err(Verdict::Stash);
            }
            refs.push(newest);
        }
        Ok(refs)
    }

    fn note_gap(&mut self, id: i64) {
        let last = *self.last_picture.get_or_insert(id);
        if id > last {
            self.not_yet.extend(last + 1..=id);
            self.last_picture = Some(id);
        }
        self.not_yet = self.not_yet.split_off(&(id - 100));
    }

    fn vp9(&mut self, picture: u16, tl0: u8, stamp: Stamp) -> Verdict {
        let id = self.ids.unwrap(picture, 15);
        let tl0 = self.tl0s.unwrap(tl0.into(), 8);
        let layer = LAYERS[usize::from(stamp.place)];
        if stamp.key {
            if self.groups.insert(tl0, id).is_some() {
                return Verdict::Drop("TL0PICIDX came before");
            }
            return Verdict::Found(id, Vec::new());
        }
        let base = if layer == 0 { tl0 - 1 } else { tl0 };
        let Some(&start) = self.groups.get(&base) else {
            return Verdict::Stash;
        };
        self.groups.insert(tl0, start);
        self.groups = self.groups.split_off(&(tl0 - 50));
        let place = (id - start).rem_euclid(4);
        if place != i64::from(stamp.place) {
            return Verdict::Drop("lost its place in the group of pictures");
        }
        let back = [4, 1, 2, 1][place as usize];
        Verdict::Found(id, vec![id - back])
    }

    fn sequence(&mut self, first: i64, last: i64, key: bool) -> Verdict {
        match self.chain {
            _ if key => {
                self.chain = Some((last, last));
                Verdict::Found(last, Vec::new())
            }
            Some((end, id)) if end + 1 == first => {
                self.chain = Some((last, last));
                Verdict::Found(last, vec![id])
            }
            Some((end, _)) if first <= end => Verdict::Drop("behind the line"),
            _ => Verdict::Stash,
        }
    }

    /// The last sequence number of the unbroken line.
    pub fn end(&self) -> Option<i64> {
        self.chain.map(|(end, _)| end)
    }

    /// A packet of padding only: the line of sequence numbers goes on.
    pub fn on_padding(&mut self, seq: i64) -> bool {
        match &mut self.chain {
            Some((end, _)) if *end + 1 == seq => {
                *end = seq;
                true
            }
            _ => false,
        }
    }
}
