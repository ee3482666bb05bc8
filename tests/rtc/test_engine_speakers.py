"""Speaker groups through the compiled engine: arguments, ids, the event. Who is heard when is tested in Rust."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from router import _engine
from router.errors import ConfigError, EngineStateError
from router.rtc.engine import MediaEngine
from router.rtc.srtp import function_addresses
from tests.rtc.media_peer import OPUS, MediaPeer

LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
TRANSPORT: dict[str, Any] = {"local_ufrag": "abcd", "local_password": "p" * 22, "cname": "router"}


@pytest.fixture
def engine() -> Iterator[_engine.Engine]:
    engine = _engine.Engine(srtp_functions=function_addresses(), workers=2)
    yield engine
    engine.close()


def open_transport(engine: _engine.Engine, worker: int = 0) -> int:
    return engine.create_transport(engine.open_socket(worker, ("127.0.0.1", 0))["id"], **TRANSPORT)


def add_producer(engine: _engine.Engine, transport: int, kind: "_engine.Kind" = "audio", ssrc: int = 1) -> int:
    return engine.add_producer(
        transport,
        kind=kind,
        mid=None,
        codecs=[OPUS],
        extensions={LEVEL: 1},
        encodings=[{"rid": None, "ssrc": ssrc, "rtx_ssrc": None}],
        contributor=ssrc,
    )


def add_slot(engine: _engine.Engine, transport: int, kind: "_engine.Kind" = "audio", ssrc: int = 10) -> int:
    return engine.add_slot(transport, kind=kind, mid=None, ssrc=ssrc, rtx_ssrc=None, codecs=[OPUS], extensions={})


class Listener:
    """A `SpeakersHandler` that waits for a state."""

    def __init__(self) -> None:
        self.told: list[_engine.SpeakersChanged] = []
        self.changed = asyncio.Event()

    def on_speakers_changed(self, event: _engine.SpeakersChanged) -> None:
        self.told.append(event)
        self.changed.set()

    async def wait_for(self, reached: Callable[[int | None, list[list[int | None]]], bool]) -> None:
        async with asyncio.timeout(10):
            while not self.told or not reached(self.told[-1].dominant, self.told[-1].stages):
                self.changed.clear()
                await self.changed.wait()


# -- Arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_heard", [0, 17, -1, 2**70])
def test_the_number_heard_is_bounded(engine: _engine.Engine, max_heard: int) -> None:
    with pytest.raises(ConfigError, match="max_heard: expected 1 to 16, got"):
        engine.create_speakers(0, max_heard=max_heard)
    with pytest.raises(ConfigError, match="worker: expected 0 to 1, got 2"):
        engine.create_speakers(2)
    assert engine.create_speakers(1, max_heard=16) != engine.create_speakers(1)


def test_only_audio_competes_on_any_worker(engine: _engine.Engine) -> None:
    here, there = open_transport(engine, 0), open_transport(engine, 1)
    group = engine.create_speakers(0)
    with pytest.raises(ConfigError, match="producer: it is not audio"):
        engine.join_speakers(add_producer(engine, here, "video"), group, 1)
    engine.join_speakers(add_producer(engine, there), group, 1)
    assert [worker["mirrors"] for worker in engine.counters()] == [1, 0]
    producer = add_producer(engine, here)
    for participant in (-1, 2**64):
        with pytest.raises(ConfigError, match="participant: expected 0 to"):
            engine.join_speakers(producer, group, participant)
    engine.join_speakers(producer, group, 2**64 - 1)


def test_only_audio_slots_of_one_peer_follow(engine: _engine.Engine) -> None:
    here, other, there = (open_transport(engine, worker) for worker in (0, 0, 1))
    group = engine.create_speakers(0)
    first, second = add_slot(engine, here, ssrc=10), add_slot(engine, here, ssrc=11)
    wrong: list[tuple[list[int], str]] = [
        ([], "slots: expected at least one"),
        ([first, add_slot(engine, here, "video", ssrc=12)], r"slots\[1\]: it is not audio"),
        ([first, add_slot(engine, other)], r"slots\[1\]: it belongs to another peer than the first"),
        ([add_slot(engine, there)], r"slots\[0\]: it lives on another worker than the group"),
        ([first, second, first], r"slots\[2\]: it is given twice"),
    ]
    for slots, message in wrong:
        with pytest.raises(ConfigError, match=message):
            engine.follow_speakers(slots, group, 1)
    with pytest.raises(ConfigError, match="participant: expected 0 to"):
        engine.follow_speakers([first], group, -1)
    engine.follow_speakers([second, first], group, 0)


def test_what_is_gone_is_unknown(engine: _engine.Engine) -> None:
    transport = open_transport(engine)
    producer, slot, group = add_producer(engine, transport), add_slot(engine, transport), engine.create_speakers(0)
    with pytest.raises(EngineStateError, match="unknown producer 99"):
        engine.join_speakers(99, group, 1)
    with pytest.raises(EngineStateError, match="unknown slot 99"):
        engine.follow_speakers([slot, 99], group, 1)
    engine.remove_speakers(group)
    calls: list[Callable[[], object]] = [
        lambda: engine.remove_speakers(group),
        lambda: engine.join_speakers(producer, group, 1),
        lambda: engine.follow_speakers([slot], group, 1),
    ]
    for call in calls:
        with pytest.raises(EngineStateError, match=f"unknown group {group}"):
            call()


# -- Who speaks ---------------------------------------------------------------------------------------------------


async def test_the_handler_of_the_group_hears_who_speaks() -> None:
    async with MediaEngine() as engine:
        native = engine.native
        info = native.open_socket(0, ("127.0.0.1", 0))
        peers = [MediaPeer(native, info) for _ in range(3)]
        group = native.create_speakers(0, max_heard=1)
        listener, stranger = Listener(), Listener()
        engine.register_speakers(group, listener)
        other = native.create_speakers(0)
        engine.register_speakers(other, stranger)
        producers = []
        for number, peer in enumerate(peers[:2], 1):
            peer.connect()
            producers.append(add_producer(native, peer.transport, ssrc=number))
            native.join_speakers(producers[-1], group, number)
        peers[2].connect()
        slot = add_slot(native, peers[2].transport)
        native.follow_speakers([slot], group, 3)
        talking = asyncio.create_task(talk(peers[:2], (100, 20)))
        await listener.wait_for(lambda dominant, stages: dominant == producers[1] and stages[0][0] == producers[1])
        native.remove_producer(producers[1])
        await listener.wait_for(lambda dominant, stages: dominant is None and stages == [[producers[0], None]])
        assert listener.told[-1].recent == []
        (stats,) = native.transport_stats([peers[2].transport])
        assert (stats["slots"][0]["producer"], stats["slots"][0]["reason"]) == (producers[0], "one of the loudest")
        engine.unregister_speakers(group)
        told = len(listener.told)
        native.remove_producer(producers[0])
        # The other group's second report, 200 ms after its first, leaves the engine behind the one that is dropped.
        other_slot = add_slot(native, peers[2].transport, ssrc=11)
        native.follow_speakers([other_slot], other, 3)
        await stranger.wait_for(lambda _, stages: stages == [[None, None]])
        native.remove_slot(other_slot)
        await stranger.wait_for(lambda _, stages: stages == [])
        talking.cancel()
        assert len(listener.told) == told
    for peer in peers:
        peer.close()


async def talk(peers: list[MediaPeer], levels: tuple[int, ...]) -> None:
    """A packet of each peer every 20 ms, until cancelled."""
    loop = asyncio.get_running_loop()
    for sequence in range(100_000):
        for ssrc, (peer, level) in enumerate(zip(peers, levels, strict=True), 1):
            peer.send_rtp(sequence, b"opus", payload_type=111, ssrc=ssrc, timestamp=960 * sequence, level=level)
        tick: asyncio.Future[None] = loop.create_future()
        loop.call_later(0.02, tick.set_result, None)
        await tick


def test_the_event_matches_by_position(engine: _engine.Engine) -> None:
    transport = open_transport(engine)
    group = engine.create_speakers(0)
    engine.follow_speakers([add_slot(engine, transport)], group, 1)
    events: list[_engine.Event] = []
    while not events:
        events = engine.poll_events()
    match events[0]:
        case _engine.SpeakersChanged(told, None, [], [[None, None]], []):
            assert told == group
        case other:
            pytest.fail(f"{other} does not match")
    assert repr(events[0]) == (
        f"SpeakersChanged(group={group}, dominant=None, recent=[], stages=[[None, None]], levels=[])"
    )
    with pytest.raises(AttributeError):
        events[0].group = 3
