//! What the sender makes of the estimate (libwebrtc's `alr_detector.cc`): a source that sends much less shows nothing of the
//! path, so more must come from probes.

use crate::time::Micros;

/// The rate is taken over this time.
const PERIOD: Micros = Micros::from_millis(500);
/// Less than this share of the estimate leaves it unused.
const USED: f64 = 0.75;

/// Media sent, without probes.
#[derive(Clone, Copy, Debug)]
pub struct SentRate {
    bytes: u64,
    since: Micros,
    bps: f64,
}

impl SentRate {
    /// Nothing sent yet.
    pub const fn new(now: Micros) -> Self {
        Self {
            bytes: 0,
            since: now,
            bps: 0.0,
        }
    }

    /// A packet of media is sent.
    #[inline]
    pub const fn on_sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Call it often; the rate changes twice a second.
    pub fn update(&mut self, now: Micros) {
        let elapsed = now - self.since;
        if elapsed >= PERIOD {
            self.bps = self.bytes as f64 * 8.0 / elapsed.as_secs_f64();
            (self.bytes, self.since) = (0, now);
        }
    }

    /// Bits per second.
    pub const fn bps(&self) -> f64 {
        self.bps
    }

    /// The media does not show what the estimate promises.
    pub fn leaves_unused(&self, estimate: f64) -> bool {
        self.bps < USED * estimate
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact by construction")]
mod tests {
    use super::*;

    #[test]
    fn rate_follows_what_is_sent() {
        let mut sent = SentRate::new(Micros(0));
        for n in 1..=100 {
            sent.on_sent(1_250);
            sent.update(Micros::from_millis(10 * n));
        }
        assert!((sent.bps() - 1e6).abs() < 1e4, "{}", sent.bps());
        assert!(sent.leaves_unused(1.5e6) && !sent.leaves_unused(1.2e6));
        sent.update(Micros::from_secs(9));
        assert_eq!(sent.bps(), 0.0);
    }
}
