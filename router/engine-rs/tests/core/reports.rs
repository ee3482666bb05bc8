//! What is said of a call's quality, in virtual time: freezes, scores, what limits, layers, and totals without peers.

use crate::common::call::{Call, play};
use crate::common::media::Encoder;
use fork_router_engine::core::Command;
use fork_router_engine::core::command::Limits;
use fork_router_engine::core::stats::{ProducerStats, SlotStats};
use fork_router_engine::ids::{ProducerId, SlotId, Ssrc};
use fork_router_engine::route::limited::LimitedBy;
use fork_router_engine::send::quality::{BEST, Category, Impairment, WORST};
use fork_router_engine::wire::rtcp::{ReportBlock, write_receiver_report};
use proptest::prelude::*;

const SLOT: SlotId = SlotId(100);
const SECOND: u32 = 30;

fn camera() -> Vec<Encoder> {
    vec![Encoder::video(7)]
}

/// Three encodings of 180, 360 and 720 lines.
fn cameras() -> (Vec<&'static str>, Vec<Encoder>) {
    let rids = vec!["q", "h", "f"];
    let sizes = [(320, 180), (640, 360), (1_280, 720)];
    let encoders = (7..).zip(&rids).zip(sizes).map(|((ssrc, rid), size)| {
        let mut encoder = Encoder::video(ssrc);
        (encoder.rid, encoder.size) = (Some(*rid), size);
        encoder.payload_len = 100 * usize::from(size.1) / 180;
        encoder
    });
    (rids.clone(), encoders.collect())
}

fn slot(call: &mut Call) -> SlotStats {
    call.slot_stats(0)
}

fn track(call: &mut Call) -> ProducerStats {
    let transport = call.publisher.transport;
    let stats = call.world.core.transport_stats(call.world.now, transport);
    stats.expect("there").producers[0].clone()
}

/// Frames that nobody answers key frame requests for.
fn play_on(call: &mut Call, encoder: &mut Encoder, frames: u32) {
    for _frame in 0..frames {
        let packets = encoder.frame(false, 2);
        encoder.pass(3_000);
        call.publish(&packets);
        call.pass(33);
        call.deliver_all();
    }
}

/// Nothing comes; the publisher's clock goes on.
fn wait(call: &mut Call, encoders: &mut [Encoder], ms: u32) {
    for _tenth in 0..ms / 100 {
        call.pass(100);
    }
    for encoder in encoders {
        encoder.pass(90 * ms);
    }
}

fn report(call: &mut Call, block: &ReportBlock) {
    let ssrc = call.subscribers[0].slot.ssrc;
    let block = ReportBlock { ssrc, ..*block };
    let mut buffer = [0; 100];
    let len = write_receiver_report(&mut buffer, Ssrc(1), &[block]).expect("fits");
    call.send_rtcp(0, &buffer[..len]);
}

#[test]
fn a_clean_call_is_good_and_nothing_limits_it() {
    let mut call = Call::new(1, &[], 1, true);
    assert_eq!(
        (slot(&mut call).quality, track(&mut call).quality),
        (None, None)
    );
    let mut encoders = camera();
    play(&mut call, &mut encoders, 8 * SECOND);
    let sent = slot(&mut call);
    let quality = sent.quality.expect("judged");
    assert_eq!(quality.category(), Category::Good, "{quality:?}");
    assert_eq!(quality.impairment, Impairment::None);
    assert_eq!(sent.limited_by, LimitedBy::None);
    assert_eq!((sent.freeze_count, sent.frames_sent), (0, 240));
    assert_eq!(
        (sent.frame_width, sent.frame_height),
        (Some(640), Some(360))
    );
    assert!((29.0..32.0).contains(&sent.frames_per_second), "{sent:?}");
    let arrived = track(&mut call);
    assert_eq!(arrived.quality.expect("judged").category(), Category::Good);
    let layers = &arrived.encodings[0].layers;
    assert_eq!((layers.len(), layers[0].size), (1, Some((640, 360))));
    assert!((130_000..190_000).contains(&layers[0].bps), "{layers:?}");
}

