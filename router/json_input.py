"""JSON from clients, with the leniencies of `json` turned off (threats-and-faults.md H2).

`read_value` takes I-JSON (RFC 7493): unique names, Unicode that can be written again, numbers that every program
holds; and it bounds the nesting. `read_object` is for messages whose fields are each checked by whoever looks at them.
"""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

from router.errors import RequestError

MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**53 - 1
"""Beyond it, a program that holds numbers as doubles would read another one (RFC 7493 section 2.2)."""
MAX_SHOWN_CHARACTERS: Final = 64


def read_object(text: str) -> dict[str, Any]:
    """The object, or `RequestError`: duplicate keys, NaN, endless nesting and numbers are refused.

    >>> read_object('{"type": "ping"}')
    {'type': 'ping'}
    """
    value = _load(text)
    if not isinstance(value, dict):
        raise RequestError("expected one JSON object", slug="bad-json")
    return value


def read_value(text: str) -> Any:
    """Any value of I-JSON, or `RequestError` that says what is wrong with the text.

    >>> read_value('[{"a": 1.5}]')
    [{'a': 1.5}]
    """
    value = _load(text, parse_int=_read_integer)
    for part in _walk(value):
        if isinstance(part, float) and not math.isfinite(part):
            raise _refuse("a number is too large")
        if isinstance(part, str) and not _is_unicode(part):
            raise _refuse("a surrogate stands alone, which is no character")
    return value


def _load(text: str, *, parse_int: Callable[[str], int] = int) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=parse_int)
    except RecursionError as error:
        raise _refuse(f"nested deeper than {MAX_DEPTH}") from error
    except json.JSONDecodeError as error:
        raise _refuse(f"{error.msg} at character {error.pos}") from error
    except ValueError as error:
        raise _refuse(str(error)) from error


def _refuse(what: str) -> RequestError:
    return RequestError(f"expected JSON: {what}", slug="bad-json")


def _walk(value: Any) -> Iterator[Any]:
    """All names and values, outermost first; in levels, for recursion has an end."""
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise _refuse(f"nested deeper than {MAX_DEPTH}")
        yield from level
        deeper: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                deeper += part.keys()
                deeper += part.values()
            elif isinstance(part, list):
                deeper += part
        level, depth = deeper, depth + 1


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"duplicate key {name[:MAX_SHOWN_CHARACTERS]!a}")
        found[name] = value
    return found


def _read_integer(digits: str) -> int:
    if len(digits) > len(str(-MAX_INTEGER)) or abs(number := int(digits)) > MAX_INTEGER:
        raise ValueError("a whole number is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
