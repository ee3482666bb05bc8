"""Where no admin token is configured, whatever runs on this machine may ask, but a web page may not.

Neither by a name that it made point here (DNS rebinding), nor across origins: a form needs no preflight (Fetch standard
section 3.3), so a page of anybody could otherwise make this port do what needs no body.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from router.errors import ForbiddenError

NAMES: Final = ("127.0.0.1", "localhost", "::1")


def check_page(scope: Scope) -> None:
    """For `Screening`: refuses names that are not of this machine, and pages of other origins."""
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if _read_name(f"//{host}") not in NAMES:
        raise ForbiddenError(f"without a token only {', '.join(NAMES)} are served; set admin.token", slug="bad-host")
    origin = headers.get("origin")
    if origin is not None and origin.lower().partition("://")[2] != host.lower():
        raise ForbiddenError("without a token, pages of other origins are not served", slug="foreign-origin")


def _read_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
