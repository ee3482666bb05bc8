"""The commands against a whole router on loopback, with somebody in a room."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from router.commands import nodes
from router.config import load_settings
from router.rooms.rights import JoinGrant
from router.rtc import sdp
from router.server import RouterServer
from tests.cluster.test_redis_topology import make_certificates
from tests.commands.running import Outcome, run
from tests.rtc.offers import publisher

TOKEN = "an admin token, long enough".replace(" ", "-")
FREE = {
    "public": {"port": 0},
    "admin": {"port": 0, "token": TOKEN},
    "media": {"udp_port": 0, "addresses": ["127.0.0.1"]},
}


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[RouterServer]:
    monkeypatch.chdir(tmp_path)
    async with RouterServer(load_settings(flags={"dev": True, **FREE})) as server:
        monkeypatch.setenv("ROUTER_ADMIN_URL", f"http://127.0.0.1:{server.admin_port}")
        monkeypatch.setenv("ROUTER_ADMIN__TOKEN", TOKEN)
        yield server


async def command(*arguments: str) -> Outcome:
    """In a thread, for the router lives on this loop."""
    return await asyncio.to_thread(run, *arguments)


async def publish(server: RouterServer, room: str, identity: str) -> None:
    token = server.access.join_tokens.issue(JoinGrant(room, identity, identity.title(), may_moderate=True))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with httpx.AsyncClient(headers=headers) as client:
        url = f"http://127.0.0.1:{server.public_port}/whip/{room}"
        reply = await client.post(url, content=sdp.write(publisher(password="p" * 22), session_id=1))
        assert reply.status_code == 201, reply.text


async def test_the_life_of_a_room(server: RouterServer) -> None:
    made = (await command("rooms", "create", "a b", "--max-participants", "5", "--codecs", "opus,VP8", "--json")).json()
    assert (made["name"], made["locked"]) == ("a b", False)
    assert server.registry.rooms["a b"].options.codecs == ("opus", "VP8")
    assert "locked" in (await command("rooms", "lock", "a b")).out
    assert server.registry.rooms["a b"].roster.locked
    assert (await command("rooms", "unlock", "a b", "--json")).json()["locked"] is False
    assert (await command("rooms", "change", "a b", "--metadata", "tea")).code == 0
    assert server.registry.rooms["a b"].options.metadata == "tea"
    assert [room["name"] for room in (await command("rooms", "--json")).json()] == ["a b"]
    assert re.search(r"name +participants", (await command("rooms")).out)
    assert (await command("rooms", "close", "a b")).out.strip() == "room a b is closed"
    assert dict(server.registry.rooms) == {}


async def test_people_and_their_tracks(server: RouterServer) -> None:
    await publish(server, "tea", "ada")
    listed = (await command("participants", "tea")).out
    assert re.search(r"P_[0-9a-f]{16} +ada +Ada +new +audio \(silent\), video \(silent\)", listed)
    audio, video = (await command("tracks", "tea", "--json")).json()
    assert {track["identity"] for track in (audio, video)} == {"ada"}
    assert "muted by a moderator" in (await command("tracks", "mute", "tea", audio["id"])).out
    assert "silent" in (await command("tracks", "unmute", "tea", audio["id"])).out
    muted = (await command("participants", "mute", "tea", "ada", "--json")).json()
    assert [track["moderated"] for track in muted] == [True, True]
    without = await command("participants", "mute", "tea", "ada", "--source", "screen")
    assert (without.code, "ada publishes no screen" in without.err) == (5, True)
    changed = (
        await command("participants", "change", "tea", "ada", "--name", "Countess", "--no-publish", "--json")
    ).json()
    assert (changed["name"], changed["rights"]["can_publish"]) == ("Countess", False)
    assert (await command("participants", "slots", "tea", "ada", "--json")).json() == []
    assert (await command("stats", "tea", "ada", "--json")).json()[0]["identity"] == "ada"
    assert (await command("participants", "remove", "tea", "ada")).out.strip() == "ada is out of tea"
    assert (await command("participants", "list", "tea", "--json")).json() == []
    assert (await command("token", "revocations", "--json")).json() == []
    (banned,) = (await command("token", "revocations", "--removed", "--json")).json()
    assert (banned["identity"], banned["room"]) == ("ada", "tea")


async def test_tokens_are_revoked(server: RouterServer) -> None:
    assert "ada" in (await command("token", "revoke", "--identity", "ada", "--room", "tea")).out
    assert (await command("token", "revocations", "--json")).json()[0]["identity"] == "ada"
    assert (await command("token", "revoke")).code == 2


async def test_events_are_followed(server: RouterServer) -> None:
    following = asyncio.create_task(command("events", "--room", "tea", "--count", "2"))
    while not server.metrics.event_listeners._value.get():  # noqa: ASYNC110 - a gauge tells nobody
        await asyncio.sleep(0.01)
    await publish(server, "tea", "ada")
    first, second = (await following).out.splitlines()
    assert "room_started" in first
    assert re.search(r"participant_joined +tea ada", second)


async def test_a_frame_of_top_where_no_terminal_is(server: RouterServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.commands.top.FIRST_S", 0.05)
    await publish(server, "tea", "ada")
    text = (await command("top")).out
    assert "fork-router" in text
    assert re.search(r"^tea +1 ", text, re.M)
    assert (await command("top", "--json")).json()["rooms"][0]["name"] == "tea"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["rooms", "show", "none"], 5, "no such room"),
        (["participants", "none"], 5, "no such room"),
        (["rooms", "create", "x", "--max-participants", "99999"], 2, "max_participants"),
        (["rooms", "create", "x", "--codecs", "MP3"], 2, "'opus'"),
        (["rooms", "--url", "http://127.0.0.1:9"], 3, "router not reachable at http://127.0.0.1:9"),
        (["rooms", "--token-file", "wrong"], 4, "token refused"),
        (["participants"], 2, "room"),
        (["rooms", "frob"], 2, "No such command 'frob'"),
        (["token", "frob"], 2, "No such command 'frob'"),
        (["rooms", "create", "x", "--empty-timeout", "nan"], 2, "finite"),
        (["drain", "--deadline", "inf"], 2, "finite"),
        (["rooms", "close", ".."], 2, "expected a name"),
    ],
)
async def test_mistakes(server: RouterServer, tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    (tmp_path / "wrong").write_text("another token that is long".replace(" ", "-"))
    outcome = await command(*arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert words in outcome.err
    assert code == 2 or outcome.err.count("\n") == 1


async def test_doctor_finds_the_media_path(server: RouterServer) -> None:
    public = f"http://127.0.0.1:{server.public_port}"
    found = {one["name"]: one for one in (await command("doctor", "--public-url", public, "--json")).json()}
    assert {name: one["status"] for name, one in found.items()} == dict.fromkeys(
        ["admin port", "clock skew", "ready", "store", "socket drops", "engine events", "open files"], "ok"
    ) | {"public port": "ok", "media path": "ok"}
    assert str(server.media_ports[0]) in found["media path"]["detail"]
    assert dict(server.registry.rooms) == {}


@asynccontextmanager
async def speak_tls(certificate: Path, port: int) -> AsyncIterator[str]:
    """A proxy that ends TLS before a port; its URL."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as proxy:
        yield f"https://localhost:{proxy.sockets[0].getsockname()[1]}"


