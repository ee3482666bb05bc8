"""The heartbeat and the rooms it writes, turn by turn, over a store in memory and a clock of the test."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from router.cluster.directory import GRACE_US, RoomDirectory
from router.cluster.entries import NodeEntry, RoomEntry, RoomSetup
from router.cluster.membership import MIN_GAP_S, Membership, NodeLoad
from router.cluster.memory_store import NODE_TTL_S, MemoryStore
from router.cluster.redis_errors import StoreError
from router.metrics import Metrics
from router.rooms.options import RoomOptions
from router.rooms.registry import DRAINED, RoomRegistry
from tests.admin.conftest import FakeConnection
from tests.cluster.conftest import SETUP, node, room


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
        self.forgotten: dict[str, bool] = {}
        self.broken = False
        self.pause_s = 0.0
        """What a call on rooms takes."""
        self.seen_us = 0
        """When a heartbeat came last."""
        self._clock = clock

    async def check(self) -> None:
        if self.broken:
            raise StoreError("connection")

    async def write_node(self, node: NodeEntry) -> tuple[NodeEntry, bool]:
        self.seen_us = self._clock.us
        return await super().write_node(node)

    async def write_rooms(self, rooms: Sequence[RoomEntry], setups: Mapping[str, RoomSetup]) -> list[RoomEntry]:
        if rooms:
            self.writes.append([room.name for room in rooms])
            self._clock.advance(self.pause_s)
        return await super().write_rooms(rooms, setups)

    async def refresh_rooms(self, rooms: Sequence[RoomEntry]) -> list[RoomEntry]:
        self.refreshes += 1
        self._clock.advance(self.pause_s)
        return await super().refresh_rooms(rooms)

    async def remove_rooms(self, rooms: Sequence[RoomEntry], *, forget: bool = True) -> None:
        if self.broken:
            raise StoreError("connection")
        self.forgotten.update((room.name, forget) for room in rooms)
        await super().remove_rooms(rooms, forget=forget)

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
    directory = RoomDirectory(registry, store, metrics, 30.0, lambda _room: SETUP, now_us=clock.now_us)
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


async def test_what_a_node_that_goes_leaves_behind_is_remembered(one: Node, store: RecordingStore) -> None:
    for name in ("ended", "drained", "both", "open"):
        one.registry.create_room(name)
    await one.beat()
    one.registry.close_room(one.registry.rooms["ended"], "room-ended")
    one.registry.close_room(one.registry.rooms["drained"], DRAINED)
    one.registry.close_room(one.registry.rooms["both"], DRAINED)
    one.registry.create_room("both")
    store.broken = True
    await one.beat()
    store.broken = False
    await one.beat()
    assert store.forgotten == {"ended": True, "drained": False}
    one.registry.close_room(one.registry.rooms["both"])
    await one.registry.close()
    await one.beat()
    assert store.forgotten == {"ended": True, "drained": False, "both": True, "open": False}
    assert await store.names() == []
    assert not one.registry.left_behind


async def test_only_changes_are_written(one: Node, store: RecordingStore, clock: Clock) -> None:
    one.registry.create_room("a")
    await one.beat()
    await one.beat()
    one.registry.create_room("b")
    await one.beat()
    first, second = one.registry.rooms.values()
    first.change_options(RoomOptions(metadata="the weekly"))
    second.moderation.recall_lock(["ada"])
    await one.beat()
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


async def test_a_room_that_is_not_refreshed_is_forgotten_though_its_node_lives(
    store: RecordingStore, clock: Clock
) -> None:
    await store.write_rooms([room("a")], {"a": SETUP})
    clock.advance(29)
    await store.write_node(node())
    assert (await store.names(), await store.find_setup("a")) == (["a"], SETUP)
    clock.advance(2)
    assert (await store.names(), await store.find_setup("a")) == ([], None)


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


async def test_a_node_with_many_rooms_on_a_slow_store_is_never_silent_for_long(
    one: Node, store: RecordingStore, clock: Clock
) -> None:
    """Each call on rooms takes 3 s, as long as a call may: 400 rooms are 24 s of them, and nobody may think it dead."""
    store.pause_s = 3.0
    for number in range(400):
        one.registry.create_room(f"room-{number:03}")
    beats = []
    for _ in range(8):
        await one.beat()
        beats.append(store.seen_us)
        if len(await store.names()) < 400:
            assert one.membership._pause_s() == MIN_GAP_S, "the rest comes at once"
    await one.beat()
    beats.append(store.seen_us)
    assert len(await store.names()) == 400
    clock.advance(10)
    store.refreshes = 0
    for _ in range(9):
        await one.beat()
        beats.append(store.seen_us)
    assert store.refreshes >= 8
    gaps_s = [(later - earlier) / 1e6 for earlier, later in pairwise(beats)]
    assert max(gaps_s[:8] + gaps_s[9:]) <= 6.0 < NODE_TTL_S


async def test_a_round_of_refreshing_that_takes_several_turns_leaves_no_room_out(
    one: Node, store: RecordingStore, clock: Clock
) -> None:
    for number in range(400):
        one.registry.create_room(f"room-{number:03}")
    while len(await store.names()) < 400:
        await one.beat()
    lost = f"room-{321:03}"
    del store._rooms[lost]
    clock.advance(10)
    store.pause_s = 2.0
    for _ in range(8):
        await one.beat()
    assert lost in await store.names()


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
    assert await store.names() == ["a"]


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
