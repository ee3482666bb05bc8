"""Bodies that are too large, too slow, malformed or ambiguous: a problem that says what was wrong, and a closed
connection, while others are served. Every changing route of the admin port is tried, and those of the public one."""

import asyncio
import gzip
import json
import resource
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from router import clock
from router.admin import gate
from tests.attack.stage import ROOM, WRITER, Stage, attack_settings, bearer, check_problem, run_stage

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="package")]

JSON = "application/json"
DEEP = "[" * 40 + "]" * 40
BAD: dict[str, tuple[bytes, str, int, str]] = {
    "empty text": (b" ", JSON, 400, "JSON"),
    "malformed": (b"{identity: 1}", JSON, 400, "property name"),
    "truncated": (b'{"identity": "ad', JSON, 400, "Unterminated string"),
    "two values": (b"{} {}", JSON, 400, "Extra data"),
    "duplicate key": (b'{"identity": "a", "identity": "b"}', JSON, 400, "duplicate key 'identity'"),
    "duplicate key in an escape": (b'{"identity": "a", "\\u0069dentity": "b"}', JSON, 400, "duplicate key 'identity'"),
    "duplicate key inside": (b'{"rights": {"hidden": false, "hidden": true}}', JSON, 400, "duplicate key 'hidden'"),
    "deep": (DEEP.encode(), JSON, 400, "nested deeper"),
    "very deep": (b"[" * 30_000, JSON, 400, "nested deeper"),
    "very deep objects": (b'{"a":' * 10_000, JSON, 400, "nested deeper"),
    "NaN": (b'{"identity": NaN}', JSON, 400, "NaN is not JSON"),
    "Infinity": (b'{"identity": -Infinity}', JSON, 400, "-Infinity is not JSON"),
    "infinite": (b'{"identity": 1e400}', JSON, 400, "number is too large"),
    "huge": (b'{"identity": 9007199254740993}', JSON, 400, "number is too large"),
    "huger": (b'{"identity": -' + b"9" * 60_000 + b"}", JSON, 400, "number is too large"),
    "lone surrogate": (b'{"identity": "\\ud83d"}', JSON, 400, "surrogate"),
    "lone surrogate as key": (b'{"\\udc00": 1}', JSON, 400, "surrogate"),
    "surrogate in UTF-8": (b'{"identity": "\xed\xa0\xbd"}', JSON, 400, "UTF-8"),
    "Latin-1": (b'{"identity": "caf\xe9"}', JSON, 400, "UTF-8"),
    "byte order mark": (b"\xef\xbb\xbf{}", JSON, 400, "BOM"),
    "UTF-16": ('{"identity": "a"}'.encode("utf-16-le"), JSON, 400, "JSON"),
    "UTF-16 with its mark": ('{"identity": "a"}'.encode("utf-16"), JSON, 400, "UTF-8"),
    "control character": (b'{"identity": "a\nb"}', JSON, 400, "control character"),
    "oversize": (b'{"identity": "' + b"x" * 70_000 + b'"}', JSON, 413, "65536"),
    "form": (b"identity=ada", "application/x-www-form-urlencoded", 415, JSON),
    "text": (b'{"identity": "ada"}', "text/plain", 415, JSON),
    "multipart": (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 415, JSON),
    "no type": (b'{"identity": "ada"}', "", 415, JSON),
    "type of another": (b'{"identity": "ada"}', "application/jsonp", 415, JSON),
}


