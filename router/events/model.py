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
    """Root of all kinds. Those that add no field are dataclasses by inheritance."""

    kind: ClassVar[str]
    """Its name for those who are told."""


@dataclass(frozen=True, slots=True)
class ParticipantEvent(Event):
    """Of one participant."""

    participant: ParticipantInfo


@dataclass(frozen=True, slots=True)
class TrackEvent(ParticipantEvent):
    """Of one of its tracks."""

    track: TrackInfo


@dataclass(frozen=True, slots=True)
class RoomEvent(Event):
    """What a room is asked to be."""

    metadata: str
    max_participants: int


class RoomStarted(RoomEvent):
    """It can be joined."""

    kind = "room_started"


@dataclass(frozen=True, slots=True)
class RoomFinished(Event):
    """The last event of a room: nobody is in it any more."""

    kind = "room_finished"
    reason: str
    duration_s: float


class RoomLocked(Event):
    """A moderator keeps newcomers out."""

    kind = "room_locked"


class RoomUnlocked(Event):
    """Newcomers may come in again."""

    kind = "room_unlocked"


class RoomChanged(RoomEvent):
    """An operator changed what the room is asked to be."""

    kind = "room_changed"


class ParticipantJoined(ParticipantEvent):
    """Its first session was answered; whether media came through is seen by its tracks."""

    kind = "participant_joined"


@dataclass(frozen=True, slots=True)
class ParticipantLeft(ParticipantEvent):
    """Its last session ended."""

    kind = "participant_left"
    reason: str


@dataclass(frozen=True, slots=True)
class ParticipantChanged(ParticipantEvent):
    """Its name, its metadata or its rights, by itself, by a newer token or by an operator."""

    kind = "participant_changed"
    rights: Mapping[str, bool | list[str]]
    """What it may do now, as join tokens spell it; what is denied by default only where granted."""


class TrackPublished(TrackEvent):
    """Its packets flow, or its publisher says that it is there, muted."""

    kind = "track_published"


class TrackUnpublished(TrackEvent):
    """It ended, or fell silent without being muted."""

    kind = "track_unpublished"


class TrackMuted(TrackEvent):
    """By its publisher or by a moderator: nothing of it is forwarded."""

    kind = "track_muted"


class TrackUnmuted(TrackEvent):
    """Neither its publisher nor a moderator mutes it any more."""

    kind = "track_unmuted"


class TrackChanged(TrackEvent):
    """Its publisher calls its source something else, or it is muted by others than before."""

    kind = "track_changed"


@dataclass(frozen=True, slots=True)
class ContributorsChanged(Event):
    """Who is heard in the room: the dominant speaker, and those that spoke recently, the latest first."""

    kind = "contributors_changed"
    dominant: Contributor | None
    contributors: tuple[Contributor, ...]


@dataclass(frozen=True, slots=True)
class QualityChanged(ParticipantEvent):
    """What a participant sends or is sent came to be of another category, for longer than a moment."""

    kind = "quality_changed"
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

    kind = "node_started"
    version: str


class NodeDraining(Event):
    """Newcomers are refused from now on."""

    kind = "node_draining"


class NodeUndrained(Event):
    """Newcomers are welcome again."""

    kind = "node_undrained"


class NodeStopped(Event):
    """The last event of a node that ended in order."""

    kind = "node_stopped"


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
