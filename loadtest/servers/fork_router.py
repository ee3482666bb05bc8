"""fork-router, started as its users start it: `python -m router serve`, joined by WHIP and WHEP or by the static offer.

Each of a participant's clients is a session of its own, of the same identity, so nobody is sent what they publish.
"""

import secrets
import string
from collections.abc import Sequence
from contextlib import AsyncExitStack

from loadtest.client import Client, Line, Track
from loadtest.client.sdp import RemoteDescription
from loadtest.http import Reply, request
from loadtest.process import RouterUnderTest, run_router
from loadtest.servers import Plan, Unavailable, Wanted
from router import _engine

ROOM = "load"
NONCE_LETTERS = string.ascii_letters + string.digits
NONCE_CHARS = 22
MOST_PARTICIPANTS = 10_000
"""Of a room, whatever the settings: beyond that, some clients are further sessions of the same participant."""
SHARED_NAMES = 9_000


def settings_for(plan: Plan) -> dict[str, str]:
    """Room for everybody, no limits on rates: all clients come from one address."""
    return {
        "ROUTER_ROOMS__MAX_PARTICIPANTS": str(min(plan.participants + 10, MOST_PARTICIPANTS)),
        "ROUTER_ROOMS__FORKS_PER_S": "0",
        "ROUTER_ROOMS__FORKS_PER_S_PER_ADDRESS": "0",
        "ROUTER_ROOMS__MAX_TRACKS_PER_PARTICIPANT": str(max(plan.tracks, 16)),
        "ROUTER_PUBLIC__REQUESTS_PER_S": "0",
    }


class ForkRouter:
    """Our router."""

    name = "fork-router"
    client_host = "127.0.0.1"

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._router: RouterUnderTest | None = None
        self._sessions: dict[str, list[str]] = {}
        self._offer = ""

    @property
    def version(self) -> str:
        """Of the engine that it runs."""
        info = _engine.build_info()
        return f"{info['version']} ({info['profile']})"

    @property
    def pids(self) -> Sequence[int]:
        """One process."""
        return [self.router.pid] if self._router else []

    @property
    def router(self) -> RouterUnderTest:
        """The running router."""
        if self._router is None:
            raise RuntimeError("not started")
        return self._router

    async def start(self, plan: Plan) -> None:
        """Refuses a debug build of the engine."""
        if _engine.build_info()["profile"] != "release":
            raise Unavailable("the engine is a debug build: run `make engine`")
        self._router = await self._stack.enter_async_context(run_router(core=plan.core, settings=settings_for(plan)))

    async def publish(self, client: Client, participant: str, tracks: Sequence[Track]) -> None:
        """By WHIP."""
        await self._offer_to("whip", client, participant, [Line(track.kind, track) for track in tracks])

    async def subscribe(self, client: Client, participant: str, wanted: Wanted) -> None:
        """By WHEP, with a receiving m-line for each track."""
        lines = [Line("audio", receives=True)] * wanted.audio + [Line("video", receives=True)] * wanted.video
        await self._offer_to("whep", client, participant, lines)

    async def join(self, client: Client, participant: str, tracks: Sequence[Track], wanted: Wanted) -> None:
        """By the room's static offer, which all share; each appends its own nonce to the offer's ufrag."""
        headers = self._authorize(participant)
        address = (self.router.host, self.router.port)
        if not self._offer:
            reply = await request(address, "GET", f"/rooms/{ROOM}/offer", headers=headers)
            self._offer = _require(reply, 200).body
        offer = RemoteDescription.parse(self._offer)
        mids = _slots(offer, "audio")[: wanted.audio] + _slots(offer, "video")[: wanted.video]
        ufrag = offer.ufrag + "".join(secrets.choice(NONCE_LETTERS) for _ in range(NONCE_CHARS))
        text = self._offer.replace(f"a=ice-ufrag:{offer.ufrag}\r\n", f"a=ice-ufrag:{ufrag}\r\n")
        answer = client.accept_offer(text, tracks, receive=mids)
        headers |= {"Content-Type": "application/sdp", "Fork-Ufrag": ufrag}
        reply = await request(address, "POST", f"/rooms/{ROOM}/forks", headers=headers, body=answer)
        self._remember(participant, _require(reply, 201))
        await client.connect()

    async def leave(self, participant: str) -> None:
        """Deletes the sessions."""
        headers = self._authorize(participant)
        for path in self._sessions.pop(participant, ()):
            _require(await request((self.router.host, self.router.port), "DELETE", path, headers=headers), 200)

    async def stop(self) -> None:
        """Ends the process by its id."""
        self._router = None
        await self._stack.aclose()

    def _authorize(self, participant: str) -> dict[str, str]:
        name, _, number = participant.rpartition("-")
        if number.isdigit() and int(number) >= SHARED_NAMES:
            participant = f"{name}-{int(number) % SHARED_NAMES}"
        return {"Authorization": f"Bearer {self.router.token(ROOM, participant)}"}

    async def _offer_to(self, protocol: str, client: Client, participant: str, lines: Sequence[Line]) -> None:
        headers = {**self._authorize(participant), "Content-Type": "application/sdp"}
        offer = client.create_offer(lines)
        address = (self.router.host, self.router.port)
        reply = await request(address, "POST", f"/{protocol}/{ROOM}", headers=headers, body=offer)
        self._remember(participant, _require(reply, 201))
        client.accept_answer(reply.body)
        await client.connect()

    def _remember(self, participant: str, reply: Reply) -> None:
        self._sessions.setdefault(participant, []).append(reply.headers["location"])


def _slots(offer: RemoteDescription, kind: str) -> list[str]:
    return [line.mid for line in offer.media if line.kind == kind and line.direction == "sendonly"]


def _require(reply: Reply, status: int) -> Reply:
    if reply.status != status:
        raise RuntimeError(f"{reply.status} {reply.body[:600]}")
    return reply
