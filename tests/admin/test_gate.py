"""What no request under /v1 gets past: the token before the body, its rate, and what a body may be."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from router.admin import gate
from router.admin.idempotency import MAX_REPLY_BYTES
from router.admin.tokens import AdminToken, AdminTokens
from tests.admin.conftest import TOKEN, Router, open_client
from tests.rooms.fakes import World

JSON = {"Content-Type": "application/json"}


def slug(reply: httpx.Response) -> tuple[int, str]:
    assert reply.headers["content-type"] == "application/problem+json"
    return reply.status_code, reply.json()["slug"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"name": "a", "name": "b"}', (400, "bad-json")),
        (b'{"name": "a", "rights": {"x": 1, "x": 2}}', (400, "bad-json")),
        (b'{"name": NaN}', (400, "bad-json")),
        (b'{"name": "a"', (400, "bad-json")),
        (b"[" * 60_000, (400, "bad-json")),
        (b'["name"]', (400, "bad-request")),
        (b'{"name": "\xff"}', (400, "not-utf8")),
        (b'{"name": "\\ud800"}', (400, "bad-json")),
        (b"", (400, "bad-request")),
        (b'{"name": "' + b"a" * 65_536 + b'"}', (413, "payload-too-large")),
    ],
)
async def test_bodies(world: World, api: httpx.AsyncClient, text: bytes, expected: tuple[int, str]) -> None:
    assert slug(await api.post("/v1/rooms", content=text, headers=JSON)) == expected
    assert not world.registry.rooms


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
async def test_other_media_types(world: World, api: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    reply = await api.post("/v1/rooms", content=b'{"name": "a"}', headers=headers)
    assert slug(reply) == (415, "unsupported-media-type")
    assert not world.registry.rooms


async def test_a_body_without_end_and_one_that_never_comes(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0

    async def drip() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b" " * 1_024

    assert slug(await api.post("/v1/rooms", content=drip(), headers=JSON)) == (413, "payload-too-large")
    assert read <= gate.MAX_BODY_BYTES // 1_024 + 2

    async def stall() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    monkeypatch.setattr(gate, "BODY_TIMEOUT_S", 0.01)
    assert slug(await api.post("/v1/rooms", content=stall(), headers=JSON)) == (408, "request-timeout")


async def test_of_a_body_that_is_declared_too_long_no_byte_is_read(api: httpx.AsyncClient) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = {**JSON, "Content-Length": str(gate.MAX_BODY_BYTES + 1)}
    assert slug(await api.post("/v1/rooms", content=never(), headers=headers)) == (413, "payload-too-large")


async def test_of_a_long_answer_no_more_than_the_cap_is_remembered() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    recorder = gate._Recorder(send)
    await recorder.send({"type": "http.response.start", "status": 200})
    for number in range(100):
        part = {"type": "http.response.body", "body": b"x" * MAX_REPLY_BYTES, "more_body": number < 99}
        await recorder.send(part)
    assert len(sent) == 101, "all of it is passed on"
    assert recorder.reply is not None
    assert MAX_REPLY_BYTES < recorder.reply.size <= 2 * MAX_REPLY_BYTES, "enough to see that it is too long to keep"


@pytest.mark.parametrize("path", ["/v1/rooms", "/v1/nothing", "/v1/tokens"])
async def test_without_a_token_no_byte_of_a_body_is_read(router: Router, path: str) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async with open_client(router.app()) as client:
        assert slug(await client.post(path, content=never(), headers=JSON)) == (401, "unauthorized")


async def test_each_token_has_a_rate(router: Router) -> None:
    tokens = [AdminToken(name, f"the admin token of {name}", "read") for name in ("ada", "bob")]
    async with open_client(router.app(tokens=AdminTokens(tokens), requests_per_s=0.5)) as client:
        ada, bob = ({"Authorization": f"Bearer {token.value}"} for token in tokens)
        statuses = [(await client.get("/v1/rooms", headers=ada)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429], "a burst of three seconds' worth"
        reply = await client.get("/v1/rooms", headers=ada)
        assert slug(reply) == (429, "rate-limited")
        assert int(reply.headers["retry-after"]) >= 1
        assert (await client.get("/v1/rooms", headers=bob)).status_code == 200
        assert (await client.get("/healthz", headers=ada)).status_code == 200
        assert (await client.get("/metrics", headers=ada)).status_code == 200


async def test_without_a_limit_there_is_none(router: Router) -> None:
    async with open_client(router.app(requests_per_s=0.0)) as client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert {(await client.get("/v1/rooms", headers=headers)).status_code for _ in range(20)} == {200}


async def test_a_mounted_application_has_the_same_gate(router: Router) -> None:
    from fastapi import FastAPI

    outer = FastAPI()
    outer.mount("/sfu", router.app())
    async with open_client(outer) as client:
        assert (await client.get("/sfu/v1/rooms")).status_code == 401
        headers: dict[str, Any] = {"Authorization": f"Bearer {TOKEN}"}
        assert (await client.get("/sfu/v1/rooms", headers=headers)).status_code == 200
        assert (await client.post("/sfu/v1/rooms", headers=headers, json={"name": "a"})).status_code == 201
