"""A participant from nothing to nothing, in one of many ways: WHIP, WHEP and static offer, given up at every stage."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from loadtest.http import request
from loadtest.peer import Answer, Identity, Join, Peer, RoomPeer
from loadtest.peer.description import MEDIA
from loadtest.peer.room_offer import RoomOffer
from tests.e2e.router_process import RouterProcess

ROOMS = 7
PARALLEL = 16
CONNECT_TIMEOUT_S = 20.0
HALF_S = 0.002
"""In the middle of the DTLS handshake, or before it."""
VOICE = MEDIA[0].replace("sendrecv", "sendonly")


@dataclass(slots=True)
class Cycles:
    """Participants of a router; the seed decides the ways they come and go."""

    router: RouterProcess
    seed: int
    identity: Identity = field(default_factory=Identity.create)
    number: int = 0

    async def run(self, count: int) -> None:
        """So many, a few at a time."""
        choice, gate = random.Random(f"{self.seed}-{self.number}"), asyncio.Semaphore(PARALLEL)
        ways: list[Callable[[str, str, str], Awaitable[None]]] = [self._join_by_post, self._join_by_static_offer]

        async def one(number: int, way: int, ending: str) -> None:
            async with gate:
                await ways[way](f"soak-{number % ROOMS}", f"p{number}", ending)

        numbers = range(self.number, self.number + count)
        self.number += count
        endings = ("delete", "speak", "vanish", "silent", "half", "alone")
        await asyncio.gather(*(one(number, choice.randrange(2), choice.choice(endings)) for number in numbers))

    async def _join_by_post(self, room: str, name: str, ending: str) -> None:
        """WHIP when it will speak, else WHEP. Alone is: the session ends before its first check."""
        endpoint, media = ("whip", (VOICE,)) if ending == "speak" else ("whep", MEDIA)
        headers = {"Authorization": f"Bearer {self.router.token(room, name)}", "Content-Type": "application/sdp"}
        address, peer = (self.router.address, self.router.port), Peer(self.identity)
        try:
            reply = await request(address, "POST", f"/{endpoint}/{room}", headers=headers, body=peer.offer(media))
            assert reply.status == 201, reply.body
            if ending not in ("silent", "alone"):
                await self._connect(peer.connect(Answer.parse(reply.body)), ending)
            if ending == "speak":
                for _ in range(5):
                    peer.send_audio(b"\xf8soak")
            if ending in ("speak", "delete", "alone"):
                reply = await request(address, "DELETE", reply.headers["location"], headers=headers)
                assert reply.status == 200, reply.body
        finally:
            peer.close()

    async def _join_by_static_offer(self, room: str, name: str, ending: str) -> None:
        """Alone is: a path without an answer. Silent is: an answer without a path."""
        join = Join((self.router.address, self.router.port), room, self.router.token(room, name))
        offer = RoomOffer.parse(await join.fetch_offer())
        made = RoomPeer(join, self.number, offer, Peer(self.identity))
        try:
            if ending != "alone":
                await made.answer()
            if ending != "silent":
                await self._connect(made.connect(), ending)
            if ending == "speak":
                for _ in range(5):
                    made.speak()
            if ending in ("speak", "delete"):
                await made.leave()
        finally:
            made.close()

    async def _connect(self, connecting: Awaitable[None], ending: str) -> None:
        timeout_s = HALF_S if ending == "half" else CONNECT_TIMEOUT_S
        try:
            await asyncio.wait_for(connecting, timeout_s)
        except TimeoutError:
            assert ending == "half"
