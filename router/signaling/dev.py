"""`GET /dev/token`: a join token for anybody who asks, only with `--dev` on a loopback address.

Not shared across origins, and only for a `Host` that no name server can point here, so that no page of the Web can take
tokens from a developer's machine.
"""

import secrets
from ipaddress import ip_address

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from router.errors import ForbiddenError
from router.rooms.names import check_display_name, check_room_name
from router.rooms.rights import JoinGrant
from router.tokens import DEFAULT_LIFETIME_S, JoinTokens


class DevTokens:
    """Makes tokens with every right for a new identity."""

    def __init__(self, tokens: JoinTokens) -> None:
        self._tokens = tokens

    async def get(self, request: Request) -> Response:
        """`?room=&name=` in, `{token, identity}` out."""
        _check_host(request.url.hostname or "")
        room = check_room_name(request.query_params.get("room"))
        name = check_display_name(request.query_params.get("name", ""))
        identity = f"dev-{secrets.token_hex(6)}"
        token = self._tokens.issue(JoinGrant(room, identity, name, may_moderate=True))
        body = {"token": token, "room": room, "identity": identity, "expires_in_s": int(DEFAULT_LIFETIME_S)}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})


def _check_host(host: str) -> None:
    """Refuses names, which DNS rebinding could bring here; addresses and localhost it cannot."""
    if host == "localhost" or host.endswith(".localhost"):
        return
    try:
        ip_address(host.strip("[]"))
    except ValueError as error:
        raise ForbiddenError("development tokens are given to localhost only", slug="not-localhost") from error
