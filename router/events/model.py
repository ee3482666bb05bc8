"""The events: what happened to rooms, participants, tracks and the node, as frozen values.

Kinds are the words of LiveKit's webhooks where it has one (`participant_joined`), so that receivers written for it find
what they look for. An event says what happened; where, when and in which place of its room's order is added by the log
(`router.events.entry`). No event holds an address, a token or the id of a session.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final


@dataclass(frozen=True, slots=True)
class ParticipantInfo:
    """An identity in a room, as others see it."""

    id: str
    identity: str
    name: str
    metadata: str


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """A published track."""

    id: str
    kind: str
    """Audio or video."""
    source: str
    contributor: int
    """The CSRC of packets that show it."""
    muted: bool
    """By its publisher."""
    moderated: bool
    """By a moderator."""


@dataclass(frozen=True, slots=True)
class Contributor:
    """A track that is part of what a room hears."""

    contributor: int
    track_id: str
    participant_id: str
    identity: str


@dataclass(frozen=True, slots=True)
class Event:
    """Root of all kinds."""

    kind: ClassVar[str]


@dataclass(frozen=True, slots=True)
class RoomStarted(Event):
    """It can be joined."""

    kind: ClassVar[str] = "room_started"


@dataclass(frozen=True, slots=True)
class RoomFinished(Event):
    """The last event of a room: nobody is in it any more."""

    kind: ClassVar[str] = "room_finished"
    reason: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class RoomLocked(Event):
    """A moderator keeps newcomers out."""

    kind: ClassVar[str] = "room_locked"


@dataclass(frozen=True, slots=True)
class RoomUnlocked(Event):
    """Newcomers may come in again."""

    kind: ClassVar[str] = "room_unlocked"


@dataclass(frozen=True, slots=True)
class RoomChanged(Event):
    """An operator changed what the room is asked to be."""

    kind: ClassVar[str] = "room_changed"
    metadata: str
    max_participants: int


@dataclass(frozen=True, slots=True)
class ParticipantJoined(Event):
    """Its first session was answered; whether media came through is seen by its tracks."""

    kind: ClassVar[str] = "participant_joined"
    participant: ParticipantInfo


@dataclass(frozen=True, slots=True)
class ParticipantLeft(Event):
    """Its last session ended."""

    kind: ClassVar[str] = "participant_left"
    participant: ParticipantInfo
    reason: str


@dataclass(frozen=True, slots=True)
class ParticipantChanged(Event):
    """Its name or its metadata."""

    kind: ClassVar[str] = "participant_changed"
    participant: ParticipantInfo


@dataclass(frozen=True, slots=True)
class TrackPublished(Event):
    """Its packets flow, or its publisher says that it is there, muted."""

    kind: ClassVar[str] = "track_published"
    participant: ParticipantInfo
    track: TrackInfo


@dataclass(frozen=True, slots=True)
class TrackUnpublished(Event):
    """It ended, or fell silent without being muted."""

    kind: ClassVar[str] = "track_unpublished"
    participant: ParticipantInfo
    track: TrackInfo


@dataclass(frozen=True, slots=True)
class TrackMuted(Event):
    """By its publisher or by a moderator: nothing of it is forwarded."""

    kind: ClassVar[str] = "track_muted"
    participant: ParticipantInfo
    track: TrackInfo


@dataclass(frozen=True, slots=True)
class TrackUnmuted(Event):
    """Neither its publisher nor a moderator mutes it any more."""

    kind: ClassVar[str] = "track_unmuted"
    participant: ParticipantInfo
    track: TrackInfo


@dataclass(frozen=True, slots=True)
class TrackChanged(Event):
    """Its publisher calls its source something else, or it is muted by others than before."""

    kind: ClassVar[str] = "track_changed"
    participant: ParticipantInfo
    track: TrackInfo


@dataclass(frozen=True, slots=True)
class ContributorsChanged(Event):
    """Who is heard in the room: the dominant speaker, and those that spoke recently, the latest first."""

    kind: ClassVar[str] = "contributors_changed"
    dominant: Contributor | None
    contributors: tuple[Contributor, ...]


@dataclass(frozen=True, slots=True)
class QualityChanged(Event):
    """What a participant sends or is sent came to be of another category, for longer than a moment."""

    kind: ClassVar[str] = "quality_changed"
    participant: ParticipantInfo
    quality: str
    """The worst of its tracks and slots: good, fair, poor or lost."""
    before: str
    impairment: str
    """What costs most."""
    direction: str
    """Whether the worst is received from the participant (in) or sent to it (out)."""


@dataclass(frozen=True, slots=True)
class NodeStarted(Event):
    """The router serves."""

    kind: ClassVar[str] = "node_started"
    version: str


@dataclass(frozen=True, slots=True)
class NodeDraining(Event):
    """Newcomers are refused from now on."""

    kind: ClassVar[str] = "node_draining"


@dataclass(frozen=True, slots=True)
class NodeUndrained(Event):
    """Newcomers are welcome again."""

    kind: ClassVar[str] = "node_undrained"


@dataclass(frozen=True, slots=True)
class NodeStopped(Event):
    """The last event of a node that ended in order."""

    kind: ClassVar[str] = "node_stopped"


KINDS: Final[Mapping[str, type[Event]]] = MappingProxyType(
    {
        event.kind: event
        for event in (
            *(RoomStarted, RoomFinished, RoomLocked, RoomUnlocked, RoomChanged),
            *(ParticipantJoined, ParticipantLeft, ParticipantChanged),
            *(TrackPublished, TrackUnpublished, TrackMuted, TrackUnmuted, TrackChanged),
            *(ContributorsChanged, QualityChanged),
            *(NodeStarted, NodeDraining, NodeUndrained, NodeStopped),
        )
    }
)
FREQUENT_KINDS: Final = frozenset((ContributorsChanged.kind, QualityChanged.kind))
"""What comes every few seconds in a lively room. Webhooks are not called for these unless they ask."""
