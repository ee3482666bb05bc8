"""`/v1/overview` and `/v1/rooms/{room}/overview`: what `/dashboard` shows of all rooms and of one, in one answer each.

`/v1/nodes/{node}/overview` is the former for another node, to which `router.admin.forwarding` passes it on.
Lists come sorted and cut by offset, for they are looked at by people and change all the time; programs page through
`/v1/rooms` by cursor. Figures are of the last look (`router.admin.survey`), so that asking costs the same for all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ConfigDict

from router import __version__, clock
from router.admin import overview_examples
from router.admin.figures import Figures, rank
from router.admin.node_counters import NodeCounters
from router.admin.nodes import check_node
from router.admin.rooms import FoundRoom
from router.admin.schemas import Body
from router.admin.state import AdminState, State
from router.admin.survey import Survey
from router.errors import EngineError
from router.events.entry import write_id
from router.rooms.participant import Participant
from router.rooms.room import Room

router = APIRouter(prefix="/v1", tags=["overview"])
T = TypeVar("T")
Sort = Literal["name", "size", "bitrate", "loss", "quality"]

MAX_OFFSET: Final = 1_000_000
RECENT_EVENTS: Final = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries of a list, and in which order; a FastAPI dependency."""

    search: Annotated[str, Query(max_length=128, description="Only names that contain this.")] = ""
    sort: Annotated[Sort, Query(description="Names ascending; of the others the largest or worst first.")] = "name"
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0
    limit: Annotated[int, Query(ge=1, le=100)] = 25

    def finds(self, *names: str) -> bool:
        """Whether one of them is searched for."""
        return any(self.search.casefold() in name.casefold() for name in names)

    def cut(self, found: Sequence[T]) -> Sequence[T]:
        """Of a sorted list, those that are to be shown."""
        return found[self.offset : self.offset + self.limit]


FoundWanted = Annotated[Wanted, Depends()]


def find_survey(request: Request) -> Survey:
    """The survey of the application; a FastAPI dependency."""
    found: Survey = request.app.state.survey
    return found


FoundSurvey = Annotated[Survey, Depends(find_survey)]


class FiguresBody(Body):
    """How it does. Null is what is not known."""

    measured: int
    """Sessions in these figures; fewer than `sessions` while the first look is under way."""
    bitrate_in: int
    bitrate_out: int
    loss_in: float | None
    loss_out: float | None
    round_trip_time: float | None
    estimate: int | None
    limited: int
    quality: Literal["good", "fair", "poor", "lost"] | None

    @classmethod
    def of(cls, figures: Figures) -> "FiguresBody":
        """The body of figures."""
        return cls.model_validate({name: getattr(figures, name) for name in cls.model_fields})


class RoomLine(Body):
    """A room in a list."""

    name: str
    created_at: datetime
    participants: int
    sessions: int
    tracks: int
    locked: bool
    figures: FiguresBody

    @classmethod
    def of(cls, room: Room, figures: Figures) -> "RoomLine":
        """The line of a room."""
        return cls(
            name=room.name,
            created_at=datetime.fromtimestamp(room.created_s, UTC),
            participants=len(room.participants),
            sessions=len(room.sessions),
            tracks=sum(track.live for person in room.participants.values() for track in person.tracks),
            locked=room.roster.locked,
            figures=FiguresBody.of(figures),
        )


class SourceLine(Body):
    """A track that somebody publishes."""

    source: str
    kind: Literal["audio", "video"]
    live: bool
    muted: bool


class ParticipantLine(Body):
    """A participant in a list."""

    id: str
    identity: str
    name: str
    sessions: int
    hidden: bool
    recorder: bool
    sources: list[SourceLine]
    figures: FiguresBody

    @classmethod
    def of(cls, person: Participant, figures: Figures) -> "ParticipantLine":
        """The line of a participant."""
        return cls(
            id=person.id,
            identity=person.identity,
            name=person.name,
            sessions=len(person.sessions),
            hidden=person.rights.hidden,
            recorder=person.rights.recorder,
            sources=[
                SourceLine(source=track.source, kind=track.kind, live=track.live, muted=track.muted or track.moderated)
                for track in person.tracks
                if track.listed
            ],
            figures=FiguresBody.of(figures),
        )


