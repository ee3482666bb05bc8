"""Replay, wrap and forgery of SRTP through the real engine and libsrtp (`threats-and-faults.md` D4, S1-S6, R13).

Each defence is shown to be needed in `router/engine-rs/docs/threats.md`.
"""

import random
import socket
import struct
from collections.abc import Iterator

import pytest

from router import _engine
from router.clock import monotonic_us
from router.rtc.constraints import SRTP_PROFILES, SrtpProfile
from router.rtc.srtp import function_addresses
from tests.rtc.media_peer import OPUS, MediaPeer, RtpPacket
from tests.rtc.test_forwarding import VP8, add_producer, add_slot

SSRC, SLOT_SSRC = 1111, 2222


class Call:
    """A publisher and a receiver of its audio on one port."""

    def __init__(self, engine: _engine.Engine, profile: SrtpProfile, *, keyed: bool = True) -> None:
        self.engine = engine
        info = engine.open_socket(0, ("127.0.0.1", 0))
        self.publisher, self.receiver = (MediaPeer(engine, info, profile) for _ in range(2))
        self.info = info
        self.publisher.connect()
        if keyed:
            self.receiver.connect()
        self.producer = add_producer(self.publisher, OPUS, SSRC)
        engine.assign_slot(add_slot(self.receiver, OPUS, SLOT_SSRC), self.producer)
        engine.counters()  # the answer comes behind the commands: packets sent from here on find them done

    def protect(self, index: int, payload: bytes | None = None) -> bytes:
        """The packet of this index, protected once; libsrtp follows the wraps."""
        header = struct.pack("!BBHII", 0x80, 111, index & 0xFFFF, (960 * index) & 0xFFFFFFFF, SSRC)
        return self.publisher._outbound.protect(header + (payload or b"opus %d" % index))

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.publisher.socket.sendto(datagram, self.publisher.router)

    def receive(self, count: int) -> list[RtpPacket]:
        """The next packets, decrypted by the receiver's own libsrtp: an error there is an error here."""
        packets: list[RtpPacket] = []
        for _ in range(count):
            packet = self.receiver.receive_rtp()
            assert packet is not None, f"{len(packets)} of {count}"
            packets.append(packet)
        return packets

    def dropped(self, reason: str) -> int:
        return self.engine.counters()[0]["dropped"][reason]

    def wait_dropped(self, reason: str, count: int) -> None:
        deadline = monotonic_us() + 5_000_000
        while self.dropped(reason) != count:
            assert monotonic_us() < deadline, (reason, self.engine.counters()[0]["dropped"])

    def close(self) -> None:
        self.publisher.close()
        self.receiver.close()


@pytest.fixture
def engine() -> Iterator[_engine.Engine]:
    engine = _engine.Engine(srtp_functions=function_addresses())
    yield engine
    engine.close()


@pytest.fixture(params=SRTP_PROFILES)
def call(engine: _engine.Engine, request: pytest.FixtureRequest) -> Iterator[Call]:
    opened = Call(engine, request.param)
    yield opened
    engine.close()
    opened.close()


def test_replays_are_forwarded_once_also_across_the_wrap(call: Call) -> None:
    """S5: -1, -63, -64, -1000 and older than the window; RTCP too."""
    first, last = 64_000, 66_500
    packets = {index: call.protect(index) for index in range(first, last)}
    for start in range(first, last, 100):
        call.send(*(packets[index] for index in range(start, start + 100)))
        assert [packet.payload for packet in call.receive(100)] == [b"opus %d" % i for i in range(start, start + 100)]
    again = [last - back for back in (1, 2, 63, 64, 65, 964, 965, 1000, 1023, 1024, 1025, 2000, 2500)]
    call.send(*(packets[index] for index in again))
    call.wait_dropped("srtp-replay", len(again))
    call.send(call.protect(last))
    assert call.receive(1)[0].payload == b"opus %d" % last
    report = call.publisher._outbound.protect_rtcp(bytes.fromhex("80c90001cafebabe"))
    call.send(report, report, report)
    call.wait_dropped("srtp-replay", len(again) + 2)


