"""A whole router with two people in a room, for attacks on its ports: every route of the admin port, found out from the
application itself, so that routes that are added later are attacked too."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from router import clock
from router.admin.dashboard import FILES as DASHBOARD
from router.config import Settings, load_settings
from router.rooms.rights import JoinGrant
from router.server import RouterServer
from router.tokens import DEFAULT_LEEWAY_S, JoinTokens
from tests.rooms.fakes import play_offer, publish_offer
from tests.signaling.public import SDP, text

WRITER, READER = "writer-0123456789-0123456789", "reader-0123456789-0123456789"
SECRET: Final = "attack-0123456789-abcdefghijklmn"
ROOM: Final = "lobby"
HTTP_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")

NEED_NO_TOKEN: Final[Mapping[str, str]] = {
    "/healthz": "whoever restarts the process has no token; says nothing but that it lives",
    "/readyz": "whoever routes traffic has none either; tells checks by name, and whether the store is up",
    "/docs": "the same for every router of a version; tells nothing of this one",
    "/openapi.json": "as /docs",
    **dict.fromkeys(DASHBOARD, "as /docs: a page that asks for a token, and shows nothing before it has one"),
}
"""Paths of the admin port that anybody may read, and why."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A method on a path."""

    method: str
    path: str
    """With its parameters in braces."""
    described: bool = True
    """Whether the OpenAPI document has it."""
    streams: bool = False
    """Whether its response has no end."""

    @property
    def changes(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def list_operations(app: FastAPI) -> list[Operation]:
    """All of them: those of the OpenAPI document, and what else the application routes."""
    document = app.openapi()
    described = {
        (method.upper(), path): "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    found = {key: Operation(*key, streams=streams) for key, streams in described.items()}
    for route in iter_route_contexts(app.routes):
        path = route.path_format or route.path
        assert path is not None, f"{route}: a route of a kind that is not attacked yet"
        assert route.methods is not None, f"{path}: a WebSocket or a mount needs attacks of its own"
        for method in route.methods:
            found.setdefault((method, path), Operation(method, path, described=False))
    return sorted(found.values(), key=str)


@dataclass
class Stage:
    """The router, who is in it, and clients of both ports."""

    server: RouterServer
    admin: httpx.AsyncClient
    """Sends no token unless it is told to."""
    public: httpx.AsyncClient
    values: dict[str, str] = field(default_factory=dict)
    """What to put into the braces of paths, so that they name something that exists."""

    @property
    def app(self) -> FastAPI:
        assert self.server._admin is not None, "it runs"
        app: FastAPI = self.server._admin._server.config.app  # type: ignore[assignment]
        return app

    @property
    def operations(self) -> list[Operation]:
        return list_operations(self.app)

    def fill(self, path: str, **values: str) -> str:
        """The path with something that exists in each pair of braces."""
        return re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: {**self.values, **values}.get(match[1], "x"), path)

    def state(self) -> dict[str, Any]:
        """What changes of any kind leave a trace in."""
        registry = self.server.registry
        return {
            "rooms": {name: (room.roster.version, room.roster.locked) for name, room in registry.rooms.items()},
            "people": [
                (p.describe(), p.rights) for room in registry.rooms.values() for p in room.participants.values()
            ],
            "revocations": list(registry.revocations),
            "draining": registry.draining,
            "events": [entry.id for entry in self.server.events][-1:],
        }

    def token(self, identity: str = "ada", room: str = ROOM) -> str:
        """A join token, a little younger than anything that an attack revoked or removed in this second."""
        grant = JoinGrant(room, identity, may_publish=True, may_subscribe=True, may_moderate=True)
        keys = self.server.access.join_tokens._keys
        return JoinTokens(keys, now_s=lambda: clock.wall_s() + DEFAULT_LEEWAY_S / 2).issue(grant)

    async def people(self) -> None:
        """Ada publishes and Eve watches; whoever is missing comes back, also to a router that was made to drain."""
        rooms = self.server.registry.rooms
        self.server.drain.finished.clear()  # a drain that is over ends a process, which is not there
        self.server.drain.cancel()
        for kind, identity in (("whip", "ada"), ("whep", "eve")):
            if ROOM not in rooms or identity not in rooms[ROOM].participants:
                await self.join(kind, identity)
        ada, eve = (rooms[ROOM].participants[identity] for identity in ("ada", "eve"))
        slot = next(mid for session in eve.sessions.values() for mid in session.slots)
        assert self.server._membership is not None, "it runs"
        self.values |= {
            "room": ROOM, "participant": ada.id, "track": ada.tracks[0].id, "slot": slot, "mid": slot,
            "node": self.server._membership.node.id,
        }  # fmt: skip

    async def join(self, kind: str, identity: str) -> None:
        """By an offer whose media never comes."""
        offer = publish_offer() if kind == "whip" else play_offer()
        headers = {"Content-Type": SDP, **bearer(self.token(identity))}
        reply = await self.public.post(f"/{kind}/{ROOM}", content=text(offer), headers=headers)
        assert reply.status_code == 201, reply.text


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def attack_settings(**changes: Any) -> Settings:
    """A router for others than its developer: tokens are asked for."""
    reader = {"token": READER, "scope": "read"}
    flags: dict[str, Any] = {
        "public": {"host": "127.0.0.1", "port": 0},
        "admin": {
            "port": 0,
            "requests_per_s": 0,
            "token": WRITER,
            "tokens": {"reader": reader},
        },
        # Nobody's media ever comes, and people shall not vanish in the midst of a test.
        "media": {"udp_port": 0, "addresses": ["127.0.0.1"], "timeout_s": 300},
        "auth": {"secrets": [SECRET]},
    }
    return load_settings(flags={name: {**flags.get(name, {}), **changes.get(name, {})} for name in {*flags, *changes}})


@asynccontextmanager
async def run_stage(settings: Settings | None = None, *, people: bool = True) -> AsyncIterator[Stage]:
    async with (
        RouterServer(settings or attack_settings()) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.admin_port}") as admin,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.public_port}") as public,
    ):
        server.registry.limits = replace(server.registry.limits, connect_timeout_s=600.0, empty_room_delay_s=600.0)
        stage = Stage(server, admin, public)
        if people:
            await stage.people()
        yield stage


def check_problem(reply: httpx.Response, what: object) -> Iterator[str]:
    """What is wrong with a refusal."""
    if reply.headers.get("content-type") != "application/problem+json":
        yield f"{what}: {reply.status_code} without a problem document: {reply.text[:80]!r}"
        return
    problem = reply.json()
    if problem["status"] != reply.status_code or not problem["detail"] or not problem["slug"]:
        yield f"{what}: an incomplete problem document: {problem}"
