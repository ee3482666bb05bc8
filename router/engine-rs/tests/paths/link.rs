//! A link: a queue that drops at its tail, a rate that changes in steps, and what happens to packets on their way.

use super::random::Random;
use fork_router_engine::time::Micros;
use std::collections::VecDeque;

/// What is sent over a link.
#[derive(Clone, Debug)]
pub struct Packet<P> {
    pub bytes: usize,
    pub payload: P,
}

#[derive(Clone, Copy, Debug)]
pub enum Loss {
    None,
    Random(f64),
    /// Gilbert-Elliott: chance to turn bad, chance to turn good, share lost while bad.
    Bursts(f64, f64, f64),
}

#[derive(Clone, Copy, Debug)]
pub enum Jitter {
    None,
    /// Each packet up to this much later, in order.
    Ordered(u64),
    /// Each packet up to this much later; they overtake each other.
    Reordering(u64),
    /// A radio link that stands still now and then: mean pause between stalls, longest stall, in microseconds.
    Stalls(f64, f64),
}

/// During an outage packets are lost, or wait for its end.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    pub from: Micros,
    pub to: Micros,
    pub holds: bool,
}

#[derive(Clone, Debug)]
pub struct Link<P> {
    /// Rates in bits per second, each from a time on.
    pub rates: Vec<(Micros, f64)>,
    /// Longest wait in the queue.
    pub queue: Micros,
    pub delay: Micros,
    pub loss: Loss,
    pub jitter: Jitter,
    pub outages: Vec<Outage>,
    waiting: VecDeque<Packet<P>>,
    waiting_bytes: usize,
    /// When the packet at the head will have been sent.
    head_done: Micros,
    bad: bool,
    stall: (Micros, Micros),
    last_arrival: Micros,
    random: Random,
}

impl<P> Link<P> {
    pub fn new(bps: f64, seed: u64) -> Self {
        Self {
            rates: vec![(Micros(0), bps)],
            queue: Micros::from_millis(300),
            delay: Micros::from_millis(50),
            loss: Loss::None,
            jitter: Jitter::None,
            outages: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            head_done: Micros(0),
            bad: false,
            stall: (Micros(0), Micros(0)),
            last_arrival: Micros(0),
            random: Random::new(seed),
        }
    }

    /// The same with the jitter that every path has, and that keeps flows from running in step.
    pub fn typical(bps: f64, seed: u64) -> Self {
        let jitter = Jitter::Ordered(5_000);
        Self {
            jitter,
            ..Self::new(bps, seed)
        }
    }

    pub fn rate(&self, now: Micros) -> f64 {
        let current = self.rates.iter().rev().find(|(from, _)| *from <= now);
        current.map_or(self.rates[0].1, |(_, bps)| *bps)
    }

    /// How long a packet would wait that came now.
    pub fn wait(&self, now: Micros) -> Micros {
        Micros((self.waiting_bytes as f64 * 8e6 / self.rate(now)) as u64)
    }

    pub fn send(&mut self, now: Micros, packet: Packet<P>) {
        if self.wait(now) > self.queue {
            return;
        }
        if self.waiting.is_empty() {
            self.head_done = self.done(now.max(self.head_done), packet.bytes);
        }
        self.waiting_bytes += packet.bytes;
        self.waiting.push_back(packet);
    }

    /// Packets that left the queue until now, with the time at which they arrive.
    pub fn advance(&mut self, now: Micros, arrivals: &mut Vec<(Micros, Packet<P>)>) {
        while self.head_done <= now
            && let Some(packet) = self.waiting.pop_front()
        {
            self.waiting_bytes -= packet.bytes;
            let left_at = self.head_done;
            if let Some(next) = self.waiting.front() {
                self.head_done = self.done(left_at, next.bytes);
            }
            if let Some(at) = self.arrival(left_at) {
                arrivals.push((at, packet));
            }
        }
    }

    fn done(&self, from: Micros, bytes: usize) -> Micros {
        let held = self
            .outages
            .iter()
            .find(|outage| outage.holds && (outage.from..outage.to).contains(&from));
        let from = held.map_or(from, |outage| outage.to);
        from + Micros((bytes as f64 * 8e6 / self.rate(from)) as u64)
    }

    fn arrival(&mut self, left_at: Micros) -> Option<Micros> {
        let out = self
            .outages
            .iter()
            .any(|outage| !outage.holds && (outage.from..outage.to).contains(&left_at));
        if out || self.loses() {
            return None;
        }
        let mut at = left_at + self.delay;
        match self.jitter {
            Jitter::None => {}
            Jitter::Ordered(most) => at = at + Micros(self.random.between(0.0, most as f64) as u64),
            Jitter::Reordering(most) => {
                return Some(at + Micros(self.random.between(0.0, most as f64) as u64));
            }
            Jitter::Stalls(pause, longest) => {
                while self.stall.1 < at {
                    let begin =
                        self.stall.1 + Micros((-self.random.share().max(1e-9).ln() * pause) as u64);
                    self.stall = (
                        begin,
                        begin + Micros(self.random.between(0.0, longest) as u64),
                    );
                }
                if at >= self.stall.0 {
                    at = self.stall.1;
                }
            }
        }
        self.last_arrival = self.last_arrival.max(at);
        Some(self.last_arrival)
    }

    fn loses(&mut self) -> bool {
        match self.loss {
            Loss::None => false,
            Loss::Random(share) => self.random.share() < share,
            Loss::Bursts(turn_bad, turn_good, share) => {
                let turn = if self.bad { turn_good } else { turn_bad };
                self.bad ^= self.random.share() < turn;
                self.bad && self.random.share() < share
            }
        }
    }
}
