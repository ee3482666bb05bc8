//! The dependency descriptor structures of one stream: each comes with a key frame, and says what the descriptors behind
//! it mean (AV1 RTP specification, appendix A).
//!
//! Two are kept: packets from before the newest one still arrive, and are repeated to receivers. Which one a descriptor
//! speaks of is told by its frame number. A frame of which the structure is missing has no layers: it is passed on, since
//! its receiver cannot know either, and reads it when the structure is repaired.

use super::layers::{Evidence, FrameLayers, Layer, Layers, SPATIAL_LAYERS, TEMPORAL_LAYERS};
use crate::wire::dependency_descriptor::{
    DependencyDescriptor, Description, MAX_DECODE_TARGETS, Structure,
};

/// A structure is said to begin at most this many frames ago, so that 16 bits tell before from behind.
const LONGEST_AGO: u16 = 0x3000;

/// The decode targets of a structure by their layers, four bits each, and whether lower spatial layers are part of the
/// higher ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetGrid {
    layers: u128,
    count: u8,
    is_nested: bool,
}

impl TargetGrid {
    fn new(structure: &Structure) -> Self {
        let targets = structure.decode_targets();
        let layer = |target: usize| Layer::new(targets[target].spatial, targets[target].temporal);
        let highest_of = |spatial: u8| {
            let own = (0..targets.len()).filter(|target| layer(*target).spatial == spatial);
            own.max_by_key(|target| layer(*target).temporal)
        };
        let is_part = |lower: usize, upper: usize| {
            let (lower, upper) = (lower as u8, upper as u8);
            structure
                .indications()
                .all(|it| !it.is_present(lower) || it.is_present(upper))
        };
        let spatial: Vec<usize> = (0..SPATIAL_LAYERS as u8).filter_map(highest_of).collect();
        Self {
            layers: (0..targets.len()).fold(0, |all, target| {
                all | (layer(target).index() as u128) << (4 * target)
            }),
            count: targets.len() as u8,
            is_nested: spatial.windows(2).all(|pair| is_part(pair[0], pair[1])),
        }
    }

    fn layer(self, target: u8) -> Layer {
        Layer::at((self.layers >> (4 * target) & 0xF) as usize)
    }

    /// How many there are.
    pub const fn count(self) -> u8 {
        self.count
    }

    /// A receiver of a spatial layer needs those below it.
    pub const fn is_nested(self) -> bool {
        self.is_nested
    }

    /// The targets that a receiver of this cut is sent; `None`: all.
    pub fn active(self, cut: Layer) -> Option<u32> {
        let within = |target: &u8| {
            let layer = self.layer(*target);
            let spatial = layer.spatial == cut.spatial || self.is_nested || cut == Layer::TOP;
            Layers::up_to(cut).contains(layer) && spatial
        };
        let mask = (0..self.count)
            .filter(within)
            .fold(0, |mask, target| mask | 1_u32 << target);
        (mask.count_ones() < u32::from(self.count) && mask != 0).then_some(mask)
    }

    /// The target that shows most of what a cut allows, for each cut; of the lowest one where there is none.
    fn targets_of_cuts(self, active: u32) -> [u8; SPATIAL_LAYERS * TEMPORAL_LAYERS] {
        let is_active = |target: &u8| active >> target & 1 == 1;
        let order = |target: &u8| self.layer(*target).index();
        let lowest = (0..self.count).filter(is_active).min_by_key(order);
        std::array::from_fn(|cut| {
            let cut = Layers::up_to(Layer::at(cut));
            let within =
                (0..self.count).filter(|it| is_active(it) && cut.contains(self.layer(*it)));
            within.max_by_key(order).or(lowest).unwrap_or(0)
        })
    }
}

/// What a packet's descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Its mandatory fields.
    pub descriptor: DependencyDescriptor,
    /// The decode targets of its structure, when it is known.
    pub targets: Option<TargetGrid>,
}

/// One structure, and what is read of it once.
#[derive(Clone, Debug)]
struct Known {
    structure: Box<Structure>,
    since: u16,
    grid: TargetGrid,
    active: u32,
    active_since: u16,
    /// The target that stands for each cut.
    targets: [u8; SPATIAL_LAYERS * TEMPORAL_LAYERS],
}

impl Known {
    fn new(structure: Box<Structure>, since: u16) -> Self {
        let grid = TargetGrid::new(&structure);
        let active = u32::MAX;
        Self {
            structure,
            since,
            grid,
            active,
            active_since: since,
            targets: grid.targets_of_cuts(active),
        }
    }

