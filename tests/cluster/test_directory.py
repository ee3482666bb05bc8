import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

import pytest

from router import clock
from router.cluster.directory import RoomDirectory
from router.cluster.store import MemoryStore, RoomEntry, StoreError
from router.metrics import Metrics
from router.rooms.registry import RoomRegistry
from tests.admin.conftest import FakeConnection


class RecordingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[list[str]] = []
        self.broken = False
        self.written = asyncio.Event()

    async def write_rooms(self, rooms: Sequence[RoomEntry], ttl_s: float) -> None:
        if self.broken:
            raise StoreError("down")
        self.writes.append([room.name for room in rooms])
        await super().write_rooms(rooms, ttl_s)
        self.written.set()

    async def remove_rooms(self, rooms: Sequence[RoomEntry]) -> None:
        if self.broken:
            raise StoreError("down")
        await super().remove_rooms(rooms)


@pytest.fixture
async def registry() -> AsyncIterator[RoomRegistry]:
    registry = RoomRegistry(FakeConnection)  # type: ignore[arg-type]
    yield registry
    await registry.close()


@pytest.fixture
def store() -> RecordingStore:
    return RecordingStore()


@pytest.fixture
def now_us(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [10**12]
    monkeypatch.setattr(clock, "monotonic_us", lambda: now[0])
    return now


def make(registry: RoomRegistry, store: RecordingStore, metrics: Metrics | None = None) -> RoomDirectory:
    return RoomDirectory(registry, store, 30, metrics or Metrics())


async def names(store: MemoryStore) -> list[str]:
    return [room.name for room in await store.read_rooms()]


async def test_rooms_come_and_go(registry: RoomRegistry, store: RecordingStore) -> None:
    directory = make(registry, store)
    registry.create_room("a")
    registry.create_room("b")
    await directory.write_now()
    assert await names(store) == ["a", "b"]
    assert {room.node for room in await store.read_rooms()} == {directory.node}
    await registry.rooms["a"].close()
    await directory.write_now()
    assert await names(store) == ["b"]


async def test_only_changes_are_written_until_a_third_of_the_life_is_over(
    registry: RoomRegistry, store: RecordingStore, now_us: list[int]
) -> None:
    directory = make(registry, store)
    registry.create_room("a")
    await directory.write_now()
    await directory.write_now()
    registry.create_room("b")
    await directory.write_now()
    assert store.writes == [["a"], ["b"]]
    now_us[0] += 10_000_000
    await directory.write_now()
    assert store.writes[2:] == [["a", "b"]]


async def test_a_broken_store_hurts_nobody_and_is_caught_up_with(
    registry: RoomRegistry, store: RecordingStore, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    directory = make(registry, store, metrics)
    store.broken = True
    registry.create_room("a")
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            await directory.write_now()
    assert len(caplog.records) == 1
    assert metrics.registry.get_sample_value("sfu_redis_up") == 0
    store.broken = False
    await directory.write_now()
    assert await names(store) == ["a"]
    assert metrics.registry.get_sample_value("sfu_redis_up") == 1


async def test_removal_that_failed_is_tried_again(registry: RoomRegistry, store: RecordingStore) -> None:
    directory = make(registry, store)
    registry.create_room("a")
    await directory.write_now()
    await registry.rooms["a"].close()
    store.broken = True
    await directory.write_now()
    store.broken = False
    await directory.write_now()
    assert await names(store) == []


async def test_closing_removes_this_nodes_rooms(registry: RoomRegistry, store: RecordingStore) -> None:
    directory = RoomDirectory(registry, store, 30, Metrics(), turn_s=0.001)
    registry.create_room("a")
    directory.start()
    async with asyncio.timeout(5):
        await store.written.wait()
    await directory.close()
    await directory.close()
    assert await names(store) == []
