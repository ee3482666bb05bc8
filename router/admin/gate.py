"""What every request under `/v1` passes before its route sees it, so that no route can forget it.

In this order: the admin token and its scope, the rate of that token, the body (bounded in size and time, one JSON
object without duplicate keys), and for POST the `Idempotency-Key`. Without a token, nothing of a body is read.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.admin.auth import OPERATOR, READING, authenticate
from router.admin.idempotency import MAX_REPLY_BYTES, Key, Replies, Reply, check_key, fingerprint
from router.admin.state import AdminState
from router.errors import RateLimitedError, RequestError, RouterError
from router.json_input import read_value
from router.problems import on_router_error
from router.rates import RateLimiter
from router.request_body import check_content_type, read_text

PREFIX: Final = "/v1/"
MAX_BODY_BYTES: Final = 65_536
BODY_TIMEOUT_S: Final = 8.0
"""Less than the connection's own deadline, which ends it without an answer."""
BURST_S: Final = 3.0
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
REPLAYED: Final = (b"idempotency-replayed", b"true")


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, state: AdminState) -> None:
        self._app = app
        self._state = state
        self._limiter = RateLimiter(state.requests_per_s, max(1, round(BURST_S * state.requests_per_s)))
        self._replies = Replies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or not path.startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            operator = authenticate(request, self._state)
            self._count(operator.name)
            scope[OPERATOR] = operator
            if request.method in READING:
                body = None
            else:
                body = await _read_body(request)
            key = _read_key(request, operator.name)
            known = None if key is None else self._replies.begin(key, _fingerprint(request, body or b""))
        except RouterError as error:
            response = await on_router_error(request, error)
            if "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0":
                response.headers["Connection"] = "close"  # the rest of the body is not wanted
            await response(scope, receive, send)
            return
        if known is not None:
            response = Response(known.body, known.status)
            response.raw_headers = [*known.headers, REPLAYED]
            await response(scope, receive, send)
            return
        receive = receive if body is None else replay(body, receive)
        if key is None:
            await self._app(scope, receive, send)
        else:
            await self._serve_once(key, scope, receive, send)

    def _count(self, name: str) -> None:
        try:
            self._limiter.take(name)
        except RateLimitedError as error:
            raise RateLimitedError("too many requests with this token", retry_after_s=error.retry_after_s) from error

    async def _serve_once(self, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        recorder = _Recorder(send)
        try:
            await self._app(scope, receive, recorder.send)
        finally:
            if (reply := recorder.reply) is None:
                self._replies.abandon(key)
            else:
                self._replies.finish(key, reply)


class _Recorder:
    """Passes an answer on and remembers it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message = {}
        self._body = bytearray()
        self._complete = False

    async def send(self, message: Message) -> None:
        """For the application."""
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            if len(self._body) <= MAX_REPLY_BYTES:  # what is longer is not kept anyway
                self._body += message.get("body", b"")
            self._complete = not message.get("more_body", False)
        await self._send(message)

    @property
    def reply(self) -> Reply | None:
        """None for one that broke off."""
        if not self._complete:
            return None
        return Reply(self._start["status"], tuple(self._start.get("headers", ())), bytes(self._body))


async def _read_body(request: Request) -> bytes:
    text = await read_text(request, limit_bytes=MAX_BODY_BYTES, timeout_s=BODY_TIMEOUT_S)
    if text:
        check_content_type(request, "application/json")
        read_value(text)
    return text.encode()


def _read_key(request: Request, operator: str) -> Key | None:
    given = request.headers.getlist(IDEMPOTENCY_KEY)
    if request.method != "POST" or not given:
        return None
    if len(given) > 1:
        raise RequestError(f"{IDEMPOTENCY_KEY}: expected it once", slug="bad-idempotency-key")
    return operator, check_key(given[0])


def _fingerprint(request: Request, body: bytes) -> bytes:
    target = request.scope["path"].encode() + b"?" + request.scope.get("query_string", b"")
    return fingerprint(request.method, target, body)


def replay(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read once more."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
