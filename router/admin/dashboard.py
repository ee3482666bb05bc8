"""`/dashboard`: the live page of this router, as plain files that load nothing from elsewhere.

The files need no token, for there is nothing in them; the page asks for one and sends it with every request. Its policy
lets it run only its own scripts and speak only with this port, and lets no script write markup (Trusted Types).
"""

from pathlib import Path
from typing import Final

from fastapi import APIRouter

from router.static_files import StaticFiles

WEB_ROOT: Final = Path(__file__).parent / "web"
_PARTS = (
    *("api", "charts", "dom", "events", "format", "history", "main", "poller", "table"),
    *("view_feed", "view_login", "view_nodes", "view_overview", "view_peer", "view_peer_media", "view_room"),
)
FILES: Final = {
    "/dashboard": ("dashboard.html", "text/html; charset=utf-8"),
    "/dashboard/dashboard.css": ("dashboard.css", "text/css; charset=utf-8"),
    "/dashboard/icon.svg": ("icon.svg", "image/svg+xml"),
    **{f"/dashboard/{part}.js": (f"{part}.js", "text/javascript; charset=utf-8") for part in _PARTS},
}
HEADERS: Final = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), display-capture=()",
}

router = APIRouter(include_in_schema=False)
_files = StaticFiles(WEB_ROOT, FILES, HEADERS)
for _path in FILES:
    router.add_api_route(_path, _files.get, methods=["GET", "HEAD"])
