import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from router import cli
from router.cli import app
from router.commands import remote
from router.commands.client import AdminClient, Place
from router.errors import RouterError
from router.tokens import JoinTokens

SECRET = "canary-secret-of-32-bytes-or-more"
ROOT = Path(__file__).parent.parent
runner = CliRunner()


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTER_AUTH__SECRETS", SECRET)
    monkeypatch.setenv("ROUTER_ADMIN__TOKEN", "canary-token-long-enough")


def run(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_config_show_masks_secrets() -> None:
    for output in (run("config", "show"), run("config", "show", "--json")):
        assert "canary" not in output
        assert "8080" in output
    assert json.loads(run("config", "show", "--json"))["media"]["workers"] == 1


def test_config_check_and_schema() -> None:
    assert run("config", "check") == "ok\n"
    assert "udp_port" in json.loads(run("config", "schema"))["$defs"]["MediaSettings"]["properties"]


def test_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run("--version"))


def test_token_gives_what_was_asked_for() -> None:
    output = run("token", "--room", "a", "--identity", "ada", "--name", "Ada L", "--no-publish", "--ttl", "60")
    grant = JoinTokens(SECRET).verify(output.strip())
    assert (grant.room, grant.identity, grant.name) == ("a", "ada", "Ada L")
    assert (grant.may_publish, grant.may_subscribe, grant.may_moderate) == (False, True, False)
    body = json.loads(
        run("token", "--room", "a", "--identity", "ada", "--moderate", "--metadata", '{"team":1}', "--json")
    )
    grant = JoinTokens(SECRET).verify(body["token"])
    assert (grant.may_publish, grant.may_moderate, grant.metadata) == (True, True, '{"team":1}')
    assert body["expires_in_s"] == 21_600


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["token", "--room", "a b\n", "--identity", "x"], 2, ["room"]),
        (["config", "check", "--config", "none.yaml"], 2, ["none.yaml"]),
        (["rooms", "--url", "http://127.0.0.1:9"], 3, ["router not reachable at http://127.0.0.1:9", "running"]),
    ],
)
def test_mistakes_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["router", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    text = capsys.readouterr().err
    assert left.value.code == code
    assert text.count("\n") == 1
    assert [word for word in words if word not in text] == []


PERSON = {
    "id": "P_1",
    "identity": "ada",
    "name": "A[bold]da\x1b[31m",
    "sessions": [{"endpoint": "whep", "state": "connected", "slots": [{"track_id": "T_1"}, {"track_id": None}]}],
    "tracks": [{"kind": "audio", "live": True}, {"kind": "video", "live": False}],
}
STATS = [
    {"id": "I1-0", "type": "inbound-rtp", "kind": "video", "mid": "1", "rid": "h", "codecId": "C", "bitrate": 1_200_000,
     "packetsReceived": 55, "packetsLost": 2},
    {"id": "O1", "type": "outbound-rtp", "kind": "audio", "mid": "2", "bitrate": 30_000, "packetsSent": 9,
     "remoteId": "N1", "reason": "only layer"},
    {"id": "N1", "type": "remote-inbound-rtp", "packetsLost": 1, "roundTripTime": 0.0421},
    {"id": "C", "type": "codec", "mimeType": "video/VP8"},
]  # fmt: skip


def answer(request: httpx.Request) -> httpx.Response:
    assert request.headers["authorization"] == "Bearer canary-token-long-enough"
    path = request.url.raw_path.decode().partition("?")[0]
    if path == "/v1/rooms":
        second = "cursor" in request.url.params
        room = {"name": f"room-{int(second)}", "participants": 1, "sessions": 1, "tracks": 2, "watchers": 0}
        room |= {"created_at": "2026-11-22T00:00:00Z", "version": 3}
        return httpx.Response(200, json={"items": [room], "next_cursor": None if second else "x"})
    if path == "/v1/rooms/a%2Fb/participants":
        return httpx.Response(200, json={"items": [PERSON], "next_cursor": None})
    entry = {"participant_id": "P_1", "identity": "ada", "name": "", "stats": STATS}
    if path == "/v1/rooms/a/stats":
        return httpx.Response(200, json={"items": [entry], "next_cursor": None})
    if path == "/v1/rooms/a/participants/P_0000000000000001/stats":
        return httpx.Response(200, json=entry)
    return httpx.Response(404, json={"detail": "no such room", "slug": "unknown-room"})


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(place: Place) -> AdminClient:
        return AdminClient(place, httpx.MockTransport(answer))

    monkeypatch.setattr(remote, "open_client", connect)


@pytest.mark.usefixtures("admin")
def test_rooms_follows_all_pages() -> None:
    assert [room["name"] for room in json.loads(run("rooms", "--json"))] == ["room-0", "room-1"]
    assert "room-1" in run("rooms")


@pytest.mark.usefixtures("admin")
def test_participants_show_names_as_data() -> None:
    output = run("participants", "a/b")
    assert "A[bold]da\N{REPLACEMENT CHARACTER}[31m" in output
    assert "\x1b" not in output
    assert "audio, video (silent)" in output


@pytest.mark.usefixtures("admin")
def test_stats_joins_streams_with_codec_and_report() -> None:
    lines = run("stats", "a").splitlines()
    assert re.search(r"ada +sends video h +1 +VP8 +1200 +55 +2", lines[1])
    assert re.search(r"ada +receives audio +2 +30 +9 +1 +42\.1 +only layer", lines[2])
    assert run("stats", "a", "P_0000000000000001").splitlines() == lines
    assert json.loads(run("stats", "a", "--json"))[0]["identity"] == "ada"


@pytest.mark.usefixtures("admin")
def test_refusals_are_told_with_their_slug() -> None:
    with pytest.raises(RouterError, match=r"404 no such room \(unknown-room\)"):
        runner.invoke(app, ["stats", "none"], catch_exceptions=False)


def test_the_start_imports_neither_engine_nor_settings() -> None:
    code = "import sys; from router import cli; print(*[name for name in sys.modules if name.startswith('router')])"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    loaded = set(output.split())
    assert loaded >= {"router.cli", "router.commands.top"}
    heavy = ("router._engine", "router.rtc", "router.rooms", "router.config", "router.access", "router.commands.client")
    assert [name for name in loaded if name.startswith(heavy)] == []


@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("router ro", {"rooms"}, set()),
        ("router rooms ", {"list", "create", "close"}, {"--json"}),
        ("router participants ", {"list", "mute"}, set()),
        ("router rooms create --em", {"--empty-timeout"}, set()),
        ("router stats tea --ca", {"--ca-file"}, set()),
        ("router top --sort ", {"people", "quality"}, set()),
    ],
)
def test_shells_complete_commands_and_options(line: str, offered: set[str], not_offered: set[str]) -> None:
    *_, last = words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_ROUTER_COMPLETE": "complete_bash"}
    found = set(runner.invoke(app, [], prog_name="router", env=asked).output.split())
    assert offered <= found
    assert not_offered & found == set()
    assert all(word.startswith(last) for word in found)


