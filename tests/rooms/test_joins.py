"""Each join is counted, logged and traced once: where it came to, or where it failed and why."""

import io
import json
from typing import Any

import pytest

from router.errors import ConflictError, UnauthorizedError
from router.metrics import Metrics
from router.rooms import JoinGrant, Session
from router.rooms.join_times import JoinTimes
from router.rooms.joins import LINE_BURST, Joins, JoinTrace
from router.rtc.progress import TransportProgress
from tests.rooms.fakes import World, fake, publish_offer

LINES = ("session joined", "session connected", "session ended", "join failed")


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in found if line["message"] in LINES and line["level"] != "debug"]


def told(log: io.StringIO) -> list[str]:
    return [line["message"] for line in lines(log)]


def count(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


async def join(world: World) -> Session:
    return await world.registry.join("lobby", JoinGrant("lobby", "ada"), publish_offer(), "whip")


async def test_a_line_for_each_join_and_leave(log: io.StringIO) -> None:
    world = World()
    session = await join(world)
    fake(session).connect()
    await world.room.end_session(session, "left")
    joined, connected, ended = lines(log)
    assert [line["message"] for line in (joined, connected, ended)] == list(LINES[:3])
    for line in (joined, connected, ended):
        assert (line["room"], line["endpoint"]) == (world.room.name, "whip")
        assert line["participant"] == session.participant.id
    assert ended["reason"] == "left"
    assert connected["seconds"] >= 0
    assert session.id not in log.getvalue()
    assert "remotePassword" not in log.getvalue()
    assert count(world.registry.metrics, "sfu_join_duration_seconds_count") == 1


async def test_a_peer_that_never_comes_fails_with_stage_and_reason(log: io.StringIO) -> None:
    world = World()
    session = await join(world)
    world.timers.advance(world.registry.limits.connect_timeout_s)
    assert session.state == "ended"
    failed = next(line for line in lines(log) if line["message"] == "join failed")
    assert (failed["stage"], failed["reason"]) == ("ice", "no-check")
    assert count(world.registry.metrics, "sfu_join_failures_total", stage="ice", reason="no-check") == 1


async def test_who_leaves_before_connecting_has_not_failed(log: io.StringIO) -> None:
    world = World()
    session = await join(world)
    await world.room.end_session(session, "left")
    assert told(log) == ["session joined", "session ended"]


async def test_a_lost_peer_is_counted_by_reason(log: io.StringIO) -> None:
    world = World()
    session = await join(world)
    fake(session).connect()
    fake(session).emit("disconnected", None, "consent-expired")
    assert count(world.registry.metrics, "sfu_peers_lost_total", reason="consent-expired") == 1
    assert told(log)[-1] == "session ended"
    assert "join failed" not in told(log)


async def test_the_first_frame_is_observed_and_the_join_traced_once() -> None:
    world, traces = World(), list[JoinTrace]()
    world.registry.joins.on_traced = traces.append
    session = await join(world)
    connection = fake(session)
    connection.progress = TransportProgress(checked_us=1, selected_us=2, hello_us=3, keyed_us=9)
    connection.connect()
    connection.emit("firstframe", 0.3)
    await world.room.end_session(session, "left")
    assert count(world.registry.metrics, "sfu_first_frame_seconds_sum") == pytest.approx(0.3)
    (trace,) = traces
    assert trace.failure is None
    assert [name for name, _, _ in trace.steps] == ["ice", "dtls", "first packet"]
    assert trace.begun_us == 1


def test_refusals_are_counted_and_say_why(log: io.StringIO) -> None:
    metrics = Metrics()
    joins = Joins(metrics)
    with pytest.raises(UnauthorizedError), joins.attempt("whep", "lobby"):
        raise UnauthorizedError("the canary token is bad")
    with pytest.raises(ConflictError), joins.attempt("whep", "lobby"):
        raise ConflictError("too early", slug="no-publisher")
    with pytest.raises(ZeroDivisionError), joins.attempt("whip", "a\nforged line"):
        raise ZeroDivisionError
    reasons = [(line["reason"], line["room"]) for line in lines(log)]
    assert reasons == [("unauthorized", "lobby"), ("internal-error", "(no valid name)")]
    assert "canary" not in log.getvalue()
    for reason in ("unauthorized", "no-publisher", "internal-error"):
        assert count(metrics, "sfu_join_failures_total", stage="admission", reason=reason) == 1


def test_a_flood_of_refusals_is_counted_but_not_written(log: io.StringIO) -> None:
    metrics = Metrics()
    joins = Joins(metrics, now_us=lambda: 0)
    for _ in range(3 * LINE_BURST):
        with pytest.raises(UnauthorizedError), joins.attempt("whep", "lobby"):
            raise UnauthorizedError
    assert len(lines(log)) == LINE_BURST
    assert count(metrics, "sfu_join_failures_total", stage="admission", reason="unauthorized") == 3 * LINE_BURST


@pytest.mark.parametrize(
    ("progress", "fault"),
    [
        (TransportProgress(), ("ice", "no-check")),
        (TransportProgress(checked_us=1), ("ice", "no-pair")),
        (TransportProgress(checked_us=1, selected_us=2), ("dtls", "no-hello")),
        (TransportProgress(checked_us=1, selected_us=2, hello_us=3), ("dtls", "unfinished")),
        (TransportProgress(checked_us=1, hello_us=3, handshake="timeout"), ("dtls", "timeout")),
        (TransportProgress(checked_us=1, hello_us=3, handshake="ok"), ("dtls", "no-keys")),
    ],
)
def test_faults(progress: TransportProgress, fault: tuple[str, str]) -> None:
    assert progress.fault() == fault


def test_steps_that_were_not_completed_are_no_spans() -> None:
    times = JoinTimes(100, admitted_us=110, parsed_us=120, entered_us=150)
    assert list(times.steps()) == [("admission", 100, 110), ("sdp", 110, 120), ("fork", 120, 150)]
    early = TransportProgress(checked_us=90, selected_us=140, hello_us=141)
    assert list(times.steps(early))[-1] == ("ice", 90, 140)
