//! What the estimator costs: memory while idle, and time for a packet.

use fork_router_engine::bwe::Estimator;
use fork_router_engine::ids::Ssrc;
use fork_router_engine::recv::twcc::FeedbackBuilder;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::rtcp::{RtcpMessage, messages};
use std::hint::black_box;

#[test]
fn idle_estimator_is_small() {
    // The ring of 32 packets sent is all that it allocates before feedback flows.
    let bytes = size_of::<Estimator>() + 32 * 8;
    println!("{bytes} bytes");
    assert!(bytes <= 1_024, "{bytes}");
}

/// `cargo test --release --test bandwidth cost -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
#[expect(
    clippy::disallowed_methods,
    reason = "a measurement needs a real clock"
)]
fn cost_of_a_packet() {
    const ROUNDS: u64 = 20_000;
    const PACKETS: u64 = 50;
    let mut estimator = Estimator::new(Micros(0), 300_000);
    let mut receiver = FeedbackBuilder::default();
    let (mut seq, mut now) = (0_u16, Micros(0));
    let (mut sending, mut hearing) = (0, 0);
    let mut buffer = [0; 1_200];
    for _ in 0..ROUNDS {
        let began = std::time::Instant::now();
        for _ in 0..PACKETS {
            now = now + Micros(1_000);
            estimator.on_sent(black_box(seq), black_box(1_000), black_box(now), None);
            seq = seq.wrapping_add(1);
        }
        sending += began.elapsed().as_nanos();
        for back in (1..=PACKETS).rev() {
            receiver.on_packet(seq.wrapping_sub(back as u16), now - Micros(1_000 * back));
        }
        let at = now + Micros::from_millis(100);
        while let Some(len) = receiver.poll(at, Ssrc(1), Ssrc(2), &mut buffer) {
            let Some(Ok(RtcpMessage::TransportCc(message))) = messages(&buffer[..len]).next()
            else {
                panic!("not feedback")
            };
            let began = std::time::Instant::now();
            estimator.on_transport_cc(black_box(&message), now + Micros::from_millis(20));
            hearing += began.elapsed().as_nanos();
        }
    }
    let packets = f64::from((ROUNDS * PACKETS) as u32);
    println!(
        "on_sent {:.1} ns, feedback {:.1} ns a packet",
        sending as f64 / packets,
        hearing as f64 / packets
    );
    assert!(estimator.estimate() > 300_000);
}
