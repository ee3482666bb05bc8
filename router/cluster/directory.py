"""Keeps this node's rooms in the directory. Changes are gathered for a moment and written in one go; nothing waits for
the store, and a store that fails is tried again at the next turn."""

import asyncio
import logging
import secrets
from typing import Final

from router import clock
from router.cluster.store import RoomEntry, Store, StoreError
from router.metrics import Metrics
from router.rooms.registry import RoomRegistry

logger = logging.getLogger(__name__)

TURN_S: Final = 1.0
WARNING_INTERVAL_US: Final = 60_000_000


class RoomDirectory:
    """Writes rooms that are new or changed, refreshes the others before they expire, removes those that closed."""

    def __init__(
        self, registry: RoomRegistry, store: Store, ttl_s: float, metrics: Metrics, *, turn_s: float = TURN_S
    ) -> None:
        self.node = f"N_{secrets.token_hex(8)}"
        self._registry = registry
        self._store = store
        self._ttl_s = ttl_s
        self._turn_s = turn_s
        self._metrics = metrics
        self._written: dict[str, RoomEntry] = {}
        self._refreshed_us = 0
        self._warned_us: int | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="RoomDirectory.run")

    async def close(self) -> None:
        """Removes this node's rooms and ends."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        try:
            await self._store.remove_rooms(list(self._written.values()))
        except StoreError as error:
            self._on_failure(error)
        self._written.clear()

    async def write_now(self) -> None:
        """One turn."""
        rooms = {name: self._describe(name) for name in self._registry.rooms}
        now_us = clock.monotonic_us()
        refresh = (now_us - self._refreshed_us) / 1e6 >= self._ttl_s / 3
        changed = [entry for name, entry in rooms.items() if refresh or self._written.get(name) != entry]
        closed = [entry for name, entry in self._written.items() if name not in rooms]
        try:
            if changed:
                await self._store.write_rooms(changed, self._ttl_s)
            if closed:
                await self._store.remove_rooms(closed)
        except StoreError as error:
            self._on_failure(error)
            return
        if changed or closed:
            self._metrics.redis_up.set(1)
        self._written = rooms
        if refresh:
            self._refreshed_us = now_us

    async def _run(self) -> None:
        while True:
            await self.write_now()
            await asyncio.sleep(self._turn_s)

    def _describe(self, name: str) -> RoomEntry:
        room = self._registry.rooms[name]
        return RoomEntry(name, self.node, len(room.participants), room.created_s)

    def _on_failure(self, error: StoreError) -> None:
        self._metrics.redis_up.set(0)
        now_us = clock.monotonic_us()
        if self._warned_us is None or now_us - self._warned_us >= WARNING_INTERVAL_US:
            self._warned_us = now_us
            logger.warning("the room directory cannot be written; calls go on", extra={"error": str(error)})
