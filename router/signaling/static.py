"""The files of the demo room and the client module, and the headers that keep a page to itself."""

from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CLIENT_PARTS = (
    "contributors",
    "demand",
    "devices",
    "events",
    "http",
    "join",
    "publications",
    "recover",
    "rights",
    "room",
    "roster",
    "sdp",
    "stats",
    "timings",
    "whip",
    "wishes",
)
_DEMO_PARTS = ("dom", "draining", "grid", "moderation", "pages", "sound", "statistics")
_SCRIPTS = (
    "client.js",
    *(f"client/{part}.js" for part in _CLIENT_PARTS),
    "demo.js",
    *(f"demo/{part}.js" for part in _DEMO_PARTS),
)
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/client.d.ts": ("client.d.ts", "application/typescript; charset=utf-8"),
    "/demo.css": ("demo.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    **{f"/{script}": (script, "text/javascript; charset=utf-8") for script in _SCRIPTS},
}
"""Path, file and media type. Nothing else is ever read, so no path can leave the folder."""


class SecurityHeadersMiddleware:
    """Content security policy and its companions, on every response."""

    def __init__(self, app: ASGIApp, public_url: str | None, *, other_nodes: bool = False) -> None:
        self._app = app
        self._headers = [
            (b"content-security-policy", write_policy(public_url, other_nodes=other_nodes).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"no-referrer"),
            (b"permissions-policy", b"camera=(self), microphone=(self), display-capture=(self)"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, send_guarded)


def write_policy(public_url: str | None, *, other_nodes: bool = False) -> str:
    """Everything from this origin; signalling also from the public one, which `Location` headers name, and from nodes
    that a room may be at or move to while the page is open."""
    connect = ["'self'"]
    parts = urlsplit(public_url or "")
    if parts.netloc:
        socket_scheme = "wss" if parts.scheme == "https" else "ws"
        connect += [f"{parts.scheme}://{parts.netloc}", f"{socket_scheme}://{parts.netloc}"]
    if other_nodes:
        secure = public_url is not None and public_url.startswith("https:")
        connect += ["https:", "wss:"] if secure else ["http:", "https:", "ws:", "wss:"]
    return "; ".join(
        (
            "default-src 'self'",
            f"connect-src {' '.join(connect)}",
            "img-src 'self' data: blob:",
            "media-src 'self' blob: mediastream:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
