"""Join tokens: JWT (RFC 7519) signed with HS256, saying who may do what in which room.

`router.claims` knows the shape (LiveKit's `video` grants), `router.keys` the keys; here are signature, times and
revocation, with a fast path. The algorithm is pinned, so "none" and public-key confusion are refused (RFC 8725
sections 3.1 and 3.2); `kid`, `jku` and `jwk` are never read: all keys are tried, a named one wants its name as `iss`.
Times are compared with an injected clock, not by the library. A token is good, and whoever came with it may stay, until
its expiry plus a leeway for clocks that differ. It was issued at `iat`, or at `nbf` where that is all there is:
LiveKit's SDKs write no `iat`. Refusals are `UnauthorizedError`, or `ForbiddenError` for a good token
that is not for joining, with a detail that says what is wrong and never quotes the token.
"""

import base64
import hashlib
import hmac
import json
import math
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jwt

from router import clock
from router.claims import read_claims, write_claims
from router.errors import ConfigError, RequestError, UnauthorizedError
from router.keys import SigningKey
from router.rooms.revocations import Revocations
from router.rooms.rights import JoinGrant

if TYPE_CHECKING:
    from jwt.types import Options

__all__ = ["JoinGrant", "JoinTokens", "SigningKey"]

ALGORITHM = "HS256"
MAX_TOKEN_BYTES = 13_824
"""The largest metadata as JSON in JSON and base64, and the rest; still fits into the headers of a request."""
MAX_HEADS = 16
TOKEN_ID_BYTES = 12
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
        keys: str | bytes | SigningKey | Sequence[str | bytes | SigningKey],
        *,
        leeway_s: float = DEFAULT_LEEWAY_S,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        """`keys`: the first one signs. A text is a secret without a name."""
        given = [keys] if isinstance(keys, str | bytes | SigningKey) else keys
        self._keys: tuple[SigningKey, ...] = ()
        self.replace_keys([_make_key(key) for key in given])
        self.revocations = Revocations(now_s=now_s)
        """What is refused though its signature and times are good."""
        self._heads: set[str] = set()
        """First parts of tokens that were good."""
        self._leeway_s = leeway_s
        self._now_s = now_s

    def replace_keys(self, keys: Sequence[SigningKey]) -> None:
        """Other keys from now on. Who is inside stays until their token expires, whatever key signed it."""
        if not keys:
            raise ConfigError("token keys: expected at least one")
        self._keys = tuple(keys)

    def issue(self, grant: JoinGrant, *, lifetime_s: float = DEFAULT_LIFETIME_S) -> str:
        """A token for this grant, good from now for `lifetime_s`; the grant's own expiry is not read."""
        if lifetime_s <= 0:
            raise ConfigError(f"token lifetime: expected a positive number of seconds, got {lifetime_s!r}")
        now = int(self._now_s())
        key = self._keys[0]
        claims = {
            **write_claims(grant),
            **({"iss": key.id} if key.id else {}),
            "jti": grant.token_id or secrets.token_urlsafe(TOKEN_ID_BYTES),
            "iat": now,
            "exp": now + max(1, int(lifetime_s)),
        }
        token = jwt.encode(claims, key.secret, algorithm=ALGORITHM, json_encoder=_Utf8Encoder)
        if len(token) > MAX_TOKEN_BYTES:
            raise RequestError("metadata: too long once written as JSON", slug="bad-metadata")
        return token

    def verify(self, token: str) -> JoinGrant:
        """The token's grant, or `UnauthorizedError` or `ForbiddenError`."""
        claims, key = self._read_signed(token)
        self._check_times(claims)
        if key.id and claims.get("iss") != key.id:
            raise UnauthorizedError(
                "the token's claim iss: expected the id of the key that signed it", slug="bad-token"
            )
        try:
            grant = read_claims(
                claims,
                expires_at_s=claims["exp"] + self._leeway_s,
                issued_at_s=claims.get("iat", claims.get("nbf", -math.inf)),
                key_id=key.id,
            )
        except RequestError as error:
            raise UnauthorizedError(f"the token's claim {error}", slug="bad-token") from error
        self.revocations.check(grant)
        return grant

    def _read_signed(self, token: str) -> tuple[dict[str, Any], SigningKey]:
        if len(token) > MAX_TOKEN_BYTES:
            raise UnauthorizedError(f"the token is longer than {MAX_TOKEN_BYTES} bytes", slug="bad-token")
        if not token.isascii():  # a lone surrogate, which JSON can bring, could not even be signed
            raise UnauthorizedError("the token is malformed", slug="bad-token")
        head = token.partition(".")[0]
        found = self._read_familiar(token) if head in self._heads else None
        if found is not None:
            return found
        for key in self._keys:
            try:
                claims = _decode(token, key.secret)
            except jwt.InvalidSignatureError:
                continue
            if len(self._heads) < MAX_HEADS:
                self._heads.add(head)
            return claims, key
        raise UnauthorizedError("the token is signed with another secret", slug="bad-token")

    def _read_familiar(self, token: str) -> tuple[dict[str, Any], SigningKey] | None:
        """The claims of a token with a head that the library took before; None: it shall say what is wrong.

        Most of what the library does is about the head, which all tokens of one maker have in common.
        """
        signed, _, signature = token.rpartition(".")
        payload, given = signed.partition(".")[2], signature.encode()
        key = next((key for key in self._keys if hmac.compare_digest(_sign(signed, key.secret), given)), None)
        if key is None:
            return None
        try:
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (ValueError, RecursionError):
            return None
        return (claims, key) if isinstance(claims, dict) and claims.get("exp") is not None else None

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


def _make_key(given: str | bytes | SigningKey) -> SigningKey:
    if isinstance(given, SigningKey):
        return given
    return SigningKey(given.encode() if isinstance(given, str) else given)


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
