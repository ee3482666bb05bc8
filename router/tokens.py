"""Join tokens: JWT (RFC 7519) signed with HS256, saying who may do what in which room.

Claims: `room`, `sub` (identity), `name`, `metadata`, `publish`, `subscribe`, `moderate`, `exp`, `iat`, `nbf`. The
algorithm is pinned, so "none" and public-key confusion are refused (RFC 8725 sections 3.1 and 3.2); `kid`, `jku` and
`jwk` are never read.
Times are compared with an injected clock, not by the library. A token is good, and whoever came with it may stay, until
its expiry plus a leeway for clocks that differ. One exception class, `UnauthorizedError`, with a detail that says what
is wrong and never quotes the token. Of several secrets the first signs and all verify, so that a secret can be replaced
without throwing anybody out.
"""

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jwt

from router import clock
from router.errors import ConfigError, RequestError, UnauthorizedError
from router.rooms.names import check_display_name, check_identity, check_metadata, check_room_name
from router.rooms.rights import JoinGrant

if TYPE_CHECKING:
    from jwt.types import Options

__all__ = ["JoinGrant", "JoinTokens"]

ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32
MAX_TOKEN_BYTES = 13_312
"""The largest metadata as JSON in JSON and base64, and the rest; still fits into the headers of a request."""
MAX_HEADS = 16
DEFAULT_LEEWAY_S = 10.0
DEFAULT_LIFETIME_S = 6 * 3_600.0
_OPTIONS: "Options" = {
    "require": ["exp"],
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
"""The library checks the signature, we the rest: it reads the wall clock itself."""


class JoinTokens:
    """Makes and verifies join tokens.

    >>> tokens = JoinTokens("a secret of at least 32 characters", now_s=lambda: 1_000.0)
    >>> tokens.verify(tokens.issue(JoinGrant("lobby", "ada"))).identity
    'ada'
    """

    def __init__(
        self,
        secrets: str | bytes | Sequence[str | bytes],
        *,
        leeway_s: float = DEFAULT_LEEWAY_S,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        given = [secrets] if isinstance(secrets, str | bytes) else secrets
        self._keys = [secret.encode() if isinstance(secret, str) else secret for secret in given]
        if not self._keys:
            raise ConfigError("token secrets: expected at least one")
        if (shortest := min(map(len, self._keys))) < MIN_SECRET_BYTES:
            raise ConfigError(f"token secret: expected {MIN_SECRET_BYTES} bytes or more, got {shortest}")
        self._heads: set[str] = set()
        """First parts of tokens that were good."""
        self._leeway_s = leeway_s
        self._now_s = now_s

    def issue(self, grant: JoinGrant, *, lifetime_s: float = DEFAULT_LIFETIME_S) -> str:
        """A token for this grant, good from now for `lifetime_s`; the grant's own expiry is not read."""
        if lifetime_s <= 0:
            raise ConfigError(f"token lifetime: expected a positive number of seconds, got {lifetime_s!r}")
        now = int(self._now_s())
        claims = {
            "room": check_room_name(grant.room),
            "sub": check_identity(grant.identity),
            "name": check_display_name(grant.name),
            "publish": grant.may_publish,
            "subscribe": grant.may_subscribe,
            "moderate": grant.may_moderate,
            "metadata": check_metadata(grant.metadata),
            "iat": now,
            "exp": now + max(1, int(lifetime_s)),
        }
        token = jwt.encode(claims, self._keys[0], algorithm=ALGORITHM, json_encoder=_Utf8Encoder)
        if len(token) > MAX_TOKEN_BYTES:
            raise RequestError("metadata: too long once written as JSON", slug="bad-metadata")
        return token

    def verify(self, token: str) -> JoinGrant:
        """The token's grant, or `UnauthorizedError`."""
        claims = self._read_claims(token)
        self._check_times(claims)
        try:
            return JoinGrant(
                room=check_room_name(claims.get("room")),
                identity=check_identity(claims.get("sub")),
                name=check_display_name(claims.get("name", "")),
                may_publish=_read_right(claims, "publish"),
                may_subscribe=_read_right(claims, "subscribe"),
                expires_at_s=claims["exp"] + self._leeway_s,
                may_moderate=_read_right(claims, "moderate"),
                metadata=check_metadata(claims.get("metadata", "")),
                issued_at_s=claims.get("iat", -math.inf),
            )
        except RequestError as error:
            raise UnauthorizedError(f"the token's claim {error}", slug="bad-token") from error

    def _read_claims(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_BYTES:
            raise UnauthorizedError(f"the token is longer than {MAX_TOKEN_BYTES} bytes", slug="bad-token")
        head = token.partition(".")[0]
        claims = self._read_familiar(token) if head in self._heads else None
        if claims is not None:
            return claims
        for key in self._keys:
            try:
                claims = _decode(token, key)
            except jwt.InvalidSignatureError:
                continue
            if len(self._heads) < MAX_HEADS:
                self._heads.add(head)
            return claims
        raise UnauthorizedError("the token is signed with another secret", slug="bad-token")

    def _read_familiar(self, token: str) -> dict[str, Any] | None:
        """The claims of a token with a head that the library took before; None: it shall say what is wrong.

        Most of what the library does is about the head, which all tokens of one maker have in common.
        """
        signed, _, signature = token.rpartition(".")
        payload = signed.partition(".")[2]
        if not any(hmac.compare_digest(_sign(signed, key), signature.encode()) for key in self._keys):
            return None
        try:
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (ValueError, RecursionError):
            return None
        return claims if isinstance(claims, dict) and claims.get("exp") is not None else None

    def _check_times(self, claims: dict[str, Any]) -> None:
        now = self._now_s()
        times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
        for name, value in times.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
                raise UnauthorizedError(f"the token's claim {name}: expected a time in seconds", slug="bad-token")
        if times["exp"] <= now - self._leeway_s:
            raise UnauthorizedError("the token has expired", slug="token-expired")
        if max(times.get("nbf", 0), times.get("iat", 0)) > now + self._leeway_s:
            raise UnauthorizedError("the token is not valid yet", slug="token-not-yet-valid")


class _Utf8Encoder(json.JSONEncoder):
    """Leaves what is not ASCII as it is: escaped, it would take up to three times the place."""

    def __init__(self, **options: Any) -> None:  # Any: the library hands on what json.dumps takes
        super().__init__(**{**options, "ensure_ascii": False})


def _sign(text: str, key: bytes) -> bytes:
    """RFC 7515 section 5.1 with HS256."""
    return base64.urlsafe_b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).rstrip(b"=")


def _decode(token: str, key: bytes) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[ALGORITHM], options=_OPTIONS)
    except jwt.InvalidSignatureError:
        raise
    except jwt.MissingRequiredClaimError as error:
        raise UnauthorizedError("the token has no claim exp", slug="bad-token") from error
    except jwt.InvalidAlgorithmError as error:
        raise UnauthorizedError(f"the token is not signed with {ALGORITHM}", slug="bad-token") from error
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise UnauthorizedError("the token is malformed", slug="bad-token") from error
    return claims


def _read_right(claims: dict[str, Any], name: str) -> bool:
    """A right must be granted in so many words: absent is false, anything but a boolean is an error."""
    value = claims.get(name, False)
    if not isinstance(value, bool):
        raise RequestError(f"{name}: expected true or false", slug="bad-token")
    return value
