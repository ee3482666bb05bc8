"""`/v1/rooms/{room}/participants`, one of them, and `…/tracks`."""

from typing import Annotated

from fastapi import APIRouter, Depends

from router.admin.pages import Cursor, Limit, cut_page
from router.admin.rooms import FoundRoom
from router.admin.schemas import ParticipantBody, ParticipantPage, TrackBody, TrackList
from router.errors import NotFoundError
from router.rooms.participant import Participant

router = APIRouter(prefix="/v1/rooms/{room}/participants", tags=["participants"])


def find_participant(participant: str, room: FoundRoom) -> Participant:
    """The participant whose id is in the path; a FastAPI dependency."""
    for candidate in room.participants.values():
        if candidate.id == participant:
            return candidate
    raise NotFoundError("no such participant", slug="unknown-participant")


FoundParticipant = Annotated[Participant, Depends(find_participant)]


@router.get("", summary="Participants of a room by id")
async def list_participants(room: FoundRoom, limit: Limit = 50, cursor: Cursor = None) -> ParticipantPage:
    """One page of participants."""
    by_id = {participant.id: participant for participant in room.participants.values()}
    ids, following = cut_page(by_id, cursor, limit)
    return ParticipantPage(items=[ParticipantBody.of(by_id[key]) for key in ids], next_cursor=following)


@router.get("/{participant}", summary="One participant")
async def read_participant(participant: FoundParticipant) -> ParticipantBody:
    """The participant with sessions, slots and tracks."""
    return ParticipantBody.of(participant)


@router.get("/{participant}/tracks", summary="Tracks of a participant")
async def list_tracks(participant: FoundParticipant) -> TrackList:
    """In order of publishing."""
    return TrackList(items=[TrackBody.of(track) for track in participant.tracks])


@router.get("/{participant}/tracks/{track}", summary="One track")
async def read_track(participant: FoundParticipant, track: str) -> TrackBody:
    """The track."""
    for candidate in participant.tracks:
        if candidate.id == track:
            return TrackBody.of(candidate)
    raise NotFoundError("no such track", slug="unknown-track")