async def test_a_router_behind_tls_of_a_private_authority(
    server: RouterServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_certificates(tmp_path)
    good, other = tmp_path / "good.crt", tmp_path / "other.crt"
    async with speak_tls(good, server.admin_port) as url, speak_tls(good, server.public_port) as public:
        assert (await command("rooms", "--url", url, "--ca-file", str(good), "--json")).json() == []
        strange = await command("rooms", "--url", url)
        assert (strange.code, "name its authority by --ca-file" in strange.err) == (3, True)
        assert (await command("rooms", "--url", url, "--ca-file", str(other))).code == 3
        plain = await command("rooms", "--url", url.replace("https", "http"))
        assert (plain.code, "is it https?" in plain.err) == (3, True)
        tls = await command("rooms", "--url", f"https://127.0.0.1:{server.admin_port}")
        assert (tls.code, "is it http?" in tls.err) == (3, True)
        examined = await command("doctor", "--url", url, "--public-url", public, "--ca-file", str(good), "--json")
        assert {one["status"] for one in examined.json()} == {"ok"}
        monkeypatch.setenv("SSL_CERT_FILE", str(good))
        assert (await command("rooms", "--url", url)).code == 0


async def test_doctor_misses_what_is_not_there(server: RouterServer) -> None:
    outcome = await command("doctor", "--public-url", "http://127.0.0.1:9")
    assert outcome.code == 1
    assert re.search(r"public port +fail +http://127.0.0.1:9", outcome.out)


def test_columns_of_a_drain() -> None:
    drain = {"state": "draining", "by": "operator", "remaining_s": 59.6, "exit": True, "rooms": 2, "participants": 3}
    shown = {name: read(drain) for name, read in nodes.DRAIN_COLUMNS.items()}
    assert (shown["deadline in"], shown["then"]) == ("60 s", "exits")
