"""The heartbeat and the rooms it writes, turn by turn, over a store in memory and a clock of the test."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from router.cluster.directory import GRACE_US, RoomDirectory
from router.cluster.entries import NodeEntry, RoomEntry, RoomSetup
from router.cluster.membership import Membership, NodeLoad
from router.cluster.memory_store import NODE_TTL_S, MemoryStore
from router.cluster.redis_errors import StoreError
from router.metrics import Metrics
from router.rooms.registry import RoomRegistry
from router.rooms.room import Room
from tests.admin.conftest import FakeConnection
from tests.cluster.conftest import SETUP, node


class Clock:
    def __init__(self) -> None:
        self.us = 10**12

    def now_us(self) -> int:
        return self.us

    def now_s(self) -> float:
        return self.us / 1e6

    def advance(self, seconds: float) -> None:
        self.us += int(seconds * 1e6)


class RecordingStore(MemoryStore):
    def __init__(self, clock: Clock) -> None:
        super().__init__(now_s=clock.now_s, now_us=clock.now_us)
        self.writes: list[list[str]] = []
        self.refreshes = 0
        self.broken = False

    async def check(self) -> None:
        if self.broken:
            raise StoreError("connection")

    async def write_rooms(self, rooms: Sequence[RoomEntry], setups: Mapping[str, RoomSetup]) -> list[RoomEntry]:
        if rooms:
            self.writes.append([room.name for room in rooms])
        return await super().write_rooms(rooms, setups)

    async def refresh_rooms(self, rooms: Sequence[RoomEntry]) -> list[RoomEntry]:
        self.refreshes += 1
        return await super().refresh_rooms(rooms)

    async def remove_rooms(self, rooms: Sequence[RoomEntry]) -> None:
        if self.broken:
            raise StoreError("connection")
        await super().remove_rooms(rooms)

    def empty(self) -> None:
        self._nodes.clear()
        self._rooms.clear()
        self._setups.clear()

    async def names(self) -> list[str]:
        return [room.name for room in await self.read_rooms()]


@dataclass
class Node:
    registry: RoomRegistry
    membership: Membership
    metrics: Metrics
    load: NodeLoad = NodeLoad(0.5, 1, 2, False)  # noqa: RUF009 - frozen
    setup: RoomSetup = SETUP

    async def beat(self) -> None:
        await self.membership.beat()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> RecordingStore:
    return RecordingStore(clock)


def make_node(store: RecordingStore, clock: Clock, id_: str = "N_1") -> Node:
    registry, metrics = RoomRegistry(FakeConnection), Metrics()  # type: ignore[arg-type] # only pretends

    def describe(_room: Room) -> RoomSetup:
        return made.setup

    directory = RoomDirectory(registry, store, metrics, 30.0, describe)
    membership = Membership(node(id_), store, directory, lambda: made.load, now_us=clock.now_us, now_s=clock.now_s)
    made = Node(registry, membership, metrics)
    return made


@pytest.fixture
async def one(store: RecordingStore, clock: Clock) -> AsyncIterator[Node]:
    made = make_node(store, clock)
    yield made
    await made.registry.close()


@pytest.fixture
async def two(store: RecordingStore, clock: Clock) -> AsyncIterator[Node]:
    made = make_node(store, clock, "N_2")
    yield made
    await made.registry.close()


async def test_a_heartbeat_says_how_the_node_does(one: Node, store: RecordingStore, clock: Clock) -> None:
    await one.beat()
    one.load = NodeLoad(0.87654321, 3, 40, True)
    clock.advance(1)
    await one.beat()
    (entry,) = await store.read_nodes()
    assert (entry.load, entry.rooms, entry.participants, entry.state) == (0.8765, 3, 40, "draining")
    assert entry.seen_s == clock.now_s()
    assert one.membership.describe() == {
        "kind": "memory", "up": True, "error": None, "node": "N_1", "epoch": entry.epoch, "fenced": False,
    }  # fmt: skip


async def test_rooms_come_and_go(one: Node, store: RecordingStore) -> None:
    one.registry.create_room("a")
    one.registry.create_room("b")
    await one.beat()
    assert await store.names() == ["a", "b"]
    assert await store.find_setup("a") == SETUP
    await one.registry.rooms["a"].close()
    await one.beat()
    assert await store.names() == ["b"]
    assert await store.find_setup("a") is None


async def test_only_changes_are_written(one: Node, store: RecordingStore, clock: Clock) -> None:
    one.registry.create_room("a")
    await one.beat()
    await one.beat()
    one.registry.create_room("b")
    await one.beat()
    one.setup = replace(SETUP, version=2)
    await one.beat()
    assert store.writes == [["a"], ["b"], ["a", "b"]]
    refreshes = store.refreshes
    for _ in range(9):
        clock.advance(1)
        await one.beat()
    assert store.refreshes == refreshes
    clock.advance(1)
    await one.beat()
    assert store.refreshes == refreshes + 1


async def test_rooms_live_as_long_as_they_are_refreshed(one: Node, store: RecordingStore, clock: Clock) -> None:
    one.registry.create_room("a")
    for _ in range(100):
        await one.beat()
        clock.advance(1)
    assert await store.names() == ["a"]
    clock.advance(NODE_TTL_S)
    assert await store.names() == []


async def test_a_store_that_is_down_hurts_nobody_and_is_caught_up_with(
    one: Node, store: RecordingStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store.broken = True
    one.registry.create_room("a")
    with caplog.at_level(logging.INFO, "router.cluster"):
        for _ in range(50):
            await one.beat()
            clock.advance(1)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        store.broken = False
        await one.beat()
        clock.advance(GRACE_US / 1e6)
        await one.beat()
    assert await store.names() == ["a"]
    assert caplog.records[-1].message == "the store is in use again"


async def test_what_an_emptied_store_lost_is_written_at_the_next_turn(one: Node, store: RecordingStore) -> None:
    one.registry.create_room("a")
    await one.beat()
    (before,) = await store.read_rooms()
    store.empty()
    await one.beat()
    assert await store.read_rooms() == [before]
    assert await store.find_setup("a") == SETUP


async def test_after_a_loss_those_who_had_a_name_come_first(
    one: Node, two: Node, store: RecordingStore, clock: Clock
) -> None:
    one.registry.create_room("a")
    await one.beat()
    await two.beat()
    store.empty()
    two.registry.create_room("a")
    for _ in range(2):
        await two.beat()
        assert await store.names() == []
        clock.advance(0.5)
    await one.beat()
    clock.advance(GRACE_US / 1e6)
    await two.beat()
    assert "a" in one.registry.rooms
    assert "a" not in two.registry.rooms
    assert two.metrics.registry.get_sample_value("sfu_rooms_lost_total") == 1
    assert one.metrics.registry.get_sample_value("sfu_rooms_lost_total") == 0


async def test_a_fenced_node_writes_nothing_and_keeps_its_calls(
    one: Node, store: RecordingStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one.registry.create_room("a")
    await one.beat()
    later: NodeEntry = (await store.write_node(node("N_1")))[0]
    one.registry.create_room("b")
    for _ in range(3):
        await one.beat()
    assert await store.read_nodes() == [later]
    assert await store.names() == ["a"]
    assert set(one.registry.rooms) == {"a", "b"}
    assert one.membership.describe()["fenced"] is True
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    one.membership.start()
    await one.membership.close()
    assert await store.read_nodes() == [later]


async def test_closing_leaves_nothing(one: Node, store: RecordingStore) -> None:
    one.registry.create_room("a")
    await one.beat()
    one.membership.start()
    await one.membership.close()
    await one.membership.close()
    assert await store.names() == []
    assert await store.read_nodes() == []


async def test_closing_does_not_wait_for_a_store_that_is_down(one: Node, store: RecordingStore) -> None:
    one.registry.create_room("a")
    await one.beat()
    store.broken = True
    one.membership.start()
    await one.membership.close()
