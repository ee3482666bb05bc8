//! Which frames of a source pass: temporal layers up to a limit, left at any frame, and entered at a key frame or at a
//! frame that marks its layer as one to step up to (RFC 7741 section 4.2 "Y", RFC 9628 section 4.2 "U").

use crate::recv::content::Content;

/// The temporal layers forwarded.
#[derive(Clone, Copy, Debug)]
pub struct LayerFilter {
    current: u8,
    limit: u8,
}

impl Default for LayerFilter {
    fn default() -> Self {
        Self {
            current: u8::MAX,
            limit: u8::MAX,
        }
    }
}

impl LayerFilter {
    /// Forward layers up to this one from the next frame that allows it.
    pub fn set_limit(&mut self, limit: u8) {
        self.limit = limit;
    }

    /// A source begins: all layers within the limit are there.
    pub fn restart(&mut self) {
        self.current = self.limit;
    }

    /// Decides on a new frame.
    pub fn passes(&mut self, content: &Content) -> bool {
        if self.limit < self.current || content.begins_key_frame {
            self.current = self.limit;
        }
        let Some(layer) = content.temporal_layer else {
            return true;
        };
        if layer > self.current && layer <= self.limit && content.layer_sync {
            self.current = layer;
        }
        layer <= self.current
    }
}
