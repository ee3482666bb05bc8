"""uvicorn's protocols with the deadlines that uvicorn lacks (threats-and-faults.md H4).

A request that has begun must be complete, headers and body, within the deadline, however its bytes are dripped in; a
new connection must send one within the same time. Between requests uvicorn's own keep-alive timeout rules. A client
that stops reading its response, or its WebSocket, is cut off after the deadline too: a closing connection would wait
for it for ever. What still fits into the kernel's buffers is the business of `TCP_USER_TIMEOUT`, see `listener.py`.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class SendDeadline(asyncio.Protocol):
    """Cuts off a peer that reads nothing for so long while more than the transport's high-water mark waits for it."""

    deadline_s: float
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _sending: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """From the transport: too much waits."""
        super().pause_writing()
        if self._sending is None:
            self._sending = self.loop.call_later(self.deadline_s, self.cut_off)

    def resume_writing(self) -> None:
        """From the transport: it was read."""
        super().resume_writing()
        _cancel(self._sending)
        self._sending = None

    def connection_lost(self, exc: Exception | None) -> None:
        """From the transport: the end."""
        _cancel(self._sending)
        self._sending = None
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """Ends the connection without waiting for anything to be sent."""
        self.transport.abort()


def make_http_protocol(deadline_s: float) -> type[H11Protocol]:
    """The protocol class for `uvicorn.Config(http=…)`, with this deadline."""

    class DeadlineProtocol(SendDeadline, H11Protocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: uvicorn's own signature
            super().__init__(*args, **kwargs)
            self.deadline_s = deadline_s
            self._receiving: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
            super().connection_made(transport)
            self._receiving = self.loop.call_later(deadline_s, self.cut_off)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.transport.get_protocol() is not self or self._request_is_complete():
                _cancel(self._receiving)
                self._receiving = None
            elif self._receiving is None:
                self._receiving = self.loop.call_later(deadline_s, self.cut_off)

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self._receiving)
            self._receiving = None
            super().connection_lost(exc)

        def _request_is_complete(self) -> bool:
            return self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)

    return DeadlineProtocol


def make_websocket_protocol(deadline_s: float) -> type[WebSocketsSansIOProtocol]:
    """The protocol class for `uvicorn.Config(ws=…)`, with this deadline."""

    class DeadlineWebSocket(SendDeadline, WebSocketsSansIOProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: uvicorn's own signature
            super().__init__(*args, **kwargs)
            self.deadline_s = deadline_s

    return DeadlineWebSocket


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
