"""The compiled engine and its asyncio wrapper: arguments, ids, events, sockets. Media is in test_forwarding.py."""

import asyncio
import errno
import gc
import logging
import os
import select
import socket as system_socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aioice import stun

from router import _engine
from router.clock import monotonic_us
from router.errors import ConfigError, EngineStateError, RouterError
from router.rtc import engine as engine_module
from router.rtc.engine import MediaEngine, default_engine
from router.rtc.srtp import function_addresses

CODEC: dict[str, Any] = {
    "payload_type": 96,
    "rtx_payload_type": 97,
    "codec": "vp8",
    "format": 1,
    "clock_rate": 90000,
    "feedback": ["nack", "pli"],
}
ENCODING: dict[str, Any] = {"rid": "h", "ssrc": 1, "rtx_ssrc": 2}
PRODUCER: dict[str, Any] = {
    "kind": "video",
    "mid": "0",
    "codecs": [CODEC],
    "extensions": {"urn:ietf:params:rtp-hdrext:sdes:mid": 1, "urn:unknown": 2},
    "encodings": [ENCODING],
    "contributor": 7,
}
SLOT: dict[str, Any] = {
    "kind": "video",
    "mid": "1",
    "ssrc": 10,
    "rtx_ssrc": 11,
    "codecs": [CODEC],
    "extensions": {},
}
TRANSPORT: dict[str, Any] = {"local_ufrag": "abcd", "local_password": "p" * 22, "cname": "router"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


@pytest.fixture
def engine() -> Iterator[_engine.Engine]:
    engine = _engine.Engine(srtp_functions=function_addresses(), workers=2)
    yield engine
    engine.close()


def open_socket(engine: _engine.Engine, worker: int = 0, version: int = 4) -> "_engine.SocketInfo":
    return engine.open_socket(worker, (LOOPBACK[version], 0))


def open_transport(engine: _engine.Engine, worker: int = 0) -> int:
    return engine.create_transport(open_socket(engine, worker)["id"], **TRANSPORT)


# -- Sockets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("worker", [0, 1])
def test_sends_from_the_bound_port(engine: _engine.Engine, worker: int, version: int) -> None:
    info = open_socket(engine, worker, version)
    assert info["worker"] == worker
    assert info["receive_buffer_bytes"] >= 100_000
    family = system_socket.AF_INET if version == 4 else system_socket.AF_INET6
    with system_socket.socket(family, system_socket.SOCK_DGRAM) as peer:
        peer.bind((LOOPBACK[version], 0))
        peer.settimeout(2)
        engine.send_datagram(info["id"], peer.getsockname()[:2], b"hello")
        data, source = peer.recvfrom(100)
    assert (data, source[:2]) == (b"hello", info["address"])


def test_a_closed_socket_frees_its_port_at_once(engine: _engine.Engine) -> None:
    info = open_socket(engine)
    with pytest.raises(OSError, match=r"Address already in use: '127\.0\.0\.1:") as caught:
        engine.open_socket(1, info["address"])
    assert caught.value.errno == errno.EADDRINUSE
    engine.close_socket(info["id"])
    assert engine.open_socket(1, info["address"])["address"] == info["address"]
    with pytest.raises(EngineStateError, match=f"unknown socket {info['id']}"):
        engine.close_socket(info["id"])


def test_an_address_of_another_machine_is_the_systems_refusal(engine: _engine.Engine) -> None:
    with pytest.raises(OSError, match="Cannot assign") as caught:
        engine.open_socket(0, ("192.0.2.1", 0))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_sockets_do_not_outlive_the_engine() -> None:
    engine = _engine.Engine(srtp_functions=function_addresses())
    address = open_socket(engine)["address"]
    engine.counters()  # answered by the thread, which has its name by then
    names = {(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}
    assert "router-worker-0" in names
    engine.close()
    engine.close()
    names = {(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}
    assert "router-worker-0" not in names
    with system_socket.socket(system_socket.AF_INET, system_socket.SOCK_DGRAM) as peer:
        peer.bind(address)
    with pytest.raises(EngineStateError, match="the engine is closed"):
        engine.open_socket(0, ("127.0.0.1", 0))
    with pytest.raises(EngineStateError, match="the engine is closed"):
        engine.counters()
    assert engine.poll_events() == []


def test_a_collected_engine_ends_its_threads() -> None:
    engine = _engine.Engine(srtp_functions=function_addresses())
    address = open_socket(engine)["address"]
    del engine
    gc.collect()
    with system_socket.socket(system_socket.AF_INET, system_socket.SOCK_DGRAM) as peer:
        peer.bind(address)


def test_the_clock_is_pythons(engine: _engine.Engine) -> None:
    before = monotonic_us()
    assert before <= engine.now_us() <= monotonic_us()


# -- Arguments ----------------------------------------------------------------------------------------------------


def test_the_binding_describes_itself() -> None:
    info = _engine.build_info()
    assert info["profile"] in ("debug", "release")
    assert info["version"].count(".") == 2
    assert set(_engine.build_info()) == {"version", "profile", "target"}


@pytest.mark.parametrize("workers", [0, 257, -1, 2**64, 2**200])
def test_the_number_of_workers_is_bounded(workers: int) -> None:
    with pytest.raises(ConfigError, match="workers: expected 1 to 256, got"):
        _engine.Engine(srtp_functions=(1, 1, 1, 1), workers=workers)


def test_null_functions_are_refused() -> None:
    with pytest.raises(ConfigError, match="srtp_functions: expected 1 to"):
        _engine.Engine(srtp_functions=(1, 1, 0, 1))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"local_ufrag": "abc"}, "local_ufrag: expected 4 to 256 bytes, got 3"),
        ({"local_ufrag": "a" * 257}, "local_ufrag: expected 4 to 256 bytes, got 257"),
        ({"local_password": "p" * 21}, "local_password: expected 22 to 256 bytes, got 21"),
        ({"local_password": "p" * 257}, "local_password: expected 22 to 256"),
        ({"cname": ""}, "cname: expected 1 to 255 bytes, got 0"),
        ({"cname": "é" * 128}, "cname: expected 1 to 255 bytes, got 256"),
        ({"timeout_us": 0}, "timeout_us: expected 1 to"),
    ],
)
def test_transports_are_checked(engine: _engine.Engine, changed: dict[str, Any], message: str) -> None:
    socket = open_socket(engine)["id"]
    with pytest.raises(ConfigError, match=message):
        engine.create_transport(socket, **(TRANSPORT | changed))


