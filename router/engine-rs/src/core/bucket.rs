//! A token bucket: so many at once, so many per second.

use crate::time::Micros;

/// A bucket that refills with time.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    /// Each token is worth this long.
    interval: Micros,
    burst: u64,
    tokens: u64,
    refilled: Micros,
}

impl TokenBucket {
    /// A full bucket.
    pub const fn new(burst: u64, per_second: u64) -> Self {
        Self {
            interval: Micros(1_000_000 / per_second),
            burst,
            tokens: burst,
            refilled: Micros(0),
        }
    }

    /// Takes a token; false when there is none.
    pub fn take(&mut self, now: Micros) -> bool {
        let earned = (now - self.refilled).0 / self.interval.0;
        if earned > 0 {
            self.tokens = (self.tokens + earned).min(self.burst);
            self.refilled = now;
        }
        let taken = self.tokens > 0;
        self.tokens -= u64::from(taken);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_its_burst_then_its_rate() {
        let mut bucket = TokenBucket::new(64, 50);
        let now = Micros::from_secs(100);
        assert_eq!((0..1000).filter(|_| bucket.take(now)).count(), 64);
        let second = (0..1000)
            .filter(|ms| bucket.take(now + Micros::from_millis(*ms + 1)))
            .count();
        assert!((49..=50).contains(&second), "{second}");
    }
}
