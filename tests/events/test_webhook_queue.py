"""Order of each room, spacing of attempts, and the cap: by examples, and by random histories against a plain model."""

from hypothesis import given
from hypothesis import strategies as st

from router.events.entry import Entry
from router.events.webhook_queue import Backoff, WebhookQueue
from tests.events.entries import entry


def open_queue(capacity: int = 100, attempts: int = 3, chance: float = 1.0) -> WebhookQueue:
    return WebhookQueue(capacity, Backoff(attempts=attempts), chance=lambda: chance)


def test_a_room_waits_for_its_first_event_and_other_rooms_pass() -> None:
    queue = open_queue()
    a1, a2, b1 = entry("a"), entry("a"), entry("b")
    for one in (a1, a2, b1):
        assert queue.put(one) is None
    assert [queue.start_next(0), queue.start_next(0), queue.start_next(0)] == [a1, b1, None]
    queue.on_delivered(b1)
    assert queue.start_next(0) is None
    queue.on_delivered(a1)
    assert queue.start_next(0) == a2
    queue.on_delivered(a2)
    assert (len(queue), queue.next_due_s()) == (0, None)


def test_attempts_are_spaced_and_limited_and_the_next_event_starts_anew() -> None:
    queue = open_queue(attempts=3)
    first, second = entry("a"), entry("a")
    queue.put(first)
    queue.put(second)
    assert queue.start_next(10) == first
    assert queue.on_failed(first, 10)
    assert queue.next_due_s() == 11
    assert queue.start_next(10.9) is None
    assert queue.start_next(11) == first
    assert queue.on_failed(first, 11)
    assert queue.next_due_s() == 13
    assert queue.start_next(13) == first
    assert not queue.on_failed(first, 13)
    assert queue.start_next(13) == second
    assert queue.on_failed(second, 13)
    assert queue.next_due_s() == 14


def test_the_receiver_may_ask_for_more_time_within_bounds() -> None:
    queue = open_queue()
    queue.put(one := entry())
    queue.start_next(0)
    queue.on_failed(one, 0, 30.0)
    assert queue.next_due_s() == 30
    queue.start_next(30)
    queue.on_failed(one, 30, 99_999.0)
    assert queue.next_due_s() == 90


def test_jitter_takes_up_to_half_of_the_delay() -> None:
    assert [Backoff().delay_s(3, chance) for chance in (0.0, 0.5, 1.0)] == [2.0, 3.0, 4.0]
    assert Backoff().delay_s(100_000, 1.0) == 60.0


def test_a_full_queue_loses_the_oldest_that_is_not_under_way() -> None:
    queue = open_queue(capacity=3)
    a1, a2, b1, a3, c1 = entry("a"), entry("a"), entry("b"), entry("a"), entry("c")
    for one in (a1, a2, b1):
        queue.put(one)
    assert queue.start_next(0) == a1
    assert queue.put(a3) == a2
    assert queue.put(c1) == b1
    queue.on_delivered(a1)
    assert {queue.start_next(0), queue.start_next(0)} == {a3, c1}


def test_what_waits_for_another_attempt_may_be_lost_too() -> None:
    queue = open_queue(capacity=1)
    first, second = entry("a"), entry("a")
    queue.put(first)
    queue.start_next(0)
    queue.on_failed(first, 0)
    assert queue.put(second) == first
    assert queue.start_next(0) == second, "it need not wait for the one that was lost"


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from("pppsdfl"), st.integers(0, 3), st.integers(0, 9)), max_size=120),
)
def test_any_history(capacity: int, steps: list[tuple[str, int, int]]) -> None:
    """However it goes: each room in order, one under way, every entry ends exactly once, never more than the cap."""
    queue = open_queue(capacity, attempts=2)
    now, number = 0.0, 0
    waiting: set[int] = set()
    under_way: dict[str | None, Entry] = {}
    started: dict[str | None, int] = {}

    def finish(one: Entry) -> None:
        waiting.remove(one.number)

    for step, room, wait in steps:
        name = f"room-{room}"
        if step == "p":
            number += 1
            waiting.add(number)
            if (gone := queue.put(entry(name, number))) is not None:
                assert gone.number not in {e.number for e in under_way.values()}
                assert all(n >= gone.number or n in {e.number for e in under_way.values()} for n in waiting)
                finish(gone)
        elif step == "s" and (one := queue.start_next(now)) is not None:
            assert one.room not in under_way
            assert one.number >= started.get(one.room, 0)
            under_way[one.room], started[one.room] = one, one.number
        elif step in "df" and under_way:
            one = under_way.pop(next(iter(under_way)))
            if step == "d" or not queue.on_failed(one, now):
                if step == "d":
                    queue.on_delivered(one)
                finish(one)
        elif step == "l":
            now += wait
        assert len(queue) == len(waiting) <= capacity
    for one in under_way.values():
        queue.on_delivered(one)
        finish(one)
    while (left := queue.start_next(now + 1_000)) is not None:
        queue.on_delivered(left)
        finish(left)
    assert (waiting, len(queue), queue.next_due_s()) == (set(), 0, None)
