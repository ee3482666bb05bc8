"""Cross-origin resource sharing (Fetch standard) for the signalling paths and the client module, on errors too.

`Access-Control-Allow-Headers: *` would not cover `Authorization`, so the headers are listed. Starlette's middleware is
not used: it answers preflights itself, without the `Accept-Post` that RFC 9725 section 4.2 wants.
Tokens are bearer tokens, never cookies, so credentials mode is never allowed.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALLOWED_METHODS = "POST, PATCH, DELETE, GET, HEAD, OPTIONS"
ALLOWED_HEADERS = "Authorization, Content-Type, Fork-Ufrag, If-Match, If-None-Match"
EXPOSED_HEADERS = "Location, ETag, Link, Retry-After"
MAX_AGE_S = 86_400
RawHeader = tuple[bytes, bytes]
"""As ASGI has them: the name in lower case."""
_ALWAYS: list[RawHeader] = [
    (b"access-control-expose-headers", EXPOSED_HEADERS.encode()),
    (b"access-control-allow-methods", ALLOWED_METHODS.encode()),
    (b"access-control-allow-headers", ALLOWED_HEADERS.encode()),
]
SHARED_PREFIXES = ("/whip/", "/whep/", "/rooms/", "/client.", "/client/")


def is_allowed_origin(origin: str | None, allowed: tuple[str, ...]) -> bool:
    """Whether a request of this origin is welcome; one without comes from no browser."""
    return origin is None or "*" in allowed or origin in allowed


class CorsMiddleware:
    """Adds the headers to every response below `SHARED_PREFIXES`."""

    def __init__(self, app: ASGIApp, allowed_origins: tuple[str, ...]) -> None:
        self._app = app
        self._allowed = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or not scope["path"].startswith(SHARED_PREFIXES):
            await self._app(scope, receive, send)
            return
        origin = Headers(scope=scope).get("origin")

        async def send_shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._share(origin, scope["method"])]
            await send(message)

        await self._app(scope, receive, send_shared)

    def _share(self, origin: str | None, method: str) -> list[RawHeader]:
        headers = [(b"access-control-allow-origin", b"*")]
        if "*" not in self._allowed:
            headers = [(b"vary", b"Origin")]
            if origin is None or origin not in self._allowed:
                return headers
            headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
        headers += _ALWAYS
        if method == "OPTIONS":
            headers.append((b"access-control-max-age", str(MAX_AGE_S).encode()))
        return headers
