"""Who is seen where: a pure function from one session's video slots and the room's ranking to an assignment.

1. A paused slot shows nothing.
2. A pinned slot shows its track, and nothing while that is off: who pins somebody wants to see them or their absence,
   not a stranger in their place. (A track that is gone for good is unpinned by `router.rooms.settlement`.)
3. The other slots show the first of the ranking, as many as there are slots. What is among these and shown already
   stays where it is (sticky); the rest takes the free slots, in order.
Nobody sees a track of their own, or a track twice; a slot takes only what its codecs can carry. Audio slots are no
concern of this policy: they follow the loudest speakers in the engine.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from router.rooms.ranking import Ranking, TrackView


@dataclass(frozen=True, slots=True)
class SlotView:
    """A video slot of the session, the id of the track it shows, and what its owner wishes."""

    mid: str
    shows: str | None = None
    pin: str | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """The outcome for one session."""

    shows: tuple[str | None, ...]
    """The track id for each slot, in the order of the slots."""
    depth: int | None
    """As long as the same tracks are the first `depth` of the ranking, in whatever order, the ranking gives no reason
    to look again. None: a slot had to stay empty, every track that comes matters."""


CanShow = Callable[[SlotView, TrackView], bool]


def assign_tracks(slots: Sequence[SlotView], ranking: Ranking, *, receiver_id: str, can_show: CanShow) -> Assignment:
    """What each slot shall show.

    >>> ranking = Ranking()
    >>> for name in ("ada", "bob", "cyd", "dan"):
    ...     _ = ranking.put(TrackView(name, name))
    >>> slots = [SlotView("0"), SlotView("1", shows="ada"), SlotView("2", pin="dan")]
    >>> assign_tracks(slots, ranking, receiver_id="bob", can_show=lambda slot, track: True)
    Assignment(shows=('cyd', 'ada', 'dan'), depth=3)
    """
    filling = _Filling(slots, receiver_id, can_show)
    filling.place_pins(ranking)
    depth = filling.fill(ranking)
    return Assignment(tuple(filling.shows), depth)


class _Filling:
    """One run of the policy."""

    def __init__(self, slots: Sequence[SlotView], receiver_id: str, can_show: CanShow) -> None:
        self._slots = slots
        self._receiver_id = receiver_id
        self._can_show = can_show
        self.shows: list[str | None] = [None] * len(slots)
        self._free = {index: slot for index, slot in enumerate(slots) if slot.pin is None and not slot.paused}
        self._taken: set[str] = set()

    def place_pins(self, ranking: Ranking) -> None:
        for index, slot in enumerate(self._slots):
            track = None if slot.pin is None or slot.paused else ranking.get(slot.pin)
            if track is not None and self._may_see(track) and self._can_show(slot, track):
                self._place(index, track)

    def fill(self, ranking: Ranking) -> int | None:
        """Fills the free slots; how much of the ranking that took, or None if it was not enough."""
        walk = _Walk(ranking)
        holders = {slot.shows: index for index, slot in reversed(self._free.items()) if slot.shows is not None}
        wanted = self._take_wanted(walk, holders)
        for track in wanted:
            if (index := holders.get(track.id)) is not None:
                self._place(index, track)
        for track in wanted:
            if track.id not in self._taken:
                self._place_anywhere(track)
        # Only with slots of different codecs is one still free: the wanted track fits none of those left.
        while self._free and (further := next(walk, None)) is not None:
            if self._may_see(further):
                self._place_again(further, holders.get(further.id))
        return None if self._free else walk.steps

    def _take_wanted(self, walk: "_Walk", holders: dict[str, int]) -> list[TrackView]:
        wanted: list[TrackView] = []
        while len(wanted) < len(self._free) and (track := next(walk, None)) is not None:
            # What is shown can be carried; asking the codecs is what costs here.
            if self._may_see(track) and (track.id in holders or self._fits_somewhere(track)):
                wanted.append(track)
        return wanted

    def _fits_somewhere(self, track: TrackView) -> bool:
        return any(self._can_show(slot, track) for slot in self._free.values())

    def _may_see(self, track: TrackView) -> bool:
        return track.participant_id != self._receiver_id and track.id not in self._taken

    def _place_again(self, track: TrackView, holder: int | None) -> None:
        if holder is not None and holder in self._free:
            self._place(holder, track)
        else:
            self._place_anywhere(track)

    def _place_anywhere(self, track: TrackView) -> None:
        for index, slot in self._free.items():
            if self._can_show(slot, track):
                self._place(index, track)
                return

    def _place(self, index: int, track: TrackView) -> None:
        self.shows[index] = track.id
        self._taken.add(track.id)
        self._free.pop(index, None)


class _Walk(Iterator[TrackView]):
    """Goes down a ranking and counts the steps."""

    def __init__(self, ranking: Ranking) -> None:
        self._tracks = iter(ranking)
        self.steps = 0

    def __next__(self) -> TrackView:
        track = next(self._tracks)
        self.steps += 1
        return track