def codec(**changed: Any) -> dict[str, Any]:
    return {"codecs": [CODEC | changed]}


def without(key: str) -> dict[str, Any]:
    return {"codecs": [{name: value for name, value in CODEC.items() if name != key}]}


M_LINE_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "data"}, "kind: expected audio, video, got"),
    ({"mid": "m" * 17}, "mid: expected 1 to 16 bytes, got 17"),
    ({"mid": ""}, "mid: expected 1 to 16 bytes, got 0"),
    ({"codecs": []}, "codecs: expected 1 to 128 of them, got 0"),
    ({"codecs": [CODEC] * 129}, "codecs: expected 1 to 128 of them, got 129"),
    ({"codecs": [7]}, r"codecs\[0\]: expected a mapping"),
    (without("format"), r"codecs\[0\]: .format. is missing"),
    (codec(payload_type=128), r"codecs\[0\]\.payload_type: expected 0 to 127, got 128"),
    (codec(payload_type="96"), r"codecs\[0\]\.payload_type: 'str' object"),
    (codec(rtx_payload_type=-1), r"codecs\[0\]\.rtx_payload_type: expected 0 to 127, got -1"),
    (codec(rtx_payload_type=96), "codecs: payload type 96 is given twice"),
    ({"codecs": [CODEC, CODEC]}, "codecs: payload type 96 is given twice"),
    (codec(codec="VP8"), r"codecs\[0\]\.codec: expected opus, red, .*, got .VP8."),
    (codec(format=2**32), r"codecs\[0\]\.format: expected 0 to 4294967295"),
    (codec(clock_rate=0), r"codecs\[0\]\.clock_rate: expected 1000 to"),
    (codec(feedback=["rpsi"]), r"codecs\[0\]\.feedback: expected nack, .*, got .rpsi."),
    ({"extensions": {"urn:a": 0}}, r"extensions\[.urn:a.\]: expected 1 to 255, got 0"),
    ({"extensions": {"urn:a": 256}}, "expected 1 to 255, got 256"),
    ({"extensions": {"urn:a": 3, "urn:b": 3}}, "extensions: id 3 is given to"),
]
PRODUCER_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"encodings": []}, "encodings: expected 1 to 8 of them, got 0"),
    ({"encodings": [{"rid": str(i), "ssrc": None, "rtx_ssrc": None} for i in range(9)]}, "encodings: expected 1 to 8"),
    ({"encodings": [ENCODING, ENCODING | {"ssrc": 3, "rtx_ssrc": 4}]}, "encodings: rid .h. is given twice"),
    ({"encodings": [ENCODING | {"rtx_ssrc": 1}]}, "encodings: SSRC 1 is given twice"),
    ({"encodings": [ENCODING | {"rid": "r" * 17}]}, r"encodings\[0\]\.rid: expected 1 to 16 bytes, got 17"),
    ({"encodings": [ENCODING | {"ssrc": 2**32}]}, r"encodings\[0\]\.ssrc: expected 0 to 4294967295"),
    ({"encodings": [{"rid": "h"}]}, r"encodings\[0\]: .ssrc. is missing"),
    ({"contributor": 2**32}, "contributor: expected 0 to 4294967295"),
    ({"media_timeout_us": 0}, "media_timeout_us: expected 1 to"),
]


