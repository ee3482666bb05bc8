"""A client that joins a room by its static offer: checks and DTLS at once, its answer beside them or even after them.

`Join` says where and as whom. A `RoomPeer` then publishes a voice and a camera and records what its slots show.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from loadtest.http import Reply, request
from loadtest.peer.description import Answer
from loadtest.peer.endpoint import Peer
from loadtest.peer.film import FRAMES_PER_SECOND
from loadtest.peer.identity import Identity
from loadtest.peer.media import Camera, Voice
from loadtest.peer.reception import Reception
from loadtest.peer.room_offer import AnswerWriter, RoomOffer, mint_nonce


@dataclass(frozen=True, slots=True)
class Join:
    """Where somebody joins, as whom, and with what."""

    address: tuple[str, int]
    room: str
    token: str
    publish: tuple[str, ...] = ("mic",)
    """Mids to send on."""
    slots: Collection[str] | None = None
    """Mids to receive on; None for all."""

    @property
    def headers(self) -> dict[str, str]:
        """Of a request with this token."""
        return {"Authorization": f"Bearer {self.token}"}

    async def fetch_offer(self) -> str:
        """The room's static offer."""
        reply = await request(self.address, "GET", f"/rooms/{self.room}/offer", headers=self.headers)
        if reply.status != 200:
            raise RuntimeError(f"offer of {self.room}: {reply.status} {reply.body[:600]}")
        return reply.body


@dataclass(slots=True)
class RoomPeer:
    """One participant; `number` is its name in stamps."""

    join: Join
    number: int
    offer: RoomOffer
    peer: Peer
    nonce: str = field(default_factory=mint_nonce)
    welcome: dict[str, Any] = field(default_factory=dict)
    """Session, participant and slots, once the answer was accepted."""
    location: str = ""
    answers_requests: bool = False
    """Whether a request for a key frame is answered at once instead of with the next frame."""
    voice: Voice | None = None
    camera: Camera | None = None
    reception: Reception = field(init=False)

    def __post_init__(self) -> None:
        self.reception = Reception(self.offer)
        self.peer.on_rtp = lambda packet: self.reception.handle_rtp(packet, asyncio.get_running_loop().time())
        for mid in self.join.publish:
            line, ssrc = self.offer.line(mid), secrets.randbits(32)
            if line.kind == "audio":
                self.voice = Voice(line, ssrc, self.number)
            else:
                self.camera = Camera(line, ssrc, self.number)
                self.peer.on_rtcp = self._on_rtcp

    @classmethod
    async def enter(cls, join: Join, number: int, identity: Identity, offer: str | None = None) -> "RoomPeer":
        """Joins; returns when media can flow and the answer was accepted."""
        made = cls(join, number, RoomOffer.parse(offer or await join.fetch_offer()), Peer(identity))
        try:
            await asyncio.gather(made.connect(), made.answer())
        except BaseException:
            made.close()
            raise
        return made

    @property
    def ufrag(self) -> str:
        """The complete remote ufrag of its checks."""
        return self.offer.context_id + self.nonce

    async def connect(self) -> None:
        """Checks, DTLS and keys, without any signalling."""
        await self.peer.connect(Answer(self.ufrag, self.offer.password, self.offer.address))

    def write_answer(self) -> str:
        """Its answer to the room's offer."""
        tracks = (track for track in (self.voice, self.camera) if track)
        writer = AnswerWriter(self.peer.ufrag, self.peer.password, self.peer.identity.fingerprint)
        return writer.write(self.offer, {track.line.mid: track.ssrc for track in tracks}, self.join.slots)

    async def post_answer(self) -> Reply:
        """Sends the answer; the reply whatever it says."""
        headers = self.join.headers | {"Content-Type": "application/sdp", "Fork-Ufrag": self.ufrag}
        path = f"/rooms/{self.join.room}/forks"
        return await request(self.join.address, "POST", path, headers=headers, body=self.write_answer())

    async def answer(self) -> None:
        """Sends the answer; a refusal is raised with the router's reason."""
        reply = await self.post_answer()
        if reply.status != 201:
            raise RuntimeError(f"answer of {self.number}: {reply.status} {reply.body[:600]}")
        self.welcome, self.location = reply.json(), reply.headers["location"]

    def speak(self) -> None:
        """Sends one packet of the voice."""
        assert self.voice
        self.peer.send_rtp(self.voice.write(asyncio.get_running_loop().time()))

    def film(self, packets: int = 1) -> None:
        """Sends one frame of the camera."""
        assert self.camera
        for packet in self.camera.write_frame(asyncio.get_running_loop().time(), packets):
            self.peer.send_rtp(packet)

    async def keep_filming(self, frames_per_second: float = FRAMES_PER_SECOND) -> None:
        """Sends frames at their rate until cancelled."""
        await _repeat(self.film, frames_per_second)

    async def keep_speaking(self, packets_per_second: float = 50) -> None:
        """Sends packets of the voice at their rate until cancelled."""
        await _repeat(self.speak, packets_per_second)

    def _on_rtcp(self, compound: bytes) -> None:
        assert self.camera
        if self.camera.handle_rtcp(compound) and self.answers_requests:
            self.film()

    async def leave(self) -> None:
        """Leaves by DELETE."""
        path = "/rooms/" + self.location.partition("/rooms/")[2]
        reply = await request(self.join.address, "DELETE", path, headers=self.join.headers)
        self.close()
        if reply.status != 200:
            raise RuntimeError(f"leaving: {reply.status} {reply.body[:600]}")

    def close(self) -> None:
        """Vanishes without a word."""
        self.peer.close()


async def _repeat(send: Callable[[], None], rate: float) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        send()
        due += 1 / rate
        await asyncio.sleep(due - loop.time())
