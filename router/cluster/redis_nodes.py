"""The nodes in Redis, and the sorted sets that take the place of KEYS and SCAN.

An index may name what is gone; it is only a hint. One that is not a sorted set is not ours: it is removed, and comes
back with the next heartbeats.
"""

from collections.abc import Callable, Sequence
from typing import Final

from redis.exceptions import ResponseError

from router import clock
from router.cluster.entries import NodeEntry, Owner, write
from router.cluster.fencing import settle_node
from router.cluster.keys import Keys
from router.cluster.memory_store import NODE_TTL_S
from router.cluster.redis_connections import Command, Reply
from router.cluster.redis_link import RedisLink
from router.cluster.redis_values import MAX_NUMBER_BYTES, RedisValues, bounded_get

MAX_LISTED: Final = 100_000
MEMORY_MS: Final = 3_600_000
"""How long an epoch, an index, and what a room was made of, outlive an entry."""
INDEX_SLACK_S: Final = 60.0
"""Names stay in an index for longer than their entries, since clocks differ."""


class RedisNodes:
    """The nodes' part of `RedisStore`."""

    def __init__(
        self, link: RedisLink, keys: Keys, values: RedisValues, *, now_s: Callable[[], float] = clock.wall_s
    ) -> None:
        self._link = link
        self._keys = keys
        self._values = values
        self._now_s = now_s

    async def write_node(self, node: NodeEntry) -> tuple[NodeEntry, bool]:
        """See `Store`."""
        key = self._keys.node(node.id)
        stands, was_there = node, False

        def decide(replies: list[Reply]) -> list[Command]:
            nonlocal stands, was_there
            found = self._values.node(replies[0], node.id)
            was_there = found is not None
            stands = settle_node(node, found, self._values.epoch(replies[1]), self._now_s())
            if node.epoch not in (0, stands.epoch):
                return []
            life = ("PX", int(NODE_TTL_S * 1000))
            return [
                ("SET", key, write(stands), *life),
                ("SET", self._keys.epoch(key), stands.epoch, "PX", MEMORY_MS),
            ]

        reads = [bounded_get(key), bounded_get(self._keys.epoch(key), MAX_NUMBER_BYTES)]
        await self._link.check_and_write("node-write", reads, decide)
        if node.epoch in (0, stands.epoch):
            await self._add_to_index(self._keys.nodes, [self._now_s() + NODE_TTL_S, node.id])
        return stands, was_there

    async def remove_node(self, node: NodeEntry) -> None:
        """See `Store`."""
        key, removed = self._keys.node(node.id), False

        def decide(replies: list[Reply]) -> list[Command]:
            nonlocal removed
            found = self._values.node(replies[0], node.id)
            removed = found is not None and found.epoch == node.epoch and found.seen_s <= node.seen_s
            return [("DEL", key)] if removed else []

        await self._link.check_and_write("node-write", [bounded_get(key)], decide)
        if removed:
            await self._link.run("index", [("ZREM", self._keys.nodes, node.id)], refused_is_error=False)

    async def read_nodes(self) -> list[NodeEntry]:
        """See `Store`."""
        return await self._read_nodes(await self._names(self._keys.nodes))

    async def _read_nodes(self, ids: Sequence[str]) -> list[NodeEntry]:
        gets = [bounded_get(self._keys.node(id_)) for id_ in ids]
        replies = await self._link.run("nodes-read", gets, refused_is_error=False) if gets else []
        found = (self._values.node(reply, id_) for id_, reply in zip(ids, replies, strict=True))
        return [node for node in found if node is not None]

    async def find_node(self, id_: str) -> NodeEntry | None:
        """See `Store`."""
        replies = await self._link.run("nodes-read", [bounded_get(self._keys.node(id_))], refused_is_error=False)
        return self._values.node(replies[0], id_)

    async def _find_owner(self, id_: str) -> Owner | None:
        key = self._keys.node(id_)
        raw, left_ms = await self._link.run("nodes-read", [bounded_get(key), ("PTTL", key)], refused_is_error=False)
        node = self._values.node(raw, id_)
        if node is None:
            return None
        # Whoever may not ask for it, or finds an entry that never expires, takes the node for well.
        return Owner(node, NODE_TTL_S - left_ms / 1000 if type(left_ms) is int and left_ms >= 0 else 0.0)

    async def _add_to_index(self, index: str, members: Sequence[float | str]) -> None:
        """Adds scores and names, and forgets what expired long ago; all of it, when nobody adds any more."""
        old = f"({self._now_s() - INDEX_SLACK_S}"
        commands: list[Command] = [
            ("ZADD", index, *members),
            ("ZREMRANGEBYSCORE", index, "-inf", old),
            ("PEXPIRE", index, MEMORY_MS),
        ]
        replies = await self._link.run("index", commands, refused_is_error=False)
        refused = [reply for reply in replies if isinstance(reply, ResponseError)]
        if refused and str(refused[0]).startswith("WRONGTYPE"):
            self._values.refuse("index", "expected a sorted set")
            await self._link.run("index", [("DEL", index), commands[0]])
        elif refused:
            raise self._link.refused(refused[0])

    async def _names(self, index: str) -> list[str]:
        """Sorted; what fits no name is left out."""
        found = (await self._link.run("index", [("ZRANGE", index, 0, MAX_LISTED - 1)], refused_is_error=False))[0]
        if not isinstance(found, list):
            self._values.refuse("index", "expected a sorted set")
            return []
        return sorted(name for raw in found if (name := self._values.name(raw)) is not None)
