"""How a node that passes a request on shows another whose request it is, without showing the admin token itself.

Where to send it is read from the store, and a store may be poisoned: a token that is sent there would be lost for ever.
So what travels is a JWT (HS256) under a key made from the token, good for one method and path, at one node, for half a
minute. Both nodes know the token; the receiving one finds which of its own it was, and judges it as ever.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import jwt
from starlette.types import Scope

from router import clock
from router.admin.tokens import AdminToken, AdminTokens

SCHEME: Final = "Node-Proof"
LIFETIME_S: Final = 30
CLOCK_SKEW_S: Final = 30
MAX_PROOF_CHARACTERS: Final = 8192
_AS_IT_IS: Final = "!$%&'()*+,-./:;=?@_~"
_LABEL: Final = b"fork-router node proof 1"


def sign(token: AdminToken, node: str, method: str, target: str, *, now_s: Callable[[], float] = clock.wall_s) -> str:
    """The value of `Authorization`; `target` is path and query as they are sent."""
    now = int(now_s())
    claims = {"aud": node, "htm": method, "htu": target, "iat": now, "exp": now + LIFETIME_S}
    return f"{SCHEME} {jwt.encode(claims, _key(token), algorithm='HS256')}"


def find_signer(proof: str, tokens: AdminTokens, node: str, method: str, target: str) -> AdminToken | None:
    """Whose proof it is, if it is one for this very request at this node."""
    if len(proof) > MAX_PROOF_CHARACTERS:
        return None
    for token in tokens:
        try:
            claims = jwt.decode(
                proof,
                _key(token),
                algorithms=["HS256"],
                audience=node,
                leeway=CLOCK_SKEW_S,
                options={"require": ["aud", "exp", "iat", "htm", "htu"]},
            )
        except jwt.InvalidTokenError:
            continue
        return token if (claims["htm"], claims["htu"]) == (method, target) else None
    return None


def read_target(scope: Scope) -> str:
    """Path and query as they came, in characters that may stand there; what was read once is read the same again."""
    raw = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"")
    return quote(raw, safe=_AS_IT_IS) + ("?" + quote(query, safe=_AS_IT_IS) if query else "")


def _key(token: AdminToken) -> bytes:
    return hmac.digest(token.value.encode(), _LABEL, hashlib.sha256)
