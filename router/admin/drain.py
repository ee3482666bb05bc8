"""`/v1/drain`: no new rooms here from now on, and back. Over when the last participant has left, or at the deadline.

`/v1/nodes/{node}/drain` is the same for another node, to which `router.admin.forwarding` passes it on.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.config import JsonDict

from router.admin import schemas
from router.admin.auth import Operator
from router.admin.nodes import check_node
from router.admin.state import AdminState, State
from router.drain import Drain
from router.errors import NotFoundError

router = APIRouter(tags=["nodes"])

EXAMPLES: list[JsonValue] = [{"deadline_s": 3600}, {"deadline_s": None, "exit": False}, {"deadline_s": 0}]


EXAMPLE: JsonDict = {
    "state": "draining",
    "by": "operator",
    "since": "2026-11-28T12:00:00Z",
    "remaining_s": 3540.5,
    "exit": True,
    "rooms": 3,
    "participants": 12,
}


class DrainRequest(BaseModel):
    """How to go; all of it may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra={"examples": EXAMPLES})

    deadline_s: float | None = Field(
        default=None,
        ge=0,
        le=604_800,
        description="How long rooms may go on; null: as long as there is somebody. Left out: the setting. 0: now.",
    )
    exit: bool = Field(default=True, description="The process ends then. false: it stays, and takes nobody.")


class DrainBody(schemas.Body):
    """What is going on."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    state: Literal["serving", "draining", "stopping"]
    by: Literal["signal", "operator"] | None = Field(description="A signal's drain cannot be taken back.")
    since: datetime | None
    remaining_s: float | None = Field(description="Until the deadline; null without one.")
    exit: bool | None = Field(description="Whether the process ends at the end.")
    rooms: int
    participants: int

    @classmethod
    def of(cls, drain: Drain, state: AdminState) -> "DrainBody":
        """As it is now."""
        plan = drain.plan
        going = "draining" if plan is not None else "serving"
        return cls(
            state="stopping" if drain.finished.is_set() else going,
            by=plan.by if plan else None,
            since=datetime.fromtimestamp(plan.started_s, UTC) if plan else None,
            remaining_s=drain.remaining_s,
            exit=plan.exits if plan else None,
            rooms=len(state.registry.rooms),
            participants=drain.participants,
        )


def find_drain(state: State) -> Drain:
    """Of this router; a FastAPI dependency."""
    if state.drain is None:
        raise NotFoundError("this application drains nothing", slug="unknown-path")
    return state.drain


FoundDrain = Annotated[Drain, Depends(find_drain)]
Asked = Annotated[DrainRequest, Body(default_factory=DrainRequest)]
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"description": "A signal began it"}}


@router.get("/v1/drain", summary="Is this node draining?")
@router.get("/v1/nodes/{node}/drain", summary="Is that node draining?", dependencies=[Depends(check_node)])
async def read_drain(drain: FoundDrain, state: State) -> DrainBody:
    """What is going on."""
    return DrainBody.of(drain, state)


@router.post("/v1/drain", summary="Take no new rooms, end when empty", status_code=202)
@router.post(
    "/v1/nodes/{node}/drain", summary="The same of a node", status_code=202, dependencies=[Depends(check_node)]
)
async def begin_drain(drain: FoundDrain, state: State, operator: Operator, asked: Asked) -> DrainBody:
    """Not ready when this is answered. Again: with another deadline; after a signal it can only become sooner."""
    deadline_s = asked.deadline_s if "deadline_s" in asked.model_fields_set else drain.deadline_s
    drain.begin("operator", deadline_s=deadline_s, exits=asked.exit, who=operator.name)
    return DrainBody.of(drain, state)


@router.delete("/v1/drain", summary="Serve again", responses=CONFLICT)
@router.delete(
    "/v1/nodes/{node}/drain", summary="The same of a node", responses=CONFLICT, dependencies=[Depends(check_node)]
)
async def cancel_drain(drain: FoundDrain, state: State, operator: Operator) -> DrainBody:
    """Ready, and told to clients, when this is answered. What a signal began cannot be taken back."""
    drain.cancel(operator.name)
    return DrainBody.of(drain, state)
