//! Layers by the payload descriptors of VP8 (RFC 7741 section 4.2) and VP9 (RFC 9628 section 4.2), for packets without a
//! dependency descriptor. They name a frame's layer, and mark where a receiver may go up; what a frame refers to follows
//! from its layer.
//!
//! VP9 also tells whether higher spatial layers use a frame. Where they do not, but at key pictures, a receiver of a
//! higher one is spared the lower ones. So the highest layer that is sent has to be known: nothing is above it.

use super::content::PayloadDescriptor;
use super::layers::{Evidence, FrameLayers, Layer, Layers};
use crate::wire::vp8::Vp8Descriptor;
use crate::wire::vp9::Vp9Descriptor;

/// Pictures in a row that must lack the highest layers before these count as gone: an encoder may leave some out.
const PATIENCE: u8 = 8;

/// What is known of a VP9 stream's spatial layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpatialLayers {
    top: u8,
    /// Pictures since the highest was seen.
    without_top: u8,
    /// Layers do without those below, but at key pictures.
    is_independent: bool,
}

impl SpatialLayers {
    /// A packet arrived that is newer than all before. `marker`: its picture ends with it.
    pub fn on_packet(&mut self, descriptor: &PayloadDescriptor, marker: bool) {
        let PayloadDescriptor::Vp9(descriptor) = descriptor else {
            return;
        };
        let Some(layer) = descriptor.layer else {
            *self = Self::default();
            return;
        };
        let spatial = Layer::new(layer.spatial_id, 0).spatial;
        if spatial >= self.top {
            (self.top, self.without_top) = (spatial, 0);
        } else if marker {
            self.without_top += 1;
            if self.without_top == PATIENCE {
                (self.top, self.without_top) = (spatial, 0);
            }
        }
        if descriptor.inter_picture && spatial < self.top {
            self.is_independent = descriptor.not_inter_layer_reference;
        }
    }

    /// A receiver of a spatial layer needs those below it.
    pub fn is_nested(self) -> bool {
        !self.is_independent
    }

    /// What a payload is to the receivers of each cut; `None` when it names no layer.
    pub fn read(self, descriptor: &PayloadDescriptor) -> Option<FrameLayers> {
        match descriptor {
            PayloadDescriptor::Vp8(descriptor) => read_vp8(descriptor),
            PayloadDescriptor::Vp9(descriptor) => self.read_vp9(descriptor),
        }
    }

    fn read_vp9(self, descriptor: &Vp9Descriptor) -> Option<FrameLayers> {
        let named = descriptor.layer?;
        let layer = Layer::new(named.spatial_id, named.temporal_id);
        let above = Layers::from(layer);
        let apart = descriptor.inter_picture
            && descriptor.not_inter_layer_reference
            && layer.spatial < self.top;
        let needed = if apart {
            above.and(Layers::of_spatial(layer.spatial))
        } else {
            above
        };
        Some(FrameLayers {
            layer,
            needed,
            // Later pictures of higher temporal layers refer to none of these before this one ("U").
            opens: if named.switching_point {
                needed.without(Layers::up_to(Layer::new(u8::MAX, layer.temporal)))
            } else {
                Layers::NONE
            },
            evidence: Evidence::Layer {
                begins: !descriptor.inter_picture,
                below: layer.temporal,
            },
            restarts: !descriptor.inter_picture && layer.spatial == 0 && !named.inter_layer,
            ends: descriptor.end_of_frame,
        })
    }
}

fn read_vp8(descriptor: &Vp8Descriptor) -> Option<FrameLayers> {
    let layer = Layer::new(0, descriptor.temporal_id?);
    let needed = Layers::from(layer);
    Some(FrameLayers {
        layer,
        needed,
        // It refers to the base layer alone ("Y").
        opens: if descriptor.layer_sync {
            needed.and(Layers::of_temporal(layer.temporal))
        } else {
            Layers::NONE
        },
        evidence: Evidence::Layer {
            begins: false,
            below: layer.temporal.saturating_sub(1),
        },
        restarts: false,
        ends: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vp9(payload: &[u8]) -> PayloadDescriptor {
        PayloadDescriptor::Vp9(Vp9Descriptor::parse(payload).expect("valid"))
    }

    /// Layer indices, inter-picture prediction, not a reference for higher layers.
    fn delta(spatial: u8, temporal: u8, apart: bool) -> PayloadDescriptor {
        vp9(&[
            0x6C | u8::from(apart),
            temporal << 5 | 0x10 | spatial << 1,
            0,
        ])
    }

    fn seen(packets: &[PayloadDescriptor]) -> SpatialLayers {
        let mut layers = SpatialLayers::default();
        for packet in packets {
            layers.on_packet(packet, true);
        }
        layers
    }

    #[test]
    fn lower_layers_are_needed_unless_they_say_otherwise() {
        let layers = seen(&[delta(2, 0, true)]);
        let used = layers.read(&delta(0, 1, false)).expect("named");
        assert_eq!(used.needed, Layers::from(Layer::new(0, 1)));
        let apart = layers.read(&delta(0, 1, true)).expect("named");
        assert!(apart.needed.contains(Layer::new(0, 3)));
        assert!(!apart.needed.contains(Layer::new(1, 1)));
        let top = layers.read(&delta(2, 1, true)).expect("named");
        assert!(top.needed.contains(Layer::TOP), "nothing is above");
        assert!(!top.needed.contains(Layer::new(1, 3)));
        assert!(top.ends && !top.restarts);
    }

    #[test]
    fn layers_that_are_gone_for_some_pictures_are_gone() {
        let mut packets = vec![delta(2, 0, true)];
        packets.extend([delta(1, 0, true); PATIENCE as usize - 1]);
        assert_eq!(seen(&packets).top, 2);
        packets.push(delta(2, 0, true));
        packets.extend([delta(1, 0, true); PATIENCE as usize]);
        assert_eq!(seen(&packets).top, 1);
        packets.push(vp9(&[0x4C]));
        assert_eq!(seen(&packets).top, 0, "no layers at all");
    }

    #[test]
    fn independence_is_told_by_the_newest_lower_frame() {
        assert!(seen(&[]).is_nested());
        assert!(!seen(&[delta(1, 0, true), delta(0, 0, true)]).is_nested());
        assert!(seen(&[delta(1, 0, true), delta(0, 0, false)]).is_nested());
    }

    #[test]
    fn key_pictures_restart_at_their_base_layer() {
        let layers = SpatialLayers::default();
        let key = layers.read(&vp9(&[0x28, 0x10, 0])).expect("named");
        assert!(key.restarts);
        let second = layers.read(&vp9(&[0x28, 0x13, 0])).expect("named");
        assert!(!second.restarts);
    }

    #[test]
    fn vp8_opens_one_layer_at_a_time() {
        let payload = super::super::testing::vp8(1, 1, 1, false);
        let descriptor = PayloadDescriptor::Vp8(Vp8Descriptor::parse(&payload).expect("valid"));
        let frame = SpatialLayers::default().read(&descriptor).expect("named");
        assert!(frame.opens.contains(Layer::new(0, 1)));
        assert!(!frame.opens.contains(Layer::new(0, 2)));
        assert!(frame.needed.contains(Layer::new(0, 2)));
        assert!(!frame.needed.contains(Layer::BASE));
    }
}
