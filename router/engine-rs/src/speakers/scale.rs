//! One time scale of the paper (Volfin and Cohen 2012, section 2): so many sub-units, of which some were active, and how
//! much likelier that count is in speech than in noise.
//!
//! In speech the count of active sub-units is binomial, in noise it falls off exponentially; the score is the logarithm
//! of the likelihood ratio. Where it is above zero, speech is the likelier cause. The paper fits its parameters to sub-bands
//! of a spectrum; ours are chosen for levels, so that each scale finds speech from a third, four tenths and two thirds
//! of its sub-units on (a test holds them to that), and that the score never falls while the count rises.

/// A time scale: immediate, medium or long.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Number of sub-units.
    units: u8,
    /// How probable each is to be active in speech: the binomial's parameter.
    probability: f64,
    /// How fast counts become rare in noise: the exponential's parameter.
    rate: f64,
}

/// Steps of 3 dB above the noise, of the newest frames.
pub const IMMEDIATE: Scale = Scale {
    units: 12,
    probability: 0.7,
    rate: 1.7,
};

/// Frames of 20 ms in 200 ms.
pub const MEDIUM: Scale = Scale {
    units: 10,
    probability: 0.7,
    rate: 1.5,
};

/// Blocks of 200 ms in 1.2 s.
pub const LONG: Scale = Scale {
    units: 6,
    probability: 0.8,
    rate: 0.7,
};

impl Scale {
    /// Number of sub-units.
    pub const fn units(&self) -> u8 {
        self.units
    }

    /// How much likelier so many active sub-units are in speech than in noise: a logarithm.
    pub fn score(&self, active: u8) -> f64 {
        let active = active.min(self.units);
        let (spoken, missed) = (f64::from(active), f64::from(self.units - active));
        let speech = ln_choose(self.units, active)
            + spoken * self.probability.ln()
            + missed * (1.0 - self.probability).ln();
        let noise = self.rate.ln() - self.rate * spoken;
        speech - noise
    }
}

/// Logarithm of the binomial coefficient.
fn ln_choose(of: u8, some: u8) -> f64 {
    (1..=some)
        .map(|index| (f64::from(of - some + index) / f64::from(index)).ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomial_coefficients() {
        for (of, some, expected) in [(6, 0, 1.0), (6, 6, 1.0), (6, 3, 20.0), (12, 5, 792.0)] {
            assert!((ln_choose(of, some).exp() - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn score_is_the_log_of_the_likelihood_ratio() {
        // Four of six at 0.8: 15 * 0.8^4 * 0.2^2 = 0.24576, against 0.7 * e^(-2.8).
        let expected = (0.24576f64 / (0.7 * (-2.8f64).exp())).ln();
        assert!((LONG.score(4) - expected).abs() < 1e-9);
    }

    #[test]
    fn scores_rise_with_the_count() {
        for scale in [IMMEDIATE, MEDIUM, LONG] {
            for active in 0..scale.units() {
                assert!(
                    scale.score(active) < scale.score(active + 1),
                    "{active} of {scale:?}"
                );
            }
            assert!((scale.score(u8::MAX) - scale.score(scale.units())).abs() < 1e-9);
        }
    }
}
