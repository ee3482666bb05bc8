"""The event log of all nodes as one Redis stream, for programs that read it in groups.

`<p>:events`, at most about so many entries, each with the fields `id`, `kind`, `room` and `event`, the JSON text.
Entries of one node are in its order. A batch whose reply was lost is written again: readers tell by `id`.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from router.cluster.keys import Keys
from router.cluster.redis_connections import Command
from router.cluster.redis_link import RedisLink
from router.cluster.redis_values import RedisValues
from router.metrics import Metrics

MAX_TEXT_BYTES: Final = 262_144


class StreamedEvent(Protocol):
    """What is needed of an entry of the event log."""

    @property
    def id(self) -> str:
        """Unique among all nodes."""

    @property
    def kind(self) -> str:
        """A slug."""

    @property
    def room(self) -> str | None:
        """Of what concerns a room."""

    @property
    def text(self) -> str:
        """JSON."""


class EventStream:
    """Appends to the stream."""

    def __init__(self, link: RedisLink, keys: Keys, metrics: Metrics, *, max_entries: int) -> None:
        self._link = link
        self._key = keys.events
        self._values = RedisValues(metrics)
        self._max_entries = max_entries

    async def append(self, entries: Sequence[StreamedEvent]) -> None:
        """All of them in this order, or `StoreError`; an entry too large for its readers is left out."""
        commands = [self._add(entry) for entry in entries if len(entry.text) <= MAX_TEXT_BYTES]
        if commands:
            await self._values.run_on_own("events", self._link, "events", commands)

    def _add(self, entry: StreamedEvent) -> Command:
        fields = ("id", entry.id, "kind", entry.kind, "room", entry.room or "", "event", entry.text)
        return ("XADD", self._key, "MAXLEN", "~", self._max_entries, "*", *fields)
