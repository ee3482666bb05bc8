"""The whole router in this process, on free ports of loopback; its ends are tried on a process of its own."""

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from router import listener
from router.config import Settings, load_settings
from router.errors import ConfigError
from router.listener import bind_port, close_all
from router.rooms import RoomLimits
from router.server import RouterServer, _room_limits

ROOT = Path(__file__).parent.parent
FREE = {"public": {"port": 0}, "admin": {"port": 0}, "media": {"udp_port": 0, "addresses": ["127.0.0.1"]}}


def settings(**changes: Any) -> Settings:
    return load_settings(flags={"dev": True, **FREE, **changes})


@pytest.fixture
async def server() -> AsyncIterator[RouterServer]:
    async with RouterServer(settings()) as server:
        yield server


async def get(port: int, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        return await client.get(path)


def test_rooms_embedded_without_settings_have_the_same_limits() -> None:
    assert _room_limits(settings()) == RoomLimits()


async def test_serves_both_ports(server: RouterServer) -> None:
    assert (await get(server.public_port, "/")).status_code == 200
    ready = (await get(server.admin_port, "/readyz")).json()
    assert ready["checks"] == {"engine": True, "sockets": True, "event-loop": True, "not-draining": True}
    assert (await get(server.admin_port, "/v1/rooms")).json()["items"] == []
    assert "sfu_engine_up 1.0" in (await get(server.admin_port, "/metrics")).text


async def test_a_token_made_by_the_admin_plane_opens_its_room_within_the_settings() -> None:
    admin = {"port": 0, "max_token_lifetime_s": 60, "requests_per_s": 1.0}
    async with (
        RouterServer(settings(admin=admin)) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.admin_port}") as api,
    ):
        body = {"room": "lobby", "identity": "ada"}
        assert (await api.post("/v1/tokens", json={**body, "lifetime_s": 61})).json()["slug"] == "bad-lifetime"
        told = (await api.post("/v1/tokens", json=body)).json()
        assert told["expires_in_s"] == 60
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.public_port}") as client:
            headers = {"Authorization": f"Bearer {told['token']}"}
            assert (await client.get("/rooms/lobby/offer", headers=headers)).status_code == 200
            assert (await client.get("/rooms/other/offer", headers=headers)).status_code == 403
        assert [(await api.get("/v1/rooms")).status_code for _ in range(2)] == [200, 429]


async def test_all_addresses_are_those_of_ipv4_and_ipv6() -> None:
    every = settings(
        dev=False,
        public={"port": 0, "host": "*"},
        admin={"port": 0, "host": "*", "token": secrets.token_hex(16)},
        auth={"secrets": [secrets.token_hex(32)]},
        media={"udp_port": 0, "addresses": ["::1"]},
    )
    async with RouterServer(every) as server, httpx.AsyncClient() as client:
        for host in ("127.0.0.1", "[::1]"):
            assert (await client.get(f"http://{host}:{server.admin_port}/readyz")).status_code == 200
            assert (await client.get(f"http://{host}:{server.public_port}/")).status_code == 200
    for port in (server.admin_port, server.public_port):
        close_all(bind_port("*", port, "again"))


def test_a_machine_without_ipv6_serves_by_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_has_ipv6", lambda: False)
    bound = bind_port("*", 0, "public")
    close_all(bound)
    assert len(bound) == 1


def test_a_port_that_is_taken_by_ipv6_alone_is_taken() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6) as taken, pytest.raises(ConfigError, match="taken"):
        bind_port("*", taken.getsockname()[1], "public")


async def test_an_announced_address_that_no_socket_has_is_refused() -> None:
    media = {"udp_port": 0, "addresses": ["127.0.0.1"], "announced_addresses": ["2001:db8::1"]}
    with pytest.raises(ConfigError, match=r"^media\.announced_addresses is 2001:db8::1: .* binds 127\.0\.0\.1"):
        async with RouterServer(settings(media=media)):
            pass


