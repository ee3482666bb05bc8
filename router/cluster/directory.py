"""Keeps this node's rooms in the store: writes those that are new or changed, refreshes the others before they
expire, removes those that closed, and closes here what another node has.

One turn is made at a time, by `router.cluster.membership`. Nothing waits for it, and what failed is done by a later
turn.
"""

import logging
from collections.abc import Callable
from typing import Final

from router.cluster.entries import RoomEntry, RoomSetup
from router.cluster.store import Store
from router.metrics import Metrics
from router.rooms.registry import RoomRegistry
from router.rooms.room import Room

logger = logging.getLogger(__name__)

MOVED: Final = "moved"
"""Why a room closes that another node has."""
GRACE_US: Final = 1_500_000
"""After the store lost what it had, nothing new is claimed for so long: those who had a name before come first. All of
them have noticed by then: a heartbeat is 1 s, and an outage ends within a pause of `breaker` and a retry, 0.8 s."""

DescribeSetup = Callable[[Room], RoomSetup]


class RoomDirectory:
    """Used on one event loop."""

    def __init__(
        self, registry: RoomRegistry, store: Store, metrics: Metrics, ttl_s: float, describe_setup: DescribeSetup
    ) -> None:
        self._registry = registry
        self._store = store
        self._metrics = metrics
        self._refresh_us = int(ttl_s * 1e6 / 3)
        self._describe_setup = describe_setup
        self._written: dict[str, RoomEntry] = {}
        self._setups: dict[str, RoomSetup] = {}
        self._refreshed_us = 0
        self._claims_from_us = 0

    def distrust(self, now_us: int, *, lost: bool) -> None:
        """The store was away: all is looked at again. If it `lost` what it had, new claims wait."""
        self._refreshed_us = 0
        if lost:
            self._claims_from_us = now_us + GRACE_US

    async def write(self, node: str, now_us: int) -> None:
        """One turn; raises `StoreError`."""
        await self._remove_closed()
        await self._refresh(now_us)
        entries = {name: self._describe(room, node) for name, room in self._registry.rooms.items()}
        setups = {name: self._describe_setup(room) for name, room in self._registry.rooms.items()}
        setups = {name: setup for name, setup in setups.items() if self._setups.get(name) != setup}
        changed = [
            entry
            for name, entry in entries.items()
            if (name in setups or self._written.get(name) != entry) and (entry.epoch or now_us >= self._claims_from_us)
        ]
        for room, stands in zip(changed, await self._store.write_rooms(changed, setups), strict=True):
            if stands.node == node:
                self._written[room.name] = stands
                self._setups.update({name: setups[name] for name in (room.name,) if name in setups})
            else:
                self._lose(room.name, stands.node)

    def wait_s(self, now_us: int) -> float:
        """Until new claims may be made; 0 where they may be now."""
        return max(0, self._claims_from_us - now_us) / 1e6

    def has_written(self, name: str) -> bool:
        """Whether the store has a room of this name from this life of the node."""
        return name in self._written

    async def remove_all(self) -> None:
        """This node's rooms; raises `StoreError`."""
        written = list(self._written.values())
        self._written.clear()
        self._setups.clear()
        await self._store.remove_rooms(written)

    async def _remove_closed(self) -> None:
        closed = [entry for name, entry in self._written.items() if name not in self._registry.rooms]
        await self._store.remove_rooms(closed)
        for entry in closed:
            self._written.pop(entry.name, None)
            self._setups.pop(entry.name, None)

    async def _refresh(self, now_us: int) -> None:
        if self._refreshed_us and now_us - self._refreshed_us < self._refresh_us:
            return
        for room in await self._store.refresh_rooms(list(self._written.values())):
            # Written again below under the epoch it had, unless somebody else claimed it since.
            self._setups.pop(room.name, None)
        self._refreshed_us = now_us

    def _describe(self, room: Room, node: str) -> RoomEntry:
        written = self._written.get(room.name)
        return RoomEntry(room.name, node, len(room.participants), room.created_s, written.epoch if written else 0)

    def _lose(self, name: str, node: str) -> None:
        self._written.pop(name, None)
        self._setups.pop(name, None)
        room = self._registry.rooms.get(name)
        if room is not None:
            logger.warning("room closed: another node has it", extra={"room": name, "owner": node})
            self._metrics.rooms_lost.inc()
            self._registry.close_room(room, MOVED)
