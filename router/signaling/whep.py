"""WHEP endpoint, draft-ietf-wish-whep: `POST /whep/{room}` plays, and publishes on m-lines that also send.

Each receiving m-line is a slot for life. With `?counter-offer=1` the player's offer is not looked at: 406 brings the
room's own offer (draft section "Server Sends Counter-Offer"), complete with a nonce, and the session's URL takes the
answer by PATCH.
"""

from starlette.requests import Request
from starlette.responses import Response

from router.signaling.auth import read_grant
from router.signaling.resources import SDP, EndpointResource

COUNTER_OFFER = "counter-offer"


class WhepEndpoint(EndpointResource):
    """Plays, or joins both ways in one request."""

    endpoint = "whep"

    async def post(self, request: Request) -> Response:
        """Offer in, answer out, or our offer instead."""
        if request.query_params.get(COUNTER_OFFER, "0") == "0":
            return await super().post(request)
        registry, room = self.state.registry, request.path_params["room"]
        with registry.joins.attempt("whep", room):
            self.count(request)
            grant = read_grant(request, self.state.tokens, room)
            remembered = await self.check_place(request)
            # Whoever sent an offer wants it read to the end, though it does not matter.
            await self.read_body(request)
            minted, text = registry.open_room(room, remembered).forks.make_counter_offer(grant)
        response = Response(text, status_code=406, media_type=SDP)
        response.headers["Location"] = self.locate("whep", room, minted.id)
        response.headers["Cache-Control"] = "no-store"
        self.add_links(response, grant.identity)
        return response

    async def head(self, _request: Request) -> Response:
        """Lets generic players recognise the URL (draft section "WHEP Endpoint URL Discoverability")."""
        return Response(status_code=200, headers={"Content-Type": SDP, "Content-Length": "0"})
