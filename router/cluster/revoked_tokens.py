"""Revocations that all nodes share, of one reason: a sorted set of texts in the order in which they were written.

A member's score is its writer's wall clock, or just above the greatest score there is: what is written, also again
after a loss, is at the end, so whoever goes on where it stopped misses nothing, whatever the clocks of nodes say. What
a text means is the caller's business, who also checks it and removes what is over; one that is refused is counted and
left out. The set has no time to live of its own, but a cap: beyond it, those that were written first go.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from router import clock
from router.cluster.redis_connections import Command, Reply
from router.cluster.redis_link import RedisLink
from router.cluster.redis_values import MAX_LEAD_MS, RedisValues
from router.metrics import Metrics

MAX_TEXT_BYTES: Final = 2048
PAGE: Final = 500
"""In one exchange: all that there may be would take longer than a call may, and hold the event loop up."""
STEP_S: Final = 1e-6
"""Between two scores; a double still tells them apart."""
MAX_TRIES: Final = 4


class StoredRevocation(Protocol):
    """What is needed of a revocation."""

    @property
    def revoked_at_s(self) -> float:
        """When it was made, on the wall clock."""

    def write(self) -> str:
        """As a text."""


R = TypeVar("R", bound=StoredRevocation)


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Some of the set, in the order in which they were written."""

    found: Sequence[R]
    """Also those that have expired; broken ones left out."""
    end: float
    """Where to go on."""
    last: bool
    """Whether there is no more at present."""


class RedisRevokedTokens(Generic[R]):
    """The set in Redis; `parse` makes a revocation of a text or raises `ValueError`."""

    def __init__(
        self,
        link: RedisLink,
        key: str,
        parse: Callable[[str], R],
        metrics: Metrics,
        *,
        limit: int,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        self._link = link
        self._key = key
        self._parse = parse
        self._limit = limit
        self._values = RedisValues(metrics, now_s=now_s)
        self._now_s = now_s
        self._seen = -math.inf
        """The greatest score that was ever found; ours come after it."""

    async def add(self, revocations: Sequence[R]) -> None:
        """Puts them at the end; again is no error. Beyond the cap those that were written first are forgotten."""
        texts = [revocation.write() for revocation in revocations]
        for start in range(0, len(texts), PAGE):
            await self._append(texts[start : start + PAGE])

    async def _append(self, texts: Sequence[str]) -> None:
        for _ in range(MAX_TRIES):
            first = max(self._now_s(), self._seen + STEP_S)
            scores = [first + number * STEP_S for number in range(len(texts))]
            words = [word for pair in zip(scores, texts, strict=True) for word in pair]
            since: Command = ("ZCOUNT", self._key, scores[0], self._latest())
            trim: Command = ("ZREMRANGEBYRANK", self._key, 0, -self._limit - 1)
            write: Command = ("ZADD", self._key, *words)
            _, count, last, _ = await self._run("revoked-add", write, since, self._last(), trim)
            self._see(last)
            if count <= len(texts):
                break
            # Somebody's clock is ahead of ours, or was faster: whoever has read on to there would miss these.

    async def remove(self, revocations: Sequence[R]) -> None:
        """Takes them out; those that are not there are no error."""
        for start in range(0, len(revocations), PAGE):
            texts = [revocation.write() for revocation in revocations[start : start + PAGE]]
            await self._run("revoked-remove", ("ZREM", self._key, *texts))

    async def read(self, after: float) -> Page[R]:
        """What was written after this, of which `-inf` is before everything."""
        page: Command = ("ZRANGEBYSCORE", self._key, f"({after!r}", self._latest(), "LIMIT", 0, PAGE, "WITHSCORES")
        (reply,) = await self._run("revoked-read", page)
        texts = reply[::2]
        read = (self._values.read("revoked", text, self._read_text) for text in texts)
        found = [revocation for revocation in read if revocation is not None]
        return Page(found, self._see(reply, after), last=len(texts) < PAGE)

    async def find_end(self) -> float:
        """After which nothing is written yet."""
        (last,) = await self._run("revoked-read", self._last())
        return self._see(last)

    async def check(self) -> int:
        """How many there are. What claims to be of the future is removed: it would be there for ever."""
        future: Command = ("ZREMRANGEBYSCORE", self._key, f"({self._latest()!r}", "+inf")
        removed, count = await self._run("revoked-check", future, ("ZCOUNT", self._key, "-inf", "+inf"))
        if removed:
            self._values.refuse("revoked", "written in the future")
        return int(count)

    async def _run(self, call: str, *commands: Command) -> list[Reply]:
        return await self._values.run_on_own("revoked", self._link, call, commands)

    def _latest(self) -> float:
        """No honest clock is further ahead."""
        return self._now_s() + MAX_LEAD_MS / 1000

    def _last(self) -> Command:
        return ("ZRANGE", self._key, self._latest(), "-inf", "BYSCORE", "REV", "LIMIT", 0, 1, "WITHSCORES")

    def _see(self, reply: Sequence[bytes], otherwise: float = -math.inf) -> float:
        """The last score of a reply with scores."""
        end = float(reply[-1]) if reply else otherwise
        self._seen = max(self._seen, end)
        return end

    def _read_text(self, raw: object) -> R:
        if not isinstance(raw, bytes) or len(raw) > MAX_TEXT_BYTES:
            raise ValueError("expected a text of bounded size")
        revocation = self._parse(raw.decode())
        if revocation.revoked_at_s > self._latest():
            raise ValueError("a revocation of the future")
        return revocation
