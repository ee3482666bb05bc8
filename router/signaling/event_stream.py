"""The sending side of one events WebSocket: a bounded queue and the one task that empties it.

A room never waits for a watcher: `send` only queues. Whoever does not read is cut off once its queue is full, with the
reason as far as it can still be told. The caps are for what comes in while a client lives: a welcome is as large as its
room, and a thousand participants with metadata are some megabytes, so catching up is not counted; but there is one at a
time. Texts are shared by all streams, so a queue costs a reference per message.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence

from starlette.websockets import WebSocket, WebSocketDisconnect

from router.errors import ElsewhereError, RouterError
from router.rooms.roster import write_message
from router.rooms.roster_log import count_bytes

MAX_QUEUE_BYTES = 2_097_152
MAX_QUEUE_MESSAGES = 4_096
"""A large room that becomes live, or leaves, in one turn of the loop is two or three deltas for each participant."""
CLOSE_TIMEOUT_S = 5.0
CLOSE_TOO_BIG = 1009
CLOSE_RESTART = 1012
CLOSE_TRY_LATER = 1013
CLOSE_BASE = 4000
"""Other errors close with this plus their HTTP status (RFC 6455 section 7.4.2: private use)."""

RESTARTS = frozenset(("shutting-down", "draining"))
"""Reasons of a room's end by which the whole router goes (RFC 6455's registry: service restart)."""


def close_code(status: int) -> int:
    """The WebSocket close code for an HTTP status.

    >>> close_code(401), close_code(413), close_code(503)
    (4401, 1009, 1013)
    """
    return {413: CLOSE_TOO_BIG, 503: CLOSE_TRY_LATER}.get(status, CLOSE_BASE + status)


class EventStream:
    """A `Watcher` that writes to a WebSocket."""

    def __init__(self, websocket: WebSocket, identity: str) -> None:
        self.identity = identity
        self._websocket = websocket
        self._queue: deque[str] = deque()
        self._queued_bytes = 0
        self._uncounted = 0
        """Messages at the head of the queue that are part of, or stand before the end of, catching up."""
        self._uncounted_bytes = 0
        self._wake = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        """The task of `run`, while it is in a send that may be given up."""
        self._gave_up = False
        self._ending: tuple[dict[str, str], int] | None = None

    def send(self, text: str) -> None:
        """Queues a message; a full queue ends the stream."""
        if self._ending is not None:
            return
        self._queue.append(text)
        self._queued_bytes += count_bytes(text)
        waiting = len(self._queue) - self._uncounted
        if waiting > MAX_QUEUE_MESSAGES or self._queued_bytes - self._uncounted_bytes > MAX_QUEUE_BYTES:
            self._cut_off()
        self._wake.set()

    @property
    def catching_up(self) -> bool:
        """Whether a welcome, or what was missed, is still on its way."""
        return self._uncounted > 0

    def catch_up(self, texts: Sequence[str]) -> None:
        """Queues messages that do not count; doing so again before they were sent ends the stream."""
        if self._ending is not None:
            return
        if self.catching_up:
            self._cut_off()
        else:
            self._queue.extend(texts)
            self._queued_bytes += sum(map(count_bytes, texts))
            self._uncounted, self._uncounted_bytes = len(self._queue), self._queued_bytes
        self._wake.set()

    def _cut_off(self) -> None:
        self._queue.clear()
        self._queued_bytes = self._uncounted = self._uncounted_bytes = 0
        self._end("slow-consumer", "messages were not read fast enough", CLOSE_TRY_LATER)
        self._give_up()

    def _give_up(self) -> None:
        """Interrupts a send that does not end."""
        if self._sending is not None and not self._gave_up:
            self._gave_up = True
            self._sending.cancel()

    def end(self, slug: str, detail: str) -> None:
        """Sends what is queued, then the error, then closes."""
        self._end(slug, detail, CLOSE_RESTART if slug in RESTARTS else CLOSE_TRY_LATER)

    def fail(self, error: RouterError) -> None:
        """As `end`, for an error of this client's own."""
        node_url = error.node_url if isinstance(error, ElsewhereError) else None
        self._end(error.slug, error.public_detail, close_code(error.status), node_url)

    def _end(self, slug: str, detail: str, code: int, node_url: str | None = None) -> None:
        if self._ending is None:
            message = {"type": "error", "slug": slug, "detail": detail}
            self._ending = ({**message, "node_url": node_url} if node_url else message, code)
            self._wake.set()
            if self._sending is not None:
                asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self._give_up)

    async def run(self) -> None:
        """Sends until the stream has ended or the client is gone."""
        try:
            while True:
                await self._send_queued()
                if self._ending is not None:
                    break
                await self._wake.wait()
                self._wake.clear()
            await self._close(*self._ending)
        except (WebSocketDisconnect, RuntimeError, TimeoutError):
            # The client has gone or does not read; the reading side notices too.
            return
        except asyncio.CancelledError:
            # Given up in the moment in which the send ended after all.
            if not self._was_given_up():
                raise

    async def _send_queued(self) -> None:
        while self._queue:
            text = self._pop()
            if self._ending is None:
                await self._send_or_give_up(text)
            else:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._websocket.send_text(text)

    def _pop(self) -> str:
        text = self._queue.popleft()
        size = count_bytes(text)
        self._queued_bytes -= size
        if self._uncounted:
            self._uncounted -= 1
            self._uncounted_bytes -= size
        return text

    async def _send_or_give_up(self, text: str) -> None:
        """Sends one message, which `_give_up` may interrupt; being cancelled by others is another matter."""
        self._sending = asyncio.current_task()
        try:
            await self._websocket.send_text(text)
        except asyncio.CancelledError:
            if not self._was_given_up():
                raise
        finally:
            self._sending = None

    def _was_given_up(self) -> bool:
        """Whether a cancellation that arrived was `_give_up`'s, and nobody else's."""
        task = asyncio.current_task()
        return self._gave_up and task is not None and not task.uncancel()

    async def _close(self, message: dict[str, str], code: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._websocket.send_text(write_message(message))
                await self._websocket.close(code, message["slug"])
