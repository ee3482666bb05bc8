"""Every key of `router.cluster.keys`, poisoned in every way: refused by schema, counted, no error logged, and the
router whose keys they are serves on and makes them whole again.

A key without its poison here fails the first test.
"""

import contextlib
import json
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from router import clock
from router.cluster.entries import write, write_setup
from router.cluster.event_stream import EventStream
from router.cluster.keys import Keys
from router.cluster.redis_errors import StoreError
from router.cluster.redis_store import RedisStore
from router.cluster.revoked_tokens import RedisRevokedTokens
from router.metrics import Metrics
from router.rooms.revocation import REMOVED, REVOKED, Reason, Revocation
from tests.attack.stage import ROOM, WRITER, Stage, attack_settings, bearer, run_stage
from tests.cluster.conftest import HOME, SETUP, node, open_redis, room
from tests.cluster.redis_servers import RedisServer, needs_redis, run_servers
from tests.cluster.waiting import until

pytestmark = [needs_redis, pytest.mark.timeout(120)]

KEYS: Final = Keys("test")
NODE: Final = "N_1"
Words = tuple[str, ...]
LATE_S: Final = 2.0**52


def of_another_type(key: str, *, sorted_set: bool = False) -> Iterator[list[Words]]:
    yield [("DEL", key), ("SADD", key, "poison")]
    yield [("DEL", key), ("HSET", key, "a", "b")]
    yield [("DEL", key), ("RPUSH", key, "a")]
    if not key.endswith(":events"):
        yield [("DEL", key), ("XADD", key, "*", "a", "b")]
    yield [("DEL", key), ("SET", key, "poison") if sorted_set else ("ZADD", key, "1", "a")]


