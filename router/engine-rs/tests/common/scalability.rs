//! A scalable encoder's frames without the pictures: which layer each has, what it refers to, and its dependency
//! descriptor, written bit by bit. Shared by the unit tests and the scenarios, so it knows nothing of the crate.
//!
//! Modes are those of the W3C's "Scalable Video Coding" extension: inter-layer prediction always (`L3T3`), at key frames
//! only (`L3T3_KEY`), or never (`S3T3`). Indications follow what encoders in browsers send.
#![allow(dead_code, missing_docs)] // each test uses its part

/// When a spatial layer refers to the one below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterLayer {
    Always,
    KeyFrames,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    pub spatial: u8,
    pub temporal: u8,
    pub inter_layer: InterLayer,
}

impl Mode {
    pub const fn new(spatial: u8, temporal: u8, inter_layer: InterLayer) -> Self {
        Self {
            spatial,
            temporal,
            inter_layer,
        }
    }

    pub fn targets(self) -> usize {
        usize::from(self.spatial * self.temporal)
    }
}

/// One layer frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub spatial: u8,
    pub temporal: u8,
    /// Of a picture in which all layers begin anew.
    pub key: bool,
    /// Counted without end.
    pub number: u64,
    pub references: Vec<u64>,
    /// What it is to each target: `-`, `D`, `S` or `R`.
    pub indications: Vec<u8>,
    /// How far back the last frame of each chain is; 0 at key frames.
    pub chains: Vec<u64>,
}

/// What frames of one template share.
type Template = (u8, u8, Vec<u8>, Vec<u64>, Vec<u64>);

#[derive(Clone, Debug)]
pub struct Encoder {
    pub mode: Mode,
    /// Layers sent: fewer than the mode has while the uplink is narrow.
    pub active: u8,
    next: u64,
    since_key: u64,
    /// Last frame of each spatial layer at each temporal layer.
    last: Vec<[Option<u64>; 3]>,
    chains: Vec<Option<u64>>,
    templates: Vec<Template>,
    id_offset: u8,
}

impl Encoder {
    pub fn new(mode: Mode, first_number: u64) -> Self {
        let mut encoder = Self {
            mode,
            active: mode.spatial,
            next: 1_000,
            since_key: 0,
            last: vec![[None; 3]; mode.spatial.into()],
            chains: vec![None; mode.spatial.into()],
            templates: Vec::new(),
            id_offset: 5,
        };
        let mut rehearsal = encoder.clone();
        for picture in 0..9 {
            for frame in rehearsal.picture(picture == 0) {
                let template = template(&frame);
                if !encoder.templates.contains(&template) {
                    encoder.templates.push(template);
                }
            }
        }
        encoder.templates.sort_by_key(|it| (it.0, it.1));
        encoder.next = first_number;
        encoder
    }

    fn temporal(&self) -> u8 {
        match self.mode.temporal {
            3 => [0, 2, 1, 2][(self.since_key % 4) as usize],
            2 => (self.since_key % 2) as u8,
            _ => 0,
        }
    }

    /// The frames of the next picture, lowest layer first.
    pub fn picture(&mut self, key: bool) -> Vec<Frame> {
        self.since_key = if key { 0 } else { self.since_key + 1 };
        let temporal = self.temporal();
        let frames: Vec<Frame> = (0..self.active)
            .map(|spatial| self.frame(spatial, temporal, key))
            .collect();
        frames
    }

    fn frame(&mut self, spatial: u8, temporal: u8, key: bool) -> Frame {
        let row = usize::from(spatial);
        let number = self.next;
        self.next += 1;
        let mut references = Vec::new();
        if !key {
            let below = usize::from(temporal.max(1));
            references.extend(self.last[row][..below].iter().flatten().max());
        }
        let inter_layer = match self.mode.inter_layer {
            InterLayer::Always => true,
            InterLayer::KeyFrames => key,
            InterLayer::Never => false,
        };
        if spatial > 0 && inter_layer {
            references.push(number - 1);
        }
        let chains = self.chains.iter();
        let chains = chains.map(|last| last.filter(|_| !key || spatial > 0));
        let chains = chains
            .map(|last| last.map_or(0, |last| number - last))
            .collect();
        self.last[row][usize::from(temporal)] = Some(number);
        if temporal == 0 {
            self.extend_chains(spatial, number, key, inter_layer);
        }
        Frame {
            spatial,
            temporal,
            key,
            number,
            references,
            indications: self.indications(spatial, temporal, key),
            chains,
        }
    }

    /// Which layers cannot do without a base-layer frame.
    fn extend_chains(&mut self, spatial: u8, number: u64, key: bool, inter_layer: bool) {
        for (row, chain) in self.chains.iter_mut().enumerate() {
            let own = row == usize::from(spatial);
            let above = row > usize::from(spatial) && inter_layer;
            if key && spatial == 0 && !own && !above {
                *chain = None;
            }
            if own || above {
                *chain = Some(number);
            }
        }
    }

