"""`/v1/rooms/{room}/participants`, one of them, and `…/tracks`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from router.admin.pages import Cursor, Limit, cut_page
from router.admin.rooms import FoundRoom
from router.admin.schemas import ParticipantBody, ParticipantPage, TrackBody, TrackList
from router.admin.versions import tag_participant
from router.errors import NotFoundError
from router.rooms.participant import Participant, PublishedTrack

router = APIRouter(prefix="/v1/rooms/{room}/participants", tags=["participants"])


def find_participant(participant: str, room: FoundRoom) -> Participant:
    """The participant whose id is in the path; a FastAPI dependency."""
    return room.find_participant(participant)


def find_track(participant: Participant, track_id: str) -> PublishedTrack:
    """One of the participant's tracks."""
    for track in participant.tracks:
        if track.id == track_id:
            return track
    raise NotFoundError("no such track", slug="unknown-track")


FoundParticipant = Annotated[Participant, Depends(find_participant)]


@router.get("", summary="Participants of a room by id")
async def list_participants(room: FoundRoom, limit: Limit = 50, cursor: Cursor = None) -> ParticipantPage:
    """One page of participants."""
    by_id = {participant.id: participant for participant in room.participants.values()}
    ids, following = cut_page(by_id, cursor, limit)
    return ParticipantPage(items=[ParticipantBody.of(by_id[key]) for key in ids], next_cursor=following)


@router.get("/{participant}", summary="One participant")
async def read_participant(participant: FoundParticipant, response: Response) -> ParticipantBody:
    """The participant with sessions, slots and tracks. The entity tag is of name, metadata and rights."""
    response.headers["ETag"] = tag_participant(participant)
    return ParticipantBody.of(participant)


@router.get("/{participant}/tracks", summary="Tracks of a participant")
async def list_tracks(participant: FoundParticipant) -> TrackList:
    """In order of publishing."""
    return TrackList(items=[TrackBody.of(track) for track in participant.tracks])


@router.get("/{participant}/tracks/{track}", summary="One track")
async def read_track(participant: FoundParticipant, track: str) -> TrackBody:
    """The track."""
    return TrackBody.of(find_track(participant, track))
