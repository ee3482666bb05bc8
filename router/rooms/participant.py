"""A participant is one identity in a room; it may hold several sessions, each with tracks it publishes."""

import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from router.rtc.description import Kind

if TYPE_CHECKING:
    import asyncio

    from router.rooms.session import Session
    from router.rtc import RTCMediaStreamTrack

Source = Literal["camera", "microphone", "screen", "screen-audio", "unknown"]
SOURCES: frozenset[str] = frozenset(get_args(Source))


def read_source(value: object) -> Source | None:
    """The value if it is one of the sources, else None."""
    return cast(Source, value) if isinstance(value, str) and value in SOURCES else None


@dataclass(slots=True)
class PublishedTrack:
    """A track in the roster: what the media layer knows, plus what its publisher said about it."""

    track: "RTCMediaStreamTrack"
    session: "Session"
    mid: str
    source: Source = "unknown"
    muted: bool = False
    live: bool = False

    @property
    def id(self) -> str:
        """Unique in the room, made from the contributor id; the publisher's own track id need not be unique."""
        return f"T_{self.track.contributor:08x}"

    @property
    def kind(self) -> Kind:
        """Audio or video."""
        return self.track.kind

    def describe(self) -> dict[str, Any]:
        """As the roster shows it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "source": self.source,
            "mid": self.mid,
            "live": self.live,
            "muted": self.muted,
            "contributor": self.track.contributor,
        }


class Participant:
    """One identity in a room. Its id is public; the ids of its sessions are secrets."""

    def __init__(self, identity: str, name: str) -> None:
        self.id = f"P_{secrets.token_hex(8)}"
        self.identity = identity
        self.name = name
        self.sessions: dict[str, Session] = {}
        self.expires_at_s = -math.inf
        """The latest expiry among the grants that were shown; `Room.renew` sets it."""
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
            "sessions": len(self.sessions),
            "tracks": [track.describe() for track in self.tracks],
        }
