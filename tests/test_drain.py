"""Draining, turn by turn: rooms on fakes and a clock of the test."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from router.drain import Drain
from router.errors import ConflictError
from tests.rooms.fakes import FakeWatcher, World


class Router:
    def __init__(self) -> None:
        self.world = World()
        self.now_us = 10**12
        self.woken = 0
        self.drain = Drain(self.world.registry, deadline_s=100, now_us=lambda: self.now_us, now_s=lambda: 5000.0)
        self.drain.on_changed = self.on_changed

    def on_changed(self) -> None:
        self.woken += 1

    def pass_time(self, seconds: float) -> None:
        self.now_us += round(seconds * 1e6)
        self.drain.turn()

    @property
    def gauges(self) -> tuple[float | None, float | None]:
        names = ("sfu_drain_active", "sfu_drain_started_timestamp_seconds")
        active, started = map(self.world.registry.metrics.registry.get_sample_value, names)
        return active, started


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    router = Router()
    yield router
    await router.drain.close()
    await router.world.registry.close()


def begin(router: Router, **changes: object) -> None:
    router.drain.begin("operator", **{"deadline_s": 100.0, **changes})  # type: ignore[arg-type] # fields are mixed


async def test_an_empty_router_ends_at_once(router: Router) -> None:
    router.drain.begin("signal", deadline_s=100)
    assert router.drain.finished.is_set()


async def test_it_ends_when_the_last_has_left(router: Router) -> None:
    session = await router.world.publish("ada")
    router.drain.begin("signal", deadline_s=100)
    router.pass_time(50)
    assert not router.drain.finished.is_set()
    await session.room.end_session(session, "left")
    router.pass_time(0.5)
    assert router.drain.finished.is_set()


async def test_clients_nodes_and_operators_are_told_and_told_again_when_it_is_taken_back(router: Router) -> None:
    await router.world.publish("ada")
    watcher = FakeWatcher("ada")
    router.world.room.watch(watcher)
    begin(router)
    await asyncio.sleep(0)
    assert router.world.registry.draining
    assert (router.woken, router.gauges) == (1, (1, 5000))
    router.drain.cancel()
    await asyncio.sleep(0)
    assert not router.world.registry.draining
    assert (router.woken, router.gauges) == (2, (0, 0))
    told = [message for message in watcher.messages if message["type"] == "draining"]
    assert [(message["draining"], message["ends_in_s"]) for message in told] == [(True, 100.0), (False, None)]
    router.pass_time(1000)
    assert not router.drain.finished.is_set()
    router.drain.cancel()  # again is no error, and no news
    assert router.woken == 2


async def test_rooms_that_are_left_close_one_after_another_before_the_deadline(router: Router) -> None:
    for number in range(20):
        await router.world.publish("ada", room=f"room-{number}")
    begin(router)
    router.pass_time(90)
    left = []
    for _ in range(10):
        left.append(len(router.world.registry.rooms))
        router.pass_time(1)
    assert left == [20, 18, 16, 14, 12, 10, 8, 6, 4, 2]
    assert router.world.registry.rooms == {}
    router.pass_time(1.9)
    assert not router.drain.finished.is_set(), "people come to ask where to go"
    router.pass_time(0.1)
    assert router.drain.finished.is_set()


async def test_without_an_end_nothing_is_closed_and_without_an_exit_the_process_stays(router: Router) -> None:
    await router.world.publish("ada")
    begin(router, deadline_s=None, exits=False)
    router.pass_time(1e6)
    assert len(router.world.registry.rooms) == 1
    begin(router, deadline_s=10.0, exits=False)
    router.pass_time(10)
    assert router.world.registry.rooms == {}
    assert not router.drain.finished.is_set()
    router.drain.cancel()
    await router.world.publish("ada")


async def test_a_signals_drain_is_not_taken_back_and_only_ends_sooner(router: Router) -> None:
    await router.world.publish("ada")
    begin(router, deadline_s=None, exits=False)
    router.drain.begin("signal", deadline_s=100)
    with pytest.raises(ConflictError, match="signal"):
        router.drain.cancel()
    begin(router, deadline_s=500.0, exits=False)
    assert router.drain.remaining_s == 100
    begin(router, deadline_s=20.0)
    assert router.drain.remaining_s == 20
    router.pass_time(22)
    assert router.drain.finished.is_set()


async def test_a_deadline_of_nought_is_now(router: Router) -> None:
    await router.world.publish("ada")
    begin(router, deadline_s=0.0)
    assert router.drain.finished.is_set()


async def test_thousands_of_watchers_are_told_in_many_turns(router: Router) -> None:
    watchers = [FakeWatcher(f"w{number}") for number in range(300)]
    for number, watcher in enumerate(watchers):
        await router.world.publish("ada", room=f"room-{number}")
        router.world.registry.rooms[f"room-{number}"].watch(watcher)
    begin(router)

    def told() -> int:
        return sum(any(message["type"] == "draining" for message in watcher.messages) for watcher in watchers)

    await asyncio.sleep(0)
    assert told() == 50
    for _ in range(10):
        await asyncio.sleep(0)
    assert told() == 300
    assert json.loads(router.drain.write_notice()) == {"type": "draining", "draining": True, "ends_in_s": 100.0}
