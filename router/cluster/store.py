"""What nodes know of each other: who is there, who has which room, and what a room is made of.

`MemoryStore` is the default, for a single node; `RedisStore` is for everybody who can reach the same Redis or Valkey.
The store is a directory, not the truth: the node that has a room knows it, entries of a node that vanished expire, and
nothing of a call waits for any of this.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from router.cluster.entries import NodeEntry, Owner, RoomEntry, RoomSetup
from router.cluster.event_stream import EventStream
from router.cluster.keys import Keys
from router.cluster.memory_store import MemoryStore
from router.cluster.redis_errors import StoreError
from router.cluster.redis_link import RedisLink
from router.cluster.redis_store import RedisStore
from router.cluster.redis_target import parse_target
from router.cluster.revoked_tokens import R, RedisRevokedTokens
from router.metrics import Metrics
from router.rooms.revocation import REVOKED, Reason

if TYPE_CHECKING:
    from router.config_model import RedisSettings


__all__ = ["OpenStore", "Store", "StoreError", "open_store"]


class Store(Protocol):
    """Where it is kept. Every method but `describe` may raise `StoreError`; what was begun then may be half done."""

    def describe(self) -> Mapping[str, Any]:  # Any: JSON
        """What it is and how it does, for health pages. No address, no secret."""

    async def check(self) -> None:
        """Refuses a store whose schema is newer than ours, also for all other methods from then on."""

    async def write_node(self, node: NodeEntry) -> tuple[NodeEntry, bool]:
        """Writes a node, and tells what stands there now (a greater epoch than ours: somebody took our place), and
        whether there was anything before."""

    async def remove_node(self, node: NodeEntry) -> None:
        """Removes it, unless somebody took its place or it was heard of since."""

    async def read_nodes(self) -> list[NodeEntry]:
        """Those alive, by id."""

    async def find_node(self, id_: str) -> NodeEntry | None:
        """One of those alive."""

    async def write_rooms(self, rooms: Sequence[RoomEntry], setups: Mapping[str, RoomSetup]) -> list[RoomEntry]:
        """Writes or claims rooms, with what they are made of where it is given, and tells what stands there now."""

    async def refresh_rooms(self, rooms: Sequence[RoomEntry]) -> list[RoomEntry]:
        """Makes them live longer; those that do not stand there as given."""

    async def remove_rooms(self, rooms: Sequence[RoomEntry], *, forget: bool = True) -> None:
        """Removes these, unless somebody else claimed them since. What they were made of is removed too, or, not to
        `forget`, stays for a while, as that of a node that died; but there is no node left to be asked for them."""

    async def read_rooms(self) -> list[RoomEntry]:
        """All rooms of nodes that are alive, by name."""

    async def read_rooms_after(self, name: str, limit: int) -> list[RoomEntry]:
        """The next ones of `read_rooms` after a name, as many as asked for or as there are."""

    async def find_room(self, name: str) -> RoomEntry | None:
        """The room, whether its node is alive or not."""

    async def find_owner(self, room: str) -> Owner | None:
        """The node that has the room, if it is alive."""

    async def find_setup(self, name: str) -> RoomSetup | None:
        """What the room is made of, and the node to ask for it; it outlives the node for a while."""

    async def close(self) -> None:
        """Frees connections. Idempotent."""


@dataclass(frozen=True, slots=True)
class OpenStore:
    """The store, and what else there is when it is Redis."""

    store: Store
    link: RedisLink | None = None
    keys: Keys | None = None
    events: EventStream | None = None

    def open_revoked_tokens(
        self, reason: Reason, parse: Callable[[str], R], metrics: Metrics, *, limit: int
    ) -> RedisRevokedTokens[R] | None:
        """The set of this reason, with what `parse` makes of texts; None in memory, where there is nobody to tell."""
        if self.link is None or self.keys is None:
            return None
        key = self.keys.revoked if reason == REVOKED else self.keys.removed
        return RedisRevokedTokens(self.link, key, parse, metrics, limit=limit)


def open_store(settings: "RedisSettings", metrics: Metrics) -> OpenStore:
    """The store the settings ask for. Redis may be down: it is not contacted here."""
    if settings.url is None:
        return OpenStore(MemoryStore(room_ttl_s=settings.ttl_s))
    keys = Keys(settings.prefix)
    link = RedisLink(parse_target(settings.url.get_secret_value()), metrics, timeout_s=settings.timeout_s)
    store = RedisStore(link, keys, metrics, room_ttl_s=settings.ttl_s)
    return OpenStore(store, link, keys, EventStream(link, keys, metrics, max_entries=settings.max_events))
