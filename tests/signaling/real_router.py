"""The public application on the real engine: what `router serve` makes, in this process and without its ports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from router.metrics import Metrics
from router.rooms import RoomLimits, RoomRegistry
from router.rtc import MediaEngine, RTCConnection, RTCSocket, RTCSocketOptions
from router.signaling import PublicState, SignalingSettings, create_public_app
from tests.signaling.public import TOKENS


class RealRouter:
    """A registry and a client of its application."""

    def __init__(self, registry: RoomRegistry, engine: MediaEngine, http: httpx.AsyncClient) -> None:
        self.registry = registry
        self.engine = engine
        self.http = http

    def dropped(self, reason: str) -> int:
        """Packets the engine dropped for this reason."""
        return self.engine.native.counters()[0]["dropped"][reason]

    def count(self, name: str, **labels: str) -> float:
        """A counter of the registry's metrics."""
        return self.registry.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def real_router(
    limits: RoomLimits | None = None, settings: SignalingSettings | None = None, *, timeout_s: float = 30.0
) -> AsyncIterator[RealRouter]:
    """Rooms on one loopback port; at the end nothing is left in the engine. `timeout_s`: for peers that are silent."""
    async with MediaEngine(timeout_s=timeout_s) as engine:
        socket = RTCSocket(options=RTCSocketOptions(address="127.0.0.1"), engine=engine)
        keeper = RTCConnection()
        keeper.add_socket(socket)

        def open_origin() -> RTCConnection:
            origin = RTCConnection()
            origin.add_socket(socket)
            return origin

        registry = RoomRegistry(open_origin, limits=limits, metrics=Metrics())
        app = create_public_app(PublicState(registry, TOKENS, settings or SignalingSettings()))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 5_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://router.test") as http:
            yield RealRouter(registry, engine, http)
        await registry.close()
        await keeper.close()
        assert engine.native.counters()[0]["transports"] == 0
