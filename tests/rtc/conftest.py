from collections.abc import AsyncIterator

import pytest
from fake_engine import FakeEngine

from router.rtc import RTCConnection, RTCSocket, RTCSocketOptions

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
