//! TL0PICIDX of a slot: the running index of base-layer frames, eight bits wide, that upper layers name as the one they
//! depend on. Base-layer frames are never dropped, so one offset per source is enough.

/// The indices of one slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct BaseLayerLine {
    offset: u8,
    newest: Option<u8>,
}

impl BaseLayerLine {
    /// A new source begins with this index, or has none.
    pub fn switch(&mut self, first: Option<u8>) {
        if let Some(first) = first {
            let next = self.newest.map_or(first, |newest| newest.wrapping_add(1));
            self.offset = next.wrapping_sub(first);
        }
    }

    /// The outgoing index.
    pub fn map(&mut self, index: u8) -> u8 {
        let ours = index.wrapping_add(self.offset);
        let is_newer = |newest: u8| ours.wrapping_sub(newest) as i8 > 0;
        if self.newest.is_none_or(is_newer) {
            self.newest = Some(ours);
        }
        ours
    }
}
