"""Every route of the admin port with every token that will not do: refused as a problem, and nothing has changed."""

import asyncio
import hmac
from collections.abc import Mapping
from typing import Any, Final

import httpx
import pytest
import websockets
from fastapi import APIRouter, FastAPI

from router.admin.tokens import AdminToken, AdminTokens
from router.rooms.rights import JoinGrant
from router.tokens import JoinTokens
from tests.attack.stage import (
    NEED_NO_TOKEN,
    READER,
    SECRET,
    WRITER,
    Operation,
    Stage,
    bearer,
    check_problem,
    list_operations,
)

pytestmark = pytest.mark.e2e
on_stage = pytest.mark.asyncio(loop_scope="package")
ON_EVERY_ROUTE: Final = ("none", "wrong", "expired", "join token")
"""The others are about how headers are read, which is done in one place."""


def bad_tokens(stage: Stage) -> Mapping[str, list[tuple[str, str]]]:
    """By what is wrong with it, the headers."""
    expired = JoinTokens(SECRET, now_s=lambda: 1_000.0).issue(JoinGrant("lobby", "ada"))
    foreign = JoinTokens("another-secret-another-secret-ab").issue(JoinGrant("lobby", "ada"))
    credentials = {
        "empty": "Bearer", "no scheme": WRITER, "another scheme": f"Basic {WRITER}", "wrong": "Bearer wrong",
        "one more": f"Bearer {WRITER}x", "one less": f"Bearer {WRITER[:-1]}", "upper case": f"Bearer {WRITER.upper()}",
        "two at once": f"Bearer {WRITER}, Bearer {READER}", "long": f"Bearer {'x' * 10_000}",
        "not ASCII": "Bearer \xff\xfe", "join token": f"Bearer {stage.token()}", "expired": f"Bearer {expired}",
        "of another router": f"Bearer {foreign}", "of another room": f"Bearer {stage.token(room='other')}",
        "the signing secret": f"Bearer {SECRET}",
    }  # fmt: skip
    one = {what: [("Authorization", value)] for what, value in credentials.items()}
    twice = [("Authorization", f"Bearer {WRITER}"), ("Authorization", "Bearer wrong")]
    elsewhere = [("X-Authorization", f"Bearer {WRITER}"), ("Cookie", f"token={WRITER}; access_token={WRITER}")]
    return {"none": [], **one, "two headers": twice, "other headers": elsewhere}


async def ask(stage: Stage, operation: Operation, headers: Any, query: str = "") -> httpx.Response:
    content = b"{}" if operation.changes else None
    fields = [*headers, *([("Content-Type", "application/json")] if content else [])]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    return await stage.admin.request(operation.method, stage.fill(operation.path) + query, headers=raw, content=content)


def check_refusal(reply: httpx.Response, what: str, status: int) -> list[str]:
    if reply.status_code != status:
        return [f"{what}: {reply.status_code}"]
    if reply.request.method == "HEAD":
        return []
    wrong = list(check_problem(reply, what))
    if (reply.headers.get("www-authenticate") == "Bearer") != (status == 401):
        wrong.append(f"{what}: WWW-Authenticate")
    told = reply.text + str(reply.headers)
    return wrong + [f"{what}: tells a secret" for secret in (WRITER, READER, SECRET) if secret in told]


@on_stage
async def test_no_route_serves_without_a_good_token(stage: Stage) -> None:
    operations = [operation for operation in stage.operations if operation.path not in NEED_NO_TOKEN]
    assert len(operations) >= 13
    before, wrong = stage.state(), []
    odd = {next(operation.path for operation in operations if operation.changes), "/v1/rooms"}
    for what, headers in bad_tokens(stage).items():
        for operation in operations:
            if what in ON_EVERY_ROUTE or operation.path in odd:
                reply = await ask(stage, operation, headers, f"?access_token={WRITER}&token={WRITER}")
                wrong += check_refusal(reply, f"{operation}, {what}", 401)
    assert wrong == []
    assert stage.state() == before


@on_stage
async def test_a_reading_token_changes_nothing(stage: Stage) -> None:
    changing = [operation for operation in stage.operations if operation.changes]
    assert len(changing) >= 2
    before, wrong = stage.state(), []
    for operation in changing:
        wrong += check_refusal(await ask(stage, operation, bearer(READER).items()), str(operation), 403)
    assert wrong == []
    assert stage.state() == before


@on_stage
async def test_what_needs_no_token_is_listed_only_reads_and_knows_nothing(stage: Stage) -> None:
    """The list is complete, has nothing too much, and what it names tells neither names nor ids."""
    paths = {operation.path for operation in stage.operations}
    assert set(NEED_NO_TOKEN) <= paths
    for operation in stage.operations:
        if operation.path in NEED_NO_TOKEN:
            assert not operation.changes, operation
            reply = await ask(stage, operation, [])
            assert reply.status_code in (200, 307), (operation, reply.text)
            assert not [value for value in (stage.values["participant"], stage.values["track"]) if value in reply.text]


def test_a_route_that_no_document_names_is_found() -> None:
    hidden, app = APIRouter(), FastAPI()
    hidden.add_api_route(
        "/v1/hidden", test_a_route_that_no_document_names_is_found, methods=["POST"], include_in_schema=False
    )
    app.include_router(hidden, prefix="/below")
    assert Operation("POST", "/below/v1/hidden", described=False) in list_operations(app)


@on_stage
async def test_admin_tokens_are_nothing_at_the_public_port(stage: Stage) -> None:
    session = next(iter(stage.server.registry.rooms["lobby"].participants["ada"].sessions))
    before = stage.state()
    for token in (WRITER, READER, SECRET):
        for method, path in (
            ("POST", "/whip/lobby"), ("POST", "/whep/lobby"), ("POST", "/rooms/lobby/forks"),
            ("PATCH", f"/whip/lobby/{session}"), ("DELETE", f"/whip/lobby/{session}"),
            ("GET", f"/whip/lobby/{session}"), ("GET", "/rooms/lobby/offer"), ("GET", "/rooms/lobby/roster"),
            ("GET", "/rooms/lobby/ice-servers"), ("OPTIONS", "/whip/lobby"),
        ):  # fmt: skip
            reply = await stage.public.request(method, path, headers=bearer(token))
            assert (reply.status_code, reply.json()["slug"]) == (401, "bad-token"), path
        url = f"ws://127.0.0.1:{stage.server.public_port}/rooms/lobby/events?access_token={token}"
        async with websockets.connect(url) as socket:
            assert "bad-token" in await socket.recv()
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 4401
    assert stage.state() == before


@on_stage
async def test_the_admin_port_has_no_websockets(stage: Stage) -> None:
    for path in ("/", "/v1/events", "/rooms/lobby/events", "/dashboard"):
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with websockets.connect(f"ws://127.0.0.1:{stage.server.admin_port}{path}"):
                pass
        assert caught.value.response.status_code == 403


def test_every_known_token_is_compared_and_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equally long digests, and without stopping at the first that fits."""
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    tokens = AdminTokens([AdminToken("a", WRITER), AdminToken("b", READER, "read"), AdminToken("c", SECRET)])
    for given, found in ((WRITER, "a"), (READER, "b"), (SECRET, "c"), ("", None), ("x" * 10_000, None)):
        compared.clear()
        token = tokens.find(given)
        assert (token.name if token else None) == found
        assert [(len(one), len(other)) for one, other in compared] == [(32, 32)] * 3
