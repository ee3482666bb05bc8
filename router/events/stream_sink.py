"""Writes the log to a store that other programs read, such as a stream in Redis, in batches, and in order.

A store that fails is tried again with the same batch, while the queue takes in what happens, and loses the oldest when
it is full. So a batch may be written twice: readers tell by the id.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from router import clock
from router.events.entry import Entry
from router.events.queue import EntryQueue
from router.metrics import Metrics

logger = logging.getLogger(__name__)

CAPACITY: Final = 10_000
BATCH: Final = 256
FIRST_RETRY_S: Final = 0.25
MAX_RETRY_S: Final = 2.0
"""A store that came back has everything within five seconds."""
WARNING_INTERVAL_US: Final = 60_000_000


class EventStore(Protocol):
    """Where entries go, such as `XADD` with a MAXLEN and the fields `id`, `kind`, `room` and `event`, the JSON text."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """Takes all of them in this order, within a bounded time, or raises."""


class StreamSink:
    """A `Sink` with one writing task."""

    def __init__(
        self,
        store: EventStore,
        metrics: Metrics,
        *,
        capacity: int = CAPACITY,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now_us: Callable[[], int] = clock.monotonic_us,
    ) -> None:
        self._store = store
        self._queue = EntryQueue("stream", capacity, metrics)
        self._sleep = sleep
        self._now_us = now_us
        self._warned_us: int | None = None
        self._task: asyncio.Task[None] | None = None

    def offer(self, entry: Entry) -> None:
        """See `Sink`."""
        self._queue.offer(entry)

    def end(self) -> None:
        """See `Sink`."""
        self._queue.end()

    def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="StreamSink.run")

    async def close(self, grace_s: float) -> None:
        """Gives what is queued so long to be written. Idempotent."""
        self.end()
        if self._task is None:
            return
        _, late = await asyncio.wait([self._task], timeout=grace_s)
        for task in late:
            task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _run(self) -> None:
        while True:
            await self._queue.wait()
            batch = self._queue.take(BATCH)
            if not batch:
                return
            await self._write(batch)

    async def _write(self, batch: Sequence[Entry]) -> None:
        delay_s = FIRST_RETRY_S
        while True:
            try:
                await self._store.append(batch)
            except Exception as error:
                # Whatever it is: the log's other readers and the calls go on, and this one tries again.
                self._warn(error)
            else:
                return
            await self._sleep(delay_s)
            delay_s = min(delay_s * 2, MAX_RETRY_S)

    def _warn(self, error: Exception) -> None:
        now_us = self._now_us()
        if self._warned_us is None or now_us - self._warned_us >= WARNING_INTERVAL_US:
            self._warned_us = now_us
            logger.warning("the event stream cannot be written; calls go on", extra={"error": type(error).__name__})
