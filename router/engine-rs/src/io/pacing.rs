//! How long a worker lets packets gather before it reads them, and how many it takes in at once.
//!
//! Packets that are forwarded together share the way through the kernel, which is most of what they cost. That pays where
//! each goes to many receivers and the worker is busy; elsewhere a packet leaves at once. The more receivers, the fewer
//! packets are taken in, so that the last receiver is not served late. Pure: times and counts in, decisions out.

use crate::time::Micros;

/// Never longer than this.
pub const MAX_GATHERING: Micros = Micros(1_000);
/// Packets taken in at once, whatever they are.
pub const MAX_TAKEN: usize = 64;
/// And at least so many: enough for the kernel to segment well.
const MIN_TAKEN: usize = 8;
/// Datagrams sent for one batch at most, where [`MIN_TAKEN`] allows it: about 3 ms of work.
const MAX_CAUSED: u64 = 2_048;
/// Receivers of a packet below which gathering gains nothing.
const MIN_FANOUT: u64 = 8;
/// How often load and fan-out are measured.
const WINDOW: Micros = Micros::from_millis(20);

/// By load in percent, and how long packets may gather.
const GATHERING: [(u64, Micros); 4] = [
    (85, MAX_GATHERING),
    (65, Micros(400)),
    (25, Micros(150)),
    (4, Micros(60)),
];

/// Running totals of a worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Time spent outside the poll call.
    pub busy: Micros,
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
}

/// Load and fan-out of a worker, smoothed, and what follows from them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pacing {
    window_start: Micros,
    before: Work,
    /// Percent.
    load: u64,
    /// Datagrams sent per datagram received.
    fanout: u64,
}

impl Pacing {
    /// Takes the totals; measures at the end of each window.
    #[inline]
    pub fn update(&mut self, now: Micros, work: Work) {
        if now >= self.window_start + WINDOW {
            self.measure(now, work);
        }
    }

    fn measure(&mut self, now: Micros, work: Work) {
        let span = (now - self.window_start).0.max(1);
        let busy = (work.busy - self.before.busy).0;
        let load = (busy * 100 / span).min(100);
        self.load = if span > 2 * WINDOW.0 {
            load
        } else {
            (3 * self.load + load) / 4
        };
        let received = work.received - self.before.received;
        let sent = work.sent - self.before.sent;
        if let Some(fanout) = sent.checked_div(received) {
            self.fanout = (3 * self.fanout + fanout).div_ceil(4);
        }
        self.window_start = now;
        self.before = work;
    }

    /// How long to wait between the first packet and reading.
    #[inline]
    pub fn gathering(&self) -> Micros {
        if self.fanout < MIN_FANOUT {
            return Micros(0);
        }
        let reached = GATHERING.iter().find(|(load, _)| self.load >= *load);
        reached.map_or(Micros(0), |(_, gathering)| *gathering)
    }

    /// How many packets to take in at once.
    #[inline]
    pub fn taken(&self) -> usize {
        let fitting = MAX_CAUSED / self.fanout.max(1);
        (fitting as usize).clamp(MIN_TAKEN, MAX_TAKEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a second of steady work: `load` percent busy, each packet to `fanout` receivers.
    fn after(load: u64, fanout: u64) -> Pacing {
        let mut pacing = Pacing::default();
        let mut work = Work::default();
        for window in 1..=50 {
            work.busy = work.busy + Micros(WINDOW.0 * load / 100);
            work.received += 10;
            work.sent += 10 * fanout;
            pacing.update(Micros(WINDOW.0 * window), work);
        }
        pacing
    }

    #[test]
    fn an_idle_worker_forwards_at_once() {
        assert_eq!(Pacing::default().gathering(), Micros(0));
        assert_eq!(after(2, 100).gathering(), Micros(0));
    }

    #[test]
    fn few_receivers_gain_nothing_by_waiting() {
        assert_eq!(after(95, 2).gathering(), Micros(0));
    }

    #[test]
    fn gathering_grows_with_load_up_to_a_millisecond() {
        let waits: Vec<_> = [10, 50, 70, 95]
            .map(|load| after(load, 100).gathering().0)
            .to_vec();
        assert_eq!(waits, [60, 150, 400, 1_000]);
    }

    #[test]
    fn the_more_receivers_the_fewer_packets_at_once() {
        let taken: Vec<_> = [1, 20, 50, 100, 300, 10_000]
            .map(|fanout| after(50, fanout).taken())
            .to_vec();
        assert_eq!(taken, [64, 64, 40, 20, 8, 8]);
    }

    #[test]
    fn after_a_pause_the_load_of_before_is_forgotten() {
        let mut pacing = after(95, 100);
        let work = pacing.before;
        pacing.update(pacing.window_start + Micros::from_secs(1), work);
        assert_eq!(pacing.gathering(), Micros(0));
    }

    #[test]
    fn nothing_received_leaves_the_fanout() {
        let mut pacing = after(50, 100);
        let mut work = pacing.before;
        work.busy = work.busy + Micros(10_000);
        pacing.update(pacing.window_start + WINDOW, work);
        assert_eq!(pacing.taken(), 20);
    }
}
