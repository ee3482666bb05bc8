"""`/v1/tokens/revocations`: refusing join tokens that are still good by their signature and times.

By the token's id (`jti`), or all tokens of an identity that were issued until now, in one room or in all. Who is in a
call with such a token is put out at once, on other nodes as soon as they hear of it. Who was removed from a room, and
so banned from it, is listed apart: moderators do that, and shall not push operators' revocations out of their list.
"""

import logging
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from router.admin.auth import Operator
from router.admin.schemas import Body
from router.admin.state import State
from router.rooms.revocation import MAX_TOKEN_ID_CHARACTERS, REVOKED, Reason, Revocation

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/tokens/revocations", tags=["tokens"])
MAX_LISTED = 1_000


class RevocationRequest(BaseModel):
    """Either a token id, or an identity with or without a room."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, json_schema_extra={"examples": [{"identity": "ada", "room": "lobby"}]}
    )

    token_id: str | None = Field(
        default=None, min_length=1, max_length=MAX_TOKEN_ID_CHARACTERS, description="The claim `jti`."
    )
    identity: str | None = Field(default=None, description="The claim `sub`.")
    room: str | None = Field(default=None, description="With an identity: only tokens for this room.")

    @model_validator(mode="after")
    def check_one(self) -> "RevocationRequest":
        """Refuses both, neither, and a room that would mean nothing."""
        if (self.token_id is None) == (self.identity is None) or (self.token_id is not None and self.room is not None):
            raise ValueError("expected either token_id, or identity with or without room")
        return self


EXAMPLE: Final[JsonDict] = {
    "token_id": None,
    "identity": "ada",
    "room": "lobby",
    "revoked_at": "2026-11-28T12:00:00Z",
    "expires_at": "2027-11-29T12:00:00Z",
    "reason": REVOKED,
}


class RevocationBody(Body):
    """A revocation in force."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    token_id: str | None
    identity: str | None
    room: str | None
    revoked_at: datetime
    expires_at: datetime = Field(description="Forgotten then: tokens that this router made have expired.")
    reason: Reason = Field(description="The slug of the refusal; removed: banned from a room, for a day.")

    @classmethod
    def of(cls, revocation: Revocation) -> "RevocationBody":
        """The body of a revocation."""
        return cls(
            token_id=revocation.token_id or None,
            identity=revocation.identity or None,
            room=revocation.room or None,
            revoked_at=datetime.fromtimestamp(revocation.revoked_at_s, UTC),
            expires_at=datetime.fromtimestamp(revocation.expires_at_s, UTC),
            reason=revocation.reason,
        )


class RevocationList(Body):
    """Those in force, the latest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [EXAMPLE]}]})

    items: list[RevocationBody]


@router.post("", status_code=201, summary="Revoke a token, or all of an identity")
async def revoke(request: RevocationRequest, state: State, operator: Operator) -> RevocationBody:
    """In force in this process when it is answered; again is no error."""
    revocations = state.registry.revocations
    if request.token_id is not None:
        revocation = revocations.revoke_token(request.token_id)
    else:
        assert request.identity is not None, "checked by the model"
        revocation = revocations.revoke_identity(request.identity, request.room or "")
    logger.info("token revoked", extra={"room": request.room, "operator": operator.name})
    return RevocationBody.of(revocation)


@router.get("", summary="What is revoked")
async def list_revocations(
    state: State,
    reason: Annotated[Reason, Query(description="removed: identities that were removed from a room.")] = REVOKED,
) -> RevocationList:
    """The latest thousand of a reason."""
    revocations = state.registry.revocations
    table = revocations.revoked if reason == REVOKED else revocations.removed
    latest = sorted(table, key=lambda one: one.revoked_at_s, reverse=True)
    return RevocationList(items=[RevocationBody.of(one) for one in latest[:MAX_LISTED]])
