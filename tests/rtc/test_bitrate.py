"""`set_constraints` while media flows: what a receiver gets, and what a publisher is told, without renegotiation.

The peers are those of the load test: STUN by aioice, DTLS by OpenSSL, SRTP by pylibsrtp. The publisher sends two
simulcast layers and makes key frames only when it is asked to.
"""

import asyncio
import functools
import itertools
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from loadtest.peer import Answer, Identity, Peer
from router.clock import monotonic_us
from router.rtc import RTCConnection, RTCConstraints
from router.rtc.sdp import parse
from tests.rtc.media_peer import RtpPacket
from tests.rtc.peers import answer_text, wait_for

pytestmark = pytest.mark.e2e

MID_ID, RID_ID = 1, 2
SIMULCAST = (
    "video 9 UDP/TLS/RTP/SAVPF 96\r\na=sendonly\r\na=msid:camera picture\r\na=rtpmap:96 VP8/90000\r\n"
    "a=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 goog-remb\r\n"
    f"a=extmap:{MID_ID} urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
    f"a=extmap:{RID_ID} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"
    "a=rid:l send\r\na=rid:h send\r\na=simulcast:send l;h\r\n"
)
FRAME_S = 0.02
FEEDBACK_INTERVAL_S = 1.0
PT, PSFB, PLI, ALFB = 96, 206, 1, 15


@dataclass(slots=True)
class Layer:
    """One simulcast encoding, a packet a frame."""

    rid: str
    ssrc: int
    width: int
    height: int
    frame_bytes: int
    sequence: int = 0
    wants_key: bool = True

    def write_frame(self) -> bytes:
        key = self.wants_key
        self.wants_key = False
        self.sequence += 1
        header = struct.pack("!BBHII", 0x90, 0x80 | PT, self.sequence, 1800 * self.sequence & 0xFFFFFFFF, self.ssrc)
        items = bytes([MID_ID << 4]) + b"0" + bytes([RID_ID << 4]) + self.rid.encode()
        start = struct.pack("<3s3sHH", b"\x10\x02\x00", b"\x9d\x01\x2a", self.width, self.height)
        payload = b"\x10" + (start if key else b"\x11\x02\x00") + self.rid.encode()
        return header + b"\xbe\xde\x00\x01" + items + payload.ljust(self.frame_bytes, b"\x00")


@dataclass(slots=True)
class Publisher:
    """Sends both layers until told to stop."""

    peer: Peer
    layers: tuple[Layer, ...] = field(
        default_factory=lambda: (Layer("l", 1111, 320, 180, 250), Layer("h", 2222, 1280, 720, 1100))
    )
    limits_bps: list[int] = field(default_factory=list)
    """What REMB told it."""

    async def run(self) -> None:
        self.peer.on_rtcp = self.handle_rtcp
        while True:
            for layer in self.layers:
                self.peer.send_rtp(layer.write_frame())
            await asyncio.sleep(FRAME_S)

    def was_told(self, limit_bps: int) -> bool:
        return self.limits_bps[-1:] == [pytest.approx(limit_bps, rel=0.01)]

    def handle_rtcp(self, compound: bytes) -> None:
        for kind, form, packet in split(compound):
            if kind == PSFB and form == PLI:
                for layer in self.layers:
                    layer.wants_key |= layer.ssrc == int.from_bytes(packet[8:12], "big")
            elif kind == PSFB and form == ALFB and packet[12:16] == b"REMB":
                exponent, mantissa = packet[17] >> 2, int.from_bytes(packet[17:20], "big") & 0x3FFFF
                self.limits_bps.append(mantissa << exponent)