def start(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "router", *arguments], cwd=ROOT, check=False, **options)


def test_output_that_is_closed_or_cannot_say_it() -> None:
    closed = start("config", "schema", stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    assert (closed.returncode, closed.stderr) == (0, b"")
    with Path("/dev/full").open("w") as full:
        failed = start("config", "schema", stdout=full, stderr=subprocess.PIPE)
    assert (failed.returncode, failed.stderr) == (1, b"router: cannot write to stdout: No space left on device\n")
    show = "from router import cli, tables; cli.main.__globals__['app'] = lambda: tables.print_line('tea \u8336')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    told = subprocess.run(
        [sys.executable, "-c", f"{show}; cli.main()"], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    assert told.stdout == b"tea ?\n"


def test_a_pipe_that_nobody_reads_to_its_end() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    left = start("config", "schema", stdout=writes, stderr=subprocess.PIPE)
    os.close(writes)
    assert left.stderr == b""


def test_ctrl_c_while_libraries_load() -> None:
    code = """
import builtins
load = builtins.__import__
def stop(name, *rest):
    if name == "typer": raise KeyboardInterrupt
    return load(name, *rest)
builtins.__import__ = stop
from router.__main__ import main
main()
"""
    left = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert (left.returncode, left.stderr) == (130, b"")
