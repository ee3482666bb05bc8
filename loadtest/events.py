"""The events WebSocket as a load client uses it: authenticates, counts what comes, keeps the messages if asked to."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from loadtest.peer import Join

Message = dict[str, Any]
OPEN_TIMEOUT_S = 60
"""A router that many join at once answers late."""


@dataclass(slots=True)
class Events:
    """One connection. `messages` holds what came since it was last cleared, if `keeps` is set."""

    socket: ClientConnection
    keeps: bool = True
    messages: list[tuple[float, Message]] = field(default_factory=list)
    """With the time of arrival on the loop's clock."""
    counts: Counter[str] = field(default_factory=Counter)
    """Messages by type."""
    bytes: int = 0
    on_message: Callable[[Message], None] | None = None
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def open(cls, join: Join, *, keeps: bool = True) -> AsyncIterator["Events"]:
        """Connects, authenticates and reads until the block ends."""
        host, port = join.address
        url = f"ws://{host}:{port}/rooms/{join.room}/events"
        async with connect(url, max_size=None, compression=None, open_timeout=OPEN_TIMEOUT_S) as socket:
            events = cls(socket, keeps)
            reading = asyncio.create_task(events._read())
            try:
                await events.send({"type": "auth", "token": join.token})
                yield events
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError, ConnectionClosed):
                    await reading

    async def send(self, message: Message) -> None:
        """One message to the router."""
        await self.socket.send(json.dumps(message))

    async def wait(self, matches: Callable[[Message], bool], timeout_s: float = 10) -> tuple[float, Message]:
        """The first kept message that matches, now or later, with its time."""
        async with asyncio.timeout(timeout_s):
            while True:
                for time_s, message in self.messages:
                    if matches(message):
                        return time_s, message
                self._arrived.clear()
                await self._arrived.wait()

    async def _read(self) -> None:
        async for text in self.socket:
            told = json.loads(text)
            self.counts[told["type"]] += 1
            self.bytes += len(text)
            for message in told["deltas"] if told["type"] == "batch" else (told,):
                if self.keeps:
                    self.messages.append((asyncio.get_running_loop().time(), message))
                if self.on_message:
                    self.on_message(message)
            self._arrived.set()
