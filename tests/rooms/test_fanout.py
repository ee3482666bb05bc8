"""Telling watchers: at once in small rooms, a bounded share of the loop in large ones; the clock is the test's."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rooms.fanout import AT_ONCE_BELOW, INTERVAL_PER_WATCHER_S, MAX_BATCH_BYTES, MAX_INTERVAL_S, Fanout


class Timer:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Ear:
    def __init__(self, world: "World") -> None:
        self.world, self.heard = world, list[tuple[int, str]]()

    def send(self, text: str) -> None:
        self.heard.append((self.world.now_us, text))

    @property
    def versions(self) -> list[int]:
        found = []
        for _, text in self.heard:
            message = json.loads(text)
            found += [delta["version"] for delta in message.get("deltas", [message])]
        return found


class World:
    def __init__(self, watchers: int) -> None:
        self.now_us, self.version = 0, 0
        self.timers: list[tuple[int, Callable[[], object], Timer]] = []
        self.ear = Ear(self)
        self.ears: dict[Any, None] = dict.fromkeys([self.ear, *(Ear(self) for _ in range(watchers - 1))])
        self.fanout = Fanout(self.ears.keys(), self.call_later, now_us=lambda: self.now_us)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> Any:
        timer = Timer()
        self.timers.append((self.now_us + int(delay_s * 1e6), callback, timer))
        return timer

    def tell(self, size: int = 0) -> None:
        self.version += 1
        self.fanout.tell(json.dumps({"type": "changed", "version": self.version, "filler": "x" * size}))

    def advance(self, us: int) -> None:
        end = self.now_us + us
        while due := [entry for entry in self.timers if entry[0] <= end]:
            entry = min(due, key=lambda item: item[0])
            self.timers.remove(entry)
            self.now_us = max(self.now_us, entry[0])
            if not entry[2].cancelled:
                entry[1]()
        self.now_us = end


def test_a_small_room_is_told_each_delta_at_once() -> None:
    world = World(AT_ONCE_BELOW - 1)
    for _ in range(3):
        world.tell()
    assert [text[0] for text in world.ear.heard] == [0, 0, 0]
    assert world.ear.versions == [1, 2, 3]
    assert not world.timers


def test_a_large_room_is_told_the_first_at_once_and_the_rest_together() -> None:
    world = World(1_000)
    for _ in range(4):
        world.tell()
    assert world.ear.versions == [1]
    world.advance(int(1_000 * INTERVAL_PER_WATCHER_S * 1e6))
    assert len(world.ear.heard) == 2
    assert json.loads(world.ear.heard[1][1])["type"] == "batch"
    assert world.ear.versions == [1, 2, 3, 4]
    world.advance(5_000_000)
    world.tell()
    assert world.ear.heard[-1][0] == world.now_us, "after a quiet time at once again"
    assert json.loads(world.ear.heard[-1][1])["type"] == "changed"


def test_nobody_waits_longer_than_a_second() -> None:
    world = World(100_000)
    world.tell()
    world.tell()
    world.advance(int(MAX_INTERVAL_S * 1e6))
    assert world.ear.versions == [1, 2]


def test_a_batch_does_not_grow_without_end() -> None:
    world = World(1_000)
    world.tell()
    for _ in range(5):
        world.tell(MAX_BATCH_BYTES // 4)
    assert world.ear.versions == [1, 2, 3, 4, 5]
    assert max(len(text) for _, text in world.ear.heard) < 2 * MAX_BATCH_BYTES


def test_after_the_end_nothing_is_told() -> None:
    world = World(1_000)
    world.tell()
    world.tell()
    world.fanout.stop()
    world.advance(5_000_000)
    assert world.ear.versions == [1]


@pytest.mark.parametrize("watchers", [1, AT_ONCE_BELOW, 300])
@given(waits=st.lists(st.integers(0, 400_000), max_size=40))
def test_every_delta_is_told_once_in_order_at_a_bounded_rate(watchers: int, waits: list[int]) -> None:
    world = World(watchers)
    for wait in waits:
        world.tell()
        world.advance(wait)
    world.advance(2_000_000)
    assert world.ear.versions == list(range(1, world.version + 1))
    if watchers >= AT_ONCE_BELOW:
        times = [at for at, _ in world.ear.heard]
        interval = int(watchers * INTERVAL_PER_WATCHER_S * 1e6)
        assert all(later - earlier >= interval - 1 for earlier, later in itertools.pairwise(times))
