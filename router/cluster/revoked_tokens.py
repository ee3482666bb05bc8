"""Revoked tokens that all nodes share: what was revoked when, kept for as long as a token it concerns could be good.

Two sorted sets of the same texts in one slot: by when they were made, which is the feed (`read` with a time), and by
when they may be forgotten. What a text means is the caller's business, who also checks it; one that is refused is
counted and left out. Sets have no time to live of their own: members are removed when their time is over.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from router import clock
from router.cluster.keys import Keys
from router.cluster.redis_connections import Command
from router.cluster.redis_link import RedisLink
from router.cluster.redis_values import MAX_LEAD_MS, RedisValues
from router.metrics import Metrics

MAX_TOKENS: Final = 65_536
MAX_TEXT_BYTES: Final = 2048


class StoredRevocation(Protocol):
    """What is needed of a revocation; the times are of the wall clock."""

    @property
    def revoked_at_s(self) -> float:
        """When it was made."""

    @property
    def expires_at_s(self) -> float:
        """When it may be forgotten."""

    def write(self) -> str:
        """As a text."""


R = TypeVar("R", bound=StoredRevocation)


class RedisRevokedTokens(Generic[R]):
    """The set in Redis; `parse` makes a revocation of a text or raises `ValueError`."""

    def __init__(
        self,
        link: RedisLink,
        keys: Keys,
        parse: Callable[[str], R],
        metrics: Metrics,
        *,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        self._link = link
        self._keys = keys
        self._parse = parse
        self._values = RedisValues(metrics, now_s=now_s)
        self._now_s = now_s

    async def add(self, revocation: R) -> None:
        """Keeps it until it expires; again is no error. Beyond the cap the oldest are forgotten."""
        text = revocation.write()
        since, until = self._keys.revoked_since, self._keys.revoked_until
        await self._values.run_on_own(
            "revoked",
            self._link,
            "revoked-add",
            [
                ("ZADD", since, revocation.revoked_at_s, text),
                ("ZADD", until, revocation.expires_at_s, text),
                ("ZREMRANGEBYRANK", since, 0, -MAX_TOKENS - 1),
                ("ZREMRANGEBYRANK", until, 0, -MAX_TOKENS - 1),
            ],
        )

    async def read(self, since_s: float) -> Sequence[R]:
        """Those in force that were made at this time or later, in any order."""
        since, until, now = self._keys.revoked_since, self._keys.revoked_until, self._now_s()
        expired, found = await self._values.run_on_own(
            "revoked",
            self._link,
            "revoked-read",
            [
                ("ZRANGEBYSCORE", until, "-inf", now, "LIMIT", 0, 1000),
                ("ZRANGEBYSCORE", since, since_s, "+inf", "LIMIT", 0, MAX_TOKENS),
            ],
        )
        if expired:
            commands: list[Command] = [("ZREM", since, *expired), ("ZREM", until, *expired)]
            await self._link.run("revoked-read", commands)
        read = [self._values.read("revoked", raw, self._read_text) for raw in found]
        return [revocation for revocation in read if revocation is not None and revocation.expires_at_s > now]

    def _read_text(self, raw: object) -> R:
        if not isinstance(raw, bytes) or len(raw) > MAX_TEXT_BYTES:
            raise ValueError("expected a text of bounded size")
        revocation = self._parse(raw.decode())
        if revocation.revoked_at_s * 1000 > self._now_s() * 1000 + MAX_LEAD_MS:
            raise ValueError("a revocation of the future")
        return revocation
