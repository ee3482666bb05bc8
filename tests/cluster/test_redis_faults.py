"""Redis stopped, killed, emptied and slow during calls: calls go on, and everything is there again within five
seconds.

What section C of threats-and-faults.md promises, for a node with rooms. The long rungs of the ladder (10, 31 and 60 s)
are `soak` tests.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from router import clock
from router.cluster.directory import RoomDirectory
from router.cluster.membership import Membership, NodeLoad
from router.cluster.redis_store import RedisStore
from router.cluster.store import Store, StoreError
from router.metrics import Metrics
from router.rooms.registry import RoomRegistry
from tests.admin.conftest import FakeConnection
from tests.cluster.conftest import SETUP, node, open_redis
from tests.cluster.redis_servers import RedisServer, SlowProxy, needs_redis, run_servers
from tests.cluster.waiting import until

pytestmark = needs_redis

WHOLE_AGAIN_S = 5.0
PATIENCE_S = 1.0
"""A router's with Redis, as its settings have it."""
ROOMS = 50


@dataclass
class Node:
    """A router as far as the store is concerned."""

    id: str
    registry: RoomRegistry
    membership: Membership
    store: Store
    metrics: Metrics


@asynccontextmanager
async def run_node(id_: str, store: RedisStore, metrics: Metrics) -> AsyncIterator[Node]:
    registry = RoomRegistry(FakeConnection)  # type: ignore[arg-type] # only pretends
    directory = RoomDirectory(registry, store, metrics, 30.0, lambda _: SETUP)
    membership = Membership(node(id_), store, directory, lambda: NodeLoad(0.1, len(registry.rooms), 0, False))
    registry.on_rooms_changed = membership.wake
    membership.start()
    yield Node(id_, registry, membership, store, metrics)
    await registry.close()
    await membership.close()
    await store.close()


@dataclass
class Scene:
    """A node with rooms, and an eye on Redis that nothing disturbs."""

    server: RedisServer
    node: Node
    eye: RedisStore

    def open_rooms(self, name: str, count: int) -> None:
        for number in range(count):
            self.node.registry.create_room(f"{name}-{number}")

    async def until_whole(self) -> float:
        """Seconds until Redis says exactly what the node has."""

        async def is_whole() -> bool:
            try:
                listed = {room.name for room in await self.eye.read_rooms() if room.node == self.node.id}
            except StoreError:
                return False
            return listed == set(self.node.registry.rooms)

        return await until(is_whole, 3 * WHOLE_AGAIN_S)


@asynccontextmanager
async def run_scene(server: RedisServer, url: str | None = None) -> AsyncIterator[Scene]:
    metrics = Metrics()
    store = open_redis(url or server.url, metrics, timeout_s=PATIENCE_S)
    async with run_node("N_1", store, metrics) as node_:
        eye = open_redis(server.url)
        scene = Scene(server, node_, eye)
        scene.open_rooms("before", ROOMS)
        await scene.until_whole()
        yield scene
        await eye.close()


async def stop_for(scene: Scene, seconds: float) -> None:
    scene.server.signal(signal.SIGSTOP)
    await serve_meanwhile(scene, seconds)
    scene.server.signal(signal.SIGCONT)


async def kill_for(scene: Scene, seconds: float) -> None:
    await scene.server.kill()
    await serve_meanwhile(scene, seconds)
    await scene.server.start()


async def empty_for(scene: Scene, seconds: float) -> None:
    """Again and again."""
    deadline_us = clock.monotonic_us() + int(seconds * 1e6)
    while clock.monotonic_us() < deadline_us:
        await scene.server.command("FLUSHALL")
        await serve_meanwhile(scene, 0.2)


async def serve_meanwhile(scene: Scene, seconds: float) -> None:
    """Rooms open and close as ever, and nothing waits."""
    for number in range(5):
        started_us = clock.monotonic_us()
        scene.node.registry.create_room(f"meanwhile-{started_us}-{number}")
        await scene.node.registry.close_room(next(iter(scene.node.registry.rooms.values())))
        assert clock.monotonic_us() - started_us < 200_000
        await asyncio.sleep(seconds / 5)


Fault = Callable[[Scene, float], Awaitable[None]]


async def run_rung(server: RedisServer, fault: Fault, seconds: float) -> None:
    async with run_scene(server) as scene:
        await fault(scene, seconds)
        took_s = await scene.until_whole()
        print(f"{fault.__name__} {seconds} s: whole again after {took_s:.2f} s")
        assert took_s <= WHOLE_AGAIN_S
        assert scene.node.metrics.registry.get_sample_value("sfu_rooms_lost_total") == 0
        assert scene.node.membership.describe()["up"]


@pytest.mark.parametrize("fault", [stop_for, kill_for, empty_for])
async def test_whole_again_after_an_outage(server: RedisServer, fault: Fault) -> None:
    await run_rung(server, fault, 1)


