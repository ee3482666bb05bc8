//! Selection by tables, and what holds whatever is measured.

use super::*;
use crate::recv::Measured;
use crate::recv::layer_meter::MeasuredLayer;
use proptest::prelude::*;

/// Name, encodings, limits, the one shown, the one to show, why.
type Row = (
    &'static str,
    Vec<Measured>,
    Limits,
    Option<u8>,
    Option<u8>,
    Reason,
);

const LATER: Micros = Micros::from_secs(10);

/// An encoding with temporal layers of a quarter, a half, and all of its frames and bits.
fn layer(bitrate_kbps: u64, size: Option<(u16, u16)>) -> Measured {
    svc(&[(bitrate_kbps, size)])
}

/// One stream with these spatial layers, with those below.
fn svc(layers: &[(u64, Option<(u16, u16)>)]) -> Measured {
    let spatial = layers.iter().enumerate();
    let layers = spatial.flat_map(|(spatial, &(kbps, size))| {
        [(0, 4), (1, 2), (2, 1)].map(|(temporal, part)| MeasuredLayer {
            spatial: spatial as u8,
            temporal: Some(temporal),
            bps: kbps * 1_000 / part,
            frame_rate: 30.0 / part as f32,
            size,
        })
    });
    let flowing = layers.clone().all(|layer| layer.bps > 0);
    Measured {
        flowing,
        layers: layers.collect(),
    }
}

fn simulcast() -> [Measured; 3] {
    [
        layer(2_000, Some((1_280, 720))),
        layer(500, Some((640, 360))),
        layer(150, Some((320, 180))),
    ]
}

fn decide(encodings: &[Measured], limits: Limits, current: Option<u8>) -> Decision {
    let allowed = Allowed {
        limits,
        budget: None,
    };
    decide_allowed(encodings, &allowed, current)
}

fn decide_allowed(encodings: &[Measured], allowed: &Allowed, current: Option<u8>) -> Decision {
    let mut selector = Selector::default();
    let ladder = Ladder::new(encodings);
    selector.note_flow(&ladder, Micros(0));
    selector.decide(&ladder, allowed, current, LATER)
}

#[test]
fn table() {
    let none = Limits::default();
    let kbps = |kbps: u64| Limits {
        max_bitrate_bps: Some(kbps * 1_000),
        ..none
    };
    let height = |height: u16| Limits {
        max_height: Some(height),
        ..none
    };
    let [full, half, quarter] = simulcast();
    let silent = layer(0, Some((1_280, 720)));
    let unsized_full = layer(2_000, None);
    let rows: [Row; 18] = [
        (
            "no encodings",
            vec![],
            none,
            None,
            None,
            Reason::NothingFlows,
        ),
        (
            "all silent",
            vec![silent; 3],
            none,
            Some(1),
            None,
            Reason::NothingFlows,
        ),
        (
            "best of all",
            vec![full, half, quarter],
            none,
            None,
            Some(0),
            Reason::Best,
        ),
        (
            "order means nothing",
            vec![quarter, full, half],
            none,
            None,
            Some(1),
            Reason::Best,
        ),
        (
            "best stopped",
            vec![silent, half, quarter],
            none,
            Some(0),
            Some(1),
            Reason::Best,
        ),
        (
            "bitrate",
            vec![full, half, quarter],
            kbps(600),
            None,
            Some(1),
            Reason::LimitedByBitrate,
        ),
        (
            "bitrate lowest",
            vec![full, half, quarter],
            kbps(150),
            None,
            Some(2),
            Reason::LimitedByBitrate,
        ),
        (
            "bitrate too low",
            vec![full, half, quarter],
            kbps(100),
            Some(2),
            None,
            Reason::BitrateTooLow,
        ),
        (
            "current within tolerance",
            vec![full],
            kbps(1_900),
            Some(0),
            Some(0),
            Reason::Best,
        ),
        (
            "newcomer without tolerance",
            vec![full],
            kbps(1_900),
            None,
            None,
            Reason::BitrateTooLow,
        ),
        (
            "height",
            vec![full, half, quarter],
            height(400),
            Some(0),
            Some(1),
            Reason::LimitedBySize,
        ),
        (
            "height too low",
            vec![full, half, quarter],
            height(100),
            None,
            Some(2),
            Reason::SmallestExceeds,
        ),
        (
            "only size too big",
            vec![full],
            height(100),
            None,
            Some(0),
            Reason::SmallestExceeds,
        ),
        (
            "size and bitrate too low",
            vec![full, half],
            Limits {
                max_bitrate_bps: Some(600_000),
                ..height(100)
            },
            None,
            Some(1),
            Reason::SmallestExceeds,
        ),
        (
            "width",
            vec![full, half, quarter],
            Limits {
                max_width: Some(640),
                ..none
            },
            None,
            Some(1),
            Reason::LimitedBySize,
        ),
        (
            "unknown size ranks by bitrate",
            vec![quarter, unsized_full, half],
            none,
            None,
            Some(1),
            Reason::Best,
        ),
        (
            "unknown size fits",
            vec![unsized_full],
            height(100),
            None,
            Some(0),
            Reason::Best,
        ),
        (
            "frame rate",
            vec![full],
            Limits {
                max_frame_rate: Some(5),
                ..none
            },
            None,
            Some(0),
            Reason::SmallestExceeds,
        ),
    ];
    for (name, encodings, limits, current, expected, reason) in rows {
        let decision = decide(&encodings, limits, current);
        assert_eq!(
            (decision.encoding, decision.reason),
            (expected, reason),
            "{name}"
        );
    }
}

