"""When a measurement counts, and when it says nothing about the server."""

from collections.abc import Mapping

import pytest

from loadtest import bench
from loadtest.result import GeneratorUse, KneeResult, Latency, Report, Run, Step
from loadtest.table import ROWS, cell, remarks, write_cell
from loadtest.verdict import Circumstances, judge
from router import _engine

IDLE = GeneratorUse(
    core_busy=0.3,
    thread_cpu=0.2,
    lateness_p99_us=200,
    skipped_frames=0,
    sent_share=1.0,
    overflowed=0,
    send_failures=0,
)
GOOD = {"server_cpu": 0.5, "server_core_busy": 0.55, "socket_drops": 0, "wrong": 0, "checked": 50, "received": 900}
LATENCY = Latency(samples=9, p50_us=100, p90_us=200, p99_us=300, p999_us=400, max_us=500, buckets=[(100, 9)])


def _judge(generator: GeneratorUse = IDLE, change: Mapping[str, float] = {}) -> list[str]:
    return judge(Circumstances(generator=generator, **{**GOOD, **change}))  # type: ignore[arg-type]


def test_a_good_measurement_has_no_reason() -> None:
    assert _judge() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"core_busy": 0.95}, "generator's core was 95% busy"),
        ({"lateness_p99_us": 6000.0}, "sent late: p99 6.0 ms"),
        ({"skipped_frames": 3}, "skipped 3 frames"),
        ({"sent_share": 0.9}, "sent 90.0% of what was due"),
        ({"overflowed": 7}, "receivers' socket buffers dropped 7"),
        ({"send_failures": 2}, "refused 2 sends"),
    ],
)
def test_a_generator_at_its_limit_is_a_reason(change: dict[str, float], reason: str) -> None:
    [found] = _judge(IDLE.model_copy(update=change))
    assert reason in found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"socket_drops": 5}, "kernel buffers dropped 5 datagrams on their way to the server"),
        ({"server_core_busy": 0.9}, "others used 40% of the server's core"),
        ({"wrong": 2}, "2 of 52 sampled packets were not what was sent"),
        ({"received": 0}, "nothing was received"),
    ],
)
def test_a_server_that_was_disturbed_is_a_reason(change: dict[str, float], reason: str) -> None:
    assert _judge(change=change) == [reason]


def _step(cpu_us: float, inconclusive: list[str] | None = None) -> Step:
    fields = dict.fromkeys(Step.model_fields, 0)
    return Step.model_validate(
        {
            **fields,
            "server_cpu_us_per_packet": cpu_us,
            "latency": LATENCY,
            "generator": IDLE,
            "inconclusive": inconclusive or [],
        }
    )


def _report(*runs: Run) -> Report:
    return Report(command="", commit="", engine={}, machine={}, server_core=0, generator_core=1, runs=list(runs))


def _run(server: str, cpu_us: float, inconclusive: list[str] | None = None) -> Run:
    step = _step(cpu_us, inconclusive)
    return Run(scenario="fan-out-100", server=server, version="", started_at="", steps=[step])


def test_the_table_takes_the_median_of_conclusive_runs_and_divides_by_the_floor() -> None:
    ours = [_run("fork-router", value) for value in (3.0, 1.8, 1.6)]
    report = _report(*ours, _run("fork-router", 90.0, ["late"]), _run("floor", 1.5))
    cpu, ratio = ROWS[0], ROWS[1]
    assert (cell(report, cpu, "fork-router").value, cell(report, cpu, "fork-router").inconclusive) == (1.8, 1)
    assert write_cell(cpu, cell(report, cpu, "fork-router"), "fork-router") == "1.80 us  pass"
    assert write_cell(ratio, cell(report, ratio, "fork-router"), "fork-router") == "1.20  pass"
    assert write_cell(cpu, cell(report, cpu, "floor"), "floor") == "1.50 us"
    assert remarks(report) == ["fan-out-100, fork-router: inconclusive: late"]


def test_a_value_of_inconclusive_runs_only_is_marked() -> None:
    report = _report(_run("fork-router", 2.5, ["late"]))
    assert write_cell(ROWS[0], cell(report, ROWS[0], "fork-router"), "fork-router") == "2.50 us ?  miss"
    assert write_cell(ROWS[0], cell(report, ROWS[0], "janus"), "janus") == "-"


def test_a_knee_that_the_generator_limits_is_inconclusive() -> None:
    step = _step(1.0)
    knee = KneeResult(packets_per_s=9, loss=0, limited_by="generator", steps=[step], at_half=step, at_ninety=step)
    run = Run(scenario="knee", server="floor", version="", started_at="", knee=knee)
    assert remarks(_report(run)) == ["knee, floor: inconclusive: the knee was limited by the generator"]


def test_a_debug_build_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_engine, "build_info", lambda: {"profile": "debug"})
    with pytest.raises(SystemExit, match="refusing to measure a debug build"):
        bench.require_release()
