"""The store in Redis or Valkey: `keys` names the keys, `entries` the values, `fencing` says who may write.

A value that fits no schema counts as absent, and its owner writes it again. Needs Redis 6.2, and of an ACL user's
rights the commands named in `config/router.yaml`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import ResponseError

from router import clock
from router.cluster.entries import SCHEMA_VERSION
from router.cluster.keys import Keys
from router.cluster.redis_connections import Command
from router.cluster.redis_errors import StoreError
from router.cluster.redis_link import SCHEMA_CALL, RedisLink
from router.cluster.redis_rooms import RedisRooms
from router.cluster.redis_values import MAX_NUMBER_BYTES, RedisValues, bounded_get
from router.metrics import Metrics


class RedisStore(RedisRooms):
    """See `Store`. Used on one event loop."""

    def __init__(
        self,
        link: RedisLink,
        keys: Keys,
        metrics: Metrics,
        *,
        room_ttl_s: float = 30.0,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        super().__init__(link, keys, RedisValues(metrics, now_s=now_s), room_ttl_s=room_ttl_s, now_s=now_s)

    def describe(self) -> Mapping[str, Any]:
        """See `Store`."""
        error = self._link.refusal or self._link.last_error
        up = self._link.asked and error is None
        return {"kind": "redis", "mode": self._link.mode, "up": up, "error": error.reason if error else None}

    async def check(self) -> None:
        """See `Store`."""
        key = self._keys.schema
        commands: list[Command] = [("SET", key, SCHEMA_VERSION, "NX"), bounded_get(key, MAX_NUMBER_BYTES)]
        written, found = await self._link.run(SCHEMA_CALL, commands, refused_is_error=False)
        if isinstance(written, ResponseError):
            raise self._link.refused(written)
        if not isinstance(found, bytes) or not found.isdigit() or int(found) > SCHEMA_VERSION:
            self._values.refuse("schema", "not a version that this router knows")
            self._link.refusal = StoreError("schema", f"written by another version; this one knows {SCHEMA_VERSION}")
            raise self._link.refusal
        if int(found) < SCHEMA_VERSION:
            await self._link.run(SCHEMA_CALL, [("SET", key, SCHEMA_VERSION)])
        self._link.refusal = None

    async def close(self) -> None:
        """See `Store`."""
        await self._link.close()
