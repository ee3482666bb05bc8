"""Changing rooms: `POST /v1/rooms`, `PATCH` and `DELETE` of one, `…/lock` and `…/unlock`.

Creating is idempotent by name, as LiveKit's `CreateRoom`: a room that is open is answered as it is. What of it can be
changed is changed by `PATCH`.
"""

import asyncio
import logging
from dataclasses import replace
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from router.admin.auth import Actor
from router.admin.rooms import FoundRoom
from router.admin.schemas import RoomBody
from router.admin.state import AdminState, State
from router.admin.versions import Expected, tag_room
from router.errors import RequestError
from router.rooms.names import check_room_name
from router.rooms.options import MAX_AUDIO_SLOTS, MAX_TIMEOUT_S, MAX_VIDEO_SLOTS, RoomOptions
from router.rooms.room import ENDED, Room

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/rooms", tags=["rooms"])

CREATED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": RoomBody, "description": "It was open already, and is as it was"},
    201: {"headers": {"Location": {"description": "Its path", "schema": {"type": "string"}}}, "description": "Created"},
    409: {"description": "A room of this name is open with other slots or codecs"},
    503: {"description": "Too many rooms, or the router is draining"},
}
CodecName = Literal["red", "opus", "VP8", "VP9", "H264", "AV1"]
Participants = Annotated[
    int, Field(ge=1, le=10_000, description="At most so many participants; null: the router's cap.")
]
EmptyTimeout = Annotated[
    float, Field(ge=1, le=MAX_TIMEOUT_S, description="Closes so many seconds after its creation if nobody came.")
]
DepartureTimeout = Annotated[
    float, Field(ge=0, le=MAX_TIMEOUT_S, description="Closes so many seconds after everybody left.")
]
Metadata = Annotated[
    str, Field(description="The application's own text, told to everybody in the room; at most 4096 bytes.")
]


class RoomRequest(BaseModel):
    """A room to be. What is left out or null is as the router's settings say."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={
            "examples": [
                {"name": "lobby", "max_participants": 20, "departure_timeout_s": 60, "metadata": '{"topic":"tea"}'}
            ]
        },
    )

    name: str = Field(description="1 to 128 characters, no slash.")
    max_participants: Participants | None = None
    empty_timeout_s: EmptyTimeout | None = None
    departure_timeout_s: DepartureTimeout | None = None
    metadata: Metadata = ""
    locked: bool = Field(default=False, description="Nobody comes in but moderators, until it is unlocked.")
    audio_slots: Annotated[int, Field(ge=1, le=MAX_AUDIO_SLOTS)] | None = Field(
        default=None, description="Voices that the room's offer has m-lines for. It cannot be changed later."
    )
    video_slots: Annotated[int, Field(ge=0, le=MAX_VIDEO_SLOTS)] | None = Field(
        default=None, description="Pictures that the room's offer has m-lines for. It cannot be changed later."
    )
    codecs: Annotated[list[CodecName], Field(max_length=6)] | None = Field(
        default=None, description="Of the room's offer, most wanted first: opus, and one for video at least."
    )


class RoomChange(BaseModel):
    """What is left out stays as it is; null: as the router's settings say."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={"examples": [{"max_participants": 50, "locked": True}]},
    )

    max_participants: Participants | None = None
    empty_timeout_s: EmptyTimeout | None = None
    departure_timeout_s: DepartureTimeout | None = None
    metadata: Metadata = ""
    locked: bool = Field(default=False, description="Newcomers are refused.")


@router.post("", status_code=201, summary="Create a room", responses=CREATED)
async def create_room(request: RoomRequest, state: State, actor: Actor, response: Response) -> RoomBody:
    """A new room that can be joined, or the open one of this name as it is."""
    check_room_name(request.name, "name")
    fields = request.model_dump(exclude={"name", "locked", "codecs"})
    options = RoomOptions(**fields, codecs=None if request.codecs is None else tuple(request.codecs))
    _check_cap(options, state)
    room, is_new = state.registry.find_or_create_room(request.name, options)
    response.headers["Location"] = f"/v1/rooms/{quote(room.name, safe='')}"
    response.status_code = 201 if is_new else 200
    if is_new:
        logger.info("room created by operator", extra={"room": room.name, "operator": actor.name})
        if request.locked:
            room.moderation.lock(actor, True)
    return _answer(room, response)


@router.patch("/{room}", summary="Change a room")
async def change_room(
    room: FoundRoom, change: RoomChange, state: State, actor: Actor, expected: Expected, response: Response
) -> RoomBody:
    """In force when it is answered. Nobody is put out, whatever the new cap."""
    expected.check(tag_room(room))
    options = replace(room.options, **change.model_dump(exclude_unset=True, exclude={"locked"}))
    _check_cap(options, state)
    room.change_options(options)
    if "locked" in change.model_fields_set:
        room.moderation.lock(actor, change.locked)
    logger.info("room changed", extra={"room": room.name, "operator": actor.name})
    return _answer(room, response)


@router.post("/{room}/lock", summary="Keep newcomers out")
async def lock_room(room: FoundRoom, actor: Actor, expected: Expected, response: Response) -> RoomBody:
    """Who is inside may come back; moderators may come. Others are refused with 403 `room-locked`."""
    expected.check(tag_room(room))
    room.moderation.lock(actor, True)
    return _answer(room, response)


@router.post("/{room}/unlock", summary="Let newcomers in again")
async def unlock_room(room: FoundRoom, actor: Actor, expected: Expected, response: Response) -> RoomBody:
    """An open room stays open."""
    expected.check(tag_room(room))
    room.moderation.lock(actor, False)
    return _answer(room, response)


@router.delete("/{room}", status_code=204, summary="Close a room")
async def close_room(room: FoundRoom, state: State, actor: Actor, expected: Expected) -> None:
    """Participants are told `room-ended` and put out; their tokens stay good. All is closed when this is answered."""
    expected.check(tag_room(room))
    logger.info("room closed by operator", extra={"room": room.name, "operator": actor.name})
    await asyncio.shield(state.registry.close_room(room, ENDED))


def _check_cap(options: RoomOptions, state: AdminState) -> None:
    cap = state.registry.limits.max_participants_per_room
    if options.max_participants is not None and options.max_participants > cap:
        raise RequestError(f"max_participants: expected at most {cap}, the router's own cap", slug="bad-room-options")


def _answer(room: Room, response: Response) -> RoomBody:
    response.headers["ETag"] = tag_room(room)
    return RoomBody.of(room)
