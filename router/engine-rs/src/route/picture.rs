//! The numbers by which a receiver puts frames in order and finds what they refer to, unbroken over all that a slot
//! shows: picture id and TL0PICIDX of VP8 and VP9 payloads, frame number of the dependency descriptor with any codec.
//!
//! H.264 and AV1 without the descriptor have no such numbers: there the RTP sequence numbers are all.
//! Whole frames are dropped (`layers.rs`); what that does to later numbers is the codec's matter (`line.rs`).

mod base_layer;
mod frame_log;
mod layers;
mod line;

use crate::recv::content::{Content, PayloadDescriptor};
use crate::recv::layers::{Layer, SPATIAL_LAYERS};
use base_layer::BaseLayerLine;
use layers::LayerFilter;
use line::{DistanceLine, Line, WireNumber};

/// The values to write into a packet, where it has the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureNumbers {
    /// Picture id, to be cut to the width of the packet's own.
    pub picture_id: u16,
    /// Frame number of the dependency descriptor.
    pub frame_number: u16,
    /// TL0PICIDX.
    pub tl0_picture_index: u8,
    /// The layers forwarded: marker and active decode targets follow from it.
    pub cut: Cut,
}

/// A cut in one byte: it is compared and kept with every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut(u8);

impl Cut {
    /// The highest layer forwarded.
    pub const fn layer(self) -> Layer {
        Layer::at(self.0 as usize)
    }
}

impl From<Layer> for Cut {
    fn from(layer: Layer) -> Self {
        Self(layer.index() as u8)
    }
}

impl Default for Cut {
    fn default() -> Self {
        Self::from(Layer::TOP)
    }
}

impl PictureNumbers {
    /// By what they differ from the packet's own: the same for all packets between two drops or switches.
    #[inline]
    pub fn shift_from(self, content: &Content) -> PictureShift {
        // Where a short id wraps, what it differs by changes: a new run, now and then.
        let picture = picture_id(content).map_or(0, |own| self.picture_id.wrapping_sub(own.value));
        let base_layer =
            base_layer_index(content).map_or(0, |own| self.tl0_picture_index.wrapping_sub(own));
        PictureShift {
            picture,
            frame: frame_number(content).map_or(0, |own| self.frame_number.wrapping_sub(own.value)),
            base_layer,
            cut: self.cut,
        }
    }
}

/// By what a packet's picture numbers were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureShift {
    picture: u16,
    frame: u16,
    base_layer: u8,
    cut: Cut,
}

impl PictureShift {
    /// The numbers that the packet got.
    pub fn applied_to(self, content: &Content) -> PictureNumbers {
        let shifted =
            |own: Option<WireNumber>, by: u16| own.map_or(0, |own| own.value.wrapping_add(by));
        PictureNumbers {
            picture_id: shifted(picture_id(content), self.picture),
            frame_number: shifted(frame_number(content), self.frame),
            tl0_picture_index: base_layer_index(content)
                .map_or(0, |own| own.wrapping_add(self.base_layer)),
            cut: self.cut,
        }
    }

    /// The packet would be written as it was: it still says what its numbers followed from.
    pub fn fits(self, content: &Content) -> bool {
        self.cut == Cut::default() || content.is_known()
    }
}

/// Picture and frame numbers of one slot.
#[derive(Clone, Debug, Default)]
pub struct PictureMapper {
    pictures: Line,
    frames: DistanceLine,
    base_layer: BaseLayerLine,
    layers: LayerFilter,
}

impl PictureMapper {
    /// Forward layers up to this one from the next picture that allows it.
    pub fn set_target(&mut self, target: Layer) {
        self.layers.set_target(target);
    }

    /// The target cannot be reached without a key frame.
    pub fn wants_key_frame(&self) -> bool {
        self.layers.wants_key_frame()
    }

    /// A new source begins with this packet.
    pub fn switch(&mut self, content: &Content, timestamp: u32) {
        self.layers.restart(timestamp);
        self.pictures.switch(picture_id(content));
        self.frames.switch(frame_number(content));
        self.base_layer.switch(base_layer_index(content));
    }

    /// The numbers for a packet of the current source; `None` when its frame is dropped. `newest`: no packet of the
    /// source with a higher sequence number has come.
    pub fn map(
        &mut self,
        content: &Content,
        timestamp: u32,
        newest: bool,
    ) -> Option<PictureNumbers> {
        let (picture, frame) = (picture_id(content), frame_number(content));
        if newest && content.begins_key_frame && self.counts_anew(picture, frame) {
            self.switch(content, timestamp);
        }
        let mut numbers = PictureNumbers::default();
        if let (Some(PayloadDescriptor::Vp8(_)), Some(number)) = (&content.descriptor, picture) {
            let layers = &mut self.layers;
            let passes = || layers.passes(content, timestamp, None);
            numbers.picture_id = self.pictures.map_closed(number, passes)? as u16;
        } else {
            let told_apart = frame_number_within(content);
            if !self.layers.passes(content, timestamp, told_apart) {
                return None;
            }
            if let Some(number) = picture {
                numbers.picture_id = self.pictures.map(number)? as u16;
            }
        }
        if let Some(number) = frame {
            numbers.frame_number = self.frames.map(number)? as u16;
        }
        if let Some(index) = base_layer_index(content) {
            numbers.tl0_picture_index = self.base_layer.map(index);
        }
        // What is not understood is passed on as it is.
        if let Some(layers) = &content.layers
            && content.is_known()
        {
            numbers.cut = self.layers.cut_for(layers, timestamp).into();
        }
        Some(numbers)
    }

    fn counts_anew(&self, picture: Option<WireNumber>, frame: Option<WireNumber>) -> bool {
        picture.is_some_and(|number| self.pictures.is_new_count(number))
            || frame.is_some_and(|number| self.frames.is_new_count(number))
    }
}

fn picture_id(content: &Content) -> Option<WireNumber> {
    let id = content.descriptor.as_ref()?.picture_id()?;
    Some(WireNumber {
        value: id.value,
        bits: id.bits(),
    })
}

fn frame_number(content: &Content) -> Option<WireNumber> {
    Some(WireNumber {
        value: content.dependency.as_ref()?.descriptor.frame_number,
        bits: 16,
    })
}

/// What tells a frame from others of its source: its number, or its picture and spatial layer.
fn frame_number_within(content: &Content) -> Option<WireNumber> {
    const LAYERS: u16 = SPATIAL_LAYERS as u16;
    if content.dependency.is_some() {
        return frame_number(content);
    }
    let (picture, layers) = (picture_id(content)?, content.layers?);
    let bits = picture.bits.min(u16::BITS - LAYERS.ilog2());
    let value = picture.value % (1 << bits) * LAYERS + u16::from(layers.layer.spatial);
    Some(WireNumber {
        value,
        bits: bits + LAYERS.ilog2(),
    })
}

fn base_layer_index(content: &Content) -> Option<u8> {
    content.descriptor.as_ref()?.tl0_pic_idx()
}

#[cfg(test)]
mod tests;
