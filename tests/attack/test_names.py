"""Names, from the token to the last place where they turn up: as they were given, or refused with a reason.

They go through URLs, the admin API, server-sent events, Redis keys, logs and metrics; nowhere may one become a second
line, another key, a label or another name.
"""

import io
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx
import jwt
import pytest
from prometheus_client.parser import text_string_to_metric_families

from router import clock
from tests.attack.names import REFUSED, REFUSED_ROOMS, SERVED
from tests.attack.stage import SECRET, WRITER, Operation, Stage, attack_settings, bearer, check_problem, run_stage
from tests.cluster.conftest import open_redis
from tests.cluster.redis_servers import RedisServer, needs_redis, run_servers
from tests.cluster.waiting import until
from tests.rooms.fakes import publish_offer
from tests.signaling.public import SDP, text

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with run_servers([RedisServer(tmp_path)]) as (server,):
        yield server


def sign(room: str, identity: str, name: str = "", metadata: str = "") -> str:
    """As a backend signs that checks nothing."""
    video = {"room": room, "roomJoin": True}
    claims = {"sub": identity, "name": name, "metadata": metadata, "video": video}
    return jwt.encode({**claims, "exp": clock.wall_s() + 600}, SECRET, algorithm="HS256")


async def join(stage: Stage, room: str, token: str) -> httpx.Response:
    url = f"/whip/{quote(room, safe='')}"
    return await stage.public.post(
        url, content=text(publish_offer("audio")), headers={"Content-Type": SDP, **bearer(token)}
    )


@needs_redis
async def test_served_names_come_back_everywhere_as_they_were(redis: RedisServer, log: io.StringIO) -> None:
    changes = {"redis": {"url": redis.url, "prefix": "test", "node": "node:1"}, "public": {"requests_per_s": 0}}
    async with run_stage(attack_settings(**changes)) as stage:
        for name in SERVED.values():
            reply = await join(stage, name, sign(name, name, name, name))
            assert reply.status_code == 201, (name, reply.text)
            assert unquote(reply.headers["location"]).startswith(f"/whip/{name}/")
        await check_admin(stage)
        await check_events(stage)
        await check_store(redis)
        assert not await read_labels(stage) & set(SERVED.values())
    check_log(log, list(SERVED.values()))


async def read_labels(stage: Stage) -> set[str]:
    """All values of all labels, read as Prometheus does."""
    told = (await stage.admin.get("/metrics", headers=bearer(WRITER))).text
    samples = [sample for family in text_string_to_metric_families(told) for sample in family.samples]
    assert len(samples) > 50
    return {value for sample in samples for value in sample.labels.values()}


async def check_admin(stage: Stage) -> None:
    """Every room by its own URL and in the list, twins apart."""
    page = (await stage.admin.get("/v1/rooms?limit=200", headers=bearer(WRITER))).json()
    assert {room["name"] for room in page["items"]} == {*SERVED.values(), "lobby"}
    for name in SERVED.values():
        url = f"/v1/rooms/{quote(name, safe='')}"
        room = await stage.admin.get(url, headers=bearer(WRITER))
        assert (room.status_code, room.json()["name"]) == (200, name)
        (person,) = (await stage.admin.get(f"{url}/participants", headers=bearer(WRITER))).json()["items"]
        assert (person["identity"], person["name"], person["metadata"]) == (name, name, name)
    paged, cursor = [], ""
    while cursor is not None:
        page = (await stage.admin.get(f"/v1/rooms?limit=7{cursor}", headers=bearer(WRITER))).json()
        paged += [room["name"] for room in page["items"]]
        cursor = page["next_cursor"] and f"&cursor={quote(page['next_cursor'])}"
    assert sorted(paged) == sorted({*SERVED.values(), "lobby"})


async def check_events(stage: Stage) -> None:
    """Each event has its three lines, and its room is the one that was named."""
    first = next(iter(stage.server.events)).id
    for name in SERVED.values():
        headers = {**bearer(WRITER), "Last-Event-ID": first}
        async with stage.admin.stream("GET", "/v1/events", params={"room": name}, headers=headers) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 2000"
            block = [await anext(lines) for _ in range(5)]
        assert [line.partition(":")[0] for line in block] == ["", "id", "event", "data", ""], block
        assert json.loads(block[3].removeprefix("data: "))["room"]["name"] == name


async def check_store(redis: RedisServer) -> None:
    """Read by another node; every key of a room has one hash tag, which says the whole name."""
    eye = open_redis(redis.url)
    expected = sorted({*SERVED.values(), "lobby"})

    async def are_there() -> bool:
        return [room.name for room in await eye.read_rooms()] == expected

    await until(are_there, 10)
    for name in SERVED.values():
        assert (await eye.find_setup(name)) is not None
    await eye.close()
    keys = await redis.command("KEYS", "test:room:*")
    assert isinstance(keys, list)
    tags = {key[key.index("{") + 1 : key.index("}")] for key in keys}
    assert sorted(map(unquote, tags)) == expected
    assert all(key.count("{") == key.count("}") == 1 for key in keys)


