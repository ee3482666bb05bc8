"""The tokens of the admin port: several, each with a name and a scope, compared in constant time.

Compared are digests, all of them for every request, so that neither the length of a token nor which one was meant can
be measured.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from router.errors import ConfigError

Scope = Literal["read", "write"]
"""What a token may: GET, or everything."""


@dataclass(frozen=True, slots=True)
class AdminToken:
    """One of them."""

    name: str
    """For the log, where it stands for who did something."""
    value: str = field(repr=False)
    scope: Scope = "write"


class AdminTokens:
    """Those in force now.

    >>> tokens = AdminTokens([AdminToken("grafana", "a long enough token", "read")])
    >>> tokens.find("a long enough token").scope, tokens.find("another")
    ('read', None)
    """

    def __init__(self, tokens: Iterable[AdminToken] = ()) -> None:
        self._by_digest: tuple[tuple[bytes, AdminToken], ...] = ()
        self.replace(tokens)

    def replace(self, tokens: Iterable[AdminToken]) -> None:
        """Other tokens from now on."""
        found = tuple((_digest(token.value), token) for token in tokens)
        if len({digest for digest, _ in found}) < len(found):
            raise ConfigError("admin tokens: expected each token once")
        self._by_digest = found

    def __len__(self) -> int:
        return len(self._by_digest)

    def __iter__(self) -> Iterator[AdminToken]:
        return iter([token for _, token in self._by_digest])

    def find(self, given: str) -> AdminToken | None:
        """The token that was given, if it is one."""
        digest, found = _digest(given), None
        for known, token in self._by_digest:
            if hmac.compare_digest(known, digest):
                found = token
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
