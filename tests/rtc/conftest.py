import asyncio
from collections.abc import AsyncIterator

import pytest
from aiortc import RTCPeerConnection

from router.rtc import MediaEngine, RTCConnection, RTCSocket, RTCSocketOptions
from tests.rtc.fake_engine import FakeEngine
from tests.rtc.peers import make_peer, wait_for

LOOPBACK = RTCSocketOptions(address="127.0.0.1")


@pytest.fixture
async def fake() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def origin(fake: FakeEngine) -> AsyncIterator[RTCConnection]:
    connection = RTCConnection()
    connection.add_socket(RTCSocket(options=LOOPBACK, engine=fake))  # type: ignore[arg-type]
    yield connection
    await connection.close()
    assert not fake.native.sockets
    assert not fake.native.transports
    assert not fake.native.producers
    assert not fake.producer_handlers


@pytest.fixture
async def engine() -> AsyncIterator[MediaEngine]:
    async with MediaEngine() as started:
        yield started


@pytest.fixture
async def room(engine: MediaEngine) -> AsyncIterator[RTCConnection]:
    origin = RTCConnection()
    origin.add_socket(RTCSocket(options=RTCSocketOptions(address="127.0.0.1"), engine=engine))
    yield origin
    await origin.close()
    await wait_for(lambda: not engine._transports)
    assert not engine._sessions
    assert not engine._producers
    assert not engine._sockets


@pytest.fixture
async def peers() -> AsyncIterator[list[RTCPeerConnection]]:
    opened = [make_peer() for _ in range(3)]
    yield opened
    await asyncio.gather(*(peer.close() for peer in opened))
