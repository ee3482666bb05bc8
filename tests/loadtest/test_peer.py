"""The load client's own reading and writing: static offer and answer, stamped packets, requests for key frames."""

import re

import pytest
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from hypothesis import given
from hypothesis import strategies as st

from loadtest.peer import Camera, Reception, RoomOffer, Voice
from loadtest.peer.film import render_film
from loadtest.peer.media import is_key_frame
from loadtest.peer.room_offer import AUDIO_LEVEL, MID, AnswerWriter, mint_nonce
from loadtest.peer.rtp import STAMP, RtpPacket, Stamp, parse_extensions, write_extensions, write_packet
from router.rtc import sdp

TRANSPORT = (
    "c=IN IP4 0.0.0.0\r\na=ice-ufrag:contextid11\r\na=ice-pwd:thepassword22characters\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup:actpass\r\na=rtcp-mux\r\n"
)
AUDIO = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n"
VIDEO = "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE mic cam a0 v0\r\na=ice-lite\r\n"
    f"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:mic\r\na=recvonly\r\n{TRANSPORT}{AUDIO}"
    f"a=candidate:1 1 udp 2130706431 192.0.2.1 10000 typ host\r\na=extmap:1/recvonly {AUDIO_LEVEL}\r\n"
    f"a=extmap:4 {MID}\r\n"
    f"m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:cam\r\na=recvonly\r\n{TRANSPORT}{VIDEO}a=extmap:4 {MID}\r\n"
    "a=rid:q recv\r\na=rid:h recv\r\na=simulcast:recv q;h\r\n"
    f"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a0\r\na=sendonly\r\n{TRANSPORT}{AUDIO}a=extmap:4 {MID}\r\n"
    f"m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:v0\r\na=sendonly\r\n{TRANSPORT}{VIDEO}a=extmap:4 {MID}\r\n"
    "a=ssrc:4711 cname:router\r\n"
)


@pytest.fixture
def offer() -> RoomOffer:
    return RoomOffer.parse(OFFER)


def test_the_offer_is_read(offer: RoomOffer) -> None:
    assert (offer.context_id, offer.address) == ("contextid11", ("192.0.2.1", 10000))
    assert [line.mid for line in offer.media] == ["mic", "cam", "a0", "v0"]
    assert offer.slots("audio") == ["a0"]
    assert offer.line("mic").extensions == {AUDIO_LEVEL: 1, MID: 4}
    assert offer.line("cam").payload_type("vp8") == 96


def test_a_nonce_is_what_the_router_takes() -> None:
    assert re.fullmatch("[A-Za-z0-9]{22}", mint_nonce())
    assert mint_nonce() != mint_nonce()


def test_the_answer_mirrors_the_offer(offer: RoomOffer) -> None:
    writer = AnswerWriter("mine", "mypassword22characters", ":".join(["CD"] * 32))
    answer = sdp.parse(writer.write(offer, {"mic": 7}, slots=["a0"]))
    directions = {section.mid: section.direction for section in answer.media}
    assert directions == {"mic": "sendonly", "cam": "inactive", "a0": "recvonly", "v0": "inactive"}
    assert [section.mid for section in answer.media] == ["mic", "cam", "a0", "v0"]
    assert answer.media[0].encodings[0].ssrc == 7
    assert {item.uri: item.direction for item in answer.media[0].extensions} == {
        AUDIO_LEVEL: "sendonly",
        MID: "sendrecv",
    }
    assert answer.dtls_role == "active"
    assert answer.bundled


@given(st.dictionaries(st.integers(1, 14), st.binary(min_size=1, max_size=16)))
def test_extensions_survive_writing(extensions: dict[int, bytes]) -> None:
    assert parse_extensions(0xBEDE, write_extensions(extensions)[4:]) == extensions


def test_a_voice_tells_level_and_sender(offer: RoomOffer) -> None:
    voice = Voice(offer.line("mic"), ssrc=7, sender=42, level=30)
    packet = RtpPacket.parse(voice.write(1.0))
    assert packet.extensions == {4: b"mic", 1: bytes([0x80 | 30])}
    assert Stamp.parse(packet.payload) == Stamp(42, 1, 1.0)
    voice.level = 127
    assert RtpPacket.parse(voice.write(1.02)).extensions[1] == bytes([127])