def check_log(log: io.StringIO, names: list[str]) -> None:
    """A line is a JSON object, and nothing of what was named breaks one."""
    lines = [json.loads(line) for line in log.getvalue().split("\n") if line]
    rooms = {line.get("room") for line in lines if line["message"] == "room created"}
    assert set(names) <= rooms


async def test_refused_names_are_refused_wherever_a_token_brings_them() -> None:
    async with run_stage(attack_settings(public={"requests_per_s": 0})) as stage:
        wrong: list[str] = []
        before = stage.state()
        for what, name in REFUSED_ROOMS.items():
            reply = await join(stage, name, sign(name, "ada"))
            wrong += check_problem(reply, f"room, {what}")
            if reply.status_code not in (400, 401, 404, 405):
                wrong.append(f"room, {what}: {reply.status_code}")
        for what, name in REFUSED.items():
            for claim in ("identity", "name"):
                if (claim, what) == ("name", "empty"):
                    continue
                reply = await join(stage, "lobby", sign("lobby", **{"identity": "mallory", claim: name}))
                wrong += check_problem(reply, f"{claim}, {what}")
                if reply.status_code != 401 or {"identity": "sub"}.get(claim, claim) not in reply.json()["detail"]:
                    wrong.append(f"{claim}, {what}: {reply.status_code} {reply.text}")
        assert wrong == []
        assert stage.state() == before


# -- every text of every route of the admin port -----------------------------------------------------------------

ODD = {**SERVED, **REFUSED_ROOMS, "lone surrogate": "\ud800"}


def texts_of(schema: Mapping[str, Any], document: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, ...]]:
    """Where a body of this schema has texts, as paths of names."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from texts_of(part, document, depth)
    if schema.get("type") == "string":
        yield ()
    elif depth < 4:
        for name, part in schema.get("properties", {}).items():
            yield from ((name, *rest) for rest in texts_of(part, document, depth + 1))


def put(path: tuple[str, ...], value: str) -> Any:
    return {path[0]: put(path[1:], value)} if path else value


def requests_with(
    operation: Operation, document: Mapping[str, Any], stage: Stage, odd: str
) -> Iterator[dict[str, Any]]:
    """One request for each place that takes a text."""
    described = document["paths"].get(operation.path, {}).get(operation.method.lower(), {})
    existing = stage.fill(operation.path)
    encoded = quote(odd.encode(errors="surrogatepass"), safe="")
    names = [item["name"] for item in described.get("parameters", ()) if item["in"] == "path"]
    for name in names:
        yield {"url": stage.fill(operation.path, **{name: encoded})}
    for item in described.get("parameters", ()):
        if item["in"] == "query":
            yield {"url": f"{existing}?{item['name']}={encoded}"}
        if item["in"] == "header" and odd == odd.strip() and not set(odd) & set("\0\r\n"):
            yield {"url": existing, "headers": {item["name"].encode(): odd.encode(errors="surrogatepass")}}
    body = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for path in sorted(set(texts_of(body, document))):
        yield {"url": existing, "content": json.dumps(put(path, odd)).encode()}


@pytest.mark.asyncio(loop_scope="package")
@pytest.mark.parametrize("share", [48, pytest.param(1, marks=[pytest.mark.soak, pytest.mark.timeout(0)])])
async def test_every_text_of_the_admin_api_is_taken_or_refused(stage: Stage, share: int) -> None:
    """Never a 500, never a header or a line more; of every `share` pairs of place and name one is tried."""
    document, wrong, count = stage.app.openapi(), [], 0
    operations = [operation for operation in stage.operations if operation.described and not operation.streams]
    for operation in operations:
        await stage.people()
        for what, odd in ODD.items():
            for request in requests_with(operation, document, stage, odd):
                count += 1
                if count % share == 0:
                    wrong += await try_request(stage, operation, request, what)
    await stage.people()
    print(f"{count // share} requests")
    assert wrong == []
    assert not await read_labels(stage) & (set(ODD.values()) - {"", "null"})


async def try_request(stage: Stage, operation: Operation, request: Mapping[str, Any], what: str) -> list[str]:
    headers = {b"Authorization": b"Bearer " + WRITER.encode(), b"Content-Type": b"application/json"}
    given = {**request, "headers": {**headers, **request.get("headers", {})}}
    named = f"{operation}, {what}, {request['url'][:80]}"
    try:
        reply = await stage.admin.request(operation.method, **given)
    except httpx.TimeoutException:
        return [f"{named}: no answer"]
    wrong = list(check_problem(reply, named)) if reply.status_code >= 400 else []
    if reply.status_code >= 500 and reply.status_code != 503:
        wrong.append(f"{named}: {reply.status_code}")
    if "set-cookie" in reply.headers:
        wrong.append(f"{named}: a header")
    return wrong
