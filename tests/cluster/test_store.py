"""What both stores promise, and what only Redis has: keys, times to live, a version, revoked tokens, a stream."""

import asyncio
import json
from dataclasses import dataclass, replace

import pytest

from router import clock
from router.cluster.event_stream import EventStream
from router.cluster.keys import Keys
from router.cluster.redis_link import RedisLink
from router.cluster.redis_store import RedisStore
from router.cluster.revoked_tokens import RedisRevokedTokens
from router.cluster.store import Store, StoreError
from router.metrics import Metrics
from tests.cluster.conftest import SETUP, OpenStores, node, open_redis, room
from tests.cluster.redis_servers import RedisServer, needs_redis

NASTY_NAMES = ["a}b", "}", "{}", "a:b*?[x]", "%7D", "ü{ö}", "a b", ":epoch", "x:config"]


async def write(store: Store, name: str, node_id: str = "N_1", participants: int = 1) -> int:
    (stands,) = await store.write_rooms([room(name, node_id, participants)], {name: SETUP})
    assert stands.node == node_id
    return stands.epoch


async def test_nodes_come_and_go(open_stores: OpenStores) -> None:
    store = open_stores()
    one, was_there = await store.write_node(node("N_1"))
    assert one.epoch > 0
    assert not was_there
    two, _ = await store.write_node(node("N_2"))
    assert await store.read_nodes() == [one, two]
    busy, was_there = await store.write_node(replace(one, load=0.5, state="draining"))
    assert was_there
    assert (await store.read_nodes())[0] == busy == replace(one, load=0.5, state="draining")
    await store.remove_node(two)
    assert await store.read_nodes() == [busy]


async def test_a_later_life_of_a_node_fences_the_earlier_one(open_stores: OpenStores) -> None:
    old_store, new_store = open_stores(), open_stores()
    old, _ = await old_store.write_node(node())
    new, _ = await new_store.write_node(node())
    assert new.epoch > old.epoch
    stands, _ = await old_store.write_node(replace(old, load=0.9))
    assert stands.epoch == new.epoch
    await old_store.remove_node(old)
    assert await new_store.read_nodes() == [new]


async def test_rooms_are_claimed_written_and_removed(open_stores: OpenStores) -> None:
    store = open_stores()
    await store.write_node(node())
    epoch = await write(store, "b")
    await write(store, "a", participants=3)
    assert [r.name for r in await store.read_rooms()] == ["a", "b"]
    grown = room("b", participants=2, epoch=epoch)
    assert await store.write_rooms([grown], {}) == [grown]
    assert await store.find_room("b") == grown
    assert await store.find_setup("b") == SETUP
    assert await store.find_room("never") is None
    assert await store.find_setup("never") is None
    await store.remove_rooms([grown, room("never", epoch=5)])
    assert [r.name for r in await store.read_rooms()] == ["a"]
    assert await store.find_setup("b") is None


@pytest.mark.parametrize("name", NASTY_NAMES)
async def test_names_are_only_names(open_stores: OpenStores, name: str) -> None:
    store = open_stores()
    await store.write_node(node())
    await write(store, name)
    await write(store, "other")
    assert sorted(r.name for r in await store.read_rooms()) == sorted([name, "other"])
    assert await store.find_setup(name) == SETUP


async def test_a_name_that_a_living_node_has_cannot_be_claimed(open_stores: OpenStores) -> None:
    one, two = open_stores(), open_stores()
    await one.write_node(node("N_1"))
    await two.write_node(node("N_2"))
    epoch = await write(one, "a")
    assert await two.write_rooms([room("a", "N_2")], {"a": replace(SETUP, version=7)}) == [room("a", epoch=epoch)]
    assert await two.find_setup("a") == SETUP
    assert await one.refresh_rooms([room("a", epoch=epoch)]) == []


async def test_a_node_thought_dead_does_not_overwrite_who_came_after_it(open_stores: OpenStores) -> None:
    zombie, successor = open_stores(), open_stores()
    dead, _ = await zombie.write_node(node("N_1"))
    await successor.write_node(node("N_2"))
    old = await write(zombie, "a")
    await successor.remove_node(dead)  # as if it had expired
    assert await successor.read_rooms() == []
    assert await successor.find_room("a") is None
    new = await write(successor, "a", "N_2")
    assert new > old
    await zombie.write_node(dead)
    assert await zombie.refresh_rooms([room("a", epoch=old)]) == [room("a", epoch=old)]
    assert await zombie.write_rooms([room("a", epoch=old)], {}) == [room("a", "N_2", epoch=new)]
    await zombie.remove_rooms([room("a", epoch=old)])
    assert await successor.find_room("a") == room("a", "N_2", epoch=new)
    assert [found.node for found in await successor.read_rooms()] == ["N_2"]


async def test_many_rooms(open_stores: OpenStores) -> None:
    store = open_stores()
    await store.write_node(node())
    rooms = [room(f"room-{number:04}") for number in range(1200)]
    written = await store.write_rooms(rooms, {r.name: SETUP for r in rooms})
    assert await store.read_rooms() == written
    assert await store.refresh_rooms(written) == []


@needs_redis
async def test_the_successor_left_and_the_zombie_still_does_not_come_back(server: RedisServer) -> None:
    zombie, successor = open_redis(server.url), open_redis(server.url)
    dead, _ = await zombie.write_node(node("N_1"))
    await successor.write_node(node("N_2"))
    old = await write(zombie, "a")
    await successor.remove_node(dead)
    await successor.remove_rooms([room("a", "N_2", epoch=await write(successor, "a", "N_2"))])
    (stands,) = await zombie.write_rooms([room("a", epoch=old)], {})
    assert stands.node != "N_1"
    assert await successor.find_room("a") is None
    await zombie.close()
    await successor.close()