def test_a_camera_makes_key_frames_when_asked(offer: RoomOffer) -> None:
    camera = Camera(offer.line("cam"), ssrc=9, sender=42)
    keys = []
    pli = b"\x81\xce\x00\x02\x00\x00\x00\x01\x00\x00\x00\x09"
    fir = b"\x84\xce\x00\x04\x00\x00\x00\x01" + bytes(4) + b"\x00\x00\x00\x09\x01\x00\x00\x00"
    for asked in (b"", b"", pli, b"", fir, pli[:-1] + b"\x08"):
        keys.append(camera.handle_rtcp(asked))
        first, second = (RtpPacket.parse(packet) for packet in camera.write_frame(1.0, packets=2))
        keys.append(is_key_frame(first.payload))
        assert not is_key_frame(second.payload)
        assert (first.marker, second.marker) == (False, True)
        assert Stamp.parse(second.payload) == Stamp(42, camera.frames, 1.0)
    assert keys == [False, True, False, False, True, True, False, False, True, True, False, False]
    assert camera.key_frames == 3


def test_a_film_starts_over_when_asked(offer: RoomOffer) -> None:
    film = render_film(200, frames=3)
    camera = Camera(offer.line("cam"), ssrc=9, sender=42, film=film)
    shown = []
    for _ in range(9):
        (packet,) = (RtpPacket.parse(written) for written in camera.write_frame(1.0))
        frame = packet.payload[4 : -STAMP.size]
        assert is_key_frame(packet.payload) == (frame == film[0])
        shown.append(film.index(frame))
        camera.wants_key = len(shown) == 5
    assert shown == [0, 1, 2, 0, 1, 0, 1, 2, 0]


def test_a_film_spells_its_sender() -> None:
    decoder = VideoCodecContext.create("libvpx", "r")
    pictures = [picture for frame in render_film(0b10100101) for picture in decoder.decode(Packet(frame))]
    assert len(pictures) == 90
    for number, picture in enumerate(pictures):
        plane = picture.planes[0]
        luma = bytes(plane)
        rows = [read_row(luma, (row * 54 + 27) * plane.line_size) for row in range(4)]
        assert rows == [0b10100101, 0, number, 0b10100101 ^ number]


def read_row(luma: bytes, start: int) -> int:
    return sum((luma[start + bit * 48 + 24] > 128) << (7 - bit) for bit in range(8))


def packet(ssrc: int, sender: int, *csrcs: int, mid: str | None = None) -> bytes:
    extensions = {4: mid.encode()} if mid else {}
    written = write_packet(RtpPacket(96, False, 1, 1, ssrc, (), extensions, b"\x80" + Stamp(sender, 1, 0.5).write()))
    names = b"".join(name.to_bytes(4, "big") for name in csrcs)
    padded = bytes([written[0] | 0x20 | len(csrcs)]) + written[1:12] + names + written[12:]
    return padded + b"\0\0\3"


def test_reception_follows_the_slots(offer: RoomOffer) -> None:
    reception = Reception(offer)
    reception.handle_rtp(packet(4711, 5, 50), 1.0)
    reception.handle_rtp(packet(99, 6, 60), 1.0)
    reception.handle_rtp(packet(99, 6, 17, 60, mid="a0"), 2.0)
    reception.handle_rtp(packet(99, 6, 60), 3.0)
    reception.handle_rtp(packet(99, 7, 70), 4.0)
    changes = [(shown.time_s, shown.mid, shown.contributor, shown.sender) for shown in reception.changes]
    assert changes == [(1.0, "v0", 50, 5), (2.0, "a0", 60, 6), (4.0, "a0", 70, 7)]
    assert reception.unknown == 1
    assert reception.packets == {"v0": 1, "a0": 3}
    assert (reception.senders("audio", 3.0), reception.senders("video", 1.5)) == ({7}, set())
    assert reception.delays_s == {"v0": 0.5, "a0": 3.5}
