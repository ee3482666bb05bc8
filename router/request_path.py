"""Refuses request paths that mean something else to somebody else (RFC 3986 sections 2.1 and 6.2.2), on both ports.

The server decodes percent-encodings before routes are looked up. An encoded slash would then divide a segment, so that
a name is another route; what is no UTF-8 would be replaced, so that two paths are one name; a dot segment is removed by
one proxy and not by the next. None of these is ever sent by an honest client: names with a slash do not exist.
"""

import re
import unicodedata
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from router.errors import RequestError

_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH: Final = re.compile(rb"%2[fF]")


def check_request_path(scope: Scope) -> None:
    """For `Screening`."""
    check_path(scope.get("raw_path") or b"/")


def check_path(raw: bytes) -> None:
    """`RequestError` unless the path, as it was sent, can be read in one way only.

    >>> check_path(b"/v1/rooms/caf%C3%A9")
    """
    if _BROKEN_ESCAPE.search(raw):
        raise _refuse("a percent sign begins two hexadecimal digits")
    if _ENCODED_SLASH.search(raw):
        raise _refuse("an encoded slash is not allowed")
    try:
        path = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise _refuse("percent-encodings are of UTF-8") from None
    if not path.isprintable() and any(unicodedata.category(character) == "Cc" for character in path):
        raise _refuse("control characters are not allowed")
    if any(segment in (".", "..") for segment in path.split("/")):
        raise _refuse("dot segments are not allowed")


def _refuse(why: str) -> RequestError:
    return RequestError(f"path: {why}", slug="bad-path")
