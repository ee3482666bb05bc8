"""Telling a room's deltas to its watchers: at once in small rooms, in batches where telling everybody takes long.

A delta costs the loop a write for each watcher. In a large room deltas that come soon after another are gathered and
told together, as `{"type":"batch","deltas":[…]}`. The time grows with the number of watchers, so that telling takes a
bounded share of the loop, whatever the size of the room and however fast people come and go. A watcher that came
meanwhile is told again what its welcome said already: a delta of a version that one has is to be ignored.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from router import clock

if TYPE_CHECKING:
    from router.rooms.roster import Watcher

AT_ONCE_BELOW = 50
"""Watchers; fewer are told every delta at once."""
INTERVAL_PER_WATCHER_S = 0.0005
"""Six to eight times what telling one watcher costs (60 to 80 us, `python -m loadtest.bench_room`)."""
MAX_INTERVAL_S = 1.0
MAX_BATCH_BYTES = 262_144
"""A batch this large is told though its time has not come."""

CallLater = Callable[[float, Callable[[], object]], asyncio.TimerHandle]


class Fanout:
    """What one room's watchers have not been told yet."""

    def __init__(
        self,
        watchers: "Collection[Watcher]",
        call_later: CallLater,
        *,
        now_us: Callable[[], int] = clock.monotonic_us,
    ) -> None:
        """`watchers` is a live view of those who follow."""
        self._watchers = watchers
        self._call_later = call_later
        self._now_us = now_us
        self._waiting: list[str] = []
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._next_us = 0
        """When the loop can afford to tell everybody again."""

    def tell(self, text: str) -> None:
        """One delta more."""
        self._waiting.append(text)
        self._waiting_bytes += len(text)
        if self._timer is not None and self._waiting_bytes < MAX_BATCH_BYTES:
            return
        wait_s = (self._next_us - self._now_us()) / 1e6
        if len(self._watchers) < AT_ONCE_BELOW or wait_s <= 0 or self._waiting_bytes >= MAX_BATCH_BYTES:
            self._flush()
        else:
            self._timer = self._call_later(wait_s, self._flush)

    def stop(self) -> None:
        """Nothing is told any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()

    def _flush(self) -> None:
        texts = self._waiting
        text = texts[0] if len(texts) == 1 else f'{{"type":"batch","deltas":[{",".join(texts)}]}}'
        self.stop()
        self._waiting_bytes = 0
        watchers = tuple(self._watchers)
        self._next_us = self._now_us() + int(min(len(watchers) * INTERVAL_PER_WATCHER_S, MAX_INTERVAL_S) * 1e6)
        for watcher in watchers:
            watcher.send(text)
