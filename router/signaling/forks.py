"""`POST /rooms/{room}/forks`: the answer to the room's static offer makes a fork.

The header `Fork-Ufrag` names the fork: the offer's `a=ice-ufrag` with the nonce that the client appended to it in its
copy of the offer. ICE and DTLS may be under way, or over, when the answer comes.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from router.errors import RequestError
from router.request_body import check_content_type
from router.rooms.session import Session
from router.rtc.sdp import parse
from router.signaling.auth import read_grant
from router.signaling.resources import SDP, JoiningResource

FORK_UFRAG = "Fork-Ufrag"
MAX_UFRAG_CHARACTERS = 256
"""RFC 8445 section 5.3."""


class ForksResource(JoiningResource):
    """The forks of one room."""

    async def post(self, request: Request) -> Response:
        """Answer in, session out."""
        registry, name = self.state.registry, request.path_params["room"]
        with registry.joins.attempt("fork", name) as times:
            self.count(request)
            grant = read_grant(request, self.state.tokens, name)
            remembered = await self.check_place(request)
            check_content_type(request, SDP)
            ufrag = _read_ufrag(request)
            body = await self.read_body(request)
            registry.joins.admitted(times)
            answer = parse(body)
            registry.joins.parsed(times)
            session = await registry.open_room(name, remembered).forks.answer(grant, ufrag, answer)
        response = JSONResponse(_describe(session), status_code=201)
        self.name_session(response, "fork", session)
        return response


def _read_ufrag(request: Request) -> str:
    values = request.headers.getlist(FORK_UFRAG)
    if len(values) != 1 or not 0 < len(values[0]) <= MAX_UFRAG_CHARACTERS:
        raise RequestError(
            f"expected one header {FORK_UFRAG}: the offer's a=ice-ufrag followed by your nonce", slug="bad-nonce"
        )
    return values[0]


def _describe(session: Session) -> dict[str, object]:
    slots = [{"mid": slot.mid, "kind": slot.kind} for slot in session.slots.values()]
    return {"session": session.id, "participant": session.participant.id, "slots": slots}
