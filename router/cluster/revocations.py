"""Revoked tokens between nodes: what was revoked here is written to the store, what others revoked is read from it.

A reader looks twice a second for what is new, and every few seconds at everything: what the store lost in between
(emptied, failed over) is written to it again by the node that revoked it. Without the store all goes on with what this
process knows; what it revokes meanwhile is written when the store is back.
"""

import asyncio
import logging
from collections.abc import Callable

from router import clock
from router.cluster.store import StoreError
from router.rooms.revocation import Revocation, Revocations, RevokedTokens

logger = logging.getLogger(__name__)

INTERVAL_S = 0.4
"""Half of what a revocation may take to act everywhere, so that one slow answer still fits."""
SKEW_S = 30.0
"""Clocks of nodes differ, and writes may come late: so far back is read again."""
FULL_READ_S = 5.0


class MemoryRevokedTokens:
    """A `RevokedTokens` for the nodes of one process, which is what tests are."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], Revocation] = {}

    async def add(self, revocation: Revocation) -> None:
        """See `RevokedTokens`."""
        self._kept[revocation.key] = revocation

    async def read(self, since_s: float) -> list[Revocation]:
        """See `RevokedTokens`."""
        return [kept for kept in self._kept.values() if kept.revoked_at_s >= since_s]


class RevocationExchange:
    """One node's side of the store."""

    def __init__(
        self,
        revocations: Revocations,
        store: RevokedTokens,
        *,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        self._revocations = revocations
        self._store = store
        self._now_s = now_s
        self._own: dict[tuple[str, str, str], Revocation] = {}
        """What was revoked here and is still in force."""
        self._unwritten: set[tuple[str, str, str]] = set()
        self._full_read_s = float("-inf")
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def start(self) -> None:
        """Begins to exchange; for a running loop."""
        self._revocations.on_local = self._on_local
        self._task = asyncio.get_running_loop().create_task(self._run(), name="RevocationExchange")

    async def close(self) -> None:
        """Ends it. Idempotent."""
        self._revocations.on_local = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _on_local(self, revocation: Revocation) -> None:
        self._own[revocation.key] = revocation
        self._unwritten.add(revocation.key)
        self._woken.set()

    async def _run(self) -> None:
        while True:
            try:
                await self.exchange()
                self._failing = False
            except StoreError as error:
                if not self._failing:
                    logger.warning("revoked tokens are not exchanged", extra={"reason": str(error)})
                self._failing = True
            except Exception:
                logger.exception("exchange of revoked tokens failed")
            try:
                async with asyncio.timeout(INTERVAL_S):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()

    async def exchange(self) -> None:
        """Writes what is not written yet, reads what is new; raises `StoreError`."""
        now = self._now_s()
        for key in tuple(self._unwritten):
            await self._store.add(self._own[key])
            self._unwritten.discard(key)
        full = now - self._full_read_s >= FULL_READ_S
        found = await self._store.read(0.0 if full else now - SKEW_S)
        for revocation in found:
            self._revocations.learn(revocation)
        if full:
            self._full_read_s = now
            self._own = {key: own for key, own in self._own.items() if own.expires_at_s > now}
            self._unwritten = set(self._own) - {revocation.key for revocation in found}
            if self._unwritten:
                self._woken.set()
