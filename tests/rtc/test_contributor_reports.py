"""`trackcontributors` of slots, on a loop whose clock the test moves."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rtc.contributor_reports import INTERVAL_S, MAX_CSRCS, ContributorReports, contributors_of
from router.rtc.stream import RTCContributor


class Timer:
    def __init__(self, loop: "Loop", at: float, callback: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.loop, self.at, self._callback, self._arguments = loop, at, callback, arguments

    def run(self) -> None:
        self._callback(*self._arguments)

    def cancel(self) -> None:
        self.loop.timers.remove(self)


class Loop:
    """As much of a loop as is needed."""

    def __init__(self) -> None:
        self.now, self.timers = 0.0, list[Timer]()

    def call_later(self, delay: float, callback: Callable[..., None], *arguments: Any) -> Timer:
        self.timers.append(Timer(self, self.now + delay, callback, arguments))
        return self.timers[-1]

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.at <= end]:
            timer = min(due, key=lambda item: item.at)
            self.timers.remove(timer)
            self.now = timer.at
            timer.run()
        self.now = end


class Track:
    def __init__(self, contributor: int, *sources: int) -> None:
        self.contributor = contributor
        self.contributors = tuple(RTCContributor(source) for source in sources)


class Slot:
    track: Track | None = None
    listening = None


class Connection:
    closed = False

    def __init__(self, loop: Loop) -> None:
        self.loop, self.listening, self.told = loop, True, list[tuple[float, Slot, list[int]]]()

    def has_handlers(self, event: str) -> bool:
        return self.listening

    def emit(self, event: str, slot: Slot, contributors: tuple[RTCContributor, ...]) -> None:
        self.told.append((self.loop.now, slot, [item.id for item in contributors]))


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made)
    return made


@pytest.fixture
def connection(loop: Loop) -> Connection:
    return Connection(loop)


@pytest.fixture
def reports(connection: Connection) -> ContributorReports:
    return ContributorReports(connection)  # type: ignore[arg-type]


def show(reports: ContributorReports, slot: Slot, track: Track | None) -> None:
    slot.track = track
    reports.on_changed(slot)  # type: ignore[arg-type]


def test_the_first_change_is_told_at_once(reports: ContributorReports, connection: Connection) -> None:
    slot = Slot()
    show(reports, slot, Track(7, 1, 2))
    assert connection.told == [(0.0, slot, [1, 2, 7])]


def test_changes_are_coalesced_and_end_on_the_true_state(
    reports: ContributorReports, connection: Connection, loop: Loop
) -> None:
    slot = Slot()
    for contributor in (1, 2, 3):
        show(reports, slot, Track(contributor))
    loop.advance(10)
    assert [(at, ids) for at, _, ids in connection.told] == [(0.0, [1]), (INTERVAL_S, [3])]
    show(reports, slot, None)
    assert connection.told[-1] == (10.0, slot, [])
    assert not [timer for timer in loop.timers if timer.at > 10 + INTERVAL_S]


def test_back_to_what_was_told_is_no_news(reports: ContributorReports, connection: Connection, loop: Loop) -> None:
    slot, track = Slot(), Track(1)
    show(reports, slot, track)
    show(reports, slot, None)
    show(reports, slot, track)
    loop.advance(10)
    assert len(connection.told) == 1


def test_nothing_happens_while_nobody_listens(reports: ContributorReports, connection: Connection, loop: Loop) -> None:
    slot = Slot()
    connection.listening = False
    show(reports, slot, Track(1))
    assert not connection.told
    assert not loop.timers
    connection.listening = True
    show(reports, slot, Track(2))
    assert [ids for _, _, ids in connection.told] == [[2]]


def test_slots_do_not_hold_each_other_back(reports: ContributorReports, connection: Connection) -> None:
    one, other = Slot(), Slot()
    show(reports, one, Track(1))
    show(reports, other, Track(2))
    assert len(connection.told) == 2


def test_after_the_end_nothing_is_told(reports: ContributorReports, connection: Connection, loop: Loop) -> None:
    slot = Slot()
    show(reports, slot, Track(1))
    reports.stop()
    connection.closed = True
    show(reports, slot, None)
    assert not loop.timers
    assert len(connection.told) == 1


def test_fifteen_sources_leave_no_place_for_the_track_itself() -> None:
    slot = Slot()
    slot.track = Track(7, *range(100, 100 + MAX_CSRCS))
    assert [item.id for item in contributors_of(slot)] == list(range(100, 115))  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.floats(0, 0.3), st.integers(0, 3)), min_size=1, max_size=60))
def test_at_most_five_a_second_and_true_at_the_end(steps: list[tuple[float, int]]) -> None:
    loop = Loop()
    connection = Connection(loop)
    reports, slot = ContributorReports(connection), Slot()  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "get_running_loop", lambda: loop)
        for wait, contributor in steps:
            loop.advance(wait)
            show(reports, slot, Track(contributor) if contributor else None)
        loop.advance(1)
    last = [steps[-1][1]] if steps[-1][1] else []
    assert (connection.told[-1][2] if connection.told else []) == last
    times = [at for at, _, _ in connection.told]
    assert all(later - earlier >= INTERVAL_S - 1e-9 for earlier, later in itertools.pairwise(times))
