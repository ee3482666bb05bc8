"""A participant is one identity in a room; it may hold several sessions, each with tracks it publishes."""

import math
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from router import clock
from router.rooms.rights import Rights
from router.rooms.sources import Source
from router.rtc.description import Kind

if TYPE_CHECKING:
    import asyncio

    from router.rooms.rights import JoinGrant
    from router.rooms.session import Session
    from router.rtc import RTCMediaStreamTrack


def make_track_id(contributor: int) -> str:
    """The public id of the track that this contributor id names.

    >>> make_track_id(0xBEEF)
    'T_0000beef'
    """
    return f"T_{contributor:08x}"


@dataclass(slots=True, eq=False)
class PublishedTrack:
    """A track in the roster: what the media layer knows, plus what its publisher said about it."""

    track: "RTCMediaStreamTrack"
    session: "Session"
    mid: str
    source: Source = "unknown"
    muted: bool = False
    """By its publisher."""
    live: bool = False
    moderated: bool = False
    """Muted by a moderator: the router forwards none of it, whatever its publisher does."""
    allowed: bool = True
    """Its publisher has the right to publish it now; else nobody is shown it or told of it."""
    id: str = field(init=False)
    """Unique in the room, made from the contributor id; the publisher's own track id need not be unique."""

    def __post_init__(self) -> None:
        self.id = make_track_id(self.track.contributor)

    @property
    def kind(self) -> Kind:
        """Audio or video."""
        return self.track.kind

    @property
    def showable(self) -> bool:
        """Whether there is something to see or hear."""
        return self.live and not self.muted and not self.moderated and self.allowed

    @property
    def listed(self) -> bool:
        """Whether others need to know of it: an m-line that carries nothing and was not declared is nobody's news."""
        return (self.live or self.muted) and self.allowed

    def set_moderated(self, moderated: bool) -> None:
        """Muted by a moderator, or not any more."""
        self.moderated = moderated
        self.track.muted = moderated or not self.allowed

    def set_allowed(self, allowed: bool) -> None:
        """Its publisher may, or may not any more: then the engine drops what comes, and counts it."""
        self.allowed = allowed
        self.track.muted = self.moderated or not allowed

    def describe(self) -> dict[str, Any]:
        """As the roster shows it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "source": self.source,
            "mid": self.mid,
            "live": self.live,
            "muted": self.muted,
            "moderated": self.moderated,
            "contributor": self.track.contributor,
        }


class Participant:
    """One identity in a room. Its id is public; the ids of its sessions are secrets."""

    def __init__(self, identity: str, name: str) -> None:
        self.id = f"P_{secrets.token_hex(8)}"
        self.number = secrets.randbits(63)
        """Names it to the engine, which keeps nobody's own voice in their ears."""
        self.identity = identity
        self.name = name
        self.metadata = ""
        self.joined_s = clock.wall_s()
        self.sessions: dict[str, Session] = {}
        self.grant: JoinGrant | None = None
        """The newest that was shown; `router.rooms.grants` sets these."""
        self.rights = Rights()
        """In force, of that grant."""
        self.longest: JoinGrant | None = None
        """The grant among those shown that expires last, and when that is."""
        self.expires_at_s = -math.inf
        self.expiry_timer: asyncio.TimerHandle | None = None

    @property
    def tracks(self) -> list[PublishedTrack]:
        """In order of publishing."""
        return [track for session in self.sessions.values() for track in session.tracks.values()]

    def describe(self) -> dict[str, Any]:
        """As the roster shows it."""
        return {
            "id": self.id,
            "identity": self.identity,
            "name": self.name,
            "metadata": self.metadata,
            "recorder": self.rights.recorder,
            "tracks": [track.describe() for track in self.tracks if track.listed],
        }