@pytest.mark.parametrize(("changed", "message"), M_LINE_ERRORS + PRODUCER_ERRORS)
def test_producers_are_checked(engine: _engine.Engine, changed: dict[str, Any], message: str) -> None:
    transport = open_transport(engine)
    with pytest.raises(ConfigError, match=message):
        engine.add_producer(transport, **(PRODUCER | changed))


@pytest.mark.parametrize(
    ("changed", "message"), [*M_LINE_ERRORS, ({"rtx_ssrc": 10}, "rtx_ssrc: it equals ssrc"), ({"ssrc": -1}, "ssrc:")]
)
def test_slots_are_checked(engine: _engine.Engine, changed: dict[str, Any], message: str) -> None:
    transport = open_transport(engine)
    with pytest.raises(ConfigError, match=message):
        engine.add_slot(transport, **(SLOT | changed))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e, s, t: e.open_socket(2, ("127.0.0.1", 0)), "worker: expected 0 to 1, got 2"),
        (lambda e, s, t: e.open_socket(0, ("localhost", 0)), "address: expected an IPv4 or IPv6 address, got"),
        (lambda e, s, t: e.open_socket(0, ("127.0.0.1", 65536)), "address: port: expected 0 to 65535"),
        (
            lambda e, s, t: e.open_socket(0, ("127.0.0.1", 0), send_buffer_bytes=1),
            "send_buffer_bytes: expected 4096 to",
        ),
        (lambda e, s, t: e.send_datagram(s, ("127.0.0.1", 0), b"x"), "address: port: expected 1 to 65535, got 0"),
        (lambda e, s, t: e.send_datagram(s, ("::1", 9), b"x"), "address: the socket is IPv4, got ::1"),
        (lambda e, s, t: e.send_datagram(s, ("127.0.0.1", 9), b""), "data: expected 1 to 1500 bytes, got 0"),
        (lambda e, s, t: e.send_datagram(s, ("127.0.0.1", 9), bytes(1501)), "data: expected 1 to 1500 bytes"),
        (lambda e, s, t: e.set_remote_ice(t, "abc", "p" * 22), "ufrag: expected 4 to 256"),
        (lambda e, s, t: e.set_remote_ice(t, "abcd", "p"), "password: expected 22 to 256"),
        (lambda e, s, t: e.restart_ice(t, "abc", "p" * 22), "local_ufrag: expected 4 to 256"),
        (
            lambda e, s, t: e.add_tuple(t, s, ("127.0.0.1", 9), nominated=True, priority=2**32),
            "priority: expected 0 to 4294967295",
        ),
        (lambda e, s, t: e.validate_tuple(t, s, ("127.0.0.1", -1)), "address: port: expected 1 to"),
        (
            lambda e, s, t: e.validate_tuple(t, open_socket(e, 1)["id"], ("127.0.0.1", 9)),
            "socket: it lives on another worker than the transport",
        ),
        (lambda e, s, t: e.set_srtp(t, 0, 1), "inbound: expected 1 to"),
        (lambda e, s, t: e.set_srtp(t, 1, 0), "outbound: expected 1 to"),
        (lambda e, s, t: e.set_receive_limit(t, 0), "max_bitrate_bps: expected 1 to"),
        (lambda e, s, t: e.poll_events(0), "limit: expected 1 to"),
    ],
)
def test_other_arguments_are_checked(
    engine: _engine.Engine, call: Callable[[_engine.Engine, int, int], object], message: str
) -> None:
    socket = open_socket(engine)["id"]
    transport = engine.create_transport(socket, **TRANSPORT)
    with pytest.raises(ConfigError, match=message):
        call(engine, socket, transport)