def texts(key: str, good: str, another: str) -> Iterator[list[Words]]:
    """What is no value of this key, though it is a text."""
    fields = json.loads(good)
    bad = [good[:-1], good[: len(good) // 2], "{}", "[]", "null", "\0\xff", "x" * 1_000_000, "[" * 60_000, another]
    bad += [json.dumps({**fields, "v": version}) for version in (2, 0, "1", None, True)]
    bad += [json.dumps({**fields, "extra": 1}), json.dumps({name: fields[name] for name in list(fields)[:-1]})]
    for name in fields.keys() - {"v"}:
        odd: tuple[Any, ...] = (None, [], {"a": {}}, -1, "\n", 1e300, True, LATE_S)
        bad += [json.dumps({**fields, name: value}) for value in odd if not fits(name, value)]
    # A text that begins like a better one, read twice by lenient readers.
    bad.append(good[:-1] + "," + good[1:-1].replace('"v":1', '"v":2') + "}")
    yield from ([("DEL", key), ("SET", key, value)] for value in bad if value != good)


def fits(name: str, value: object) -> bool:
    """A room's configuration is any object, a load any number."""
    return (name == "config" and isinstance(value, dict)) or (name == "load" and value == LATE_S)


def numbers(key: str) -> Iterator[list[Words]]:
    bad = ["x", "-1", "1.5", " 1", "9" * 30, "1" * 1_000_000, str(int((clock.wall_s() + 10 * 86_400) * 1000)), "\0"]
    yield from ([("DEL", key), ("SET", key, value)] for value in bad)


def revocations(key: str, reason: Reason) -> Iterator[list[Words]]:
    now = clock.wall_s()
    one = Revocation("", ROOM, "ada", now, now + 100, reason)
    good = json.loads(one.write())
    odd: list[dict[str, Any]] = [
        {"identity": 5}, {"room": None}, {"identity": ""}, {"token_id": "a"}, {"identity": "a\nb"},
        {"identity": "x" * 1_000}, {"room": "a/b"}, {"revoked_at_s": "now"}, {"revoked_at_s": -1},
        {"revoked_at_s": now + 10 * 86_400}, {"expires_at_s": LATE_S}, {"expires_at_s": True}, {"extra": 1},
        {"reason": REMOVED if reason == REVOKED else REVOKED}, {"reason": 5},
    ]  # fmt: skip
    members = [json.dumps({**good, **change}) for change in odd]
    members += ["{", "[" * 1_000, "x" * 100_000, "\xff\0", '{"revoked_at_s": NaN}']
    for member in members:
        yield [("DEL", key), ("ZADD", key, str(now), member)]
    for score in ("inf", "1e300", str(now + 10 * 86_400)):
        yield [("DEL", key), ("ZADD", key, score, one.write())]


def names(key: str) -> Iterator[list[Words]]:
    """An index is a hint: what it names and is not there is left out, what is no name counts."""
    for member in ("x" * 5_000, "\udcff\udcfe"):
        yield [("ZADD", key, "9999999999", member)]


@dataclass(frozen=True, slots=True)
class Poison:
    """Of one member of `Keys`."""

    key: str
    kind: str | None
    """As it is counted; None: nobody reads it."""
    values: Callable[[], Iterator[list[Words]]]
    sorted_set: bool = False

    def ways(self) -> Iterator[list[Words]]:
        yield from of_another_type(self.key, sorted_set=self.sorted_set)
        yield from self.values()


def poisons() -> dict[str, Poison]:
    """By the name of the member."""
    config, context = write_setup(SETUP)
    a_room, a_node = write(room(ROOM, NODE, epoch=5)), write(node(NODE, epoch=5))
    another_room, another_node = write(room("another", NODE, epoch=5)), write(node("N_2", epoch=5))
    room_key, node_key = KEYS.room(ROOM), KEYS.node(NODE)
    keys = {"epoch": KEYS.epoch(room_key), "config": KEYS.config(room_key), "context": KEYS.context(room_key)}
    keys["home"] = KEYS.home(room_key)
    return {
        "schema": Poison(KEYS.schema, "schema", lambda: numbers(KEYS.schema)),
        "nodes": Poison(KEYS.nodes, "index", lambda: names(KEYS.nodes), sorted_set=True),
        "rooms": Poison(KEYS.rooms, "index", lambda: names(KEYS.rooms), sorted_set=True),
        "node": Poison(node_key, "node", lambda: texts(node_key, a_node, another_node)),
        "room": Poison(room_key, "room", lambda: texts(room_key, a_room, another_room)),
        "epoch": Poison(keys["epoch"], "epoch", lambda: numbers(keys["epoch"])),
        "config": Poison(keys["config"], "setup", lambda: texts(keys["config"], config, context)),
        "context": Poison(keys["context"], "setup", lambda: texts(keys["context"], context, config)),
        "home": Poison(keys["home"], "home", lambda: texts(keys["home"], write(HOME), config)),
        "revoked": Poison(KEYS.revoked, "revoked", lambda: revocations(KEYS.revoked, REVOKED), sorted_set=True),
        "removed": Poison(KEYS.removed, "revoked", lambda: revocations(KEYS.removed, REMOVED), sorted_set=True),
        "events": Poison(KEYS.events, "events", lambda: iter(()), sorted_set=True),
    }


def test_every_key_has_its_poison() -> None:
    members = {name for name, value in vars(Keys).items() if isinstance(value, property | FunctionType | staticmethod)}
    assert {name for name in members if not name.startswith("_")} == set(poisons())


@dataclass(frozen=True)
class Told:
    """An event."""

    id: str = "E_1"
    kind: str = "node_started"
    room: str | None = None
    text: str = "{}"


class Eye:
    """Another node, which reads everything and counts for itself."""

    def __init__(self, server: RedisServer) -> None:
        self.metrics = Metrics()
        self.store: RedisStore = open_redis(server.url, self.metrics)
        self.events = EventStream(self.store._link, KEYS, self.metrics, max_entries=10)
        self.revoked, self.removed = self._open(KEYS.revoked, REVOKED), self._open(KEYS.removed, REMOVED)

    def _open(self, key: str, reason: Reason) -> RedisRevokedTokens[Revocation]:
        parse = partial(Revocation.read, reason=reason)
        return RedisRevokedTokens(self.store._link, key, parse, self.metrics, limit=1_000)

    def refused(self, kind: str) -> float:
        return self.metrics.registry.get_sample_value("sfu_store_values_refused_total", {"kind": kind}) or 0.0

    async def look(self) -> None:
        """Everything that is ever read; a `StoreError` is an answer, anything else is a crash."""
        store = self.store
        reads: list[Callable[[], Awaitable[object]]] = [
            store.check,
            store.read_nodes,
            store.read_rooms,
            lambda: store.find_room(ROOM),
            lambda: store.find_setup(ROOM),
            lambda: store.refresh_rooms([room(ROOM, NODE, epoch=5)]),
            lambda: store.write_rooms([room(ROOM, "N_3", epoch=1)], {}),
            lambda: self.revoked.read(-math.inf),
            self.revoked.check,
            lambda: self.removed.read(-math.inf),
            self.removed.check,
            lambda: self.events.append([Told()]),
        ]
        for read in reads:
            with contextlib.suppress(StoreError):
                await read()


@pytest.mark.parametrize("name", poisons())
async def test_poison_is_refused_and_counted(server: RedisServer, name: str, caplog: pytest.LogCaptureFixture) -> None:
    poison = poisons()[name]
    uncounted = []
    eye = Eye(server)
    redis = server.client()
    for way in poison.ways():
        await redis.flushall()
        for key, text in good_values().items():
            await redis.set(key, text)
        await redis.zadd(KEYS.nodes, {NODE: 9_999_999_999})
        await redis.zadd(KEYS.rooms, {ROOM: 9_999_999_999})
        await apply(redis, way)
        before = eye.refused(poison.kind) if poison.kind else 0
        await eye.look()
        if poison.kind and eye.refused(poison.kind) == before:
            uncounted.append([word[:100] for word in way[-1]])
    await redis.aclose()
    await eye.store.close()
    assert uncounted == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert "poison" not in caplog.text


async def apply(redis: Redis, way: list[Words]) -> None:
    for words in way:
        command: Any = redis.execute_command
        await command(*(word.encode(errors="surrogateescape") for word in words))


def good_values() -> dict[str, str]:
    room_key, node_key = KEYS.room(ROOM), KEYS.node(NODE)
    config, context = write_setup(SETUP)
    return {
        KEYS.schema: "1",
        node_key: write(node(NODE, epoch=5)), KEYS.epoch(node_key): "5",
        room_key: write(room(ROOM, NODE, epoch=5)), KEYS.epoch(room_key): "5",
        KEYS.config(room_key): config, KEYS.context(room_key): context, KEYS.home(room_key): write(HOME),
    }  # fmt: skip


@asynccontextmanager
async def run_with_redis(directory: Path) -> AsyncIterator[tuple[RedisServer, Stage]]:
    async with run_servers([RedisServer(directory)]) as (server,):
        redis = {"url": server.url, "prefix": "test", "node": NODE, "ttl_s": 5.0}
        async with run_stage(attack_settings(redis=redis)) as stage:
            yield server, stage


@pytest.mark.e2e
async def test_a_router_serves_on_and_makes_its_keys_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All keys at once, as another type and as text; then the poison is gone from what is the router's own."""
    async with run_with_redis(tmp_path) as (server, stage):
        eye, redis = open_redis(server.url), server.client()

        async def is_whole() -> bool:
            try:
                await eye.check()
                rooms, nodes = await eye.read_rooms(), await eye.read_nodes()
                return [r.name for r in rooms] == [ROOM] and [n.id for n in nodes] == [NODE] and await has_setup()
            except StoreError:
                return False

        async def has_setup() -> bool:
            return await eye.find_setup(ROOM) is not None

        await until(is_whole)
        for number, which in enumerate((0, -1)):
            for name, poison in poisons().items():
                ways = list(poison.ways())
                if name != "schema":
                    await apply(redis, ways[which])
            await server.command("SET", KEYS.schema, "9")
            await stage.join("whep", f"guest{number}")
            reply = await stage.admin.post(
                "/v1/tokens/revocations", json={"token_id": f"t{number}"}, headers=bearer(WRITER)
            )
            assert reply.status_code == 201
            assert (await stage.admin.get("/v1/tokens/revocations", headers=bearer(WRITER))).status_code == 200
            assert (await stage.admin.get("/readyz")).status_code == 200
            await server.command("SET", KEYS.schema, "1")
            await until(is_whole, 15.0)
            assert list(stage.server.registry.rooms) == [ROOM]
        await eye.close()
        await redis.aclose()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