async def test_the_admin_plane_is_not_on_the_public_port(server: RouterServer) -> None:
    for path in ("/v1/rooms", "/metrics", "/readyz", "/docs", "/openapi.json"):
        assert (await get(server.public_port, path)).status_code == 404


async def test_a_page_of_another_origin_can_read_that_there_are_too_many() -> None:
    """Else it sees a broken network, and not when to come back. Its preflight must pass for that."""
    page = {"Origin": "https://app.example"}
    preflight = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with RouterServer(settings(public={"port": 0, "max_connections": 1})) as crowded:
        forks = f"http://127.0.0.1:{crowded.public_port}/rooms/a/forks"
        _, waiting = await asyncio.open_connection("127.0.0.1", crowded.public_port)
        async with httpx.AsyncClient() as client:
            allowed = await client.options(forks, headers=preflight)
            refused = await client.post(forks, headers={**page, "Authorization": "Bearer x"}, content="v=0")
        waiting.close()
    assert (allowed.status_code, refused.status_code) == (204, 503)
    assert "Authorization" in allowed.headers["Access-Control-Allow-Headers"]
    assert refused.headers["Access-Control-Allow-Origin"] == "*"
    assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]
    assert (refused.json()["slug"], refused.headers["Retry-After"]) == ("too-many-connections", "5")


async def test_sockets_outlive_rooms(server: RouterServer) -> None:
    ports = server.media_ports
    for _ in range(2):
        await server.registry.create_room("a").close()
    assert server.media_ports == ports
    assert server.check_readiness()["sockets"]


async def test_rooms_are_spread_over_workers_each_with_one_udp_socket() -> None:
    flags = {**FREE, "media": {"udp_port": 0, "addresses": ["127.0.0.1"], "workers": 2}}
    async with RouterServer(load_settings(flags={"dev": True, **flags})) as server:
        assert len(server.media_ports) == 2
        rooms = [server.registry.create_room(f"room-{number}") for number in range(4)]
        workers = [room.origin.get_sockets()[0].options.worker for room in rooms]
        assert workers == [0, 1, 0, 1]
        await rooms[1].close()
        assert server.registry.create_room("next").origin.get_sockets()[0].options.worker == 1


async def test_stop_is_idempotent_and_frees_all_ports() -> None:
    server = RouterServer(settings())
    async with server:
        server.registry.create_room("a")
        tcp, udp = [server.public_port, server.admin_port], server.media_ports
    await server.stop()
    for port in tcp:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    for port in udp:
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", port))
    assert server.registry.rooms == {}


@pytest.mark.parametrize("key", ["public", "admin"])
async def test_taken_tcp_port_names_setting_and_fix(key: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"{key}\.port is {port}: taken .*ROUTER_{key.upper()}__PORT"):
            await RouterServer(settings(**{key: {"port": port}})).__aenter__()


async def test_taken_udp_port_names_setting_and_fix() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"media\.udp_port is {port}: taken .*ROUTER_MEDIA__UDP_PORT"):
            await RouterServer(settings(media={"udp_port": port, "addresses": ["127.0.0.1"]})).__aenter__()


async def test_address_of_another_machine() -> None:
    with pytest.raises(ConfigError, match=r"media: .* is not an address of this machine"):
        await RouterServer(settings(media={"udp_port": 0, "addresses": ["192.0.2.77"]})).__aenter__()


async def test_a_redis_that_is_down_hurts_nobody() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}"
        async with RouterServer(settings(redis={"url": url})) as server:
            server.registry.create_room("a")
            assert (await get(server.admin_port, "/readyz")).status_code == 200
            assert (await get(server.admin_port, "/healthz")).status_code == 200


def test_refuses_to_start_without_secrets() -> None:
    with pytest.raises(ConfigError, match=r"auth\.secrets"):
        RouterServer(load_settings(flags=FREE))


# -- a process of its own ----------------------------------------------------------------------------------------------


