//! A probe: for some milliseconds so much is sent that the receiver's feedback tells whether it passes. Media counts;
//! padding fills up what it lacks (`send/probe_packets.rs`), in slots, so that it leaves in runs.

use crate::time::Micros;

/// Padding is owed for so long at a time.
const SLOT: Micros = Micros::from_millis(5);
/// Less than this is not worth a packet.
const MIN_PADDING: u64 = 100;
/// A probe that is not finished after so many times its length is given up: there was no path, or the worker was busy.
const MAX_LENGTHS: u64 = 4;

/// One cluster of packets at one rate.
#[derive(Clone, Copy, Debug)]
pub struct Cluster {
    /// Bytes per second, never 0.
    rate: u64,
    bytes: u64,
    began: Micros,
    sent: u64,
}

impl Cluster {
    /// Begins.
    pub fn new(bps: u64, bytes: usize, now: Micros) -> Self {
        Self {
            rate: (bps / 8).max(1),
            bytes: bytes as u64,
            began: now,
            sent: 0,
        }
    }

    /// Something left, of whatever kind.
    pub fn on_sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes as u64);
    }

    fn length(&self, bytes: u64) -> Micros {
        Micros(bytes.saturating_mul(1_000_000) / self.rate)
    }

    /// Bytes to be sent now, to be at the rate until the end of this slot.
    pub fn owed(&self, now: Micros) -> usize {
        if now < self.next_slot() {
            return 0;
        }
        let due = self.rate.saturating_mul((now - self.began + SLOT).0) / 1_000_000;
        let owed = due.min(self.bytes).saturating_sub(self.sent);
        if owed < MIN_PADDING { 0 } else { owed as usize }
    }

    /// When what was sent is used up.
    fn next_slot(&self) -> Micros {
        self.began + self.length(self.sent)
    }

    /// All is sent, or it is too late.
    pub fn is_over(&self, now: Micros) -> bool {
        let longest = Micros(self.length(self.bytes).0.saturating_mul(MAX_LENGTHS));
        self.sent + MIN_PADDING > self.bytes || now > self.began + SLOT + longest
    }

    /// When padding is owed next.
    pub fn deadline(&self) -> Option<Micros> {
        Some(self.next_slot())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Padding sent and when, in milliseconds, with media of `media` bytes each millisecond.
    fn run(bps: u64, bytes: usize, media: usize) -> Vec<(u64, usize)> {
        let mut cluster = Cluster::new(bps, bytes, Micros::from_secs(1));
        let mut sent = Vec::new();
        for ms in 0..500 {
            let now = Micros::from_millis(1_000 + ms);
            if cluster.is_over(now) {
                return sent;
            }
            cluster.on_sent(media);
            let owed = cluster.owed(now);
            if owed > 0 {
                cluster.on_sent(owed);
                sent.push((ms, owed));
            }
        }
        sent
    }

    #[test]
    fn padding_leaves_in_slots_at_the_rate() {
        // 4 Mbit/s are 2500 bytes in 5 ms.
        assert_eq!(
            run(4_000_000, 10_000, 0),
            [(0, 2_500), (5, 2_500), (10, 2_500), (15, 2_500)]
        );
    }

    #[test]
    fn media_counts() {
        let padding: usize = run(4_000_000, 10_000, 250).iter().map(|sent| sent.1).sum();
        assert!((4_500..6_500).contains(&padding), "{padding}");
        assert_eq!(run(4_000_000, 10_000, 1_000), [], "nothing is lacking");
    }

    #[test]
    fn one_that_cannot_be_sent_is_given_up() {
        let cluster = Cluster::new(4_000_000, 10_000, Micros(0));
        assert!(!cluster.is_over(Micros::from_millis(85)));
        assert!(cluster.is_over(Micros::from_millis(86)));
    }
}
