"""One request at a time: joins that arrive together are served one in each turn of the event loop.

A join costs the loop some milliseconds without a pause. A thousand that arrive together would otherwise all be served
in one turn, and whoever does something small meanwhile, such as a DTLS handshake with its time limit or a message on a
WebSocket, would wait for the last of them. In line, they wait for one.
"""

import asyncio
from collections import deque


class Turnstile:
    """Those who wait pass in order, one a turn."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turn: asyncio.Handle | None = None

    async def wait(self) -> None:
        """Returns at once if nobody passed in this turn yet."""
        loop = asyncio.get_running_loop()
        if self._turn is None:
            self._turn = loop.call_soon(self._on_turn)
            return
        passing = loop.create_future()
        self._waiting.append(passing)
        await passing

    def _on_turn(self) -> None:
        self._turn = None
        while self._waiting:
            passing = self._waiting.popleft()
            # Who gave up meanwhile does not take a turn.
            if not passing.done():
                self._turn = passing.get_loop().call_soon(self._on_turn)
                passing.set_result(None)
                return
