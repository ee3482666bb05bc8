"""`POST /v1/tokens`: join tokens for backends that would rather ask than sign.

Whoever has an admin token that may write can let anybody into any room; each token issued is logged by its id, by which
it can be revoked.
"""

import logging
import secrets
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from router.admin.auth import Operator
from router.admin.rights import RightsChange
from router.admin.schemas import Body
from router.admin.state import State
from router.errors import NotFoundError, RequestError
from router.rooms.names import check_display_name, check_identity, check_metadata, check_room_name
from router.rooms.rights import JoinGrant

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])

TOKEN_ID_BYTES: Final = 12
DEFAULT_LIFETIME_S: Final = 21_600
REQUEST_EXAMPLES: Final[dict[str, Any]] = {
    "examples": [
        {
            "room": "lobby",
            "identity": "ada",
            "name": "Ada",
            "lifetime_s": 3600,
            "rights": {"can_publish_sources": ["camera", "microphone"]},
        }
    ]
}
EXAMPLES: Final[dict[str, Any]] = {
    "examples": [
        {
            "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
            "token_id": "4rJ7x0vZtq2wBc1y",
            "room": "lobby",
            "identity": "ada",
            "expires_in_s": 3600,
        }
    ]
}


class TokenRequest(BaseModel):
    """Who may join which room, and what they may do there. Rights left out are those of a token without them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra=REQUEST_EXAMPLES)

    room: str
    identity: str = Field(description="One identity is one participant.")
    name: str = Field(default="", description="What others read.")
    metadata: str = Field(default="", description="The application's own text, for others to read.")
    lifetime_s: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Seconds until it expires: at most `admin.max_token_lifetime_s`; left out: that, or six hours.",
    )
    rights: RightsChange = Field(default=RightsChange(), description="As join tokens have them, in snake case.")


class TokenBody(Body):
    """A join token."""

    model_config = ConfigDict(json_schema_extra=EXAMPLES)

    token: str = Field(description="JWT: a secret of whoever joins with it.")
    token_id: str = Field(description="Its `jti`, by which it can be revoked.")
    room: str
    identity: str
    expires_in_s: int


@router.post("", status_code=201, summary="Make a join token")
async def issue_token(
    request: TokenRequest,
    state: State,
    operator: Operator,
    response: Response,
) -> TokenBody:
    """Signed with the first key of the settings. The room need not be open."""
    if state.issue_token is None:
        raise NotFoundError("this router signs no tokens", slug="no-signing-key")
    longest = state.max_token_lifetime_s
    lifetime_s = min(longest, DEFAULT_LIFETIME_S) if request.lifetime_s is None else request.lifetime_s
    if lifetime_s > longest:
        raise RequestError(f"lifetime_s: expected at most {longest}", slug="bad-lifetime")
    grant = JoinGrant(
        room=check_room_name(request.room),
        identity=check_identity(request.identity, "identity"),
        name=check_display_name(request.name),
        metadata=check_metadata(request.metadata),
        token_id=secrets.token_urlsafe(TOKEN_ID_BYTES),
        **request.rights.fields(),
    )
    token = state.issue_token(grant, float(lifetime_s))
    logger.info(
        "join token issued",
        extra={"room": grant.room, "operator": operator.name, "token_id": grant.token_id, "lifetime_s": lifetime_s},
    )
    response.headers["Cache-Control"] = "no-store"
    return TokenBody(
        token=token, token_id=grant.token_id, room=grant.room, identity=grant.identity, expires_in_s=lifetime_s
    )