class NodeLine(Body):
    """The router that answers."""

    id: str | None
    version: str
    state: Literal["serving", "draining"]
    store: dict[str, Any]
    rooms: int
    participants: int
    counters: NodeCounters | None
    """Null when the engine does not answer."""


class Overview(Body):
    """This router and its rooms."""

    model_config = ConfigDict(json_schema_extra={"examples": [overview_examples.OVERVIEW]})

    time: float
    """When, in seconds since 1970."""
    node: NodeLine
    rooms: list[RoomLine]
    total: int
    """Rooms that the search finds."""
    recent_events: str
    """As `Last-Event-ID` of `/v1/events`: begins with the latest that are kept."""


class RoomOverview(Body):
    """A room and who is in it."""

    model_config = ConfigDict(json_schema_extra={"examples": [overview_examples.ROOM_OVERVIEW]})

    time: float
    room: RoomLine
    participants: list[ParticipantLine]
    total: int


@router.get("/overview", summary="This router and its rooms at a glance")
@router.get("/nodes/{node}/overview", summary="A node and its rooms at a glance", dependencies=[Depends(check_node)])
async def read_overview(state: State, survey: FoundSurvey, wanted: FoundWanted) -> Overview:
    """Rooms sorted and searched, with how they do, and the counters of the engine."""
    await survey.look()
    found = [room for room in state.registry.rooms.values() if wanted.finds(room.name)]
    found.sort(key=lambda room: _place(wanted.sort, room.name, len(room.participants), lambda: survey.of_room(room)))
    log = state.registry.events
    return Overview(
        time=clock.wall_s(),
        node=_describe_node(state),
        rooms=[RoomLine.of(room, survey.of_room(room)) for room in wanted.cut(found)],
        total=len(found),
        recent_events=write_id(log.id, max(0, log.number - RECENT_EVENTS)),
    )


@router.get("/rooms/{room}/overview", summary="A room and its participants at a glance")
async def read_room_overview(room: FoundRoom, survey: FoundSurvey, wanted: FoundWanted) -> RoomOverview:
    """Participants sorted and searched, with how they do."""
    await survey.look(room.sessions)
    people = [person for person in room.participants.values() if wanted.finds(person.name, person.identity)]
    figures = {person.id: survey.of_sessions(person.sessions.values()) for person in people}
    people.sort(key=lambda p: _place(wanted.sort, p.name or p.identity, len(p.tracks), lambda: figures[p.id]))
    return RoomOverview(
        time=clock.wall_s(),
        room=RoomLine.of(room, survey.of_room(room)),
        participants=[ParticipantLine.of(person, figures[person.id]) for person in wanted.cut(people)],
        total=len(people),
    )


def _place(sort: Sort, name: str, size: int, read: Callable[[], Figures]) -> tuple[float, str]:
    """Sorting key; figures are only read where they decide."""
    match sort:
        case "name":
            return 0, name.casefold()
        case "size":
            return -size, name
        case "bitrate":
            return -read().bitrate_in - read().bitrate_out, name
        case "loss":
            return -max(read().loss_in or 0.0, read().loss_out or 0.0), name
        case "quality":
            return -rank(read().quality), name


def _describe_node(state: AdminState) -> NodeLine:
    store = dict(state.describe_store())
    try:
        counters = NodeCounters.of(state.read_counters())
    except EngineError:
        counters = None
    return NodeLine(
        id=store.get("node"),
        version=__version__,
        state="draining" if state.registry.draining else "serving",
        store=store,
        rooms=len(state.registry.rooms),
        participants=sum(len(room.participants) for room in state.registry.rooms.values()),
        counters=counters,
    )
