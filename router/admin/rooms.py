"""`/v1/rooms` and `/v1/rooms/{room}`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from router.admin.pages import Cursor, Limit, cut_page
from router.admin.rooms_elsewhere import read_others
from router.admin.schemas import RoomBody, RoomPage
from router.admin.state import State
from router.admin.versions import tag_room
from router.rooms.room import Room

router = APIRouter(prefix="/v1/rooms", tags=["rooms"])


def find_room(room: str, state: State) -> Room:
    """The open room of the path; a FastAPI dependency."""
    return state.registry.get_room(room)


FoundRoom = Annotated[Room, Depends(find_room)]


@router.get("", summary="Open rooms by name")
async def list_rooms(state: State, limit: Limit = 50, cursor: Cursor = None) -> RoomPage:
    """One page of open rooms: those of this node in full, those of others as they are in the store."""
    rooms, others = state.registry.rooms, await read_others(state, cursor, limit)
    names, following = cut_page({**others, **rooms}, cursor, limit)
    items = [RoomBody.of(rooms[name]) if name in rooms else others[name] for name in names]
    return RoomPage(items=items, next_cursor=following)


@router.get("/{room}", summary="One room")
async def read_room(room: FoundRoom, response: Response) -> RoomBody:
    """What it is asked to be, and in numbers. The entity tag is of the former."""
    response.headers["ETag"] = tag_room(room)
    return RoomBody.of(room)
