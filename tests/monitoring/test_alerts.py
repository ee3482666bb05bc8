"""Each alert fires on its fault and on no other, by promtool, over four hours of one router's series."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.chart import ROOT, find_tool

PROMTOOL = find_tool("promtool")
pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: helm/install-tools promtool")

RULES = sorted((ROOT / "config" / "prometheus").glob("*.rules.yaml"))
MINUTES = 240
HOME = 'job="fork-router",instance="n1"'


def series(name: str, labels: str = "", *, other: str = "n1") -> str:
    home = HOME.replace("n1", other)
    return f"{name}{{{home},{labels}}}" if labels else f"{name}{{{home}}}"


def gain(per_minute: float) -> str:
    return f"0+{per_minute}x{MINUTES}"


def stay(value: float) -> str:
    return f"{value}x{MINUTES}"


def change(before: float, after: float, minutes: int) -> str:
    """The last minutes differ."""
    return f"{before}x{MINUTES - minutes - 1} {after}x{minutes}"


FAILED = "sfu_join_failures_total"
FRAME = "sfu_first_frame_seconds"
LOSS = "sfu_rtp_loss_ratio"
REDIS = "sfu_redis_command_duration_seconds"
CALL = 'command="room"'
OUT = 'direction="out"'
JOIN = "sfu_join_duration_seconds"
DELAY = "sfu_forward_delay_seconds"
SCORE = "sfu_quality_score"
OUT_VIDEO = 'kind="video",direction="out"'
HEALTHY: dict[str, str] = {
    series("up"): stay(1),
    series("sfu_engine_up"): stay(1),
    series("sfu_build_info", 'version="1.0.0"'): stay(1),
    series("sfu_load_ratio"): stay(0.6),
    series("sfu_sessions_started_total", 'transport="fork"'): gain(60),
    series(FAILED, 'stage="admission",reason="room-full"'): gain(1),
    series(FAILED, 'stage="admission",reason="no-publisher"'): gain(60),
    series(FAILED, 'stage="ice",reason="no-check"'): gain(0.5),
    series(f"{FRAME}_bucket", 'le="1.0"'): gain(58),
    series(f"{FRAME}_bucket", 'le="5.0"'): gain(60),
    series(f"{FRAME}_bucket", 'le="+Inf"'): gain(60),
    series(f"{JOIN}_bucket", 'le="0.25"'): gain(58),
    series(f"{JOIN}_bucket", 'le="5.0"'): gain(60),
    series(f"{JOIN}_bucket", 'le="+Inf"'): gain(60),
    series(f"{JOIN}_count"): gain(60),
    series("sfu_dtls_handshakes_total", 'result="ok"'): gain(60),
    series("sfu_dtls_handshakes_total", 'result="timeout"'): gain(1),
    series("sfu_ice_checks_dropped_total", 'reason="unknown-fork"'): gain(60),
    series("sfu_rtp_packets_total", 'direction="in"'): gain(6000),
    series("sfu_rtp_packets_total", 'direction="out"'): gain(60_000),
    series(f"{DELAY}_bucket", 'le="0.0005"'): gain(59_700),
    series(f"{DELAY}_bucket", 'le="0.05"'): gain(60_000),
    series(f"{DELAY}_bucket", 'le="+Inf"'): gain(60_000),
    series("sfu_kernel_drops_total", 'worker="0"'): stay(7),
    series("sfu_send_dropped_total", 'class="video"'): gain(6),
    series("sfu_receive_buffer_bytes", 'worker="0"'): stay(4_194_304),
    series("sfu_retransmitted_packets_total", 'worker="0"'): gain(600),
    series("sfu_rtcp_pli_total", 'direction="in"'): gain(12),
    series("sfu_rtcp_fir_total", 'direction="in"'): gain(0),
    series("sfu_video_slots_shown", 'height="720"'): stay(100),
    series("sfu_video_slots_shown", 'height="none"'): stay(10),
    series("sfu_video_slots_limited", 'limited_by="bandwidth"'): stay(5),
    series("sfu_video_slots_limited", 'limited_by="none"'): stay(95),
    series("sfu_frozen_seconds_total"): gain(30),
    series(f"{SCORE}_bucket", f'{OUT_VIDEO},le="2.58"'): gain(100),
    series(f"{SCORE}_count", OUT_VIDEO): gain(3000),
    series("sfu_event_loop_lag_seconds"): stay(0.01),
    series("sfu_redis_up"): stay(1),
    series(f"{REDIS}_bucket", f'{CALL},le="0.01"'): gain(58),
    series(f"{REDIS}_bucket", f'{CALL},le="1.0"'): gain(60),
    series(f"{REDIS}_bucket", f'{CALL},le="+Inf"'): gain(60),
    series(f"{LOSS}_bucket", f'{OUT},le="0.05"'): gain(2900),
    series(f"{LOSS}_count", OUT): gain(3000),
    series("sfu_webhook_deliveries_total", 'result="dead"'): stay(2),
    series("sfu_engine_events_dropped_total", 'worker="0"'): stay(0),
    series("sfu_engine_panics_total", 'worker="0"'): stay(1),
    series("sfu_handler_errors_total"): stay(3),
}
FAULTS: dict[str, dict[str, str]] = {
    "SfuNodeDown": {
        series("up"): change(1, 0, 10),
        series("sfu_build_info", 'version="1.0.0"'): f"1x{MINUTES - 11} stale",
    },
    "SfuNoServingNodes": {series("sfu_engine_up"): f"1x{MINUTES - 11} stale"},
    "SfuEngineDown": {series("sfu_engine_up"): stay(0), series("sfu_engine_up", other="n2"): stay(1)},
    "SfuLoadHigh": {series("sfu_load_ratio"): stay(0.9)},
    "SfuJoinsFailing": {series(FAILED, 'stage="admission",reason="room-full"'): gain(6)},
    "SfuIceFailing": {series(FAILED, 'stage="ice",reason="no-check"'): gain(6)},
    "SfuFirstFrameSlow": {series(f"{FRAME}_bucket", 'le="1.0"'): gain(20)},
    "SfuPacketLossHigh": {series(f"{LOSS}_bucket", f'{OUT},le="0.05"'): gain(2500)},
    "SfuRedisSlow": {series(f"{REDIS}_bucket", f'{CALL},le="0.01"'): gain(20)},
    "SfuWebhooksLost": {series("sfu_webhook_deliveries_total", 'result="dead"'): gain(1)},
    "SfuJoinsSlow": {series(f"{JOIN}_bucket", 'le="0.25"'): gain(20)},
    "SfuDtlsFailing": {series("sfu_dtls_handshakes_total", 'result="timeout"'): gain(6)},
    "SfuIceChecksUnanswered": {series("sfu_ice_checks_dropped_total", 'reason="unknown-fork"'): gain(1500)},
    "SfuMediaLate": {series(f"{DELAY}_bucket", 'le="0.0005"'): gain(58_000)},
    "SfuSocketDrops": {series("sfu_kernel_drops_total", 'worker="0"'): gain(1)},
    "SfuSendDrops": {series("sfu_send_dropped_total", 'class="video"'): gain(90)},
    "SfuReceiveBufferSmall": {series("sfu_receive_buffer_bytes", 'worker="0"'): stay(425_984)},
    "SfuRetransmissionsHigh": {series("sfu_retransmitted_packets_total", 'worker="0"'): gain(4000)},
    "SfuKeyFrameStorm": {series("sfu_rtcp_pli_total", 'direction="in"'): gain(3600)},
    "SfuPicturesFreeze": {series("sfu_frozen_seconds_total"): gain(150)},
    "SfuQualityPoor": {series(f"{SCORE}_bucket", f'{OUT_VIDEO},le="2.58"'): gain(700)},
    "SfuEventLoopLag": {series("sfu_event_loop_lag_seconds"): stay(2.5)},
    "SfuRedisUnavailable": {series("sfu_redis_up"): change(1, 0, 10)},
    "SfuEngineEventsDropped": {series("sfu_engine_events_dropped_total", 'worker="0"'): gain(2)},
    "SfuEngineBugs": {series("sfu_engine_panics_total", 'worker="0"'): change(1, 2, 5)},
    "SfuHandlerErrors": {series("sfu_handler_errors_total"): gain(1)},
    "SfuVersionSkew": {series("sfu_build_info", 'version="1.1.0"', other="n2"): stay(1)},
}
ALSO: dict[str, list[str]] = {"SfuIceFailing": ["SfuJoinsFailing"]}
"""What fires with it, for the fault is one of both."""
QUIET: dict[str, dict[str, str]] = {
    "no Redis is set": {series("sfu_redis_up"): stay(0)},
    "one join an hour, refused": {
        series(FAILED, 'stage="admission",reason="room-full"'): gain(0.02),
        series(FAILED, 'stage="ice",reason="no-check"'): gain(0),
        series(f"{JOIN}_count"): gain(0),
    },
    "players that come before the publisher": {series(FAILED, 'stage="admission",reason="no-publisher"'): gain(6000)},
    "a pause of one minute in the event loop": {series("sfu_event_loop_lag_seconds"): f"0.01x{MINUTES - 3} 3 0.01x2"},
    "Redis down for a minute": {series("sfu_redis_up"): change(1, 0, 1)},
    "a router of the old version that drains for an hour": {
        series("sfu_build_info", 'version="0.9.0"', other="n2"): f"1x{MINUTES - 70} stale"
    },
    "nobody is here": {series("sfu_video_slots_shown", 'height="720"'): stay(0)},
}


def firing(changes: dict[str, str], expected: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected]
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in {**HEALTHY, **changes}.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{MINUTES}m",
                "exp_samples": samples,
            }
        ],
    }
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(path) for path in RULES], "tests": [test]}))
    return run("test", "rules", str(file))


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=50)


def test_promtool_accepts_the_rules() -> None:
    done = run("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested() -> None:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    assert {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule} == set(FAULTS)


def test_none_fires_in_health(tmp_path: Path) -> None:
    done = firing({}, [], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", FAULTS)
def test_an_alert_fires_on_its_fault_alone(alert: str, tmp_path: Path) -> None:
    done = firing(FAULTS[alert], [alert, *ALSO.get(alert, [])], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", QUIET)
def test_none_fires_on_what_is_no_fault(case: str, tmp_path: Path) -> None:
    done = firing(QUIET[case], [], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
