import json
import socket
from pathlib import Path
from typing import Any

import pytest

from router import clock, doctor
from router._engine import Engine
from router.config import Settings, load_settings
from router.doctor import Finding, examine, show_findings
from router.rtc.srtp import function_addresses

FREE = {"public": {"port": 0}, "admin": {"port": 0}, "media": {"udp_port": 0, "addresses": ["127.0.0.1"]}}


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def settings(**changes: Any) -> Settings:
    return load_settings(flags={"dev": True, **FREE, **changes})


def find(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def media(**changes: Any) -> dict[str, Any]:
    return {"media": {"udp_port": 0, "addresses": ["127.0.0.1"], **changes}}


def test_all_is_well_in_development() -> None:
    findings = examine(settings(**media(receive_buffer_bytes=65_536, send_buffer_bytes=65_536)))
    assert [finding for finding in findings if finding.status == "fail"] == []
    names = {finding.name for finding in findings}
    assert names >= {"configuration", "engine", "libsrtp", "public port", "media ports", "clock", "redis"}


def test_missing_secrets() -> None:
    finding = examine(load_settings(flags=FREE))[0]
    assert (finding.name, finding.status) == ("configuration", "fail")
    assert "ROUTER_AUTH__SECRETS" in finding.fix


def test_taken_ports() -> None:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", 0))
        flags = {"admin": {"port": tcp.getsockname()[1]}, **media(udp_port=udp.getsockname()[1])}
        findings = examine(settings(**flags))
    assert find(findings, "admin port").status == "fail"
    assert "ROUTER_ADMIN__PORT" in find(findings, "admin port").fix
    assert find(findings, "media ports").status == "fail"
    assert find(findings, "public port").status == "ok"
    for name in ("admin port", "media ports"):
        assert "--remote" in find(findings, name).fix, "in a pod a router runs already"


def test_small_kernel_buffers_name_the_sysctl() -> None:
    finding = find(examine(settings(**media(receive_buffer_bytes=1 << 30))), "receive buffer")
    assert finding.status == "warn"
    assert finding.fix == f"sysctl -w net.core.rmem_max={1 << 30}"


@pytest.mark.parametrize("asked", [65_536, 64 << 20])
def test_buffers_are_judged_as_the_engine_gets_them(asked: int) -> None:
    engine = Engine(srtp_functions=function_addresses())
    granted = engine.open_socket(0, ("127.0.0.1", 0), receive_buffer_bytes=asked, send_buffer_bytes=asked)
    engine.close()
    findings = examine(settings(**media(receive_buffer_bytes=asked, send_buffer_bytes=asked)))
    for name, bytes_ in (("receive", granted["receive_buffer_bytes"]), ("send", granted["send_buffer_bytes"])):
        assert find(findings, f"{name} buffer").status == ("ok" if bytes_ >= asked else "warn")
        assert str(bytes_) in find(findings, f"{name} buffer").detail


@pytest.mark.parametrize(
    ("address", "status"), [("127.0.0.1", "fail"), ("192.168.1.5", "warn"), ("8.8.8.8", "ok"), ("::1", "fail")]
)
def test_announced_address(address: str, status: str) -> None:
    found = load_settings(flags={**FREE, **media(announced_addresses=[address])})
    finding = find(examine(found), "announced address")
    assert finding.status == status
    assert address in finding.detail


def test_clock_of_1970(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall_s", lambda: 3600.0)
    assert find(examine(settings()), "clock").status == "fail"


def test_redis_that_does_not_answer(tmp_path: Path) -> None:
    finding = find(examine(settings(redis={"url": f"unix://{tmp_path}/none.sock"})), "redis")
    assert finding.status == "fail"
    assert "ROUTER_REDIS__URL" in finding.fix


def test_a_check_that_breaks_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_settings: Settings) -> Any:
        raise OSError("no such device")

    monkeypatch.setattr(doctor, "check_clock", broken)
    assert any(finding.status == "fail" and "no such device" in finding.detail for finding in examine(settings()))


def test_output(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding("clock", "fail", "wrong", "set it")]
    show_findings(findings, as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"name": "clock", "status": "fail", "detail": "wrong", "fix": "set it"}
    ]
    show_findings(findings, as_json=False)
    assert "set it" in capsys.readouterr().out
