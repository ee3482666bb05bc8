"""Two routers, a Redis and the paths between them, cut one by one while people talk: a room never has two owners where
any of them can know better, and who has to learn it later closes with `moved` within a heartbeat.

What is promised for which cut is in README.md ("Several nodes").
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from loadtest.peer import Identity, Join, RoomPeer
from router import clock
from router.cluster.memory_store import NODE_TTL_S
from router.cluster.redis_store import RedisStore
from tests.cluster.conftest import open_redis
from tests.cluster.redis_servers import RedisServer, needs_redis, run_servers
from tests.cluster.waiting import until
from tests.e2e import cut_network, netns
from tests.e2e.cut_network import BACK, BOTH, THERE, DroppedPath, ProxiedPath
from tests.e2e.netns import Namespace, create_namespace
from tests.e2e.router_process import ADMIN_TOKEN, RouterProcess, free_port, run_router, sign_token

pytestmark = [needs_redis, pytest.mark.e2e, pytest.mark.timeout(60)]

HEARTBEAT_S = 1.0
RETRY_S = 0.3 + 0.5
"""Until the store is tried again after an outage, and the pause of the breaker."""
JOIN_S = 2.0
GAP_S = 1.0
"""The clients share two cores with everything else. A listener who was cut off hears nothing for ever."""
PROBLEM = "application/problem+json"


@dataclass
class Listener:
    """Somebody who hears one voice, and how long he did not."""

    peer: RoomPeer
    gap_s: float = 0.0
    last_s: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def __post_init__(self) -> None:
        hear = self.peer.peer.on_rtp
        assert hear is not None, "set by `RoomPeer`"

        def measure(packet: bytes) -> None:
            hear(packet)
            now_s = asyncio.get_running_loop().time()
            self.gap_s, self.last_s = max(self.gap_s, now_s - self.last_s), now_s

        self.peer.peer.on_rtp = measure

    async def hears(self) -> bool:
        """Whether a packet came after this question."""
        before = self.last_s
        await asyncio.sleep(0.1)  # five packets
        return self.last_s > before


@dataclass
class Stage:
    """Router one, whose paths are cut, and router two, which always reaches Redis."""

    one: RouterProcess
    two: RouterProcess
    urls: tuple[str, str]
    """Their public ones."""
    server: RedisServer
    eye: RedisStore
    redis: cut_network.Path
    nodes: Sequence[cut_network.Path]
    people: AsyncExitStack
    identity: Identity = field(default_factory=Identity.create)

    async def cut_nodes(self, *ways: str) -> None:
        for path in self.nodes:
            await path.cut(*ways)

    async def heal_nodes(self) -> None:
        for path in self.nodes:
            await path.heal()

    async def place_of(self, asked: RouterProcess, room: str, name: str = "Zoe") -> str:
        """Where a newcomer who comes to this router ends up: a URL he is sent to, or `here`."""
        headers = {"Authorization": f"Bearer {sign_token(room, name)}", "Accept": PROBLEM}
        started_us = clock.monotonic_us()
        async with httpx.AsyncClient(base_url=asked.url, timeout=10) as client:
            reply = await client.get(f"/rooms/{room}/offer", headers=headers)
        assert (clock.monotonic_us() - started_us) / 1e6 < JOIN_S
        return "here" if reply.status_code == 200 else str(reply.json().get("node_url"))

    async def enter(self, router: RouterProcess, room: str, name: str, *publish: str) -> RoomPeer:
        join = Join((router.address, router.port), room, sign_token(room, name), publish=publish)
        async with asyncio.timeout(3 * JOIN_S):
            peer = await RoomPeer.enter(join, 1, self.identity)
        self.people.callback(peer.close)
        if publish:
            speaking = asyncio.create_task(peer.keep_speaking())
            self.people.callback(speaking.cancel)
        return peer

    async def talk(self, router: RouterProcess, room: str, *names: str) -> Listener:
        """The first one speaks, the second one hears it."""
        speaker, listener = names
        await self.enter(router, room, speaker, "mic")
        heard = Listener(await self.enter(router, room, listener))
        await until(heard.hears, JOIN_S)
        heard.gap_s = 0.0
        return heard

    async def rooms_of(self, router: RouterProcess) -> set[str]:
        """Those that are here."""
        return {room["name"] for room in (await router.admin("/v1/overview"))["rooms"]}

    async def until_forgotten(self) -> float:
        """The store knows nothing of router one any more."""

        async def is_forgotten() -> bool:
            return [node.id for node in await self.eye.read_nodes()] == ["node-2"]

        return await until(is_forgotten, NODE_TTL_S + 2)

    async def told_to_watcher(self, room: str) -> "asyncio.Task[str]":
        """The slug with which the events connection of somebody at router one ends."""
        url = f"ws://{self.one.address}:{self.one.port}/rooms/{room}/events?access_token={sign_token(room, 'Ada')}"
        websocket = await self.people.enter_async_context(connect(url))
        assert json.loads(await websocket.recv())["type"] == "welcome"

        async def read() -> str:
            async for text in websocket:
                message: dict[str, Any] = json.loads(text)
                if message["type"] == "error":
                    return str(message["slug"])
            return ""

        task = asyncio.create_task(read())
        self.people.callback(task.cancel)
        return task


def share(redis_url: str, node: str, admin_url: str, public_url: str) -> dict[str, str]:
    return {
        "ROUTER_REDIS__URL": redis_url,
        "ROUTER_REDIS__PREFIX": "test",
        "ROUTER_REDIS__NODE": node,
        "ROUTER_REDIS__ADMIN_URL": admin_url,
        "ROUTER_PUBLIC__URL": public_url,
    }


@asynccontextmanager
async def run_both(
    one: AbstractAsyncContextManager[RouterProcess], two: AbstractAsyncContextManager[RouterProcess]
) -> AsyncIterator[tuple[RouterProcess, RouterProcess]]:
    """They start side by side."""
    async with AsyncExitStack() as stack:
        yield await asyncio.gather(stack.enter_async_context(one), stack.enter_async_context(two))


@asynccontextmanager
async def run_proxied(directory: Path) -> AsyncIterator[Stage]:
    """Both on loopback, router one and its way to the others behind proxies."""
    ports = [free_port() for _ in range(4)]
    urls = (f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
    async with (
        run_servers([RedisServer(directory)]) as (server,),
        ProxiedPath(server.port).run() as redis,
        ProxiedPath(ports[2]).run() as to_one,
        ProxiedPath(ports[3]).run() as to_two,
    ):
        near = share(f"redis://127.0.0.1:{redis.port}", "node-1", f"http://127.0.0.1:{to_one.port}", urls[0])
        far = share(server.url, "node-2", f"http://127.0.0.1:{to_two.port}", urls[1])
        async with (
            run_both(
                run_router(port=ports[0], admin_port=ports[2], settings=near),
                run_router(port=ports[1], admin_port=ports[3], settings=far),
            ) as (one, two),
            AsyncExitStack() as people,
        ):
            eye = open_redis(server.url)
            people.push_async_callback(eye.close)
            yield Stage(one, two, urls, server, eye, redis, (to_one, to_two), people)


async def know_each_other(stage: Stage) -> None:
    """Who is alone looks at each heartbeat who else is there."""

    async def is_known() -> bool:
        return len(await stage.eye.read_nodes()) == 2

    await until(is_known)
    await asyncio.sleep(HEARTBEAT_S + 0.2)  # real processes, real time


async def cut_from_redis(stage: Stage, *ways: str) -> Listener:
    """The call at router one goes on, and both routers send everybody where the room is, or can be claimed."""
    heard = await stage.talk(stage.one, "a", "Ada", "Sam")

    async def is_told() -> bool:
        return await stage.place_of(stage.two, "a") == stage.urls[0]

    await until(is_told)
    await stage.redis.cut(*ways)
    print(f"forgotten after {await stage.until_forgotten():.1f} s")
    for _ in range(3):
        assert await stage.place_of(stage.two, "a") == stage.urls[0], "it says itself that it has the room"
    assert await stage.place_of(stage.one, "a") == "here"
    assert await stage.place_of(stage.one, "new") == stage.urls[1], "here nobody could claim it"
    vic = Listener(await stage.enter(stage.one, "a", "Vic"))
    await until(vic.hears, JOIN_S)
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as operator:
        reply = await operator.get(f"http://{stage.two.address}:{stage.two.admin_port}/v1/rooms/a")
        assert (reply.status_code, reply.headers.get("Fork-Router-Node")) == (200, "node-1")
        rooms_of_one = f"http://{stage.one.address}:{stage.one.admin_port}/v1/rooms"
        reply = await operator.post(rooms_of_one, json={"name": "ordered"})
        assert (reply.status_code, reply.headers.get("Fork-Router-Node")) == (201, "node-2")
    assert "a" not in await stage.rooms_of(stage.two)
    return heard


async def cut_from_all(stage: Stage, heard: Listener) -> None:
    """Then nobody knows better, the room is at both, and when Redis is there again the first owner lets it go."""
    closing = await stage.told_to_watcher("a")
    await stage.cut_nodes(*BOTH)
    others = await stage.talk(stage.two, "a", "Eve", "Bob")
    assert await heard.hears()
    print(f"longest gap of who stayed at the node that was cut off: {heard.gap_s * 1000:.0f} ms")
    assert heard.gap_s < GAP_S
    await stage.redis.heal()
    healed_us = clock.monotonic_us()
    async with asyncio.timeout(HEARTBEAT_S + RETRY_S + 1.0):
        assert await closing == "moved"
    print(f"closed {(clock.monotonic_us() - healed_us) / 1e6:.2f} s after Redis was there again")
    assert await stage.place_of(stage.one, "a") == stage.urls[1]
    await stage.heal_nodes()
    assert await stage.rooms_of(stage.one) == set()
    assert await others.hears()
    assert others.gap_s < GAP_S
    assert not await heard.hears()


async def test_a_room_has_one_owner_whichever_path_is_cut(tmp_path: Path) -> None:
    """One after the other: the nodes from each other, one from Redis, that one from all, and all from Redis."""
    async with run_proxied(tmp_path) as stage:
        await know_each_other(stage)
        await stage.cut_nodes(*BOTH)
        assert await stage.place_of(stage.two, "b") == "here"

        async def is_told() -> bool:
            return await stage.place_of(stage.one, "b") == stage.urls[1]

        await until(is_told)
        await stage.heal_nodes()

        heard = await cut_from_redis(stage, THERE)
        await cut_from_all(stage, heard)

        await know_each_other(stage)
        await stage.server.kill()
        await asyncio.sleep(HEARTBEAT_S)
        assert await stage.place_of(stage.one, "a") == stage.urls[1], "whoever has it says so, without any store"
        assert await stage.place_of(stage.one, "new") == "here"
        assert await stage.place_of(stage.two, "new") == stage.urls[0]
        await stage.server.start()

        async def is_whole() -> bool:
            owners = {room.name: room.node for room in await stage.eye.read_rooms()}
            return owners == {"a": "node-2", "b": "node-2", "ordered": "node-2", "new": "node-1"}

        await until(is_whole)


# -- the same with packets that the kernel drops ----------------------------------------------------------------------

needs_nftables = pytest.mark.skipif(
    not netns.available() or shutil.which("nft") is None, reason="needs root, namespaces and nftables"
)


@asynccontextmanager
async def run_in_namespace(directory: Path) -> AsyncIterator[tuple[Stage, Namespace]]:
    """Router one in a namespace of its own, everything else outside; they know each other."""
    with create_namespace() as space:
        async with run_around(directory, space) as stage:
            await know_each_other(stage)
            yield stage, space


@asynccontextmanager
async def run_around(directory: Path, space: Namespace) -> AsyncIterator[Stage]:
    ports = [free_port() for _ in range(4)]
    urls = (f"http://{space.inside}:{ports[0]}", f"http://{space.outside}:{ports[1]}")
    server = RedisServer(directory, "--bind", "0.0.0.0", "--protected-mode", "no")
    everywhere = {"ROUTER_PUBLIC__HOST": "0.0.0.0", "ROUTER_ADMIN__HOST": "0.0.0.0"}
    near = share(f"redis://{space.outside}:{server.port}", "node-1", f"http://{space.inside}:{ports[2]}", urls[0])
    far = {**share(server.url, "node-2", f"http://{space.outside}:{ports[3]}", urls[1]), **everywhere}
    async with (
        run_servers([server]),
        run_both(
            run_router(space, port=ports[0], admin_port=ports[2], settings=near),
            run_router(port=ports[1], admin_port=ports[3], settings=far),
        ) as (one, two),
        AsyncExitStack() as people,
    ):
        eye = open_redis(server.url)
        people.push_async_callback(eye.close)
        redis = DroppedPath(space, "redis", [server.port], dials=True)
        to_one = DroppedPath(space, "to-one", [ports[2]], dials=False)
        to_two = DroppedPath(space, "to-two", [ports[3]], dials=True)
        yield Stage(one, two, urls, server, eye, redis, (to_one, to_two), people)


@pytest.mark.soak
@needs_nftables
@pytest.mark.timeout(120)
@pytest.mark.parametrize("ways", [(THERE,), (BACK,), BOTH])
async def test_packets_that_the_kernel_drops(tmp_path: Path, ways: tuple[str, ...]) -> None:
    async with run_in_namespace(tmp_path) as (stage, _):
        heard = await cut_from_redis(stage, *ways)
        await cut_from_all(stage, heard)


@pytest.mark.soak
@needs_nftables
@pytest.mark.timeout(120)
async def test_a_minute_without_redis_for_one_node(tmp_path: Path) -> None:
    """Newcomers at the other node find the room at each look, and its people notice nothing."""
    async with run_in_namespace(tmp_path) as (stage, _):
        heard = await cut_from_redis(stage, *BOTH)
        for _ in range(60):
            assert await stage.place_of(stage.two, "a") == stage.urls[0]
            await asyncio.sleep(1.0)
        assert heard.gap_s < GAP_S
        await stage.redis.heal()

        async def is_back() -> bool:
            return [node.id for node in await stage.eye.read_nodes()] == ["node-1", "node-2"]

        print(f"in the store again after {await until(is_back, 5.0):.2f} s")
        assert await heard.hears()
        assert await stage.rooms_of(stage.one) == {"a"}


@pytest.mark.soak
@needs_nftables
@pytest.mark.timeout(120)
async def test_clients_that_do_not_reach_a_node_open_its_rooms_nowhere_else(tmp_path: Path) -> None:
    async with run_in_namespace(tmp_path) as (stage, space):
        await stage.talk(stage.one, "a", "Ada", "Sam")
        clients = DroppedPath(space, "clients", [stage.one.port], dials=False)
        await clients.cut(*BOTH)
        for _ in range(12):
            assert await stage.place_of(stage.two, "a") == stage.urls[0]
            await asyncio.sleep(1.0)
        await clients.heal()
        assert await stage.place_of(stage.one, "a") == "here"