def test_late_packets_are_taken_and_only_once(call: Call) -> None:
    """S5 and S6: reordering over the wrap, each packet twice."""
    source = random.Random(seed := random.randrange(2**32))
    print("seed", seed)
    call.send(call.protect(65_299))
    assert call.receive(1)[0].payload == b"opus 65299"
    packets = [(index, call.protect(index)) for index in range(65_300, 65_900)]
    order = sorted(range(len(packets)), key=lambda place: place + source.randrange(40))
    got: list[bytes] = []
    for start in range(0, len(order), 50):
        places = order[start : start + 50]
        call.send(*(packets[place][1] for place in places for _ in range(2)))
        got += [packet.payload for packet in call.receive(len(places))]
    assert sorted(got) == sorted(b"opus %d" % index for index, _ in packets)
    call.wait_dropped("srtp-replay", len(packets))
    assert call.dropped("srtp-auth") == 0


@pytest.mark.parametrize("lost", [0, 100, 5_000, 30_000])
def test_a_loss_over_the_wrap_does_not_cost_the_call(call: Call, lost: int) -> None:
    """S6: from 65,500, with a burst lost around the wrap."""
    indices = [*range(65_500, 65_520), *range(65_520 + lost, 65_620 + lost)]
    for index in range(65_500, 65_620 + lost):
        packet = call.protect(index)
        if index in (indices[:20] if index < 65_520 else indices[20:]):
            call.send(packet)
    received = call.receive(len(indices))
    assert [packet.payload for packet in received] == [b"opus %d" % index for index in indices]
    assert call.dropped("srtp-auth") == 0


@pytest.mark.parametrize("profile", SRTP_PROFILES)
def test_two_hundred_thousand_packets_and_four_wraps(engine: _engine.Engine, profile: SrtpProfile) -> None:
    """S6: in, through and out; the receiver's libsrtp refuses nothing, a joiner after three wraps neither."""
    call = Call(engine, profile)
    batch, total = 100, 200_000
    joiner = None
    for start in range(65_500, 65_500 + total, batch):
        call.send(*(call.protect(index, b"%d" % index) for index in range(start, start + batch)))
        received = call.receive(batch)
        assert [packet.payload for packet in received] == [b"%d" % i for i in range(start, start + batch)]
        if joiner is None and start > 65_500 + total - 3 * batch:
            joiner = MediaPeer(engine, call.info, profile)
            joiner.connect()
            engine.assign_slot(add_slot(joiner, OPUS, 3333), call.producer)
    assert joiner is not None
    packet = joiner.receive_rtp()
    assert packet is not None
    assert packet.payload.isdigit()
    assert [call.dropped(reason) for reason in ("srtp-auth", "srtp-replay", "srtp-protect")] == [0, 0, 0]
    engine.close()
    joiner.close()
    call.close()


