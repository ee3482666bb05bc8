"""What a subscriber wishes of a video slot: a pinned track, the size at which it is shown, limits of rates, a pause.

A wish is partial: what it does not name stays as it was. It is checked against the session as a whole before any of it
counts, so a refused wish changes nothing. There is one wish for each slot of the session at most, whatever is sent.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from router.errors import RequestError
from router.rtc.constraints import RTCConstraints

if TYPE_CHECKING:
    from router.rooms.participant import PublishedTrack
    from router.rooms.session import Session

MAX_SIZE = 16_384
"""Pixels; no codec that we forward goes beyond."""
MAX_BITRATE_BPS = 1_000_000_000
MAX_FRAME_RATE = 1_000
_HIGHEST = {"width": MAX_SIZE, "height": MAX_SIZE, "bitrate_bps": MAX_BITRATE_BPS, "frame_rate": MAX_FRAME_RATE}
_FIELDS = frozenset(("track_id", "paused", *_HIGHEST))

FindTrack = Callable[[str | None], "PublishedTrack | None"]


@dataclass(frozen=True, slots=True)
class SlotWish:
    """Of one slot."""

    track_id: str | None = None
    """Pinned: this track and no other is shown here."""
    width: int | None = None
    height: int | None = None
    """Pixels at which it is shown: nothing larger than the smallest picture that covers this is of use."""
    bitrate_bps: int | None = None
    frame_rate: int | None = None
    """Nor anything dearer or faster."""
    paused: bool = False

    def limits(self) -> RTCConstraints:
        """What the slot may get at most."""
        return RTCConstraints(max_bitrate_bps=self.bitrate_bps, max_frame_rate=self.frame_rate)


NO_WISH = SlotWish()


def read_wishes(value: Any, session: "Session", find_track: FindTrack) -> dict[str, SlotWish]:
    """The wishes of the session as they will be, for those slots that `value` names; or `RequestError`."""
    if not isinstance(value, dict):
        raise _refuse("slots: expected an object")
    wishes = {mid: _read_wish(mid, fields, session, find_track) for mid, fields in value.items()}
    pins = Counter(wish.track_id for wish in wishes.values() if wish.track_id is not None)
    if pins and max(pins.values()) > 1:
        raise _refuse("slots: a track has one slot")
    return {**_release_pins(session.wishes, wishes), **wishes}


def _release_pins(before: Mapping[str, SlotWish], wishes: Mapping[str, SlotWish]) -> dict[str, SlotWish]:
    """A track that is pinned anew leaves the slot where it was pinned before."""
    pinned = {wish.track_id for wish in wishes.values() if wish.track_id is not None}
    return {
        mid: replace(wish, track_id=None)
        for mid, wish in before.items()
        if mid not in wishes and wish.track_id in pinned
    }


def _read_wish(mid: str, fields: Any, session: "Session", find_track: FindTrack) -> SlotWish:
    name = f"slots.{mid[:32]!a}"
    slot = session.slots.get(mid)
    if slot is None or slot.kind != "video":
        raise _refuse(f"{name}: the session has no such video slot")
    if not isinstance(fields, dict) or not fields.keys() <= _FIELDS:
        raise _refuse(f"{name}: expected an object with {', '.join(sorted(_FIELDS))}")
    for field, highest in _HIGHEST.items():
        _check_limit(f"{name}.{field}", fields.get(field), highest)
    if not isinstance(fields.get("paused", False), bool):
        raise _refuse(f"{name}.paused: expected true or false")
    if fields.get("track_id") is not None:
        _check_pin(f"{name}.track_id", fields["track_id"], session, mid, find_track)
    return replace(session.wishes.get(mid, NO_WISH), **fields)


def _check_limit(name: str, value: object, highest: int) -> None:
    if value is not None and (type(value) is not int or not 0 < value <= highest):
        raise _refuse(f"{name}: expected null or a whole number from 1 to {highest}")


def _check_pin(name: str, track_id: object, session: "Session", mid: str, find_track: FindTrack) -> None:
    track = find_track(track_id) if isinstance(track_id, str) else None
    if track is None:
        raise _refuse(f"{name}: expected null or the id of a track in the room")
    if track.session.participant is session.participant:
        raise _refuse(f"{name}: nobody is shown a track of their own")
    if not session.slots[mid].can_show(track.track):
        raise _refuse(f"{name}: the slot accepts no format of this track")


def _refuse(detail: str) -> RequestError:
    return RequestError(detail, slug="bad-wish")
