"""What both stores promise, and what only Redis has: keys, times to live, a version, a stream."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest

from router import clock
from router.cluster.entries import MAX_VALUE_BYTES
from router.cluster.event_stream import EventStream
from router.cluster.keys import Keys
from router.cluster.redis_connections import MAX_CONNECTIONS
from router.cluster.redis_link import RedisLink
from router.cluster.redis_store import RedisStore
from router.cluster.redis_values import bounded_get
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


async def test_a_node_that_was_heard_of_since_is_not_removed(open_stores: OpenStores) -> None:
    store = open_stores()
    silent, _ = await store.write_node(node(seen_s=1000.0))
    spoke, _ = await store.write_node(replace(silent, seen_s=1003.0))
    await store.remove_node(silent)
    assert await store.read_nodes() == [spoke]
    await store.remove_node(replace(spoke, seen_s=1004.0))
    assert await store.read_nodes() == []


async def test_the_owner_of_a_room_and_how_long_it_is_silent(open_stores: OpenStores) -> None:
    store = open_stores()
    here, _ = await store.write_node(node())
    await write(store, "a")
    owner = await store.find_owner("a")
    assert owner is not None
    assert owner.node == here
    assert 0 <= owner.silent_s < 0.5
    await asyncio.sleep(0.3)  # Redis counts by its own clock
    later = await store.find_owner("a")
    assert later is not None
    assert owner.silent_s + 0.25 < later.silent_s < 2.0
    await store.write_node(here)
    again = await store.find_owner("a")
    assert again is not None
    assert again.silent_s < 0.25
    assert await store.find_owner("never") is None
    await store.remove_node(here)
    assert await store.find_owner("a") is None


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


@needs_redis
async def test_what_a_room_was_made_of_may_stay_when_it_goes(server: RedisServer) -> None:
    store = open_redis(server.url)
    await store.write_node(node())
    epoch = await write(store, "a")
    await store.remove_rooms([room("a", epoch=epoch)], forget=False)
    assert await store.read_rooms() == []
    assert await store.find_room("a") is None
    assert await store.find_setup("a") == replace(SETUP, home=None), "there it is no more"
    await store.remove_rooms([room("a", epoch=await write(store, "a"))])
    assert await store.find_setup("a") is None
    await store.close()


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
    assert await successor.find_owner("a") is None
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
@pytest.mark.parametrize("fault", [("DEL", "test:nodes"), ("ZREM", "test:nodes", "N_1"), ("SET", "test:nodes", "x")])
async def test_a_living_node_keeps_its_names_though_the_index_lacks_it(
    server: RedisServer, fault: tuple[str, ...]
) -> None:
    one, two = open_redis(server.url), open_redis(server.url)
    await one.write_node(node("N_1"))
    epoch = await write(one, "a")
    await two.write_node(node("N_2"))
    await server.command(*fault)
    assert await two.write_rooms([room("a", "N_2")], {}) == [room("a", epoch=epoch)]
    await one.close()
    await two.close()


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
async def test_a_later_life_of_a_node_left_and_the_earlier_one_still_does_not_come_back(server: RedisServer) -> None:
    old_store, new_store = open_redis(server.url), open_redis(server.url)
    old, _ = await old_store.write_node(node())
    new, _ = await new_store.write_node(node())
    await new_store.remove_node(new)
    stands, _ = await old_store.write_node(replace(old, load=0.9))
    assert stands.epoch == new.epoch
    assert await new_store.read_nodes() == []
    await old_store.close()
    await new_store.close()


@needs_redis
async def test_names_of_what_expired_leave_the_index(server: RedisServer) -> None:
    now_s = clock.wall_s()
    store = open_redis(server.url)
    store._now_s = lambda: now_s
    await store.write_node(node("N_1"))
    await write(store, "a")
    now_s += 200
    await store.write_node(node("N_2"))
    await store.write_node(node("N_3"))
    await write(store, "b", "N_2")
    await store.remove_node((await store.read_nodes())[-1])
    assert await server.command("ZRANGE", "test:nodes", "0", "-1") == ["N_2"]
    assert await server.command("ZRANGE", "test:rooms", "0", "-1") == ["b"]
    await store.close()


@needs_redis
async def test_rooms_and_what_they_are_made_of_live_as_long_as_they_are_refreshed(
    server: RedisServer, redis_store: RedisStore
) -> None:
    await redis_store.write_node(node())
    kept = room("a", epoch=await write(redis_store, "a"))
    keys = ["test:room:{a}", "test:room:{a}:epoch", "test:room:{a}:config", "test:room:{a}:context"]
    for key in keys:
        await server.command("PEXPIRE", key, "5000")
    assert await redis_store.refresh_rooms([kept]) == []
    left = [await server.command("PTTL", key) for key in keys]
    assert all(isinstance(ms, int) and ms > 25_000 for ms in left)


@needs_redis
async def test_no_more_of_a_value_is_read_than_is_believed(server: RedisServer, link: RedisLink) -> None:
    await server.command("SET", "large", "x" * 1_000_000)
    ((found,),) = [await link.run("test", [bounded_get("large")])]
    assert len(found) == MAX_VALUE_BYTES + 1


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
    tagged = ["test:room:{a}", *(f"test:room:{{a}}:{part}" for part in ("config", "context", "epoch", "home"))]
    others = ["test:node:{N_1}", "test:node:{N_1}:epoch", "test:nodes", "test:rooms", "test:schema"]
    keys = await server.command("KEYS", "*")
    assert isinstance(keys, list)
    assert sorted(keys) == sorted([*others, *tagged])
    for key in [*tagged, *others[:-1]]:
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


@needs_redis
async def test_no_more_names_are_listed_than_the_cap(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.cluster.redis_nodes.MAX_LISTED", 3)
    store = open_redis(server.url)
    for number in range(5):
        await store.write_node(node(f"N_{number}"))
    assert len(await store.read_nodes()) == 3
    await store.close()


@needs_redis
async def test_batches_leave_a_connection_to_others(redis_store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each would spend its deadline waiting for one."""
    monkeypatch.setattr("router.cluster.redis_rooms.BATCH", 1)
    most = under_way = 0
    original = RedisLink.check_and_write

    async def count(self: RedisLink, *given: Any) -> Any:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        try:
            return await original(self, *given)
        finally:
            under_way -= 1

    await redis_store.write_node(node())
    monkeypatch.setattr(RedisLink, "check_and_write", count)
    await redis_store.write_rooms([room(f"room-{number}") for number in range(40)], {})
    assert 1 < most < MAX_CONNECTIONS


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
