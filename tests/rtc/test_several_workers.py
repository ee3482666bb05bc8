"""One room on two workers of the real engine: packets, losses, key frames, voices, and a call of real peers."""

import asyncio
import struct
from collections.abc import Callable, Iterator

import pytest
from aiortc import RTCPeerConnection

from router import _engine
from router.clock import monotonic_us
from router.rtc import MediaEngine, RTCConnection, RTCSocket, RTCSocketOptions
from router.rtc.placement import Placement, WorkerLoads
from router.rtc.srtp import function_addresses
from tests.rtc.media_peer import OPUS, MediaPeer, RtpPacket
from tests.rtc.peers import add_media, join, receive_frames, receive_media, wait_for
from tests.rtc.test_forwarding import KEY_FRAME, PLI, VP8, add_producer, add_slot

LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
DELTA = b"\x10" + b"\x11\x02\x00" + b"delta" * 20
NACK = 205
Connect = Callable[[int], MediaPeer]


@pytest.fixture
def engine() -> Iterator[_engine.Engine]:
    engine = _engine.Engine(srtp_functions=function_addresses(), workers=2)
    yield engine
    engine.close()


@pytest.fixture
def connect(engine: _engine.Engine) -> Iterator[Connect]:
    peers: list[MediaPeer] = []
    sockets = [engine.open_socket(worker, ("127.0.0.1", 0)) for worker in (0, 1)]

    def connect(worker: int) -> MediaPeer:
        peer = MediaPeer(engine, sockets[worker])
        peers.append(peer)
        peer.connect()
        return peer

    yield connect
    engine.close()
    for peer in peers:
        peer.close()


def wait_for_mirrors(engine: _engine.Engine, expected: list[int]) -> None:
    deadline_us = monotonic_us() + 5_000_000
    while (mirrors := [worker["mirrors"] for worker in engine.counters()]) != expected:
        assert monotonic_us() < deadline_us, mirrors


def send(publisher: MediaPeer, number: int, payload: bytes) -> None:
    publisher.send_rtp(number, payload, payload_type=96, ssrc=1111, timestamp=3000 * number)


def receive(peer: MediaPeer) -> RtpPacket:
    packet = peer.receive_rtp()
    assert packet is not None
    return packet


def drop_rtp(peer: MediaPeer) -> int:
    """Loses the next packet, which is never decrypted; its sequence number."""
    while (data := peer.receive_datagram()) is not None:
        if data[0] >= 128 and not 192 <= data[1] <= 223:
            return int.from_bytes(data[2:4], "big")
    raise AssertionError("nothing came")


def test_all_packets_reach_both_workers_and_losses_are_repaired_there(engine: _engine.Engine, connect: Connect) -> None:
    publisher, receivers = connect(0), [connect(0), connect(1), connect(1)]
    producer = add_producer(publisher, VP8, ssrc=1111)
    slots = [add_slot(peer, VP8, ssrc=2222) for peer in receivers]
    for slot in slots:
        engine.assign_slot(slot, producer)
    wait_for_mirrors(engine, [0, 1])
    first = []
    for number in range(200):
        send(publisher, number, KEY_FRAME + b"%d" % number if number == 0 else DELTA + b"%d" % number)
        first.append([receive(peer) for peer in receivers])
    for packets in first:
        assert len({packet.payload for packet in packets}) == 1
    for index in range(3):
        sequences = [packets[index].sequence for packets in first]
        assert [(sequence - sequences[0]) & 0xFFFF for sequence in sequences] == list(range(200))

    send(publisher, 200, DELTA + b"lost")
    lost = drop_rtp(receivers[1])
    report = struct.pack("!BBHI", 0x80, 201, 1, 1)
    receivers[1].send_rtcp(report + struct.pack("!BBHIIHH", 0x81, NACK, 3, 1, 2222, lost, 0))
    repaired = receive(receivers[1])
    assert (repaired.sequence, repaired.payload) == (lost, DELTA + b"lost")
    assert all(report[1] != NACK for report in publisher.reports)
    home, other = engine.counters()
    assert home["mirror_packets_sent"] == other["mirror_packets_received"] == 201
    assert (home["mirror_dropped"], other["mirror_dropped"]) == (0, 0)
    assert other["rtp_packets_received"] == 0, "it was decrypted once"
    engine.remove_transport(publisher.transport)
    wait_for_mirrors(engine, [0, 0])


