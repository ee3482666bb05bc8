"""The latest deltas of one roster, so that a watcher that missed some need not be told everything anew.

Deltas are kept as the texts that were sent, with a cap on their number and one on their size; the oldest go first. The
log's id is new with every life of a room: a version means nothing in another log.
"""

import secrets
from collections import deque
from itertools import islice

from router.rooms.limits import RoomLimits

ID_BYTES = 8


class RosterLog:
    """Texts of consecutive versions, the last of which is `version`."""

    def __init__(self, limits: RoomLimits) -> None:
        self.id = f"L_{secrets.token_hex(ID_BYTES)}"
        self.version = 0
        self._limits = limits
        self._texts: deque[str] = deque()
        self._bytes = 0

    def append(self, text: str) -> None:
        """The delta that leads to the next version."""
        self.version += 1
        self._texts.append(text)
        self._bytes += count_bytes(text)
        while len(self._texts) > self._limits.max_log_deltas or self._bytes > self._limits.max_log_bytes:
            self._bytes -= count_bytes(self._texts.popleft())

    def read_since(self, version: int) -> list[str] | None:
        """What leads from that version to the present one; None if that is not known any more, or not yet."""
        missed = self.version - version
        if not 0 <= missed <= len(self._texts):
            return None
        return list(islice(self._texts, len(self._texts) - missed, None))


def count_bytes(text: str) -> int:
    """Size in UTF-8, without making it if it is plain.

    >>> count_bytes("ada"), count_bytes("née")
    (3, 4)
    """
    return len(text) if text.isascii() else len(text.encode())
