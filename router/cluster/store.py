"""The directory of rooms: which node has which room. In memory, or in Redis for other nodes and tools to read.

Redis keys, all under a prefix, a room's key with a hash tag: `<p>:room:{<name>}`, a hash with a time to live, and
`<p>:rooms`, a sorted set of names by expiry in Unix seconds. An entry of a node that vanished expires by itself.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from router import clock
from router.config_model import RedisSettings

COMMAND_TIMEOUT_S = 3.0
MAX_PIPELINED_ROOMS = 500


class StoreError(Exception):
    """The store did not answer; the caller goes on without it."""


@dataclass(frozen=True, slots=True)
class RoomEntry:
    """What the directory says of a room."""

    name: str
    node: str
    participants: int
    created_s: float


class Store(Protocol):
    """Where the directory is kept. Every method may raise `StoreError`."""

    async def write_rooms(self, rooms: Sequence[RoomEntry], ttl_s: float) -> None:
        """Writes these, good for `ttl_s`."""

    async def remove_rooms(self, rooms: Sequence[RoomEntry]) -> None:
        """Removes these, unless another node has written them since."""

    async def read_rooms(self) -> list[RoomEntry]:
        """All that have not expired, by name."""

    async def close(self) -> None:
        """Frees connections."""


class MemoryStore:
    """For a single node."""

    def __init__(self) -> None:
        self._rooms: dict[str, tuple[RoomEntry, float]] = {}

    async def write_rooms(self, rooms: Sequence[RoomEntry], ttl_s: float) -> None:
        """See `Store`."""
        expires = clock.monotonic_us() / 1e6 + ttl_s
        self._rooms.update((room.name, (room, expires)) for room in rooms)

    async def remove_rooms(self, rooms: Sequence[RoomEntry]) -> None:
        """See `Store`."""
        for room in rooms:
            found = self._rooms.get(room.name)
            if found is not None and found[0].node == room.node:
                del self._rooms[room.name]

    async def read_rooms(self) -> list[RoomEntry]:
        """See `Store`."""
        now = clock.monotonic_us() / 1e6
        self._rooms = {name: found for name, found in self._rooms.items() if found[1] > now}
        return [self._rooms[name][0] for name in sorted(self._rooms)]

    async def close(self) -> None:
        """See `Store`."""


class RedisStore:
    """For everybody who can reach the same Redis or Valkey."""

    def __init__(self, url: str, prefix: str) -> None:
        self._prefix = prefix
        self._index = f"{prefix}:rooms"
        # No retries: the directory writes again soon, and a stalled Redis must not pile up work.
        self._redis = Redis.from_url(
            url.replace("valkey", "redis", 1) if url.startswith("valkey") else url,
            decode_responses=True,
            protocol=3,
            socket_timeout=COMMAND_TIMEOUT_S,
            socket_connect_timeout=COMMAND_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )

    async def write_rooms(self, rooms: Sequence[RoomEntry], ttl_s: float) -> None:
        """See `Store`."""
        expires = clock.wall_s() + ttl_s
        for start in range(0, len(rooms), MAX_PIPELINED_ROOMS):
            pipeline = self._redis.pipeline(transaction=False)
            for room in rooms[start : start + MAX_PIPELINED_ROOMS]:
                key = self._key(room.name)
                pipeline.hset(key, mapping={name: str(value) for name, value in asdict(room).items()})
                pipeline.pexpire(key, int(ttl_s * 1000))
                pipeline.zadd(self._index, {room.name: expires})
            await self._run(pipeline.execute())
        await self._run(self._redis.zremrangebyscore(self._index, 0, clock.wall_s()))

    async def remove_rooms(self, rooms: Sequence[RoomEntry]) -> None:
        """See `Store`."""
        for room in rooms:
            key = self._key(room.name)
            if await self._run(self._redis.hget(key, "node")) in (None, room.node):
                pipeline = self._redis.pipeline(transaction=False)
                pipeline.delete(key)
                pipeline.zrem(self._index, room.name)
                await self._run(pipeline.execute())

    async def read_rooms(self) -> list[RoomEntry]:
        """See `Store`."""
        names = cast(list[str], await self._run(self._redis.zrangebyscore(self._index, clock.wall_s(), "+inf")))
        pipeline = self._redis.pipeline(transaction=False)
        for name in sorted(names):
            pipeline.hgetall(self._key(name))
        found = cast(list[dict[str, str]], await self._run(pipeline.execute()))
        return [
            RoomEntry(values["name"], values["node"], int(values["participants"]), float(values["created_s"]))
            for values in found
            if values
        ]

    async def ping(self) -> None:
        """Raises `StoreError` unless Redis answers."""
        await self._run(self._redis.ping())

    async def close(self) -> None:
        """See `Store`."""
        await self._redis.aclose()

    def _key(self, room: str) -> str:
        return f"{self._prefix}:room:{{{room}}}"

    async def _run(self, command: object) -> object:
        try:
            return await command  # type: ignore[misc] # redis-py types its commands as "awaitable or value"
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreError(f"{type(error).__name__}: {error}") from error


async def open_store(settings: RedisSettings) -> Store:
    """The store the settings ask for. Redis may be down: it is not contacted here."""
    if settings.url is None:
        return MemoryStore()
    return RedisStore(settings.url.get_secret_value(), settings.prefix)