#[test]
fn reported_loss_lowers_the_score_and_its_repair_does_not() {
    let mut scores = Vec::new();
    for is_repaired in [false, true] {
        let mut call = Call::new(2, &[], 1, true);
        let mut encoders = camera();
        play(&mut call, &mut encoders, 4 * SECOND);
        for _second in 0..8 {
            for _frame in 0..SECOND {
                let packets = encoders[0].frame(false, 2);
                encoders[0].pass(3_000);
                call.publish(&packets);
                call.pass(33);
                call.deliver(|world| world.random(20) == 0);
                if is_repaired {
                    call.ask_for_losses();
                }
            }
            let fraction_lost = 13;
            report(
                &mut call,
                &ReportBlock {
                    fraction_lost,
                    ..ReportBlock::default()
                },
            );
        }
        scores.push(slot(&mut call).quality.expect("judged"));
    }
    assert_eq!(scores[0].impairment, Impairment::Loss);
    assert!(scores[0].score < 3.4, "{scores:?}");
    assert!(scores[1].score > 4.0, "{scores:?}");
}

#[test]
fn a_publisher_that_pauses_freezes_the_picture_once() {
    let mut call = Call::new(3, &[], 1, true);
    let mut encoders = camera();
    play(&mut call, &mut encoders, 4 * SECOND);
    wait(&mut call, &mut encoders, 4_500);
    let during = slot(&mut call);
    assert_eq!(
        (during.freeze_count, during.limited_by),
        (1, LimitedBy::Publisher)
    );
    assert!(
        (4.4..4.7).contains(&during.total_freezes_duration_s),
        "{during:?}"
    );
    let quality = during.quality.expect("judged");
    assert_eq!(
        (quality.category(), quality.impairment),
        (Category::Lost, Impairment::Freezes)
    );
    play(&mut call, &mut encoders, 2 * SECOND);
    let after = slot(&mut call);
    assert_eq!((after.freeze_count, after.limited_by), (1, LimitedBy::None));
    let arrived = track(&mut call);
    assert_eq!(arrived.encodings[0].freeze_count, 1);
    let counters = call.world.core.counters().census;
    assert_eq!(counters.freezes, 1);
    assert!((4_400_000..4_700_000).contains(&counters.frozen.0));
    // Silent for good: there is nothing to judge.
    wait(&mut call, &mut encoders, 9_000);
    assert_eq!(
        (slot(&mut call).quality, track(&mut call).quality),
        (None, None)
    );
}

#[test]
fn a_lost_picture_is_frozen_until_a_key_frame_is_sent() {
    let mut call = Call::new(4, &[], 1, true);
    let mut encoders = camera();
    play(&mut call, &mut encoders, 4 * SECOND);
    call.ask_for_key_frame(0);
    play_on(&mut call, &mut encoders[0], 2 * SECOND);
    let during = slot(&mut call);
    assert_eq!(during.freeze_count, 1);
    assert!(
        (1.9..2.1).contains(&during.total_freezes_duration_s),
        "{during:?}"
    );
    let packets = encoders[0].frame(true, 2);
    call.publish(&packets);
    let before = slot(&mut call).total_freezes_duration_s;
    play_on(&mut call, &mut encoders[0], SECOND);
    let after = slot(&mut call);
    assert!((after.total_freezes_duration_s - before).abs() < 0.001);
    assert_eq!((after.freeze_count, after.key_frames_sent), (1, 2));
}

#[test]
fn what_the_server_pauses_is_no_freeze_and_no_bad_quality() {
    let mut call = Call::new(5, &[], 1, true);
    let mut encoders = camera();
    play(&mut call, &mut encoders, 4 * SECOND);
    call.world
        .command(Command::PauseProducer(ProducerId(1), true));
    play(&mut call, &mut encoders, 4 * SECOND);
    let paused = slot(&mut call);
    assert_eq!(
        (paused.limited_by, paused.freeze_count),
        (LimitedBy::Paused, 0)
    );
    assert_eq!(paused.quality, None);
    call.world
        .command(Command::PauseProducer(ProducerId(1), false));
    play(&mut call, &mut encoders, 6 * SECOND);
    let resumed = slot(&mut call);
    assert_eq!(
        (resumed.limited_by, resumed.freeze_count),
        (LimitedBy::None, 0)
    );
    assert_eq!(resumed.quality.expect("judged").category(), Category::Good);
}

