"""The rooms in Redis.

Rooms are written in batches of which each is one transaction over what was watched, so two nodes never both believe
that they won a name. In a cluster only a room's own keys are in one slot, and a batch is one room. Refreshing needs no
transaction: to make another's entry live a little longer does no harm.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from router import clock
from router.cluster.entries import Owner, RoomEntry, RoomSetup, read_setup, write, write_setup
from router.cluster.fencing import settle_room
from router.cluster.keys import Keys
from router.cluster.redis_connections import MAX_CONNECTIONS, Command, Reply
from router.cluster.redis_link import RedisLink
from router.cluster.redis_nodes import MEMORY_MS, RedisNodes
from router.cluster.redis_values import MAX_NUMBER_BYTES, RedisValues, bounded_get

T = TypeVar("T")

BATCH: Final = 100
AT_ONCE: Final = MAX_CONNECTIONS - 2
"""Batches, so that a connection is left for who asks for a room meanwhile."""


class RedisRooms(RedisNodes):
    """The rooms' part of `RedisStore`."""

    def __init__(
        self,
        link: RedisLink,
        keys: Keys,
        values: RedisValues,
        *,
        room_ttl_s: float,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        super().__init__(link, keys, values, now_s=now_s)
        self._room_ttl_s = room_ttl_s
        self._ttl_ms = int(room_ttl_s * 1000)

    async def write_rooms(self, rooms: Sequence[RoomEntry], setups: Mapping[str, RoomSetup]) -> list[RoomEntry]:
        """See `Store`."""
        if not rooms:
            return []
        dead = await self._find_dead_owners([room.name for room in rooms if room.epoch == 0])
        stands: dict[str, RoomEntry] = {}
        for written in await self._in_batches(rooms, lambda batch: self._write_batch(batch, setups, dead)):
            stands.update(written)
        await self._index([room for room in rooms if stands[room.name].node == room.node])
        return [stands[room.name] for room in rooms]

    async def refresh_rooms(self, rooms: Sequence[RoomEntry]) -> list[RoomEntry]:
        """See `Store`."""
        if not rooms:
            return []
        commands = [command for room in rooms for command in self._refresh(room)]
        # A key of another type is refused, and written again like one that is gone.
        replies = await self._link.run("rooms-refresh", commands, refused_is_error=False)
        missing = []
        for room, found in zip(rooms, _split(replies, len(replies) // len(rooms)), strict=True):
            has_setup = all(reply == 1 for reply in found[3:])
            if not has_setup or self._values.room(found[0], room.name) != room:
                missing.append(room)
        gone = {room.name for room in missing}
        await self._index([room for room in rooms if room.name not in gone])
        return missing

    async def remove_rooms(self, rooms: Sequence[RoomEntry], *, forget: bool = True) -> None:
        """See `Store`."""
        if not rooms:
            return
        batches = await self._in_batches(rooms, lambda batch: self._remove_batch(batch, forget))
        removed = [name for names in batches for name in names]
        if removed:
            await self._link.run("index", [("ZREM", self._keys.rooms, *removed)], refused_is_error=False)

    async def read_rooms(self) -> list[RoomEntry]:
        """See `Store`."""
        return await self._read_rooms(await self._names(self._keys.rooms), await self._alive())

    async def read_rooms_after(self, name: str, limit: int) -> list[RoomEntry]:
        """See `Store`. Whatever the number of rooms, not much more than those asked for is read and parsed."""
        alive, found = await self._alive(), list[RoomEntry]()
        names = [later for later in await self._names(self._keys.rooms) if later > name]
        for start in range(0, len(names), limit):
            found += await self._read_rooms(names[start : start + limit], alive)
            if len(found) >= limit:
                break
        return found[:limit]

    async def find_room(self, name: str) -> RoomEntry | None:
        """See `Store`."""
        replies = await self._link.run("room-read", [bounded_get(self._keys.room(name))], refused_is_error=False)
        return self._values.room(replies[0], name)

    async def find_owner(self, room: str) -> Owner | None:
        """See `Store`."""
        found = await self.find_room(room)
        return None if found is None else await self._find_owner(found.node)

    async def find_setup(self, name: str) -> RoomSetup | None:
        """See `Store`."""
        key = self._keys.room(name)
        gets = [bounded_get(part) for part in (self._keys.config(key), self._keys.context(key), self._keys.home(key))]
        config, context, home = await self._link.run("room-read", gets, refused_is_error=False)
        setup = self._values.read("setup", config, lambda raw: read_setup(raw, context))
        return None if setup is None else replace(setup, home=self._values.home(home))

    async def _alive(self) -> set[str]:
        return {node.id for node in await self.read_nodes()}

    async def _read_rooms(self, names: Sequence[str], alive: set[str]) -> list[RoomEntry]:
        gets = [bounded_get(self._keys.room(name)) for name in names]
        replies = await self._link.run("rooms-read", gets, refused_is_error=False) if gets else []
        found = (self._values.room(reply, name) for name, reply in zip(names, replies, strict=True))
        return [room for room in found if room is not None and room.node in alive]

    async def _find_dead_owners(self, names: Sequence[str]) -> set[str]:
        """Of those who have these rooms. By their own keys: the index of nodes is only a hint, and lacks the living
        where it was emptied, or purged by a node whose clock is ahead."""
        gets = [bounded_get(self._keys.room(name)) for name in names]
        replies = await self._link.run("rooms-read", gets, refused_is_error=False) if gets else []
        found = (self._values.room(reply, name) for name, reply in zip(names, replies, strict=True))
        owners = sorted({room.node for room in found if room is not None})
        return set(owners) - {node.id for node in await self._read_nodes(owners)}

    # -- the parts -----------------------------------------------------------------------------------------------

    def _batches(self, rooms: Sequence[RoomEntry]) -> list[list[RoomEntry]]:
        groups: dict[int, list[RoomEntry]] = {}
        for room in rooms:
            groups.setdefault(self._link.group(self._keys.room(room.name)), []).append(room)
        return [group[i : i + BATCH] for group in groups.values() for i in range(0, len(group), BATCH)]

    async def _in_batches(self, rooms: Sequence[RoomEntry], work: Callable[[list[RoomEntry]], Awaitable[T]]) -> list[T]:
        """A few at once: to wait for a connection is part of a call's deadline."""
        places = asyncio.Semaphore(AT_ONCE)

        async def run(batch: list[RoomEntry]) -> T:
            async with places:
                return await work(batch)

        results = await asyncio.gather(*map(run, self._batches(rooms)), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise failures[0]
        return [result for result in results if not isinstance(result, BaseException)]

    def _reads(self, rooms: Sequence[RoomEntry]) -> list[Command]:
        keys = [self._keys.room(room.name) for room in rooms]
        return [get for key in keys for get in (bounded_get(key), bounded_get(self._keys.epoch(key), MAX_NUMBER_BYTES))]

    async def _write_batch(
        self, rooms: Sequence[RoomEntry], setups: Mapping[str, RoomSetup], dead: set[str]
    ) -> dict[str, RoomEntry]:
        stands: dict[str, RoomEntry] = {}

        def decide(replies: list[Reply]) -> list[Command]:
            writes: list[Command] = []
            for room, (raw, last) in zip(rooms, _split(replies, 2), strict=True):
                found = self._values.room(raw, room.name)
                lives = found is not None and found.node not in dead
                settled = settle_room(room, found, self._values.epoch(last), self._now_s(), owner_lives=lives)
                stands[room.name] = settled
                if settled.node == room.node:
                    writes += self._write(settled, setups.get(room.name))
            return writes

        await self._link.check_and_write("rooms-write", self._reads(rooms), decide)
        return stands

    async def _remove_batch(self, rooms: Sequence[RoomEntry], forget: bool) -> list[str]:
        """Names of those that were still ours."""
        removed: list[str] = []

        def decide(replies: list[Reply]) -> list[Command]:
            removed.clear()
            writes: list[Command] = []
            for room, raw in zip(rooms, replies[::2], strict=True):
                found = self._values.room(raw, room.name)
                if found is not None and (found.node, found.epoch) == (room.node, room.epoch):
                    key = self._keys.room(room.name)
                    removed.append(room.name)
                    setup = (self._keys.config(key), self._keys.context(key)) if forget else ()
                    writes.append(("DEL", key, self._keys.home(key), *setup))
            return writes

        await self._link.check_and_write("rooms-remove", self._reads(rooms), decide)
        return removed

    def _write(self, room: RoomEntry, setup: RoomSetup | None) -> list[Command]:
        key = self._keys.room(room.name)
        commands: list[Command] = [
            ("SET", key, write(room), "PX", self._ttl_ms),
            ("SET", self._keys.epoch(key), room.epoch, "PX", MEMORY_MS),
        ]
        if setup is not None:
            config, context = write_setup(setup)
            commands.append(("SET", self._keys.config(key), config, "PX", MEMORY_MS))
            commands.append(("SET", self._keys.context(key), context, "PX", MEMORY_MS))
            if setup.home is not None:
                commands.append(("SET", self._keys.home(key), write(setup.home), "PX", MEMORY_MS))
        return commands

    def _refresh(self, room: RoomEntry) -> list[Command]:
        key = self._keys.room(room.name)
        keep = (part(key) for part in (self._keys.epoch, self._keys.config, self._keys.context, self._keys.home))
        return [bounded_get(key), ("PEXPIRE", key, self._ttl_ms), *(("PEXPIRE", k, MEMORY_MS) for k in keep)]

    async def _index(self, rooms: Sequence[RoomEntry]) -> None:
        expires = self._now_s() + self._room_ttl_s
        for start in range(0, len(rooms), BATCH):
            names = [part for room in rooms[start : start + BATCH] for part in (expires, room.name)]
            await self._add_to_index(self._keys.rooms, names)


def _split(replies: Sequence[Reply], size: int) -> Iterator[Sequence[Reply]]:
    return (replies[start : start + size] for start in range(0, len(replies), size))
