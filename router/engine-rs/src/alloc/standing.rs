//! What is remembered from one decision to the next: of each slot what it has and whether its last raise held, of the
//! receiver how much there was lately.
//!
//! Constants are chosen here, and borne out by `alloc/tests`; `LiveKit` and Jitsi use others of the same order.

use crate::route::ladder::Rung;
use crate::time::Micros;

/// A raise must have fitted for so long, and up to twice that.
const PROOF: Micros = Micros::from_millis(300);
/// A rung's price is the lowest measured in so long, and up to twice that: longer than the second over which rates are
/// measured, so that one key frame makes nothing dearer.
const PRICE_WINDOW: Micros = Micros::from_millis(1_050);
/// A slot is not raised twice within this.
const DWELL: Micros = Micros::from_secs(1);
/// A raise undone within this for lack of bandwidth has failed.
const FAILURE: Micros = Micros::from_secs(60);
/// How long the first failure keeps a slot where it is, the second, and all others: of a link that does not change nobody
/// sees more than two changes a minute, once it has taught that.
const BACK_OFFS: [Micros; 3] = [
    Micros::from_secs(15),
    Micros::from_secs(45),
    Micros::from_secs(90),
];
/// The same of a slot that shows nothing meanwhile: no picture is worse than one that comes and goes.
const DARK_BACK_OFFS: [Micros; 3] = [
    Micros::from_secs(4),
    Micros::from_secs(15),
    Micros::from_secs(30),
];
/// Failures are forgotten after this long without one, and when a raise held so long.
const FORGIVEN: Micros = Micros::from_secs(300);
/// With so much more than what did not suffice, nothing is held against a slot, in percent.
const AMPLE_PERCENT: u64 = 125;

/// The lowest of the values of a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RecentLow {
    /// Of the current span and the one before it.
    lows: [u64; 2],
    since: Micros,
}

impl RecentLow {
    const EMPTY: Self = Self {
        lows: [u64::MAX; 2],
        since: Micros(0),
    };

    /// Takes a value; returns the lowest of one to two spans.
    fn add(&mut self, value: u64, span: Micros, now: Micros) -> u64 {
        let age = now - self.since;
        if age >= span {
            let before = if age < span + span {
                self.lows[0]
            } else {
                u64::MAX
            };
            self.lows = [u64::MAX, before];
            self.since = now;
        }
        self.lows[0] = self.lows[0].min(value);
        self.lows[0].min(self.lows[1])
    }
}

/// How much a receiver had lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headroom(RecentLow);

impl Default for Headroom {
    fn default() -> Self {
        Self(RecentLow::EMPTY)
    }
}

impl Headroom {
    /// Takes what there is now; returns what there was all the time for a while.
    pub(super) fn proven(&mut self, bps: u64, now: Micros) -> u64 {
        self.0.add(bps, PROOF, now)
    }
}

/// What one slot has, and how it came by it. Kept by the owner of the slot, untouched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    granted: Option<Rung>,
    price: RecentLow,
    /// The last raise, and what was available then.
    raised: Option<(Micros, u64)>,
    dwells_until: Micros,
    failed: Option<Micros>,
    /// What failed last.
    failed_rung: Option<Rung>,
    /// Available when it failed last.
    not_enough: u64,
    failures: u8,
    shown_at: Option<(u16, u16)>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            granted: None,
            price: RecentLow::EMPTY,
            raised: None,
            dwells_until: Micros(0),
            failed: None,
            failed_rung: None,
            not_enough: 0,
            failures: 0,
            shown_at: None,
        }
    }
}

impl Standing {
    /// The rung it was granted.
    pub fn granted(&self) -> Option<&Rung> {
        self.granted.as_ref()
    }

    /// Somebody wishes for something else: that need not wait for the end of the dwell time, nor of a back-off.
    pub fn on_wish(&mut self) {
        self.dwells_until = Micros(0);
        self.failed = None;
        self.failures = 0;
    }

    /// It has this rung, whatever that costs now.
    pub(super) fn holds(&self, rung: &Rung) -> bool {
        self.granted.is_some_and(|granted| is_same(&granted, rung))
    }

