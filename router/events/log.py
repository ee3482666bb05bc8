"""The event log: gives each event its id, time and place, keeps the latest, and hands every one to all sinks.

Appending never waits and never raises: a sink bounds itself and drops its oldest. What the log keeps has a cap on its
number and one on its size, and serves listeners that come back. A room's events are numbered by its `RoomLog`, so that
nothing of a room is left here when it is gone.
"""

import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

from router import clock
from router.events.entry import Entry, Place, make_entry, read_id
from router.events.model import KINDS, Event
from router.metrics import Metrics, default_metrics

logger = logging.getLogger(__name__)

MAX_ENTRIES: Final = 4_096
MAX_CHARS: Final = 4_194_304
ID_BYTES: Final = 8


class Sink(Protocol):
    """Somebody who is told every entry. Takes what it wants and forgets the rest; may neither block nor raise."""

    def offer(self, entry: Entry) -> None:
        """One entry, in the order of the log."""

    def end(self) -> None:
        """There will be no more."""


class RoomLog:
    """One room's part of the log, for one life of the room."""

    def __init__(self, log: "EventLog", room: str, room_id: str) -> None:
        self.room = room
        self.room_id = room_id
        self._log = log
        self._sequence = 0

    def append(self, event: Event) -> None:
        """It happened now, in this room."""
        self._sequence += 1
        self._log.add(event, self._sequence, self.room, self.room_id)


class EventLog:
    """All events of one process."""

    def __init__(
        self,
        *,
        max_entries: int = MAX_ENTRIES,
        max_chars: int = MAX_CHARS,
        metrics: Metrics | None = None,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        self.id = f"E_{secrets.token_hex(ID_BYTES)}"
        self.node = ""
        """Id of this node, once it has one."""
        self.number = 0
        """Of the latest entry."""
        self._max_entries = max_entries
        self._max_chars = max_chars
        counter = (metrics or default_metrics()).events
        self._counters = {kind: counter.labels(kind=kind) for kind in KINDS}
        self._now_s = now_s
        self._sequence = 0
        self._entries: deque[Entry] = deque()
        self._chars = 0
        self._sinks: dict[Sink, None] = {}
        self._ended = False

    def append(self, event: Event) -> None:
        """It happened now, to the node as a whole. What happens in a room goes through its `RoomLog`."""
        self._sequence += 1
        self.add(event, self._sequence, None, None)

    def open_room(self, room: str, room_id: str) -> RoomLog:
        """Numbers the events of a room from 1."""
        return RoomLog(self, room, room_id)

    def add(self, event: Event, sequence: int, room: str | None, room_id: str | None) -> None:
        """For `RoomLog`."""
        self.number += 1
        place = Place(self.id, self.number, sequence, self._now_s(), self.node, room, room_id)
        entry = make_entry(place, event)
        self._counters[event.kind].inc()
        self._keep(entry)
        for sink in tuple(self._sinks):
            sink.offer(entry)

    def _keep(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._chars += len(entry.text)
        while len(self._entries) > self._max_entries or self._chars > self._max_chars:
            self._chars -= len(self._entries.popleft().text)

    # -- those who are told --------------------------------------------------------------------------------------

    def subscribe(self, sink: Sink) -> None:
        """Is told everything from now on; after the end, only that it is the end."""
        if self._ended:
            sink.end()
        else:
            self._sinks[sink] = None

    def unsubscribe(self, sink: Sink) -> None:
        """Is told nothing any more. Idempotent."""
        self._sinks.pop(sink, None)

    def read_since(self, entry_id: str) -> tuple[list[Entry], bool]:
        """What is kept of the entries after that one, and whether that is all there were."""
        found = read_id(entry_id)
        missed = self.number - found[1] if found is not None and found[0] == self.id else -1
        if not 0 <= missed <= len(self._entries):
            return list(self._entries), False
        return list(islice(self._entries, len(self._entries) - missed, None)), True

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def end(self) -> None:
        """Tells all sinks that there will be no more. Idempotent."""
        self._ended = True
        sinks, self._sinks = tuple(self._sinks), {}
        for sink in sinks:
            sink.end()
