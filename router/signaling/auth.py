"""Bearer tokens (RFC 6750 section 2.1) on signalling requests."""

from starlette.requests import HTTPConnection

from router.errors import UnauthorizedError
from router.rooms.rights import JoinGrant
from router.tokens import JoinTokens


def read_grant(connection: HTTPConnection, tokens: JoinTokens, room: str) -> JoinGrant:
    """The grant of the request's token for this room, or `UnauthorizedError` or `ForbiddenError`."""
    grant = tokens.verify(_read_bearer(connection))
    grant.check_room(room)
    return grant


def _read_bearer(connection: HTTPConnection) -> str:
    values = connection.headers.getlist("authorization")
    if not values:
        raise UnauthorizedError("expected the header Authorization: Bearer with a join token")
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise UnauthorizedError("expected one header Authorization: Bearer with a join token")
    return token.strip()
