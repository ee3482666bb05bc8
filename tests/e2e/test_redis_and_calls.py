"""Calls in Chromium on routers that share a real Redis: a router dies, Redis fails in every way, and calls go on."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtest.peer import Identity, Join, RoomPeer
from router import clock
from router.cluster.redis_store import RedisStore
from router.cluster.store import StoreError
from tests.cluster.conftest import open_redis
from tests.cluster.redis_servers import RedisServer, SlowProxy, needs_redis, run_servers
from tests.cluster.waiting import until
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import ADMIN_TOKEN, RouterProcess, free_port, run_router
from tests.e2e.watch import enter, wait_for

pytestmark = [needs_redis, pytest.mark.browser]

GONE_S = 10.0
WHOLE_AGAIN_S = 5.0
JOIN_S = 2.0
REVOKED_S = 1.0
KNOWN_S = 0.1
PATIENT = {"ROUTER_ROOMS__EMPTY_TIMEOUT_S": "900"}
"""Rooms that close by themselves meanwhile would never be all there at two looks."""
SEES_OTHER = "window.readStamps().length === 1"
WATCH_STATES = "(window.states = [], room.addEventListener('statechange', (e) => states.push(e.detail.state)), true)"
FRAMES = "readReception().then((stats) => stats.reduce((sum, stat) => sum + stat.framesDecoded, 0))"


def share(url: str, node: str) -> Mapping[str, str]:
    return {"ROUTER_REDIS__URL": url, "ROUTER_REDIS__PREFIX": "test", "ROUTER_REDIS__NODE": node}


@asynccontextmanager
async def run_node(url: str, name: str) -> AsyncIterator[RouterProcess]:
    """A router that others can ask."""
    port = free_port()
    settings = {**share(url, name), "ROUTER_REDIS__ADMIN_URL": f"http://127.0.0.1:{port}"}
    async with run_router(admin_port=port, settings=settings) as router:
        yield router


async def meet(chromium: object, router: RouterProcess, room: str) -> list[Window]:
    """Two who see each other."""
    windows = [await Window.open(chromium) for _ in range(2)]  # type: ignore[arg-type] # playwright's
    for stamp, window in enumerate(windows, start=1):
        await enter(window, router, room, f"P{stamp}", stamp)
    for window in windows:
        await wait_for(window, SEES_OTHER, "the other's picture")
        await window.evaluate(WATCH_STATES)
    return windows


async def goes_on(windows: list[Window]) -> None:
    """Pictures move, and nobody was disconnected meanwhile."""
    for window in windows:
        before = await window.evaluate(FRAMES)
        await wait_for(window, f"{FRAMES}.then((frames) => frames > {before} + 5)", "pictures that move", 5.0)
        assert await window.evaluate("[room.state, states.join()]") == ["connected", ""]


@pytest.mark.timeout(120)
async def test_a_room_is_known_everywhere_and_outlives_its_node(tmp_path: Path) -> None:
    async with (
        run_servers([RedisServer(tmp_path)]) as (server,),
        run_node(server.url, "node-1") as one,
        run_node(server.url, "node-2") as two,
        launch_chromium() as chromium,
        httpx.AsyncClient(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as http,
    ):
        admin_of_two = f"http://127.0.0.1:{two.admin_port}/v1"

        async def ask_two(path: str) -> Any:
            reply = await http.get(admin_of_two + path)
            return reply.json() if reply.status_code == 200 else None

        async def knows_room() -> bool:
            reply = await http.get(f"{admin_of_two}/rooms/ones")
            told = reply.headers.get("Fork-Router-Node"), reply.json().get("max_participants")
            return told == ("node-1", 7)

        async def knows_ada() -> bool:
            found = await ask_two("/rooms/ones/participants")
            return found is not None and [one["identity"] for one in found["items"]] == ["Ada"]

        assert await ask_two("/rooms") == {"items": [], "next_cursor": None}
        options = {"name": "ones", "max_participants": 7, "metadata": "the weekly"}
        reply = await http.post(f"http://127.0.0.1:{one.admin_port}/v1/rooms", json=options)
        assert reply.status_code == 201, reply.text
        print(f"the room is read from the other after {await until(knows_room, KNOWN_S) * 1000:.0f} ms")
        ada = await Window.open(chromium)
        await enter(ada, one, "ones", "Ada", 3)
        await wait_for(ada, "room?.state === 'connected'", "Ada in the room")
        print(f"who is in it after {await until(knows_ada, KNOWN_S) * 1000:.0f} ms")
        windows = await meet(chromium, two, "twos")

        # Revoked at the other router, in force here: the tokens of these tests do not say when they were issued.
        await ada.evaluate(WATCH_STATES)
        assert (await http.post(f"{admin_of_two}/tokens/revocations", json={"identity": "Ada"})).status_code == 201

        async def ada_is_out() -> bool:
            found: list[object] = (await one.admin("/v1/rooms/ones/participants"))["items"]
            return found == []

        print(f"out after {await until(ada_is_out, REVOKED_S):.2f} s")
        await wait_for(ada, "room.state === 'closed'", "Ada told", REVOKED_S)
        assert await ada.evaluate("states") == ["closed"]

        one.process.kill()

        async def only_ones_are_gone() -> bool:
            return [room["name"] for room in (await ask_two("/rooms"))["items"]] == ["twos"]

        print(f"gone after {await until(only_ones_are_gone, GONE_S):.1f} s")
        await goes_on(windows)

        # Whoever comes back, to the other node now, finds the room as it was.
        headers = {"Authorization": f"Bearer {two.token('ones', 'Eve')}"}
        assert (await http.get(f"{two.url}/rooms/ones/offer", headers=headers)).status_code == 200
        found = await two.admin("/v1/rooms/ones")
        assert (found["metadata"], found["max_participants"]) == ("the weekly", 7)


# -- the ladder --------------------------------------------------------------------------------------------------------


@dataclass
class Stage:
    """A call on a router whose Redis is about to fail."""

    server: RedisServer
    proxy: SlowProxy
    router: RouterProcess
    eye: RedisStore
    windows: list[Window]
    identity: Identity = field(default_factory=Identity.create)
    joins: int = 0

    async def serve_for(self, seconds: float) -> None:
        """Newcomers come, and the call goes on."""
        deadline_us = clock.monotonic_us() + int(seconds * 1e6)
        while True:
            self.joins += 1
            async with asyncio.timeout(JOIN_S):
                await asyncio.gather(self.serve_new_room(f"new-{self.joins}"), self.serve_viewer())
            left_s = (deadline_us - clock.monotonic_us()) / 1e6
            if left_s <= 0:
                break
            await asyncio.sleep(min(left_s, 1.0))
        await goes_on(self.windows)

    async def serve_new_room(self, name: str) -> None:
        """Two open a room of their own, and one hears the other."""
        async with self.guest(name, "Eve", "mic") as eve, self.guest(name, "Sam") as sam:
            speaking = asyncio.create_task(eve.keep_speaking())
            try:
                await until(lambda: receives(sam, "audio"), JOIN_S)
            finally:
                speaking.cancel()

    async def serve_viewer(self) -> None:
        """One looks into the call."""
        async with self.guest("call", "Vic") as vic:
            await until(lambda: receives(vic, "video"), JOIN_S)

    @asynccontextmanager
    async def guest(self, room: str, name: str, *publish: str) -> AsyncIterator[RoomPeer]:
        """A load peer for a moment."""
        address, token = (self.router.address, self.router.port), self.router.token(room, name)
        peer = await RoomPeer.enter(Join(address, room, token, publish=publish), 1, self.identity)
        try:
            yield peer
            await peer.leave()
        finally:
            peer.close()

    async def read_rooms(self) -> set[str]:
        """As the router tells them, page by page: the ladder opens one a second."""
        names: set[str] = set()
        page = await self.router.admin("/v1/rooms?limit=200")
        while True:
            names |= {room["name"] for room in page["items"]}
            if page["next_cursor"] is None:
                return names
            page = await self.router.admin(f"/v1/rooms?limit=200&cursor={page['next_cursor']}")

    async def is_whole(self) -> bool:
        try:
            listed = {room.name for room in await self.eye.read_rooms()}
        except StoreError:
            return False
        return listed == await self.read_rooms() and (await self.router.admin("/readyz"))["store"]["up"] is True


async def receives(peer: RoomPeer, kind: str) -> bool:
    return any(peer.reception.packets[mid] for mid in peer.offer.slots(kind))


async def kill(stage: Stage, seconds: float) -> None:
    await stage.server.kill()
    await stage.serve_for(seconds)
    await stage.server.start()


async def stop(stage: Stage, seconds: float) -> None:
    stage.server.signal(signal.SIGSTOP)
    await stage.serve_for(seconds)
    stage.server.signal(signal.SIGCONT)


async def slow(stage: Stage, seconds: float) -> None:
    stage.proxy.delay_s = 0.2
    await stage.serve_for(seconds)
    stage.proxy.delay_s = 0.0


async def empty(stage: Stage, seconds: float) -> None:
    """Again and again."""
    serving = asyncio.create_task(stage.serve_for(seconds))
    while not serving.done():
        await stage.server.command("FLUSHALL")
        await asyncio.wait([serving], timeout=0.2)
    await serving


FAULTS: tuple[Callable[[Stage, float], Awaitable[None]], ...] = (kill, stop, slow, empty)


@asynccontextmanager
async def set_stage(directory: Path) -> AsyncIterator[Stage]:
    async with (
        run_servers([RedisServer(directory)]) as (server,),
        SlowProxy(server.port, 0.0) as proxy,
        run_router(settings={**share(f"redis://127.0.0.1:{proxy.port}", "node-1"), **PATIENT}) as router,
        launch_chromium() as chromium,
    ):
        eye = open_redis(server.url)
        yield Stage(server, proxy, router, eye, await meet(chromium, router, "call"))
        await eye.close()


async def climb(stage: Stage, seconds: float) -> None:
    for fault in FAULTS:
        await fault(stage, seconds)
        took_s = await until(stage.is_whole, WHOLE_AGAIN_S)
        print(f"{fault.__name__} {seconds} s: whole again after {took_s:.2f} s")


@pytest.mark.timeout(120)
async def test_a_call_does_not_notice_that_redis_fails(tmp_path: Path) -> None:
    async with set_stage(tmp_path) as stage:
        await climb(stage, 1)


@pytest.mark.soak
@pytest.mark.timeout(500)
@pytest.mark.parametrize("seconds", [10, 31, 60])
async def test_the_whole_ladder(tmp_path: Path, seconds: int) -> None:
    async with set_stage(tmp_path) as stage:
        await climb(stage, seconds)
