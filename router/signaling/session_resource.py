"""The session URL: trickle ICE and ICE restart by PATCH, the end by DELETE (RFC 9725 section 4.3).

Whether a PATCH trickles or restarts is decided by its credentials, not by `If-Match`: clients send `*`, `"*"` or the
tag for either. A newer token brings its rights and prolongs the stay. Tags are compared with or without quotes, for
some clients lose them. The same URL takes the answer to a counter-offer, once (draft-ietf-wish-whep).
"""

from starlette.requests import Request
from starlette.responses import Response

from router.errors import ConflictError, PreconditionFailedError, PreconditionRequiredError, RemoteSdpError
from router.request_body import check_content_type, read_content_type
from router.rooms.session import Session
from router.rtc.sdp import IceFragment, parse, parse_fragment, write_fragment
from router.signaling.auth import read_grant
from router.signaling.resources import FRAGMENT, SDP, Resource


class SessionResource(Resource):
    """`/whip/{room}/{session}`, `/whep/{room}/{session}` and `/rooms/{room}/forks/{session}`."""

    async def patch(self, request: Request) -> Response:
        """Trickle: 204 without an entity tag. Restart: 200, our new credentials and a new tag. An answer: 204."""
        self.count(request)
        if read_content_type(request) == SDP:
            return await self._answer(request)
        session = self._find(request)
        check_content_type(request, FRAGMENT)
        check_if_match(request, session.etag)
        fragment = parse_fragment(await self.read_body(request))
        # The body took its time: another PATCH may have restarted ICE, a DELETE ended the session.
        session = self._find(request)
        check_if_match(request, session.etag)
        if not session.is_restart(fragment.ufrag, fragment.password):
            session.trickle(fragment.candidates, end_of_candidates=fragment.end_of_candidates)
            return Response(status_code=204)
        if fragment.ufrag is None or fragment.password is None:
            raise RemoteSdpError("an ICE restart needs both a=ice-ufrag and a=ice-pwd")
        ufrag, password = session.restart(fragment.ufrag, fragment.password, fragment.candidates)
        body = write_restart(session, ufrag, password)
        return Response(body, status_code=200, media_type=FRAGMENT, headers={"ETag": session.etag})

    async def _answer(self, request: Request) -> Response:
        name, session_id = request.path_params["room"], request.path_params["session"]
        grant = read_grant(request, self.state.tokens, name)
        answer = parse(await self.read_body(request))
        counter_offer = self.state.registry.find_counter_offer(name, session_id, grant.identity)
        if counter_offer is None:
            self._find(request)
            raise ConflictError("no counter-offer waits for an answer here", slug="already-answered")
        forks = self.state.registry.get_room(name).forks
        session = await forks.answer_counter_offer(grant, counter_offer, answer)
        return Response(status_code=204, headers={"ETag": session.etag})

    async def delete(self, request: Request) -> Response:
        """Ends the session; again is no error. Entity tags are ignored."""
        self.count(request)
        name, session_id = request.path_params["room"], request.path_params["session"]
        grant = read_grant(request, self.state.tokens, name)
        registry = self.state.registry
        counter_offer = registry.find_counter_offer(name, session_id, grant.identity)
        if counter_offer is not None:
            registry.get_room(name).forks.pending.withdraw(counter_offer)
            return Response(status_code=200)
        await registry.end_session(name, session_id, grant.identity)
        return Response(status_code=200)

    async def get(self, request: Request) -> Response:
        """A living session has no representation, only a success."""
        self._find(request)
        return Response(status_code=204)

    async def head(self, request: Request) -> Response:
        """As GET."""
        return await self.get(request)

    async def options(self, _request: Request) -> Response:
        """For CORS. `Accept-Patch` is gone from the RFC; old clients still look for it."""
        return Response(status_code=200, headers={"Accept-Patch": FRAGMENT})

    def _find(self, request: Request) -> Session:
        room = request.path_params["room"]
        grant = read_grant(request, self.state.tokens, room)
        session = self.state.registry.find_session(room, request.path_params["session"], grant.identity)
        session.room.grants.renew(session, grant)
        return session


def check_if_match(request: Request, etag: str) -> None:
    """RFC 9110 section 13.1.1, with the wildcard also in quotes, as RFC 9725's own example has it."""
    values = request.headers.getlist("if-match")
    tags = [tag.strip() for value in values for tag in value.split(",") if tag.strip()]
    if not tags:
        raise PreconditionRequiredError("expected the header If-Match with the session's entity tag")
    accepted = {"*", '"*"', etag, etag.strip('"')}
    if not accepted.intersection(tags):
        raise PreconditionFailedError("If-Match names another ICE session")


def write_restart(session: Session, ufrag: str, password: str) -> str:
    """Our new credentials and all our candidates, for the first m-line of the bundle."""
    answer = session.local
    live = [section for section in answer.media if not section.rejected]
    fragment = IceFragment(
        ufrag=ufrag,
        password=password,
        candidates=answer.candidates,
        end_of_candidates=True,
        mid=live[0].mid,
        lite=answer.lite,
        trickle=answer.trickle,
    )
    return write_fragment(fragment, kind=live[0].kind, bundle=[section.mid for section in live])
