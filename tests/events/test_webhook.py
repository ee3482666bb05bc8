"""One receiver in virtual time: order, retries, dead letters, what is logged, and the end."""

import asyncio
import json
import logging
from typing import Any

import pytest

from router.events.entry import Entry
from router.events.webhook import MAX_UNDER_WAY, Webhook
from router.events.webhook_post import DeliveryError
from router.events.webhook_queue import Backoff
from router.metrics import Metrics
from tests.events.entries import entry, lost
from tests.rooms.fakes import Timers


class FakePost:
    """Answers as a test says; `hold` leaves attempts unanswered until `release`."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self.taken: list[str] = []
        self.failures: list[Exception] = []
        self.hold = False
        self.held = 0
        self.most_held = 0
        self.closed = False
        self._released = asyncio.Event()

    async def post(self, body: bytes) -> None:
        id_ = json.loads(body)["id"]
        self.attempts.append(id_)
        if self.hold:
            self.held += 1
            self.most_held = max(self.most_held, self.held)
            try:
                await self._released.wait()
            finally:
                self.held -= 1
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(id_)

    def release(self) -> None:
        self.hold = False
        self._released.set()

    async def close(self) -> None:
        self.closed = True


class Stage:
    """A webhook on a fake receiver and a virtual clock."""

    def __init__(self, capacity: int = 100, attempts: int = 3) -> None:
        self.timers = Timers()
        self.post = FakePost()
        self.metrics = Metrics()
        self.webhook = Webhook(
            "https://hooks.example.org",
            self.post,
            self.metrics,
            capacity=capacity,
            backoff=Backoff(attempts=attempts),
            call_later=self.timers.call_later,
            now_us=lambda: round(self.timers.now_s * 1e6),
            chance=lambda: 1.0,
        )

    async def offer(self, *entries: Entry) -> None:
        for one in entries:
            self.webhook.offer(one)
        await self.settle()

    async def advance(self, seconds: float) -> None:
        self.timers.advance(seconds)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    def count(self, result: str) -> float:
        value = self.metrics.registry.get_sample_value("sfu_webhook_deliveries_total", {"result": result})
        return value or 0.0


def warnings(caplog: pytest.LogCaptureFixture) -> list[Any]:
    """Records, whose extra fields are attributes."""
    return [record for record in caplog.records if record.levelno == logging.WARNING]


async def test_a_room_is_delivered_in_order_though_attempts_fail() -> None:
    stage = Stage()
    stage.post.failures = [DeliveryError("status", retry=True, status=503), DeliveryError("timeout", retry=True)]
    entries = [entry("a") for _ in range(4)]
    await stage.offer(*entries)
    assert stage.post.attempts == [entries[0].id]
    await stage.advance(1)
    await stage.advance(1.9)
    assert stage.post.attempts == [entries[0].id] * 2
    await stage.advance(0.1)
    assert stage.post.taken == [one.id for one in entries]
    assert (stage.count("delivered"), stage.count("failed"), stage.count("dead")) == (4, 2, 0)
    assert (len(stage.webhook), stage.timers.waiting) == (0, [])
    await stage.webhook.close(0)


async def test_a_room_that_fails_does_not_hold_up_others() -> None:
    stage = Stage()
    stage.post.failures = [DeliveryError("network", retry=True)]
    await stage.offer(entry("bad"), good := entry("good"))
    assert stage.post.taken == [good.id]
    await stage.webhook.close(0)


async def test_dead_letters_are_counted_and_logged_once_a_minute_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(attempts=2)
    stage.post.failures = [
        DeliveryError("status", retry=True, status=500),
        DeliveryError("status", retry=True, status=502),
        DeliveryError("redirect", retry=False, status=302),
    ]
    first, second, third = entry("a"), entry("a"), entry("a")
    await stage.offer(first, second, third)
    await stage.advance(1)
    assert stage.post.attempts == [first.id, first.id, second.id, third.id]
    assert stage.post.taken == [third.id]
    assert stage.webhook.counts.dead == 2
    assert stage.count("dead") == 2
    (warning,) = warnings(caplog)
    assert warning.message == "webhook given up"
    assert (warning.event_id, warning.reason) == (first.id, "status 502")
    assert warning.receiver == "https://hooks.example.org"
    await stage.advance(60)
    stage.post.failures = [DeliveryError("redirect", retry=False, status=302)]
    await stage.offer(entry("a"))
    assert [record.dead for record in warnings(caplog)] == [1, 3]
    await stage.webhook.close(0)


async def test_a_bug_of_ours_loses_one_event_and_not_the_room(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.post.failures = [ZeroDivisionError()]
    await stage.offer(entry("a"), second := entry("a"))
    assert stage.post.taken == [second.id]
    assert stage.webhook.counts.dead == 1
    await stage.webhook.close(0)


async def test_few_at_once_and_a_full_queue_loses_the_oldest() -> None:
    stage = Stage(capacity=20)
    stage.post.hold = True
    entries = [entry(f"room-{number}") for number in range(25)]
    await stage.offer(*entries)
    assert stage.post.held == MAX_UNDER_WAY
    assert stage.webhook.counts.lost == lost(stage.metrics, "webhook") == 5
    assert stage.metrics.webhook_queue_depth._value.get() == 20
    stage.post.release()
    await stage.settle()
    await stage.settle()
    assert stage.metrics.webhook_queue_depth._value.get() == 0
    assert sorted(stage.post.taken) == sorted(one.id for one in entries[:8] + entries[13:])
    assert stage.post.most_held == MAX_UNDER_WAY
    await stage.webhook.close(0)


async def test_the_end_waits_for_what_is_queued() -> None:
    stage = Stage()
    stage.post.hold = True
    await stage.offer(entry("a"), entry("a"))
    closing = asyncio.ensure_future(stage.webhook.close(10))
    await stage.settle()
    assert not closing.done()
    stage.post.release()
    await closing
    assert len(stage.post.taken) == 2
    assert stage.post.closed
    await stage.offer(entry("a"))
    assert len(stage.post.attempts) == 2


async def test_the_end_gives_up_what_a_hanging_receiver_does_not_take(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.post.hold = True
    await stage.offer(entry("a"), entry("a"), entry("b"))
    await stage.webhook.close(0)
    assert stage.metrics.webhook_queue_depth._value.get() == 0
    assert stage.count("dead") == 3
    assert (stage.post.held, stage.post.closed, stage.timers.waiting) == (0, True, [])
    assert warnings(caplog)[-1].message == "webhooks given up: the router stops"
    await stage.webhook.close(0)
    assert stage.count("dead") == 3
