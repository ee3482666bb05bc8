import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from router.cluster.store import MemoryStore, RedisStore, RoomEntry, Store, StoreError

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")


@asynccontextmanager
async def run_redis(directory: Path) -> AsyncIterator[str]:
    """A real redis-server on a Unix socket."""
    path = directory / "redis.sock"
    process = await asyncio.create_subprocess_exec(
        "redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(directory),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    while b"ready to accept" not in (line := await process.stdout.readline()):
        assert line, "redis-server did not start"
    yield f"unix://{path}"
    process.terminate()
    await process.communicate()


@pytest.fixture
async def redis_url(tmp_path: Path) -> AsyncIterator[str]:
    async with run_redis(tmp_path) as url:
        yield url


@pytest.fixture(params=["memory", pytest.param("redis", marks=needs_redis)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with AsyncExitStack() as stack:
        chosen: Store = MemoryStore()
        if request.param == "redis":
            chosen = RedisStore(await stack.enter_async_context(run_redis(tmp_path)), "test")
        yield chosen
        await chosen.close()


def entry(name: str, node: str = "N_1", participants: int = 1) -> RoomEntry:
    return RoomEntry(name, node, participants, 1000.5)


async def test_what_was_written_is_read_by_name(store: Store) -> None:
    await store.write_rooms([entry("b"), entry("a", participants=3)], 30)
    assert await store.read_rooms() == [entry("a", participants=3), entry("b")]
    await store.write_rooms([entry("b", participants=2)], 30)
    assert (await store.read_rooms())[1].participants == 2


async def test_removal_spares_what_another_node_wrote_since(store: Store) -> None:
    await store.write_rooms([entry("a"), entry("b")], 30)
    await store.write_rooms([entry("b", node="N_2")], 30)
    await store.remove_rooms([entry("a"), entry("b"), entry("never")])
    assert await store.read_rooms() == [entry("b", node="N_2")]


async def test_entries_expire(store: Store) -> None:
    await store.write_rooms([entry("short")], 0.05)
    await store.write_rooms([entry("long")], 30)
    await asyncio.sleep(0.1)
    assert await store.read_rooms() == [entry("long")]


async def test_many_rooms(store: Store) -> None:
    rooms = [entry(f"room-{number:04}") for number in range(1200)]
    await store.write_rooms(rooms, 30)
    assert await store.read_rooms() == rooms


@needs_redis
async def test_keys_of_a_room_share_a_hash_slot_and_have_a_time_to_live(redis_url: str) -> None:
    from redis.asyncio import Redis

    store = RedisStore(redis_url, "test")
    await store.write_rooms([entry("a")], 30)
    redis = Redis.from_url(redis_url, decode_responses=True)
    assert sorted(await redis.keys("*")) == ["test:room:{a}", "test:rooms"]
    assert 25_000 < await redis.pttl("test:room:{a}") <= 30_000
    await redis.aclose()
    await store.close()


async def test_a_redis_that_is_gone_is_a_store_error(tmp_path: Path) -> None:
    store = RedisStore(f"unix://{tmp_path}/none.sock", "test")
    with pytest.raises(StoreError, match="Error"):
        await store.write_rooms([entry("a")], 30)
    with pytest.raises(StoreError):
        await store.ping()
    await store.close()
