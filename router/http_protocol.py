"""uvicorn's protocols with the limits that uvicorn lacks (threats-and-faults.md H4).

A request that has begun must be complete, headers and body, within the deadline, however its bytes are dripped in; a
new connection must send one within the same time. A head that was begun is told 408; of a body that is too slow whoever
reads it tells, before. Between requests uvicorn's own keep-alive timeout rules. A client that stops reading its
response, or its WebSocket, is cut off after the deadline too: a closing connection would wait for it for ever. What
still fits into the kernel's buffers is the business of `TCP_USER_TIMEOUT`, see `listener.py`.

HTTP is parsed by httptools (llhttp in C): with h11, in Python, a seventh of what joining costs was HTTP. It keeps what
it was fed of an unfinished header without limit, so what is unfinished is counted here. It lets pass what RFC 9112 has
a server refuse (`find_fault`), and hands over trailers like headers: those are dropped, for whoever looked at the
headers has not seen them. What is refused here reaches no application; its answers are problem documents (RFC 9457) all
the same.
"""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, cast

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

from router.errors import CapacityError, RequestError, RequestTimeoutError, RouterError
from router.problems import MEDIA_TYPE, describe_problem, write_problem

LINGER_S: Final = 2.0
"""How long a refused request may go on arriving: closed at once, the kernel would take the answer back with a reset."""
MAX_LINGER_BYTES: Final = 4_194_304
MAX_HEAD_BYTES: Final = 16_384
"""Of a request line with headers, of the trailers of a chunked body, of the line before a chunk."""
CROWDED_RETRY_S: Final = 5
BAD_HANDSHAKE: Final = (
    f"expected a WebSocket handshake: GET without a body, at most {MAX_NUM_HEADERS} headers, lines of at most "
    f"{MAX_LINE_LENGTH} bytes (a longer token may come as the first message)"
)
"""The websockets library reads a handshake anew, and takes less than llhttp does."""
MAX_PIPELINED: Final = 16
"""Requests on a connection that wait for the one before: all that one read brings are parsed in one go, and no browser
sends any."""


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


def find_fault(headers: list[tuple[bytes, bytes]], http_version: str) -> str | None:
    """What a server refuses though it could be parsed (RFC 9112 sections 3.2 and 6.1): it would be read in two ways.

    >>> find_fault([(b"host", b"a"), (b"host", b"b")], "1.1")
    'expected one header Host'
    """
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (not hosts and http_version == "1.1"):
        return "expected one header Host"
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings not in ([], [b"chunked"]):
        return "Transfer-Encoding: expected chunked and no other coding"
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEAD_BYTES:
        return f"the headers are longer than {MAX_HEAD_BYTES} bytes"
    return None


def write_refusal(error: RouterError) -> bytes:
    """The whole response, after which the connection ends."""
    body = json.dumps(describe_problem(error.slug, error.title, error.status, error.public_detail)).encode()
    retry = [] if error.retry_after_s is None else [f"Retry-After: {error.retry_after_s}"]
    head = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        *retry,
        "Connection: close\r\n\r\n",
    ]
    return "\r\n".join(head).encode() + body


def is_crowded() -> CapacityError:
    """There are as many connections as may be (`public.max_connections`)."""
    return CapacityError("too many connections", slug="too-many-connections", retry_after_s=CROWDED_RETRY_S)


async def refuse_crowd(scope: Scope, receive: Receive, send: Send) -> None:
    """The application that answers requests beyond that.

    A preflight is none of them: only after a good one may a page read the refusal of the request that it is for.
    """
    close = {"Connection": "close"}
    answer = Response(None, 204, close) if scope["method"] == "OPTIONS" else write_problem(is_crowded(), close)
    await answer(scope, receive, send)


def make_http_protocol(deadline_s: float, crowded: ASGIApp = refuse_crowd) -> type[HttpToolsProtocol]:
    """The protocol class for `uvicorn.Config(http=…)`, with this deadline and answer to requests that are too many."""

    class DeadlineProtocol(SendDeadline, HttpToolsProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: uvicorn's own signature
            super().__init__(*args, **kwargs)
            self.deadline_s = deadline_s
            self._deadline: asyncio.TimerHandle | None = None
            self._receiving = True
            """Whether a request is on its way, or what the peer takes for one."""
            self._in_head = False
            """Whether its first bytes have come, and not yet its end. Fields that come later are trailers."""
            self._unread = 0
            """Bytes since something last came of them."""
            self._fault = ""
            """Why the parser was stopped."""
            self._serving: RequestResponseCycle | None = None
            """The request that is or was answered last; those behind it wait in `pipeline`."""
            self._lingering: asyncio.TimerHandle | None = None
            """Until when the rest of a refused request is dropped."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
            super().connection_made(transport)
            self._deadline = self.loop.call_later(deadline_s, self._on_deadline)

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
                self.send_400_response(f"a line or a head is longer than {MAX_HEAD_BYTES} bytes")
            elif self._deadline is None:
                self._deadline = self.loop.call_later(deadline_s, self._on_deadline)

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self._deadline)
            _cancel(self._lingering)
            self._deadline = None
            super().connection_lost(exc)

        def _on_deadline(self) -> None:
            """It took too long. That is said where no answer is under way; whoever reads a body has said it before."""
            if self._in_head and (self.cycle is None or self.cycle.response_complete):
                self._refuse(RequestTimeoutError(f"the head of the request did not arrive within {deadline_s:g} s"))
            else:
                self.cut_off()

        def send_400_response(self, msg: str) -> None:
            self._refuse(RequestError(self._fault or msg, slug="bad-http"))

        def handle_websocket_upgrade(self) -> None:
            # uvicorn's own limit is of other requests.
            if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
                self._refuse(is_crowded())
            else:
                super().handle_websocket_upgrade()

        def _refuse(self, error: RouterError) -> None:
            self.pipeline.clear()
            serving = self._serving
            if serving is not None and not serving.response_complete:
                # Nothing of its response may follow the refusal, nor the refusal be in the midst of it.
                serving.disconnected = True
                serving.message_event.set()
            if serving is None or serving.response_complete or not serving.response_started:
                self.transport.write(write_refusal(error))
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

        def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # Any: uvicorn has types of its own
            self._serving = cycle
            cycle.transport = cast(asyncio.Transport, ClosesWhenRead(self.transport, self.close_when_read))
            answering: Any = crowded if app is service_unavailable else app
            super()._start_asgi_task(cycle, answering)

        def on_response_complete(self) -> None:
            if self._lingering is None:
                super().on_response_complete()

        # -- from the parser -------------------------------------------------------------------------------------

        def on_message_begin(self) -> None:
            self._receiving = self._in_head = True
            super().on_message_begin()

        def on_header(self, name: bytes, value: bytes) -> None:
            if self._in_head:
                super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._in_head = False
            fault = find_fault(self.headers, self.parser.get_http_version())
            if len(self.url) > MAX_HEAD_BYTES:  # what came in one piece was not counted while it was unfinished
                fault = f"the URL is longer than {MAX_HEAD_BYTES} bytes"
            elif len(self.pipeline) >= MAX_PIPELINED:
                fault = f"more than {MAX_PIPELINED} requests wait on this connection"
            if fault is not None:
                self._fault = fault
                raise ValueError(fault)  # which the parser makes a 400
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

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # uvicorn waits for ever, and so would the connection: no deadline of ours is left.
            if self.conn.handshake_exc is not None and not self.handshake_initiated:
                self.transport.write(write_refusal(RequestError(BAD_HANDSHAKE, slug="bad-http")))
                self.transport.close()

    return DeadlineWebSocket


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
