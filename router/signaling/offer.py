"""`GET /rooms/{room}/offer`: the room's static offer, the same bytes for everybody, made to be cached.

It opens nothing and says nothing secret, so it needs no token; a token for the room lets it open the room where that is
allowed. A cache may keep it for a while and longer if it asks again: an answer to an offer that was replaced meanwhile
is refused with `stale-offer`, and its peer comes back past the caches. Where there are STUN or TURN servers to tell of,
a `Link` says so; they are another resource, for credentials are one participant's own.
"""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from router.rooms.static_offer import StaticOffer
from router.signaling.auth import read_grant
from router.signaling.resources import SDP, Resource


class OfferResource(Resource):
    """The offer of one room."""

    async def get(self, request: Request) -> Response:
        """The SDP, or 304 for whoever has it."""
        offer = await self._find(request)
        age_s = self.state.settings.offer_max_age_s
        headers = {"ETag": offer.etag, "Cache-Control": f"public, max-age={age_s}"}
        if self.state.settings.ice_servers or self.state.turn is not None:
            headers["Link"] = f'</rooms/{quote(request.path_params["room"], safe="")}/ice-servers>; rel="ice-servers"'
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if offer.etag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        return Response(offer.text, media_type=SDP, headers=headers)

    async def head(self, request: Request) -> Response:
        """As GET; the server leaves the body out."""
        return await self.get(request)

    async def options(self, _request: Request) -> Response:
        """For CORS."""
        return Response(status_code=200)

    async def _find(self, request: Request) -> StaticOffer:
        registry, name = self.state.registry, request.path_params["room"]
        if "authorization" in request.headers:
            read_grant(request, self.state.tokens, name)
            remembered = await self.check_place(request)
            return registry.open_room(name, remembered).forks.offer
        return registry.get_room(name).forks.offer
