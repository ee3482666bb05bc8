"""A store that takes, refuses, hangs, and comes back."""

import asyncio
from collections.abc import Sequence

from router.events.entry import Entry
from router.events.stream_sink import MAX_RETRY_S, StreamSink
from router.metrics import Metrics
from tests.events.entries import entry, lost


class FakeStore:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.calls = 0
        self.down = False
        self.hangs = False

    async def append(self, entries: Sequence[Entry]) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise ConnectionRefusedError("no store")
        self.entries += entries


class Stage:
    """A sink whose pauses end when a test says so."""

    def __init__(self, capacity: int = 1_000) -> None:
        self.store = FakeStore()
        self.metrics = Metrics()
        self.pauses: list[float] = []
        self._wake = asyncio.Event()
        self.sink = StreamSink(self.store, self.metrics, capacity=capacity, sleep=self._sleep, now_us=lambda: 0)
        self.sink.start()

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._wake.clear()
        await self._wake.wait()

    async def wake(self) -> None:
        self._wake.set()
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_everything_is_written_in_order_in_batches() -> None:
    stage = Stage()
    entries = [entry() for _ in range(300)]
    for one in entries:
        stage.sink.offer(one)
    await settle()
    assert stage.store.entries == entries
    assert stage.store.calls == 2
    await stage.sink.close(1)


async def test_a_store_that_is_down_loses_only_what_does_not_fit() -> None:
    stage = Stage(capacity=5)
    stage.store.down = True
    entries = [entry() for _ in range(10)]
    stage.sink.offer(entries[0])
    await settle()
    for one in entries[1:]:
        stage.sink.offer(one)
    for _ in range(5):
        await stage.wake()
    assert stage.pauses[:4] == [0.25, 0.5, 1.0, MAX_RETRY_S]
    assert max(stage.pauses) == MAX_RETRY_S
    stage.store.down = False
    await stage.wake()
    assert stage.store.entries == [entries[0], *entries[5:]]
    assert lost(stage.metrics, "stream") == 4
    await stage.sink.close(1)


async def test_the_end_writes_the_rest() -> None:
    stage = Stage()
    stage.sink.offer(one := entry())
    await stage.sink.close(1)
    assert stage.store.entries == [one]
    await stage.sink.close(1)


async def test_the_end_does_not_wait_for_a_store_that_hangs() -> None:
    stage = Stage()
    stage.store.hangs = True
    stage.sink.offer(entry())
    await settle()
    await stage.sink.close(0)
    assert stage.store.entries == []
