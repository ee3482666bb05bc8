"""Revoked join tokens: by their id (`jti`), or all of one identity that were issued until now.

Every request asks `Revocations`, which is memory of this process, so a token costs two look-ups more. Whoever is in a
call with a revoked token is put out by those who listen (`on_revoked`). Other nodes learn of it through a
`RevokedTokens` store, which `router.cluster.revocations` reads and writes.

Invariant: what is remembered has a cap, and is forgotten once no token it concerns can still be good.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from router import clock
from router.errors import ConfigError, RequestError, UnauthorizedError
from router.rooms.names import check_identity, check_room_name
from router.rooms.rights import JoinGrant

logger = logging.getLogger(__name__)

MAX_REVOCATIONS = 65_536
DEFAULT_MEMORY_S = 30 * 86_400.0
MAX_TOKEN_ID_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class Revocation:
    """One token (`token_id`), or all tokens of an identity, in one room or in every (`room` empty)."""

    token_id: str = ""
    room: str = ""
    identity: str = ""
    revoked_at_s: float = 0.0
    """Wall clock. Of an identity, tokens issued until then are refused; issue times are whole seconds."""
    expires_at_s: float = 0.0
    """Wall clock; may be forgotten then."""

    def __post_init__(self) -> None:
        if bool(self.token_id) == bool(self.identity) or (self.token_id and self.room):
            raise ConfigError("revocation: expected either a token id, or an identity with or without a room")

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is about; a later one about the same replaces it."""
        return self.token_id, self.room, self.identity

    def concerns(self, grant: JoinGrant) -> bool:
        """Whether the grant's token is revoked by this."""
        if self.token_id:
            return grant.token_id == self.token_id
        same = grant.identity == self.identity and self.room in ("", grant.room)
        return same and grant.issued_at_s <= self.revoked_at_s

    def write(self) -> str:
        """As JSON, for a store."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def read(cls, text: str) -> "Revocation":
        """From a store, which is not trusted to be in order: `ValueError` for anything else than `write` makes.

        >>> Revocation.read(Revocation(token_id="t1").write()).token_id
        't1'
        """
        try:
            fields = json.loads(text)
        except RecursionError as error:
            raise ValueError("revocation: nested too deeply") from error
        if not isinstance(fields, dict) or fields.keys() != set(cls.__dataclass_fields__):
            raise ValueError("revocation: expected an object with the fields of a revocation")
        if not all(isinstance(fields[name], str) for name in ("token_id", "room", "identity")):
            raise ValueError("revocation: expected texts")
        times = (fields["revoked_at_s"], fields["expires_at_s"])
        if not all(type(time) in (int, float) and 0 <= time <= clock.LAST_S for time in times):
            raise ValueError("revocation: expected times")
        try:
            check_identity(fields["token_id"] or fields["identity"])
            check_room_name(fields["room"] or "-")
        except RequestError as error:
            raise ValueError(f"revocation: {error}") from error
        return cls(**fields)


class RevokedTokens(Protocol):
    """Where all nodes find what any of them revoked. Methods may raise `StoreError`."""

    async def add(self, revocation: Revocation) -> None:
        """Keeps it until it expires; again is no error."""

    async def read(self, since_s: float) -> Sequence[Revocation]:
        """Those not expired whose `revoked_at_s` is this or later, in any order; 0: all. Broken entries left out."""


class Revocations:
    """What is revoked, as far as this process knows. Used on one event loop."""

    def __init__(
        self,
        *,
        memory_s: float = DEFAULT_MEMORY_S,
        limit: int = MAX_REVOCATIONS,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        self._memory_s = memory_s
        self._limit = limit
        self._now_s = now_s
        self._known: dict[tuple[str, str, str], Revocation] = {}
        self._listeners: list[Callable[[Revocation], None]] = []
        self.on_local: Callable[[Revocation], None] | None = None
        """Told of what was revoked here, for the other nodes."""

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Revocation]:
        return iter(tuple(self._known.values()))

    def listen(self, on_revoked: Callable[[Revocation], None]) -> None:
        """`on_revoked` hears of each new one, from here or elsewhere; it puts out who is inside."""
        self._listeners.append(on_revoked)

    def revoke_token(self, token_id: str, *, expires_at_s: float | None = None) -> Revocation:
        """Refuses one token from now on; `expires_at_s` is the token's, if known."""
        check_identity(token_id, "token_id")
        now = self._now_s()
        return self._revoke(Revocation(token_id, "", "", now, expires_at_s or now + self._memory_s))

    def revoke_identity(self, identity: str, room: str = "") -> Revocation:
        """Refuses all tokens of an identity that were issued until now, in one room or in all."""
        check_identity(identity, "identity")
        if room:
            check_room_name(room)
        now = self._now_s()
        return self._revoke(Revocation("", room, identity, now, now + self._memory_s))

    def _revoke(self, revocation: Revocation) -> Revocation:
        self.learn(revocation)
        if self.on_local is not None:
            self.on_local(revocation)
        return revocation

    def learn(self, revocation: Revocation) -> bool:
        """Takes one from wherever it came; whether it was news."""
        known = self._known.get(revocation.key)
        if revocation.expires_at_s <= self._now_s():
            return False
        if known is not None and known.revoked_at_s >= revocation.revoked_at_s:
            return False
        self._known[revocation.key] = revocation
        if len(self._known) > self._limit:
            self._forget()
        for listener in self._listeners:
            listener(revocation)
        return True

    def _forget(self) -> None:
        """What has expired, and if that is nothing, what expires first."""
        now = self._now_s()
        self._known = {key: known for key, known in self._known.items() if known.expires_at_s > now}
        while len(self._known) > self._limit:
            logger.warning("too many revoked tokens: the one that expires first is forgotten")
            del self._known[min(self._known, key=lambda key: self._known[key].expires_at_s)]

    def is_revoked(self, grant: JoinGrant) -> bool:
        """Whether the grant's token is refused."""
        if not self._known:
            return False
        keys = (("", grant.room, grant.identity), ("", "", grant.identity))
        if grant.token_id and (grant.token_id, "", "") in self._known:
            return True
        return any((known := self._known.get(key)) is not None and known.concerns(grant) for key in keys)

    def check(self, grant: JoinGrant) -> None:
        """Refuses a revoked token."""
        if self.is_revoked(grant):
            raise UnauthorizedError("the token was revoked", slug="token-revoked")
