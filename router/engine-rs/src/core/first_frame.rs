//! How long a peer waits for its first picture: from when a video slot of it was assigned a track, which is its joining if
//! somebody publishes then, until the first packet of a key frame left for it. Once in a peer's life.
//!
//! Left out: later changes of what is shown, which go on showing the former picture meanwhile.

use super::Core;
use super::arena::Ix;
use crate::ids::SlotId;
use crate::media::MediaKind;
use crate::time::Micros;

/// Where a peer is on the way to its first picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstFrame {
    /// None of its video slots is assigned anything.
    #[default]
    NotWanted,
    /// Wanted since then.
    WantedSince(Micros),
    /// It left.
    Sent,
}

impl FirstFrame {
    /// A video slot was assigned a track.
    pub fn want(&mut self, now: Micros) {
        if *self == Self::NotWanted {
            *self = Self::WantedSince(now);
        }
    }

    /// No video slot is assigned anything any more.
    fn give_up(&mut self) {
        if *self != Self::Sent {
            *self = Self::NotWanted;
        }
    }

    /// Video left for the peer; the first packet of a slot is that of a key frame. How long it was waited for, once.
    #[inline]
    pub fn on_sent(&mut self, now: Micros) -> Option<Micros> {
        let Self::WantedSince(since) = *self else {
            return None;
        };
        *self = Self::Sent;
        Some(now - since)
    }
}

impl Core {
    /// A slot was assigned a track.
    pub(super) fn want_first_frame(&mut self, now: Micros, ix: Ix<SlotId>) {
        let Some(entry) = self.slots.get(ix) else {
            return;
        };
        if entry.slot.config().kind == MediaKind::Video
            && let Some(peer) = self.transports.get_mut(entry.transport)
        {
            peer.first_frame.want(now);
        }
    }

    /// A slot shows nothing any more: unless another one waits, nobody waits.
    pub(super) fn give_up_first_frame(&mut self, ix: Ix<SlotId>) {
        let Some(owner) = self.slots.get(ix).map(|entry| entry.transport) else {
            return;
        };
        let Some(peer) = self.transports.get_mut(owner) else {
            return;
        };
        if !matches!(peer.first_frame, FirstFrame::WantedSince(_)) {
            return;
        }
        let slots = &self.slots;
        let wants = |slot: &Ix<SlotId>| {
            let entry = slots.get(*slot);
            entry.is_some_and(|entry| {
                entry.slot.config().kind == MediaKind::Video && entry.assigned_producer().is_some()
            })
        };
        if !peer.slots.iter().any(wants) {
            peer.first_frame.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_once_and_counts_from_the_first_wish() {
        let mut first = FirstFrame::default();
        assert_eq!(first.on_sent(Micros(5)), None, "nothing was wanted");
        first.want(Micros(10));
        first.want(Micros(20));
        assert_eq!(first.on_sent(Micros(40)), Some(Micros(30)));
        assert_eq!(first.on_sent(Micros(50)), None);
        first.give_up();
        first.want(Micros(60));
        assert_eq!(first.on_sent(Micros(70)), None, "that was not the first");
    }

    #[test]
    fn a_wish_that_is_given_up_does_not_count() {
        let mut first = FirstFrame::default();
        first.want(Micros(10));
        first.give_up();
        first.want(Micros(1_000));
        assert_eq!(first.on_sent(Micros(1_400)), Some(Micros(400)));
    }
}
