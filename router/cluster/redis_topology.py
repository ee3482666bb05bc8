"""Which server serves a key: the only one, the master that the sentinels name, or the cluster's master of the key's
slot.

What was found is kept until somebody says that it is wrong, then asked anew. Any sentinel or node
may be gone: they are asked one after the other, the one that answered last first.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from redis.crc import key_slot
from redis.exceptions import RedisError, ResponseError

from router.cluster.redis_connections import Command, Reply
from router.cluster.redis_errors import StoreError, code_of, explain
from router.cluster.redis_target import Address, Credentials, RedisTarget

Ask = Callable[[Address, Credentials, Sequence[Command]], Awaitable[list[Reply]]]
"""One exchange with a server, within a deadline."""

SLOTS: Final = 16_384
MAX_HOST_CHARS: Final = 255


class Topology(Protocol):
    """Servers of one Redis."""

    async def locate(self, key: str) -> Address:
        """The server of a key; raises `StoreError`."""

    def group(self, key: str) -> int:
        """Keys of one group may be used in one transaction."""

    def forget(self) -> None:
        """What is known may be wrong."""


class OneServer:
    """A single server."""

    def __init__(self, target: RedisTarget) -> None:
        self._address = target.addresses[0]

    async def locate(self, key: str) -> Address:  # noqa: ARG002 - the protocol's
        """See `Topology`."""
        return self._address

    def group(self, key: str) -> int:  # noqa: ARG002 - the protocol's
        """See `Topology`."""
        return 0

    def forget(self) -> None:
        """See `Topology`."""


class SentinelMaster:
    """The master that the sentinels name, if it says itself that it is one: theirs may be old news."""

    def __init__(self, target: RedisTarget, ask: Ask) -> None:
        self._target = target
        self._ask = ask
        self._sentinels = list(target.addresses)
        self._master: Address | None = None

    async def locate(self, key: str) -> Address:  # noqa: ARG002 - the protocol's
        """See `Topology`."""
        if self._master is None:
            self._master = await self._find()
        return self._master

    def group(self, key: str) -> int:  # noqa: ARG002 - the protocol's
        """See `Topology`."""
        return 0

    def forget(self) -> None:
        """See `Topology`."""
        self._master = None

    async def _find(self) -> Address:
        last = StoreError("connection", "no sentinel answers")
        for sentinel in tuple(self._sentinels):
            command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._target.service)
            try:
                found = (await self._ask(sentinel, self._target.sentinel_credentials, [command]))[0]
                master = _read_address(found)
                role = (await self._ask(master, self._target.credentials, [("ROLE",)]))[0]
            except (RedisError, OSError, StoreError, ValueError) as error:
                last = explain(error)
                continue
            if isinstance(role, list) and role and role[0] == b"master":
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return master
            last = StoreError("read-only", "the sentinels name a server that is no master")
        raise last


class ClusterMasters:
    """The cluster's slots and their masters."""

    def __init__(self, target: RedisTarget, ask: Ask) -> None:
        self._target = target
        self._ask = ask
        self._nodes = list(target.addresses)
        self._masters: list[Address | None] = []
        self._stale = True

    async def locate(self, key: str) -> Address:
        """See `Topology`."""
        if self._stale:
            self._masters = await self._read_slots()
            self._stale = False
        found = self._masters[self.group(key)]
        if found is None:
            self._stale = True
            raise StoreError("cluster", "a slot has no master")
        return found

    def group(self, key: str) -> int:
        """See `Topology`."""
        return key_slot(key.encode())

    def forget(self) -> None:
        """See `Topology`."""
        self._stale = True

    async def _read_slots(self) -> list[Address | None]:
        last = StoreError("connection", "no node answers")
        known = [address for address in dict.fromkeys(self._masters) if address is not None]
        for node in dict.fromkeys([*known, *self._nodes]):
            try:
                found = (await self._ask(node, self._target.credentials, [("CLUSTER", "SLOTS")]))[0]
                return _read_slots(found, node)
            except (RedisError, OSError, StoreError, ValueError) as error:
                last = explain(error)
        raise last


def open_topology(target: RedisTarget, ask: Ask) -> Topology:
    """The one that fits the target."""
    if target.mode == "sentinel":
        return SentinelMaster(target, ask)
    return ClusterMasters(target, ask) if target.mode == "cluster" else OneServer(target)


def read_redirect(error: ResponseError, asked: Address) -> tuple[str, Address] | None:
    """`MOVED` or `ASK`, and where to go; None for any other error.

    >>> read_redirect(ResponseError("MOVED 12182 [::1]:7001"), ("::1", 7000))
    ('MOVED', ('::1', 7001))
    """
    code = code_of(error)
    if code not in ("MOVED", "ASK"):
        return None
    host, _, port = str(error).rpartition(" ")[2].rpartition(":")
    try:
        return code, _check_address(host.strip("[]") or asked[0], port)
    except ValueError:
        return None


def _read_address(reply: Reply) -> Address:
    if isinstance(reply, ResponseError):
        raise reply
    if not isinstance(reply, list) or len(reply) != 2 or not all(isinstance(part, bytes) for part in reply):
        raise ValueError("the sentinel knows no such service")
    return _check_address(reply[0].decode(), reply[1].decode())


def _read_slots(reply: Reply, asked: Address) -> list[Address | None]:
    if isinstance(reply, ResponseError):
        raise reply
    masters: list[Address | None] = [None] * SLOTS
    if not isinstance(reply, list):
        raise ValueError("expected ranges of slots")
    for entry in reply:
        if not isinstance(entry, list) or len(entry) < 3 or not isinstance(entry[2], list) or len(entry[2]) < 2:
            raise ValueError("expected a range of slots with its master")
        (first, last), (host, port) = entry[:2], entry[2][:2]
        if type(first) is not int or type(last) is not int or not 0 <= first <= last < SLOTS:
            raise ValueError("expected a range of slots")
        if not isinstance(host, bytes | None):
            raise ValueError("expected a host")
        # A node that does not know its own address leaves it empty: it is the one that was asked.
        address = _check_address(host.decode() if host else asked[0], str(port))
        masters[first : last + 1] = [address] * (last + 1 - first)
    return masters


def _check_address(host: str, port: str) -> Address:
    if not 0 < len(host) <= MAX_HOST_CHARS or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError("expected host and port")
    return host, int(port)
