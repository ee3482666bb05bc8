import asyncio
import errno
import json
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import pytest
import uvicorn

from router.http_protocol import MAX_HEAD_BYTES, MAX_PIPELINED, make_http_protocol, make_websocket_protocol
from router.listener import UNACKNOWLEDGED_MS, bind_port

DEADLINE_S = 0.3
BIG = b"x" * 30_000_000
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/big":
            await send({"type": "websocket.send", "bytes": BIG})
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.send", "text": (await receive())["text"]})
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message.get("more_body", False)
    content = {"/big": BIG, "/headers": repr(scope["headers"]).encode()}.get(scope["path"], body or b"empty")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture
async def server() -> AsyncIterator[uvicorn.Server]:
    config = uvicorn.Config(
        app,
        port=0,
        http=make_http_protocol(DEADLINE_S),
        ws=make_websocket_protocol(DEADLINE_S),
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server
    await server.shutdown()


@pytest.fixture
def port(server: uvicorn.Server) -> int:
    return int(server.servers[0].sockets[0].getsockname()[1])


async def lifetime_s(port: int, first: bytes, drip: bytes) -> float:
    """How long the server keeps a connection that sends `first` and then drips."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = loop.time()
    end = asyncio.create_task(reader.read())
    writer.write(first)
    while not end.done() and loop.time() - started < 5:
        writer.write(drip)
        await asyncio.wait([end], timeout=0.05)
    end.cancel()
    await asyncio.gather(end, return_exceptions=True)
    writer.close()
    return loop.time() - started


@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n"),
        (b"GET", b" "),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"a"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ],
)
async def test_slow_requests_are_cut_off(port: int, first: bytes, drip: bytes) -> None:
    assert await lifetime_s(port, first, drip) < 1.5


@pytest.mark.parametrize(
    ("first", "flood"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", b"b"),
        (b"GET /", b"a"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"X-A: b\r\n"),
    ],
)
async def test_unfinished_heads_have_a_limit(port: int, first: bytes, flood: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reply = asyncio.create_task(reader.read())
    writer.write(first)
    for _ in range(10):
        await asyncio.wait([reply], timeout=DEADLINE_S / 30)
        writer.write(flood * (MAX_HEAD_BYTES // 4 // len(flood)))
    assert (await reply).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_bodies_in_small_chunks_have_no_limit_here(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10):
        writer.write(b"1\r\na\r\n" * (MAX_HEAD_BYTES // 10))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(MAX_HEAD_BYTES // 10 * 10) == b"a" * (MAX_HEAD_BYTES // 10 * 10)
    writer.close()


@pytest.mark.parametrize("begun", [b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nX-A: b"])
async def test_a_head_that_does_not_come_in_time_is_told_so(port: int, begun: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(5) == b"empty"
    writer.write(begun)
    head, problem = read_problem(await reader.read())
    assert head.startswith("HTTP/1.1 408 Request Timeout\r\n")
    assert (problem["slug"], problem["detail"]) == (
        "request-timeout", "the head of the request did not arrive within 0.3 s",
    )  # fmt: skip
    writer.close()


async def test_who_sends_nothing_is_told_nothing(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()


async def test_an_answer_under_way_is_not_mixed_with_a_refusal(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na")
    assert await reader.read() == b"", "cut off: the application was to say it"
    writer.close()


UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n"
)


@pytest.mark.parametrize("headers", [b"", b"Content-Length: 3\r\n", UPGRADE])
async def test_a_crowd_is_told_when_to_come_back(server: uvicorn.Server, port: int, headers: bytes) -> None:
    server.config.limit_concurrency = 3
    inside = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
    head, problem = read_problem(await reader.read())
    assert head.startswith("HTTP/1.1 503 Service Unavailable\r\n")
    assert "\r\nretry-after: 5\r\n" in head.lower() + "\r\n"
    assert problem["slug"] == "too-many-connections"
    for _, one in [*inside, (reader, writer)]:
        one.close()


def read_problem(reply: bytes) -> tuple[str, dict[str, Any]]:
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: application/problem+json" in head.lower()
    assert b"\r\nconnection: close" in head.lower()
    problem: dict[str, Any] = json.loads(body)
    assert problem["status"] == int(head.split()[1])
    return head.decode(), problem


async def test_trailers_are_no_headers(port: int) -> None:
    """Else a trailer would be the `Authorization` of somebody who was let in without, or a second one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /headers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    writer.write(b"1\r\na\r\n0\r\nAuthorization: Bearer x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
    told = await reader.read()
    writer.close()
    assert b"b'transfer-encoding'" in told
    assert b"authorization" not in told
    assert b"forwarded" not in told


async def test_pipelined_requests_have_a_limit(port: int) -> None:
    """Some are served in order; what one read brings of thousands would be parsed in one go."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request * MAX_PIPELINED)
    for _ in range(MAX_PIPELINED):
        assert (await reader.readuntil(b"empty")).startswith(b"HTTP/1.1 200 ")
    writer.write(request * (MAX_PIPELINED + 2))
    told = await reader.read()
    writer.close()
    assert told.startswith(b"HTTP/1.1 400 "), told
    assert b"requests wait on this connection" in told
    assert b" 200 " not in told, "what was read before is not answered behind the refusal"


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\r\n\r\n"),
        (CHUNKED, b"zz\r\n"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
            b"0\r\nContent-Length: 5\r\n\r\n",
        ),
    ],
)
@pytest.mark.parametrize("pause_s", [0.0, DEADLINE_S / 6])
async def test_what_is_refused_after_its_head_was_good_is_answered_once(
    port: int, first: bytes, rest: bytes, pause_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """And is no error of ours, of which strangers could fill the log."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first)
    await asyncio.sleep(pause_s)
    writer.write(rest)
    told = await reader.read()
    writer.close()
    assert told.count(b"HTTP/1.1 400 ") == 1, told
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_empty_lines_between_requests_do_not_keep_a_connection(port: int) -> None:
    assert await lifetime_s(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n") < 1.5


async def test_second_request_on_a_connection_has_its_own_deadline(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        await asyncio.sleep(DEADLINE_S * 0.7)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head
        assert await reader.readexactly(3) == b"abc"
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
    async with asyncio.timeout(1.5):
        assert await reader.read() == b""
    writer.close()


async def test_client_that_does_not_read_is_cut_off(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(DEADLINE_S * 4)
    received = 0
    try:
        while chunk := await reader.read(1 << 20):
            received += len(chunk)
    except ConnectionError:
        pass
    writer.close()
    assert received < len(BIG)


async def test_client_that_reads_slowly_but_steadily_gets_all(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    assert len(await reader.readexactly(len(BIG))) == len(BIG)
    writer.close()


async def test_websocket_outlives_the_deadline(port: int) -> None:
    from websockets.asyncio.client import connect

    async with connect(f"ws://127.0.0.1:{port}/") as socket:
        await asyncio.sleep(DEADLINE_S * 2)
        await socket.send("still here")
        assert await socket.recv() == "still here"


async def test_websocket_that_is_never_read_is_freed(server: uvicorn.Server, port: int) -> None:
    """Although the connection is closing, which by itself waits until all was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n"
    writer.write(f"GET /big HTTP/1.1\r\nHost: x\r\n{handshake}Sec-WebSocket-Version: 13\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined] # of the selector loop
    assert server.server_state.connections
    async with asyncio.timeout(3):
        while server.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(DEADLINE_S / 10)
    writer.transport.abort()


UPGRADE = (
    b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


@pytest.mark.parametrize(
    "handshake",
    [
        b"GET /?access_token=" + b"x" * 9_000 + b" HTTP/1.1\r\n" + UPGRADE,
        b"GET / HTTP/1.1\r\n" + UPGRADE + b"X-A: " + b"b" * 9_000 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + UPGRADE + b"X-A: b\r\n" * 200,
        b"GET / HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 5\r\n",
    ],
)
async def test_handshakes_that_the_websocket_library_refuses_are_answered_and_closed(
    server: uvicorn.Server, port: int, handshake: bytes
) -> None:
    """Else each would be a connection for ever, of which there are not many."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(handshake + b"\r\n")
    async with asyncio.timeout(10):
        told = await reader.read()
    writer.close()
    assert told.startswith(b"HTTP/1.1 400 "), told
    assert b"expected a WebSocket handshake" in told
    assert len(server.server_state.connections) == 0


def test_connections_end_when_their_peer_takes_nothing_any_more() -> None:
    (listening,) = bind_port("127.0.0.1", 0, "public")
    with listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNACKNOWLEDGED_MS
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
            accepted.settimeout(5)
            with pytest.raises(TimeoutError) as ended:
                send_for_ever(accepted)
            assert ended.value.errno == errno.ETIMEDOUT, "the kernel's timeout, not Python's"


def send_for_ever(connection: socket.socket) -> NoReturn:
    while True:
        connection.sendall(BIG)
