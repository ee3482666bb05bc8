"""A join as an OpenTelemetry trace: one root, a child for each step, at the times that were noted."""

from collections.abc import Iterator
from typing import Any

import pytest

from router.config_model import TracingSettings
from router.errors import ConfigError
from router.rooms.joins import JoinTrace
from router.tracing import JoinTracer, open_tracer

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="needs the extra otel")
export = pytest.importorskip("opentelemetry.sdk.trace.export")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

STEPS = (("admission", 10, 20), ("sdp", 20, 30), ("fork", 30, 50), ("ice", 40, 60), ("dtls", 60, 90))
NOW_S = 1_800_000_000.0


@pytest.fixture
def exporter() -> Iterator[Any]:
    found = memory.InMemorySpanExporter()
    yield found
    found.shutdown()


def record(exporter: Any, failure: tuple[str, str] | None) -> None:
    provider = sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    tracer = JoinTracer(provider, now_us=lambda: 1_000, now_s=lambda: NOW_S)
    tracer.record(JoinTrace("fork", "lobby", "P_1", 10, 120, STEPS, failure))
    provider.shutdown()


def test_steps_are_children_of_the_join(exporter: Any) -> None:
    record(exporter, None)
    *children, root = exporter.get_finished_spans()
    assert (root.name, [span.name for span in children]) == ("join", [name for name, _, _ in STEPS])
    assert {span.parent.span_id for span in children} == {root.context.span_id}
    epoch_ns = int(NOW_S * 1e9) - 1_000_000
    assert (root.start_time, root.end_time) == (epoch_ns + 10_000, epoch_ns + 120_000)
    assert [(span.start_time - epoch_ns) // 1000 for span in children] == [begun for _, begun, _ in STEPS]
    assert root.attributes == {"sfu.endpoint": "fork", "sfu.room": "lobby", "sfu.participant": "P_1"}
    assert root.status.is_unset


def test_a_failed_join_says_where_and_why(exporter: Any) -> None:
    record(exporter, ("ice", "no-check"))
    root = exporter.get_finished_spans()[-1]
    assert (root.attributes["sfu.failure.stage"], root.attributes["sfu.failure.reason"]) == ("ice", "no-check")
    assert not root.status.is_ok
    assert root.status.description == "ice: no-check"


def test_off_unless_an_endpoint_is_set() -> None:
    assert open_tracer(TracingSettings()) is None


def test_without_the_extra_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace.sampling", None)
    with pytest.raises(ConfigError, match=r"fork-router\[otel\]"):
        open_tracer(TracingSettings(endpoint="http://127.0.0.1:4318/v1/traces"))