def test_slot_limits_are_checked(engine: _engine.Engine) -> None:
    slot = engine.add_slot(open_transport(engine), **SLOT)
    wrong = {"max_width": 0, "max_height": 2**16, "max_frame_rate": 0, "max_temporal_layers": 256, "shown_width": 0}
    for name, number in wrong.items():
        with pytest.raises(ConfigError, match=f"{name}: expected 1 to"):
            engine.set_slot_limits(slot, **{name: number})
    engine.set_slot_limits(slot, max_bitrate_bps=2**63, max_width=1280, max_temporal_layers=2, shown_height=200)
    engine.set_slot_limits(slot)


def test_a_wrong_type_is_pythons_error(engine: _engine.Engine) -> None:
    with pytest.raises(TypeError, match="worker"):
        engine.open_socket("0", ("127.0.0.1", 0))  # type: ignore[arg-type]


# -- Ids ----------------------------------------------------------------------------------------------------------


def test_ids_carry_the_worker_and_are_never_reused(engine: _engine.Engine) -> None:
    seen: set[int] = set()
    for worker in (0, 1):
        socket = open_socket(engine, worker)["id"]
        for _ in range(3):
            transport = engine.create_transport(socket, **TRANSPORT)
            producer = engine.add_producer(transport, **PRODUCER)
            slot = engine.add_slot(transport, **SLOT)
            assert {transport >> 48, producer >> 48, slot >> 48, socket >> 16} == {worker}
            assert not seen & {transport, producer, slot}
            seen |= {transport, producer, slot}
            engine.remove_transport(transport)


def test_unknown_ids_raise_at_once(engine: _engine.Engine) -> None:
    socket = open_socket(engine)["id"]
    transport = engine.create_transport(socket, **TRANSPORT)
    producer = engine.add_producer(transport, **PRODUCER)
    slot = engine.add_slot(transport, **SLOT)
    engine.assign_slot(slot, producer)
    engine.remove_transport(transport)
    address = ("127.0.0.1", 9)
    calls: list[Callable[[], object]] = [
        lambda: engine.remove_transport(transport),
        lambda: engine.set_remote_ice(transport, "abcd", "p" * 22),
        lambda: engine.restart_ice(transport, "abcd", "p" * 22),
        lambda: engine.add_tuple(transport, socket, address, nominated=True, priority=1),
        lambda: engine.validate_tuple(transport, socket, address),
        lambda: engine.set_srtp(transport, 1, 1),
        lambda: engine.set_receive_limit(transport, None),
        lambda: engine.add_producer(transport, **PRODUCER),
        lambda: engine.add_slot(transport, **SLOT),
        lambda: engine.pause_producer(producer, True),
        lambda: engine.remove_producer(producer),
        lambda: engine.request_key_frame(producer),
        lambda: engine.assign_slot(slot, None),
        lambda: engine.set_slot_limits(slot),
        lambda: engine.remove_slot(slot),
        lambda: engine.send_datagram(99, address, b"x"),
        lambda: engine.close_socket(-1),
        lambda: engine.create_transport(2**70, **TRANSPORT),
    ]
    for call in calls:
        with pytest.raises(EngineStateError, match=r"unknown (transport|producer|slot|socket)") as caught:
            call()
        assert isinstance(caught.value, RouterError)
    assert engine.transport_stats([transport, 2**70, -1, 5 << 48]) == []


def test_removed_tracks_are_unknown(engine: _engine.Engine) -> None:
    transport = open_transport(engine)
    producer, slot = engine.add_producer(transport, **PRODUCER), engine.add_slot(transport, **SLOT)
    engine.remove_producer(producer)
    with pytest.raises(EngineStateError, match=f"unknown producer {producer}"):
        engine.assign_slot(slot, producer)
    engine.remove_slot(slot)
    with pytest.raises(EngineStateError, match=f"unknown slot {slot}"):
        engine.assign_slot(slot, None)