#[test]
fn limits_have_their_word_and_a_wish_is_no_fault() {
    let limit = |bps, height| Limits {
        max_bitrate_bps: bps,
        max_height: height,
        ..Limits::default()
    };
    for (limits, word, impairment, height) in [
        (limit(None, None), LimitedBy::None, Impairment::None, 720),
        (
            limit(None, Some(180)),
            LimitedBy::Size,
            Impairment::None,
            180,
        ),
        (
            limit(Some(120_000), None),
            LimitedBy::Bitrate,
            Impairment::Size,
            360,
        ),
    ] {
        let (rids, mut encoders) = cameras();
        let mut call = Call::new(6, &rids, 1, true);
        call.world.command(Command::SetLimits(SLOT, limits));
        play(&mut call, &mut encoders, 10 * SECOND);
        let stats = slot(&mut call);
        let quality = stats.quality.expect("judged");
        assert_eq!(
            (stats.limited_by, quality.impairment),
            (word, impairment),
            "{stats:?}"
        );
        assert_eq!(stats.frame_height, Some(height));
        assert_eq!(
            quality.score < 4.0,
            impairment == Impairment::Size,
            "{quality:?}"
        );
    }
}

#[test]
fn totals_name_nobody_and_forget_who_left() {
    let mut call = Call::new(7, &[], 3, true);
    let mut encoders = camera();
    play(&mut call, &mut encoders, 8 * SECOND);
    let census = call.world.core.counters().census;
    assert_eq!(census.limited[LimitedBy::None as usize], 3);
    assert_eq!(census.pictures[2], 3, "360 lines: {:?}", census.pictures);
    let given: u64 = census.video_sent.buckets.iter().sum();
    assert_eq!(given, census.video_sent.buckets[7], "all are best");
    assert!((6..=12).contains(&given), "every two seconds: {given}");
    assert_eq!(census.audio_sent.buckets, [0; 8]);
    for number in [100, 101, 102] {
        call.world.command(Command::RemoveSlot(SlotId(number)));
    }
    play(&mut call, &mut encoders, 5 * SECOND);
    let census = call.world.core.counters().census;
    assert_eq!((census.limited, census.pictures), ([0; 8], [0; 10]));
    call.world.command(Command::RemoveProducer(ProducerId(1)));
    call.pass(10_000);
    let after = call.world.core.counters().census.video_received;
    call.pass(10_000);
    assert_eq!(call.world.core.counters().census.video_received, after);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a receiver claims: a score is a score, and the other's is none of its business.
    #[test]
    fn no_report_makes_nonsense(
        reports in proptest::collection::vec(any::<(u8, i32, u32, u32, u32, u32)>(), 1..40),
        plis in any::<bool>(),
    ) {
        let mut call = Call::new(8, &[], 2, true);
        let mut encoders = camera();
        for (fraction_lost, cumulative_lost, highest_seq, jitter, last_sr, delay_since_last_sr) in reports {
            play(&mut call, &mut encoders, SECOND / 3);
            let ssrc = Ssrc(0);
            report(&mut call, &ReportBlock {
                ssrc, fraction_lost, cumulative_lost: cumulative_lost >> 9, highest_seq, jitter, last_sr, delay_since_last_sr,
            });
            if plis {
                call.ask_for_key_frame(0);
            }
        }
        play(&mut call, &mut encoders, 5 * SECOND);
        let liar = slot(&mut call);
        let score = liar.quality.expect("judged").score;
        prop_assert!((WORST..=BEST).contains(&score));
        prop_assert!(liar.total_freezes_duration_s <= call.world.now.as_secs_f64());
        let other = call.slot_stats(1);
        prop_assert_eq!(other.quality.expect("judged").category(), Category::Good);
        prop_assert_eq!(other.freeze_count, 0);
    }
}
