"""Values from Redis, which anybody with its password may have written: read up to a bound, checked, and counted."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar

from redis.exceptions import ResponseError

from router import clock
from router.cluster.entries import (
    MAX_EPOCH,
    MAX_VALUE_BYTES,
    NodeAddress,
    NodeEntry,
    RoomEntry,
    read_address,
    read_node,
    read_room,
)
from router.cluster.redis_connections import Command, Reply
from router.cluster.redis_link import RedisLink
from router.metrics import Metrics

logger = logging.getLogger(__name__)

T = TypeVar("T")
Kind = Literal["node", "room", "setup", "home", "epoch", "index", "revoked", "events", "schema"]

MAX_LEAD_MS: Final = 86_400_000
"""No honest clock is a day ahead; an epoch beyond would keep everybody else out for as long."""
MAX_NAME_BYTES: Final = 1024
MAX_NUMBER_BYTES: Final = 20
WARNING_INTERVAL_US: Final = 60_000_000


def bounded_get(key: str, limit: int = MAX_VALUE_BYTES) -> Command:
    """Reads no more than one byte too many, which is refused then."""
    return ("GETRANGE", key, 0, limit)


class RedisValues:
    """Checks replies. What it refuses is None to the caller, as if nothing were there."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        now_s: Callable[[], float] = clock.wall_s,
        now_us: Callable[[], int] = clock.monotonic_us,
    ) -> None:
        self._metrics = metrics
        self._now_s = now_s
        self._now_us = now_us
        self._warned_us: dict[Kind, int] = {}

    def read(self, kind: Kind, reply: Reply, parse: Callable[[object], T]) -> T | None:
        """The value; None if there is none, or none that may be believed."""
        if reply is None or reply == b"":
            return None
        try:
            if isinstance(reply, ResponseError):
                raise ValueError("expected another type of key")
            return parse(reply)
        except ValueError as error:
            self.refuse(kind, str(error))
            return None

    def node(self, reply: Reply, id_: str) -> NodeEntry | None:
        """What stands under the key of a node."""
        return self.read("node", reply, lambda raw: self._check_node(read_node(raw), id_))

    def room(self, reply: Reply, name: str) -> RoomEntry | None:
        """What stands under the key of a room."""
        return self.read("room", reply, lambda raw: self._check_room(read_room(raw), name))

    def home(self, reply: Reply) -> NodeAddress | None:
        """The node to ask for a room."""
        return self.read("home", reply, read_address)

    def epoch(self, reply: Reply) -> int:
        """The last epoch, 0 if none is known."""
        return self.read("epoch", reply, lambda raw: self._check_epoch(_read_number(raw))) or 0

    def name(self, reply: Reply) -> str | None:
        """A member of an index."""
        return self.read("index", reply, _read_name)

    async def run_on_own(self, kind: Kind, link: RedisLink, call: str, commands: Sequence[Command]) -> list[Reply]:
        """Runs commands on keys that all nodes fill together. One of another type is not ours: it is removed, and the
        nodes fill it again."""
        replies = await link.run(call, commands, refused_is_error=False)
        wrong = {command[1]: reply for command, reply in zip(commands, replies, strict=True) if _is_wrong_type(reply)}
        if wrong:
            self.refuse(kind, "expected another type of key")
            await link.run(call, [("DEL", key) for key in wrong])
            replies = await link.run(call, commands, refused_is_error=False)
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise link.refused(reply)
        return replies

    def refuse(self, kind: Kind, why: str) -> None:
        """Counts it, and says so once a minute. What it was is not repeated."""
        self._metrics.record_value_refused(kind)
        now_us = self._now_us()
        if now_us - self._warned_us.get(kind, now_us - WARNING_INTERVAL_US) >= WARNING_INTERVAL_US:
            self._warned_us[kind] = now_us
            logger.warning("a value in the store was refused", extra={"kind": kind, "reason": why[:200]})

    def _check_node(self, node: NodeEntry, id_: str) -> NodeEntry:
        if node.id != id_:
            raise ValueError("the node of another key")
        self._check_epoch(node.epoch)
        return node

    def _check_room(self, room: RoomEntry, name: str) -> RoomEntry:
        if room.name != name:
            raise ValueError("the room of another key")
        self._check_epoch(room.epoch)
        return room

    def _check_epoch(self, epoch: int) -> int:
        if epoch > self._now_s() * 1000 + MAX_LEAD_MS:
            raise ValueError("an epoch of the future")
        return epoch


def _is_wrong_type(reply: Reply) -> bool:
    return isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE")


def _read_number(raw: object) -> int:
    if not isinstance(raw, bytes) or len(raw) > MAX_NUMBER_BYTES or not raw.isdigit() or int(raw) >= MAX_EPOCH:
        raise ValueError("expected a number")
    return int(raw)


def _read_name(raw: object) -> str:
    if not isinstance(raw, bytes) or len(raw) > MAX_NAME_BYTES:
        raise ValueError("expected a name")
    return raw.decode()
