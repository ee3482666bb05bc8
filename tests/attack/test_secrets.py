"""Secrets planted in the settings, and those that a call makes, are looked for wherever a router with Redis writes.

In every reply to a reader of the admin port, in the log at its most talkative, in metrics, and in every key of Redis:
only the room's secret is stored, under the one key that is for it.
"""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from redis.asyncio import Redis

from tests.attack.stage import READER, ROOM, SECRET, WRITER, Stage, attack_settings, bearer, run_stage
from tests.cluster.redis_servers import RedisServer, needs_redis, run_servers
from tests.cluster.waiting import until
from tests.rooms.fakes import play_offer
from tests.signaling.public import SDP, text

pytestmark = [pytest.mark.e2e, needs_redis, pytest.mark.timeout(120)]

PLANTED = {
    "signing": SECRET,
    "admin": WRITER,
    "reader": READER,
    "turn": "canary-turn-0123456789-secret",
    "redis": "canary-redis-0123456789",
    "webhooks": "canary-hooks-0123456789-abcdefghij",
    "webhook": "canary-path-0123456789",
}
USER = "router"


def settings(server: RedisServer) -> Any:
    return attack_settings(
        redis={"url": server.url.replace("://", f"://{USER}:{PLANTED['redis']}@"), "prefix": "test"},
        turn={"urls": ["turn:turn.example.org:3478"], "secret": PLANTED["turn"]},
        webhooks={"urls": [f"https://hooks.invalid/{PLANTED['webhook']}"], "secret": PLANTED["webhooks"]},
    )


@asynccontextmanager
async def open_stage(server: RedisServer) -> AsyncIterator[Stage]:
    await server.command("ACL", "SETUSER", USER, "on", f">{PLANTED['redis']}", "~*", "&*", "+@all")
    async with run_stage(settings(server)) as stage:
        yield stage


async def read_redis(server: RedisServer) -> dict[str, str]:
    """Every key with all that is in it, whatever its type."""
    redis: Any = Redis.from_url(server.url, decode_responses=True)
    found: dict[str, str] = {}
    async for key in redis.scan_iter("*"):
        kind = await redis.type(key)
        if kind == "string":
            found[key] = str(await redis.get(key))
        elif kind == "zset":
            found[key] = str(await redis.zrange(key, 0, -1))
        else:
            assert kind == "stream", f"{key} is a {kind}: to be read here too"
            found[key] = str(await redis.xrange(key))
    await redis.aclose()
    return found


@pytest.mark.asyncio(loop_scope="package")  # else the router of the other attacks would find that its loop stood still
async def test_no_secret_is_written_where_it_does_not_belong(tmp_path: Path, log: io.StringIO) -> None:
    async with run_servers([RedisServer(tmp_path)]) as (server,), open_stage(server) as stage:
        token, refused = stage.token("mallory"), stage.token("ada", room="other")
        told = await talk(stage, token, refused)
        stored = await until_stored(server)
        context = stage.server.registry.rooms[ROOM].origin.context
        made = {"token": token, "refused token": refused, "room's secret": context.secret.hex()}
        told += [text for reply in await read_everything(stage) for text in reply]
    told.append(log.getvalue())
    assert log.getvalue().count("\n") > 20, "there is a log to look at"
    secrets = {**PLANTED, **made}
    assert [name for name, secret in secrets.items() for text in told if secret in text] == []
    keys = {name: [key for key, value in stored.items() if secret in key + value] for name, secret in secrets.items()}
    (own,) = keys.pop("room's secret")
    assert own.endswith(":context")
    assert [name for name, found in keys.items() if found] == []


async def talk(stage: Stage, token: str, refused: str) -> list[str]:
    """What people do, and what they are told; a token's own owner is not told it again."""
    headers = {"Content-Type": SDP, **bearer(token)}
    joined = await stage.public.post(f"/whep/{ROOM}", content=text(play_offer()), headers=headers)
    assert joined.status_code == 201
    assert any("turn:" in value for value in joined.headers.get_list("link")), "credentials, not their secret"
    told = [joined.text, str(joined.headers)]
    for given in (token, refused):
        for path in ("roster", "ice-servers", "offer"):
            reply = await stage.public.get(f"/rooms/{ROOM}/{path}?access_token={given}", headers=bearer(given))
            told += [reply.text, str(reply.headers)]
        url = f"ws://127.0.0.1:{stage.server.public_port}/rooms/{ROOM}/events?access_token={given}"
        async with websockets.connect(url) as socket:
            told.append(str(await socket.recv()))
    revoked = await stage.admin.post("/v1/tokens/revocations", json={"identity": "mallory"}, headers=bearer(WRITER))
    assert revoked.status_code == 201
    return [*told, revoked.text]


async def read_everything(stage: Stage) -> list[tuple[str, str]]:
    """Every route that may be read and has an end."""
    replies = []
    for operation in stage.operations:
        if operation.method == "GET" and not operation.streams:
            reply = await stage.admin.get(stage.fill(operation.path), headers=bearer(READER))
            assert reply.status_code < 500, operation
            replies.append((reply.text, str(reply.headers)))
    assert len(replies) > 15
    return replies


async def until_stored(server: RedisServer) -> dict[str, str]:
    """Once the room, the revocation and events are there."""

    async def are_there() -> bool:
        keys = " ".join(await read_redis(server))
        return all(word in keys for word in (":context", "revoked", ":events"))

    await until(are_there, 20)
    return await read_redis(server)


def test_json_escapes_hide_none_of_them() -> None:
    """What is looked for as it is would be missed if writing it as JSON changed it."""
    assert [secret for secret in PLANTED.values() if json.dumps(secret)[1:-1] != secret] == []
