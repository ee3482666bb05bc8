"""`GET /v1/events`: the event log of this node as server-sent events. Those of all nodes are in the store's stream."""

from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from router.admin.event_stream import MEDIA_TYPE, EventStreamResponse
from router.admin.state import State
from router.errors import RequestError
from router.events.model import KINDS
from router.events.queue import Filter
from router.rooms.names import MAX_NAME_CHARACTERS, check_room_name

router = APIRouter(prefix="/v1/events", tags=["events"])

MAX_ID_CHARACTERS: Final = 64
EXAMPLE: Final = (
    "id: E_5f0c9a1b2d3e4f60-12\nevent: participant_joined\n"
    'data: {"id":"E_5f0c9a1b2d3e4f60-12","event":"participant_joined","created_at":1795900000,"time":1795900000.25,'
    '"sequence":2,"node":"N_1a2b3c4d5e6f7081",'
    '"room":{"id":"R_0a1b2c3d4e5f6071","sid":"R_0a1b2c3d4e5f6071","name":"lobby"},'
    '"participant":{"id":"P_99aabbccddeeff00","identity":"ada","name":"Ada","metadata":"",'
    '"sid":"P_99aabbccddeeff00"}}\n\n'
)


@router.get(
    "",
    summary="What happens, as server-sent events",
    response_class=Response,
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}}, "description": "The stream"},
        503: {"description": "Too many listeners"},
    },
)
async def read_events(
    request: Request,
    state: State,
    room: Annotated[str | None, Query(max_length=MAX_NAME_CHARACTERS, description="Only of this room.")] = None,
    kind: Annotated[list[str] | None, Query(max_length=32, description="Only of these kinds; repeatable.")] = None,
    last_event_id: Annotated[
        str | None,
        Header(max_length=MAX_ID_CHARACTERS, description="The last id that was read: what came since comes first."),
    ] = None,
) -> Response:
    """Events of this node from now on, or from after `Last-Event-ID` as far as the log reaches back."""
    if room is not None:
        check_room_name(room)
    for name in kind or ():
        if name not in KINDS:
            raise RequestError(f"kind: expected some of {', '.join(KINDS)}", slug="unknown-event-kind")
    wanted, listeners = Filter(room, frozenset(kind or ())), request.app.state.event_listeners
    return EventStreamResponse(state.registry.events, wanted, last_event_id, listeners)