    fn activate(&mut self, active: u32, since: u16) {
        let late = is_before(since, self.active_since);
        if active == self.active || late {
            return;
        }
        (self.active, self.active_since) = (active, since);
        self.targets = self.grid.targets_of_cuts(active);
    }

    /// The cuts whose target satisfies the test.
    fn cuts(&self, test: impl Fn(u8) -> bool) -> Layers {
        let mut cuts = Layers::NONE;
        for (index, target) in self.targets.iter().enumerate() {
            if test(*target) {
                cuts.insert(Layer::at(index));
            }
        }
        cuts
    }

    fn layers(&self, head: DependencyDescriptor, frame: &Description) -> FrameLayers {
        let opens = self.cuts(|target| frame.indications.is_switch(target));
        let alone = frame.references.near == 0 && !frame.references.far;
        FrameLayers {
            layer: Layer::new(frame.spatial, frame.temporal),
            needed: self.cuts(|target| frame.indications.is_present(target)),
            opens,
            evidence: Evidence::References(frame.references),
            restarts: head.has_structure || alone && opens == Layers::ALL,
            ends: head.end_of_frame,
        }
    }
}

const _: () = assert!(MAX_DECODE_TARGETS * 4 <= 128, "the grid of targets");

/// The structures of one stream.
#[derive(Clone, Debug, Default)]
pub struct Dependencies {
    current: Option<Known>,
    former: Option<Known>,
}

impl Dependencies {
    /// Takes note of what a packet brings for those behind it.
    pub fn learn(&mut self, value: &[u8]) {
        let Ok(head) = DependencyDescriptor::parse(value) else {
            return;
        };
        let number = head.frame_number;
        if let Some(current) = &mut self.current
            && !is_before(number, current.since)
            && number.wrapping_sub(current.since) > LONGEST_AGO
        {
            current.since = number.wrapping_sub(LONGEST_AGO / 2);
            if is_before(current.active_since, current.since) {
                current.active_since = current.since;
            }
            self.former = None;
        }
        let brings_nothing = value.len() <= 3 || value[3] & 0xC0 == 0;
        if brings_nothing {
            return;
        }
        let known = self.known(number).map(|known| &*known.structure);
        let Ok(frame) = Description::parse(value, known) else {
            return;
        };
        if let Some(structure) = frame.structure {
            self.take(structure, number);
        }
        let count = self.current.as_ref().map_or(0, |known| known.grid.count);
        let all = u32::MAX >> (32 - u32::from(count.max(1)));
        // A structure without the bits says that all are active.
        let active = frame.active.or(head.has_structure.then_some(all));
        if let (Some(active), Some(current)) = (active, &mut self.current)
            && !is_before(number, current.since)
        {
            let active = if active == all { u32::MAX } else { active };
            current.activate(active, number);
        }
    }

    /// The structure of a key frame, which is mostly the same as before.
    fn take(&mut self, structure: Box<Structure>, number: u16) {
        let current = self.current.as_ref();
        let same = current.is_some_and(|known| known.structure == structure);
        let late = current.is_some_and(|known| is_before(number, known.since));
        if !same && !late {
            self.former = self.current.take();
            self.current = Some(Known::new(structure, number));
        }
    }

    fn known(&self, number: u16) -> Option<&Known> {
        let current = self.current.as_ref()?;
        if is_before(number, current.since) {
            self.former.as_ref()
        } else {
            Some(current)
        }
    }

    /// What a packet's descriptor says of it, and of its frame's layers when the structure is known.
    pub fn read(&self, value: &[u8]) -> Option<(Dependency, Option<FrameLayers>)> {
        let descriptor = DependencyDescriptor::parse(value).ok()?;
        let known = self.known(descriptor.frame_number);
        let frame = known.and_then(|known| {
            let frame = Description::parse(value, Some(&known.structure)).ok()?;
            Some((known, frame))
        });
        let dependency = Dependency {
            descriptor,
            targets: frame.as_ref().map(|(known, _)| known.grid),
        };
        let layers = frame.map(|(known, frame)| known.layers(descriptor, &frame));
        Some((dependency, layers))
    }

    /// Picture sizes of the spatial layers, where the structure tells them.
    pub fn sizes(&self) -> &[(u16, u16)] {
        let current = self.current.as_ref();
        current.map_or(&[], |known| known.structure.sizes())
    }

    /// A receiver of a spatial layer needs those below it.
    pub fn is_nested(&self) -> Option<bool> {
        self.current.as_ref().map(|known| known.grid.is_nested)
    }
}

/// By frame numbers, which wrap.
fn is_before(number: u16, other: u16) -> bool {
    (number.wrapping_sub(other) as i16) < 0
}

#[cfg(test)]
#[path = "dependencies_tests.rs"]
mod tests;
