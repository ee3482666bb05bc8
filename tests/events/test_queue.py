"""A slow reader loses the oldest and knows how many."""

import asyncio

from router.events.queue import EntryQueue, Filter
from router.metrics import Metrics
from tests.events.entries import entry, lost


def test_the_oldest_are_lost_and_counted() -> None:
    metrics = Metrics()
    queue = EntryQueue("sse", 3, metrics)
    offered = [entry() for _ in range(5)]
    for one in offered:
        queue.offer(one)
    assert queue.lost == 2
    assert lost(metrics, "sse") == 2
    assert queue.take(2) == offered[2:4]
    assert queue.take(2) == offered[4:]
    assert queue.take(2) == []


def test_what_is_not_wanted_takes_no_place() -> None:
    queue = EntryQueue("sse", 1, Metrics(), Filter("lobby"))
    wanted = entry("lobby")
    for one in (wanted, entry("other"), entry(None)):
        queue.offer(one)
    assert (queue.take(9), queue.lost) == ([wanted], 0)


def test_filters() -> None:
    one = entry("lobby")
    assert Filter()(one)
    assert Filter("lobby", frozenset(("room_started", "room_finished")))(one)
    assert not Filter("lobby", frozenset(("room_finished",)))(one)
    assert not Filter("lob")(one)


async def test_the_end_wakes_the_reader_who_may_take_the_rest() -> None:
    queue = EntryQueue("sse", 3, Metrics())
    waiting = asyncio.ensure_future(queue.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.offer(one := entry())
    queue.end()
    await waiting
    queue.offer(entry())
    assert queue.take(9) == [one]
    await queue.wait()
    assert queue.take(9) == []
