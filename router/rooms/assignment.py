"""Who receives what: a pure function from the slots of one session and the live tracks of a room to an assignment.

Rules, in this order: a slot keeps what it shows while that track lives (sticky); an empty slot takes the first waiting
track of its kind in order of joining; nobody receives a track of their own, or the same track twice in one session; a
slot takes only what its codecs can carry. No clock, no connection: the same arguments always give the same answer.
"""

from collections.abc import Callable, Iterable, Sequence
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


class LiveTracks:
    """The live tracks of a room in order of joining, made once for all its sessions."""

    def __init__(self, tracks: Iterable[TrackView]) -> None:
        self.by_id = {track.id: track for track in tracks}
        self.by_kind: dict[Kind, list[TrackView]] = {"audio": [], "video": []}
        for track in self.by_id.values():
            self.by_kind[track.kind].append(track)


CanShow = Callable[[SlotView, TrackView], bool]


def assign_tracks(
    slots: Sequence[SlotView], live: LiveTracks, *, receiver_id: str, can_show: CanShow
) -> tuple[str | None, ...]:
    """The track id for each slot, in the order of the slots.

    >>> slots = [SlotView("0", "video"), SlotView("1", "video")]
    >>> live = LiveTracks(TrackView(name, "video", name) for name in ("ada", "bob", "cyd"))
    >>> assign_tracks(slots, live, receiver_id="bob", can_show=lambda slot, track: True)
    ('ada', 'cyd')
    """
    chosen: list[str | None] = []
    taken: set[str] = set()
    for slot in slots:
        shown = live.by_id.get(slot.shows) if slot.shows is not None else None
        keeps = shown is not None and shown.participant_id != receiver_id and shown.id not in taken
        chosen.append(slot.shows if keeps else None)
        if shown is not None and keeps:
            taken.add(shown.id)
    for index, slot in enumerate(slots):
        if chosen[index] is not None:
            continue
        for track in live.by_kind.get(slot.kind, ()):
            if track.id not in taken and track.participant_id != receiver_id and can_show(slot, track):
                chosen[index] = track.id
                taken.add(track.id)
                break
    return tuple(chosen)