    fn indications(&self, spatial: u8, temporal: u8, key: bool) -> Vec<u8> {
        let targets = (0..self.mode.spatial)
            .flat_map(|row| (0..self.mode.temporal).map(move |column| (row, column)));
        targets
            .map(|(row, column)| {
                let apart = self.mode.inter_layer == InterLayer::Never
                    || self.mode.inter_layer == InterLayer::KeyFrames && !key;
                match (row, column) {
                    _ if row < spatial || column < temporal || apart && row != spatial => b'-',
                    _ if key => b'S',
                    _ if row > spatial => b'R',
                    _ if temporal > 0 && column == temporal => b'D',
                    _ => b'S',
                }
            })
            .collect()
    }

    /// The descriptor of a frame; the structure comes with the first packet of a key picture's lowest layer, and of every
    /// layer where they are independent.
    pub fn descriptor(&self, frame: &Frame, first: bool, last: bool) -> Vec<u8> {
        let template = template(frame);
        let same = |it: &&Template| (it.0, it.1) == (frame.spatial, frame.temporal);
        let index = self.templates.iter().position(|it| *it == template);
        let near = self.templates.iter().find(same);
        let near = near.and_then(|near| self.templates.iter().position(|it| it == near));
        let index = index.or(near).expect("each layer has a template");
        let chosen = &self.templates[index];
        let attached = first
            && frame.key
            && (frame.spatial == 0 || self.mode.inter_layer == InterLayer::Never);
        let custom = [
            chosen.2 != template.2,
            chosen.3 != template.3,
            chosen.4 != template.4,
        ];
        let mut bits = Bits::default();
        bits.push(u64::from(first) << 1 | u64::from(last), 2);
        bits.push((index as u64 + u64::from(self.id_offset)) % 64, 6);
        bits.push(frame.number & 0xFFFF, 16);
        // Fewer layers than the structure tells of are announced with each frame.
        let active = self.active < self.mode.spatial;
        if attached || active || custom.contains(&true) {
            bits.push(u64::from(attached), 1);
            bits.push(u64::from(active), 1);
            for it in custom {
                bits.push(u64::from(it), 1);
            }
            if attached {
                self.write_structure(&mut bits);
            }
            if active {
                let count = u32::from(self.active * self.mode.temporal);
                bits.push((1 << count) - 1, self.mode.targets() as u32);
            }
            if custom[0] {
                write_indications(&mut bits, &template.2);
            }
            if custom[1] {
                for difference in &template.3 {
                    bits.push(2, 2);
                    bits.push(difference - 1, 8);
                }
                bits.push(0, 2);
            }
            if custom[2] {
                template
                    .4
                    .iter()
                    .for_each(|chain| bits.push((*chain).min(255), 8));
            }
        }
        bits.bytes
    }

    fn write_structure(&self, bits: &mut Bits) {
        let targets = self.mode.targets();
        bits.push(self.id_offset.into(), 6);
        bits.push(targets as u64 - 1, 5);
        for pair in self.templates.windows(2) {
            let step = if pair[1].0 > pair[0].0 {
                2
            } else {
                u64::from(pair[1].1 - pair[0].1)
            };
            bits.push(step, 2);
        }
        bits.push(3, 2);
        for template in &self.templates {
            write_indications(bits, &template.2);
        }
        for template in &self.templates {
            for difference in &template.3 {
                bits.push(1, 1);
                bits.push(difference - 1, 4);
            }
            bits.push(0, 1);
        }
        let chains = u64::from(self.mode.spatial);
        bits.push_non_symmetric(chains, targets as u64 + 1);
        for target in 0..targets {
            bits.push_non_symmetric((target / usize::from(self.mode.temporal)) as u64, chains);
        }
        for template in &self.templates {
            template
                .4
                .iter()
                .for_each(|chain| bits.push((*chain).min(15), 4));
        }
        bits.push(1, 1);
        for layer in 0..self.mode.spatial {
            let (width, height) = size(layer);
            bits.push(u64::from(width) - 1, 16);
            bits.push(u64::from(height) - 1, 16);
        }
    }
}

/// Picture size of a spatial layer.
pub fn size(layer: u8) -> (u16, u16) {
    (320 << layer, 180 << layer)
}

fn template(frame: &Frame) -> Template {
    let differences = frame.references.iter().map(|it| frame.number - it);
    (
        frame.spatial,
        frame.temporal,
        frame.indications.clone(),
        differences.collect(),
        frame.chains.clone(),
    )
}

fn write_indications(bits: &mut Bits, indications: &[u8]) {
    for indication in indications {
        let code = b"-DSR".iter().position(|it| it == indication);
        bits.push(code.expect("one of four") as u64, 2);
    }
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    len: usize,
}

impl Bits {
    fn push(&mut self, value: u64, count: u32) {
        for bit in (0..count).rev() {
            if self.len.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().expect("just pushed") |=
                ((value >> bit & 1) as u8) << (7 - self.len % 8);
            self.len += 1;
        }
    }

    fn push_non_symmetric(&mut self, value: u64, count: u64) {
        let width = u64::BITS - count.leading_zeros();
        let short = (1 << width) - count;
        if value < short {
            self.push(value, width - 1);
        } else {
            self.push(value + short, width);
        }
    }
}
