"""`PATCH /v1/rooms/{room}/participants/{participant}`: rights, name and metadata, in force when the answer comes.

Changed rights count for the participant's sessions now, and for tokens of that identity that were issued before, as
long as the room is open; a token that is issued later brings its own.
"""

import logging

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from router.admin.auth import Operator
from router.admin.participants import FoundParticipant
from router.admin.rights import RightsChange
from router.admin.rooms import FoundRoom
from router.admin.schemas import ParticipantBody
from router.admin.versions import Expected, tag_participant
from router.rooms.names import check_display_name, check_metadata

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/rooms/{room}/participants", tags=["participants"])


class ParticipantChange(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={"examples": [{"rights": {"can_publish": True, "can_publish_sources": ["microphone"]}}]},
    )

    rights: RightsChange | None = None
    name: str | None = Field(default=None, description="What others read.")
    metadata: str | None = Field(default=None, description="The application's own text, for others to read.")


@router.patch("/{participant}", summary="Change rights, name or metadata")
async def change_participant(
    room: FoundRoom,
    participant: FoundParticipant,
    change: ParticipantChange,
    operator: Operator,
    expected: Expected,
    response: Response,
) -> ParticipantBody:
    """Media that may not flow any more has stopped when this is answered, but for what is on its way."""
    expected.check(tag_participant(participant))
    name = participant.name if change.name is None else check_display_name(change.name)
    metadata = participant.metadata if change.metadata is None else check_metadata(change.metadata)
    participant.name, participant.metadata = name, metadata
    fields = change.rights.fields() if change.rights is not None else {}
    if fields:
        room.grants.change(participant, **fields)
    else:
        room.roster.tell_changed(participant)
    logger.info(
        "participant changed",
        extra={"room": room.name, "participant": participant.id, "operator": operator.name},
    )
    response.headers["ETag"] = tag_participant(participant)
    return ParticipantBody.of(participant)