async def test_every_changing_route_refuses_bad_bodies_and_says_why(stage: Stage) -> None:
    wrong: list[str] = []
    before = stage.state()
    changing = [operation for operation in stage.operations if operation.changes and operation.path.startswith("/v1/")]
    pairs = [(operation, what) for operation in changing for what in BAD]
    for number, (operation, what) in enumerate(pairs):
        # Bodies are read in one place: all of them on one route, and on each of the others some.
        if operation is changing[0] or number % 5 == 0:
            body, media_type, status, detail = BAD[what]
            headers = {**bearer(WRITER), **({"Content-Type": media_type} if media_type else {})}
            reply = await stage.admin.request(
                operation.method, stage.fill(operation.path), content=body, headers=headers
            )
            named = f"{operation}, {what}"
            wrong += check_problem(reply, named)
            if reply.status_code != status or detail not in reply.json()["detail"]:
                wrong.append(f"{named}: {reply.status_code} {reply.text[:200]}")
    assert wrong == []
    assert stage.state() == before


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
async def test_nothing_is_inflated(stage: Stage, coding: str) -> None:
    """A body that claims to be compressed is refused on every route, whether it is or not."""
    wrong: list[str] = []
    changing = [operation for operation in stage.operations if operation.changes and operation.path.startswith("/v1/")]
    token = stage.token()
    asked = [(stage.admin, one.method, stage.fill(one.path), JSON, WRITER) for one in changing]
    asked += [(stage.public, *route, token) for route in public_routes(stage)]
    before = await after_a_newer_token(stage, bearer(token))
    for client, method, path, media_type, authority in asked:
        headers = {
            **bearer(authority), "Content-Type": media_type, "Content-Encoding": coding, "If-Match": "*",
            "Fork-Ufrag": "x" * 30,
        }  # fmt: skip
        reply = await client.request(method, path, content=gzip.compress(b"{}"), headers=headers)
        if (reply.status_code, "Content-Encoding" in reply.text) != (415, True):
            wrong.append(f"{method} {path}: {reply.status_code} {reply.text[:200]}")
    assert wrong == []
    assert stage.state() == before


async def test_types_that_are_json_are_taken(stage: Stage) -> None:
    path = stage.fill("/v1/rooms/{room}/participants/{participant}")
    for media_type in (JSON, "Application/JSON; charset=utf-8"):
        headers = {**bearer(WRITER), "Content-Type": media_type}
        reply = await stage.admin.patch(path, content='{"name": "Äda \\ud83d\\ude00"}', headers=headers)
        assert (reply.status_code, reply.json()["name"]) == (200, "Äda 😀"), reply.text


# -- on the wire -------------------------------------------------------------------------------------------------


