//! VP8 picture ids and TL0PICIDX of a slot (RFC 7741 section 4.2): unbroken over switches and dropped temporal layers.
//!
//! A decoder reads a gap in picture ids as a lost frame and holds back what follows, so dropping temporal layers must
//! close the gaps, as for sequence numbers. Whole frames are dropped, decided at the first packet of each: layers are
//! left at any frame, and entered at a key frame or at a frame marked as layer sync.

use super::epoch::Epoch;
use crate::recv::content::Content;
use crate::wire::vp8::Vp8Descriptor;

/// Drops remembered, in pictures.
const SPAN: u64 = 256;

/// The values to write into a packet's descriptor, where it has the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureNumbers {
    /// Picture id, to be cut to the width of the packet's own.
    pub picture_id: u16,
    /// TL0PICIDX.
    pub tl0_picture_index: u8,
}

/// Picture numbers of one slot.
#[derive(Clone, Debug)]
pub struct PictureMapper {
    epoch: Option<Epoch>,
    highest_out: u64,
    tl0_offset: u8,
    newest_tl0: Option<u8>,
    layer: u8,
    max_layer: u8,
}

impl Default for PictureMapper {
    fn default() -> Self {
        Self {
            epoch: None,
            highest_out: 1 << 32,
            tl0_offset: 0,
            newest_tl0: None,
            layer: u8::MAX,
            max_layer: u8::MAX,
        }
    }
}

impl PictureMapper {
    /// Forward temporal layers up to this one from the next frame that allows it.
    pub fn set_max_layer(&mut self, max_layer: u8) {
        self.max_layer = max_layer;
    }

    /// A new source begins with this packet.
    pub fn switch(&mut self, content: &Content) {
        self.layer = self.max_layer;
        let Some(fields) = content.vp8 else {
            self.epoch = None;
            return;
        };
        self.epoch = fields
            .picture_id
            .map(|id| Epoch::new(id.value.into(), self.highest_out + 1, SPAN));
        if let Some(index) = fields.tl0_pic_idx {
            let next = self
                .newest_tl0
                .map_or(index, |newest| newest.wrapping_add(1));
            self.tl0_offset = next.wrapping_sub(index);
        }
    }

    /// The numbers for a packet of the current source; `None` when its frame is dropped.
    pub fn map(&mut self, content: &Content) -> Option<PictureNumbers> {
        let id = content.vp8.and_then(|fields| fields.picture_id);
        let picture_id = match id {
            None if self.passes(content) => 0,
            None => return None,
            Some(id) => self.map_picture(id.value, id.wide, content)? as u16,
        };
        let tl0_picture_index = content.vp8.map_or(0, |fields| self.map_tl0(&fields));
        Some(PictureNumbers {
            picture_id,
            tl0_picture_index,
        })
    }

    fn map_picture(&mut self, id: u16, wide: bool, content: &Content) -> Option<u64> {
        let reference = self.epoch.as_ref().map(|epoch| epoch.highest_in);
        let number = reference.map_or(id.into(), |reference| nearest(reference, id, wide));
        let stray = self.epoch.as_ref().is_none_or(|epoch| {
            epoch.is_too_old(number) || number.abs_diff(epoch.highest_in) > SPAN
        });
        if stray && content.begins_key_frame || self.epoch.is_none() {
            // An encoder that starts anew in its own stream may choose any number.
            self.epoch = Some(Epoch::new(number, self.highest_out + 1, SPAN));
        }
        let newest = self
            .epoch
            .as_ref()
            .is_some_and(|epoch| number > epoch.highest_in);
        let passes = !newest || self.passes(content);
        let epoch = self.epoch.as_mut()?;
        if number < epoch.first_in || epoch.is_dropped(number) {
            return None;
        }
        let out = epoch.out_of(number);
        if newest {
            epoch.advance(number);
            if !passes {
                epoch.drop_highest();
                return None;
            }
        }
        self.highest_out = self.highest_out.max(out);
        Some(out)
    }

