//! Tests of when probes begin, what is sent for them, and what follows from their results.

use super::*;

const START: Micros = Micros::from_secs(1);
const RTT: Micros = Micros::from_millis(50);
const CALM: Situation = Situation {
    estimate: 1e6,
    wanted: 10e6,
    round_trip: RTT,
    jitter: Micros(0),
    unused: true,
    congested: false,
};

/// Sends a probe that has begun; returns time and bytes of each burst. The link carries `link_bps`.
fn send(control: &mut ProbeControl, link_bps: f64) -> Vec<(u64, usize)> {
    let mut bursts = Vec::new();
    let mut packets = Vec::new();
    let began = control.began;
    for ms in 0..400 {
        let now = began + Micros::from_millis(ms);
        let Some(probe) = control.poll(now) else {
            continue;
        };
        let cluster = control.on_sent(probe.bytes, Some(probe.cluster));
        assert_eq!(cluster, probe.cluster.0);
        bursts.push((ms, probe.bytes));
        packets.push(SentPacket {
            sent_at: now,
            bytes: probe.bytes as u32,
            cluster,
        });
    }
    let mut free_at = 0.0_f64;
    for packet in packets {
        free_at = free_at.max(packet.sent_at.0 as f64) + f64::from(packet.bytes) * 8e6 / link_bps;
        control.on_arrival(&packet, free_at as i64);
    }
    bursts
}

fn next_begins(control: &mut ProbeControl, from: Micros, situation: &Situation) -> Micros {
    let times = (0..60_000).map(|ms| from + Micros::from_millis(ms));
    let begins = |now: &Micros| {
        control.consider(*now, situation);
        control.stage == Stage::Sending
    };
    times.into_iter().find(begins).expect("some time")
}

#[test]
fn nothing_is_probed_without_a_need_or_into_congestion() {
    let refused = [
        Situation {
            wanted: 1e6,
            ..CALM
        },
        Situation {
            wanted: 0.0,
            ..CALM
        },
        Situation {
            congested: true,
            ..CALM
        },
    ];
    for situation in refused {
        let mut control = ProbeControl::new();
        control.consider(START, &situation);
        assert_eq!(control.poll(START), None, "{situation:?}");
    }
}

#[test]
fn probe_is_five_bursts_of_its_rate() {
    let mut control = ProbeControl::new();
    control.consider(START, &CALM);
    assert_eq!(control.deadline(true), Some(START));
    let bursts = send(&mut control, 100e6);
    let expected = [0, 10, 20, 30, 40].map(|ms| (ms, 3_750));
    assert_eq!(bursts, expected, "three times the estimate");
    let result = control.conclude(START + RTT, 1e6).expect("measured");
    assert!((result.bps - 3e6).abs() < 1e4 && !result.saturated);
}

#[test]
fn probe_is_limited_by_what_is_wanted() {
    let mut control = ProbeControl::new();
    control.consider(
        START,
        &Situation {
            wanted: 1.2e6,
            ..CALM
        },
    );
    assert_eq!(control.poll(START).map(|probe| probe.bps), Some(1_500_000));
}

#[test]
fn media_is_a_part_of_the_probe_once_it_has_begun() {
    let mut control = ProbeControl::new();
    assert_eq!(control.on_sent(1_000, None), 0);
    control.consider(START, &CALM);
    assert_eq!(control.on_sent(1_000, None), 0, "before the first padding");
    let probe = control.poll(START).expect("begins");
    control.on_sent(probe.bytes, Some(probe.cluster));
    assert_eq!(control.on_sent(3_000, None), probe.cluster.0);
    let later = START + Micros::from_millis(10);
    assert_eq!(control.poll(later).map(|probe| probe.bytes), Some(750));
}

#[test]
fn slow_probes_last_longer_and_jitter_stretches_them() {
    let mut control = ProbeControl::new();
    control.begin(START, 100e3, RTT, Micros(0));
    let bursts = send(&mut control, 100e6);
    assert_eq!(bursts, [0, 40, 80, 120, 160].map(|ms| (ms, 500)));
    control.begin(START, 1e6, RTT, Micros::from_millis(30));
    assert_eq!(send(&mut control, 100e6)[4].0, 120);
    control.begin(START, 1e6, RTT, Micros::from_secs(3));
    assert_eq!(send(&mut control, 100e6)[4].0, 160);
}

