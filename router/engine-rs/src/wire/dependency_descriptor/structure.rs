//! The template structure (section A.8.3): layers, decode targets, what the templates refer to, picture sizes.
//!
//! Its length is that of a header extension, 255 bytes, and its lists are capped by the format itself: 64 templates, 32
//! targets. More templates or larger layer numbers than there can be are errors.

use super::{Indications, References};
use crate::wire::ParseError;
use crate::wire::bits::BitReader;
use arrayvec::ArrayVec;

/// Decode targets of a structure at most: their number has five bits.
pub const MAX_DECODE_TARGETS: usize = 32;
/// Templates at most: their ids have six bits.
const MAX_TEMPLATES: usize = 64;
/// Spatial layers at most: their id has two bits in AV1, three in VP9.
const MAX_SPATIAL: usize = 8;
/// Temporal layers at most.
const MAX_TEMPORAL: u8 = 8;

/// What frames of one kind have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    pub spatial: u8,
    pub temporal: u8,
    pub indications: Indications,
    pub references: References,
}

/// A decode target's highest layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeTarget {
    /// Spatial.
    pub spatial: u8,
    /// Temporal.
    pub temporal: u8,
}

/// A parsed structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    id_offset: u8,
    templates: ArrayVec<Template, MAX_TEMPLATES>,
    targets: ArrayVec<DecodeTarget, MAX_DECODE_TARGETS>,
    sizes: ArrayVec<(u16, u16), MAX_SPATIAL>,
}

impl Structure {
    pub(super) fn read(bits: &mut BitReader) -> Result<Self, ParseError> {
        let id_offset = bits.read_bits(6)? as u8;
        let targets = bits.read_bits(5)? as u8 + 1;
        let mut templates = read_layers(bits)?;
        for template in &mut templates {
            template.indications = Indications::read(bits, targets)?;
        }
        for template in &mut templates {
            while bits.read_flag()? {
                template.references.add(bits.read_bits(4)? + 1);
            }
        }
        skip_chains(bits, targets, templates.len())?;
        let sizes = if bits.read_flag()? {
            read_sizes(bits, &templates)?
        } else {
            ArrayVec::new()
        };
        Ok(Self {
            id_offset,
            targets: (0..targets)
                .map(|target| layers_of(target, &templates))
                .collect(),
            templates,
            sizes,
        })
    }

    pub(super) fn template(&self, id: u8) -> Option<Template> {
        let index = id.wrapping_sub(self.id_offset) & 0x3F;
        self.templates.get(usize::from(index)).copied()
    }

    /// Number of decode targets.
    pub fn targets(&self) -> u8 {
        self.targets.len() as u8
    }

    /// The highest layers of each decode target.
    pub fn decode_targets(&self) -> &[DecodeTarget] {
        &self.targets
    }

    /// Picture size of each spatial layer, where they are told.
    pub fn sizes(&self) -> &[(u16, u16)] {
        &self.sizes
    }

    /// What frames of each template are to each target.
    pub fn indications(&self) -> impl Iterator<Item = Indications> + '_ {
        self.templates.iter().map(|template| template.indications)
    }
}

/// `template_layers`: each template's layers, as the step from the one before.
fn read_layers(bits: &mut BitReader) -> Result<ArrayVec<Template, MAX_TEMPLATES>, ParseError> {
    let mut templates = ArrayVec::new();
    let mut next = Template::default();
    loop {
        templates.try_push(next).map_err(|_| ParseError::BadValue)?;
        match bits.read_bits(2)? {
            0 => {}
            1 => next.temporal += 1,
            2 => (next.temporal, next.spatial) = (0, next.spatial + 1),
            _ => return Ok(templates),
        }
        if usize::from(next.spatial) >= MAX_SPATIAL || next.temporal >= MAX_TEMPORAL {
            return Err(ParseError::BadValue);
        }
    }
}

/// `template_chains`: which chain protects each target, then how far back each chain's frame is in each template.
fn skip_chains(bits: &mut BitReader, targets: u8, templates: usize) -> Result<(), ParseError> {
    let chains = bits.read_non_symmetric(u32::from(targets) + 1)?;
    if chains > 0 {
        for _ in 0..targets {
            bits.read_non_symmetric(chains)?;
        }
        bits.skip(4 * chains * templates as u32)?;
    }
    Ok(())
}

fn read_sizes(
    bits: &mut BitReader,
    templates: &[Template],
) -> Result<ArrayVec<(u16, u16), MAX_SPATIAL>, ParseError> {
    let highest = templates.last().map_or(0, |template| template.spatial);
    let mut sizes = ArrayVec::new();
    for _ in 0..=highest {
        let (width, height) = (bits.read_bits(16)? as u16, bits.read_bits(16)? as u16);
        sizes.push((width.saturating_add(1), height.saturating_add(1)));
    }
    Ok(sizes)
}

/// `decode_target_layers`: the highest of the templates that the target needs.
fn layers_of(target: u8, templates: &[Template]) -> DecodeTarget {
    let needed = templates
        .iter()
        .filter(|template| template.indications.is_present(target));
    needed.fold(DecodeTarget::default(), |highest, template| DecodeTarget {
        spatial: highest.spatial.max(template.spatial),
        temporal: highest.temporal.max(template.temporal),
    })
}
