"""A server that speaks, but not as Redis does: whatever it says, a call ends with `StoreError`, soon and once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from router.cluster.redis_link import MAX_REDIRECTS, RedisLink
from router.cluster.redis_target import parse_target
from router.cluster.store import StoreError
from router.metrics import Metrics

OK = b"+OK\r\n"


class FakeServer:
    """Answers every command with what a test says."""

    def __init__(self) -> None:
        self.port = 0
        self.reply = OK
        self.asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readline():
                for _ in range(int(head[1:])):
                    size = int((await reader.readline())[1:])
                    await reader.readexactly(size + 2)
                self.asked += 1
                writer.write(self.reply.replace(b"PORT", str(self.port).encode()))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def faking() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    yield fake
    server.close()


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(parse_target(url), Metrics(), timeout_s=0.5)
    yield link
    await link.close()


def slots(first: int, last: int, host: bytes = b"$9\r\n127.0.0.1\r\n", port: int = 7000) -> bytes:
    """The reply to CLUSTER SLOTS with one range."""
    return b"*1\r\n*3\r\n:%d\r\n:%d\r\n*2\r\n%s:%d\r\n" % (first, last, host, port)


@pytest.mark.parametrize(
    "reply",
    [
        b"*0\r\n", b":5\r\n", b"$-1\r\n", b"*1\r\n*0\r\n", b"*1\r\n:1\r\n", b"*1\r\n*3\r\n:0\r\n:1\r\n:2\r\n",
        slots(-1, 5), slots(0, 16_384), slots(9, 3), slots(0, 10**12),
        slots(0, 16_383, b":5\r\n"), slots(0, 16_383, b"$300\r\n" + b"x" * 300 + b"\r\n"),
        slots(0, 16_383, port=0), slots(0, 16_383, port=65_536), slots(0, 16_383, port=-1),
        slots(0, 16_383, b"$2\r\n\xff\xfe\r\n"),
    ],
    ids=range(16),
)  # fmt: skip
async def test_slots_that_are_none(reply: bytes) -> None:
    async with faking() as fake, linked(f"redis+cluster://127.0.0.1:{fake.port}") as link:
        fake.reply = reply
        with pytest.raises(StoreError, match=r"connection|cluster"):
            await link.run("test", [("GET", "a")])
        assert fake.asked == 1, "nobody is asked for the key"


@pytest.mark.parametrize(
    "reply",
    [
        b"*-1\r\n", b":5\r\n", b"*1\r\n$1\r\na\r\n", b"*2\r\n:1\r\n:2\r\n", b"*2\r\n$0\r\n\r\n$4\r\n6379\r\n",
        b"*2\r\n$1\r\na\r\n$1\r\nx\r\n", b"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n99999\r\n",
        b"*2\r\n$2\r\n\xff\xfe\r\n$1\r\n1\r\n", b"-ERR no\r\n",
    ],
    ids=range(9),
)  # fmt: skip
async def test_masters_that_are_none(reply: bytes) -> None:
    async with faking() as fake, linked(f"redis+sentinel://127.0.0.1:{fake.port}/mymaster") as link:
        fake.reply = reply
        with pytest.raises(StoreError):
            await link.run("test", [("GET", "a")])
        assert fake.asked == 1


async def test_a_server_that_sentinels_name_and_that_is_no_master_is_not_used() -> None:
    async with faking() as fake, linked(f"redis+sentinel://127.0.0.1:{fake.port}/mymaster") as link:
        port = str(fake.port).encode()
        fake.reply = b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n" % (len(port), port)  # also what it answers to ROLE
        with pytest.raises(StoreError, match="read-only"):
            await link.run("test", [("GET", "a")])
        assert fake.asked == 2


@pytest.mark.parametrize("target", ["127.0.0.1:PORT", ":PORT"])
async def test_redirects_without_an_end(target: str) -> None:
    async with faking() as fake, linked(f"redis://127.0.0.1:{fake.port}") as link:
        fake.reply = f"-MOVED 1 {target}\r\n".encode()
        with pytest.raises(StoreError, match="cluster"):
            await link.run("test", [("GET", "a")])
        assert fake.asked == MAX_REDIRECTS


@pytest.mark.parametrize("target", ["", "nowhere", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:x", "x" * 300 + ":1"])
async def test_redirects_to_no_place(target: str) -> None:
    async with faking() as fake, linked(f"redis://127.0.0.1:{fake.port}") as link:
        fake.reply = f"-MOVED 1 {target}\r\n".encode()
        with pytest.raises(StoreError, match=r"cluster|connection"):
            await link.run("test", [("GET", "a")])
        assert fake.asked == 1


@pytest.mark.parametrize("reply", [b"HTTP/1.1 200 OK\r\n\r\n", b"$x\r\n", b"*x\r\n", b":x\r\n", b"\r\n", b"\xff\r\n"])
async def test_what_is_no_resp(reply: bytes) -> None:
    async with faking() as fake, linked(f"redis://127.0.0.1:{fake.port}") as link:
        fake.reply = reply
        with pytest.raises(StoreError, match=r"connection|timeout"):
            await link.run("test", [("GET", "a")])
        fake.reply = OK
        assert await link.run("test", [("GET", "a")]) == [b"OK"], "on another connection"
