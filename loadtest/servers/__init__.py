"""Servers that can be measured, each behind the same few calls.

An adapter starts its server on one core as its users start it, lets clients publish and subscribe, and says which
processes are the server's. A client that `publish` or `subscribe` returns has path and keys; from then on the native
part sends and counts. Publishers come first and send before anybody subscribes: some servers announce a track only when
its first packet has come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from loadtest.client import Client, Track


class Unavailable(Exception):
    """This server cannot be measured here; the reason is for the reader of the table."""


class Unsupported(Exception):
    """This server has no such feature (such as one connection with slots)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a server is started for."""

    core: int | None
    """The core for all its threads; None leaves them free."""
    participants: int
    """At most so many at a time, all in one room."""
    tracks: int
    """At most so many tracks published at a time."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many tracks of each kind, published by others, a client wants."""

    audio: int = 0
    video: int = 0


class Server(Protocol):
    """One server; all clients are in one room of it."""

    name: str
    client_host: str
    """The address that clients bind."""

    @property
    def version(self) -> str:
        """As the server tells it; known once it was started."""

    @property
    def pids(self) -> Sequence[int]:
        """All processes whose CPU time and memory are the server's."""

    async def start(self, plan: Plan) -> None:
        """Starts it; raises `Unavailable` with the reason."""

    async def publish(self, client: Client, participant: str, tracks: Sequence[Track]) -> None:
        """Connects a client that sends these tracks."""

    async def subscribe(self, client: Client, participant: str, wanted: Wanted) -> None:
        """Connects a client that receives what others publish; `participant` may publish with another client."""

    async def join(self, client: Client, participant: str, tracks: Sequence[Track], wanted: Wanted) -> None:
        """Connects a client that sends and receives on one connection; raises `Unsupported`."""

    async def leave(self, participant: str) -> None:
        """Ends the signalling of a participant, as its user would; its clients are closed by the caller."""

    async def stop(self) -> None:
        """Ends it; may be called at any time, also twice."""
