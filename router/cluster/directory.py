"""Keeps this node's rooms in the store: writes those that are new or changed, refreshes the others before they
expire, removes those that closed, and closes here what another node has. A room that closed because the node goes is
remembered like one of a node that died: its people come back elsewhere.

One turn is made at a time, by `router.cluster.membership`. Nothing waits for it, and what failed is done by a later
turn. So is what a turn has no time for: however many the rooms and however slow the store, the next heartbeat comes
before others take this node for dead.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from router import clock
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
TURN_US: Final = 1_500_000
"""After so long a turn begins no further slice. A node is thought dead after 8 s, and a call ends within 3."""
SLICE: Final = 50
"""Rooms that are written, refreshed or removed together, after which a turn may end. What was done stays done."""

T = TypeVar("T")
DescribeSetup = Callable[[Room], RoomSetup]
SetupVersion = tuple[str, int, tuple[str, ...] | None]


class RoomDirectory:
    """Used on one event loop."""

    def __init__(
        self,
        registry: RoomRegistry,
        store: Store,
        metrics: Metrics,
        ttl_s: float,
        describe_setup: DescribeSetup,
        *,
        now_us: Callable[[], int] = clock.monotonic_us,
    ) -> None:
        self._registry = registry
        self._store = store
        self._metrics = metrics
        self._refresh_us = int(ttl_s * 1e6 / 3)
        self._describe_setup = describe_setup
        self._written: dict[str, RoomEntry] = {}
        self._setups: dict[str, SetupVersion] = {}
        """What the store has; describing a room costs more than telling whether it changed."""
        self._now_us = now_us
        self._refreshed_us = 0
        self._unrefreshed: list[str] | None = None
        """Rooms that are still to be refreshed; None: no round is under way."""
        self._claims_from_us = 0
        self._turn_ends_us = 0
        self.behind = False
        """Whether the last turn left something to do."""

    def distrust(self, *, lost: bool) -> None:
        """The store was away: all is looked at again. If it `lost` what it had, new claims wait."""
        self._refreshed_us, self._unrefreshed = 0, None
        if lost:
            self._claims_from_us = self._now_us() + GRACE_US

    async def write(self, node: str) -> None:
        """One turn; raises `StoreError`."""
        self._turn_ends_us, self.behind = self._now_us() + TURN_US, False
        await self._remove_closed()
        await self._refresh()
        await self._write_changed(node)

    def wait_s(self) -> float:
        """Until new claims may be made; 0 where they may be now."""
        return max(0, self._claims_from_us - self._now_us()) / 1e6

    def has_written(self, name: str) -> bool:
        """Whether the store has a room of this name from this life of the node."""
        return name in self._written

    async def remove_all(self) -> None:
        """This node's rooms; raises `StoreError`."""
        written = list(self._written.values())
        self._written.clear()
        self._setups.clear()
        await self._remove(written)

    async def _remove_closed(self) -> None:
        closed = [entry for name, entry in self._written.items() if name not in self._registry.rooms]
        for entries in self._slices(closed):
            await self._remove(entries)
            for entry in entries:
                self._written.pop(entry.name, None)
                self._setups.pop(entry.name, None)
        self._registry.left_behind.intersection_update(self._written)

    async def _remove(self, entries: Sequence[RoomEntry]) -> None:
        """What ended is forgotten. What did not, or only because the node goes, is to open elsewhere as it was."""
        kept = self._registry.left_behind | self._registry.rooms.keys()
        await self._store.remove_rooms([entry for entry in entries if entry.name not in kept])
        await self._store.remove_rooms([entry for entry in entries if entry.name in kept], forget=False)

    async def _refresh(self) -> None:
        now_us = self._now_us()
        if self._unrefreshed is None:
            if self._refreshed_us and now_us - self._refreshed_us < self._refresh_us:
                return
            self._refreshed_us, self._unrefreshed = now_us, list(self._written)
        for names in self._slices(self._unrefreshed):
            entries = [self._written[name] for name in names if name in self._written]
            for room in await self._store.refresh_rooms(entries):
                # Written again below under the epoch it had, unless somebody else claimed it since.
                self._setups.pop(room.name, None)
            self._unrefreshed = self._unrefreshed[len(names) :]
        self._unrefreshed = self._unrefreshed or None

    async def _write_changed(self, node: str) -> None:
        claims = self._now_us() >= self._claims_from_us
        open_rooms = self._registry.rooms
        entries = {name: self._describe(room, node) for name, room in open_rooms.items()}
        versions = {name: _version(room) for name, room in open_rooms.items()}
        setups = {
            name: self._describe_setup(open_rooms[name])
            for name, version in versions.items()
            if self._setups.get(name) != version
        }
        changed = [
            entry
            for name, entry in entries.items()
            if (name in setups or self._written.get(name) != entry) and (entry.epoch or claims)
        ]
        for rooms in self._slices(changed):
            given = {room.name: setups[room.name] for room in rooms if room.name in setups}
            for room, stands in zip(rooms, await self._store.write_rooms(rooms, given), strict=True):
                if stands.node == node:
                    self._written[room.name] = stands
                    if room.name in given:
                        self._setups[room.name] = versions[room.name]
                else:
                    self._lose(room.name, stands.node)

    def _slices(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """One at least, and the next ones as far as the turn's time goes."""
        for start in range(0, len(items), SLICE):
            if start and self._now_us() >= self._turn_ends_us:
                self.behind = True
                return
            yield items[start : start + SLICE]

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


def _version(room: Room) -> SetupVersion:
    """Another one where another setup is to be written."""
    return room.id, room.revision, room.moderation.remembered
