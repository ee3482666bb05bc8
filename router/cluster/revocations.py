"""Revocations between nodes: what was revoked here is written to the store, what others revoked is read from it.

A node follows the end of the set, twice a second. Besides, it goes round the whole of it, a page every few seconds:
what is over is removed, what this node knows and did not meet was lost and is written again, whoever revoked it. It
goes round at once when it begins, after the store had failed, and when fewer are there than it knows (emptied, failed
over). So what is spent does not grow with what is revoked, and nothing that a node still knows stays lost.

Without the store all goes on with what this process knows; what it revokes meanwhile is written when the store is back.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from router import clock
from router.cluster.revoked_tokens import PAGE, Page
from router.cluster.store import StoreError
from router.rooms.revocation import Key, Revocation
from router.rooms.revocations import RevocationTable

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 0.4
"""Half of what a revocation may take to act everywhere, so that one slow answer still fits."""
SKEW_S: Final = 30.0
"""Clocks of nodes differ: what has expired stays for so long, or a slower one would take it for lost."""
CHECK_S: Final = 5.0


class RevokedTokens(Protocol):
    """Where all nodes find what any of them revoked, in the order of writing. Methods may raise `StoreError`."""

    async def add(self, revocations: Sequence[Revocation]) -> None:
        """Puts them at the end; again is no error."""

    async def remove(self, revocations: Sequence[Revocation]) -> None:
        """Takes them out; those that are not there are no error."""

    async def read(self, after: float) -> Page[Revocation]:
        """A page of what was written after this; `-inf`: of all."""

    async def find_end(self) -> float:
        """After which nothing is written yet."""

    async def check(self) -> int:
        """How many there are."""


@dataclass(slots=True)
class _Round:
    """On the way through the whole set."""

    unmet: dict[Key, Revocation]
    """What was known when it began, as far as it was not met."""
    hurried: bool
    """Page after page, not one at a time."""
    position: float = -math.inf


class RevocationExchange:
    """One node's side of the store, for one table."""

    def __init__(
        self,
        table: RevocationTable,
        store: RevokedTokens,
        *,
        now_s: Callable[[], float] = clock.wall_s,
        now_us: Callable[[], int] = clock.monotonic_us,
    ) -> None:
        self._table = table
        self._store = store
        self._now_s = now_s
        self._now_us = now_us
        self._fresh: dict[Key, Revocation] = {}
        """Revoked here and not written yet."""
        self._lost: dict[Key, Revocation] = {}
        """Known, and no longer in the store."""
        self._followed = -math.inf
        self._round: _Round | None = None
        """None: to be begun, in a hurry."""
        self._check_us = 0
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def start(self) -> None:
        """Begins to exchange; for a running loop."""
        self._table.on_local = self._on_local
        name = f"RevocationExchange {self._table.reason}"
        self._task = asyncio.get_running_loop().create_task(self._run(), name=name)

    async def close(self) -> None:
        """Ends it. Idempotent."""
        self._table.on_local = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self._write(self._fresh, len(self._fresh))

    def _on_local(self, revocation: Revocation) -> None:
        self._fresh[revocation.key] = revocation
        self._woken.set()

    async def _run(self) -> None:
        more = False
        while True:
            try:
                more = await self.exchange()
                self._failing = False
            except StoreError as error:
                more = False
                if not self._failing:
                    logger.warning("revocations are not exchanged", extra={"reason": str(error)})
                self._failing = True
            except Exception:
                more = False
                logger.exception("exchange of revocations failed")
            if not more:
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(INTERVAL_S):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def exchange(self) -> bool:
        """Writes what is not written yet, and reads a page of what is new and of what is due. Whether there is more to
        do at once; raises `StoreError`."""
        try:
            await self._write(self._fresh, len(self._fresh))
            if self._round is None:
                await self._begin_hurried()
            caught_up = await self._follow()
            if caught_up:  # else what another node is writing again would be written twice
                await self._write(self._lost, PAGE)
            hurried = await self._go_round()
        except BaseException:
            self._round = None
            raise
        return hurried or not caught_up or bool(self._lost)

    async def _write(self, waiting: dict[Key, Revocation], limit: int) -> None:
        """As many of these, but for what was replaced or has expired meanwhile."""
        batch = list(islice(waiting.values(), limit))
        current = [one for one in batch if self._table.get(one.key) is one]
        if current:
            await self._store.add(current)
        for one in batch:
            if waiting.get(one.key) is one:
                del waiting[one.key]

    async def _follow(self) -> bool:
        """Whether nothing more is new."""
        page = await self._store.read(self._followed)
        self._followed = page.end
        self._take(page)
        return page.last

    def _take(self, page: Page[Revocation]) -> None:
        unmet = self._round.unmet if self._round else {}
        for found in page.found:
            self._table.learn(found)
            for missing in (unmet, self._lost):
                if missing.get(found.key) == found:
                    del missing[found.key]

    # -- all of it -----------------------------------------------------------------------------------------------

    async def _begin_hurried(self) -> None:
        # The end may have come nearer: what stood there was lost.
        self._followed = await self._store.find_end()
        self._round = _Round(self._table.copy(), hurried=True)

    async def _go_round(self) -> bool:
        """Takes the next page if it is time. Whether another one follows at once."""
        assert self._round is not None, "begun before"
        now_us = self._now_us()
        if now_us >= self._check_us:
            self._check_us = now_us + int(CHECK_S * 1e6)
            written = len(self._table) - len(self._fresh) - len(self._lost)
            if await self._store.check() < written and not self._round.hurried:
                await self._begin_hurried()
        elif not self._round.hurried:
            return False
        page = await self._store.read(self._round.position)
        self._round.position = page.end
        self._take(page)
        await self._store.remove([found for found in page.found if self._is_over(found)])
        if not page.last:
            return self._round.hurried
        # The order of a set of texts is each process' own: nodes that lost the same begin at different ends.
        unmet = self._round.unmet
        self._lost |= {key: unmet[key] for key in set(unmet)}
        self._round = _Round(self._table.copy(), hurried=False)
        return False

    def _is_over(self, found: Revocation) -> bool:
        now, known = self._now_s(), self._table.get(found.key)
        if found.expires_at_s <= now:
            return found.expires_at_s <= now - SKEW_S
        if known is None:
            return True  # the table is full of what lasts longer
        written = found.key not in self._fresh and found.key not in self._lost
        return written and known.revoked_at_s > found.revoked_at_s
