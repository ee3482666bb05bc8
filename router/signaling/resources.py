"""What the signalling resources share, and the endpoint of WHIP and WHEP, which takes offers.

RFC 9725 sections 4.1 to 4.6 and draft-ietf-wish-whep. Left out: protocol extensions by `Link`.
"""

import secrets
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from router.rates import RateLimiter
from router.request_body import check_content_type, read_text
from router.rooms.offers import Endpoint, OfferingEndpoint
from router.rooms.remembered import RememberedRoom
from router.rooms.session import Session
from router.rtc.sdp import parse, write
from router.signaling.auth import read_grant
from router.signaling.elsewhere import check_place
from router.signaling.links import write_ice_links
from router.signaling.state import PublicState

PATHS: dict[Endpoint, str] = {"whip": "/whip/{room}", "whep": "/whep/{room}", "fork": "/rooms/{room}/forks"}
SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
UNKNOWN_ADDRESS = "unknown"


class Resource:
    """State and limits that every signalling request goes through."""

    def __init__(self, state: PublicState, limiter: RateLimiter) -> None:
        self.state = state
        self.limiter = limiter

    def count(self, request: Request) -> None:
        """Counts a changing request against its source address."""
        self.limiter.take(request.client.host if request.client else UNKNOWN_ADDRESS)

    async def check_place(self, request: Request) -> RememberedRoom | None:
        """Sends the client elsewhere if the room is there; else what it was, see `router.signaling.elsewhere`."""
        return await check_place(self.state.registry, self.state.peers, request.path_params["room"])

    async def read_body(self, request: Request) -> str:
        """The body, within the limits, when it is this request's turn."""
        settings = self.state.settings
        text = await read_text(request, limit_bytes=settings.max_sdp_bytes, timeout_s=settings.body_timeout_s)
        await self.state.turnstile.wait()
        return text

    def locate(self, endpoint: Endpoint, room: str, session_id: str) -> str:
        """Absolute if we know our name: OBS and GStreamer resolve relative ones in ways of their own."""
        path = f"{PATHS[endpoint].format(room=quote(room, safe=''))}/{session_id}"
        return (self.state.settings.public_url or "") + path

    def name_session(self, response: Response, endpoint: Endpoint, session: Session) -> None:
        """Tells a new session's URL, its entity tag and the ICE servers."""
        response.headers["Location"] = self.locate(endpoint, session.room.name, session.id)
        response.headers["ETag"] = session.etag
        response.headers["Cache-Control"] = "no-store"
        self.add_links(response, session.participant.identity)

    def add_links(self, response: Response, identity: str) -> None:
        """One header field per URL; OBS and whip-whep-js split joined values badly. TURN credentials are this one's."""
        for link in write_ice_links(self.state.ice_servers_of(identity)):
            response.headers.append("Link", link)


class JoiningResource(Resource):
    """What takes descriptions by POST and has nothing to show."""

    async def get(self, _request: Request) -> Response:
        """RFC 9725 section 4.1: a 2xx without content, whatever the room."""
        return Response(status_code=204)

    async def head(self, request: Request) -> Response:
        """As GET."""
        return await self.get(request)

    async def options(self, request: Request) -> Response:
        """For CORS, and for clients that ask for ICE servers first: those are told to holders of a token only."""
        response = Response(status_code=200, headers={"Accept-Post": SDP})
        is_preflight = "access-control-request-method" in request.headers
        if not is_preflight and "authorization" in request.headers:
            grant = read_grant(request, self.state.tokens, request.path_params["room"])
            self.add_links(response, grant.identity)
        return response


class EndpointResource(JoiningResource):
    """`/whip/{room}` or `/whep/{room}`."""

    endpoint: OfferingEndpoint

    async def post(self, request: Request) -> Response:
        """Offer in, answer out."""
        registry, room = self.state.registry, request.path_params["room"]
        with registry.joins.attempt(self.endpoint, room) as times:
            self.count(request)
            grant = read_grant(request, self.state.tokens, room)
            remembered = await self.check_place(request)
            check_content_type(request, SDP)
            body = await self.read_body(request)
            registry.joins.admitted(times)
            offer = parse(body)
            registry.joins.parsed(times)
            session = await registry.join(room, grant, offer, self.endpoint, remembered)
        response = Response(write_answer(session), status_code=201, media_type=SDP)
        self.name_session(response, self.endpoint, session)
        return response


def write_answer(session: Session) -> str:
    """Our side as SDP. Never renegotiated, so any origin id will do."""
    return write(session.local, session_id=secrets.randbits(62), version=1)
