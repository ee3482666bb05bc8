"""Bodies of the admin API, snake_case. Statistics are not here: they speak W3C webrtc-stats, see `webrtc_stats`."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from router.admin import examples
from router.admin.rights import RightsBody
from router.rooms.participant import Participant, PublishedTrack
from router.rooms.room import Room
from router.rooms.session import Session


class Body(BaseModel):
    """A response."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrackBody(Body):
    """A published track."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.TRACK]})

    id: str
    kind: Literal["audio", "video"]
    mid: str
    source: str
    live: bool = Field(description="Packets are coming in.")
    muted: bool = Field(description="As its publisher declared it.")
    moderated: bool = Field(description="Muted by a moderator: nobody receives it.")
    contributor: int = Field(description="The CSRC that names this track wherever it is forwarded.")

    @classmethod
    def of(cls, track: PublishedTrack) -> "TrackBody":
        """The body of a track."""
        return cls(**track.describe())


class RoomTrackBody(TrackBody):
    """A published track and whose it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.ROOM_TRACK]})

    participant_id: str
    identity: str

    @classmethod
    def of(cls, track: PublishedTrack) -> "RoomTrackBody":
        """The body of a track."""
        owner = track.session.participant
        return cls(**track.describe(), participant_id=owner.id, identity=owner.identity)


class SlotBody(Body):
    """A receiving m-line of a participant and what it shows."""

    mid: str
    kind: Literal["audio", "video"]
    track_id: str | None
    participant_id: str | None
    pinned: bool = Field(description="Its owner wants one certain track here.")
    paused: bool = Field(description="Its owner wants nothing here for now.")
    reason: str = Field(description="Why it shows what it shows, for people.")


class SessionBody(Body):
    """One peer connection. The id in its URL is a secret of its owner and not shown."""

    id: str = Field(description="Public.")
    endpoint: Literal["whip", "whep", "fork"]
    state: Literal["new", "connected", "ended"]
    slots: list[SlotBody]

    @classmethod
    def of(cls, session: Session) -> "SessionBody":
        """The body of a session."""
        return cls(
            id=session.public_id,
            endpoint=session.endpoint,
            state=session.state,
            slots=[SlotBody(**slot) for slot in session.describe_slots()],
        )


class ParticipantBody(Body):
    """One identity in a room."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.PARTICIPANT]})

    id: str
    identity: str
    name: str
    metadata: str = Field(description="The application's own text.")
    joined_at: datetime
    rights: RightsBody
    sessions: list[SessionBody]
    tracks: list[TrackBody]

    @classmethod
    def of(cls, participant: Participant) -> "ParticipantBody":
        """The body of a participant."""
        return cls(
            id=participant.id,
            identity=participant.identity,
            name=participant.name,
            metadata=participant.metadata,
            joined_at=datetime.fromtimestamp(participant.joined_s, UTC),
            rights=RightsBody.of(participant.rights),
            sessions=[SessionBody.of(session) for session in participant.sessions.values()],
            tracks=[TrackBody.of(track) for track in participant.tracks],
        )


class RoomBody(Body):
    """A room: what it is asked to be, and in numbers."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.ROOM]})

    id: str = Field(description="Of this life of the room: another one of the same name has another.")
    name: str
    created_at: datetime
    metadata: str = Field(description="The application's own text, told to everybody in the room.")
    max_participants: int = Field(description="Newcomers beyond are refused.")
    empty_timeout_s: float = Field(description="Closes so long after its creation if nobody came.")
    departure_timeout_s: float = Field(description="Closes so long after everybody left.")
    audio_slots: int = Field(description="m-lines for voices of the room's offer.")
    video_slots: int = Field(description="m-lines for pictures of the room's offer.")
    codecs: list[str] = Field(description="Of the room's offer, most wanted first.")
    participants: int
    sessions: int
    tracks: int
    watchers: int = Field(description="Events WebSockets.")
    locked: bool = Field(description="Newcomers are refused.")
    version: int = Field(description="Of the roster; grows by one per change.")

    @classmethod
    def of(cls, room: Room) -> "RoomBody":
        """The body of a room."""
        options, layout = room.options, room.layout
        return cls(
            id=room.id,
            name=room.name,
            created_at=datetime.fromtimestamp(room.created_s, UTC),
            metadata=options.metadata,
            max_participants=options.limit_participants(room.limits),
            empty_timeout_s=options.limit_empty(room.limits, was_used=False),
            departure_timeout_s=options.limit_empty(room.limits, was_used=True),
            audio_slots=layout.audio_slots,
            video_slots=layout.video_slots,
            codecs=list(layout.codecs),
            participants=len(room.participants),
            sessions=len(room.sessions),
            tracks=sum(len(participant.tracks) for participant in room.participants.values()),
            watchers=room.roster.watchers,
            locked=room.roster.locked,
            version=room.roster.version,
        )


class RoomPage(Body):
    """Rooms by name."""

    model_config = ConfigDict(json_schema_extra=examples.page(examples.ROOM))

    items: list[RoomBody]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")


class ParticipantPage(Body):
    """Participants by id."""

    model_config = ConfigDict(json_schema_extra=examples.page(examples.PARTICIPANT))

    items: list[ParticipantBody]
    next_cursor: str | None


class RoomTrackPage(Body):
    """Tracks of a room by id."""

    model_config = ConfigDict(json_schema_extra=examples.page(examples.ROOM_TRACK))

    items: list[RoomTrackBody]
    next_cursor: str | None


class TrackList(Body):
    """Tracks of one participant; a cap keeps them few."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [examples.TRACK]}]})

    items: list[TrackBody]
