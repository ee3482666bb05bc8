//! Receivers without feedback on packets: one who names the most he can take, and one with receiver reports alone.

use crate::paths::link::Link;
use crate::receiver::Manner;
use crate::room::Room;
use fork_router_engine::time::Micros;

const SEEDS: [u64; 2] = [701, 702];
const CAP: u64 = 700_000;

#[test]
fn remb_is_obeyed() {
    for seed in SEEDS {
        let mut room = Room::new(seed, 1, 1_700e3, vec![Link::typical(3e6, seed)]);
        room.join(Manner::Remb(CAP), 0, &[0]);
        room.run(20.0);
        Room::print_head("REMB of 0.7 Mbit/s on 3 Mbit/s");
        for at in [0.0, 1.0, 2.0, 5.0, 15.0] {
            room.print_line(0, at, at + 1.0);
        }
        for at in 3..19 {
            let shown = room.rung(&room.receivers[0], 0, f64::from(at));
            assert!(
                shown.is_some_and(|(encoding, rate)| encoding == 1 && rate >= 27),
                "seed {seed}: {at} s, {shown:?}"
            );
        }
        let received = room.receivers[0].trace.received(3.0, 20.0);
        assert!(received <= CAP as f64, "seed {seed}: {received}");
    }
}

#[test]
fn reports_alone_find_the_layer() {
    for seed in SEEDS {
        let mut room = Room::new(seed, 1, 1_700e3, vec![Link::typical(3e6, seed)]);
        room.join(Manner::Reports, 0, &[0]);
        room.run(20.0);
        room.set_rate(0, 0.9e6);
        room.run(20.0);
        room.set_rate(0, 3e6);
        room.run(40.0);
        Room::print_head("receiver reports alone: 3 -> 0.9 -> 3 Mbit/s");
        for at in [0, 1, 5, 15, 20, 21, 22, 23, 25, 30, 35, 40, 45, 50, 60, 70] {
            room.print_line(0, f64::from(at), f64::from(at + 1));
        }
        let shown = |at: f64| room.rung(&room.receivers[0], 0, at).map(|it| it.0);
        assert_eq!(shown(15.0), Some(2), "seed {seed}: nothing limits it");
        assert_eq!(
            shown(25.0),
            Some(1),
            "seed {seed}: five seconds after the drop"
        );
        assert_eq!(shown(75.0), Some(2), "seed {seed}: long after the rise");
        let trace = &room.receivers[0].trace;
        let limit = Micros::from_millis(250);
        let over = trace.longest_queue_over(20.0, 40.0, limit);
        println!("queue full for {over:.1} s");
        assert!(over <= 4.0, "seed {seed}: {over}");
        assert_eq!(room.receivers[0].streams[0].view.broken, 0, "seed {seed}");
    }
}