    /// Decides on a new frame.
    fn passes(&mut self, content: &Content) -> bool {
        if self.max_layer < self.layer || content.begins_key_frame {
            self.layer = self.max_layer;
        }
        let Some(layer) = content.temporal_layer else {
            return true;
        };
        if layer > self.layer && layer <= self.max_layer && content.layer_sync {
            self.layer = layer;
        }
        layer <= self.layer
    }

    fn map_tl0(&mut self, fields: &Vp8Descriptor) -> u8 {
        let Some(index) = fields.tl0_pic_idx else {
            return 0;
        };
        let ours = index.wrapping_add(self.tl0_offset);
        if self
            .newest_tl0
            .is_none_or(|newest| ours.wrapping_sub(newest) as i8 > 0)
        {
            self.newest_tl0 = Some(ours);
        }
        ours
    }
}

/// The number congruent to a 15-bit or 7-bit id that is nearest to the reference.
fn nearest(reference: u64, id: u16, wide: bool) -> u64 {
    let bits = if wide { 15 } else { 7 };
    let modulus = 1u64 << bits;
    let ahead = (u64::from(id).wrapping_sub(reference)) & (modulus - 1);
    if ahead > modulus / 2 {
        reference
            .checked_sub(modulus - ahead)
            .unwrap_or(reference + ahead)
    } else {
        reference + ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vp8::PictureId;
    use proptest::prelude::*;

    fn descriptor(id: u16, wide: bool, tl0: Option<u8>) -> Vp8Descriptor {
        let payload = crate::recv::testing::vp8(id, tl0.unwrap_or(0), 0, false);
        let mut descriptor = Vp8Descriptor::parse(&payload).expect("valid");
        descriptor.picture_id = Some(PictureId { value: id, wide });
        descriptor.tl0_pic_idx = tl0;
        descriptor
    }

    fn frame(id: u16, tl0: u8, layer: u8, key: bool, sync: bool) -> Content {
        Content {
            begins_key_frame: key,
            temporal_layer: Some(layer),
            layer_sync: sync,
            vp8: Some(descriptor(id, true, Some(tl0))),
            ..Content::default()
        }
    }

    fn start(id: u16, tl0: u8) -> PictureMapper {
        let mut mapper = PictureMapper::default();
        let key = frame(id, tl0, 0, true, false);
        mapper.switch(&key);
        mapper.map(&key).expect("a key frame passes");
        mapper
    }

    #[test]
    fn goes_on_over_switches_and_wraps() {
        let mut mapper = start(0x7FFF, 255);
        let second = mapper.map(&frame(0, 0, 0, false, false)).expect("passes");
        let key = frame(500, 77, 0, true, false);
        mapper.switch(&key);
        let third = mapper.map(&key).expect("passes");
        assert_eq!(third.picture_id, second.picture_id.wrapping_add(1));
        assert_eq!(
            third.tl0_picture_index,
            second.tl0_picture_index.wrapping_add(1)
        );
    }

    #[test]
    fn dropped_layers_leave_no_gap() {
        let mut mapper = start(100, 5);
        mapper.set_max_layer(0);
        let mut ids = Vec::new();
        for step in 1..=8u16 {
            let layer = [0, 2, 1, 2][usize::from(step) % 4];
            let content = frame(100 + step, 5, layer, false, layer > 0);
            for _packet in 0..3 {
                ids.extend(mapper.map(&content).map(|numbers| numbers.picture_id));
            }
        }
        ids.dedup();
        assert_eq!(ids.len(), 2, "frames 104 and 108");
        assert_eq!(ids[1], ids[0] + 1);
        assert_eq!(ids[0], 2, "right behind the key frame's");
    }

    #[test]
    fn steps_up_only_at_layer_sync() {
        let mut mapper = start(100, 5);
        mapper.set_max_layer(0);
        assert!(mapper.map(&frame(101, 5, 2, false, true)).is_none());
        mapper.set_max_layer(2);
        assert!(
            mapper.map(&frame(102, 5, 1, false, false)).is_none(),
            "may refer to a dropped frame"
        );
        assert!(mapper.map(&frame(103, 5, 1, false, true)).is_some());
        assert!(mapper.map(&frame(104, 5, 2, false, false)).is_none());
        assert!(mapper.map(&frame(105, 6, 0, true, false)).is_some());
        assert!(
            mapper.map(&frame(106, 6, 2, false, false)).is_some(),
            "a key frame opens all"
        );
    }

    #[test]
    fn a_frame_is_dropped_or_passed_whole() {
        let mut mapper = start(100, 5);
        assert!(mapper.map(&frame(101, 5, 2, false, true)).is_some());
        mapper.set_max_layer(0);
        assert!(
            mapper.map(&frame(101, 5, 2, false, true)).is_some(),
            "its first packet passed"
        );
        assert!(mapper.map(&frame(103, 5, 2, false, true)).is_none());
        mapper.set_max_layer(2);
        assert!(
            mapper.map(&frame(103, 5, 2, false, true)).is_none(),
            "its first packet was dropped"
        );
        assert!(
            mapper.map(&frame(102, 5, 2, false, true)).is_some(),
            "late, its number was kept free"
        );
    }

    #[test]
    fn encoder_that_starts_anew_is_followed() {
        let mut mapper = start(20_000, 5);
        let numbers = mapper.map(&frame(7, 9, 0, true, false)).expect("passes");
        assert_eq!(numbers.picture_id, 2);
        assert!(mapper.map(&frame(8, 10, 0, false, false)).is_some());
    }

    #[test]
    fn stream_without_picture_ids_is_filtered_by_layer_alone() {
        let mut mapper = PictureMapper::default();
        let plain = |layer| Content {
            temporal_layer: layer,
            vp8: None,
            ..Content::default()
        };
        mapper.set_max_layer(1);
        mapper.switch(&plain(Some(0)));
        assert!(mapper.map(&plain(Some(0))).is_some());
        assert!(mapper.map(&plain(Some(2))).is_none());
        assert!(mapper.map(&plain(None)).is_some());
    }

    proptest! {
        /// Over drops, switches and both widths: in order, forwarded frames are numbered without a gap.
        #[test]
        fn in_order_frames_are_numbered_without_gap(
            steps in proptest::collection::vec((0u8..3, any::<bool>(), 0u8..4, any::<bool>()), 1..300),
            first: u16, wide: bool
        ) {
            let mask = if wide { 0x7FFF } else { 0x7F };
            let mut mapper = PictureMapper::default();
            let mut id = first & mask;
            let content = |id: u16, layer, key, sync| Content {
                vp8: Some(descriptor(id, wide, None)),
                ..frame(0, 0, layer, key, sync)
            };
            mapper.switch(&content(id, 0, true, false));
            let mut last = mapper.map(&content(id, 0, true, false)).expect("passes").picture_id;
            for (layer, sync, max, switch) in steps {
                mapper.set_max_layer(max);
                id = if switch && layer == 0 { first.rotate_left(3) & mask } else { (id + 1) & mask };
                let content = content(id, layer, switch && layer == 0, sync);
                if content.begins_key_frame {
                    mapper.switch(&content);
                }
                if let Some(numbers) = mapper.map(&content) {
                    prop_assert_eq!(numbers.picture_id, last.wrapping_add(1));
                    last = numbers.picture_id;
                }
            }
        }

        #[test]
        fn no_input_panics(packets in proptest::collection::vec((any::<u16>(), any::<bool>(), any::<u8>(), any::<bool>()), 1..200)) {
            let mut mapper = PictureMapper::default();
            for (id, wide, layer, key) in packets {
                let id = if wide { id & 0x7FFF } else { id & 0x7F };
                let mut content = frame(id, layer, layer & 3, key, wide);
                content.vp8 = Some(descriptor(id, wide, Some(layer)));
                if key && layer > 200 { mapper.switch(&content) }
                mapper.set_max_layer(layer & 3);
                mapper.map(&content);
            }
        }
    }
}
