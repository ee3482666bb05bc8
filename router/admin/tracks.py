"""`/v1/rooms/{room}/tracks`, and muting one track by its id."""

from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from router.admin.auth import Actor
from router.admin.pages import Cursor, Limit, cut_page
from router.admin.participants import FoundParticipant, find_track
from router.admin.rooms import FoundRoom
from router.admin.schemas import RoomTrackBody, RoomTrackPage, TrackBody
from router.errors import NotFoundError
from router.rooms.participant import PublishedTrack
from router.rooms.room import Room

router = APIRouter(prefix="/v1/rooms/{room}", tags=["tracks"])

EXAMPLES: Final[dict[str, Any]] = {"examples": [{"moderated": True}]}


class TrackChange(BaseModel):
    """What an operator may do to a track."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra=EXAMPLES)

    moderated: bool = Field(description="True: nobody receives it, whatever its publisher does.")


@router.get("/tracks", summary="Tracks of a room by id")
async def list_tracks(room: FoundRoom, limit: Limit = 50, cursor: Cursor = None) -> RoomTrackPage:
    """One page of published tracks."""
    by_id = {track.id: track for participant in room.participants.values() for track in participant.tracks}
    ids, following = cut_page(by_id, cursor, limit)
    return RoomTrackPage(items=[RoomTrackBody.of(by_id[key]) for key in ids], next_cursor=following)


@router.get("/tracks/{track}", summary="One track of a room")
async def read_track(room: FoundRoom, track: str) -> RoomTrackBody:
    """The track and whose it is."""
    return RoomTrackBody.of(_find(room, track))


@router.patch("/tracks/{track}", summary="Mute or unmute a track")
async def change_track(room: FoundRoom, track: str, change: TrackChange, actor: Actor) -> RoomTrackBody:
    """In force when it is answered, but for what is on its way."""
    found = _find(room, track)
    room.moderation.mute(actor, found.id, change.moderated)
    return RoomTrackBody.of(found)


@router.patch("/participants/{participant}/tracks/{track}", summary="Mute or unmute a track of a participant")
async def change_track_of_participant(
    room: FoundRoom, participant: FoundParticipant, track: str, change: TrackChange, actor: Actor
) -> TrackBody:
    """In force when it is answered, but for what is on its way."""
    found = find_track(participant, track)
    room.moderation.mute(actor, found.id, change.moderated)
    return TrackBody.of(found)


def _find(room: Room, track_id: str) -> PublishedTrack:
    track = room.find_track(track_id)
    if track is None:
        raise NotFoundError("no such track", slug="unknown-track")
    return track
