//! A long TCP transfer beside the flows: slow start, one segment a round trip, half the window on loss (RFC 5681), which
//! three repeated acknowledgements or a timeout tell. Enough to fill a queue and to yield.

use crate::link::{Packet, Payload};
use fork_router_engine::time::Micros;
use std::collections::BTreeSet;

const SEGMENT: usize = 1_400;
const TIMEOUT: Micros = Micros::from_secs(1);

#[derive(Debug)]
pub struct Tcp {
    active: (Micros, Micros),
    window: f64,
    threshold: f64,
    next: u64,
    acked: u64,
    repeated: u32,
    /// Loss is dealt with until this is acknowledged.
    recover: u64,
    heard: Micros,
    resend: Option<u64>,
    /// Of the receiver: next in order, and what came beyond it.
    expected: u64,
    beyond: BTreeSet<u64>,
}

impl Tcp {
    pub fn new(from: Micros, to: Micros) -> Self {
        Self {
            active: (from, to),
            window: 10.0,
            threshold: 1e9,
            next: 0,
            acked: 0,
            repeated: 0,
            recover: 0,
            heard: from,
            resend: None,
            expected: 0,
            beyond: BTreeSet::new(),
        }
    }

    /// Bytes that arrived in order.
    pub fn delivered(&self) -> u64 {
        self.expected * SEGMENT as u64
    }

    pub fn send(&mut self, now: Micros, packets: &mut Vec<Packet>) {
        if now < self.active.0 || now >= self.active.1 {
            self.heard = now;
            return;
        }
        if self.next > self.acked && now - self.heard > TIMEOUT {
            self.threshold = (self.window / 2.0).max(2.0);
            (self.window, self.next, self.recover) = (1.0, self.acked, 0);
            (self.heard, self.repeated) = (now, 0);
        }
        if let Some(number) = self.resend.take() {
            packets.push(segment(number));
        }
        while ((self.next - self.acked) as f64) < self.window + f64::from(self.repeated) {
            packets.push(segment(self.next));
            self.next += 1;
        }
    }

    pub fn on_segment(&mut self, number: u64) -> Packet {
        if number >= self.expected {
            self.beyond.insert(number);
        }
        while self.beyond.remove(&self.expected) {
            self.expected += 1;
        }
        Packet {
            bytes: 40,
            payload: Payload::Ack(self.expected),
        }
    }

    pub fn on_ack(&mut self, at: Micros, number: u64) {
        self.heard = at;
        if number > self.acked {
            self.acked = number;
            self.next = self.next.max(number);
            if number < self.recover {
                self.resend = Some(number);
                return;
            }
            self.repeated = 0;
            self.window += if self.window < self.threshold {
                1.0
            } else {
                1.0 / self.window
            };
        } else {
            self.repeated += 1;
            if self.repeated == 3 && number >= self.recover {
                self.threshold = (self.window / 2.0).max(2.0);
                self.window = self.threshold;
                self.recover = self.next;
                self.resend = Some(number);
            }
        }
    }
}

fn segment(number: u64) -> Packet {
    Packet {
        bytes: SEGMENT,
        payload: Payload::Segment(number),
    }
}
