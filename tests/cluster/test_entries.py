"""Values as they are stored: what was written is read, poison is refused and never crashes."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import clock
from router.cluster.entries import (
    MAX_CONFIG_BYTES,
    MAX_VALUE_BYTES,
    RoomSetup,
    read_address,
    read_node,
    read_room,
    read_setup,
    write,
    write_setup,
)
from router.cluster.redis_store import RedisStore
from router.errors import RequestError
from router.metrics import Metrics
from tests.cluster.conftest import HOME, SETUP, node, open_redis, room
from tests.cluster.redis_servers import RedisServer, needs_redis

READERS: list[Callable[[object], Any]] = [read_node, read_room, read_address, lambda raw: read_setup(raw, raw)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
)


def good_fields() -> list[dict[str, Any]]:
    return [json.loads(write(node(epoch=5))), json.loads(write(room("a", epoch=5))), json.loads(write(HOME))]


def test_what_was_written_is_read() -> None:
    assert read_node(write(node(epoch=5)).encode()) == node(epoch=5)
    assert read_room(write(room("ü{}", epoch=5)).encode()) == room("ü{}", epoch=5)
    config, context = (text.encode() for text in write_setup(SETUP))
    assert read_setup(config, context) == replace(SETUP, home=None), "which is stored apart"
    assert read_address(write(HOME).encode()) == HOME
    assert SETUP.secret.hex().encode() not in config


@given(st.binary(max_size=200))
def test_no_bytes_crash(raw: bytes) -> None:
    for reader in READERS:
        with pytest.raises(ValueError):  # noqa: PT011 - any of them
            reader(raw)


@given(st.data())
def test_no_other_value_in_a_field_crashes(data: st.DataObject) -> None:
    for fields, reader in zip(good_fields(), READERS[:3], strict=True):
        name = data.draw(st.sampled_from(sorted(fields)))
        changed = {**fields, name: data.draw(JSON)}
        try:
            entry = reader(json.dumps(changed).encode())
        except ValueError:
            continue
        # What is taken is well-formed: written again it is the same.
        assert reader(write(entry).encode()) == entry


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2}, {"v": True}, {"v": "1"}, {"extra": 1}, {"epoch": 0}, {"epoch": -1}, {"epoch": 2**60}, {"epoch": 1.0},
        {"participants": -1}, {"participants": True}, {"participants": 10**12}, {"name": "a/b"}, {"name": "a\nb"},
        {"name": "x" * 129}, {"name": ""}, {"name": 5}, {"node": "N 1"}, {"node": ""}, {"created_s": "now"},
        {"created_s": 1e400}, {"node": None},
    ],
)  # fmt: skip
def test_a_room_out_of_bounds_is_refused(change: dict[str, Any]) -> None:
    fields = {**json.loads(write(room("a", epoch=5))), **change}
    with pytest.raises(ValueError):  # noqa: PT011
        read_room(json.dumps(fields).encode())


@pytest.mark.parametrize("raw", [b"[" * 60_000, b'{"v":1,"v":1}', b"x" * (MAX_VALUE_BYTES + 1), b"", None, 5, b"NaN"])
def test_strange_texts_are_refused(raw: object) -> None:
    for reader in READERS:
        with pytest.raises(ValueError):  # noqa: PT011
            reader(raw)


def test_a_value_is_believed_up_to_its_cap() -> None:
    _, context = write_setup(SETUP)
    config = json.dumps({"v": 1, "config": {"metadata": ""}, "version": 1})

    def padded(size: int) -> bytes:
        return config.replace('""', f'"{"x" * (size - len(config))}"').encode()

    assert len(padded(MAX_VALUE_BYTES)) == MAX_VALUE_BYTES
    assert read_setup(padded(MAX_VALUE_BYTES), context.encode()).version == 1
    with pytest.raises(ValueError, match="bounded size"):
        read_setup(padded(MAX_VALUE_BYTES + 1), context.encode())


def test_a_configuration_that_is_too_large_is_not_written() -> None:
    with pytest.raises(RequestError, match="config"):
        write_setup(RoomSetup({"x": "y" * MAX_CONFIG_BYTES}, 0, "Context1234", bytes(32)))


@pytest.fixture
async def poisoned(server: RedisServer) -> RedisServer:
    """Everything that a node reads is poison of some kind."""
    late = int((clock.wall_s() + 10 * 86_400) * 1000)
    strings = {
        "test:room:{text}": "not json",
        "test:room:{other}": write(room("another", epoch=5)),
        "test:room:{late}": write(room("late", "N_2", epoch=late)),
        "test:room:{huge}": "x" * 1_000_000,
        "test:room:{version}": write(room("version", epoch=5)).replace('"v":1', '"v":9'),
        "test:room:{epoch}:epoch": "99999999999999999999999",
        "test:room:{binary}:epoch": "\x00",
        "test:node:{N_2}": "{}",
    }
    for key, value in strings.items():
        await server.command("SET", key, value)
    await server.command("SADD", "test:room:{type}", "a")
    await server.command("SADD", "test:room:{type}:epoch", "a")
    names = ["text", "other", "late", "huge", "version", "type", "epoch", "binary", "gone", "x" * 5000]
    await server.command("ZADD", "test:rooms", *(part for name in names for part in ("9999999999", name)))
    await server.command("ZADD", "test:nodes", "9999999999", "N_2", "9999999999", "N_gone")
    return server


@needs_redis
async def test_poison_is_refused_counted_and_healed_by_the_owner(
    poisoned: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    store: RedisStore = open_redis(poisoned.url, metrics)
    await store.check()
    assert await store.read_rooms() == []
    assert await store.read_nodes() == []
    count = metrics.registry.get_sample_value
    assert count("sfu_store_values_refused_total", {"kind": "room"}) == 6
    assert count("sfu_store_values_refused_total", {"kind": "node"}) == 2
    assert count("sfu_store_values_refused_total", {"kind": "index"}) == 1
    assert [record.message for record in caplog.records].count("a value in the store was refused") == 3
    assert "not json" not in caplog.text
    await store.write_node(node())
    names = ["text", "other", "late", "huge", "version", "type", "epoch", "binary"]
    written = await store.write_rooms([room(name) for name in names], {})
    assert {stands.node for stands in written} == {"N_1"}
    assert await store.read_rooms() == sorted(written, key=lambda stands: stands.name)
    await store.close()


@needs_redis
@pytest.mark.parametrize("key", ["", ":epoch", ":config", ":context", ":home"])
async def test_a_key_that_was_poisoned_in_use_is_found_by_refreshing(
    server: RedisServer, redis_store: RedisStore, key: str
) -> None:
    await redis_store.write_node(node())
    written = await redis_store.write_rooms([room("a"), room("b")], {"a": SETUP, "b": SETUP})
    for command in (("DEL", f"test:room:{{a}}{key}"), ("SADD", f"test:room:{{a}}{key}", "poison")):
        await server.command(*command)
    if key == "":
        assert await redis_store.refresh_rooms(written) == [written[0]]
        assert [found.name for found in await redis_store.read_rooms()] == ["b"]
    assert await redis_store.write_rooms(written[:1], {"a": SETUP}) == written[:1]
    assert await redis_store.read_rooms() == written
    assert await redis_store.find_setup("a") == SETUP


@needs_redis
@pytest.mark.parametrize("key", [":config", ":context", ":home"])
async def test_what_is_remembered_is_refreshed_and_its_loss_is_noticed(
    server: RedisServer, redis_store: RedisStore, key: str
) -> None:
    await redis_store.write_node(node())
    written = await redis_store.write_rooms([room("a"), room("b")], {"a": SETUP, "b": SETUP})
    await server.command("PEXPIRE", f"test:room:{{b}}{key}", "1000")
    await server.command("DEL", f"test:room:{{a}}{key}")
    assert await redis_store.refresh_rooms(written) == written[:1]
    left_ms = await server.command("PTTL", f"test:room:{{b}}{key}")
    assert isinstance(left_ms, int)
    assert left_ms > 1000


@needs_redis
@pytest.mark.parametrize("index", ["test:rooms", "test:nodes"])
async def test_an_index_of_another_type_is_made_anew(server: RedisServer, redis_store: RedisStore, index: str) -> None:
    await server.command("SET", index, "poison")
    assert await redis_store.read_rooms() == []
    await redis_store.write_node(node())
    await redis_store.write_rooms([room("a")], {})
    assert [found.name for found in await redis_store.read_rooms()] == ["a"]


@needs_redis
@pytest.mark.parametrize("value", ["2", "x", "-1", "", "9" * 30])
async def test_a_schema_version_that_is_none_is_refused(server: RedisServer, value: str) -> None:
    from router.cluster.store import StoreError

    await server.command("SET", "test:schema", value)
    store = open_redis(server.url)
    with pytest.raises(StoreError, match="schema"):
        await store.check()
    await store.close()