def test_a_bit_flipped_anywhere_is_dropped(call: Call) -> None:
    """S2 with the real ciphers: header, payload, tag; RTP and RTCP."""
    good = call.protect(1)
    forged = 0
    for place in range(2 * 8, len(good) * 8):
        bad = bytearray(good)
        bad[place // 8] ^= 1 << place % 8
        call.send(bytes(bad))
        forged += 1
    report = call.publisher._outbound.protect_rtcp(bytes.fromhex("80cb0001") + struct.pack("!I", SSRC))
    for place in range(2 * 8, len(report) * 8):
        bad = bytearray(report)
        bad[place // 8] ^= 1 << place % 8
        call.send(bytes(bad))
        forged += 1
    call.send(good)
    assert [packet.payload for packet in call.receive(1)] == [b"opus 1"]
    counters = call.engine.counters()[0]
    assert sum(counters["dropped"].values()) == forged
    events = call.engine.poll_events()
    assert not any(isinstance(event, _engine.ProducerSilent) for event in events), "no goodbye was believed"


def test_a_bad_tag_flood_costs_the_call_nothing(call: Call) -> None:
    """S3: twenty thousand from a stranger, twenty thousand from the publisher's own address."""
    packet = call.protect(1)
    forged = packet[:-1] + bytes([packet[-1] ^ 1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for index in range(2, 402):
            for _ in range(50):
                stranger.sendto(forged, call.publisher.router)
                call.send(forged)
            call.send(call.protect(index))
            assert call.receive(1)[0].payload == b"opus %d" % index
    assert call.dropped("unknown-tuple") == 20_000
    assert call.dropped("srtp-auth") + call.dropped("srtp-replay") == 20_000


def test_nothing_plain_ever_leaves(engine: _engine.Engine) -> None:
    """D4 and S1 on the wire: before keys a receiver gets STUN only, with keys no byte of the media as it was."""
    call = Call(engine, "AEAD_AES_128_GCM", keyed=False)
    secret = b"cleartext-on-the-wire" * 4
    receiver = call.receiver
    engine.add_tuple(receiver.transport, call.info["id"], receiver.address, nominated=True, priority=1)
    challenge = receiver.receive_datagram()
    assert challenge is not None
    receiver.answer(challenge)
    for index in range(100):
        call.send(call.protect(index, secret))
    while (datagram := receiver.receive_datagram(200_000)) is not None:
        assert datagram[0] < 4, "media without keys"
        if datagram[0] == 0:
            receiver.answer(datagram)
    engine.set_srtp(receiver.transport, *receiver.sessions.addresses)
    seen = 0
    for index in range(100, 200):
        call.send(call.protect(index, secret))
        while True:
            datagram = receiver.receive_datagram()
            assert datagram is not None
            assert secret[:16] not in datagram
            if datagram[0] < 4:
                if datagram[0] == 0:
                    receiver.answer(datagram)
                continue
            if 192 <= datagram[1] <= 223:
                receiver._inbound.unprotect_rtcp(datagram)
                continue
            assert RtpPacket.parse(receiver._inbound.unprotect(datagram)).payload == secret
            seen += 1
            break
    assert seen == 100
    engine.close()
    call.close()


def test_every_length_and_first_byte_before_and_after_keys(engine: _engine.Engine) -> None:
    """S4 in release, with libsrtp: RTP and RTCP shapes of 0 to 1500 bytes, plain and with a right header."""
    call = Call(engine, "AES128_CM_SHA1_80", keyed=False)
    gcm = MediaPeer(engine, call.info)
    gcm.connect()
    add_producer(gcm, VP8, 7)
    receiver = call.receiver
    engine.add_tuple(receiver.transport, call.info["id"], receiver.address, nominated=True, priority=1)
    peers, sent = (receiver, call.publisher, gcm), 0
    before = engine.counters()[0]["datagrams_received"]
    for length in range(1501):
        for first in (0x80, 0x8F, 0x90, 0xA0, 0xBF):
            for second in (96, 111, 200, 201, 205, 223):
                head = bytes([first, second]) + struct.pack("!HII", length & 0xFFFF, 0, SSRC)
                datagram = (head + bytes([length & 0xFF]) * length)[:length]
                for peer in peers:
                    peer.socket.sendto(datagram, peer.router)
                    sent += 1
        while engine.counters()[0]["datagrams_received"] < before + sent - 1500:
            pass  # the call waits for the worker
    (counters,) = engine.counters()
    assert (counters["panics"], counters["transports"], counters["kernel_drops"]) == (0, 3, 0)
    stats = engine.transport_stats([peer.transport for peer in peers])
    assert all(producer["encodings"][0]["packets_received"] == 0 for item in stats for producer in item["producers"])
    engine.close()
    gcm.close()
    call.close()
