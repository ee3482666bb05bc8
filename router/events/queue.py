"""A bounded queue of entries between the log and one reader that may be slow: it loses the oldest, which is counted.

`offer` never waits. The reader takes what is there in batches, and learns how many it lost since the last one.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from router.events.entry import Entry
from router.metrics import Metrics

Wants = Callable[[Entry], bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries a reader wants; nothing named means all."""

    room: str | None = None
    kinds: frozenset[str] = frozenset()

    def __call__(self, entry: Entry) -> bool:
        """Whether it wants this one."""
        return (self.room is None or entry.room == self.room) and (not self.kinds or entry.kind in self.kinds)


EVERYTHING = Filter()


class EntryQueue:
    """A `Sink` for one reading task."""

    def __init__(
        self, name: Literal["sse", "stream"], capacity: int, metrics: Metrics, wants: Wants = EVERYTHING
    ) -> None:
        self.ended = False
        self.lost = 0
        """Since somebody set it to 0."""
        self._counter = metrics.events_lost.labels(sink=name)
        self._wants = wants
        self._entries: deque[Entry] = deque()
        self._capacity = capacity
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._entries)

    def offer(self, entry: Entry) -> None:
        """See `Sink`."""
        if self.ended or not self._wants(entry):
            return
        self._entries.append(entry)
        if len(self._entries) > self._capacity:
            self._entries.popleft()
            self.lost += 1
            self._counter.inc()
        self._wake.set()

    def end(self) -> None:
        """See `Sink`. What is queued can still be taken."""
        self.ended = True
        self._wake.set()

    async def wait(self) -> None:
        """Until something is queued, or the end."""
        while not self._entries and not self.ended:
            self._wake.clear()
            await self._wake.wait()

    def take(self, most: int) -> list[Entry]:
        """The oldest ones, at most so many."""
        return [self._entries.popleft() for _ in range(min(most, len(self._entries)))]
