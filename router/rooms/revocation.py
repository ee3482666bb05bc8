"""One revocation: of a join token by its id (`jti`), or of all of an identity that were issued until now.

An operator's (`REVOKED`) is for one room or for all. A ban (`REMOVED`) is the same of an identity that was removed from
one room, with a text and a memory of its own. What is in force is known by `router.rooms.revocations`.
"""

import json
from dataclasses import asdict, dataclass
from typing import Final, Literal

from router import clock
from router.errors import AuthError, ConfigError, ForbiddenError, RequestError, UnauthorizedError
from router.rooms.names import check_identity, check_room_name
from router.rooms.rights import JoinGrant

Reason = Literal["token-revoked", "removed"]
Key = tuple[str, str, str]

REVOKED: Final = "token-revoked"
REMOVED: Final = "removed"
"""Why a session ended, and why its identity is refused."""
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
    reason: Reason = REVOKED

    def __post_init__(self) -> None:
        if bool(self.token_id) == bool(self.identity) or (self.token_id and self.room):
            raise ConfigError("revocation: expected either a token id, or an identity with or without a room")
        if self.reason == REMOVED and not (self.identity and self.room):
            raise ConfigError("revocation: an identity is removed from a room")

    def __lt__(self, other: "Revocation") -> bool:
        """Whether this is forgotten first."""
        return self.expires_at_s < other.expires_at_s

    @property
    def key(self) -> Key:
        """What it is about; a later one about the same, for the same reason, replaces it."""
        return self.token_id, self.room, self.identity

    def concerns(self, grant: JoinGrant) -> bool:
        """Whether the grant's token is revoked by this."""
        if self.token_id:
            return grant.token_id == self.token_id
        same = grant.identity == self.identity and self.room in ("", grant.room)
        return same and grant.issued_at_s <= self.revoked_at_s

    def refusal(self, *, inside: bool = False) -> AuthError:
        """What its bearer is told who comes, or who was `inside`."""
        if self.reason == REVOKED:
            return UnauthorizedError("the token was revoked", slug=REVOKED)
        return (
            removal()
            if inside
            else ForbiddenError("a moderator removed this identity; it needs a new token", slug=REMOVED)
        )

    def write(self) -> str:
        """As JSON, for a store."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def read(cls, text: str, reason: Reason = REVOKED) -> "Revocation":
        """From a store of this reason, which is not trusted to be in order: `ValueError` for anything else than
        `write` makes.

        >>> Revocation.read(Revocation(token_id="t1").write()).token_id
        't1'
        """
        try:
            fields = json.loads(text)
        except RecursionError as error:
            raise ValueError("revocation: nested too deeply") from error
        if not isinstance(fields, dict) or fields.keys() != cls.__dataclass_fields__.keys():
            raise ValueError("revocation: expected an object with the fields of a revocation")
        if not all(isinstance(fields[name], str) for name in ("token_id", "room", "identity")):
            raise ValueError("revocation: expected texts")
        if fields["reason"] != reason:
            raise ValueError("revocation: expected another reason")
        times = (fields["revoked_at_s"], fields["expires_at_s"])
        if not all(type(time) in (int, float) and 0 <= time <= clock.LAST_S for time in times):
            raise ValueError("revocation: expected times")
        try:
            check_identity(fields["token_id"] or fields["identity"])
            check_room_name(fields["room"] or "-")
        except RequestError as error:
            raise ValueError(f"revocation: {error}") from error
        return cls(**fields)


def removal() -> ForbiddenError:
    """What somebody is told who is put out of a room."""
    return ForbiddenError("a moderator removed you from the room", slug=REMOVED)
