//! The numbers by which a receiver puts frames in order and finds what they refer to, unbroken over all that a slot
//! shows: picture id and TL0PICIDX of VP8 and VP9 payloads, frame number of the dependency descriptor with any codec.
//!
//! H.264 and AV1 without the descriptor have no such numbers: there the RTP sequence numbers are all.
//! Whole frames are dropped (`layers.rs`); what that does to later numbers is the codec's matter ([`line::Gaps`]).

mod base_layer;
mod layers;
mod line;

use crate::recv::content::{Content, PayloadDescriptor};
use base_layer::BaseLayerLine;
use layers::LayerFilter;
use line::{Gaps, Line, WireNumber};

/// The values to write into a packet, where it has the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureNumbers {
    /// Picture id, to be cut to the width of the packet's own.
    pub picture_id: u16,
    /// Frame number of the dependency descriptor.
    pub frame_number: u16,
    /// TL0PICIDX.
    pub tl0_picture_index: u8,
}

impl PictureNumbers {
    /// By what they differ from the packet's own: the same for all packets between two drops or switches.
    pub fn shift_from(self, content: &Content) -> PictureShift {
        let picture = picture_id(content).map_or(0, |own| {
            self.picture_id.wrapping_sub(own.value) & ((1 << own.bits) - 1)
        });
        let base_layer =
            base_layer_index(content).map_or(0, |own| self.tl0_picture_index.wrapping_sub(own));
        PictureShift {
            picture,
            frame: frame_number(content).map_or(0, |own| self.frame_number.wrapping_sub(own.value)),
            base_layer,
        }
    }
}

/// By what a packet's picture numbers were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureShift {
    picture: u16,
    frame: u16,
    base_layer: u8,
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
        }
    }
}

/// Picture and frame numbers of one slot.
#[derive(Clone, Debug, Default)]
pub struct PictureMapper {
    pictures: Line,
    frames: Line,
    base_layer: BaseLayerLine,
    layers: LayerFilter,
}

impl PictureMapper {
    /// Forward temporal layers up to this one from the next frame that allows it.
    pub fn set_max_layer(&mut self, max_layer: u8) {
        self.layers.set_limit(max_layer);
    }

    /// A new source begins with this packet.
    pub fn switch(&mut self, content: &Content) {
        self.layers.restart();
        self.pictures.switch(picture_id(content));
        self.frames.switch(frame_number(content));
        self.base_layer.switch(base_layer_index(content));
    }

    /// The numbers for a packet of the current source; `None` when its frame is dropped. `newest`: no packet of the
    /// source with a higher sequence number has come.
    pub fn map(&mut self, content: &Content, newest: bool) -> Option<PictureNumbers> {
        let (picture, frame) = (picture_id(content), frame_number(content));
        if newest && content.begins_key_frame && self.counts_anew(picture, frame) {
            self.switch(content);
        }
        let layers = &mut self.layers;
        let mut numbers = PictureNumbers::default();
        // One of the lines decides whether the frame passes, the other follows.
        let decided = picture.is_some();
        if let Some(number) = picture {
            let mapped = self
                .pictures
                .map(number, gaps(content), || layers.passes(content))?;
            numbers.picture_id = mapped as u16;
        }
        match frame {
            Some(number) => {
                let passes = || decided || layers.passes(content);
                numbers.frame_number = self.frames.map(number, Gaps::Kept, passes)? as u16;
            }
            None if !decided && !layers.passes(content) => return None,
            None => {}
        }
        if let Some(index) = base_layer_index(content) {
            numbers.tl0_picture_index = self.base_layer.map(index);
        }
        Some(numbers)
    }

    fn counts_anew(&self, picture: Option<WireNumber>, frame: Option<WireNumber>) -> bool {
        picture.is_some_and(|number| self.pictures.is_new_count(number))
            || frame.is_some_and(|number| self.frames.is_new_count(number))
    }
}

fn picture_id(content: &Content) -> Option<WireNumber> {
    let id = content.descriptor?.picture_id()?;
    Some(WireNumber {
        value: id.value,
        bits: id.bits(),
    })
}

fn frame_number(content: &Content) -> Option<WireNumber> {
    Some(WireNumber {
        value: content.dependency?.frame_number,
        bits: 16,
    })
}

fn base_layer_index(content: &Content) -> Option<u8> {
    content.descriptor?.tl0_pic_idx()
}

fn gaps(content: &Content) -> Gaps {
    match content.descriptor {
        Some(PayloadDescriptor::Vp9(_)) => Gaps::Kept,
        _ => Gaps::Closed,
    }
}

#[cfg(test)]
mod tests;
