"""uvicorn's HTTP/1.1 protocol with the deadlines that uvicorn lacks (threats-and-faults.md H4).

A request that has begun must be complete, headers and body, within the deadline, however its bytes are dripped in; a
new connection must send one within the same time. A client that stops reading its response is cut off after the
deadline too. Between requests uvicorn's own keep-alive timeout rules. WebSockets leave this protocol at their upgrade.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def make_protocol(deadline_s: float) -> type[H11Protocol]:
    """The protocol class for `uvicorn.Config(http=…)`, with this deadline."""

    class DeadlineProtocol(H11Protocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: uvicorn's own signature
            super().__init__(*args, **kwargs)
            self._receiving: asyncio.TimerHandle | None = None
            self._sending: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
            super().connection_made(transport)
            self._receiving = self.loop.call_later(deadline_s, self._cut_off)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.transport.get_protocol() is not self or self._request_is_complete():
                _cancel(self._receiving)
                self._receiving = None
            elif self._receiving is None:
                self._receiving = self.loop.call_later(deadline_s, self._cut_off)

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._sending is None:
                self._sending = self.loop.call_later(deadline_s, self._cut_off)

        def resume_writing(self) -> None:
            super().resume_writing()
            _cancel(self._sending)
            self._sending = None

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self._receiving)
            self._receiving = None
            _cancel(self._sending)
            self._sending = None
            super().connection_lost(exc)

        def _request_is_complete(self) -> bool:
            return self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)

        def _cut_off(self) -> None:
            self.transport.abort()

    return DeadlineProtocol


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
