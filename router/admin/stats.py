"""`…/stats` of a participant and of a room, read from the engine in the moment of the request."""

from typing import Any

from fastapi import APIRouter

from router import clock
from router.admin.examples import STATS, answer
from router.admin.pages import Cursor, Limit, cut_page
from router.admin.participants import FoundParticipant
from router.admin.rooms import FoundRoom
from router.admin.webrtc_stats import Stat, write_stats
from router.errors import ConnectionClosedError, EngineError
from router.rooms.participant import Participant
from router.rooms.session import Session

router = APIRouter(prefix="/v1/rooms/{room}", tags=["stats"])


@router.get(
    "/participants/{participant}/stats",
    summary="Statistics of a participant, as W3C webrtc-stats",
    responses=answer(STATS),
)
async def read_participant_stats(participant: FoundParticipant) -> dict[str, Any]:
    """All objects of all sessions of the participant."""
    return await _read_participant(participant)


@router.get(
    "/stats",
    summary="Statistics of all participants of a room, as W3C webrtc-stats",
    responses=answer({"items": [STATS], "next_cursor": None}),
)
async def read_room_stats(room: FoundRoom, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """One page of participants with their objects."""
    by_id = {participant.id: participant for participant in room.participants.values()}
    ids, following = cut_page(by_id, cursor, limit)
    return {"items": [await _read_participant(by_id[key]) for key in ids], "next_cursor": following}


async def _read_participant(participant: Participant) -> dict[str, Any]:
    stats: list[Stat] = []
    for session in tuple(participant.sessions.values()):
        stats += await _read_session(session)
    return {
        "participant_id": participant.id,
        "identity": participant.identity,
        "name": participant.name,
        "stats": stats,
    }


async def _read_session(session: Session) -> list[Stat]:
    try:
        found = await session.connection.get_stats()
    except (EngineError, ConnectionClosedError):
        return []  # it went away between the roster and the engine
    published = {mid: track.id for mid, track in session.tracks.items()}
    shown = {mid: track.id if (track := session.track_in(mid)) else None for mid in session.slots}
    return write_stats(found, clock.wall_s() * 1000, published=published, shown=shown)
