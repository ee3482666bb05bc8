//! Proof of a path: Binding requests of our own with random transaction ids (RFC 8445 section 7.2, RFC 7675).
//!
//! A path is challenged when it appears, at 0, 100, 300, 700 ms and so on, at most [`MAX_TRIES`] times; the selected one
//! again every [`RECHALLENGE_INTERVAL`], which also measures the round trip, those of many peers in batches. Towards an
//! unproven tuple a budget holds: three times the bytes and five times the packets it sent us with authentication, so it
//! cannot be flooded through us.

use crate::time::Micros;
use crate::wire::stun::TransactionId;
use arrayvec::ArrayVec;

/// Time between challenges of the selected path.
pub const RECHALLENGE_INTERVAL: Micros = Micros::from_secs(5);
/// Later rounds begin at multiples of this.
const GRID: Micros = Micros::from_millis(50);
/// Requests of one round before it is given up.
const MAX_TRIES: usize = 7;
/// Wait after the first request of a round; it doubles with each.
const FIRST_RETRY: Micros = Micros::from_millis(100);
/// Bytes sent to an unproven tuple, per byte received from it: as in RFC 9000 section 8.1.
const MAX_AMPLIFICATION: u64 = 3;
/// Packets sent to an unproven tuple, per packet received from it.
const MAX_PACKET_RATIO: u64 = 5;

/// The requests in flight on one path.
#[derive(Clone, Debug, Default)]
pub struct Challenge {
    sent: ArrayVec<(TransactionId, Micros), MAX_TRIES>,
    next: Option<Micros>,
}

impl Challenge {
    /// Begins a round now, unless one is under way.
    pub fn start(&mut self, now: Micros) {
        if self.next.is_none() {
            self.sent.clear();
            self.next = Some(now);
        }
    }

    /// Begins the next round in [`RECHALLENGE_INTERVAL`] or a little later, leaving answers to this one welcome.
    pub fn schedule_next_round(&mut self, now: Micros) {
        self.next = Some((now + RECHALLENGE_INTERVAL).round_up(GRID));
    }

    /// When the next request is due.
    pub fn deadline(&self) -> Option<Micros> {
        self.next
    }

    /// True when a request is to be sent now.
    pub fn is_due(&self, now: Micros) -> bool {
        self.next.is_some_and(|at| at <= now)
    }

    /// Records a request, sets the time of the next one.
    pub fn on_sent(&mut self, now: Micros, transaction: TransactionId) {
        if self.sent.is_full() {
            self.sent.clear();
        }
        self.sent.push((transaction, now));
        let wait = Micros(FIRST_RETRY.0 << (self.sent.len() - 1));
        self.next = (!self.sent.is_full()).then(|| now + wait);
    }

    /// Goes on with a round that the budget stopped, or begins another one some time after a round that failed.
    pub fn resume(&mut self, now: Micros) {
        let failed_lately = self.sent.is_full()
            && self
                .sent
                .last()
                .is_some_and(|(_, at)| now < *at + RECHALLENGE_INTERVAL);
        if self.next.is_none() && !failed_lately {
            self.next = Some(now);
        }
    }

    /// Stops sending without forgetting what was sent: an answer is still welcome.
    pub fn stop(&mut self) {
        self.next = None;
    }

    /// Whether `transaction` is one of this round's requests.
    pub fn expects(&self, transaction: TransactionId) -> bool {
        self.sent.iter().any(|(sent, _)| *sent == transaction)
    }

    /// Ends the round if `transaction` is one of its requests: the round trip time.
    pub fn on_response(&mut self, now: Micros, transaction: TransactionId) -> Option<Micros> {
        let (_, sent_at) = self.sent.iter().find(|(sent, _)| *sent == transaction)?;
        let round_trip = now - *sent_at;
        self.sent.clear();
        self.next = None;
        Some(round_trip)
    }
}

/// What an unproven tuple may be sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    received_bytes: u64,
    received_packets: u64,
    sent_bytes: u64,
    sent_packets: u64,
}

impl Budget {
    /// An authenticated packet of `len` bytes came from the tuple.
    pub fn on_received(&mut self, len: usize) {
        self.received_bytes += len as u64;
        self.received_packets += 1;
    }

    /// Takes `len` bytes; false when the budget is spent.
    pub fn take(&mut self, len: usize) -> bool {
        let bytes = self.sent_bytes + len as u64;
        let allowed = bytes <= MAX_AMPLIFICATION * self.received_bytes
            && self.sent_packets < MAX_PACKET_RATIO * self.received_packets;
        if allowed {
            self.sent_bytes = bytes;
            self.sent_packets += 1;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    #[test]
    fn retries_double_and_end() {
        let mut challenge = Challenge::default();
        challenge.start(ms(0));
        let mut times = Vec::new();
        while let Some(at) = challenge.deadline() {
            times.push(at.as_millis());
            challenge.on_sent(at, TransactionId([times.len() as u8; 12]));
        }
        assert_eq!(times, [0, 100, 300, 700, 1500, 3100, 6300]);
    }

    #[test]
    fn only_an_own_transaction_answers() {
        let mut challenge = Challenge::default();
        challenge.start(ms(0));
        challenge.on_sent(ms(0), TransactionId([1; 12]));
        challenge.on_sent(ms(100), TransactionId([2; 12]));
        assert_eq!(challenge.on_response(ms(130), TransactionId([9; 12])), None);
        assert_eq!(
            challenge.on_response(ms(130), TransactionId([1; 12])),
            Some(ms(130))
        );
        assert_eq!(
            challenge.on_response(ms(140), TransactionId([2; 12])),
            None,
            "a round is answered once"
        );
        assert_eq!(challenge.deadline(), None);
    }

    #[test]
    fn an_unproven_tuple_gets_three_times_its_bytes_in_five_packets() {
        let mut budget = Budget::default();
        assert!(!budget.take(1));
        budget.on_received(100);
        assert!(budget.take(300) && !budget.take(1));
        budget.on_received(1000);
        let more = (0..20).filter(|_| budget.take(10)).count();
        assert_eq!(more, 9);
    }
}