async def start_process(*flags: str, code: str = "", **environment: str) -> asyncio.subprocess.Process:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ROUTER_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", *(["-c", code] if code else ["-m", "router"]), "serve", *flags,
        cwd=ROOT,
        env={**clean, **environment},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def read_until(process: asyncio.subprocess.Process, text: str) -> list[str]:
    assert process.stderr is not None
    lines: list[str] = []
    async with asyncio.timeout(20):
        while not lines or text not in lines[-1]:
            line = await process.stderr.readline()
            assert line, f"ended early: {lines}"
            lines.append(line.decode())
    return lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_status_0(number: signal.Signals) -> None:
    process = await start_process("--dev", "--port", "0", "--admin-port", "0", "--udp-port", "0")
    started = json.loads((await read_until(process, "router started"))[-1])
    assert re.fullmatch(r"127\.0\.0\.1:\d+", started["public"])
    process.send_signal(number)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert "router stopped" in errors.decode()
    assert "Traceback" not in errors.decode()


@pytest.mark.parametrize(
    ("flags", "environment", "words"),
    [
        ((), {}, ["auth.secrets"]),
        ((), {"ROUTER_AUTH__SECRETS": "0123456789-abcdefghij-klmnopqrst"}, ["admin.token"]),
        (("--dev",), {"ROUTER_PUBLIC__HOST": "0.0.0.0"}, ["public.host", "loopback"]),
        (("--dev",), {"ROUTER_MEDIA__UDP_PORT": "many"}, ["media.udp_port", "'many'", "ROUTER_MEDIA__UDP_PORT"]),
        (("--dev", "--config", "none.yaml"), {}, ["none.yaml"]),
    ],
)
async def test_bad_configuration_is_one_line_and_status_2(
    flags: tuple[str, ...], environment: dict[str, str], words: list[str]
) -> None:
    process = await start_process(*flags, **environment)
    _, errors = await process.communicate()
    lines = errors.decode().splitlines()
    assert process.returncode == 2, lines
    assert len(lines) == 1, lines
    assert [word for word in words if word not in lines[0]] == []


async def test_taken_port_is_one_line_and_status_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await start_process("--dev", "--port", str(port), "--admin-port", "0", "--udp-port", "0")
        _, errors = await process.communicate()
    lines = [line for line in errors.decode().splitlines() if not line.startswith("{")]
    assert process.returncode == 2
    assert len(lines) == 1
    assert f"public.port is {port}" in lines[0]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (
            "from router.rtc import srtp; srtp.FUNCTIONS = ('srtp_gone',) * 4",
            ["pylibsrtp", "srtp_gone"],
        ),
        ("import sys; sys.modules['pylibsrtp._binding'] = None", ["pylibsrtp._binding", "pip install"]),
        ("import sys; sys.modules['router._engine'] = None", ["router._engine", "pip install"]),
    ],
    ids=["missing symbol", "missing library", "missing engine"],
)
async def test_an_engine_that_does_not_fit_is_one_line_and_status_2(broken: str, words: list[str]) -> None:
    code = f"{broken}; from router.cli import main; main()"
    process = await start_process("--dev", "--port", "0", "--admin-port", "0", "--udp-port", "0", code=code)
    _, errors = await process.communicate()
    lines = [line for line in errors.decode().splitlines() if not line.startswith("{")]
    assert process.returncode == 2, lines
    assert len(lines) == 1, lines
    assert [word for word in words if word not in lines[0]] == []


async def test_a_second_signal_ends_it_at_once() -> None:
    process = await start_process("--dev", "--port", "0", "--admin-port", "0", "--udp-port", "0")
    started = json.loads((await read_until(process, "router started"))[-1])
    _, port = started["public"].split(":")
    # A request that never ends holds the first signal up for some seconds.
    _, writer = await asyncio.open_connection("127.0.0.1", int(port))
    writer.write(b"POST /whip/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    await writer.drain()
    process.send_signal(signal.SIGTERM)
    await read_until(process, "one more signal")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(3):
        await process.communicate()
    writer.close()
    assert process.returncode == 130
