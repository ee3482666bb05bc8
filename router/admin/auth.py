"""Bearer tokens of operators (RFC 6750 section 2.1): who asks, and whether they may read only."""

from typing import Annotated, Final, cast

from fastapi import Depends, Request

from router.admin import node_proof
from router.admin.state import AdminState, State
from router.admin.tokens import AdminToken
from router.errors import ForbiddenError, UnauthorizedError
from router.rooms import rights

READING: Final = frozenset(("GET", "HEAD", "OPTIONS"))
ANYBODY: Final = AdminToken("anybody", "", "write")
"""Where no token is configured: development on loopback."""


OPERATOR: Final = "router.operator"
"""Where `router.admin.gate` leaves it in the scope of a request."""


def authenticate(request: Request, state: AdminState) -> AdminToken:
    """Whose token it is. Refuses a request without one, and changes by a token that is for reading."""
    token = _find(request, state)
    if token.scope == "read" and request.method not in READING:
        raise ForbiddenError("this admin token is for reading only", slug="read-only-token")
    return token


def require_token(request: Request) -> AdminToken:
    """Whose token the gate found; a FastAPI dependency that fails where there is no gate."""
    return cast(AdminToken, request.scope[OPERATOR])


def read_actor(request: Request) -> rights.Operator:
    """The same, as rooms know who acts."""
    return rights.Operator(require_token(request).name)


def require_metrics_token(request: Request, state: State) -> None:
    """The same for `/metrics`, where a setting may waive it."""
    if not state.metrics_without_token:
        authenticate(request, state)


def _find(request: Request, state: AdminState) -> AdminToken:
    if not state.tokens:
        return ANYBODY
    values = request.headers.getlist("authorization") or [""]
    scheme, _, given = values[0].partition(" ")
    # Compared even when the scheme is wrong, so that every refusal takes as long.
    token = state.tokens.find(given.strip())
    if scheme == node_proof.SCHEME and state.peers is not None:
        target = node_proof.read_target(request.scope)
        token = node_proof.find_signer(given, state.tokens, state.peers.id, request.method, target)
    elif scheme.lower() != "bearer":
        token = None
    # Two headers are none: somebody else may have read the other one.
    if token is None or len(values) > 1:
        raise UnauthorizedError("expected one header Authorization: Bearer with the admin token")
    return token


Operator = Annotated[AdminToken, Depends(require_token)]
"""Whose token a request came with, for routes that log who did something."""
Actor = Annotated[rights.Operator, Depends(read_actor)]
