"""A room opens as it was where its people come back to, and only if its node died with it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from router import clock
from router.cluster.directory import RoomDirectory
from router.cluster.entries import RoomSetup
from router.cluster.memory_store import MemoryStore
from router.cluster.reopening import PATIENCE_S, Reopening
from router.cluster.store import StoreError
from router.errors import NotFoundError
from router.metrics import Metrics
from router.rooms.options import RoomOptions
from router.rooms.registry import RoomRegistry
from tests.admin.conftest import FakeConnection
from tests.cluster.conftest import SETUP, node, room

WAS = RoomOptions(max_participants=7, metadata="the weekly", video_slots=2)


class Store(MemoryStore):
    """Keeps what rooms were made of when their node is gone, as Redis does for an hour."""

    up = True
    failure: StoreError | None = None
    delay_s = 0.0
    asked = 0

    def describe(self) -> dict[str, object]:
        return {"kind": "memory", "up": self.up}

    async def find_setup(self, name: str) -> RoomSetup | None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        await asyncio.sleep(self.delay_s)
        return self._setups.get(name)


class Node:
    def __init__(self, store: Store, id_: str) -> None:
        self.id = id_
        self.store = store
        self.registry = RoomRegistry(FakeConnection, create_on_first_use=False)  # type: ignore[arg-type] # only pretends
        self.directory = RoomDirectory(self.registry, store, Metrics(), 30.0, lambda _: SETUP)
        self.registry.find_options = Reopening(store, self.directory, id_).find_options

    async def reopen(self, name: str = "a") -> RoomOptions | None:
        await self.registry.recall(name)
        try:
            return self.registry.open_room(name).options
        except NotFoundError:
            return None


@pytest.fixture
async def store() -> Store:
    """Node N_1 has room a."""
    store = Store()
    await store.write_node(node("N_1"))
    await write(store, {**WAS.describe(), "locked": True})
    return store


async def write(store: Store, config: dict[str, object]) -> None:
    await store.write_rooms([room("a")], {"a": RoomSetup(config, 1, SETUP.context_id, SETUP.secret)})


async def die(store: Store, id_: str = "N_1") -> None:
    (entry,) = [one for one in await store.read_nodes() if one.id == id_]
    await store.remove_node(entry)


@pytest.fixture
async def other(store: Store) -> AsyncIterator[Node]:
    other = Node(store, "N_2")
    yield other
    await other.registry.close()


async def test_a_room_of_a_dead_node_opens_as_it_was(store: Store, other: Node) -> None:
    await die(store)
    assert await other.reopen() == WAS
    opened = other.registry.rooms["a"]
    assert (opened.layout.video_slots, opened.roster.locked, opened.roster.metadata) == (2, False, "the weekly")
    assert await other.reopen() == WAS
    assert store.asked == 1, "a room that is open is nobody's question"


async def test_a_room_of_a_living_node_is_left_to_it(other: Node) -> None:
    assert await other.reopen() is None


async def test_a_room_that_was_closed_is_forgotten(store: Store, other: Node) -> None:
    await store.remove_rooms(await store.read_rooms())
    assert await other.reopen() is None


async def test_a_node_that_was_restarted_opens_its_own_rooms_as_they_were(store: Store) -> None:
    again = Node(store, "N_1")
    assert await again.reopen() == WAS
    await again.registry.close()


async def test_what_this_life_closed_a_moment_ago_opens_anew(store: Store) -> None:
    one = Node(store, "N_1")
    one.registry.create_room("a", WAS)
    await one.directory.write("N_1", clock.monotonic_us())
    await one.registry.rooms["a"].close()
    assert await one.reopen() is None
    await one.directory.write("N_1", clock.monotonic_us())
    assert await one.reopen() is None


async def test_a_store_that_is_down_slow_or_poisoned_costs_little(store: Store, other: Node) -> None:
    await die(store)
    started_us = clock.monotonic_us()
    store.up = False
    assert await other.reopen() is None
    assert store.asked == 0, "known to be down"
    store.up, store.failure = True, StoreError("timeout")
    assert await other.reopen() is None
    store.failure, store.delay_s = None, 60.0
    assert await other.reopen() is None
    store.delay_s = 0.0
    for poison in ({"video_slots": 10_000}, {"codecs": [["x"]]}, {"metadata": 5}, {"unknown": 1}, {"audio_slots": "3"}):
        await write(store, dict(poison))
        assert await other.reopen() is None
    assert clock.monotonic_us() - started_us < 2 * PATIENCE_S * 1e6
    await write(store, WAS.describe())
    assert await other.reopen() == WAS


async def test_many_who_come_back_at_once_are_in_one_room(store: Store, other: Node) -> None:
    await die(store)
    store.delay_s = 0.01
    assert await asyncio.gather(*(other.reopen() for _ in range(50))) == [WAS] * 50
    assert list(other.registry.rooms) == ["a"]
