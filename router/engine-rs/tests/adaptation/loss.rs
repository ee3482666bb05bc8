//! Random loss that no queue causes.

use crate::paths::link::{Jitter, Link, Loss};
use crate::receiver::Manner;
use crate::room::Room;

const SEEDS: [u64; 4] = [401, 402, 403, 404];

#[test]
fn five_percent_are_repaired() {
    for seed in SEEDS {
        let mut link = Link::new(4e6, seed);
        link.loss = Loss::Random(0.05);
        link.jitter = Jitter::Reordering(3_000);
        let mut room = Room::new(seed, 1, 1_700e3, vec![link]);
        room.join(Manner::TransportCc, 0, &[0]);
        room.run(40.0);
        Room::print_head("5 % lost");
        for at in [0, 5, 10, 20, 30, 35] {
            room.print_line(0, f64::from(at), f64::from(at + 5));
        }
        for at in 8..40 {
            let shown = room.rung(&room.receivers[0], 0, f64::from(at));
            assert_eq!(shown.map(|it| it.0), Some(2), "seed {seed}: at {at} s");
        }
        let frozen = room.frozen_s((0, 0), 8.0, 40.0);
        let dropped = room.stats(0).dropped;
        let view = &room.receivers[0].streams[0].view;
        println!(
            "{:?}, {} open, {} broken, {} key frames asked for, frozen for {frozen:.1} s; not sent: {dropped:?}",
            view.losses,
            view.open(),
            view.broken,
            view.key_frame_requests,
        );
        let losses = view.losses;
        let ended = losses.repaired + losses.late + losses.given_up;
        assert!(losses.repaired > 100 && view.open() < 20, "seed {seed}");
        assert_eq!(losses.missed, ended + view.open() as u32, "seed {seed}");
        assert!(
            losses.given_up <= losses.missed / 50,
            "seed {seed}: {losses:?}"
        );
        let counted = dropped.iter().all(|(reason, _)| *reason == "nack-budget");
        assert!(counted, "seed {seed}: {dropped:?}");
        assert_eq!(view.broken, 0, "seed {seed}");
    }
}
