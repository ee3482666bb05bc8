"""`GET /rooms/{room}/roster`: who is there and who speaks, for those who do not want to listen to the events."""

from starlette.requests import Request
from starlette.responses import Response

from router.signaling.auth import read_grant
from router.signaling.resources import Resource


class RosterResource(Resource):
    """The state that a `welcome` on the events WebSocket begins with."""

    async def get(self, request: Request) -> Response:
        """For whoever may enter the room. Counted like a change, for it is as large as the room."""
        self.count(request)
        name = request.path_params["room"]
        grant = read_grant(request, self.state.tokens, name)
        await self.check_place(request)
        room = self.state.registry.get_room(name)
        room.moderation.check_entry(grant)
        text = room.roster.write_state(room.participants.get(grant.identity))
        return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})
