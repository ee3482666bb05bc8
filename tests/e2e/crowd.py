"""A room as the e2e tests fill it: load peers that come and go, and who is who for those who watch."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from loadtest.events import Message
from loadtest.peer import Identity, Join, RoomPeer
from loadtest.peer.film import render_film
from tests.e2e.router_process import RouterProcess


@dataclass(slots=True)
class WhoIsWho:
    """Contributor id to the track and identity behind it, from roster messages; those who left are remembered."""

    owners: dict[int, str] = field(default_factory=dict)
    tracks: dict[int, dict[str, Any]] = field(default_factory=dict)
    present: dict[str, str] = field(default_factory=dict)
    """Participant id to identity."""

    def on_message(self, message: Message) -> None:
        """Reads `welcome` and the deltas."""
        match message["type"]:
            case "welcome":
                for participant in message["participants"]:
                    self._add(participant)
            case "joined" | "changed":
                self._add(message["participant"])
            case "left":
                self.present.pop(message["participant_id"], None)

    def _add(self, participant: dict[str, Any]) -> None:
        self.present[participant["id"]] = participant["identity"]
        for track in participant["tracks"]:
            self.owners[track["contributor"]] = participant["identity"]
            self.tracks[track["contributor"]] = track

    def track_of(self, identity: str, source: str) -> dict[str, Any]:
        """Somebody's track from this source."""
        return next(
            track
            for contributor, track in self.tracks.items()
            if self.owners[contributor] == identity and track["source"] == source
        )


@dataclass(slots=True)
class Guest:
    """A load peer with a camera that browsers can decode, and perhaps a voice."""

    name: str
    peer: RoomPeer
    tasks: list[asyncio.Task[None]]

    async def leave(self) -> None:
        """Stops sending and leaves by DELETE."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.peer.leave()


@dataclass(slots=True)
class Guests:
    """Load peers of one room, who join by the same text of the offer."""

    router: RouterProcess
    room: str
    offer: str
    frames_per_second: float = 30
    identity: Identity = field(default_factory=Identity.create)
    present: list[Guest] = field(default_factory=list)

    async def enter(self, number: int, *, level: int) -> Guest:
        """Guest `number` comes, whose pictures are stamped with it."""
        name = f"guest-{number}"
        join = Join(
            (self.router.address, self.router.port),
            self.room,
            self.router.token(self.room, name),
            publish=("mic", "cam"),
        )
        peer = await RoomPeer.enter(join, number, self.identity, self.offer)
        assert peer.camera
        assert peer.voice
        peer.camera.film, peer.voice.level = render_film(number), level
        sending = (peer.keep_filming(self.frames_per_second), peer.keep_speaking())
        guest = Guest(name, peer, [asyncio.create_task(each) for each in sending])
        self.present.append(guest)
        return guest

    async def leave(self, guest: Guest) -> None:
        """One goes."""
        self.present.remove(guest)
        await guest.leave()

    async def leave_all(self) -> None:
        """Everybody goes, also when a test has failed."""
        for guest in list(self.present):
            with suppress(RuntimeError, OSError):
                await self.leave(guest)