def split(compound: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, format and bytes of each packet (RFC 3550 section 6.1)."""
    while compound:
        first, kind, words = struct.unpack_from("!BBH", compound)
        yield kind, first & 0x1F, compound[: 4 * words + 4]
        compound = compound[4 * words + 4 :]


@dataclass(slots=True)
class Received:
    """The video packets of one receiver, with their times."""

    packets: list[tuple[int, RtpPacket]] = field(default_factory=list)

    def add(self, data: bytes) -> None:
        packet = RtpPacket.parse(data)
        if packet.payload_type == PT:
            self.packets.append((monotonic_us(), packet))

    @property
    def layer(self) -> str:
        return layer_of(self.packets[-1][1]) if self.packets else ""

    def bitrate_bps(self, since_us: int) -> float:
        sizes = [(at, len(packet.payload)) for at, packet in self.packets if at >= since_us]
        return 8e6 * sum(size for _, size in sizes) / (monotonic_us() - since_us)


def is_key(packet: RtpPacket) -> bool:
    return packet.payload[1] & 1 == 0


def layer_of(packet: RtpPacket) -> str:
    return chr(packet.payload[11 if is_key(packet) else 4])


async def connect(fork: RTCConnection, media: tuple[str, ...] | None = None) -> Peer:
    peer = Peer(Identity.create())
    fork.set_description(parse(peer.offer(media) if media else peer.offer()))
    await peer.connect(Answer.parse(answer_text(fork)))
    return peer


@asynccontextmanager
async def call(room: RTCConnection) -> AsyncIterator[tuple[Publisher, RTCConnection, Received, RTCConnection]]:
    publishing, playing = room.fork(), room.fork()
    publisher = Publisher(await connect(publishing, (SIMULCAST,)))
    (stream,) = publishing.get_remote_streams()
    publishing.receive_stream(stream)
    receiver, received = await connect(playing), Received()
    receiver.on_rtp = received.add
    sending = asyncio.create_task(publisher.run())
    try:
        await wait_for(lambda: stream.live)
        playing.send_stream(stream)
        await wait_for(lambda: received.layer == "h")
        yield publisher, publishing, received, playing
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        publisher.peer.close()
        receiver.close()


@pytest.mark.parametrize("whole", [True, False], ids=["connection", "track"])
async def test_a_lower_limit_switches_the_layer_at_a_key_frame_within_one_feedback_interval(
    room: RTCConnection, whole: bool
) -> None:
    async with call(room) as (_, publishing, received, playing):
        target = None if whole else publishing.get_remote_streams()[0].tracks[0]
        described = playing.get_description("local")
        lowered_us = monotonic_us()
        playing.set_constraints(RTCConstraints(max_bitrate_bps=200_000), "send", target)
        await wait_for(lambda: received.layer == "l")
        switched_us = received.packets[-1][0]
        assert switched_us - lowered_us < FEEDBACK_INTERVAL_S * 1e6
        await asyncio.sleep(1)
        assert received.bitrate_bps(switched_us) <= 200_000
        playing.set_constraints(RTCConstraints(), "send", target)
        await wait_for(lambda: received.layer == "h")
        assert playing.get_description("local") == described
        check_continuity([packet for _, packet in received.packets])


def check_continuity(packets: list[RtpPacket]) -> None:
    """One stream to the receiver, whatever layer it came from; every change begins with a key frame."""
    assert len({packet.ssrc for packet in packets}) == 1
    for before, after in itertools.pairwise(packets):
        assert (after.sequence - before.sequence) & 0xFFFF == 1
        assert 0 < (after.timestamp - before.timestamp) & 0xFFFFFFFF < 90_000
        assert layer_of(before) == layer_of(after) or is_key(after)
    changes = [layer_of(b) for a, b in itertools.pairwise(packets) if layer_of(a) != layer_of(b)]
    assert changes[-2:] == ["l", "h"]


async def test_a_limit_below_all_layers_shows_nothing_and_its_end_shows_the_best(room: RTCConnection) -> None:
    async with call(room) as (_, _, received, playing):
        playing.set_constraints(RTCConstraints(max_bitrate_bps=20_000), "send")
        await asyncio.sleep(0.2)
        count = len(received.packets)
        await asyncio.sleep(0.5)
        assert len(received.packets) == count
        playing.set_constraints(RTCConstraints(), "send")
        await wait_for(lambda: len(received.packets) > count and received.layer == "h")


async def test_a_receive_limit_reaches_the_publisher_as_remb_within_one_feedback_interval(room: RTCConnection) -> None:
    async with call(room) as (publisher, publishing, _, _):
        for limit_bps in (500_000, 250_000):
            publishing.set_constraints(RTCConstraints(max_bitrate_bps=limit_bps), "receive")
            await wait_for(functools.partial(publisher.was_told, limit_bps), FEEDBACK_INTERVAL_S)
