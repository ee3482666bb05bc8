"""Whom this node names as a room's owner: how long it asks, and when a silent owner is dead."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from router import clock
from router.cluster.memory_store import NODE_TTL_S, MemoryStore
from router.cluster.peers import Peers
from router.cluster.redis_errors import StoreError
from router.cluster.store import Store
from router.cluster.suspicion import SILENT_S
from router.metrics import Metrics
from tests.cluster.conftest import node, open_redis, room
from tests.cluster.redis_servers import RedisServer, SlowProxy, needs_redis
from tests.cluster.test_membership import Clock, Node, RecordingStore, make_node

Find = Callable[[], Awaitable[str | None]]


@pytest.fixture
def time() -> Clock:
    return Clock()


@pytest.fixture
def store(time: Clock) -> RecordingStore:
    return RecordingStore(time)


@pytest.fixture
async def here(store: RecordingStore, time: Clock) -> AsyncIterator[Node]:
    made = make_node(store, time, "N_2")
    await made.beat()
    yield made
    await made.registry.close()


@pytest.fixture
def find(here: Node, store: RecordingStore) -> Find:
    """The id of who has room a."""
    peers = Peers(here.registry, store, here.membership)

    async def find() -> str | None:
        owner = await peers.find_owner("a")
        return owner.id if owner is not None else None

    return find


async def have_room(store: MemoryStore, admin_url: str) -> None:
    """N_1 has room a."""
    await store.write_node(node("N_1", admin_url=admin_url))
    await store.write_rooms([room("a")], {})


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, socket.socket]]:
    """A port whose kernel accepts while nobody serves it, as of a stopped process."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen(1)
        yield f"http://127.0.0.1:{port.getsockname()[1]}", port


async def test_a_silent_owner_whose_port_is_closed_is_dead(
    store: RecordingStore, time: Clock, find: Find, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening() as (url, port):
        await have_room(store, url)
        port.close()
        assert await find() == "N_1", "it was heard of just now"
        time.advance(SILENT_S - 0.1)
        assert await find() == "N_1"
        time.advance(0.2)
        assert await find() is None
    assert [one.id for one in await store.read_nodes()] == ["N_2"]
    assert [record.getMessage() for record in caplog.records] == ["a node died: its rooms may be opened again"]


@pytest.mark.parametrize("url", ["", "http://no-such-host.invalid:8081", "http://[::1", "http://127.0.0.1:99999"])
async def test_an_owner_that_cannot_be_asked_is_named_until_it_expires(
    store: RecordingStore, time: Clock, find: Find, url: str
) -> None:
    await have_room(store, url)
    time.advance(NODE_TTL_S - 0.1)
    assert await find() == "N_1"
    time.advance(0.2)
    assert await find() is None


async def test_a_stopped_owner_is_named_until_it_expires(store: RecordingStore, time: Clock, find: Find) -> None:
    async with listening() as (url, _):
        await have_room(store, url)
        time.advance(NODE_TTL_S - 0.1)
        for _ in range(5):
            assert await find() == "N_1"


async def test_an_owner_that_speaks_while_it_is_suspected_stays(here: Node, store: RecordingStore, time: Clock) -> None:
    async with listening() as (url, port):
        await have_room(store, url)
        port.close()
        time.advance(SILENT_S + 1)

        class Late(RecordingStore):
            async def remove_node(self, gone: object) -> None:
                await store.write_node(node("N_1", epoch=(await store.read_nodes())[0].epoch, seen_s=2000.0))
                await store.remove_node(gone)  # type: ignore[arg-type] # passed on

        late = Late(time)
        late.__dict__.update({**store.__dict__})
        owner = await Peers(here.registry, late, here.membership).find_owner("a")
        assert owner is not None
        stands = await late.find_node(owner.id)
        assert stands is not None
        assert (stands.id, stands.seen_s) == ("N_1", 2000.0)


async def test_who_is_asked_and_does_not_answer_costs_its_deadline(here: Node, time: Clock) -> None:
    class Silent(MemoryStore):
        async def find_owner(self, room: str) -> None:
            await asyncio.Event().wait()

    peers = Peers(here.registry, Silent(), here.membership, timeout_s=0.05)
    with pytest.raises(StoreError, match="timeout"):
        await peers.find_owner("a")


async def test_nobody_is_asked_while_heartbeats_fail(here: Node, store: RecordingStore) -> None:
    class Counting(MemoryStore):
        asked = 0

        async def find_owner(self, room: str) -> None:
            self.asked += 1

    counting = Counting()
    peers = Peers(here.registry, counting, here.membership)
    await peers.find_owner("a")
    store.broken = True
    await here.beat()
    with pytest.raises(StoreError, match="connection"):
        await peers.find_owner("a")
    assert counting.asked == 1


@needs_redis
async def test_a_redis_that_is_200_ms_away_still_names_the_owner(server: RedisServer, here: Node) -> None:
    """Else whoever joins at the wrong node would open the room a second time."""
    eye = open_redis(server.url)
    await eye.write_node(node("N_1"))
    await eye.write_rooms([room("a")], {})
    async with SlowProxy(server.port, 0.2) as proxy:
        far: Store = open_redis(f"redis://127.0.0.1:{proxy.port}", Metrics(), timeout_s=1.0)
        peers = Peers(here.registry, far, here.membership)
        for _ in range(3):
            started_us = clock.monotonic_us()
            owner = await peers.find_owner("a")
            assert owner is not None
            print(f"named after {(clock.monotonic_us() - started_us) / 1e6:.2f} s")
        await far.close()
    await eye.close()
