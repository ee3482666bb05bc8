"""Media through the real engine on loopback: SRTP in, SRTP out, without DTLS and without Python in the way."""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from router import _engine
from router.rtc.constraints import SRTP_PROFILES, SrtpProfile
from router.rtc.engine import MediaEngine
from router.rtc.srtp import function_addresses
from tests.rtc.media_peer import OPUS, MediaPeer

VP8: "_engine.CodecParameters" = {
    "payload_type": 96,
    "rtx_payload_type": 97,
    "codec": "vp8",
    "format": 2,
    "clock_rate": 90000,
    "feedback": ["nack", "pli"],
}
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
KEY_FRAME = b"\x10" + b"\x10\x02\x00\x9d\x01\x2a\x80\x02\xe0\x01" + b"key" * 20
PLI = 206
Connect = Callable[..., MediaPeer]


@pytest.fixture
def engine() -> Iterator[_engine.Engine]:
    engine = _engine.Engine(srtp_functions=function_addresses())
    yield engine
    engine.close()


@pytest.fixture
def connect(engine: _engine.Engine) -> Iterator[Connect]:
    """Peers on one shared port per address family."""
    peers: list[MediaPeer] = []
    sockets: dict[str, _engine.SocketInfo] = {}

    def connect(profile: SrtpProfile = "AEAD_AES_128_GCM", host: str = "127.0.0.1") -> MediaPeer:
        if host not in sockets:
            sockets[host] = engine.open_socket(0, (host, 0))
        peer = MediaPeer(engine, sockets[host], profile)
        peers.append(peer)
        peer.connect()
        return peer

    yield connect
    engine.close()
    for peer in peers:
        peer.close()


def add_producer(peer: MediaPeer, codec: "_engine.CodecParameters", ssrc: int, contributor: int = 77) -> int:
    return peer.engine.add_producer(
        peer.transport,
        kind="audio" if codec["codec"] == "opus" else "video",
        mid="0",
        codecs=[codec],
        extensions={MID: 4},
        encodings=[{"rid": None, "ssrc": ssrc, "rtx_ssrc": None}],
        contributor=contributor,
    )


