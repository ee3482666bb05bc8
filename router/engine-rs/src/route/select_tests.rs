//! Selection by tables, and what holds whatever is measured.

use super::*;
use crate::recv::Measured;
use crate::recv::layer_meter::MeasuredLayer;
use proptest::prelude::*;

const LATER: Micros = Micros::from_secs(10);
const NONE: Limits = Limits {
    shown_at: None,
    max_bitrate_bps: None,
    max_width: None,
    max_height: None,
    max_frame_rate: None,
    max_temporal_layers: None,
};

/// One stream with these spatial layers, each with those below, of a quarter, a half, and all of its frames and bits.
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
    Measured {
        flowing: layers.clone().all(|layer| layer.bps > 0),
        layers: layers.collect(),
    }
}

fn layer(kbps: u64, size: Option<(u16, u16)>) -> Measured {
    svc(&[(kbps, size)])
}

const SIZES: [(u16, u16); 3] = [(1_280, 720), (640, 360), (320, 180)];

/// An encoding by a letter: full, half, quarter; full of unknown size; silent.
fn encodings(letters: &str) -> Vec<Measured> {
    let encoding = |letter| match letter {
        'f' => layer(2_000, Some(SIZES[0])),
        'h' => layer(500, Some(SIZES[1])),
        'q' => layer(150, Some(SIZES[2])),
        'u' => layer(2_000, None),
        'v' => svc(&[
            (150, Some(SIZES[2])),
            (500, Some(SIZES[1])),
            (2_000, Some(SIZES[0])),
        ]),
        _ => layer(0, Some(SIZES[0])),
    };
    letters.chars().map(encoding).collect()
}

fn decide(encodings: &[Measured], allowed: &Allowed, current: Option<u8>) -> Decision {
    let mut selector = Selector::default();
    let ladder = Ladder::new(encodings);
    selector.note_flow(&ladder, Micros(0));
    selector.decide(&ladder, allowed, current, LATER)
}

fn limited(limits: Limits) -> Allowed {
    Allowed {
        limits,
        share: Share::Whole,
    }
}

/// Of a rung that is not there any more.
fn up_to(bps: u64) -> Share {
    Share::Rung {
        place: (9, 9, 9),
        bps,
    }
}

fn kbps(kbps: u64) -> Limits {
    Limits {
        max_bitrate_bps: Some(kbps * 1_000),
        ..NONE
    }
}

fn height(height: u16) -> Limits {
    Limits {
        max_height: Some(height),
        ..NONE
    }
}

fn rate(rate: u16) -> Limits {
    Limits {
        max_frame_rate: Some(rate),
        ..NONE
    }
}

#[test]
fn encodings_are_chosen_within_limits() {
    let both = Limits {
        max_bitrate_bps: Some(600_000),
        ..height(100)
    };
    let width = Limits {
        max_width: Some(640),
        ..NONE
    };
    // Encodings, limits, the one shown, the one to show, why.
    let rows = [
        ("", NONE, None, None, Reason::NothingFlows),
        ("---", NONE, Some(1), None, Reason::NothingFlows),
        ("fhq", NONE, None, Some(0), Reason::Best),
        ("qfh", NONE, None, Some(1), Reason::Best),
        ("-hq", NONE, Some(0), Some(1), Reason::Best),
        ("fhq", kbps(600), None, Some(1), Reason::LimitedByBitrate),
        ("fhq", kbps(150), None, Some(2), Reason::LimitedByBitrate),
        ("fhq", kbps(30), Some(2), None, Reason::BitrateTooLow),
        ("f", kbps(1_900), Some(0), Some(0), Reason::Best),
        ("f", kbps(400), None, None, Reason::BitrateTooLow),
        ("fhq", height(400), Some(0), Some(1), Reason::LimitedBySize),
        ("fhq", height(100), None, Some(2), Reason::SmallestExceeds),
        ("f", height(100), None, Some(0), Reason::SmallestExceeds),
        ("fh", both, None, Some(1), Reason::SmallestExceeds),
        ("fhq", width, None, Some(1), Reason::LimitedBySize),
        ("quh", NONE, None, Some(1), Reason::Best),
        ("u", height(100), None, Some(0), Reason::Best),
        ("f", rate(5), None, Some(0), Reason::SmallestExceeds),
    ];
    for (letters, limits, current, expected, reason) in rows {
        let decision = decide(&encodings(letters), &limited(limits), current);
        assert_eq!(
            (decision.encoding, decision.reason),
            (expected, reason),
            "{letters} {limits:?}"
        );
    }
}