class Wire:
    """A connection of which a test writes every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator["Wire"]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def read_to_end(self, within_s: float) -> bytes:
        """All there is; the other side has to close."""
        async with asyncio.timeout(within_s):
            return await self._reader.read()


def head(method: str, path: str, token: str | None, *fields: str) -> bytes:
    """The beginning of a request."""
    fields = ("Host: x", *([f"Authorization: Bearer {token}"] if token else []), *fields)
    return (f"{method} {path} HTTP/1.1\r\n" + "".join(f"{field}\r\n" for field in fields) + "\r\n").encode()


def read_problem(told: bytes) -> tuple[int, str]:
    """Status and detail, of a response that ends its connection."""
    first, _, body = told.partition(b"\r\n\r\n")
    assert b"connection: close" in first.lower(), told[:500]
    assert b"application/problem+json" in first, told[:500]
    return int(first.split()[1]), json.loads(body)["detail"]


POST = ("POST", "/v1/tokens/revocations")
CHUNKED = ("Content-Type: application/json", "Transfer-Encoding: chunked")


async def drip(wire: Wire, what: bytes, pause_s: float = 0.05) -> None:
    while True:
        await wire.send(what)
        await asyncio.sleep(pause_s)


async def attack_slowly(port: int, first: bytes, what: bytes, within_s: float) -> bytes:
    """Sends slowly until the answer comes."""
    async with Wire.open(port) as wire:
        await wire.send(first)
        try:
            return await read_while(drip(wire, what), wire, within_s)
        except ConnectionResetError:
            return b""


async def read_while(sending: Coroutine[None, None, None], wire: Wire, within_s: float) -> bytes:
    """What comes while something is sent."""
    task = asyncio.create_task(sending)
    try:
        return await wire.read_to_end(within_s)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("what", ["declared", "chunked"])
async def test_slow_bodies_end_and_hold_up_nobody(stage: Stage, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BODY_TIMEOUT_S", 0.5)
    fields = CHUNKED if what == "chunked" else ("Content-Type: application/json", "Content-Length: 60000")
    first, dripped = head(*POST, WRITER, *fields), b"1\r\na\r\n" if what == "chunked" else b"a"
    port = stage.server.admin_port
    slow = [asyncio.create_task(attack_slowly(port, first, dripped, 10)) for _ in range(50)]
    took = [await time_honest(stage) for _ in range(10)]
    for task in slow:
        assert read_problem(await task) == (408, "the body did not arrive within 0.5 s")
    assert max(took) < 1.0


async def time_honest(stage: Stage) -> float:
    started_us = clock.monotonic_us()
    reply = await stage.admin.post(POST[1], json={"token_id": "x"}, headers=bearer(WRITER))
    assert reply.status_code == 201, reply.text
    return (clock.monotonic_us() - started_us) / 1e6


async def test_bodies_without_end_are_cut_off_at_their_limit(stage: Stage) -> None:
    """As fast as the network allows, whatever was declared; the answer is read although much was not."""
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    for fields, data in (
        (CHUNKED, chunk),
        (("Content-Type: application/json", "Content-Length: 1000000000000"), b" " * 4096),
        (("Content-Type: application/json", "Content-Length: 99999999999999999"), b" " * 4096),
    ):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with Wire.open(stage.server.admin_port) as wire:
            told = await read_while(send_for_ever(wire, head(*POST, WRITER, *fields), data), wire, 10)
        status, detail = read_problem(told)
        assert (status, "65536" in detail) == (413, True), detail
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
    assert await time_honest(stage) < 1.0


async def send_for_ever(wire: Wire, first: bytes, data: bytes) -> None:
    await wire.send(first)
    while True:
        await wire.send(data)


@pytest.mark.parametrize("token", [None, "wrong", WRITER[:-1]])
async def test_a_strangers_body_is_not_read(stage: Stage, token: str | None) -> None:
    """The refusal comes before the body does."""
    async with Wire.open(stage.server.admin_port) as wire:
        await wire.send(head(*POST, token, "Content-Type: application/json", "Content-Length: 2"))
        assert read_problem(await wire.read_to_end(5))[0] == 401


MALFORMED = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "no method": b"\r\n\r\n / HTTP/1.1\r\n\r\n",
    "an unknown method": b"HACK /v1/rooms HTTP/1.1\r\nHost: x\r\n\r\n",
    "version 9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "a negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a long length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
    "a chunk that is no number": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "an odd coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a coding before chunked": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nHost: x\r\n" + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nX-A: b\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\rc\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\x00c\r\n\r\n",
    "a path beyond ASCII": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header too long": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
    "a path too long": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "headers too many": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("port", ["admin", "public"])
async def test_what_is_no_http_is_refused_and_the_port_lives(stage: Stage, port: str) -> None:
    number = stage.server.admin_port if port == "admin" else stage.server.public_port
    for what, data in MALFORMED.items():
        async with Wire.open(number) as wire:
            await wire.send(data)
            told = await wire.read_to_end(5)
        assert read_problem(told)[0] == 400, (what, told[:300])
    assert (await stage.admin.get("/healthz")).status_code == 200


@pytest.mark.parametrize("port", ["admin", "public"])
async def test_slow_heads_end_and_hold_up_nobody(port: str) -> None:
    settings = attack_settings(public={"request_timeout_s": 1.0})
    async with run_stage(settings) as stage:
        number = stage.server.admin_port if port == "admin" else stage.server.public_port
        first = b"GET / HTTP/1.1\r\nHost: x\r\n"
        slow = [asyncio.create_task(attack_slowly(number, first, b"X-A: b\r\n", 15)) for _ in range(50)]
        assert max([await time_honest(stage) for _ in range(10)]) < 1.0
        if port == "public":
            assert {read_problem(told)[0] for told in await asyncio.gather(*slow)} == {408}
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


# -- the public port ---------------------------------------------------------------------------------------------


def public_routes(stage: Stage) -> list[tuple[str, str, str]]:
    session = next(iter(stage.server.registry.rooms[ROOM].participants["ada"].sessions))
    sdp, fragment = "application/sdp", "application/trickle-ice-sdpfrag"
    return [
        ("POST", f"/whip/{ROOM}", sdp), ("POST", f"/whep/{ROOM}", sdp), ("POST", f"/rooms/{ROOM}/forks", sdp),
        ("PATCH", f"/whip/{ROOM}/{session}", fragment), ("PATCH", f"/whip/{ROOM}/{session}", sdp),
    ]  # fmt: skip


async def after_a_newer_token(stage: Stage, headers: Mapping[str, str]) -> dict[str, Any]:
    """The state, once this token has prolonged the stay, which it does whatever comes with it."""
    await stage.public.get(public_routes(stage)[3][1], headers=headers)
    return stage.state()


PUBLIC_BAD: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "NUL": (b"\0" * 100, 400),
    "not UTF-8": (b"v=0\r\n\xff\xfe", 400),
    "byte order mark": (b"\xef\xbb\xbfv=0\r\n", 400),
    "JSON": (b'{"type": "offer", "sdp": "v=0"}', 400),
    "one long line": (b"a=" + b"x" * 60_000, 400),
    "many lines": (b"a=x\r\n" * 13_000, 400),
    "many m-lines": (b"v=0\r\n" + b"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 1_900, 400),
    "oversize": (b"v=0\r\n" * 14_000, 413),
}


async def test_public_routes_refuse_bad_bodies(stage: Stage) -> None:
    headers = {**bearer(stage.token()), "If-Match": "*", "Fork-Ufrag": "x" * 30}
    wrong: list[str] = []
    before = await after_a_newer_token(stage, headers)
    for method, path, media_type in public_routes(stage):
        for what, (body, status) in PUBLIC_BAD.items():
            named = f"{method} {path} {media_type}, {what}"
            fields = {**headers, "Content-Type": media_type}
            reply = await stage.public.request(method, path, content=body, headers=fields)
            if media_type == "application/trickle-ice-sdpfrag" and reply.status_code == 204:
                continue  # a fragment may be empty, and what it does not know is ignored (RFC 8840 section 9)
            wrong += check_problem(reply, named)
            if reply.status_code != status:
                wrong.append(f"{named}: {reply.status_code} {reply.text[:200]}")
        reply = await stage.public.request(method, path, content=b"{}", headers={**headers, "Content-Type": JSON})
        if reply.status_code != 415:
            wrong.append(f"{method} {path}, wrong type: {reply.status_code}")
    assert wrong == []
    assert stage.state() == before


async def test_slow_bodies_at_the_public_port_are_told_so() -> None:
    async with run_stage(attack_settings(public={"request_timeout_s": 1.0})) as stage:
        fields = ("Content-Type: application/sdp", "Content-Length: 60000")
        first = head("POST", f"/whip/{ROOM}", stage.token("slow"), *fields)
        slow = [asyncio.create_task(attack_slowly(stage.server.public_port, first, b"v", 10)) for _ in range(20)]
        await stage.join("whep", "honest")
        for task in slow:
            assert read_problem(await task)[0] == 408


async def test_offers_without_end_are_cut_off(stage: Stage) -> None:
    for method, path, media_type in public_routes(stage):
        fields = (f"Content-Type: {media_type}", "If-Match: *", f"Fork-Ufrag: {'x' * 30}", "Transfer-Encoding: chunked")
        first, data = head(method, path, stage.token(), *fields), b"fa0\r\n" + b"a=x\r\n" * 800 + b"\r\n"
        async with Wire.open(stage.server.public_port) as wire:
            told = await read_while(send_for_ever(wire, first, data), wire, 10)
        assert read_problem(told)[0] == 413, path
