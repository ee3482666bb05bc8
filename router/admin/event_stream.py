"""A response of server-sent events (WHATWG HTML section 9.2) from the event log, for one listener.

What is missed since `Last-Event-ID` comes first, as far as the log has it; where something is missing for good, a
`gap` says so. A listener that reads slower than events come loses the oldest and is told how many (`lost`). Heartbeats
are comments, so that proxies and both ends notice a dead connection. The stream ends with the log.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from router.errors import CapacityError
from router.events.entry import Entry
from router.events.log import EventLog
from router.events.queue import EntryQueue, Filter
from router.metrics import Metrics

MEDIA_TYPE: Final = "text/event-stream"
CAPACITY: Final = 1_024
BATCH: Final = 64
HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 2_000
"""How long a listener waits before it comes back, without the jitter that it should add."""


class Listeners:
    """How many there are, and may be."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self.metrics = metrics
        self._most = most
        self._open = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """One of them while it lasts, or `CapacityError`."""
        if self._open >= self._most:
            raise CapacityError("too many listeners", slug="too-many-listeners", retry_after_s=5)
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self._open += change
        self.metrics.event_listeners.set(self._open)


class EventStreamResponse(Response):
    """Runs until the listener goes or the log ends."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        log: EventLog,
        wanted: Filter,
        last_event_id: str | None,
        listeners: Listeners,
        *,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._log = log
        self._wanted = wanted
        self._last_event_id = last_event_id
        self._listeners = listeners
        self._heartbeat_s = heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Serves one listener, or raises `CapacityError` before anything is sent."""
        with self._listeners.admit():
            await self._serve(receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        queue = EntryQueue("sse", CAPACITY, self._listeners.metrics, self._wanted)
        missed = self._catch_up()
        self._log.subscribe(queue)  # in the same turn as the look at what was missed: nothing falls between
        writing = asyncio.ensure_future(self._write(queue, missed, send))
        leaving = asyncio.ensure_future(_wait_gone(receive))
        try:
            await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._log.unsubscribe(queue)
            for task in (writing, leaving):
                task.cancel()
            results = await asyncio.gather(writing, leaving, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result

    def _catch_up(self) -> list[str]:
        if self._last_event_id is None:
            return []
        entries, complete = self._log.read_since(self._last_event_id)
        gap = [] if complete else [write_notice("gap", reason="the log does not reach back to that id")]
        return gap + [write_entry(entry) for entry in entries if self._wanted(entry)]

    async def _write(self, queue: EntryQueue, missed: Sequence[str], send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await _send_text(send, f"retry: {RETRY_MS}\n\n")
        for start in range(0, len(missed), BATCH):
            await _send_text(send, "".join(missed[start : start + BATCH]))
        async for text in self._read(queue):
            await _send_text(send, text)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _read(self, queue: EntryQueue) -> AsyncIterator[str]:
        while True:
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    await queue.wait()
            except TimeoutError:
                yield ":\n\n"
                continue
            lost, queue.lost = queue.lost, 0
            entries = queue.take(BATCH)
            if lost:
                yield write_notice("lost", count=lost)
            if not entries:
                return
            yield "".join(map(write_entry, entries))


def write_entry(entry: Entry) -> str:
    """One event. JSON has no line break of its own."""
    return f"id: {entry.id}\nevent: {entry.kind}\ndata: {entry.text}\n\n"


def write_notice(kind: str, **fields: Any) -> str:
    """Something about the stream itself; without an id, so that the last one still counts.

    >>> write_notice("lost", count=2)
    'event: lost\\ndata: {"count":2}\\n\\n'
    """
    return f"event: {kind}\ndata: {json.dumps(fields, separators=(',', ':'))}\n\n"


async def _send_text(send: Callable[[Message], Awaitable[None]], text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _wait_gone(receive: Receive) -> None:
    with suppress(OSError):
        while (await receive())["type"] != "http.disconnect":
            pass
