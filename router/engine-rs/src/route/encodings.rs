//! A set of a producer's encodings, as bits: what slots use, what the publisher may let rest.

use super::ladder::MAX_ENCODINGS;

/// Encodings by index, up to [`MAX_ENCODINGS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encodings(u8);

impl Encodings {
    /// No encoding.
    pub const NONE: Self = Self(0);
    /// Every encoding there can be.
    pub const ALL: Self = Self(u8::MAX);

    /// One encoding; none if there can be no such.
    pub const fn one(encoding: u8) -> Self {
        if (encoding as usize) < MAX_ENCODINGS {
            Self(1 << encoding)
        } else {
            Self::NONE
        }
    }

    /// The first encodings, as many as a producer has.
    pub fn first(count: usize) -> Self {
        (0..count as u8).map(Self::one).fold(Self::NONE, Self::or)
    }

    /// Whether it is among them.
    pub const fn contains(self, encoding: u8) -> bool {
        self.0 & Self::one(encoding).0 != 0
    }

    /// In either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In this one only.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// None is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their indices, lowest first.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..MAX_ENCODINGS as u8).filter(move |encoding| self.contains(*encoding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_what_they_say() {
        let set = Encodings::one(0).or(Encodings::one(7));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 7]);
        assert_eq!(set.without(Encodings::one(7)), Encodings::first(1));
        assert_eq!(Encodings::first(8), Encodings::ALL);
        assert_eq!(Encodings::first(500), Encodings::ALL);
        assert!(Encodings::one(8).is_empty() && !Encodings::ALL.contains(8));
    }
}
