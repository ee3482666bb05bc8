"""Two whole routers and a real Redis: what one does is read from the other, and what dies is gone without the rest."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from router import clock
from router.cluster.redis_store import RedisStore
from tests.cluster.conftest import open_redis
from tests.cluster.redis_servers import RedisServer, free_port, needs_redis
from tests.cluster.waiting import until
from tests.test_server import read_until, start_process

pytestmark = [needs_redis, pytest.mark.timeout(120)]

FLAGS = ("--dev", "--port", "0", "--udp-port", "0")
GONE_S = 10.0
REOPENED_S = 5.0


class Router:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process, started: dict[str, str]) -> None:
        self.process = process
        self.public = f"http://{started['public']}"
        self.admin = f"http://{started['admin']}"

    async def open_room(self, name: str) -> None:
        """As a browser's first request does."""
        assert await self.ask_for_room(name) == 200

    async def ask_for_room(self, name: str) -> int:
        """The status."""
        async with httpx.AsyncClient(base_url=self.public) as client:
            token = (await client.get("/dev/token", params={"room": name})).json()["token"]
            reply = await client.get(f"/rooms/{name}/offer", headers={"Authorization": f"Bearer {token}"})
            return reply.status_code

    async def read_store(self) -> dict[str, object]:
        async with httpx.AsyncClient(base_url=self.admin) as client:
            reply = await client.get("/readyz")
        assert reply.status_code == 200
        store: dict[str, object] = reply.json()["store"]
        return store


@asynccontextmanager
async def run_routers(server: RedisServer, count: int, **settings: str) -> AsyncIterator[list[Router]]:
    routers: list[Router] = []
    try:
        for number in range(count):
            admin = free_port()
            environment = {"ROUTER_REDIS__URL": server.url, "ROUTER_REDIS__PREFIX": "test", **settings}
            environment |= {
                "ROUTER_REDIS__NODE": f"node-{number}",
                "ROUTER_REDIS__ADMIN_URL": f"http://127.0.0.1:{admin}",
            }
            process = await start_process(*FLAGS, "--admin-port", str(admin), **environment)
            started = json.loads((await read_until(process, "router started"))[-1])
            routers.append(Router(process, started))
        yield routers
    finally:
        for router in routers:
            if router.process.returncode is None:
                router.process.kill()
            await router.process.communicate()


@asynccontextmanager
async def run_room_of_one(server: RedisServer) -> AsyncIterator[tuple[RedisStore, Router, Router]]:
    """Two routers, of which the first has the room `a`, and the store as it sees that."""
    eye = open_redis(server.url)
    async with run_routers(server, 2) as (one, two):
        await one.open_room("a")
        await until(lambda: is_so(eye, {"a": "node-0"}))
        yield eye, one, two
    await eye.close()


async def rooms_of(eye: RedisStore) -> dict[str, str]:
    return {room.name: room.node for room in await eye.read_rooms()}


async def test_a_room_is_known_everywhere_and_a_killed_node_takes_only_its_own(server: RedisServer) -> None:
    eye = open_redis(server.url)
    async with run_routers(server, 2) as (one, two):

        async def both_are_there() -> bool:
            return [node.id for node in await eye.read_nodes()] == ["node-0", "node-1"]

        await until(both_are_there)
        await one.open_room("ones")
        opened_us = clock.monotonic_us()
        while (await eye.find_room("ones")) is None:
            assert clock.monotonic_us() - opened_us < 100_000
        await two.open_room("twos")
        await until(lambda: is_so(eye, {"ones": "node-0", "twos": "node-1"}))
        told = await one.read_store()
        assert (told["kind"], told["mode"], told["up"], told["node"]) == ("redis", "single", True, "node-0")

        one.process.send_signal(signal.SIGKILL)
        print(f"gone after {await until(lambda: is_so(eye, {'twos': 'node-1'}), GONE_S):.1f} s")
        assert (await two.read_store())["up"] is True

        two.process.send_signal(signal.SIGTERM)
        assert await two.process.wait() == 0
        assert await rooms_of(eye) == {}
        assert await eye.read_nodes() == []
    await eye.close()


async def test_the_room_of_a_killed_node_opens_elsewhere_before_its_entry_expires(server: RedisServer) -> None:
    async with run_room_of_one(server) as (eye, one, two):
        assert await two.ask_for_room("a") == 503
        one.process.send_signal(signal.SIGKILL)

        async def is_open() -> bool:
            return await two.ask_for_room("a") == 200

        print(f"open again after {await until(is_open, REOPENED_S):.1f} s")
        await until(lambda: is_so(eye, {"a": "node-1"}))


async def test_the_room_of_a_stopped_node_is_left_to_it(server: RedisServer) -> None:
    """For twice as long as silence takes to be suspicious, and for less than its entry lives."""
    async with run_room_of_one(server) as (eye, one, two):
        one.process.send_signal(signal.SIGSTOP)
        stopped_us = clock.monotonic_us()
        while clock.monotonic_us() - stopped_us < 5_000_000:
            assert await two.ask_for_room("a") == 503
            await asyncio.sleep(0.2)  # real processes, real time
        one.process.send_signal(signal.SIGCONT)
        assert await one.ask_for_room("a") == 200
        await until(lambda: is_so(eye, {"a": "node-0"}))


async def is_so(eye: RedisStore, rooms: dict[str, str]) -> bool:
    return await rooms_of(eye) == rooms


async def test_a_router_without_its_redis_serves_and_says_so(server: RedisServer) -> None:
    await server.kill()
    async with run_routers(server, 1) as (router,):
        started_us = clock.monotonic_us()
        await router.open_room("a")
        assert clock.monotonic_us() - started_us < 2_000_000
        assert (await router.read_store())["up"] is False
        await server.start()
        eye = open_redis(server.url)
        await until(lambda: is_so(eye, {"a": "node-0"}), 5.0)
        await eye.close()