@pytest.mark.soak
@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", [stop_for, kill_for, empty_for])
@pytest.mark.parametrize("seconds", [10, 31, 60])
async def test_whole_again_after_a_long_outage(server: RedisServer, fault: Fault, seconds: float) -> None:
    await run_rung(server, fault, seconds)


async def test_a_redis_that_is_200_ms_away(server: RedisServer) -> None:
    async with SlowProxy(server.port, 0.2) as proxy, run_scene(server, f"redis://127.0.0.1:{proxy.port}") as scene:
        await serve_meanwhile(scene, 2)
        assert await scene.until_whole() <= WHOLE_AGAIN_S
        await server.command("FLUSHALL")
        assert await scene.until_whole() <= WHOLE_AGAIN_S
        assert [n.id for n in await scene.eye.read_nodes()] == ["N_1"]


async def test_a_redis_that_is_slower_than_the_deadline(server: RedisServer) -> None:
    async with SlowProxy(server.port, 0.0) as proxy, run_scene(server, f"redis://127.0.0.1:{proxy.port}") as scene:
        proxy.delay_s = 4.0
        await serve_meanwhile(scene, 8)
        assert not scene.node.membership.describe()["up"]
        proxy.delay_s = 0.0
        assert await scene.until_whole() <= WHOLE_AGAIN_S
        # Late replies wear connections out; the pauses keep their number small.
        assert proxy.connections < 40


async def test_a_room_is_read_from_another_node_within_100_ms(server: RedisServer) -> None:
    async with run_scene(server) as scene:
        for number in range(5):
            await scene.node.membership.beat()
            name = f"new-{number}"
            started_us = clock.monotonic_us()
            scene.node.registry.create_room(name)
            while await scene.eye.find_room(name) is None:
                assert clock.monotonic_us() - started_us < 100_000


@pytest.mark.timeout(90)
async def test_a_node_that_died_and_its_rooms_are_gone_within_ten_seconds_and_no_other(server: RedisServer) -> None:
    async with run_scene(server) as scene:
        metrics = Metrics()
        async with run_node("N_2", open_redis(server.url, metrics, timeout_s=PATIENCE_S), metrics) as other:
            other.registry.create_room("theirs")
            await until(lambda: owned_by(scene.eye, "theirs", "N_2"))
            task = other.membership._task
            assert task is not None
            task.cancel()  # as if killed: it says nothing more

            async def is_gone() -> bool:
                return "theirs" not in {room.name for room in await scene.eye.read_rooms()}

            print(f"gone after {await until(is_gone, 10.0):.1f} s")
            assert len(await scene.eye.read_rooms()) == ROOMS
            assert [n.id for n in await scene.eye.read_nodes()] == ["N_1"]


@pytest.mark.timeout(90)
async def test_a_node_that_was_stopped_gives_up_what_another_claimed_meanwhile(server: RedisServer) -> None:
    async with run_scene(server) as scene:
        zombie, metrics = scene.node, Metrics()
        assert zombie.membership._task is not None
        zombie.membership._task.cancel()
        await asyncio.gather(zombie.membership._task, return_exceptions=True)
        written = await scene.eye.find_node(zombie.id)  # perhaps by a heartbeat that was cut short
        assert written is not None
        await scene.eye.remove_node(written)
        async with run_node("N_2", open_redis(server.url, metrics, timeout_s=PATIENCE_S), metrics) as successor:
            successor.registry.create_room("before-7")
            await until(lambda: owned_by(scene.eye, "before-7", "N_2"))
            zombie.membership.start()

            async def has_given_up() -> bool:
                return "before-7" not in zombie.registry.rooms

            await until(has_given_up)
            assert len(zombie.registry.rooms) == ROOMS - 1
            assert zombie.metrics.registry.get_sample_value("sfu_rooms_lost_total") == 1
            assert "before-7" in successor.registry.rooms
            assert await scene.until_whole() <= WHOLE_AGAIN_S


async def test_redis_without_memory_left_is_told_apart(tmp_path: Path) -> None:
    async with run_servers([RedisServer(tmp_path, "--maxmemory", "1mb")]) as (server,):
        metrics = Metrics()
        async with run_node("N_1", open_redis(server.url, metrics, timeout_s=PATIENCE_S), metrics) as node_:

            async def is_told() -> bool:
                return bool(node_.store.describe()["error"] == "memory")

            await until(is_told)
            node_.registry.create_room("a")
            await server.command("CONFIG", "SET", "maxmemory", "100mb")
            await until(lambda: owned_by(node_.store, "a", "N_1"), WHOLE_AGAIN_S)


async def owned_by(store: Store, room: str, node_id: str) -> bool:
    found = await store.find_room(room)
    return found is not None and found.node == node_id
