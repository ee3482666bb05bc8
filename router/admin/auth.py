"""Bearer tokens of operators (RFC 6750 section 2.1): who asks, and whether they may read only."""

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers

from router.admin.state import AdminState, read_state
from router.admin.tokens import AdminToken, AdminTokens
from router.errors import ForbiddenError, UnauthorizedError

READING: Final = frozenset(("GET", "HEAD", "OPTIONS"))
ANYBODY: Final = AdminToken("anybody", "", "write")
"""Where no token is configured: development on loopback."""


ADMIN_TOKEN: Final = HTTPBearer(auto_error=False, scheme_name="adminToken", description="One of the admin tokens.")
"""For the OpenAPI document only."""


def require_token(
    request: Request,
    state: Annotated[AdminState, Depends(read_state)],
    _documented: Annotated[object, Depends(ADMIN_TOKEN)],
) -> AdminToken:
    """Whose token it is. Refuses a request without one, and changes by a token that is for reading."""
    token = _find(request, state)
    if token.scope == "read" and request.method not in READING:
        raise ForbiddenError("this admin token is for reading only", slug="read-only-token")
    return token


def require_metrics_token(
    request: Request,
    state: Annotated[AdminState, Depends(read_state)],
    documented: Annotated[object, Depends(ADMIN_TOKEN)],
) -> None:
    """The same for `/metrics`, where a setting may waive it."""
    if not state.metrics_without_token:
        require_token(request, state, documented)


def _find(request: Request, state: AdminState) -> AdminToken:
    if not state.tokens:
        return ANYBODY
    token = find_token(request.headers, state.tokens)
    if token is None:
        raise UnauthorizedError("expected one header Authorization: Bearer with the admin token")
    return token


def find_token(headers: Headers, tokens: AdminTokens) -> AdminToken | None:
    """The token of a request, if it has one that is in force. Two headers are none: who reads the other one?"""
    values = headers.getlist("authorization") or [""]
    scheme, _, given = values[0].partition(" ")
    # Compared even when the scheme is wrong, so that every refusal takes as long.
    token = tokens.find(given.strip())
    return token if scheme.lower() == "bearer" and len(values) == 1 else None


Operator = Annotated[AdminToken, Depends(require_token)]
"""Whose token a request came with, for routes that log who did something."""