def add_slot(peer: MediaPeer, codec: "_engine.CodecParameters", ssrc: int) -> int:
    return peer.engine.add_slot(
        peer.transport,
        kind="audio" if codec["codec"] == "opus" else "video",
        mid="0",
        ssrc=ssrc,
        rtx_ssrc=None,
        codecs=[codec],
        extensions={},
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("profile", SRTP_PROFILES)
def test_audio_is_forwarded_as_the_receiver_negotiated_it(
    engine: _engine.Engine, connect: Connect, profile: SrtpProfile, host: str
) -> None:
    publisher, receiver = connect(profile, host), connect("AES128_CM_SHA1_80", host)
    producer = add_producer(publisher, OPUS, ssrc=1111)
    engine.assign_slot(add_slot(receiver, {**OPUS, "payload_type": 109}, ssrc=2222), producer)
    received = []
    for i in range(20):
        publisher.send_rtp(65_530 + i, b"opus %d" % i, payload_type=111, ssrc=1111, timestamp=0xFFFFFF00 + 960 * i)
        packet = receiver.receive_rtp()
        assert packet is not None
        received.append(packet)
    assert {(packet.ssrc, packet.payload_type, packet.csrcs) for packet in received} == {(2222, 109, (77,))}
    assert [packet.payload for packet in received] == [b"opus %d" % i for i in range(20)]
    first = received[0]
    assert [(packet.sequence - first.sequence) & 0xFFFF for packet in received] == list(range(20))
    assert [(packet.timestamp - first.timestamp) & 0xFFFFFFFF for packet in received] == [960 * i for i in range(20)]
    stats = {stats["id"]: stats for stats in engine.transport_stats([publisher.transport, receiver.transport])}
    assert stats[publisher.transport]["secured"]
    assert stats[publisher.transport]["producers"][0]["encodings"][0]["packets_received"] == 20
    assert stats[receiver.transport]["slots"][0]["packets_sent"] == 20
    (totals,) = engine.counters()
    assert (totals["rtp_packets_received"], totals["rtp_packets_sent"]) == (20, 20), "neither STUN nor RTCP"
    assert totals["datagrams_received"] > 20
    assert stats[receiver.transport]["remote_address"] == receiver.address
    (counters,) = engine.counters()
    assert sum(counters["forward_delay_us"]) >= 20


def test_video_starts_at_a_key_frame_that_the_engine_asks_for(engine: _engine.Engine, connect: Connect) -> None:
    publisher, receiver = connect(), connect()
    producer = add_producer(publisher, VP8, ssrc=1111)
    # The first packet tells the engine that this encoding flows; it is no key frame, so nobody gets it.
    publisher.send_rtp(1, b"\x10\x01rest", payload_type=96, ssrc=1111, timestamp=0)
    engine.assign_slot(add_slot(receiver, VP8, ssrc=2222), producer)
    publisher.send_rtp(2, b"\x10\x01rest", payload_type=96, ssrc=1111, timestamp=3000)
    for sequence in range(3, 50):
        assert publisher.receive_rtp(50_000) is None
        if any(report_types(report, PLI) for report in publisher.reports):
            break
        publisher.send_rtp(sequence, b"\x10\x01rest", payload_type=96, ssrc=1111, timestamp=3000 * sequence)
    else:
        pytest.fail("the engine did not ask for a key frame")
    publisher.send_rtp(sequence, KEY_FRAME, payload_type=96, ssrc=1111, timestamp=3000 * sequence)
    packet = receiver.receive_rtp()
    assert packet is not None
    assert (packet.ssrc, packet.payload) == (2222, KEY_FRAME)


def report_types(compound: bytes, wanted: int) -> list[bytes]:
    """The packets of one RTCP type."""
    found = []
    while compound:
        _, kind, words = struct.unpack_from("!BBH", compound)
        packet, compound = compound[: 4 * words + 4], compound[4 * words + 4 :]
        if kind == wanted:
            found.append(packet)
    return found


def test_nothing_unauthenticated_is_forwarded(engine: _engine.Engine, connect: Connect) -> None:
    publisher, receiver = connect(), connect()
    producer = add_producer(publisher, OPUS, ssrc=1111)
    engine.assign_slot(add_slot(receiver, OPUS, ssrc=2222), producer)
    plain = struct.pack("!BBHII", 0x80, 111, 5, 0, 1111) + b"injected" * 10
    publisher.socket.sendto(plain, publisher.router)
    publisher.send_rtp(6, b"genuine", payload_type=111, ssrc=1111, timestamp=0)
    packet = receiver.receive_rtp()
    assert packet is not None
    assert packet.payload == b"genuine"
    (counters,) = engine.counters()
    assert sum(counters["dropped"].values()) == 1


def test_a_muted_producer_is_silent_until_it_is_heard_again(engine: _engine.Engine, connect: Connect) -> None:
    publisher, receiver = connect(), connect()
    producer = add_producer(publisher, OPUS, ssrc=1111)
    engine.assign_slot(add_slot(receiver, OPUS, ssrc=2222), producer)
    engine.pause_producer(producer, True)
    publisher.send_rtp(1, b"muted", payload_type=111, ssrc=1111, timestamp=0)
    assert receiver.receive_rtp(200_000) is None
    engine.pause_producer(producer, False)
    publisher.send_rtp(2, b"heard", payload_type=111, ssrc=1111, timestamp=960)
    packet = receiver.receive_rtp()
    assert packet is not None
    assert packet.payload == b"heard"


def test_checks_are_answered_without_python(connect: Connect) -> None:
    peer = connect()
    for _ in range(3):
        request = peer.check()
        while (data := peer.receive_datagram()) is not None and data[0] == 0:
            peer.answer(data)
        assert data is not None
        assert data[:2] == b"\x01\x01", "a success response"
        assert data[8:20] == request.transaction_id


async def test_media_flows_while_the_loop_is_blocked() -> None:
    with ExitStack() as cleanup:
        async with MediaEngine() as engine:
            info = engine.native.open_socket(0, ("127.0.0.1", 0))
            peers = [MediaPeer(engine.native, info), MediaPeer(engine.native, info)]
            publisher, receiver = peers
            active = asyncio.Event()
            for peer in peers:
                cleanup.callback(peer.close)

            class Handler:
                def on_encoding_active(self, encoding: int, ssrc: int) -> None:
                    active.set()

                def on_encodings_wanted(self, encodings: list[int]) -> None:
                    pytest.fail(f"who does not follow is told nothing: {encodings}")

                def on_producer_silent(self, reason: str) -> None:
                    pytest.fail(reason)

                def on_contributors(self, sources: list[tuple[int, int | None]]) -> None:
                    pytest.fail(f"no CSRC was sent: {sources}")

            for peer in (publisher, receiver):
                peer.connect()
            producer = add_producer(publisher, OPUS, ssrc=1111)
            engine.register_producer(producer, Handler())
            engine.native.assign_slot(add_slot(receiver, OPUS, ssrc=2222), producer)
            # From here to the end of the loop nothing returns to asyncio: 50 packets at 10 ms.
            for i in range(50):
                publisher.send_rtp(i, b"%d" % i, payload_type=111, ssrc=1111, timestamp=960 * i)
                packet = receiver.receive_rtp()
                assert packet is not None
                assert packet.payload == b"%d" % i
                assert receiver.receive_rtp(10_000) is None
            assert not active.is_set()
            await asyncio.wait_for(active.wait(), 5)


def test_removal_says_goodbye_and_frees_everything(engine: _engine.Engine, connect: Connect) -> None:
    publisher, receiver = connect(), connect()
    engine.assign_slot(add_slot(receiver, OPUS, ssrc=2222), add_producer(publisher, OPUS, ssrc=1111))
    publisher.send_rtp(1, b"x", payload_type=111, ssrc=1111, timestamp=0)
    assert receiver.receive_rtp() is not None
    engine.remove_transport(receiver.transport)
    assert receiver.receive_rtp(500_000) is None
    goodbyes = [bye for report in receiver.reports for bye in report_types(report, 203)]
    assert [struct.unpack_from("!I", bye, 4)[0] for bye in goodbyes] == [2222]
    engine.remove_transport(publisher.transport)
    (counters,) = engine.counters()
    assert (counters["transports"], counters["producers"], counters["slots"]) == (0, 0, 0)
    events = engine.poll_events()
    removed = [event.transport for event in events if isinstance(event, _engine.TransportRemoved)]
    assert removed == [receiver.transport, publisher.transport]


def test_no_datagram_hurts_the_engine(engine: _engine.Engine, connect: Connect) -> None:
    """Every length with first bytes of every kind, from a stranger and from a peer with keys."""
    publisher, receiver = connect(), connect("AES128_CM_SHA1_80")
    producer = add_producer(publisher, OPUS, ssrc=1111)
    engine.assign_slot(add_slot(receiver, OPUS, ssrc=2222), producer)
    before = engine.counters()[0]
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sent = 0
    with stranger:
        heads = [
            bytes([first, second]) for first in (0, 1, 20, 22, 63, 64, 128, 144, 191, 255) for second in (0, 1, 200)
        ]
        for length in range(1502):
            head = heads[length % len(heads)]
            for source in (stranger, publisher.socket, receiver.socket):
                for fill in (b"\x00", b"\xff", head[:1]):
                    source.sendto((head + fill * length)[:length], publisher.router)
                    sent += 1
            while engine.counters()[0]["datagrams_received"] < before["datagrams_received"] + sent - 500:
                pass  # the call waits for the worker
    publisher.send_rtp(1, b"still here", payload_type=111, ssrc=1111, timestamp=0)
    while (packet := receiver.receive_rtp()) is not None and packet.ssrc != 2222:
        pass
    assert packet is not None
    assert packet.payload == b"still here"
    (counters,) = engine.counters()
    assert (counters["panics"], counters["transports"], counters["kernel_drops"]) == (0, 2, 0)
    assert counters["dropped"]["oversized"] == 9
    assert counters["datagrams_received"] >= before["datagrams_received"] + sent + 1
