//! Ladders of what publishers send.

use super::*;
use crate::recv::layer_meter::MeasuredLayers;
use proptest::prelude::*;

fn layer(
    spatial: u8,
    temporal: u8,
    kbps: u64,
    rate: f32,
    size: Option<(u16, u16)>,
) -> MeasuredLayer {
    MeasuredLayer {
        spatial,
        temporal: Some(temporal),
        bps: kbps * 1_000,
        frame_rate: rate,
        size,
    }
}

fn encoding(kbps: u64, size: Option<(u16, u16)>) -> Measured {
    let layers = [(0, 4, 7.5), (1, 2, 15.0), (2, 1, 30.0)];
    let layers = layers.map(|(temporal, part, rate)| layer(0, temporal, kbps / part, rate, size));
    Measured {
        flowing: true,
        layers: MeasuredLayers::from_iter(layers),
    }
}

/// Encoding and temporal layer of each rung.
fn places(measured: &[Measured]) -> Vec<(u8, u8)> {
    let ladder = Ladder::new(measured);
    let rungs = ladder.rungs().iter();
    rungs.map(|rung| (rung.encoding, rung.temporal)).collect()
}

const FULL: Option<(u16, u16)> = Some((1_280, 720));
const HALF: Option<(u16, u16)> = Some((640, 360));
const QUARTER: Option<(u16, u16)> = Some((320, 180));

#[test]
fn size_and_rate_rank_together_whatever_the_order_of_rids() {
    let (full, half, quarter) = (
        encoding(2_000, FULL),
        encoding(500, HALF),
        encoding(150, QUARTER),
    );
    let expected = [
        (2, 0),
        (2, 1),
        (1, 0),
        (2, 2),
        (1, 1),
        (0, 0),
        (1, 2),
        (0, 1),
        (0, 2),
    ];
    assert_eq!(
        places(&[full.clone(), half.clone(), quarter.clone()]),
        expected
    );
    // Firefox sends the smallest first.
    let turned = expected.map(|(encoding, temporal)| (2 - encoding, temporal));
    assert_eq!(places(&[quarter, half, full]), turned);
}

#[test]
fn measuring_does_not_swap_neighbours() {
    let steady = places(&[encoding(2_000, FULL), encoding(500, HALF)]);
    let mut wavering = [encoding(2_000, FULL), encoding(500, HALF)];
    for (index, layer) in wavering
        .iter_mut()
        .flat_map(|it| &mut it.layers)
        .enumerate()
    {
        layer.frame_rate *= [0.93, 1.07, 1.0][index % 3];
        layer.bps = layer.bps * [11, 9, 10][index % 3] / 10;
    }
    assert_eq!(places(&wavering), steady);
}

#[test]
fn encodings_of_one_size_rank_by_bits() {
    let (mut poor, rich) = (encoding(800, FULL), encoding(2_500, FULL));
    for layer in &mut poor.layers {
        layer.frame_rate *= 1.04; // measured so
    }
    let expected = [(1, 0), (0, 0), (1, 1), (0, 1), (1, 2), (0, 2)];
    assert_eq!(places(&[rich, poor]), expected);
}

#[test]
fn unknown_sizes_rank_by_bits() {
    let encodings = [
        encoding(150, None),
        encoding(2_000, FULL),
        encoding(500, HALF),
    ];
    let ladder = Ladder::new(&encodings);
    assert!(ladder.rungs().is_sorted_by_key(|rung| rung.bps));
}

#[test]
fn what_does_not_flow_is_absent() {
    let silent = Measured::default();
    assert!(Ladder::new(&[silent.clone(), silent.clone()]).is_empty());
    assert_eq!(
        places(&[silent, encoding(500, HALF)]),
        [(1, 0), (1, 1), (1, 2)]
    );
}

#[test]
fn a_codec_without_temporal_layers_has_one_rung_an_encoding() {
    let measured = Measured {
        flowing: true,
        layers: MeasuredLayers::from_iter([MeasuredLayer {
            temporal: None,
            ..layer(0, 0, 800, 30.0, None)
        }]),
    };
    assert_eq!(places(&[measured]), [(0, u8::MAX)]);
}

#[test]
fn spatial_layers_are_rungs() {
    let layers = (0..3).flat_map(|spatial| {
        let size = Some((320 << spatial, 180 << spatial));
        (0..3).map(move |temporal| {
            let kbps = (100 << (2 * spatial)) * (1 + u64::from(temporal));
            layer(
                spatial,
                temporal,
                kbps,
                7.5 * f32::from(1u8 << temporal),
                size,
            )
        })
    });
    let measured = Measured {
        flowing: true,
        layers: layers.collect(),
    };
    let ladder = Ladder::new(&[measured]);
    assert_eq!(ladder.rungs().len(), 9);
    let best = ladder.rungs().last().expect("there");
    assert_eq!((best.spatial, best.temporal, best.size), (2, 2, FULL));
}

proptest! {
    /// Whatever is measured: no more rungs than there may be, each one measured, none twice, temporal layers in order,
    /// and the best and the worst among them.
    #[test]
    fn any_measure_makes_a_ladder(
        encodings in prop::collection::vec(
            (any::<bool>(), prop::collection::vec((0u8..4, 0u8..4, 0u64..5_000, 0f32..90.0, prop::option::of((1u16.., 1u16..))), 0..16)),
            0..10,
        ),
    ) {
        let measured: Vec<Measured> = encodings
            .iter()
            .map(|(flowing, layers)| Measured {
                flowing: *flowing,
                layers: layers.iter().map(|it| layer(it.0, it.1, it.2, it.3, it.4)).collect(),
            })
            .collect();
        let ladder = Ladder::new(&measured);
        let flowing = measured.iter().take(MAX_ENCODINGS).filter(|it| it.flowing);
        let count: usize = flowing.map(|it| it.layers.len()).sum();
        prop_assert_eq!(ladder.rungs().len(), count.min(MAX_RUNGS));
        for rung in ladder.rungs() {
            let layers = &measured[usize::from(rung.encoding)].layers;
            let found = layers.iter().any(|layer| Rung::new(rung.encoding, layer) == *rung);
            prop_assert!(found, "{:?}", rung);
        }
    }
}
