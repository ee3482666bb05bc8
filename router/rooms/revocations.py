"""What is revoked, as far as this process knows: two tables, one of each reason, so that neither fills the other.

Every request asks `Revocations`, which is memory of this process, so a token costs some look-ups more. Whoever is in a
call with a revoked token is put out by those who listen. Other nodes learn of it through `router.cluster.revocations`,
which exchanges each table with them.

Invariant: a table has a cap, and what is in it is forgotten once no token it concerns can still be good: after a year
(for a token that a backend signs for longer is its own matter), removals after what `RoomLimits` says.
"""

import heapq
import logging
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from router import clock
from router.rooms.names import check_identity, check_room_name
from router.rooms.revocation import REMOVED, REVOKED, Key, Reason, Revocation
from router.rooms.rights import JoinGrant

logger = logging.getLogger(__name__)

MAX_REVOCATIONS: Final = 65_536
MAX_REMOVALS: Final = 16_384
"""Of all rooms and nodes. Moderators make them, who are clients: theirs never take the place of an operator's."""
DEFAULT_MEMORY_S = 366 * 86_400.0
"""More than a year, which is the longest that tokens of this router live."""
WARNING_INTERVAL_S: Final = 60.0


class RevocationTable:
    """Those of one reason. Beyond the cap, those that expire first are forgotten first."""

    def __init__(
        self, reason: Reason, limit: int, on_news: Callable[[Revocation], None], now_s: Callable[[], float]
    ) -> None:
        self.reason = reason
        self.limit = limit
        self.on_local: Callable[[Revocation], None] | None = None
        """Told of what was revoked here, for the other nodes."""
        self._on_news = on_news
        self._now_s = now_s
        self._known: dict[Key, Revocation] = {}
        self._by_expiry: list[Revocation] = []
        """A heap of those known, and of some that were replaced."""
        self._warned_s = float("-inf")

    def __len__(self) -> int:
        self._forget()
        return len(self._known)

    def __iter__(self) -> Iterator[Revocation]:
        self._forget()
        return iter(tuple(self._known.values()))

    def copy(self) -> dict[Key, Revocation]:
        """What is known now."""
        self._forget()
        return self._known.copy()

    def get(self, key: Key) -> Revocation | None:
        """What is known of this."""
        return self._known.get(key)

    def revoke(self, revocation: Revocation) -> Revocation:
        """In force from now on, and told to other nodes."""
        self.learn(revocation)
        if self.on_local is not None:
            self.on_local(revocation)
        return revocation

    def learn(self, revocation: Revocation) -> bool:
        """Takes one from wherever it came; whether it was news."""
        known = self._known.get(revocation.key)
        if revocation.expires_at_s <= self._now_s():
            return False
        if known is not None and known.revoked_at_s >= revocation.revoked_at_s:
            return False
        self._known[revocation.key] = revocation
        heapq.heappush(self._by_expiry, revocation)
        if len(self._by_expiry) > 2 * self.limit:
            self._by_expiry = sorted(self._known.values())
        self._forget()
        self._on_news(revocation)
        return True

    def find(self, grant: JoinGrant) -> Revocation | None:
        """The one that says that the grant's token is refused."""
        self._forget()
        if not self._known:
            return None
        keys = [("", grant.room, grant.identity), ("", "", grant.identity)]
        if grant.token_id:
            keys.append((grant.token_id, "", ""))
        found = (self._known.get(key) for key in keys)
        return next((known for known in found if known is not None and known.concerns(grant)), None)

    def _forget(self) -> None:
        now, heap = self._now_s(), self._by_expiry
        while heap and (heap[0].expires_at_s <= now or len(self._known) > self.limit):
            first = heapq.heappop(heap)
            if self._known.get(first.key) is first:
                del self._known[first.key]
                if first.expires_at_s > now:
                    self._warn(now)

    def _warn(self, now: float) -> None:
        if abs(now - self._warned_s) >= WARNING_INTERVAL_S:
            self._warned_s = now
            logger.warning("too many revocations: those that expire first are forgotten", extra={"reason": self.reason})


class Revocations:
    """All that is revoked. Used on one event loop."""

    def __init__(
        self,
        *,
        memory_s: float = DEFAULT_MEMORY_S,
        limit: int = MAX_REVOCATIONS,
        max_removals: int = MAX_REMOVALS,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        self._memory_s = memory_s
        self._now_s = now_s
        self._listeners: list[Callable[[Revocation], None]] = []
        self.revoked = RevocationTable(REVOKED, limit, self._tell, now_s)
        """By operators."""
        self.removed = RevocationTable(REMOVED, max_removals, self._tell, now_s)
        """Identities that were removed from a room, and banned from it."""

    def __len__(self) -> int:
        return len(self.revoked) + len(self.removed)

    def __iter__(self) -> Iterator[Revocation]:
        return chain(self.revoked, self.removed)

    def listen(self, on_revoked: Callable[[Revocation], None]) -> None:
        """`on_revoked` hears of each new one, from here or elsewhere; it puts out who is inside."""
        self._listeners.append(on_revoked)

    def _tell(self, revocation: Revocation) -> None:
        for listener in self._listeners:
            listener(revocation)

    def revoke_token(self, token_id: str, *, expires_at_s: float | None = None) -> Revocation:
        """Refuses one token from now on; `expires_at_s` is the token's, if known."""
        check_identity(token_id, "token_id")
        now = self._now_s()
        return self.revoked.revoke(Revocation(token_id, "", "", now, expires_at_s or now + self._memory_s))

    def revoke_identity(self, identity: str, room: str = "") -> Revocation:
        """Refuses all tokens of an identity that were issued until now, in one room or in all."""
        check_identity(identity, "identity")
        if room:
            check_room_name(room)
        now = self._now_s()
        return self.revoked.revoke(Revocation("", room, identity, now, now + self._memory_s))

    def remove_identity(self, identity: str, room: str, memory_s: float) -> Revocation:
        """Keeps an identity that was removed from a room out of it, with all tokens that were issued until now."""
        now = self._now_s()
        return self.removed.revoke(Revocation("", room, identity, now, now + memory_s, REMOVED))

    def is_revoked(self, grant: JoinGrant) -> bool:
        """Whether the grant's token is refused."""
        return self._find(grant) is not None

    def check(self, grant: JoinGrant) -> None:
        """Refuses a revoked token."""
        revocation = self._find(grant)
        if revocation is not None:
            raise revocation.refusal()

    def _find(self, grant: JoinGrant) -> Revocation | None:
        return self.revoked.find(grant) or self.removed.find(grant)
