"""`GET /rooms/{room}/ice-servers`: STUN and TURN servers for one participant, in the shapes that clients take.

`iceServers` is what goes into an `RTCPeerConnection`; where the router shares a secret with TURN servers, the members
of draft-uberti-behave-turn-rest-00 section 2.2 (`username`, `password`, `ttl`, `uris`) are there as well. WHIP and WHEP
clients get the same as `Link` headers of their answer.
"""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from router.signaling.auth import read_grant
from router.signaling.resources import Resource
from router.signaling.state import IceServer


class IceServersResource(Resource):
    """For whoever has a token for the room."""

    async def get(self, request: Request) -> Response:
        """New TURN credentials with each request, so never from a cache."""
        self.count(request)
        grant = read_grant(request, self.state.tokens, request.path_params["room"])
        body: dict[str, Any] = {"iceServers": []}
        servers = self.state.settings.ice_servers
        if self.state.turn is not None:
            made = self.state.turn.issue(grant.identity)
            body.update(made.describe())
            servers = (*servers, IceServer(made.urls, made.username, made.password))
        body["iceServers"] = describe_ice_servers(servers)
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def options(self, _request: Request) -> Response:
        """For CORS."""
        return Response(status_code=200)


def describe_ice_servers(servers: Sequence[IceServer]) -> list[dict[str, Any]]:
    """As `RTCIceServer` dictionaries.

    >>> describe_ice_servers([IceServer(("stun:stun.example.net",))])
    [{'urls': ['stun:stun.example.net']}]
    """
    described = []
    for server in servers:
        members = {"urls": list(server.urls), "username": server.username, "credential": server.credential}
        described.append({name: value for name, value in members.items() if value is not None})
    return described
