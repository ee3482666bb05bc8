"""A real server on an ephemeral port with fake media behind it, and clients of its events WebSocket."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from router.rooms import RoomLimits
from router.signaling import PublicState, SignalingSettings, create_public_app
from tests.rooms.fakes import World
from tests.signaling.public import TOKENS, token

Message = dict[str, Any]


class Server:
    """The application on uvicorn, as `router.listener` runs it."""

    def __init__(self, world: World, port: int) -> None:
        self.world = world
        self.url = f"ws://127.0.0.1:{port}/rooms/lobby/events"

    @asynccontextmanager
    async def client(self, identity: str | None = "eve", **options: Any) -> AsyncIterator[ClientConnection]:
        """Connected, and authenticated by its first message unless `identity` is None."""
        async with connect(self.url, compression=None, **options) as websocket:
            if identity is not None:
                await tell(websocket, type="auth", token=token(identity))
            yield websocket

    @asynccontextmanager
    async def client_with(self, **auth: Any) -> AsyncIterator[ClientConnection]:
        """Connected, with these fields in its first message."""
        async with self.client(None) as websocket:
            await tell(websocket, type="auth", **auth)
            yield websocket


@asynccontextmanager
async def serving(
    settings: SignalingSettings | None = None, limits: RoomLimits | None = None, *, create_on_first_use: bool = True
) -> AsyncIterator[Server]:
    world = World(limits, create_on_first_use=create_on_first_use)
    app = create_public_app(PublicState(world.registry, TOKENS, settings or SignalingSettings()))
    bound = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=200_000,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve([bound]))
    try:
        yield Server(world, bound.getsockname()[1])
    finally:
        await world.registry.close()
        server.should_exit = True
        await task


async def tell(websocket: ClientConnection, **message: Any) -> None:
    await websocket.send(json.dumps(message))


async def hear(websocket: ClientConnection) -> Message:
    async with asyncio.timeout(5):
        message: Message = json.loads(await websocket.recv())
    return message


async def hear_until(websocket: ClientConnection, wanted: Callable[[Message], object]) -> Message:
    while True:
        message = await hear(websocket)
        if wanted(message):
            return message


async def hear_end(websocket: ClientConnection) -> tuple[str, int]:
    """Slug of the error message, and the close code after it."""
    slug = ""
    with contextlib.suppress(ConnectionClosed):
        while True:
            message = await hear(websocket)
            if message["type"] == "error":
                slug = message["slug"]
    assert websocket.close_code is not None
    assert websocket.close_reason == slug
    return slug, websocket.close_code
