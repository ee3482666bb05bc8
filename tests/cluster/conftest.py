"""Stores of both kinds, made by hand where a test needs one more."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from router.cluster.entries import NodeAddress, NodeEntry, RoomEntry, RoomSetup
from router.cluster.keys import Keys
from router.cluster.memory_store import MemoryStore
from router.cluster.redis_link import RedisLink
from router.cluster.redis_store import RedisStore
from router.cluster.redis_target import parse_target
from router.cluster.store import Store
from router.metrics import Metrics
from tests.cluster.redis_servers import RedisServer, needs_redis, run_servers

PATIENT_S = 10.0
"""For what looks at a Redis: it may be on a disk that stands still for seconds, and a sentinel or a node of a cluster
that writes its file there answers nobody meanwhile."""
HOME = NodeAddress("N_1", "http://10.0.0.1:8081", "")
SETUP = RoomSetup({"video_slots": 9}, 1, "Context1234", bytes(range(32)), HOME)


def node(id_: str = "N_1", epoch: int = 0, **changes: object) -> NodeEntry:
    fields: dict[str, object] = {
        "id": id_, "epoch": epoch, "state": "serving", "admin_url": "http://10.0.0.1:8081", "public_url": "",
        "region": "eu", "version": "0.1.0", "load": 0.25, "rooms": 1, "participants": 2, "started_s": 1000.0,
        "seen_s": 1001.5,
    }  # fmt: skip
    return NodeEntry(**{**fields, **changes})  # type: ignore[arg-type] # fields are mixed


def room(name: str, node_id: str = "N_1", participants: int = 1, epoch: int = 0) -> RoomEntry:
    return RoomEntry(name, node_id, participants, 1000.5, epoch)


def open_redis(
    url: str, metrics: Metrics | None = None, *, prefix: str = "test", timeout_s: float = PATIENT_S
) -> RedisStore:
    metrics = metrics or Metrics()
    link = RedisLink(parse_target(url), metrics, timeout_s=timeout_s)
    return RedisStore(link, Keys(prefix), metrics)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with run_servers([RedisServer(tmp_path)]) as servers:
        yield servers[0]


@pytest.fixture
async def redis_store(server: RedisServer) -> AsyncIterator[RedisStore]:
    store = open_redis(server.url)
    await store.check()
    yield store
    await store.close()


@pytest.fixture
async def link(server: RedisServer) -> AsyncIterator[RedisLink]:
    link = RedisLink(parse_target(server.url), Metrics(), timeout_s=PATIENT_S)
    yield link
    await link.close()


OpenStores = Callable[[], Store]


@pytest.fixture(params=["memory", pytest.param("redis", marks=needs_redis)])
async def open_stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStores]:
    """Each call gives the store as one more node has it."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            shared = MemoryStore()
            yield lambda: shared
            return
        (server,) = await stack.enter_async_context(run_servers([RedisServer(tmp_path)]))

        def open_one() -> Store:
            store = open_redis(server.url)
            stack.push_async_callback(store.close)
            return store

        yield open_one
