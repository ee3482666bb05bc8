"""What a node tells another one of rooms, and how that is written and read.

The answer comes from an address that stood in the store, so it is believed no more than what stands there: of bounded
size, each field of its type and within its bounds, else `ValueError`. Fields that are not known are left alone: a newer
version may tell more.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from router.cluster.entries import MAX_URL_CHARACTERS, NodeAddress, check_address, is_number

MAX_ROOMS: Final = 64
"""In one question."""
MAX_TOLD_BYTES: Final = (MAX_ROOMS + 1) * (2 * MAX_URL_CHARACTERS + 512)


@dataclass(frozen=True, slots=True)
class Told:
    """Of one room."""

    by: NodeAddress
    serving: bool
    """Whether it opens rooms: it does not drain."""
    load: float
    owner: NodeAddress | None
    """Who has it, as far as it knows; perhaps itself."""
    known: bool
    """False: its store does not answer, so others may have the room."""


def write_told(by: NodeAddress, serving: bool, load: float, told: Sequence[Told]) -> dict[str, Any]:
    """JSON for an answer about some rooms, in order of the question."""
    rooms = [{"owner": asdict(one.owner) if one.owner else None, "known": one.known} for one in told]
    return {"by": asdict(by), "serving": serving, "load": load, "rooms": rooms}


def read_told(raw: bytes, count: int) -> list[Told]:
    """What `write_told` wrote about so many rooms, or `ValueError`.

    >>> here = NodeAddress("N_1", "http://10.0.0.1:8081", "")
    >>> told = [Told(here, True, 0.5, here, True), Told(here, True, 0.5, None, False)]
    >>> read_told(json.dumps(write_told(here, True, 0.5, told)).encode(), 2) == told
    True
    """
    if len(raw) > MAX_TOLD_BYTES:
        raise ValueError("too long")
    try:
        fields = json.loads(raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    by, rooms = check_address(_get(fields, "by")), _get(fields, "rooms")
    serving, load = _get_flag(fields, "serving"), _get(fields, "load")
    if not is_number(load) or not isinstance(rooms, list) or len(rooms) != count:
        raise ValueError("load or rooms: not of its type, or out of bounds")
    return [Told(by, serving, load, _read_owner(room), _get_flag(room, "known")) for room in rooms]


def _read_owner(room: object) -> NodeAddress | None:
    owner = _get(room, "owner")
    return None if owner is None else check_address(owner)


def _get_flag(fields: object, name: str) -> bool:
    value = _get(fields, name)
    if not isinstance(value, bool):
        raise ValueError(f"{name}: expected a boolean")
    return value


def _get(fields: object, name: str) -> Any:  # Any: JSON
    if not isinstance(fields, Mapping) or name not in fields:
        raise ValueError(f"{name}: expected it")
    return fields[name]
