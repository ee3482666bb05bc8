"""The queue of one events WebSocket: bounded for what comes in, open for one catching up however large the room."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from router.errors import ForbiddenError
from router.rooms import RoomLimits
from router.rooms.names import MAX_METADATA_BYTES
from router.signaling import event_stream
from router.signaling.event_stream import MAX_QUEUE_BYTES, MAX_QUEUE_MESSAGES, EventStream
from tests.rooms.fakes import World


class SlowSocket:
    """Takes a message only when a test lets it."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.closed: tuple[int, str] | None = None
        self._allowed = asyncio.Semaphore(0)

    def let_through(self, messages: int) -> None:
        for _ in range(messages):
            self._allowed.release()

    async def send_text(self, text: str) -> None:
        await self._allowed.acquire()
        self.taken.append(text)

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


@asynccontextmanager
async def streaming() -> AsyncIterator[tuple[EventStream, SlowSocket]]:
    websocket = SlowSocket()
    stream = EventStream(cast(Any, websocket), "eve")
    task = asyncio.create_task(stream.run())
    yield stream, websocket
    task.cancel()


async def turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def ended(stream: EventStream, websocket: SlowSocket) -> tuple[int, str] | None:
    """Lets everything through; how it was closed."""
    websocket.let_through(3 * MAX_QUEUE_MESSAGES)
    for _ in range(3):
        await turn()
    return websocket.closed


async def test_the_number_of_waiting_messages_is_capped() -> None:
    async with streaming() as (stream, websocket):
        for _ in range(MAX_QUEUE_MESSAGES):
            stream.send("x")
        assert len(stream._queue) == MAX_QUEUE_MESSAGES
        stream.send("x")
        assert not stream._queue
        assert await ended(stream, websocket) == (1013, "slow-consumer")


async def test_the_bytes_of_waiting_messages_are_capped() -> None:
    async with streaming() as (stream, websocket):
        stream.send("é" * (MAX_QUEUE_BYTES // 2))
        assert stream._queue
        stream.send("x")
        assert await ended(stream, websocket) == (1013, "slow-consumer")


async def test_catching_up_does_not_count_but_what_follows_does() -> None:
    async with streaming() as (stream, websocket):
        stream.catch_up(["x" * (3 * MAX_QUEUE_BYTES), *["missed"] * (2 * MAX_QUEUE_MESSAGES)])
        for _ in range(MAX_QUEUE_MESSAGES):
            stream.send("y")
        websocket.let_through(1)
        await turn()
        assert len(websocket.taken) == 1
        stream.send("y")
        assert await ended(stream, websocket) == (1013, "slow-consumer")


async def test_once_caught_up_everything_counts_again() -> None:
    async with streaming() as (stream, websocket):
        stream.catch_up(["x" * (3 * MAX_QUEUE_BYTES), "resumed"])
        assert stream.catching_up
        websocket.let_through(2)
        await turn()
        assert not stream.catching_up
        assert stream._queued_bytes == stream._uncounted_bytes == 0
        stream.send("x" * (MAX_QUEUE_BYTES + 1))
        assert await ended(stream, websocket) == (1013, "slow-consumer")


async def test_catching_up_happens_once_at_a_time() -> None:
    async with streaming() as (stream, websocket):
        stream.catch_up(["welcome", "welcome"])
        stream.catch_up(["welcome"])
        assert await ended(stream, websocket) == (1013, "slow-consumer")


async def test_a_slow_reader_is_told_why_as_far_as_that_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "CLOSE_TIMEOUT_S", 0.01)
    async with streaming() as (stream, websocket):
        stream.send("never read")
        await turn()
        stream.fail(ForbiddenError("a moderator removed you from the room", slug="removed"))
        stream.send("after the end")
        websocket.let_through(3)
        async with asyncio.timeout(5):
            while websocket.closed is None:  # noqa: ASYNC110 - the fake has no event for it
                await asyncio.sleep(0)
        assert websocket.closed == (4403, "removed")
        assert json.loads(websocket.taken[-1])["slug"] == "removed"
        assert "after the end" not in websocket.taken


async def test_the_welcome_of_a_thousand_with_all_their_metadata_fits() -> None:
    world = World(RoomLimits(max_participants_per_room=2_000))
    ada = await world.publish("ada", "video")
    one = ada.participant
    one.metadata, one.name = "m" * MAX_METADATA_BYTES, "n" * 256
    for i in range(1_000):
        one.id = f"P_{i:016x}"
        world.room.roster.tell_joined(one)
    async with streaming() as (stream, websocket):
        world.room.watch(stream)
        websocket.let_through(1)
        await turn()
        assert len(json.loads(websocket.taken[0])["participants"]) == 1_001
        assert len(websocket.taken[0]) > 4_000_000
        assert websocket.closed is None