def test_a_slot_shows_only_what_fits(engine: _engine.Engine) -> None:
    here, there = open_transport(engine, 0), open_transport(engine, 1)
    slot = engine.add_slot(here, **SLOT)
    audio = engine.add_producer(here, **(PRODUCER | {"kind": "audio"}))
    far = engine.add_producer(there, **PRODUCER)
    with pytest.raises(ConfigError, match="producer: it is of another kind"):
        engine.assign_slot(slot, audio)
    engine.assign_slot(slot, engine.add_producer(here, **PRODUCER))
    assert engine.counters()[0]["mirrors"] == 0
    engine.assign_slot(slot, far)
    assert [worker["mirrors"] for worker in engine.counters()] == [1, 0]
    engine.remove_producer(far)
    deadline_us = engine.now_us() + 2_000_000
    while engine.counters()[0]["mirrors"]:
        assert engine.now_us() < deadline_us, "the mirror of what is gone stays"


# -- Snapshots ----------------------------------------------------------------------------------------------------


def test_counters_have_the_shape_of_the_contract(engine: _engine.Engine) -> None:
    transport = open_transport(engine, 1)
    engine.add_producer(transport, **PRODUCER)
    engine.add_slot(transport, **SLOT)
    first, second = engine.counters()
    assert (first["worker"], second["worker"]) == (0, 1)
    assert first["transports"] == 0
    assert second["transports"] == 1
    assert len(second["forward_delay_us"]) == 10
    assert second["dropped"]["oversized"] == 0
    assert second["cpu"] is None
    assert all(isinstance(value, (int, dict, list)) for name, value in second.items() if name != "cpu")


def test_workers_are_pinned_where_they_are_told() -> None:
    cpu = max(os.sched_getaffinity(0))
    engine = _engine.Engine(srtp_functions=function_addresses(), workers=2, cpus=[cpu, 60_000])
    try:
        assert [worker["cpu"] for worker in engine.counters()] == [cpu, None]
        tasks = (task for task in Path("/proc/self/task").iterdir() if "worker-0" in (task / "comm").read_text())
        assert cpu in [max(os.sched_getaffinity(int(task.name))) for task in tasks]
        assert len(os.sched_getaffinity(0)) == os.cpu_count() or cpu in os.sched_getaffinity(0)
        assert len(engine.busy_us()) == 2
    finally:
        engine.close()


