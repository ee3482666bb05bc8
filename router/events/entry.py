"""An event in its place in the log: who, where, when, and the JSON text that all sinks share.

The text has LiveKit's names for what both have (`event`, `id`, `created_at` in whole seconds, `room`, `participant`,
`track`, and in these `sid` beside our `id`, `type` beside our `kind`), so that LiveKit's own receivers read it, and
ours for the rest. It is made once, whatever the number of sinks.
"""

import json
import re
from dataclasses import dataclass, fields
from typing import Any, Final

from router.events.model import KINDS, Contributor, Event, ParticipantInfo, TrackInfo

_ID: Final = re.compile(r"(E_[0-9a-f]{16})-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when an event happened."""

    log: str
    """Id of the log: of one life of one process."""
    number: int
    """In the whole log, from 1."""
    sequence: int
    """Within its room's life, or among the node's own events, from 1 without gaps."""
    time_s: float
    """Wall clock."""
    node: str
    room: str | None
    """Its name; None for what concerns the node."""
    room_id: str | None
    """Of this life of the room."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the log. Thousands are kept, so it holds its text and what it is found by, and no more."""

    log: str
    number: int
    """In its log."""
    kind: str
    """Slug of the event's kind."""
    room: str | None
    """Name of its room; None for what concerns the node."""
    text: str
    """JSON, with all of it."""

    @property
    def id(self) -> str:
        """Unique among all nodes; later entries of a log have greater numbers."""
        return write_id(self.log, self.number)


def write_id(log: str, number: int) -> str:
    """The public id of an entry.

    >>> write_id("E_0123456789abcdef", 7)
    'E_0123456789abcdef-7'
    """
    return f"{log}-{number}"


def read_id(text: str) -> tuple[str, int] | None:
    """Log and number; None for anything else.

    >>> read_id("E_0123456789abcdef-7"), read_id("E_0123456789abcdef-x")
    (('E_0123456789abcdef', 7), None)
    """
    found = _ID.fullmatch(text)
    return (found[1], int(found[2])) if found else None


def make_entry(place: Place, event: Event) -> Entry:
    """The entry with its text."""
    head = {
        "id": write_id(place.log, place.number),
        "event": event.kind,
        "created_at": int(place.time_s),
        "time": round(place.time_s, 3),
        "sequence": place.sequence,
        "node": place.node,
    }
    room = {} if place.room is None else {"room": {"id": place.room_id, "sid": place.room_id, "name": place.room}}
    text = _encoder.encode({**head, **room, **_describe(event)})
    return Entry(place.log, place.number, event.kind, place.room, text)


_FIELDS: Final = {
    kind: tuple(field.name for field in fields(kind))
    for kind in (*KINDS.values(), ParticipantInfo, TrackInfo, Contributor)
}


def _describe(value: Any) -> dict[str, Any]:  # Any: called by json for what it does not know
    described = {name: getattr(value, name) for name in _FIELDS[type(value)]}
    if isinstance(value, ParticipantInfo | TrackInfo):
        described["sid"] = value.id
    if isinstance(value, TrackInfo):
        described["type"] = value.kind.upper()
    return described


_encoder: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_describe)
