"""A room opens as it was where its people come back to, and only if its node died with it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from router import clock
from router.cluster.directory import RoomDirectory
from router.cluster.entries import Owner, RoomSetup
from router.cluster.membership import Membership, NodeLoad
from router.cluster.memory_store import MemoryStore
from router.cluster.peers import LOOKUP_TIMEOUT_S, Peers, Place
from router.cluster.store import StoreError
from router.errors import ElsewhereError, NotFoundError
from router.metrics import Metrics
from router.rooms.options import RoomOptions
from router.rooms.registry import RoomRegistry
from router.signaling.elsewhere import check_place
from tests.admin.conftest import FakeConnection
from tests.cluster.conftest import SETUP, node, room

WAS = RoomOptions(max_participants=7, metadata="the weekly", video_slots=2)


class Store(MemoryStore):
    """Keeps what rooms were made of when their node is gone, as Redis does for an hour."""

    failure: StoreError | None = None
    delay_s = 0.0
    asked = 0
    together: asyncio.Barrier | None = None
    """Both questions wait here for each other."""
    gate: asyncio.Event | None = None
    """Questions wait here until the test lets them go on."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def find_owner(self, room: str) -> Owner | None:
        await self._answer()
        return await super().find_owner(room)

    async def find_setup(self, name: str) -> RoomSetup | None:
        await self._answer()
        return self._setups.get(name)

    async def _answer(self) -> None:
        self.asked += 1
        if self.gate is not None:
            self.reached.set()
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if self.together is not None:
            await self.together.wait()
        await asyncio.sleep(self.delay_s)


class Node:
    def __init__(self, store: Store, id_: str, patience_s: float = 30.0) -> None:
        self.id = id_
        self.store = store
        self.registry = RoomRegistry(FakeConnection, create_on_first_use=False)  # type: ignore[arg-type] # only pretends
        self.directory = RoomDirectory(self.registry, store, Metrics(), 30.0, lambda _: SETUP)
        self.membership = Membership(node(id_), store, self.directory, lambda: NodeLoad(0.0, 0, 0, draining=False))
        self.peers = Peers(self.registry, store, self.membership, timeout_s=patience_s)

    async def reopen(self, name: str = "a") -> RoomOptions | None:
        """As whoever joins does it."""
        remembered = await check_place(self.registry, self.peers, name)
        try:
            return self.registry.open_room(name, remembered).options
        except NotFoundError:
            return None


@pytest.fixture
async def store() -> Store:
    """Node N_1 has room a."""
    store = Store()
    await store.write_node(node("N_1"))
    await write(store, {**WAS.describe(), "inside": ["ada"]})
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
    assert (opened.layout.video_slots, opened.roster.locked, opened.roster.metadata) == (2, True, "the weekly")
    assert await other.reopen() == WAS
    assert store.asked == 2, "a room that is open is nobody's question"


async def test_one_look_finds_who_has_a_room_and_what_it_was(store: Store, other: Node) -> None:
    store.together = asyncio.Barrier(2)
    with pytest.raises(ElsewhereError):
        await other.reopen()
    await die(store)
    assert await other.reopen() == WAS, "one question after the other would have waited in vain"


async def test_a_room_of_a_living_node_is_left_to_it(other: Node) -> None:
    with pytest.raises(ElsewhereError):
        await other.reopen()


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
    await one.directory.write("N_1")
    await one.registry.rooms["a"].close()
    assert await one.reopen() is None
    await one.directory.write("N_1")
    assert await one.reopen() is None


async def test_a_store_that_is_down_slow_or_poisoned_costs_little(store: Store) -> None:
    await die(store)
    other = Node(store, "N_2", LOOKUP_TIMEOUT_S)
    started_us = clock.monotonic_us()
    store.failure = StoreError("timeout")
    assert await other.reopen() is None
    await other.membership.beat()
    store.asked = 0
    assert await other.reopen() is None
    assert store.asked == 0, "known to be down"
    store.failure, store.delay_s = None, 60.0
    await other.membership.beat()
    assert await other.reopen() is None
    store.delay_s = 0.0
    for poison in (
        {"video_slots": 10_000},
        {"codecs": [["x"]]},
        {"metadata": 5},
        {"unknown": 1},
        {"audio_slots": "3"},
        {"inside": None},
        {"inside": "ada"},
        {"inside": [5]},
        {"inside": ["a\nb"]},
        {"inside": ["a" * 100] * 200},
    ):
        await write(store, dict(poison))
        assert await other.reopen() is None
    assert clock.monotonic_us() - started_us < 2 * LOOKUP_TIMEOUT_S * 1e6
    await write(store, WAS.describe())
    assert await other.reopen() == WAS
    await other.registry.close()


async def test_many_who_come_back_at_once_are_in_one_room_and_one_question(store: Store, other: Node) -> None:
    await die(store)
    store.asked, store.gate = 0, asyncio.Event()
    joining = [asyncio.create_task(other.reopen()) for _ in range(200)]
    await store.reached.wait()
    for task in joining[:50]:
        task.cancel()
    await asyncio.sleep(0)
    store.gate.set()
    results = await asyncio.gather(*joining, return_exceptions=True)
    assert [type(result) for result in results[:50]] == [asyncio.CancelledError] * 50
    assert results[50:] == [WAS] * 150
    assert store.asked == 2, "who has it, and what it was"
    assert list(other.registry.rooms) == ["a"]


async def test_an_operator_and_a_participant_share_a_look(store: Store, other: Node) -> None:
    store.gate = asyncio.Event()
    asked = [asyncio.create_task(other.peers.find_owner("a")), asyncio.create_task(other.peers.find_place("a"))]
    await store.reached.wait()
    store.gate.set()
    owner, place = await asyncio.gather(*asked)
    assert isinstance(place, Place)
    assert place.owner == owner == node("N_1").address
    assert store.asked == 2


async def test_a_store_that_fails_fails_for_all_who_ask_and_for_nobody_after_them(store: Store, other: Node) -> None:
    store.failure, store.gate = StoreError("timeout"), asyncio.Event()
    asked = [asyncio.create_task(other.peers.find_owner("a")) for _ in range(200)]
    await store.reached.wait()
    store.gate.set()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(result) for result in results} == {StoreError}
    assert store.asked <= 2
    store.failure = None
    assert await other.peers.find_owner("a") == node("N_1").address


async def test_looks_for_other_rooms_do_not_wait_for_each_other(store: Store, other: Node) -> None:
    gate = store.gate = asyncio.Event()
    first = asyncio.create_task(other.peers.find_owner("a"))
    await store.reached.wait()
    store.gate = None
    assert await other.peers.find_owner("b") is None
    assert not first.done()
    gate.set()
    assert await first is not None