def test_stats_of_many_threads_are_whole(engine: _engine.Engine) -> None:
    transports = [open_transport(engine, worker) for worker in (0, 1)]
    results: list[list[int]] = []

    def ask() -> None:
        results.extend([stats["id"] for stats in engine.transport_stats(transports)] for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [transports] * 200


# -- Events -------------------------------------------------------------------------------------------------------


def wait_for_events(engine: _engine.Engine) -> None:
    readable, _, _ = select.select([engine.event_fd], [], [], 5)
    assert readable


class Recorder:
    """Any handler: notes its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.called = asyncio.Event()

    def __getattr__(self, name: str) -> Callable[..., None]:
        def note(*arguments: Any) -> None:
            self.calls.append((name, *arguments))
            self.called.set()

        return note

    async def wait(self) -> tuple[Any, ...]:
        await asyncio.wait_for(self.called.wait(), 5)
        self.called.clear()
        return self.calls[-1]


def binding_request(username: str) -> bytes:
    attributes = {"USERNAME": username, "PRIORITY": 1}
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes=attributes)
    message.add_message_integrity(b"p" * 22)
    return bytes(message)


async def test_stun_reaches_the_sockets_handler() -> None:
    async with MediaEngine() as engine:
        info = open_socket(engine.native)
        recorder = Recorder()
        engine.register_socket(info["id"], recorder)
        with system_socket.socket(system_socket.AF_INET, system_socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            data = binding_request("abcd:efgh")
            peer.sendto(data, info["address"])
            assert await recorder.wait() == ("on_stun", peer.getsockname(), data)


async def test_removal_frees_sessions_and_handler() -> None:
    async with MediaEngine() as engine:
        transport = open_transport(engine.native)
        engine.register_transport(transport, Recorder())
        engine.set_srtp(transport, "AEAD_AES_128_GCM", bytes(28), bytes(range(28)))
        engine.set_srtp(transport, "AES128_CM_SHA1_80", bytes(30), bytes(range(30)))
        assert len(engine._sessions[transport]) == 2, "the first may be in use until the engine says otherwise"
        engine.native.remove_transport(transport)
        wait_for_events(engine.native)
        engine._on_readable()
        assert not engine._sessions
        assert not engine._transports


async def test_sessions_of_a_refused_transport_are_not_kept() -> None:
    async with MediaEngine() as engine:
        with pytest.raises(EngineStateError):
            engine.set_srtp(404, "AEAD_AES_128_GCM", bytes(28), bytes(28))
        assert not engine._sessions


def stun_event(engine: _engine.Engine) -> "_engine.Event":
    """A real event, to learn what they look like."""
    info = open_socket(engine)
    with system_socket.socket(system_socket.AF_INET, system_socket.SOCK_DGRAM) as peer:
        peer.sendto(binding_request("abcd:efgh"), info["address"])
        wait_for_events(engine)
    return engine.poll_events()[0]


def test_events_match_by_position_and_hide_their_bytes(engine: _engine.Engine) -> None:
    event = stun_event(engine)
    match event:
        case _engine.StunReceived(socket, (host, port), data):
            assert repr(event) == f"StunReceived(socket={socket}, source=('{host}', {port}), data=<{len(data)} bytes>)"
        case _:
            pytest.fail(f"{event} does not match")
    with pytest.raises(AttributeError):
        event.socket = 3


def test_events_beyond_the_limit_stay_announced(engine: _engine.Engine) -> None:
    transports = [open_transport(engine, worker) for worker in (0, 1) for _ in range(3)]
    for transport in transports:
        engine.remove_transport(transport)
    engine.counters()  # answered after all that
    removed: list[int] = []
    while len(removed) < len(transports):
        wait_for_events(engine)
        events = engine.poll_events(limit=2)
        assert 1 <= len(events) <= 2
        removed += [event.transport for event in events if isinstance(event, _engine.TransportRemoved)]
    assert sorted(removed) == transports
    assert not select.select([engine.event_fd], [], [], 0)[0]


async def test_a_handler_that_raises_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Raises(Recorder):
        def on_stun(self, source: object, data: bytes) -> None:
            raise ZeroDivisionError

    async with MediaEngine() as engine:
        bad, good = open_socket(engine.native), open_socket(engine.native)
        recorder = Recorder()
        engine.register_socket(bad["id"], Raises())
        engine.register_socket(good["id"], recorder)
        with system_socket.socket(system_socket.AF_INET, system_socket.SOCK_DGRAM) as peer:
            for info in (bad, good):
                peer.sendto(binding_request("abcd:efgh"), info["address"])
            assert (await recorder.wait())[0] == "on_stun"
    records = [record for record in caplog.records if record.exc_info]
    assert len(records) == 1
    assert records[0].levelno == logging.ERROR


async def test_events_of_unregistered_ids_are_dropped() -> None:
    async with MediaEngine() as engine:
        silent, heard = open_socket(engine.native), open_socket(engine.native)
        recorder = Recorder()
        engine.register_socket(silent["id"], recorder)
        engine.unregister_socket(silent["id"])
        other = Recorder()
        engine.register_socket(heard["id"], other)
        with system_socket.socket(system_socket.AF_INET, system_socket.SOCK_DGRAM) as peer:
            for info in (silent, heard):
                peer.sendto(binding_request("abcd:efgh"), info["address"])
            await other.wait()
        assert recorder.calls == []


async def test_closing_is_idempotent_and_final() -> None:
    engine = MediaEngine()
    engine.start()
    engine.start()
    await asyncio.gather(engine.close(), engine.close())
    assert engine.closed
    with pytest.raises(EngineStateError, match="closed"):
        engine.start()


def test_moves_to_a_new_loop_when_the_old_one_is_closed() -> None:
    engine = MediaEngine()

    async def hear() -> str:
        engine.start()
        info, recorder = open_socket(engine.native), Recorder()
        engine.register_socket(info["id"], recorder)
        with system_socket.socket(system_socket.AF_INET, system_socket.SOCK_DGRAM) as peer:
            peer.sendto(binding_request("abcd:efgh"), info["address"])
            return str((await recorder.wait())[0])

    assert [asyncio.run(hear()), asyncio.run(hear())] == ["on_stun", "on_stun"]
    asyncio.run(engine.close())


async def test_the_default_engine_is_one_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_default", None)
    first = default_engine()
    assert default_engine() is first
    await first.close()
    second = default_engine()
    assert second is not first
    await second.close()
