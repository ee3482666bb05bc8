//! The loudest sources of a group in so many places, and one spare place for those who hold a place themselves.
//!
//! Places are sticky: whoever has one keeps it until he leaves, or until another is worth it. Places free are taken by
//! anyone who is not digitally silent. When all are taken, one who begins to speak takes the place of the one that has been
//! silent longest, if that is [`HANGOVER`] or more; else the quietest speaker has to go only when the challenger
//! is louder by [`LOUDER_MARGIN`] for [`LOUDER_FOR`]. The spare place goes to the one who lost his, or stays with whoever
//! has the better claim.

use super::SourceIx;
use crate::time::Micros;
use arrayvec::ArrayVec;

/// Most places of a stage; the number of bits in [`super::Changed`].
pub const MAX_PLACES: usize = 16;
/// A place is safe for so long after its source spoke: pauses between words are shorter, between sentences rarely longer.
pub const HANGOVER: Micros = Micros::from_millis(500);
/// Decibels by which a challenger must be louder than one who speaks: twice as loud to the ear is ten, less is not
/// noticed as "somebody else is more important now".
pub const LOUDER_MARGIN: u8 = 6;
/// For how long: a burst of laughter is shorter.
pub const LOUDER_FOR: Micros = Micros::from_millis(1_000);
/// A source without levels may not speak at all, so it takes the place only of one that has been silent for so long.
pub const LONG_REST: Micros = Micros::from_secs(3);
/// A challenge is over when the challenger pauses for so long. Less than [`HANGOVER`], more than a pause between words.
const CHALLENGE_LAPSES: Micros = Micros::from_millis(300);

/// How a source stands, as far as places are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// When it spoke last.
    pub last_speech: Option<Micros>,
    /// How loud its speech is: decibels above digital silence.
    pub loudness: u8,
    /// Its packets carry levels. Without, it never displaces one that speaks.
    pub has_levels: bool,
}

/// Who is easier to displace: first those at rest, the longest silent first, then those who speak, the quietest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    AtRest(Option<Micros>),
    Speaks(u8),
}

impl Standing {
    fn claim(&self, now: Micros) -> Claim {
        match self.last_speech {
            Some(last) if now < last + HANGOVER => Claim::Speaks(self.loudness),
            last => Claim::AtRest(last),
        }
    }
}

/// A source that is louder than the quietest speaker, and since when.
#[derive(Clone, Copy, Debug)]
struct Challenge {
    source: SourceIx,
    since: Micros,
    seen: Micros,
}

/// Places of one capacity.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The last one is the spare place.
    places: ArrayVec<Option<SourceIx>, { MAX_PLACES + 1 }>,
    challenge: Option<Challenge>,
}

impl Stage {
    /// An empty stage: `capacity` places, 1 to [`MAX_PLACES`], and a spare one.
    pub fn new(capacity: usize) -> Self {
        let places = capacity.clamp(1, MAX_PLACES) + 1;
        Self {
            places: std::iter::repeat_n(None, places).collect(),
            challenge: None,
        }
    }

    /// Places without the spare one.
    pub fn capacity(&self) -> usize {
        self.places.len() - 1
    }

    /// Who is where; the spare place comes last.
    pub fn places(&self) -> &[Option<SourceIx>] {
        &self.places
    }

    /// A packet of the source that is not digitally silent; it `speaks` when that is speech, and no click. `of` tells how
    /// sources stand. True when places changed.
    #[inline]
    pub fn on_packet(
        &mut self,
        now: Micros,
        source: SourceIx,
        speaks: bool,
        of: &impl Fn(SourceIx) -> Standing,
    ) -> bool {
        let held = self.places.iter().position(|place| *place == Some(source));
        if held.is_some_and(|place| place < self.capacity()) {
            return false;
        }
        let free = self.places.iter().position(Option::is_none);
        // Whoever has the spare place moved into any other when it became free.
        if let (None, Some(free)) = (held, free) {
            self.places[free] = Some(source);
            if free < self.capacity() {
                return true;
            }
        }
        let entered = held.is_none() && free.is_some();
        speaks && self.compete(now, source, of) || entered
    }

    /// One who speaks, while all places but perhaps the spare one are taken by others.
    fn compete(
        &mut self,
        now: Micros,
        source: SourceIx,
        of: &impl Fn(SourceIx) -> Standing,
    ) -> bool {
        let claim = |source: Option<SourceIx>| source.map(|source| of(source).claim(now));
        let capacity = self.capacity();
        let Some(weakest) = (0..capacity).min_by_key(|place| claim(self.places[*place])) else {
            return false;
        };
        let wins = match claim(self.places[weakest]) {
            Some(Claim::Speaks(loudness)) => {
                self.is_clearly_louder(now, source, of(source), loudness)
            }
            Some(Claim::AtRest(Some(last))) => of(source).has_levels || now >= last + LONG_REST,
            _ => true,
        };
        if wins {
            let loser = self.places[weakest].replace(source);
            let spare = self.places[capacity].filter(|spare| *spare != source);
            if claim(spare) < claim(loser) {
                self.places[capacity] = loser;
            } else {
                self.places[capacity] = spare;
            }
            return true;
        }
        self.take_spare(source, &claim)
    }

    /// One who speaks has the spare place rather than one at rest.
    fn take_spare(
        &mut self,
        source: SourceIx,
        claim: &impl Fn(Option<SourceIx>) -> Option<Claim>,
    ) -> bool {
        let capacity = self.capacity();
        let spare = self.places[capacity];
        if spare == Some(source) || matches!(claim(spare), Some(Claim::Speaks(_))) {
            return false;
        }
        self.places[capacity] = Some(source);
        true
    }

    /// Whether the source has been louder than the quietest speaker for long enough. One source is measured at a time.
    fn is_clearly_louder(
        &mut self,
        now: Micros,
        source: SourceIx,
        standing: Standing,
        quietest: u8,
    ) -> bool {
        let louder =
            standing.has_levels && standing.loudness >= quietest.saturating_add(LOUDER_MARGIN);
        let open = self
            .challenge
            .filter(|challenge| now < challenge.seen + CHALLENGE_LAPSES);
        match open {
            Some(challenge) if challenge.source != source => {}
            _ if !louder => self.challenge = None,
            Some(challenge) if now >= challenge.since + LOUDER_FOR => {
                self.challenge = None;
                return true;
            }
            challenge => {
                let since = challenge.map_or(now, |challenge| challenge.since);
                self.challenge = Some(Challenge {
                    source,
                    since,
                    seen: now,
                });
            }
        }
        false
    }

    /// The source leaves; the spare moves into its place. True when places changed.
    pub fn leave(&mut self, source: SourceIx) -> bool {
        self.challenge = self
            .challenge
            .filter(|challenge| challenge.source != source);
        let Some(place) = self.places.iter().position(|place| *place == Some(source)) else {
            return false;
        };
        let spare = self.capacity();
        self.places[place] = None;
        self.places.swap(place, spare);
        true
    }
}

#[cfg(test)]
#[path = "stage_tests.rs"]
mod tests;
