"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a POST sent again is answered again, not done again.

Kept are answers of success only: a refusal changed nothing, so trying again is safe and may fare better. They are in
this process's memory, with caps on their number, bytes and age, and each is one admin token's own.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from router import clock
from router.errors import CapacityError, ConflictError, RequestError, UnprocessableError

MAX_KEY_CHARACTERS: Final = 255
MAX_ENTRIES: Final = 4_096
MAX_BYTES: Final = 4_194_304
MAX_REPLY_BYTES: Final = 65_536
LIFETIME_US: Final = 3_600_000_000

Key = tuple[str, str]
"""Name of the admin token, and the header's value."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it was sent."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def size(self) -> int:
        """About what it takes to keep it."""
        return len(self.body) + sum(len(name) + len(value) for name, value in self.headers)


@dataclass(slots=True)
class _Entry:
    fingerprint: bytes
    begun_us: int
    reply: Reply | None = None
    """None while the request is being served."""


def check_key(value: str) -> str:
    """A key as clients may make one."""
    if not 0 < len(value) <= MAX_KEY_CHARACTERS or not (value.isascii() and value.isprintable()):
        raise RequestError(
            f"Idempotency-Key: expected 1 to {MAX_KEY_CHARACTERS} printable ASCII characters",
            slug="bad-idempotency-key",
        )
    return value


def fingerprint(method: str, target: bytes, body: bytes) -> bytes:
    """What makes two requests the same."""
    return hashlib.sha256(b"\0".join((method.encode(), target, body))).digest()


class Replies:
    """Requests under way and the answers of those before. Used on one event loop."""

    def __init__(
        self,
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        now_us: Callable[[], int] = clock.monotonic_us,
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._now_us = now_us
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        """The earliest first."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, key: Key, request: bytes) -> Reply | None:
        """The answer to give again, or None: serve it, then `finish` or `abandon`."""
        now_us = self._now_us()
        known = self._entries.get(key)
        if known is not None and known.reply is not None and now_us - known.begun_us > LIFETIME_US:
            self.abandon(key)
            known = None
        if known is not None:
            if known.fingerprint != request:
                raise UnprocessableError(
                    "this Idempotency-Key came with another request before", slug="idempotency-key-reused"
                )
            if known.reply is None:
                raise ConflictError("the same request is being served", slug="request-in-progress", retry_after_s=1)
            return known.reply
        self._make_room(self._max_entries - 1, self._max_bytes)
        if len(self._entries) >= self._max_entries:
            raise CapacityError("too many requests under way", slug="too-many-requests-in-progress", retry_after_s=1)
        self._entries[key] = _Entry(request, now_us)
        return None

    def finish(self, key: Key, reply: Reply) -> None:
        """The request was served."""
        if not 200 <= reply.status < 300 or reply.size > MAX_REPLY_BYTES:
            self.abandon(key)
            return
        self._entries[key].reply = reply
        self._bytes += reply.size
        self._make_room(self._max_entries, self._max_bytes)

    def abandon(self, key: Key) -> None:
        """The request came to nothing, or its answer is not to be kept."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.reply is not None:
            self._bytes -= entry.reply.size

    def _make_room(self, max_entries: int, max_bytes: int) -> None:
        """Forgets the earliest answers; requests under way are not forgotten."""
        excess = len(self._entries) - max_entries
        if excess <= 0 and self._bytes <= max_bytes:
            return
        for key in [key for key, entry in self._entries.items() if entry.reply is not None]:
            if len(self._entries) <= max_entries and self._bytes <= max_bytes:
                return
            self.abandon(key)
