"""The operator's bearer token (RFC 6750 section 2.1), compared in constant time."""

import hmac
from typing import Annotated

from fastapi import Depends, Request

from router.admin.state import AdminState, read_state
from router.errors import UnauthorizedError


def require_token(request: Request, state: Annotated[AdminState, Depends(read_state)]) -> None:
    """Refuses a request without the token, unless none is configured."""
    if state.token is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # Compared even when the scheme is wrong, so that every refusal takes as long.
    same = hmac.compare_digest(given.strip().encode(), state.token.encode())
    if scheme.lower() != "bearer" or not same:
        raise UnauthorizedError("expected the header Authorization: Bearer with the admin token")


def require_metrics_token(request: Request, state: Annotated[AdminState, Depends(read_state)]) -> None:
    """The same for `/metrics`, where a setting may waive it."""
    if not state.metrics_without_token:
        require_token(request, state)