#[test]
fn temporal_layers_follow_count_and_frame_rate() {
    let encodings = simulcast();
    let table = [
        (Limits::default(), u8::MAX),
        (
            Limits {
                max_temporal_layers: Some(1),
                ..Limits::default()
            },
            0,
        ),
        (
            Limits {
                max_temporal_layers: Some(0),
                ..Limits::default()
            },
            0,
        ),
        (
            Limits {
                max_frame_rate: Some(30),
                ..Limits::default()
            },
            u8::MAX,
        ),
        (
            Limits {
                max_frame_rate: Some(15),
                ..Limits::default()
            },
            1,
        ),
        (
            Limits {
                max_frame_rate: Some(10),
                ..Limits::default()
            },
            0,
        ),
        (
            Limits {
                max_frame_rate: Some(15),
                max_temporal_layers: Some(1),
                ..Limits::default()
            },
            0,
        ),
    ];
    for (limits, expected) in table {
        let decision = decide(&encodings, limits, None);
        assert_eq!(
            (decision.encoding, decision.max_temporal_layer),
            (Some(0), expected),
            "{limits:?}"
        );
    }
}

#[test]
fn moves_up_only_to_what_has_flowed_a_while_but_down_at_once() {
    let [full, half, _] = simulcast();
    let silent = layer(0, None);
    let mut selector = Selector::default();
    let mut decide = |encodings: &[Measured], current, ms| {
        selector
            .decide(
                encodings,
                &Limits::default(),
                current,
                Micros::from_millis(ms),
            )
            .encoding
    };
    assert_eq!(decide(&[silent, half], None, 0), Some(1));
    assert_eq!(decide(&[full, half], Some(1), 100), Some(1), "just began");
    assert_eq!(decide(&[full, half], Some(1), 599), Some(1));
    assert_eq!(decide(&[full, half], Some(1), 600), Some(0));
    assert_eq!(decide(&[silent, half], Some(0), 700), Some(1));
    assert_eq!(decide(&[full, half], Some(1), 800), Some(1), "began anew");
}

#[test]
fn each_reason_has_a_text() {
    assert_eq!(Reason::default().text(), "nothing is assigned");
    assert_ne!(Reason::Best.text(), Reason::BitrateTooLow.text());
}

proptest! {
    /// Whatever is measured: what is shown flows, and fits the bitrate with tolerance.
    #[test]
    fn shown_always_flows_and_fits(
        layers in proptest::collection::vec((0u64..4_000, proptest::option::of((0u16..2_000, 0u16..2_000))), 0..10),
        limit in proptest::option::of(0u64..4_000_000),
        height in proptest::option::of(0u16..2_000),
        current in proptest::option::of(0u8..10),
    ) {
        let encodings: Vec<Measured> = layers.iter().map(|&(kbps, size)| layer(kbps, size)).collect();
        let limits = Limits { max_bitrate_bps: limit, max_height: height, ..Limits::default() };
        let decision = decide(&encodings, limits, current);
        match decision.encoding {
            Some(index) => {
                let shown = &encodings[usize::from(index)];
                prop_assert!(shown.flowing);
                prop_assert!(limit.is_none_or(|limit| shown.bitrate_bps <= limit + limit / 10));
            }
            None => prop_assert!(matches!(decision.reason, Reason::NothingFlows | Reason::BitrateTooLow)),
        }
    }
}
