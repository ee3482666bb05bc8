"""Muting and removing participants, as moderators do, by operators who are in no room."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from router.admin.auth import Actor
from router.admin.participants import FoundParticipant
from router.admin.rooms import FoundRoom
from router.admin.schemas import TrackBody, TrackList
from router.admin.versions import Expected, tag_participant
from router.errors import NotFoundError
from router.rooms.sources import Source

router = APIRouter(prefix="/v1/rooms/{room}/participants/{participant}", tags=["participants"])

EXAMPLES: Final[dict[str, Any]] = {"examples": [{"muted": True, "source": "microphone"}]}


class MuteRequest(BaseModel):
    """Which tracks: of a source, of a kind, a certain one; or all."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra=EXAMPLES)

    muted: bool = Field(description="False: the operator mutes them no more. Their publisher may still.")
    kind: Literal["audio", "video"] | None = None
    source: Source | None = None
    track_id: Annotated[str, Field(max_length=64)] | None = None

    @model_validator(mode="after")
    def check_one(self) -> "MuteRequest":
        """Refuses more than one of them."""
        if sum(given is not None for given in (self.kind, self.source, self.track_id)) > 1:
            raise ValueError("expected one of kind, source and track_id, or none")
        return self


@router.post("/mute", summary="Mute or unmute tracks of a participant")
async def mute_participant(
    room: FoundRoom, participant: FoundParticipant, request: MuteRequest, actor: Actor
) -> TrackList:
    """The tracks that were meant. Nobody receives a muted one, whatever its publisher does, also after coming back."""
    meant = [
        track
        for track in participant.tracks
        if request.kind in (None, track.kind)
        and request.source in (None, track.source)
        and request.track_id in (None, track.id)
    ]
    if request.track_id is not None and not meant:
        raise NotFoundError("no such track", slug="unknown-track")
    for track in meant:
        room.moderation.mute(actor, track.id, request.muted)
    return TrackList(items=[TrackBody.of(track) for track in meant])


@router.delete("", status_code=204, summary="Remove a participant")
async def remove_participant(
    room: FoundRoom,
    participant: FoundParticipant,
    actor: Actor,
    expected: Expected,
    ban: Annotated[
        bool, Query(description="Refuse tokens of this identity for this room that were issued until now.")
    ] = True,
) -> None:
    """Its sessions and event connections end at once."""
    expected.check(tag_participant(participant))
    room.moderation.remove(actor, participant.id, ban=ban)
