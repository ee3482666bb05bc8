//! Dependency descriptor (AV1 RTP specification, appendix A): which frames a frame refers to, which layers need it.
//!
//! Three mandatory bytes name a *template* of the structure that came with the key frame (`structure.rs`); what differs
//! from the template follows. A *decode target* is a set of layers that can be decoded by itself; each frame tells every
//! target what it is to it. Frames name what they refer to by differences of frame numbers, so a number may be moved, but
//! never its distance to others. A receiver cannot read any frame before it has the structure.
//!
//! Chains are read past: they tell a receiver what it lost, while who forwards knows that already.

use super::ParseError;
use super::bits::BitReader;
use super::bytes::{read_array, read_u8};
pub use rewrite::restrict;
pub use structure::{MAX_DECODE_TARGETS, Structure};

mod rewrite;
mod structure;

/// Length of the mandatory fields; what is longer has the extended ones (section A.8.2).
const MANDATORY: usize = 3;
/// Offset of the frame number.
const FRAME_NUMBER_AT: usize = 1;

/// What is read of any descriptor: the mandatory fields, and whether a structure is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyDescriptor {
    /// First packet of a frame.
    pub start_of_frame: bool,
    /// Last packet of a frame.
    pub end_of_frame: bool,
    /// Template of the frame, an index into the structure last attached.
    pub template_id: u8,
    /// Number of the frame.
    pub frame_number: u16,
    /// A template structure is attached.
    pub has_structure: bool,
}

impl DependencyDescriptor {
    /// Parses the value of a header extension.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        let first = read_u8(value, 0)?;
        let frame_number = u16::from_be_bytes(read_array(value, FRAME_NUMBER_AT)?);
        Ok(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template_id: first & 0x3F,
            frame_number,
            has_structure: value
                .get(MANDATORY)
                .is_some_and(|extended| extended & 0x80 != 0),
        })
    }

    /// A decoder that has seen nothing of the stream can begin with this packet.
    pub const fn begins_sequence(&self) -> bool {
        self.start_of_frame && self.has_structure
    }

    /// Overwrites the frame number in a value that was parsed; nothing else changes.
    pub fn rewrite(value: &mut [u8], frame_number: u16) {
        let number = value.get_mut(FRAME_NUMBER_AT..MANDATORY);
        if let Some(number) = number {
            number.copy_from_slice(&frame_number.to_be_bytes());
        }
    }
}

/// What a frame is to each decode target (section A.8.3.1, `decode target indication`), two bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indications(u64);

impl Indications {
    fn read(bits: &mut BitReader, targets: u8) -> Result<Self, ParseError> {
        let mut all = 0;
        for target in 0..targets {
            all |= u64::from(bits.read_bits(2)?) << (2 * target);
        }
        Ok(Self(all))
    }

    const fn of(self, target: u8) -> u8 {
        (self.0 >> (2 * target) & 3) as u8
    }

    /// The target needs the frame, or may show it.
    pub const fn is_present(self, target: u8) -> bool {
        self.of(target) != 0
    }

    /// If this frame can be decoded, so can all that follow of the target.
    pub const fn is_switch(self, target: u8) -> bool {
        self.of(target) == 2
    }
}

/// Which frames a frame refers to, by how far back their numbers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Bit `n` stands for the frame `n + 1` before.
    pub near: u64,
    /// Some are further back than 64.
    pub far: bool,
}

impl References {
    fn add(&mut self, difference: u32) {
        match difference {
            1..=64 => self.near |= 1 << (difference - 1),
            _ => self.far = true,
        }
    }
}

/// All that a descriptor says of its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The structure that is attached.
    pub structure: Option<Box<Structure>>,
    /// The targets that are sent from here on, where it is told: bit `n` is target `n`.
    pub active: Option<u32>,
    /// Spatial layer.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// What it is to each target.
    pub indications: Indications,
    /// What it refers to.
    pub references: References,
}

/// The flags of the extended fields (section A.8.2).
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent bits on the wire"
)]
#[derive(Clone, Copy, Default)]
struct Extended {
    structure: bool,
    active: bool,
    indications: bool,
    references: bool,
}

impl Extended {
    /// Skips the mandatory fields and reads the flags, if the value goes on.
    fn read(value: &[u8], bits: &mut BitReader) -> Result<Self, ParseError> {
        bits.skip(MANDATORY as u32 * 8)?;
        if value.len() <= MANDATORY {
            return Ok(Self::default());
        }
        let extended = Self {
            structure: bits.read_flag()?,
            active: bits.read_flag()?,
            indications: bits.read_flag()?,
            references: bits.read_flag()?,
        };
        bits.skip(1)?; // custom chains, which come last
        Ok(extended)
    }
}

impl Description {
    /// Reads a whole descriptor. `known`: the structure last attached, for one that brings none.
    pub fn parse(value: &[u8], known: Option<&Structure>) -> Result<Self, ParseError> {
        let head = DependencyDescriptor::parse(value)?;
        let mut bits = BitReader::new(value);
        let extended = Extended::read(value, &mut bits)?;
        let attached = if extended.structure {
            Some(Box::new(Structure::read(&mut bits)?))
        } else {
            None
        };
        let structure = attached.as_deref().or(known).ok_or(ParseError::BadValue)?;
        let active = if extended.active {
            Some(bits.read_bits(structure.targets().into())?)
        } else {
            None
        };
        let template = structure
            .template(head.template_id)
            .ok_or(ParseError::BadValue)?;
        let indications = if extended.indications {
            Indications::read(&mut bits, structure.targets())?
        } else {
            template.indications
        };
        let references = if extended.references {
            read_references(&mut bits)?
        } else {
            template.references
        };
        Ok(Self {
            active,
            spatial: template.spatial,
            temporal: template.temporal,
            indications,
            references,
            structure: attached,
        })
    }
}

/// `frame_fdiffs`: each with its size in groups of four bits. The bits end, so the list does.
fn read_references(bits: &mut BitReader) -> Result<References, ParseError> {
    let mut references = References::default();
    loop {
        let size = bits.read_bits(2)?;
        if size == 0 {
            return Ok(references);
        }
        references.add(bits.read_bits(4 * size)? + 1);
    }
}

#[cfg(test)]
mod tests;
