//! What one peer may be sent: a bucket of bytes, so that nobody's traffic crowds out the others' in the socket's send
//! buffer and on the wire, whatever he subscribes to or asks to be repeated.
//!
//! The limit is far above what a receiver of dozens of pictures needs. Audio may use the last part of the bucket, which
//! video may not: when a peer is at his limit, he still hears.

use crate::time::Micros;

/// 16 bytes a microsecond: 128 Mbit/s.
const BYTES_PER_US: u64 = 16;
/// As much as can come at once: a quarter of the default send buffer, some 60 ms at the full rate.
const BURST_BYTES: u64 = 1 << 20;
/// What is left for audio: half a second of 64 voices.
const AUDIO_RESERVE_BYTES: u64 = 256 << 10;

/// One peer's bucket.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    bytes: u64,
    refilled: Micros,
}

impl Allowance {
    /// A full bucket.
    pub const fn new() -> Self {
        Self {
            bytes: BURST_BYTES,
            refilled: Micros(0),
        }
    }

    /// Lets time pass.
    #[inline]
    pub fn refill(&mut self, now: Micros) {
        let earned = (now - self.refilled).0.saturating_mul(BYTES_PER_US);
        self.bytes = self.bytes.saturating_add(earned).min(BURST_BYTES);
        self.refilled = now;
    }

    /// Takes `len` bytes; false when there are not so many, or only those kept for audio.
    #[inline]
    pub fn take(&mut self, len: usize, is_audio: bool) -> bool {
        let kept = if is_audio { 0 } else { AUDIO_RESERVE_BYTES };
        let allowed = self.bytes >= len as u64 + kept;
        if allowed {
            self.bytes -= len as u64;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Micros = Micros::from_secs(100);

    fn taken(allowance: &mut Allowance, len: usize, is_audio: bool) -> u64 {
        (0..10_000)
            .take_while(|_| allowance.take(len, is_audio))
            .count() as u64
            * len as u64
    }

    #[test]
    fn gives_its_burst_then_its_rate() {
        let mut allowance = Allowance::new();
        allowance.refill(START);
        let burst = taken(&mut allowance, 1024, false);
        assert_eq!(burst, BURST_BYTES - AUDIO_RESERVE_BYTES);
        allowance.refill(START + Micros::from_millis(10));
        assert_eq!(taken(&mut allowance, 1000, false), 160_000);
        allowance.refill(START + Micros::from_secs(1_000));
        assert_eq!(
            taken(&mut allowance, 1024, false),
            burst,
            "no more than the burst"
        );
    }

    #[test]
    fn the_last_of_it_is_for_audio() {
        let mut allowance = Allowance::new();
        allowance.refill(START);
        taken(&mut allowance, 1024, false);
        assert!(!allowance.take(1, false));
        assert_eq!(taken(&mut allowance, 256, true), AUDIO_RESERVE_BYTES);
        assert!(!allowance.take(1, true));
    }
}
