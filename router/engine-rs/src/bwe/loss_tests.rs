//! Tests of the loss controller against paths of two kinds: those that lose at any rate, and those that lose what exceeds
//! their capacity.

use super::*;

/// Sends at the limit for a while; `loss` gives the share lost at a rate. Every n-th packet is lost, so that there is no
/// chance in it. Returns the limits, each 100 ms; `delay_based` is what the delay would allow.
fn run(
    control: &mut LossControl,
    from: Micros,
    ms: u64,
    delay_based: f64,
    loss: impl Fn(f64) -> f64,
) -> Vec<f64> {
    let mut rates = Vec::new();
    let mut owed = 0.0;
    for step in 1..=ms / 100 {
        let now = from + Micros::from_millis(100 * step);
        let rate = control.limit().unwrap_or(delay_based);
        let share = loss(rate);
        let packets = (rate / 1e5).ceil() as u64;
        for number in 0..packets {
            owed += share;
            let lost = owed >= 1.0;
            owed -= f64::from(u8::from(lost));
            let sent_at = now - Micros(100_000 - 100_000 * number / packets);
            let packet = SentPacket {
                sent_at,
                bytes: 1_250,
                cluster: 0,
            };
            control.on_packet(&packet, lost);
        }
        control.update(now, delay_based, Some(rate * (1.0 - share)));
        rates.push(control.limit().unwrap_or(delay_based));
    }
    rates
}

fn mean(rates: &[f64]) -> f64 {
    rates.iter().sum::<f64>() / rates.len() as f64
}

#[test]
fn path_that_loses_by_itself_keeps_its_rate() {
    for loss in [0.01, 0.05, 0.1, 0.2] {
        let mut control = LossControl::default();
        let rates = run(&mut control, Micros(0), 20_000, 2e6, |_| loss);
        let kept = mean(&rates[100..]) / 2e6;
        assert!(kept > 0.9, "{loss}: {kept}");
    }
}

#[test]
fn short_queue_is_found_by_its_losses() {
    let capacity = 1.2e6;
    let mut control = LossControl::default();
    let rates = run(&mut control, Micros(0), 20_000, 2e6, |rate| {
        (1.0 - capacity / rate).max(0.0)
    });
    let late = mean(&rates[100..]);
    assert!((0.85 * capacity..1.1 * capacity).contains(&late), "{late}");
}

#[test]
fn limit_goes_when_the_losses_do() {
    let mut control = LossControl::default();
    let path = |rate: f64| (1.0 - 1e6 / rate).max(0.0);
    run(&mut control, Micros(0), 10_000, 2e6, path);
    assert!(control.limit().expect("limited") < 1.2e6);
    run(&mut control, Micros::from_secs(10), 20_000, 2e6, |_| 0.0);
    assert_eq!(control.limit(), None);
}

#[test]
fn one_burst_changes_nothing() {
    let mut control = LossControl::default();
    run(&mut control, Micros(0), 3_000, 2e6, |_| 0.0);
    run(&mut control, Micros::from_secs(3), 200, 2e6, |_| 0.6);
    run(&mut control, Micros::from_millis(3_200), 3_000, 2e6, |_| {
        0.0
    });
    assert_eq!(control.limit(), None);
}

#[test]
fn losing_nearly_everything_is_never_the_paths_own() {
    let mut control = LossControl::default();
    let rates = run(&mut control, Micros(0), 30_000, 2e6, |_| 0.6);
    assert!(rates[299] < 0.3e6, "{}", rates[299]);
}

#[test]
fn what_arrives_after_all_was_not_lost() {
    let mut control = LossControl::default();
    for number in 0..200_u64 {
        let sent_at = Micros::from_millis(5 * number);
        let packet = SentPacket {
            sent_at,
            bytes: 1_000,
            cluster: 0,
        };
        control.on_packet(&packet, true);
        control.on_late(&packet);
        control.update(sent_at, 2e6, Some(2e6));
    }
    assert_eq!((control.limit(), control.recent()), (None, 0.0));
}