#[test]
fn the_smallest_that_covers_its_place_is_chosen() {
    let (any, covers) = (u16::MAX, Reason::AsLargeAsShown);
    // Encodings, where it is shown, the one to show, why.
    let rows = [
        ("fhq", (529, 559), 1, covers),
        ("fhq", (300, any), 2, covers),
        ("fhq", (370, 208), 2, covers),
        ("fhq", (any, 400), 1, covers),
        ("fhq", (any, 500), 0, Reason::Best),
        ("fhq", (3_840, 2_160), 0, Reason::Best),
        ("f-q", (529, 559), 0, Reason::Best),
        ("-hq", (100, 100), 2, covers),
        ("u", (100, 100), 0, Reason::Best),
    ];
    for (letters, place, expected, reason) in rows {
        let shown_at = Some(place);
        let decision = decide(
            &encodings(letters),
            &limited(Limits { shown_at, ..NONE }),
            None,
        );
        let decided = (decision.encoding, decision.reason);
        assert_eq!(decided, (Some(expected), reason), "{letters} {place:?}");
        let limited = limited(Limits {
            shown_at,
            ..height(200)
        });
        let size = decide(&encodings("fhq"), &limited, None);
        assert_eq!(size.encoding, Some(2), "limits hold whatever covers");
    }
}

#[test]
fn layers_follow_all_limits() {
    let count = |count| Limits {
        max_temporal_layers: Some(count),
        ..NONE
    };
    let top = u8::MAX;
    // One encoding, or three spatial layers; limits; what to forward.
    let rows = [
        ("f", NONE, (top, top)),
        ("f", count(1), (top, 0)),
        ("f", count(0), (top, 0)),
        ("f", count(3), (top, 2)),
        ("f", rate(30), (top, 2)),
        ("f", rate(15), (top, 1)),
        ("f", rate(10), (top, 0)),
        ("f", kbps(1_200), (0, 1)),
        ("f", height(100), (0, top)),
        ("v", NONE, (top, top)),
        ("v", height(400), (1, top)),
        ("v", height(100), (0, top)),
        ("v", kbps(1_200), (2, 1)),
        ("v", kbps(600), (1, 2)),
        ("v", kbps(300), (1, 1)),
        ("v", rate(15), (top, 1)),
        ("", count(2), (top, 1)),
    ];
    for (letters, limits, (spatial, temporal)) in rows {
        let decision = decide(&encodings(letters), &limited(limits), None);
        assert_eq!(
            decision.target,
            Layer::new(spatial, temporal),
            "{letters} {limits:?}"
        );
    }
}

#[test]
fn a_share_is_a_limit_with_a_reason_of_its_own() {
    let decide = |bps, limits, current| {
        let allowed = Allowed {
            limits,
            share: up_to(bps),
        };
        let decision = decide(&encodings("fhq"), &allowed, current);
        (decision.encoding, decision.target, decision.reason)
    };
    let layer = |temporal| Layer::new(0, temporal);
    let by_bandwidth = Reason::LimitedByBandwidth;
    assert_eq!(
        decide(9_000_000, NONE, None),
        (Some(0), layer(2), Reason::Best)
    );
    assert_eq!(
        decide(600_000, NONE, None),
        (Some(1), layer(2), by_bandwidth)
    );
    assert_eq!(
        decide(1_100_000, NONE, None),
        (Some(0), layer(1), by_bandwidth)
    );
    let (_, _, reason) = decide(600_000, kbps(200), None);
    assert_eq!(reason, Reason::LimitedByBitrate);
    let paused = (None, Layer::TOP, Reason::BandwidthTooLow);
    assert_eq!(decide(0, NONE, Some(2)), paused);
    assert_eq!(decide(30_000, NONE, None), paused);
    // What is shown may waver above its share.
    assert_eq!(decide(1_900_000, NONE, Some(0)).1, layer(2));
    assert_eq!(decide(1_900_000, NONE, None).1, layer(1));
}

