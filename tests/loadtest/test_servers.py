"""The adapters of other servers: what they write and read, and that a missing server is told by name."""

import asyncio
import os
import select
import signal
import sys
from pathlib import Path

import jwt
import pytest

from loadtest.client import Track
from loadtest.servers import Plan, Server, Unavailable, Unsupported, Wanted
from loadtest.servers import janus as janus_module
from loadtest.servers import media_relay as media_relay_module
from loadtest.servers.child import ChildServer, Command, find_program, print_version
from loadtest.servers.janus import Janus, lay_out, write_settings
from loadtest.servers.janus_api import (
    Feed,
    JanusError,
    create_room,
    data_of,
    description_of,
    join_as_subscriber,
)
from loadtest.servers.livekit import SECRET, LiveKit, write_token
from loadtest.servers.livekit import write_settings as write_livekit_settings
from loadtest.servers.livekit_signal import (
    Description,
    parse_message,
    write_add_track,
    write_answer,
    write_message,
    write_subscription,
)
from loadtest.servers.media_relay import AiortcRelay
from loadtest.servers.mediamtx import MediaMtx
from loadtest.servers.mediamtx import write_settings as write_mediamtx_settings
from loadtest.servers.pulsebeam import PulseBeam, require_slots
from loadtest.servers.registry import create_server, split_names
from loadtest.servers.tracks import OneWayConnections, PublishedTracks
from loadtest.servers.whip import Endpoints, Whip

MISSING: list[tuple[Server, str]] = [
    (Janus(), "janus"),
    (LiveKit(), "livekit-server"),
    (MediaMtx(), "mediamtx"),
    (PulseBeam(), "pulsebeam"),
]
PLAN = Plan(core=None, participants=2, tracks=2)


@pytest.fixture
def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOADTEST_SERVERS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))


# -- What is missing ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_nothing_installed")
@pytest.mark.parametrize(("server", "program"), MISSING)
async def test_a_missing_server_is_named(server: Server, program: str) -> None:
    with pytest.raises(Unavailable, match=f"^{program} is not installed: run loadtest/install-servers {program}$"):
        await server.start(PLAN)
    assert server.pids == []
    await server.stop()


async def test_missing_modules_of_janus_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(janus_module, "PREFIXES", (tmp_path,))
    with pytest.raises(Unavailable, match="VideoRoom"):
        janus_module.find_modules()


async def test_a_missing_aiortc_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_relay_module, "DISTRIBUTION", "no-such-distribution")
    server = AiortcRelay()
    with pytest.raises(Unavailable, match="no-such-distribution is not installed"):
        await server.start(PLAN)
    await server.stop()


