"""What is remembered of sessions that are gone, and how much of it at most."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from router.diagnosis import ended
from router.diagnosis.ended import ASKED_PER_S, MAX_AGE_S, EndedSessions
from router.diagnosis.facts import PeerFacts
from router.diagnosis.media_verdicts import judge, summarize
from router.diagnosis.page import write_page


@dataclass
class Clock:
    now_us: int = 1_000_000

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the engine was asked, for each session."""
    questions: list[bool] = []

    def collect(session: Any, *, read_engine: bool) -> PeerFacts:
        if session.broken:
            raise RuntimeError("on purpose")
        questions.append(read_engine)
        return PeerFacts(state="ended", age_s=7.0)

    monkeypatch.setattr(ended, "collect", collect)
    return questions


def session(room: str = "a", participant: str = "P_1", *, broken: bool = False) -> Any:
    return SimpleNamespace(
        room=SimpleNamespace(name=room), participant=SimpleNamespace(id=participant, identity="ada"), broken=broken
    )


def test_the_newest_comes_first_and_grows_old(asked: list[bool]) -> None:
    clock = Clock()
    sessions = EndedSessions(now_us=clock)
    sessions.remember(session(), "never-connected")
    clock.now_us += 2_000_000
    sessions.remember(session(), "left")
    sessions.remember(session("b"), "left")
    sessions.remember(session(participant="P_2"), "removed")
    clock.now_us += 3_000_000
    ends = [one.facts.ended for one in sessions.find("a", "P_1")]
    assert [(end.reason, end.ago_s) for end in ends if end] == [("left", 3.0), ("never-connected", 5.0)]
    assert [one.participant for one in sessions.find("a")] == ["P_2", "P_1", "P_1"]
    assert list(sessions.find("c")) == []
    clock.now_us += round(MAX_AGE_S * 1e6) - 4_000_000
    assert len(list(sessions.find("a", "P_1"))) == 1
    clock.now_us += 2_000_000
    assert list(sessions.find("a")) == []
    assert len(sessions) == 0


def test_memory_is_bounded(asked: list[bool]) -> None:
    sessions = EndedSessions(now_us=Clock(), max_sessions=10)
    for number in range(100):
        sessions.remember(session(participant=f"P_{number}"), "left")
    assert len(sessions) == 10
    assert next(sessions.find("a")).participant == "P_99"


def test_a_room_that_closes_does_not_ask_the_engine_for_everybody(asked: list[bool]) -> None:
    sessions = EndedSessions(now_us=Clock())
    for _ in range(200):
        sessions.remember(session(), "room-closed")
    assert sum(asked) == ASKED_PER_S
    assert len(asked) == 200


def test_a_snapshot_that_fails_hurts_nobody(asked: list[bool], caplog: pytest.LogCaptureFixture) -> None:
    sessions = EndedSessions(now_us=Clock())
    sessions.remember(session(broken=True), "left")
    assert len(sessions) == 0
    assert "could not be read" in caplog.text


def test_names_are_escaped_on_the_page() -> None:
    facts = PeerFacts(age_s=1.0)
    sections = judge(facts)
    page = write_page("<b>", "<script>alert(1)</script>", [(facts, summarize(sections), sections)], reload=True)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; in &lt;b&gt;" in page
    assert 'http-equiv="refresh"' in page
