"""uvicorn's protocols with the limits that uvicorn lacks (threats-and-faults.md H4).

A request that has begun must be complete, headers and body, within the deadline, however its bytes are dripped in; a
new connection must send one within the same time. Between requests uvicorn's own keep-alive timeout rules. A client
that stops reading its response, or its WebSocket, is cut off after the deadline too: a closing connection would wait
for it for ever. What still fits into the kernel's buffers is the business of `TCP_USER_TIMEOUT`, see `listener.py`.

HTTP is parsed by httptools (llhttp in C): with h11, in Python, a seventh of what joining costs was HTTP. It keeps what
it was fed of an unfinished header without limit, so what is unfinished is counted here.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from router.problems import MEDIA_TYPE, describe_problem

LINGER_S: Final = 2.0
"""How long a refused request may go on arriving: closed at once, the kernel would take the answer back with a reset."""
MAX_LINGER_BYTES: Final = 4_194_304
MAX_HEAD_BYTES: Final = 16_384
"""Of a request line with headers, of the trailers of a chunked body, of the line before a chunk."""


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


class ClosesWhenRead:
    """The transport as a response sees it: closed with care."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.close = close
        self.write = transport.write
        self.is_closing = transport.is_closing


def write_bad_request(detail: str) -> bytes:
    """The whole response to what is no HTTP, as a problem document (RFC 9457) like every other refusal."""
    body = json.dumps(describe_problem("bad-http", "Bad request", 400, detail)).encode()
    head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def make_http_protocol(deadline_s: float) -> type[HttpToolsProtocol]:
    """The protocol class for `uvicorn.Config(http=…)`, with this deadline."""

    class DeadlineProtocol(SendDeadline, HttpToolsProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: uvicorn's own signature
            super().__init__(*args, **kwargs)
            self.deadline_s = deadline_s
            self._deadline: asyncio.TimerHandle | None = None
            self._receiving = True
            """Whether a request is on its way, or what the peer takes for one."""
            self._unread = 0
            """Bytes since something last came of them."""
            self._lingering: asyncio.TimerHandle | None = None
            """Until when the rest of a refused request is dropped."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
            super().connection_made(transport)
            self._deadline = self.loop.call_later(deadline_s, self.cut_off)

        def data_received(self, data: bytes) -> None:
            if self._lingering is not None:
                self._unread += len(data)
                if self._unread > MAX_LINGER_BYTES:
                    self.cut_off()
                return
            self._receiving = True
            self._unread += len(data)
            super().data_received(data)
            if not self._receiving or self.transport.get_protocol() is not self:
                _cancel(self._deadline)
                self._deadline = None
            elif self._unread > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("Invalid HTTP request received.")
            elif self._deadline is None:
                self._deadline = self.loop.call_later(deadline_s, self.cut_off)

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self._deadline)
            _cancel(self._lingering)
            self._deadline = None
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            self.transport.write(write_bad_request(msg))
            self.close_when_read()

        def close_when_read(self) -> None:
            """Says that nothing more will come, and drops what still does, for a while."""
            if self._lingering is not None or self.transport.is_closing():
                return
            if not self._receiving or not self.transport.can_write_eof():
                self.transport.close()
                return
            _cancel(self._deadline)
            self._lingering = self.loop.call_later(LINGER_S, self.cut_off)
            self._unread = 0
            self.transport.write_eof()
            self.flow.resume_reading()

        def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
            cycle.transport = cast(asyncio.Transport, ClosesWhenRead(self.transport, self.close_when_read))
            super()._start_asgi_task(cycle, app)

        def on_response_complete(self) -> None:
            if self._lingering is None:
                super().on_response_complete()

        # -- from the parser -------------------------------------------------------------------------------------

        def on_message_begin(self) -> None:
            self._receiving = True
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            # What came in one piece was not counted while it was unfinished.
            if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
                raise ValueError("the head is too long")  # which the parser makes a 400
            self._unread = 0
            super().on_headers_complete()

        def on_chunk_header(self) -> None:
            self._unread = 0

        def on_body(self, body: bytes) -> None:
            self._unread = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._receiving = False
            self._unread = 0
            super().on_message_complete()

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
