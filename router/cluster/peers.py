"""The other nodes, as requests see them: who has a room that is not here, and who takes newcomers instead of us.

For what is here nobody is asked. Every question to the store has a short deadline, and none is asked while heartbeats
fail: then this node knows of no other, and goes on alone.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from router.cluster.entries import NodeEntry, RoomEntry
from router.cluster.membership import Membership
from router.cluster.redis_errors import StoreError
from router.cluster.store import Store
from router.rooms.registry import RoomRegistry

T = TypeVar("T")

LOOKUP_TIMEOUT_S: Final = 0.5


class Peers:
    """Of one router. Used on one event loop."""

    def __init__(
        self, registry: RoomRegistry, store: Store, membership: Membership, *, timeout_s: float = LOOKUP_TIMEOUT_S
    ) -> None:
        self._registry = registry
        self._store = store
        self._membership = membership
        self._timeout_s = timeout_s

    @property
    def id(self) -> str:
        """Of this node."""
        return self._membership.node.id

    def describe_this(self) -> NodeEntry:
        """This node, true in this moment but for its load, which is measured once a second."""
        rooms = self._registry.rooms.values()
        return replace(
            self._membership.node,
            state="draining" if self._registry.draining else "serving",
            rooms=len(rooms),
            participants=sum(len(room.participants) for room in rooms),
        )

    def has(self, room: str) -> bool:
        """Whether it is open here."""
        return room in self._registry.rooms

    async def find_owner(self, room: str) -> NodeEntry | None:
        """The other node that has the room; None where none has it. `StoreError` where that cannot be known."""
        if self.has(room):
            return None
        return await self._ask(self._find_owner(room))

    async def find_node(self, id_: str) -> NodeEntry | None:
        """One of those alive; `StoreError` where that cannot be known."""
        return self.describe_this() if id_ == self.id else await self._ask(self._store.find_node(id_))

    async def read_nodes(self) -> list[NodeEntry]:
        """All, this one among them, by id; `StoreError` where others cannot be known."""
        nodes = {node.id: node for node in await self._ask(self._store.read_nodes())}
        return [node for _, node in sorted({**nodes, self.id: self.describe_this()}.items())]

    async def read_rooms_after(self, name: str, limit: int) -> list[RoomEntry]:
        """Rooms of other nodes by name, as many as asked for or as there are; `StoreError`."""
        found: list[RoomEntry] = []
        while len(found) < limit:
            page = await self._ask(self._store.read_rooms_after(name, limit))
            found += [room for room in page if room.node != self.id and not self.has(room.name)]
            if len(page) < limit:
                break
            name = page[-1].name
        return found[:limit]

    async def choose_serving(self) -> NodeEntry | None:
        """The least loaded of those that take newcomers and that clients can be sent to. None where there is none."""
        try:
            nodes = await self.read_nodes()
        except StoreError:
            return None
        able = [node for node in nodes if node.state == "serving" and self.may_send_to(node)]
        return min(able, key=lambda node: (node.load, node.participants, node.id), default=None)

    def may_send_to(self, node: NodeEntry) -> bool:
        """Whether clients that are sent to its public URL come to another place than this one."""
        return node.public_url not in ("", self._membership.node.public_url)

    async def _find_owner(self, room: str) -> NodeEntry | None:
        entry = await self._store.find_room(room)
        if entry is None or entry.node == self.id:
            return None
        return await self._store.find_node(entry.node)

    async def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        if self._membership.failure is not None:
            question.close()
            raise StoreError(self._membership.failure.reason, "other nodes cannot be asked for")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await question
        except TimeoutError:
            raise StoreError("timeout") from None
