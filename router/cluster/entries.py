"""What the store keeps, and the schema by which it is read back.

Values are JSON objects with a version `v`. A store is not trusted: whoever can write to it may have written anything.
So a value is taken only if it is of bounded size, has exactly the fields of its kind, and each of them is of its type
and within its bounds; else `ValueError`.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeVar

from router import clock
from router.errors import RequestError
from router.rooms.names import check_room_name

SCHEMA_VERSION: Final = 1
MAX_VALUE_BYTES: Final = 65_536
MAX_CONFIG_BYTES: Final = 49_152
"""The longest metadata of a room, each byte of it written as \\u0001, those whom its lock lets back, and the rest."""
MAX_COUNT: Final = 10_000_000
MAX_EPOCH: Final = 2**53
_ID: Final = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_CONTEXT_ID: Final = re.compile(r"[A-Za-z0-9]{8,64}")
_SECRET: Final = re.compile(r"(?:[0-9a-f]{2}){16,128}")
MAX_URL_CHARACTERS: Final = 1_000
_URL: Final = re.compile(rf"(?:https?://[!-~]{{1,{MAX_URL_CHARACTERS}}})?")

NodeState = Literal["serving", "draining"]


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A router, and where it is reached."""

    id: str
    admin_url: str
    """By other nodes; may be empty."""
    public_url: str
    """By clients; may be empty, or that of a load balancer in front of all."""


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One router, as others see it."""

    id: str
    epoch: int
    """Of this life of it: a later one with the same id has a greater number. 0: not registered yet."""
    state: NodeState
    admin_url: str
    """Where other nodes reach its admin port; may be empty."""
    public_url: str
    region: str
    version: str
    load: float
    """1 is full."""
    rooms: int
    participants: int
    started_s: float
    seen_s: float
    """Wall clock of its last sign of life."""

    @property
    def address(self) -> NodeAddress:
        """Where it is."""
        return NodeAddress(self.id, self.admin_url, self.public_url)


@dataclass(frozen=True, slots=True)
class RoomEntry:
    """Which node has a room, and a little about it. The node itself knows the truth."""

    name: str
    node: str
    participants: int
    created_s: float
    epoch: int = 0
    """Of this claim: a later claim of the same name has a greater number. 0: to be claimed."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The living node that has a room."""

    node: NodeEntry
    silent_s: float
    """How long ago it was heard of, by the store's clock; less than a heartbeat's interval while all is well."""


@dataclass(frozen=True, slots=True)
class RoomSetup:
    """What another node needs to open the same room."""

    config: Mapping[str, Any]  # Any: JSON, whose meaning is the room's
    version: int
    """Counts the changes of `config`."""
    context_id: str
    """Begins every ICE ufrag of the room's forks."""
    secret: bytes
    """Root of every ICE password of the room."""
    home: NodeAddress | None = None
    """The node that has it, or had it when it was heard of last. None: it closed there, or nobody knows."""


Entry = TypeVar("Entry", NodeEntry, RoomEntry)
_Holds = Callable[[Any], bool]  # Any: from JSON


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_epoch(value: Any) -> bool:
    return type(value) is int and 0 < value < MAX_EPOCH


def is_number(value: Any) -> bool:
    """Finite, not negative, and no larger than any number here."""
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value < MAX_EPOCH


def _is_time(value: Any) -> bool:
    return is_number(value) and value <= clock.LAST_S


def _is_room_name(value: Any) -> bool:
    try:
        check_room_name(value)
    except RequestError:
        return False
    return True


def _fits(pattern: re.Pattern[str]) -> _Holds:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_config(value: Any) -> bool:
    return isinstance(value, dict)