    /// What the rung that it has costs, short peaks left out.
    pub(super) fn price(&mut self, bps: u64, now: Micros) -> u64 {
        self.price.add(bps, PRICE_WINDOW, now)
    }

    /// It may not be raised now, though there seems to be enough. One whose size on the screen has changed need not wait
    /// for the end of the dwell time.
    pub(super) fn must_wait(&self, shown_at: Option<(u16, u16)>, now: Micros) -> bool {
        shown_at == self.shown_at && now < self.dwells_until
    }

    /// Its last raises failed, and it is not time to try that again: it may have less than this rung.
    pub(super) fn backs_off(&self, now: Micros) -> Option<Rung> {
        let failures = usize::from(self.failures).clamp(1, BACK_OFFS.len());
        let back_offs = match self.granted {
            Some(_) => &BACK_OFFS,
            None => &DARK_BACK_OFFS,
        };
        let back_off = back_offs[failures - 1];
        let failed = self.failed.filter(|at| now - *at < back_off);
        self.failed_rung.filter(|_| failed.is_some())
    }

    /// There is so much now. Plenty more than what did not suffice ends the wait, from the next decision on: in one, what
    /// is possible must not depend on what there is, or more could be less for another slot.
    pub(super) fn on_available(&mut self, available: u64) {
        if available > self.not_enough.saturating_mul(AMPLE_PERCENT) / 100 {
            self.failed = None;
            self.failures = 0;
        }
    }

    /// Grants a rung, or none.
    pub(super) fn grant(
        &mut self,
        rung: Option<Rung>,
        step: Step,
        shown_at: Option<(u16, u16)>,
        now: Micros,
    ) {
        self.shown_at = shown_at;
        match step {
            Step::Up(available) => self.on_raised(Some(available), now),
            Step::Guessed => self.on_raised(None, now),
            Step::Squeezed(available) => self.on_squeezed(available, now),
            Step::Same => {}
        }
        let same = match (self.granted, rung) {
            (Some(granted), Some(rung)) => is_same(&granted, &rung),
            (granted, rung) => granted.is_none() && rung.is_none(),
        };
        if !same {
            self.price = RecentLow::EMPTY;
            if let Some(rung) = rung {
                self.price(rung.bps, now);
            }
        }
        self.granted = rung;
    }

    /// It got more. Who had nothing begins low, as its layers come one after the other, and need not stay there.
    /// What was raised by a guess cannot fail.
    fn on_raised(&mut self, available: Option<u64>, now: Micros) {
        self.raised = available.map(|available| (now, available));
        if self.granted.is_some() {
            self.dwells_until = now + DWELL;
        }
    }

    /// It got less, for lack of bandwidth. What had held for a while before does not add to the failures, but is not tried
    /// again at once either. With less than half of what there was the link has changed, and the raise has not failed.
    fn on_squeezed(&mut self, left: u64, now: Micros) {
        let raised = self.raised.take();
        let Some((at, available)) = raised.filter(|(_, available)| left >= available / 2) else {
            return;
        };
        let held = now - at;
        let forgiven = held > FORGIVEN || self.failed.is_none_or(|at| now - at > FORGIVEN);
        self.failures = match forgiven {
            true => 1,
            false if held < FAILURE => self.failures.saturating_add(1),
            false => self.failures.max(1),
        };
        self.failed = Some(now);
        self.failed_rung = self.granted;
        self.not_enough = available;
    }
}

/// How a grant compares with the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More, with so much available.
    Up(u64),
    /// More, before anything was measured.
    Guessed,
    /// As before, or less for another reason than bandwidth.
    Same,
    /// Less, because there is less for all: so much.
    Squeezed(u64),
}

