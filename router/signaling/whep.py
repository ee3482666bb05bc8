"""WHEP endpoint, draft-ietf-wish-whep: `POST /whep/{room}` plays, and publishes on m-lines that also send.

Each receiving m-line is a slot for life. The server always answers the offer; it makes no counter-offer.
"""

from starlette.requests import Request
from starlette.responses import Response

from router.signaling.resources import SDP, EndpointResource


class WhepEndpoint(EndpointResource):
    """Plays, or joins both ways in one request."""

    endpoint = "whep"

    async def head(self, _request: Request) -> Response:
        """Lets generic players recognise the URL (draft section "WHEP Endpoint URL Discoverability")."""
        return Response(status_code=200, headers={"Content-Type": SDP, "Content-Length": "0"})