async def test_an_unreachable_server_is_named(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(Unavailable, match=f"nobody listens at {url}/whip"):
        await Whip(f"{url}/whip,{url}/whep").start(PLAN)


@pytest.mark.usefixtures("_nothing_installed")
def test_an_installed_program_comes_before_one_on_the_path(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "bin"):
        folder.mkdir(exist_ok=True)
        (folder / "server").write_text("#!/bin/sh\n")
        (folder / "server").chmod(0o755)
    assert find_program("server") == str(tmp_path / "bin" / "server")
    (tmp_path / "bin" / "server").unlink()
    assert find_program("server") == str(tmp_path / "server")


async def test_a_program_that_ends_early_is_told_with_its_last_words(tmp_path: Path, unused_tcp_port: int) -> None:
    command = Command([sys.executable, "-c", "print('no such option'); raise SystemExit(3)"], tmp_path / "log")
    with pytest.raises(Unavailable, match="ended with 3: no such option"):
        await ChildServer.start(command, None, ("127.0.0.1", unused_tcp_port))


async def test_a_program_runs_on_its_core_from_the_start(tmp_path: Path, unused_tcp_port: int) -> None:
    program = (
        "import os, socket\n"
        f"server = socket.create_server(('127.0.0.1', {unused_tcp_port}))\n"
        "print(os.sched_getaffinity(0), flush=True)\n"
        "while True: server.accept()\n"
    )
    command = Command([sys.executable, "-c", program], tmp_path / "log")
    child = await ChildServer.start(command, 0, ("127.0.0.1", unused_tcp_port))
    await child.stop()
    await child.stop()
    assert (tmp_path / "log").read_text() == "{0}\n"
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


async def test_a_program_ends_with_who_started_it(tmp_path: Path) -> None:
    bound = Command(["sh", "-c", "echo $$; exec sleep 60"], tmp_path / "log").bound(None)
    starter = f"import subprocess; child = subprocess.Popen({bound!r}); input()"
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", starter, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout
    pid = int(await parent.stdout.readline())
    pidfd = os.pidfd_open(pid)
    parent.kill()
    ended, _, _ = await asyncio.to_thread(select.select, [pidfd], [], [], 5)
    os.close(pidfd)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    await parent.communicate()
    assert ended


async def test_a_version_is_what_the_program_prints() -> None:
    assert await print_version(sys.executable, "-c", "print('server 1.2')") == "server 1.2"


# -- Rooms --------------------------------------------------------------------------------------------------------


def test_tracks_of_others_are_chosen_audio_first() -> None:
    tracks = PublishedTracks[str]()
    for participant in ("one", "two", "three"):
        tracks.add(participant, "video", f"{participant}'s picture")
        tracks.add(participant, "audio", f"{participant}'s voice")
    tracks.remove("three")
    tracks.remove("nobody")
    assert tracks.choose("two", Wanted(audio=5, video=5)) == ["one's voice", "one's picture"]
    assert tracks.choose("nobody", Wanted(video=1)) == ["one's picture"]


async def test_one_connection_for_both_directions_is_unsupported() -> None:
    with pytest.raises(Unsupported):
        await OneWayConnections().join(None, "somebody", [], Wanted())  # type: ignore[arg-type]


# -- Janus --------------------------------------------------------------------------------------------------------


def test_janus_is_laid_out_with_its_two_modules(tmp_path: Path) -> None:
    modules, folder = tmp_path / "modules", tmp_path / "janus"
    folder.mkdir()
    lay_out(folder, modules, 8188, event_loops=1)
    assert (folder / "plugins" / "libjanus_videoroom.so").readlink() == modules / "plugins" / "libjanus_videoroom.so"
    assert len(list((folder / "transports").iterdir())) == 1
    assert "  event_loops = 1\n" in (folder / "janus.jcfg").read_text()
    assert "  ws_port = 8188\n" in (folder / "janus.transport.websockets.jcfg").read_text()


def test_janus_has_a_thread_for_each_peer_unless_told() -> None:
    assert "event_loops" not in write_settings(Path("/tmp"), 8188, 0)["janus.jcfg"]
    assert (Janus().name, Janus(1).name) == ("janus", "janus (1 loop)")


def test_a_subscriber_names_each_track() -> None:
    feeds = [Feed(7, "0"), Feed(8, "1")]
    assert join_as_subscriber(1, feeds)["streams"] == [{"feed": 7, "mid": "0"}, {"feed": 8, "mid": "1"}]
    assert create_room(1, 300)["publishers"] == 300


def test_a_refusal_inside_a_reply_is_raised() -> None:
    refused = {"janus": "success", "plugindata": {"data": {"error_code": 427, "error": "Room 1 already exists"}}}
    with pytest.raises(JanusError, match="Room 1 already exists"):
        data_of(refused)
    with pytest.raises(JanusError, match="no description"):
        description_of({"janus": "event", "plugindata": {"data": {}}})
    assert description_of({"jsep": {"type": "offer", "sdp": "v=0"}}) == "v=0"


# -- LiveKit ------------------------------------------------------------------------------------------------------


def test_messages_are_written_as_protobuf_does() -> None:
    # The example of https://protobuf.dev/programming-guides/encoding/ ("Test1", "Test2").
    assert write_message([(1, 150)]).hex() == "089601"
    assert write_message([(2, "testing")]).hex() == "120774657374696e67"


def test_messages_survive_a_round_trip() -> None:
    fields: list[tuple[int, int | bytes]] = [(1, 0), (2, 127), (3, 128), (4, 2**63), (500, b"x" * 300)]
    assert list(parse_message(write_message(fields))) == fields


def test_fields_of_fixed_size_are_skipped() -> None:
    assert list(parse_message(b"\x09" + bytes(8) + b"\x15" + bytes(4) + b"\x18\x05")) == [(3, 5)]
    with pytest.raises(ValueError, match="wire type 3"):
        list(parse_message(b"\x0b"))


def test_an_answer_carries_the_number_of_its_offer() -> None:
    offer = Description.parse(Description("v=0", 9).write("offer"))
    assert offer == Description("v=0", 9)
    [(field, answer)] = parse_message(write_answer("v=1", offer))
    assert field == 2
    assert list(parse_message(bytes(answer) if isinstance(answer, bytes) else b"")) == [
        (1, b"answer"),
        (2, b"v=1"),
        (3, 9),
    ]


def test_tracks_are_announced_and_asked_for() -> None:
    [(field, video)] = parse_message(write_add_track("video", "camera"))
    assert field == 4
    assert isinstance(video, bytes)
    assert dict(parse_message(video)) == {1: b"camera", 2: b"video", 3: 1, 4: 1280, 5: 720, 8: 1}
    [(field, wanted)] = parse_message(write_subscription(["TR_1", "TR_2"]))
    assert field == 6
    assert isinstance(wanted, bytes)
    assert list(parse_message(wanted)) == [(1, b"TR_1"), (1, b"TR_2"), (2, 1)]


def test_livekit_is_told_to_batch_only_if_asked() -> None:
    assert "batch_io" not in write_livekit_settings(7880, 7882, batch=False)
    assert "  batch_io: {batch_size: 128, max_flush_interval: 2ms}\n" in write_livekit_settings(7880, 7882, batch=True)
    claims = jwt.decode(write_token("somebody"), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["video"]) == ("somebody", {"room": "load", "roomJoin": True})


# -- WHIP and WHEP ------------------------------------------------------------------------------------------------


def test_endpoints_are_read_with_their_options() -> None:
    urls = "http://127.0.0.1:1/whip/{room},http://127.0.0.1:1/whep/{room}"
    assert Endpoints.parse(urls) == Endpoints("http://127.0.0.1:1/whip/{room}", "http://127.0.0.1:1/whep/{room}")
    found = Endpoints.parse(f"{urls},token=one,token=two,pid=7,pid=8")
    assert (found.tokens, found.pids) == (("one", "two"), (7, 8))


def test_commas_of_endpoints_do_not_separate_servers() -> None:
    whip = "whip:http://a/whip,http://a/whep,token=x,pid=7"
    assert split_names(f"janus, {whip},livekit") == ["janus", whip, "livekit"]
    assert isinstance(create_server(whip), Whip)
    assert create_server("janus-1").name == "janus (1 loop)"


@pytest.mark.parametrize("text", ["", "http://a/whip", "http://a/whip,http://a/whep,colour=red", "http://a,http://b,c"])
def test_other_specifications_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Endpoints.parse(text)


def test_mediamtx_speaks_webrtc_alone() -> None:
    lines = write_mediamtx_settings(8889, 8189).splitlines()
    assert {"rtsp: false", "webrtcAddress: 127.0.0.1:8889", "webrtcLocalUDPAddress: 127.0.0.1:8189"} <= set(lines)


# -- PulseBeam ----------------------------------------------------------------------------------------------------


def test_what_pulsebeam_has_no_slots_for_is_unsupported() -> None:
    require_slots([Track("audio"), Track("video"), Track("video")], Wanted(audio=3, video=7))
    for tracks, wanted in (
        ([Track("video")] * 3, Wanted()),
        ([Track("video", "VP8")], Wanted()),
        ([], Wanted(audio=4)),
        ([], Wanted(video=8)),
    ):
        with pytest.raises(Unsupported):
            require_slots(tracks, wanted)


async def test_pulsebeam_needs_its_own_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulsebeam").touch()
    monkeypatch.setenv("LOADTEST_SERVERS", str(tmp_path))
    async with taken:
        with pytest.raises(Unavailable, match=f"something listens on port {port}"):
            await PulseBeam().command(tmp_path, port)
