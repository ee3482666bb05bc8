"""Reading one JSON object from a client, with the leniencies of `json` turned off (threats-and-faults.md H2)."""

import json
from typing import Any, NoReturn

from router.errors import RequestError


def read_object(text: str) -> dict[str, Any]:
    """The object, or `RequestError`: duplicate keys, NaN, endless nesting and numbers are refused.

    >>> read_object('{"type": "ping"}')
    {'type': 'ping'}
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError("expected one JSON object", slug="bad-json") from error
    if not isinstance(value, dict):
        raise RequestError("expected one JSON object", slug="bad-json")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
