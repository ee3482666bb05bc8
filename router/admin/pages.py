"""Pages of long lists. A cursor holds the last key of the page before, so entries that come or go shift nothing."""

import base64
import binascii
from collections.abc import Iterable
from heapq import nsmallest
from typing import Annotated

from fastapi import Query

from router.errors import RequestError

Cursor = Annotated[str | None, Query(max_length=512, description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Entries per page.")]


def cut_page(keys: Iterable[str], cursor: str | None, limit: int) -> tuple[list[str], str | None]:
    """The keys of one page in order, and the cursor of the next."""
    after = read_cursor(cursor)
    page = nsmallest(limit + 1, (key for key in keys if key > after))
    return page[:limit], _write_cursor(page[limit - 1]) if len(page) > limit else None


def _write_cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> str:
    """The last key of the page before."""
    if not cursor:
        return ""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise RequestError("cursor: expected the next_cursor of another page", slug="bad-cursor") from None
