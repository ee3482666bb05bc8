"""Who receives what: a pure function from the slots of one session and the live tracks of a room to an assignment.

Rules, in this order: a slot keeps what it shows while that track lives (sticky); an empty slot takes the first waiting
track of its kind in order of joining; nobody receives a track of their own, or the same track twice in one session; a
slot takes only what its codecs can carry. No clock, no connection: the same arguments always give the same answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from router.rtc.description import Kind


@dataclass(frozen=True, slots=True)
class TrackView:
    """A live track as the policy sees it. The order of a sequence of these is the order of joining."""

    id: str
    kind: Kind
    participant_id: str


@dataclass(frozen=True, slots=True)
class SlotView:
    """A slot of the session, and the id of the track it shows."""

    mid: str
    kind: Kind
    shows: str | None = None


CanShow = Callable[[SlotView, TrackView], bool]


def assign_tracks(
    slots: Sequence[SlotView], tracks: Sequence[TrackView], *, receiver_id: str, can_show: CanShow
) -> tuple[str | None, ...]:
    """The track id for each slot, in the order of the slots.

    >>> slots = [SlotView("0", "video"), SlotView("1", "video")]
    >>> tracks = [TrackView("a", "video", "ada"), TrackView("b", "video", "bob"), TrackView("c", "video", "cyd")]
    >>> assign_tracks(slots, tracks, receiver_id="bob", can_show=lambda slot, track: True)
    ('a', 'c')
    """
    offered = {track.id: track for track in tracks if track.participant_id != receiver_id}
    chosen: list[str | None] = []
    taken: set[str] = set()
    for slot in slots:
        keeps = slot.shows if slot.shows in offered and slot.shows not in taken else None
        if keeps is not None:
            taken.add(keeps)
        chosen.append(keeps)
    if None not in chosen:
        return tuple(chosen)
    waiting = [track for track in offered.values() if track.id not in taken]
    for index, slot in enumerate(slots):
        if chosen[index] is not None:
            continue
        for position, track in enumerate(waiting):
            if track.kind == slot.kind and can_show(slot, track):
                chosen[index] = track.id
                del waiting[position]
                break
    return tuple(chosen)
