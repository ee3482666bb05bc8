"""DTLS datagrams that wait together are handed over together, and nothing overtakes."""

from types import SimpleNamespace
from typing import NamedTuple

import pytest

from router.rtc import engine as engine_module
from router.rtc.engine import MAX_FLIGHT_DATAGRAMS, MediaEngine


class Received(NamedTuple):
    """As `DtlsReceived`, which only the engine makes."""

    transport: int
    socket: int
    source: tuple[str, int]
    data: bytes


async def test_dtls_of_one_path_is_handed_over_together_and_nothing_overtakes(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = ("192.0.2.1", 1), ("192.0.2.2", 2)
    received = [Received(1, 0, here, b"a"), Received(1, 0, here, b"b"), Received(1, 0, there, b"c")]
    received += [Received(2, 0, here, b"d"), Received(3, 0, here, b"lost"), Received(1, 0, here, b"e")]
    received += [Received(2, 0, there, b"f")] * (MAX_FLIGHT_DATAGRAMS + 1)
    async with MediaEngine() as engine:
        calls: list[tuple[int, tuple[str, int], list[bytes]]] = []
        for transport in (1, 2):
            handler = SimpleNamespace(on_dtls=lambda _, *arguments, id_=transport: calls.append((id_, *arguments)))
            engine.register_transport(transport, handler)
        with monkeypatch.context() as patched:
            patched.setattr(engine_module, "DtlsReceived", Received)
            patched.setattr(engine, "native", SimpleNamespace(poll_events=lambda _: received))
            engine._on_readable()
    assert calls == [
        (1, here, [b"a", b"b"]),
        (1, there, [b"c"]),
        (2, here, [b"d"]),
        (1, here, [b"e"]),
        (2, there, [b"f"] * MAX_FLIGHT_DATAGRAMS),
        (2, there, [b"f"]),
    ]
