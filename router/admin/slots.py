"""`…/participants/{participant}/slots`: what each slot shows and why, its owner's wishes, and wishes on their behalf.

An operator's wish counts as the participant's own: the later one holds.
"""

import logging
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from router.admin.auth import Operator
from router.admin.participants import FoundParticipant
from router.admin.rooms import FoundRoom
from router.admin.schemas import Body, SlotBody
from router.errors import ConflictError, NotFoundError
from router.rooms.participant import Participant
from router.rooms.session import Session
from router.rooms.wishes import MAX_BITRATE_BPS, MAX_FRAME_RATE, MAX_SIZE, NO_WISH, SlotWish

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/rooms/{room}/participants/{participant}/slots", tags=["slots"])

MAX_SLOTS: Final = 64
CHANGE_EXAMPLES: Final[dict[str, Any]] = {
    "examples": [{"slots": {"v0": {"track_id": "T_0000beef", "width": 1280}, "v1": {"paused": True}}}]
}
LIST_EXAMPLES: Final[dict[str, Any]] = {
    "examples": [
        {
            "items": [
                {
                    "session": "S_0a1b2c3d4e5f6071",
                    "mid": "v0",
                    "kind": "video",
                    "track_id": "T_0000beef",
                    "participant_id": "P_99aabbccddeeff00",
                    "pinned": True,
                    "paused": False,
                    "reason": "pinned",
                    "wish": {
                        "track_id": "T_0000beef",
                        "paused": False,
                        "width": 1280,
                        "height": None,
                        "bitrate_bps": None,
                        "frame_rate": None,
                    },
                }
            ]
        }
    ]
}
Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]


class WishBody(Body):
    """What is wished of a video slot."""

    track_id: str | None = Field(description="Pinned: this track and no other.")
    paused: bool
    width: int | None = Field(description="Pixels at which it is shown: the smallest layer that covers this is sent.")
    height: int | None
    bitrate_bps: int | None
    frame_rate: int | None

    @classmethod
    def of(cls, wish: SlotWish) -> "WishBody":
        """The body of a wish."""
        return cls(**{name: getattr(wish, name) for name in cls.model_fields})


class WishedSlotBody(SlotBody):
    """A slot, whose session's it is, and what is wished of it."""

    session: str = Field(description="Public id of the session.")
    wish: WishBody | None = Field(description="Null for sound: its slots follow the speakers.")


class SlotList(Body):
    """All slots of a participant; a cap keeps them few."""

    model_config = ConfigDict(json_schema_extra=LIST_EXAMPLES)

    items: list[WishedSlotBody]

    @classmethod
    def of(cls, participant: Participant) -> "SlotList":
        """Session by session."""
        return cls(
            items=[
                _describe(session, slot)
                for session in participant.sessions.values()
                for slot in session.describe_slots()
            ]
        )


class WishChange(BaseModel):
    """What is left out stays as it was; null: no limit, no pin."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    track_id: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Pin this track here.")
    paused: bool = Field(default=False, description="Show nothing here.")
    width: Size | None = None
    height: Size | None = None
    bitrate_bps: Annotated[int, Field(ge=1, le=MAX_BITRATE_BPS)] | None = None
    frame_rate: Annotated[int, Field(ge=1, le=MAX_FRAME_RATE)] | None = None


class WishesChange(BaseModel):
    """Wishes for some video slots of one session, by mid."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra=CHANGE_EXAMPLES)

    session: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Public id; may be left out where one session has video slots."
    )
    slots: Annotated[dict[str, WishChange], Field(min_length=1, max_length=MAX_SLOTS)]


@router.get("", summary="What a participant is shown, and why")
async def list_slots(participant: FoundParticipant) -> SlotList:
    """All receiving m-lines of all sessions."""
    return SlotList.of(participant)


@router.patch(
    "",
    summary="Wish on behalf of a participant",
    responses={409: {"description": "Several sessions have video slots: name one"}},
)
async def change_wishes(
    room: FoundRoom, participant: FoundParticipant, change: WishesChange, operator: Operator
) -> SlotList:
    """Pins, sizes, limits, pauses; all or none of them. Slots change at once, a picture at its next key frame."""
    session = _choose_session(participant, change.session)
    room.declare_wishes(session, {mid: wish.model_dump(exclude_unset=True) for mid, wish in change.slots.items()})
    extra = {"room": room.name, "participant": participant.id, "operator": operator.name, "slots": sorted(change.slots)}
    logger.info("wishes changed", extra=extra)
    return SlotList.of(participant)


def _choose_session(participant: Participant, public_id: str | None) -> Session:
    if public_id is not None:
        for session in participant.sessions.values():
            if session.public_id == public_id:
                return session
        raise NotFoundError("no such session", slug="unknown-session")
    with_slots = [session for session in participant.sessions.values() if session.video_mids]
    if not with_slots:
        raise NotFoundError("the participant has no video slots", slug="unknown-slot")
    if len(with_slots) > 1:
        raise ConflictError("several sessions have video slots: name one", slug="ambiguous-session")
    return with_slots[0]


def _describe(session: Session, slot: dict[str, Any]) -> WishedSlotBody:
    kind: Literal["audio", "video"] = slot["kind"]
    wish = WishBody.of(session.wishes.get(slot["mid"], NO_WISH)) if kind == "video" else None
    return WishedSlotBody(**slot, session=session.public_id, wish=wish)