#[test]
fn the_rung_that_was_granted_is_shown_whatever_ranks_higher() {
    let encodings = encodings("fhq");
    let ladder = Ladder::new(&encodings);
    for rung in ladder.rungs() {
        let allowed = Allowed {
            limits: NONE,
            share: Share::of(rung),
        };
        let decision = decide(&encodings, &allowed, Some(0));
        let shown = (decision.encoding, decision.target);
        let granted = (Some(rung.encoding), Layer::new(rung.spatial, rung.temporal));
        assert_eq!(shown, granted);
        assert_eq!(decision.reason, Reason::LimitedByBandwidth);
    }
    let nothing = Allowed {
        limits: NONE,
        share: Share::Nothing,
    };
    let paused = decide(&encodings, &nothing, Some(0));
    assert_eq!(paused.encoding, None);
    assert_eq!(paused.reason, Reason::BandwidthTooLow);
}

#[test]
fn what_is_shown_goes_on_until_the_granted_rung_has_flowed_a_while() {
    let (few, all) = (encodings("-hq"), encodings("fhq"));
    let top = *Ladder::new(&all).rungs().last().expect("flows");
    let allowed = Allowed {
        limits: NONE,
        share: Share::of(&top),
    };
    let mut selector = Selector::default();
    let mut decide = |encodings, current, ms| {
        let (ladder, now) = (Ladder::new(encodings), Micros::from_millis(ms));
        selector.decide(&ladder, &allowed, current, now).encoding
    };
    assert_eq!(decide(&few, None, 0), Some(1));
    assert_eq!(decide(&all, Some(1), 100), Some(1), "just began");
    assert_eq!(decide(&all, Some(1), 700), Some(0));
    assert_eq!(decide(&few, Some(0), 800), Some(1), "gone again");
}

#[test]
fn moves_up_only_to_what_has_flowed_a_while_but_down_at_once() {
    for (up, half) in [("fh", "-h"), ("v", "w")] {
        let wanted = |decision: Decision| (decision.encoding, decision.target.spatial);
        let mut selector = Selector::default();
        let part = svc(&[(150, Some(SIZES[2])), (500, Some(SIZES[1]))]);
        let measured = |letters| match letters {
            "w" => vec![part.clone()],
            letters => encodings(letters),
        };
        let limits = limited(kbps(9_000));
        let mut decide = |letters, current, ms| {
            let ladder = Ladder::new(&measured(letters));
            let now = Micros::from_millis(ms);
            wanted(selector.decide(&ladder, &limits, current, now))
        };
        let [low, high] = if up == "v" {
            [(Some(0), 1), (Some(0), 2)]
        } else {
            [(Some(1), 0), (Some(0), 0)]
        };
        assert_eq!(decide(half, None, 0), low);
        assert_eq!(decide(up, low.0, 100), low, "just began");
        assert_eq!(decide(up, low.0, 599), low);
        assert_eq!(decide(up, low.0, 600), high);
        assert_eq!(decide(half, high.0, 700), low);
        assert_eq!(decide(up, low.0, 800), low, "began anew");
    }
}

#[test]
fn each_reason_has_a_text() {
    assert_eq!(Reason::default().text(), "nothing is assigned");
    assert_ne!(Reason::Best.text(), Reason::BitrateTooLow.text());
    assert!(Reason::BandwidthTooLow.text().starts_with("paused"));
}

proptest! {
    /// Whatever is measured: what is shown flows, and fits the bitrate and the share with tolerance.
    #[test]
    fn shown_always_flows_and_fits(
        layers in proptest::collection::vec((0u64..4_000, proptest::option::of((0u16..2_000, 0u16..2_000))), 0..10),
        limit in proptest::option::of(0u64..4_000_000),
        share in proptest::option::of(0u64..4_000_000),
        height in proptest::option::of(0u16..2_000),
        current in proptest::option::of(0u8..10),
    ) {
        let encodings: Vec<Measured> = layers.iter().map(|&(kbps, size)| layer(kbps, size)).collect();
        let limits = Limits { max_bitrate_bps: limit, max_height: height, ..NONE };
        let decision = decide(&encodings, &Allowed { limits, share: share.map_or(Share::Whole, up_to) }, current);
        let Some(index) = decision.encoding else {
            let reasons = [Reason::NothingFlows, Reason::BitrateTooLow, Reason::BandwidthTooLow];
            prop_assert!(reasons.contains(&decision.reason));
            return Ok(());
        };
        let shown = &encodings[usize::from(index)];
        prop_assert!(shown.flowing);
        let forwarded = shown.layers.iter().filter(|it| it.temporal <= Some(decision.target.temporal));
        let bps = forwarded.map(|it| it.bps).max().unwrap_or(0);
        for limit in [limit, share].into_iter().flatten() {
            prop_assert!(bps <= limit + limit / 10);
        }
    }
}
