"""TURN credentials for participants (draft-uberti-behave-turn-rest-00, coturn's `use-auth-secret`).

The user name is the time of expiry and who it is for, the password is base64(HMAC-SHA1(secret, user name)): the TURN
server, which shares the secret, needs to know nobody. Whoever has a credential may open allocations with it until it
expires, also when their join token is revoked meanwhile; allocations that stand are the TURN server's business.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from router import clock

MAX_USER_CHARACTERS = 256
"""Of the part that names the user; a STUN USERNAME has at most 508 bytes (RFC 8489 section 14.3)."""
DEFAULT_LIFETIME_S = 14_400
"""LiveKit's for an external TURN server."""


@dataclass(frozen=True, slots=True)
class TurnCredentials:
    """What a client gives to the TURN server."""

    urls: tuple[str, ...]
    username: str
    password: str = field(repr=False)
    ttl_s: int

    def describe(self) -> dict[str, Any]:
        """In the draft's shape (section 2.2)."""
        return {"username": self.username, "password": self.password, "ttl": self.ttl_s, "uris": list(self.urls)}


class TurnServers:
    """The TURN servers that share a secret with us."""

    def __init__(
        self,
        urls: tuple[str, ...],
        secret: str,
        *,
        lifetime_s: int = DEFAULT_LIFETIME_S,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        self._urls = urls
        self._secret = secret.encode()
        self._lifetime_s = lifetime_s
        self._now_s = now_s

    def issue(self, identity: str) -> TurnCredentials:
        """A credential for one participant, from now on.

        >>> TurnServers(("turn:turn.example.org",), "north", now_s=lambda: 0.0).issue("ada").username
        '14400:ada'
        """
        username = f"{int(self._now_s()) + self._lifetime_s}:{name_user(identity)}"
        password = base64.b64encode(hmac.digest(self._secret, username.encode(), hashlib.sha1)).decode()
        return TurnCredentials(self._urls, username, password, self._lifetime_s)


def name_user(identity: str) -> str:
    """The identity in letters that fit into STUN and into a `Link` header, which some clients split at commas.

    >>> name_user("ada@example.org"), name_user("Ada, née Byron")
    ('ada@example.org', 'Ada%2C%20n%C3%A9e%20Byron')
    """
    named = quote(identity, safe="@")
    return named if len(named) <= MAX_USER_CHARACTERS else hashlib.sha256(identity.encode()).hexdigest()
