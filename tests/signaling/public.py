"""The public application on a fake media layer, reached through HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from router.rooms import JoinGrant, RoomLimits, Session
from router.rtc.description import RTCDescription
from router.rtc.sdp import write
from router.signaling import PublicState, SignalingSettings, create_public_app
from router.tokens import JoinTokens
from tests.rooms.fakes import FakeConnection, World, fake, play_offer, publish_offer

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
TOKENS = JoinTokens("0123456789abcdef0123456789abcdef")


def token(
    identity: str = "ada", room: str = "lobby", *, publish: bool = True, subscribe: bool = True, moderate: bool = False
) -> str:
    """A join token."""
    return TOKENS.issue(
        JoinGrant(
            room,
            identity,
            identity.title(),
            may_publish=publish,
            may_subscribe=subscribe,
            may_moderate=moderate,
        )
    )


def bearer(identity: str = "ada", room: str = "lobby", **rights: bool) -> dict[str, str]:
    """The header that carries one."""
    return {"Authorization": f"Bearer {token(identity, room, **rights)}"}


def text(description: RTCDescription) -> str:
    """An offer as SDP."""
    return write(description, session_id=1)


class Public:
    """A client of the application, and what is behind it."""

    def __init__(self, world: World, state: PublicState) -> None:
        self.world = world
        self.app = create_public_app(state)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=("192.0.2.7", 5_000))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://router.test")

    async def post(self, path: str, body: str, identity: str = "ada", **headers: str) -> httpx.Response:
        """An offer."""
        return await self.http.post(
            path, content=body, headers={"Content-Type": SDP, **bearer(identity), **dict(headers)}
        )

    async def whip(self, identity: str = "ada") -> httpx.Response:
        """Publishes."""
        return await self.post("/whip/lobby", text(publish_offer()), identity)

    async def whep(self, identity: str = "eve") -> httpx.Response:
        """Plays."""
        return await self.post("/whep/lobby", text(play_offer()), identity)

    async def patch(self, url: str, body: str, identity: str = "ada", **changes: str | None) -> httpx.Response:
        """A fragment; a header given as None is left out."""
        headers: dict[str, Any] = {"content_type": FRAGMENT, "if_match": "*", **bearer(identity), **changes}
        named = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        return await self.http.patch(url, content=body, headers=named)

    def session(self, response: httpx.Response) -> Session:
        """The session that a 201 made."""
        (found,) = [s for s in self.world.room.sessions if s.id == response.headers["Location"].rpartition("/")[2]]
        return found

    def fake(self, response: httpx.Response) -> FakeConnection:
        """The fake under it."""
        return fake(self.session(response))


@asynccontextmanager
async def public(
    settings: SignalingSettings | None = None,
    limits: RoomLimits | None = None,
    *,
    create_on_first_use: bool = True,
    world: World | None = None,
) -> AsyncIterator[Public]:
    """The application, closed at the end."""
    world = world or World(limits, create_on_first_use=create_on_first_use)
    client = Public(world, PublicState(world.registry, TOKENS, settings or SignalingSettings()))
    async with client.http:
        yield client
    await world.registry.close()


def check_problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Asserts a complete problem document (RFC 9457) that pages of other origins may read."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert set(problem) == {"type", "title", "status", "detail", "slug"}
    assert (problem["slug"], problem["status"]) == (slug, status)
    assert problem["type"] == f"urn:fork-router:problem:{slug}"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    return problem