#[test]
fn padding_larger_than_a_burst_is_sent_more_slowly_until_it_can_be_measured() {
    let mut control = ProbeControl::new();
    control.begin(START, 500e3, RTT, Micros(0));
    let mut sent = Vec::new();
    for ms in 0..400 {
        let now = START + Micros::from_millis(ms);
        if let Some(probe) = control.poll(now) {
            let packet = SentPacket {
                sent_at: now,
                bytes: 1_200,
                cluster: control.on_sent(1_200, Some(probe.cluster)),
            };
            control.on_arrival(&packet, now.0 as i64);
            sent.push(ms);
        }
    }
    assert_eq!(sent, [0, 20, 30, 50, 70]);
    let result = control.conclude(START + Micros::from_millis(400), 350e3);
    let bps = result.expect("measured").bps;
    assert!((bps - 548e3).abs() < 1e3, "{bps}");
}

#[test]
fn good_results_go_on_and_bad_ones_pause_longer_and_longer() {
    let mut control = ProbeControl::new();
    control.consider(START, &CALM);
    send(&mut control, 100e6);
    let now = START + Micros::from_secs(1);
    assert!(control.conclude(now, 1e6).is_some());
    assert_eq!(next_begins(&mut control, now, &CALM), now);
    fails_after(&mut control, now, [2_000, 4_000, 5_000, 5_000, 5_000]);
}

#[test]
fn after_an_outage_failures_pause_briefly_at_first() {
    let mut control = ProbeControl::new();
    control.resume();
    control.begin(START, 3e6, RTT, Micros(0));
    fails_after(&mut control, START, [500, 1_000, 2_000, 4_000, 5_000]);
}

/// A probe is under way; it and those that follow fail, and are followed by these pauses.
fn fails_after(control: &mut ProbeControl, mut now: Micros, pauses_ms: [u64; 5]) {
    for pause in pauses_ms {
        send(control, 1e6);
        now = now + Micros::from_secs(1);
        let result = control.conclude(now, 1e6);
        assert!(result.is_some_and(|result| result.saturated));
        let next = next_begins(control, now, &CALM);
        assert_eq!(next, now + Micros::from_millis(pause));
        now = next;
    }
}

#[test]
fn probe_that_is_lost_or_cannot_be_sent_ends() {
    let mut control = ProbeControl::new();
    control.consider(START, &CALM);
    for ms in 0..300 {
        let now = START + Micros::from_millis(ms);
        control.poll(now);
        assert!(
            control.deadline(true) > Some(now),
            "he who cannot is not asked again at once"
        );
    }
    assert!(matches!(control.stage, Stage::Awaiting { .. }));
    let end = START + Micros::from_secs(1);
    assert_eq!(control.conclude(end, 1e6), None);
    assert_eq!(next_begins(&mut control, end, &CALM), end + PAUSE.0);
}

#[test]
fn congestion_postpones_and_a_great_one_forgets_the_failures() {
    let mut control = ProbeControl::new();
    control.pause = PAUSE.1;
    control.on_congestion(START, false);
    assert_eq!(control.pause, PAUSE.1);
    control.on_congestion(START, true);
    assert_eq!(control.pause, PAUSE.0);
    let next = next_begins(&mut control, START, &CALM);
    assert_eq!(next, START + AFTER_CONGESTION);
}

#[test]
fn packets_of_another_probe_do_not_count() {
    let mut control = ProbeControl::new();
    control.begin(START, 1e6, RTT, Micros(0));
    let packet = SentPacket {
        sent_at: START,
        bytes: 1_000,
        cluster: 1,
    };
    control.begin(START, 1e6, RTT, Micros(0));
    control.on_arrival(&packet, 0);
    control.on_lost(&packet);
    assert_eq!(control.told, 0);
}
