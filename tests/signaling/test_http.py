"""What only a real HTTP server shows: bodies that never end, requests in parallel, and what HEAD leaves out."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn

from router.signaling import PublicState, SignalingSettings, create_public_app
from tests.rooms.fakes import World, publish_offer
from tests.signaling.public import SDP, TOKENS, bearer, text


@asynccontextmanager
async def serving(settings: SignalingSettings | None = None) -> AsyncIterator[tuple[World, httpx.AsyncClient]]:
    world = World()
    app = create_public_app(PublicState(world.registry, TOKENS, settings or SignalingSettings()))
    bound = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
    task = asyncio.create_task(server._serve([bound]))
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=10) as client:
            yield world, client
    finally:
        await world.registry.close()
        server.should_exit = True
        await task


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"a=x:" + b"y" * 4_000 + b"\r\n"


async def test_endless_bodies_are_refused_in_parallel_and_honest_joins_go_on() -> None:
    async def flood(client: httpx.AsyncClient) -> int | None:
        headers = {"Content-Type": SDP, **bearer("mallory")}
        try:
            return (await client.post("/whip/lobby", content=endless(), headers=headers)).status_code
        except httpx.TransportError:
            # The answer was sent and the connection closed while we still wrote.
            return None

    async with serving() as (world, client):
        floods = [asyncio.create_task(flood(client)) for _ in range(20)]
        headers = {"Content-Type": SDP, **bearer("ada")}
        response = await client.post("/whip/lobby", content=text(publish_offer()), headers=headers)
        assert response.status_code == 201
        async with asyncio.timeout(10):
            assert set(await asyncio.gather(*floods)) <= {413, None}
        assert list(world.room.participants) == ["ada"]


async def test_a_stalled_body_is_answered_and_closed() -> None:
    async with serving(SignalingSettings(body_timeout_s=0.1)) as (_, client):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        head = f"POST /whip/lobby HTTP/1.1\r\nHost: x\r\nContent-Type: {SDP}\r\nContent-Length: 1000\r\n"
        writer.write(f"{head}Authorization: {bearer()['Authorization']}\r\n\r\nv=0".encode())
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"request-timeout" in answer
        writer.close()
        await writer.wait_closed()


async def test_head_has_no_body_and_keeps_the_connection() -> None:
    async with serving() as (_, client):
        for path in ("/whep/lobby", "/", "/client.js"):
            response = await client.head(path)
            assert (response.status_code, response.content) == (200, b"")
        assert (await client.get("/")).status_code == 200


async def test_a_hundred_people_join_at_once() -> None:
    async with serving() as (world, client):
        body = text(publish_offer())
        requests = [
            client.post("/whip/lobby", content=body, headers={"Content-Type": SDP, **bearer(f"p{i}")})
            for i in range(100)
        ]
        created = await asyncio.gather(*requests)
        assert {response.status_code for response in created} == {201}
        assert len({response.headers["Location"] for response in created}) == 100
        assert len({response.headers["ETag"] for response in created}) == 100
        assert len(world.room.participants) == 100
