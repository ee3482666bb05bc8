//! Two receivers of one room behind one link: the ladder's steps make it that one is a rung ahead for a while.

use crate::paths::link::Link;
use crate::receiver::Manner;
use crate::room::Room;

/// Seconds between which what two receive is compared: three minutes, for where they take turns a turn lasts about ten
/// seconds, and who has had one more is ahead by chance.
pub const FROM: f64 = 15.0;
pub const TO: f64 = 195.0;
const SEEDS: [u64; 4] = [301, 302, 303, 304];
/// Bits per second of the link, and of the best layer; how far apart the two may be, of the mean. On the third link
/// there is room for one large picture beside a small one, so they take turns.
const LINKS: [(f64, f64, f64); 4] = [
    (1.45e6, 1_700e3, 0.2),
    (1.6e6, 1_700e3, 0.2),
    (2.2e6, 1_700e3, 0.2),
    (4.5e6, 1_600e3, 0.2),
];

#[test]
fn two_share_a_link() {
    for seed in SEEDS {
        for (bps, top, apart) in LINKS {
            let mut room = Room::new(seed, 1, top, vec![Link::typical(bps, seed)]);
            room.join(Manner::TransportCc, 0, &[0]);
            room.run(5.0);
            room.join(Manner::TransportCc, 0, &[0]);
            room.run(TO - 5.0);
            let received = [0, 1].map(|at| room.receivers[at].trace.received(FROM, TO));
            Room::print_head("two");
            for at in [5, 20, 60, 190] {
                for receiver in 0..2 {
                    room.print_line(receiver, f64::from(at), f64::from(at + 5));
                }
            }
            let mean = received[0].midpoint(received[1]);
            println!(
                "{:.0} and {:.0}: {:.0} % apart, {:.2} of the link",
                received[0] / 1e3,
                received[1] / 1e3,
                100.0 * (received[0] - mean).abs() / mean,
                2.0 * mean / bps
            );
            assert!(
                (received[0] - mean).abs() <= apart * mean,
                "seed {seed}: {received:?}"
            );
            assert!(2.0 * mean >= 0.6 * bps, "seed {seed}: {received:?}");
        }
    }
}