NODE: Final[Mapping[str, _Holds]] = {
    "id": _fits(_ID),
    "epoch": _is_epoch,
    "state": lambda value: value in ("serving", "draining"),
    "admin_url": _fits(_URL),
    "public_url": _fits(_URL),
    "region": _fits(re.compile(r"[\w.-]{0,64}", re.ASCII)),
    "version": _fits(re.compile(r"[\w.+-]{1,64}", re.ASCII)),
    "load": is_number,
    "rooms": _is_count,
    "participants": _is_count,
    "started_s": _is_time,
    "seen_s": _is_time,
}
ROOM: Final[Mapping[str, _Holds]] = {
    "name": _is_room_name,
    "node": _fits(_ID),
    "participants": _is_count,
    "created_s": _is_time,
    "epoch": _is_epoch,
}
ADDRESS: Final[Mapping[str, _Holds]] = {name: NODE[name] for name in ("id", "admin_url", "public_url")}
CONFIG: Final[Mapping[str, _Holds]] = {"config": _is_config, "version": _is_count}
CONTEXT: Final[Mapping[str, _Holds]] = {"context_id": _fits(_CONTEXT_ID), "secret": _fits(_SECRET)}


def write(entry: NodeEntry | RoomEntry | NodeAddress) -> str:
    """As it is stored."""
    return _dump(asdict(entry))


def read_node(raw: object) -> NodeEntry:
    """A node, or `ValueError`."""
    return NodeEntry(**_load(raw, NODE))


def read_room(raw: object) -> RoomEntry:
    """A room, or `ValueError`.

    >>> read_room(write(RoomEntry("a", "N_1", 2, 5.0, epoch=3)).encode()).participants
    2
    """
    return RoomEntry(**_load(raw, ROOM))


def read_address(raw: object) -> NodeAddress:
    """Where a node is, or `ValueError`.

    >>> read_address(write(NodeAddress("N_1", "http://10.0.0.1:8081", "")).encode()).id
    'N_1'
    """
    return NodeAddress(**_load(raw, ADDRESS))


def check_address(fields: object) -> NodeAddress:
    """The same from JSON that has been read."""
    if not isinstance(fields, dict) or fields.keys() != ADDRESS.keys():
        raise ValueError("expected exactly the fields of a node's address")
    _check(fields, ADDRESS)
    return NodeAddress(**fields)


def write_setup(setup: RoomSetup) -> tuple[str, str]:
    """Configuration and context, which are stored apart: the second one is secret. So is `home`, which ends earlier."""
    config = _dump({"config": dict(setup.config), "version": setup.version})
    if len(config) > MAX_CONFIG_BYTES:
        raise RequestError(f"config: expected at most {MAX_CONFIG_BYTES} bytes", slug="bad-config")
    return config, _dump({"context_id": setup.context_id, "secret": setup.secret.hex()})


def read_setup(config: object, context: object) -> RoomSetup:
    """What `write_setup` wrote, or `ValueError`."""
    options, identity = _load(config, CONFIG), _load(context, CONTEXT)
    return RoomSetup(options["config"], options["version"], identity["context_id"], bytes.fromhex(identity["secret"]))


def _dump(fields: Mapping[str, Any]) -> str:
    return json.dumps({"v": SCHEMA_VERSION, **fields}, separators=(",", ":"))


def _load(raw: object, checks: Mapping[str, _Holds]) -> dict[str, Any]:
    if not isinstance(raw, bytes) or len(raw) > MAX_VALUE_BYTES:
        raise ValueError("expected a text of bounded size")
    try:
        fields = json.loads(raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(fields, dict) or type(version := fields.pop("v", None)) is not int or version != SCHEMA_VERSION:
        raise ValueError("expected an object of this schema version")
    if fields.keys() != checks.keys():
        raise ValueError("expected exactly the fields of its kind")
    _check(fields, checks)
    return fields


def _check(fields: Mapping[str, Any], checks: Mapping[str, _Holds]) -> None:
    for name, check in checks.items():
        if not check(fields[name]):
            raise ValueError(f"{name}: not of its type, or out of bounds")
