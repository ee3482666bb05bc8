"""What adapters of servers with rooms share: who published what, and what `join` says where each direction has a
connection of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from loadtest.client import Client, Track
from loadtest.servers import Unsupported, Wanted

Name = TypeVar("Name")
"""What a server calls a track."""


@dataclass(slots=True)
class PublishedTracks(Generic[Name]):
    """The tracks of a room, by participant: kind and name."""

    _tracks: dict[str, list[tuple[str, Name]]] = field(default_factory=dict)

    def add(self, participant: str, kind: str, name: Name) -> None:
        """A participant published one."""
        self._tracks.setdefault(participant, []).append((kind, name))

    def remove(self, participant: str) -> None:
        """A participant left, who may have published none."""
        self._tracks.pop(participant, None)

    def choose(self, participant: str, wanted: Wanted) -> list[Name]:
        """The first tracks of others, audio before video."""
        others = [track for name, tracks in self._tracks.items() if name != participant for track in tracks]
        audio = [name for kind, name in others if kind == "audio"][: wanted.audio]
        return audio + [name for kind, name in others if kind == "video"][: wanted.video]


class OneWayConnections:
    """A server whose participants publish on one connection and subscribe on another."""

    async def join(self, client: Client, participant: str, tracks: Sequence[Track], wanted: Wanted) -> None:
        """Unsupported."""
        raise Unsupported("it publishes and subscribes on connections of their own")
