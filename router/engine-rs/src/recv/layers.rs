//! Layers as a grid of spatial by temporal ones, and what one frame is to a receiver of each part of it.
//!
//! A *cut* is a layer taken as the highest: its receiver sees what belongs to it and to those below, as far as it is
//! needed. Sets of layers are 16 bits, so that following a stream costs a few instructions a frame. Whatever the codec
//! and whoever tells it (payload descriptor or dependency descriptor), a frame becomes one [`FrameLayers`].

use crate::wire::dependency_descriptor::References;

/// Spatial layers told apart; higher ones count as the last.
pub const SPATIAL_LAYERS: usize = 4;
/// Temporal layers told apart; higher ones count as the last.
pub const TEMPORAL_LAYERS: usize = 4;
/// One bit in each spatial layer's four.
const ROWS: u16 = 0x1111;

/// One layer of the grid. The default is the highest there can be: as a cut, everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Spatial.
    pub spatial: u8,
    /// Temporal.
    pub temporal: u8,
}

impl Layer {
    /// Everything, as a cut.
    pub const TOP: Self = Self::new(u8::MAX, u8::MAX);
    /// The lowest.
    pub const BASE: Self = Self::new(0, 0);

    /// A layer; what is beyond the grid is its edge.
    pub const fn new(spatial: u8, temporal: u8) -> Self {
        const fn within(layer: u8, count: usize) -> u8 {
            if (layer as usize) < count {
                layer
            } else {
                count as u8 - 1
            }
        }
        Self {
            spatial: within(spatial, SPATIAL_LAYERS),
            temporal: within(temporal, TEMPORAL_LAYERS),
        }
    }

    /// Its place in the grid, counted row by row.
    pub const fn index(self) -> usize {
        self.spatial as usize * TEMPORAL_LAYERS + self.temporal as usize
    }

    /// The layer at a place of the grid.
    pub const fn at(index: usize) -> Self {
        Self::new(
            (index / TEMPORAL_LAYERS) as u8,
            (index % TEMPORAL_LAYERS) as u8,
        )
    }
}

impl Default for Layer {
    fn default() -> Self {
        Self::TOP
    }
}

/// A set of layers, or of cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers(u16);

impl Layers {
    /// None.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(u16::MAX);

    /// Those not above this one in either dimension.
    pub const fn up_to(layer: Layer) -> Self {
        let columns = (2 << layer.temporal) - 1;
        let rows = ((1_u32 << (4 * (layer.spatial + 1))) - 1) as u16;
        Self((columns * ROWS) & rows)
    }

    /// Those not below this one in either dimension.
    pub const fn from(layer: Layer) -> Self {
        let columns = 0xF << layer.temporal & 0xF;
        Self((columns * ROWS) & (u16::MAX << (4 * layer.spatial)))
    }

    /// All of one spatial layer.
    pub const fn of_spatial(spatial: u8) -> Self {
        Self(0xF << (4 * spatial))
    }

    /// All of one temporal layer.
    pub const fn of_temporal(temporal: u8) -> Self {
        Self(ROWS << temporal)
    }

    /// Adds a layer.
    pub fn insert(&mut self, layer: Layer) {
        self.0 |= 1 << layer.index();
    }

    /// Whether the layer is among them.
    pub const fn contains(self, layer: Layer) -> bool {
        self.0 >> layer.index() & 1 == 1
    }

    /// In either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// In this one only.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// All of the spatial layers that have this temporal one among them.
    #[must_use]
    pub const fn spread(self, temporal: u8) -> Self {
        Self((self.0 >> temporal & ROWS) * 0xF)
    }

    /// The temporal layers that this spatial one has among them, of all spatial layers.
    #[must_use]
    pub const fn stacked(self, spatial: u8) -> Self {
        Self((self.0 >> (4 * spatial) & 0xF) * ROWS)
    }

    /// The highest: spatial before temporal.
    pub fn highest(self) -> Option<Layer> {
        let index = self.0.checked_ilog2()?;
        Some(Layer::at(index as usize))
    }
}

/// By what it is known whether a frame can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Its number, and which others it refers to.
    References(References),
    /// Its layer alone: all of it that came before must have been there.
    Layer {
        /// It refers to nothing before its picture.
        begins: bool,
        /// The temporal layer that must be there for what it opens.
        below: u8,
        /// It refers to the spatial layer below of its picture.
        inter_layer: bool,
    },
}

/// What one frame is to the receivers of each cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLayers {
    /// Where it belongs.
    pub layer: Layer,
    /// The cuts that need it.
    pub needed: Layers,
    /// The cuts that can be entered with it, if it can be decoded itself.
    pub opens: Layers,
    /// How to know whether it can.
    pub evidence: Evidence,
    /// Nothing behind it refers to anything before.
    pub restarts: bool,
    /// This packet is its last.
    pub ends: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> impl Iterator<Item = Layer> {
        (0..16).map(Layer::at)
    }

    #[test]
    fn beyond_the_grid_is_its_edge() {
        assert_eq!(Layer::TOP, Layer::new(3, 3));
        assert_eq!(Layer::new(7, 1), Layer::new(3, 1));
        assert_eq!(Layer::default(), Layer::at(15));
    }

    #[test]
    fn sets_are_what_they_say() {
        for layer in all() {
            for other in all() {
                let above = other.spatial >= layer.spatial && other.temporal >= layer.temporal;
                let below = other.spatial <= layer.spatial && other.temporal <= layer.temporal;
                assert_eq!(
                    Layers::from(layer).contains(other),
                    above,
                    "{layer:?} {other:?}"
                );
                assert_eq!(
                    Layers::up_to(layer).contains(other),
                    below,
                    "{layer:?} {other:?}"
                );
            }
            assert_eq!(Layers::up_to(layer).highest(), Some(layer));
            assert!(Layers::of_spatial(layer.spatial).contains(layer));
            assert!(Layers::of_temporal(layer.temporal).contains(layer));
        }
        assert_eq!(Layers::NONE.highest(), None);
    }

    proptest! {
        #[test]
        fn spreading_takes_whole_rows_and_columns(bits: u16, temporal in 0u8..4) {
            let set = Layers(bits);
            for layer in all() {
                let has = set.contains(Layer::new(layer.spatial, temporal));
                prop_assert_eq!(set.spread(temporal).contains(layer), has);
                let has = set.contains(Layer::new(temporal, layer.temporal));
                prop_assert_eq!(set.stacked(temporal).contains(layer), has);
            }
        }
    }
}