@needs_redis
async def test_two_claim_one_name_at_once(server: RedisServer) -> None:
    stores = [open_redis(server.url) for _ in range(4)]
    for number, store in enumerate(stores):
        await store.write_node(node(f"N_{number}"))
    for name in (f"room-{number}" for number in range(20)):
        claims = [store.write_rooms([room(name, f"N_{number}")], {}) for number, store in enumerate(stores)]
        stand = [result[0] for result in await asyncio.gather(*claims)]
        assert len({(r.node, r.epoch) for r in stand}) == 1
    for store in stores:
        await store.close()


@needs_redis
async def test_keys_have_a_tag_and_a_time_to_live(server: RedisServer, redis_store: RedisStore) -> None:
    await redis_store.write_node(node())
    await write(redis_store, "a")
    tagged = ["test:room:{a}", "test:room:{a}:config", "test:room:{a}:context", "test:room:{a}:epoch"]
    others = ["test:node:{N_1}", "test:node:{N_1}:epoch", "test:nodes", "test:rooms", "test:schema"]
    keys = await server.command("KEYS", "*")
    assert isinstance(keys, list)
    assert sorted(keys) == sorted([*others, *tagged])
    for key in [*tagged, *others[:2]]:
        left = await server.command("PTTL", key)
        assert isinstance(left, int)
        assert 0 < left <= 3_600_000


@needs_redis
async def test_the_secret_is_under_its_own_key_only(server: RedisServer, redis_store: RedisStore) -> None:
    await redis_store.write_node(node())
    await write(redis_store, "a")
    keys = ("test:room:{a}", "test:room:{a}:config", "test:room:{a}:context", "test:node:{N_1}")
    texts = {key: str(await server.command("GET", key)) for key in keys}
    assert [key for key in keys if SETUP.secret.hex() in texts[key]] == ["test:room:{a}:context"]


@needs_redis
async def test_a_newer_schema_is_refused_and_an_older_one_raised(server: RedisServer, redis_store: RedisStore) -> None:
    await server.command("SET", "test:schema", "2")
    with pytest.raises(StoreError, match="schema"):
        await redis_store.check()
    for refused in (redis_store.write_node(node()), redis_store.read_rooms(), redis_store.write_rooms([room("a")], {})):
        with pytest.raises(StoreError, match="schema"):
            await refused
    assert redis_store.describe() == {"kind": "redis", "mode": "single", "up": False, "error": "schema"}
    assert await server.command("GET", "test:schema") == "2"
    await server.command("SET", "test:schema", "0")
    await redis_store.check()
    assert await server.command("GET", "test:schema") == "1"
    await redis_store.write_node(node())
    assert redis_store.describe()["up"] is True


@dataclass(frozen=True)
class Revoked:
    id: str
    revoked_at_s: float
    expires_at_s: float

    def write(self) -> str:
        return json.dumps([self.id, self.revoked_at_s, self.expires_at_s])


def parse_revoked(text: str) -> Revoked:
    fields = json.loads(text)
    if not isinstance(fields, list) or len(fields) != 3:
        raise ValueError("expected three fields")
    return Revoked(*fields)


@needs_redis
async def test_revoked_tokens_are_a_feed_and_expire(server: RedisServer, link: RedisLink) -> None:
    metrics, now = Metrics(), clock.wall_s()
    tokens = RedisRevokedTokens(link, Keys("test"), parse_revoked, metrics, now_s=lambda: now)
    old, new = Revoked("old", now - 100, now + 50), Revoked("new", now - 1, now + 500)
    for revoked in (old, new, new):
        await tokens.add(revoked)
    assert sorted(found.id for found in await tokens.read(0)) == ["new", "old"]
    assert await tokens.read(now - 5) == [new]
    await server.command("ZADD", "test:{revoked}:since", str(now), "poison")
    assert await tokens.read(now - 5) == [new]
    assert metrics.registry.get_sample_value("sfu_store_values_refused_total", {"kind": "revoked"}) == 1
    now += 100
    assert await tokens.read(0) == [new]
    assert await server.command("ZRANGE", "test:{revoked}:until", "0", "-1") == [new.write()]


@dataclass(frozen=True)
class Event:
    id: str
    kind: str = "room-created"
    room: str | None = "a"
    text: str = "{}"


@needs_redis
async def test_events_are_appended_in_order_and_the_stream_is_trimmed(server: RedisServer, link: RedisLink) -> None:
    stream = EventStream(link, Keys("test"), Metrics(), max_entries=200)
    await stream.append([Event(f"E-{number}") for number in range(1000)])
    await stream.append([Event("large", text="x" * 300_000), Event("last", room=None)])
    length = await server.command("XLEN", "test:events")
    assert isinstance(length, int)
    assert 200 <= length < 400
    last = await server.command("XREVRANGE", "test:events", "+", "-", "COUNT", "2")
    assert isinstance(last, list)
    assert last[0][1] == {"id": "last", "kind": "room-created", "room": "", "event": "{}"}
    assert last[1][1]["id"] == "E-999"


async def test_a_redis_that_is_gone_is_a_store_error() -> None:
    store = open_redis("unix:///none/redis.sock")
    with pytest.raises(StoreError, match="connection"):
        await store.write_node(node())
    with pytest.raises(StoreError):
        await store.check()
    assert store.describe() == {"kind": "redis", "mode": "single", "up": False, "error": "connection"}
    await store.close()
