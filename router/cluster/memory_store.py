"""The store of a single node, or of several in one process, which is what tests are. The same rules as with Redis."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from router import clock
from router.cluster.entries import NodeEntry, Owner, RoomEntry, RoomSetup
from router.cluster.fencing import settle_node, settle_room

NODE_TTL_S: Final = 8.0
"""Several heartbeats; a node that was killed and its rooms are gone after this."""


class MemoryStore:
    """See `Store`. Used on one event loop."""

    def __init__(
        self,
        *,
        room_ttl_s: float = 30.0,
        now_s: Callable[[], float] = clock.wall_s,
        now_us: Callable[[], int] = clock.monotonic_us,
    ) -> None:
        self._room_ttl_us = int(room_ttl_s * 1e6)
        self._now_s = now_s
        self._now_us = now_us
        self._nodes: dict[str, tuple[NodeEntry, int]] = {}
        self._rooms: dict[str, tuple[RoomEntry, int]] = {}
        self._setups: dict[str, RoomSetup] = {}

    def describe(self) -> Mapping[str, Any]:
        """See `Store`."""
        return {"kind": "memory", "up": True}

    async def check(self) -> None:
        """See `Store`."""

    async def write_node(self, node: NodeEntry) -> tuple[NodeEntry, bool]:
        """See `Store`."""
        found = self._living_nodes().get(node.id)
        stands = settle_node(node, found, 0, self._now_s())
        if node.epoch in (0, stands.epoch):
            self._nodes[node.id] = stands, self._now_us() + int(NODE_TTL_S * 1e6)
        return stands, found is not None

    async def remove_node(self, node: NodeEntry) -> None:
        """See `Store`."""
        found = self._nodes.get(node.id)
        if found is not None and found[0].epoch == node.epoch and found[0].seen_s <= node.seen_s:
            del self._nodes[node.id]

    async def read_nodes(self) -> list[NodeEntry]:
        """See `Store`."""
        nodes = self._living_nodes()
        return [nodes[id_] for id_ in sorted(nodes)]

    async def find_node(self, id_: str) -> NodeEntry | None:
        """See `Store`."""
        return self._living_nodes().get(id_)

    async def write_rooms(self, rooms: Sequence[RoomEntry], setups: Mapping[str, RoomSetup]) -> list[RoomEntry]:
        """See `Store`."""
        result = []
        alive, living = self._living_nodes(), self._living_rooms()
        for room in rooms:
            found = living.get(room.name)
            lives = found is not None and found.node in alive
            stands = settle_room(room, found, 0, self._now_s(), owner_lives=lives)
            if stands.node == room.node:
                self._rooms[room.name] = stands, self._now_us() + self._room_ttl_us
                if room.name in setups:
                    self._setups[room.name] = setups[room.name]
            result.append(stands)
        return result

    async def refresh_rooms(self, rooms: Sequence[RoomEntry]) -> list[RoomEntry]:
        """See `Store`."""
        living = self._living_rooms()
        expires = self._now_us() + self._room_ttl_us
        self._rooms.update((room.name, (room, expires)) for room in rooms if living.get(room.name) == room)
        return [room for room in rooms if living.get(room.name) != room]

    async def remove_rooms(self, rooms: Sequence[RoomEntry], *, forget: bool = True) -> None:  # noqa: ARG002
        """See `Store`. This one goes with its process: there is nothing to be kept for."""
        for room in rooms:
            found = self._rooms.get(room.name)
            if found is not None and (found[0].node, found[0].epoch) == (room.node, room.epoch):
                del self._rooms[room.name]
                self._setups.pop(room.name, None)

    async def read_rooms(self) -> list[RoomEntry]:
        """See `Store`."""
        alive, rooms = self._living_nodes(), self._living_rooms()
        return [rooms[name] for name in sorted(rooms) if rooms[name].node in alive]

    async def read_rooms_after(self, name: str, limit: int) -> list[RoomEntry]:
        """See `Store`."""
        return [room for room in await self.read_rooms() if room.name > name][:limit]

    async def find_room(self, name: str) -> RoomEntry | None:
        """See `Store`."""
        return self._living_rooms().get(name)

    async def find_owner(self, room: str) -> Owner | None:
        """See `Store`."""
        found = self._living_rooms().get(room)
        node, expires = self._nodes.get(found.node, (None, 0)) if found else (None, 0)
        left_s = (expires - self._now_us()) / 1e6
        return Owner(node, NODE_TTL_S - left_s) if node is not None and left_s > 0 else None

    async def find_setup(self, name: str) -> RoomSetup | None:
        """See `Store`."""
        return self._setups.get(name) if name in self._living_rooms() else None

    async def close(self) -> None:
        """See `Store`."""

    def _living_nodes(self) -> dict[str, NodeEntry]:
        now = self._now_us()
        return {id_: node for id_, (node, expires) in self._nodes.items() if expires > now}

    def _living_rooms(self) -> dict[str, RoomEntry]:
        now = self._now_us()
        self._rooms = {name: found for name, found in self._rooms.items() if found[1] > now}
        return {name: room for name, (room, _) in self._rooms.items()}