def test_a_key_frame_request_of_another_worker_reaches_the_publisher_once(
    engine: _engine.Engine, connect: Connect
) -> None:
    publisher, receiver = connect(0), connect(1)
    producer = add_producer(publisher, VP8, ssrc=1111)
    engine.assign_slot(add_slot(receiver, VP8, ssrc=2222), producer)
    for number in range(40):
        send(publisher, number, DELTA)
        publisher.receive_rtp(patience_us=5_000)
        if any(report[1] == PLI for report in split(publisher.reports)):
            break
    requests = [report for report in split(publisher.reports) if report[1] == PLI]
    assert len(requests) == 1
    send(publisher, 100, KEY_FRAME)
    assert receive(receiver).payload[-3:] == b"key"


def split(compounds: list[bytes]) -> Iterator[bytes]:
    """The messages of compound packets."""
    for compound in compounds:
        while compound:
            end = 4 + 4 * int.from_bytes(compound[2:4], "big")
            yield compound[:end]
            compound = compound[end:]


def test_voices_are_heard_on_both_workers(engine: _engine.Engine, connect: Connect) -> None:
    speaker, listeners = connect(0), [connect(0), connect(1)]
    producer = engine.add_producer(
        speaker.transport,
        kind="audio",
        mid="0",
        codecs=[OPUS],
        extensions={LEVEL: 1},
        encodings=[{"rid": None, "ssrc": 1111, "rtx_ssrc": None}],
        contributor=77,
    )
    groups = [engine.create_speakers(worker) for worker in (0, 1)]
    for group, listener in zip(groups, listeners, strict=True):
        engine.join_speakers(producer, group, 1)
        engine.follow_speakers([add_slot(listener, OPUS, ssrc=2222)], group, 2)
    wait_for_mirrors(engine, [0, 1])
    for number in range(20):
        speaker.send_rtp(number, b"word %d" % number, payload_type=111, ssrc=1111, timestamp=960 * number, level=20)
        assert [receive(listener).payload for listener in listeners] == [b"word %d" % number] * 2
    engine.remove_speakers(groups[1])
    wait_for_mirrors(engine, [0, 0])


@pytest.mark.e2e
async def test_a_call_of_real_peers_across_workers(peers: list[RTCPeerConnection]) -> None:
    async with MediaEngine(workers=2) as engine:
        origin = RTCConnection()
        for worker in (0, 1):
            options = RTCSocketOptions(address="127.0.0.1", worker=worker)
            origin.add_socket(RTCSocket(options=options, engine=engine))
        origin.placement = Placement(WorkerLoads(2), [0, 1], spread_above=0)
        sender, *receivers = peers
        add_media(sender)
        publishing = origin.fork()
        await join(sender, publishing)
        (stream,) = publishing.get_remote_streams()
        speakers = origin.open_speakers()
        await wait_for(lambda: all(track.live for track in stream.tracks))
        speakers.add_track(next(track for track in stream.tracks if track.kind == "audio"), participant=1)
        forks = [origin.fork() for _ in receivers]
        tracks = [receive_media(receiver) for receiver in receivers]
        for receiver, fork in zip(receivers, forks, strict=True):
            await join(receiver, fork)
            speakers.follow([slot for slot in fork.slots if slot.kind == "audio"], participant=2)
            fork.send_stream(stream)
        assert [publishing.worker, *(fork.worker for fork in forks)] == [1, 0, 1]
        await asyncio.gather(*(receive_frames(item) for item in tracks))
        for fork in forks:
            await wait_for(lambda fork=fork: all(slot.track is not None for slot in fork.slots))  # type: ignore[misc]
            stats = await fork.get_stats()
            assert all(slot["packets_sent"] > 0 for slot in stats["slots"])
        assert [worker["mirrors"] for worker in engine.native.counters()] == [2, 0]
        await publishing.close()
        await asyncio.gather(*(fork.close() for fork in forks))
        speakers.close()
        await origin.close()
        await wait_for(lambda: [worker["mirrors"] for worker in engine.native.counters()] == [0, 0])
        assert [worker["producers"] + worker["slots"] for worker in engine.native.counters()] == [0, 0]
