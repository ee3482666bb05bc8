"""What every request on the admin port goes through before its route: whose page sent it, and its body.

A body is read under a limit of size and time, and only of who has a token: a stranger's stays unread. It must be I-JSON
(RFC 7493) and say so; FastAPI's own reading has no limit, takes the last of two equal keys, NaN, and UTF-16. Without a
token configured, whatever runs on this machine may ask, but a web page may not: neither by a name that it made point
here (DNS rebinding), nor across origins (a form needs no preflight).
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.admin.auth import find_token
from router.admin.state import AdminState
from router.errors import ForbiddenError, RequestError, RouterError, UnsupportedMediaTypeError
from router.json_input import read_value
from router.problems import write_problem
from router.request_body import read_content_type, read_text

MAX_BODY_BYTES: Final = 65_536
BODY_TIMEOUT_S: Final = 8.0
"""Less than the connection's own deadline, which ends it without an answer."""
LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "::1")
CLOSE_POLICY: Final = 1008
BYTE_ORDER_MARK: Final = "\ufeff"


class GuardMiddleware:
    """Around the application."""

    def __init__(self, app: ASGIApp, state: AdminState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            headers = Headers(scope=scope)
            if not self._state.tokens:
                check_page(headers)
            if scope["type"] == "http" and has_body(headers):
                receive, send = await self._read(scope, headers, receive, send)
        except RouterError as error:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": CLOSE_POLICY})
            else:
                await write_problem(error)(scope, receive, _closing(send))
            return
        await self._app(scope, receive, send)

    async def _read(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> tuple[Receive, Send]:
        if self._state.tokens and find_token(headers, self._state.tokens) is None:
            return _replay(b"", receive), _closing(send)
        request = Request(scope, receive)
        text = await read_text(request, limit_bytes=MAX_BODY_BYTES, timeout_s=BODY_TIMEOUT_S)
        if text:
            check_body(request, text)
        return _replay(text.encode(), receive), send


def has_body(headers: Headers) -> bool:
    """RFC 9112 section 6."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def check_body(request: Request, text: str) -> None:
    """Refuses what is not JSON, by its type or its text."""
    media_type = read_content_type(request)
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaTypeError("Content-Type: expected application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("Content-Encoding: expected none")
    if text.startswith(BYTE_ORDER_MARK):
        raise RequestError("expected JSON: it begins with a byte order mark", slug="bad-json")
    read_value(text)


def check_page(headers: Headers) -> None:
    """Refuses names that are not of this machine, and pages of other origins."""
    host = headers.get("host", "")
    if _read_name(f"//{host}") not in LOOPBACK_NAMES:
        raise ForbiddenError(
            f"without a token only {', '.join(LOOPBACK_NAMES)} are served; set admin.token", slug="bad-host"
        )
    origin = headers.get("origin")
    if origin is not None and origin.lower().partition("://")[2] != host.lower():
        raise ForbiddenError("without a token, pages of other origins are not served", slug="foreign-origin")


def _read_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _replay(body: bytes, original: Receive) -> Receive:
    """Gives the body once, and then tells when the client goes."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        while (message := await original())["type"] != "http.disconnect":
            pass
        return message

    return receive


def _closing(send: Send) -> Send:
    """Ends the connection after the response: the rest of the body is not wanted."""

    async def send_last(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [field for field in message["headers"] if field[0].lower() != b"connection"]
            message["headers"] = [*headers, (b"connection", b"close")]
        await send(message)

    return send_last