pub(super) fn is_same(one: &Rung, other: &Rung) -> bool {
    let place = |rung: &Rung| (rung.encoding, rung.spatial, rung.temporal);
    place(one) == place(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNG: Rung = Rung {
        encoding: 1,
        spatial: 0,
        temporal: 2,
        bps: 500_000,
        size: Some((640, 360)),
        frame_rate: 30.0,
    };

    const LOWER: Rung = Rung {
        encoding: 0,
        bps: 150_000,
        ..RUNG
    };

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(10_000 + ms)
    }

    #[test]
    fn a_peak_of_a_second_makes_nothing_dearer_and_two_do() {
        let mut standing = Standing::default();
        standing.grant(Some(RUNG), Step::Up(0), None, ms(0));
        let price_at = |standing: &mut Standing, at: u64, bps| standing.price(bps, ms(at));
        for at in (0..3_000).step_by(100) {
            price_at(&mut standing, at, 500_000);
        }
        for at in (3_000..4_000).step_by(100) {
            assert_eq!(price_at(&mut standing, at, 900_000), 500_000, "{at}");
        }
        for at in (4_000..5_200).step_by(100) {
            price_at(&mut standing, at, 900_000);
        }
        assert_eq!(price_at(&mut standing, 5_200, 900_000), 900_000);
    }

    #[test]
    fn what_was_there_all_the_time_is_proven() {
        let mut headroom = Headroom::default();
        assert_eq!(headroom.proven(900, ms(0)), 900, "the first value stands");
        assert_eq!(headroom.proven(500, ms(100)), 500);
        assert_eq!(headroom.proven(900, ms(290)), 500);
        assert_eq!(headroom.proven(900, ms(400)), 500);
        assert_eq!(headroom.proven(900, ms(710)), 900);
        assert_eq!(
            headroom.proven(2_000, ms(9_000)),
            2_000,
            "old ones are gone"
        );
    }

    #[test]
    fn failures_prolong_the_wait_and_plenty_ends_it() {
        let mut standing = Standing::default();
        for (failure, wait) in [15_000, 45_000, 90_000, 90_000].into_iter().enumerate() {
            let at = failure as u64 * 200_000;
            standing.grant(Some(RUNG), Step::Up(800), None, ms(at));
            standing.grant(Some(LOWER), Step::Squeezed(600), None, ms(at + 4_000));
            standing.on_available(1_000);
            let failed = Some(RUNG);
            assert_eq!(
                standing.backs_off(ms(at + 3_999 + wait)),
                failed,
                "{failure}"
            );
            assert_eq!(standing.backs_off(ms(at + 4_000 + wait)), None, "{failure}");
            let mut rich = standing;
            rich.on_available(1_001);
            assert_eq!(rich.backs_off(ms(at + 4_001)), None, "ample");
        }
    }

    #[test]
    fn a_raise_that_held_adds_no_failure() {
        let mut standing = Standing::default();
        let mut now = 0;
        for (held, wait) in [
            (1_000, 15_000),
            (59_000, 45_000),
            (61_000, 45_000),
            (301_000, 15_000),
        ] {
            standing.grant(Some(RUNG), Step::Up(800), None, ms(now));
            now += held;
            standing.grant(Some(LOWER), Step::Squeezed(600), None, ms(now));
            assert_eq!(standing.backs_off(ms(now + wait - 1)), Some(RUNG), "{held}");
            assert_eq!(standing.backs_off(ms(now + wait)), None, "{held}");
            now += wait;
        }
    }

    #[test]
    fn a_link_that_fell_is_no_failure() {
        for (left, failed) in [(400, Some(RUNG)), (399, None)] {
            let mut standing = Standing::default();
            standing.grant(Some(RUNG), Step::Up(800), None, ms(0));
            standing.grant(None, Step::Squeezed(left), None, ms(1_000));
            assert_eq!(standing.backs_off(ms(1_001)), failed, "{left}");
        }
    }

    #[test]
    fn raises_are_a_second_apart_unless_the_size_changes() {
        let mut standing = Standing::default();
        standing.grant(Some(RUNG), Step::Up(800), None, ms(0));
        assert!(!standing.must_wait(None, ms(1)), "it had nothing");
        standing.grant(Some(RUNG), Step::Up(800), None, ms(0));
        assert!(standing.must_wait(None, ms(999)));
        assert!(!standing.must_wait(None, ms(1_000)));
        assert!(!standing.must_wait(Some((1_280, 720)), ms(10)));
    }
}
