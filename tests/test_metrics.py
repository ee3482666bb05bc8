from collections.abc import Callable

import pytest

from router import metrics
from router.rtc.events import EventEmitter


def growth(name: str, act: Callable[[], object], **labels: str) -> float:
    """By how much a sample of the process-wide metrics grew."""
    registry = metrics.default_metrics().registry
    before = registry.get_sample_value(name, labels) or 0.0
    act()
    return (registry.get_sample_value(name, labels) or 0.0) - before


def test_only_good_handshakes_count_into_the_duration() -> None:
    name = "sfu_dtls_handshake_duration_seconds_count"
    assert growth(name, lambda: metrics.record_handshake(0.1)) == 1
    assert growth(name, lambda: metrics.record_handshake(9, "timeout")) == 0
    total = "sfu_dtls_handshakes_total"
    assert growth(total, lambda: metrics.record_handshake(9, "timeout"), result="timeout") == 1


def test_sessions_by_transport_and_reason() -> None:
    own = metrics.default_metrics()
    assert growth("sfu_sessions_started_total", lambda: own.record_session_started("whip"), transport="whip") == 1
    assert growth("sfu_sessions_ended_total", lambda: own.record_session_ended("left"), reason="left") == 1
    assert growth("sfu_join_duration_seconds_sum", lambda: own.record_join(2.0)) == pytest.approx(2.0)


def test_a_handler_that_raises_is_counted() -> None:
    class Bell(EventEmitter):
        EVENTS = ("rung",)

    bell = Bell()
    bell.on("rung", lambda: 1 / 0)
    assert growth("sfu_handler_errors_total", lambda: bell.emit("rung")) == 1
