//! What follows from the layers that are forwarded.

use super::*;
use crate::recv::layers::Layer;
use crate::scalability::{Encoder, InterLayer, Mode};
use crate::wire::dependency_descriptor::Description;

#[test]
fn a_cut_moves_the_marker_and_tells_which_targets_are_active() {
    let mut encoder = Encoder::new(Mode::new(3, 2, InterLayer::Always), 50);
    let plan = mixed_plan(Codec::Av1);
    let frames = encoder.picture(true);
    let attached = encoder.descriptor(&frames[0], true, false);
    let structure = Description::parse(&attached, None)
        .expect("valid")
        .structure;
    let cut = Layer::new(1, 0);
    for frame in &frames {
        for (first, last) in [(true, false), (false, true), (true, true)] {
            let value = encoder.descriptor(frame, first, last);
            let mut dependencies = Dependencies::default();
            dependencies.learn(&attached);
            let (dependency, layers) = dependencies.read(&value).expect("a descriptor");
            let bytes = with_dependency(&value, b"payload");
            let mut packet = received(&bytes, Codec::Av1);
            packet.content = packet.content.with_dependency(dependency, layers);
            for (cut, marker, active) in [
                (Layer::TOP, false, None),
                (cut, last && frame.spatial == 1, first.then_some(0b000_101)),
            ] {
                let picture = PictureNumbers {
                    cut: cut.into(),
                    frame_number: 7,
                    ..PictureNumbers::default()
                };
                let numbers = Numbers {
                    picture,
                    ..Numbers::default()
                };
                let codec = plan.codec(packet.header.payload_type).expect("planned");
                let mut out = vec![0; MAX_DATAGRAM];
                let written = plan.write(&packet, codec, numbers, Form::Media, &mut out);
                out.truncate(written.expect("fits").len);
                assert_eq!(RtpHeader::parse(&out).expect("valid").marker, marker);
                let sent = read(&out).1.dependency_descriptor.expect("sent").of(&out);
                let sent = Description::parse(sent, structure.as_deref()).expect("valid");
                assert_eq!(sent.active, active, "{frame:?} {first} {last}");
                assert_eq!(sent.spatial, frame.spatial);
            }
        }
    }
}
