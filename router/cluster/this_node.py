"""This router as a node: what it says of itself, of how full it is, and of what its rooms are made of."""

import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from router import __version__, clock
from router.cluster.directory import RoomDirectory
from router.cluster.entries import NodeEntry, RoomSetup
from router.cluster.load import LoadMeter
from router.cluster.membership import Membership, NodeLoad
from router.cluster.store import Store
from router.metrics import Metrics
from router.rooms.registry import RoomRegistry
from router.rooms.remembered import RememberedRoom
from router.rooms.room import Room

if TYPE_CHECKING:
    from router.config_model import RedisSettings


def join_others(
    registry: RoomRegistry,
    store: Store,
    settings: "RedisSettings",
    metrics: Metrics,
    *,
    public_url: str,
    read_busy_us: Callable[[], Sequence[int]],
) -> Membership:
    """A membership to be started; `read_busy_us` tells how long each engine thread has worked so far."""
    now_s = clock.wall_s()
    node = NodeEntry(
        id=settings.node or f"N_{secrets.token_hex(8)}",
        epoch=0,
        state="serving",
        admin_url=settings.admin_url or "",
        public_url=public_url,
        region=settings.region,
        version=__version__,
        load=0.0,
        rooms=0,
        participants=0,
        started_s=now_s,
        seen_s=now_s,
    )
    meter = LoadMeter()

    def measure() -> NodeLoad:
        rooms = registry.rooms.values()
        participants = sum(len(room.participants) for room in rooms)
        load = meter.measure(read_busy_us())
        metrics.load_ratio.set(load)
        return NodeLoad(load, len(rooms), participants, registry.draining)

    def describe_setup(room: Room) -> RoomSetup:
        origin = room.origin
        return RoomSetup(
            RememberedRoom.of(room).describe(), room.revision, origin.context_id, origin.secret, node.address
        )

    directory = RoomDirectory(registry, store, metrics, settings.ttl_s, describe_setup)
    membership = Membership(node, store, directory, measure)
    registry.on_rooms_changed = membership.wake
    return membership
