"""Plain RTP peers through the real engine: SRTP over two ports, no ICE, no DTLS."""

import asyncio
import base64
import shutil
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from router.errors import ConfigError, ConflictError
from router.rtc import (
    ForkOnCheck,
    MediaEngine,
    RTCCodec,
    RTCConnection,
    RTCConstraints,
    RTCDescription,
    RTCEncoding,
    RTCMediaSection,
    RTCSocket,
    RTCSocketOptions,
)
from router.rtc.constraints import SRTP_PROFILES, SrtpProfile
from router.rtc.plain import MAX_SSRCS, PlainKeys
from tests.rtc.fake_engine import FakeEngine
from tests.rtc.offers import OPUS, offer, section
from tests.rtc.peers import StunClient, record, wait_for, write_check
from tests.rtc.plain_peer import HOST, PlainPeer, candidate, describe, make_keys, make_origin, open_port, open_port_pair

SSRC = 4711
SENDER_REPORT, RECEIVER_REPORT = 200, 201
AUDIO = RTCMediaSection(
    mid="a", kind="audio", direction="sendonly", codecs=(OPUS,), encodings=(RTCEncoding(ssrc=SSRC),)
)
LISTEN = RTCMediaSection(mid="a", kind="audio", direction="recvonly", codecs=(replace(OPUS, payload_type=109),))
Join = Callable[..., tuple[PlainPeer, RTCConnection]]


@pytest.fixture
async def keys() -> tuple[bytes, bytes]:
    return make_keys()


@pytest.fixture
async def plain(engine: MediaEngine, keys: tuple[bytes, bytes]) -> AsyncIterator[RTCConnection]:
    origin = make_origin(engine, keys)
    yield origin
    await origin.close()
    await wait_for(lambda: not engine._transports)
    assert not engine._sessions
    assert not origin.get_sockets()


@pytest.fixture
async def join(plain: RTCConnection, keys: tuple[bytes, bytes]) -> AsyncIterator[Join]:
    """A peer of its own fork, described."""
    with ExitStack() as stack:

        def join(*media: RTCMediaSection, **options: Any) -> tuple[PlainPeer, RTCConnection]:
            peer = PlainPeer(plain, options.pop("keys", keys))
            stack.callback(peer.close)
            fork = plain.fork()
            fork.set_description(describe(*media, port=peer.port, **options))
            for stream in fork.get_remote_streams():
                fork.receive_stream(stream)
            return peer, fork

        yield join


def show(publisher: RTCConnection, *receivers: RTCConnection) -> None:
    (stream,) = publisher.get_remote_streams()
    for receiver in receivers:
        receiver.send_stream(stream)


async def stats(fork: RTCConnection) -> dict[str, Any]:
    return dict(await fork.get_stats())


@pytest.mark.parametrize("profile", SRTP_PROFILES)
async def test_one_plain_peer_hears_another(engine: MediaEngine, profile: SrtpProfile) -> None:
    keys = make_keys(profile)
    origin = make_origin(engine, keys)
    publisher, listeners = origin.fork(), [origin.fork(), origin.fork()]
    speaker, *ears = (PlainPeer(origin, keys, profile) for _ in range(3))
    seen = record(publisher, "connected", "activeconnectioncandidate", "trackconnected")
    publisher.set_description(describe(AUDIO, port=speaker.port))
    for fork, peer in zip(listeners, ears, strict=True):
        fork.set_description(describe(LISTEN, port=peer.port))
    (stream,) = publisher.get_remote_streams()
    publisher.receive_stream(stream)
    show(publisher, *listeners)
    await wait_for(lambda: all(fork.transport.connected for fork in (publisher, *listeners)))
    assert [event for event, *_ in seen] == ["activeconnectioncandidate", "connected"]
    assert seen[0][1].remote == candidate(speaker.port)
    for i in range(20):
        speaker.send_rtp(65_530 + i, b"opus %d" % i, ssrc=SSRC)
        for fork, peer in zip(listeners, ears, strict=True):
            packet = await peer.receive_rtp()
            assert (packet.payload, packet.payload_type) == (b"opus %d" % i, 109)
            assert packet.ssrc == fork.slots[0].ssrc
    assert seen[2][0] == "trackconnected"
    assert listeners[0].slots[0].ssrc != listeners[1].slots[0].ssrc
    await origin.close()
    for peer in (speaker, *ears):
        peer.close()


async def test_peers_that_must_not_read_each_other_have_sockets_of_their_own(engine: MediaEngine) -> None:
    keys = make_keys(), make_keys("AES128_CM_SHA1_80")
    studio, outside = make_origin(engine, keys[0]), make_origin(engine, keys[1])
    speaker, ear = PlainPeer(studio, keys[0]), PlainPeer(outside, keys[1], "AES128_CM_SHA1_80")
    publisher, listener = studio.fork(), outside.fork()
    publisher.set_description(describe(AUDIO, port=speaker.port))
    listener.set_description(describe(LISTEN, port=ear.port))
    (stream,) = publisher.get_remote_streams()
    publisher.receive_stream(stream)
    listener.send_stream(stream)
    speaker.send_rtp(1, b"opus", ssrc=SSRC)
    assert (await ear.receive_rtp()).payload == b"opus"
    await studio.close()
    assert listener.slots[0].track is None
    await outside.close()
    speaker.close()
    ear.close()


async def test_the_local_description_has_ports_and_nothing_of_ice_or_dtls(join: Join, plain: RTCConnection) -> None:
    _, fork = join(AUDIO)
    local = fork.get_description("local")
    assert (local.ufrag, local.password, local.fingerprints, local.lite) == ("", "", (), False)
    rtp, rtcp = local.candidates
    assert (rtp.component, rtcp.component, rtcp.port) == (1, 2, rtp.port + 1)
    assert (rtp.address, rtp.port) == (HOST, plain.get_sockets()[0].port)
    assert local.media[0].direction == "recvonly"
    with pytest.raises(ConflictError, match="no ICE"):
        fork.restart_ice("ufrag", "password")


async def test_reports_travel_on_the_next_port(join: Join) -> None:
    speaker, publisher = join(AUDIO)
    ear, listener = join(LISTEN)
    show(publisher, listener)
    for i in range(5):
        speaker.send_rtp(i, b"opus", ssrc=SSRC)
        await ear.receive_rtp()
    report = struct.pack("!BBHIIIIII", 0x80, SENDER_REPORT, 6, SSRC, 0xE000_1234, 0, 960, 5, 20)
    speaker.send_rtcp(report)
    lost = struct.pack("!BBHI", 0x81, RECEIVER_REPORT, 7, 99)
    lost += struct.pack("!IIIIII", listener.slots[0].ssrc, 64 << 24 | 3, 5, 0, 0, 0)
    ear.send_rtcp(lost)
    speaker.send_rtp(5, b"opus", ssrc=SSRC)
    answer = await speaker.receive_rtcp()
    while not answer[0] & 0x1F:
        answer = await speaker.receive_rtcp()
    assert answer[1] == RECEIVER_REPORT
    assert struct.unpack_from("!I", answer, 8)[0] == SSRC
    # The last SR (RFC 3550 section 6.4.1) proves that ours arrived on the RTCP port.
    assert struct.unpack_from("!I", answer, 24)[0] == 0x1234_0000
    sent = await ear.receive_rtcp()
    assert sent[1] == SENDER_REPORT
    assert struct.unpack_from("!I", sent, 4)[0] == listener.slots[0].ssrc
    (slot,) = (await stats(listener))["slots"]
    assert (slot["packets_lost"], slot["fraction_lost"]) == (3, 0.25)


async def test_rtcp_goes_where_its_candidate_says(plain: RTCConnection, keys: tuple[bytes, bytes], join: Join) -> None:
    speaker, publisher = join(AUDIO)
    peer = PlainPeer(plain, keys)
    peer.rtcp.close()
    peer.rtcp = open_port()
    fork = plain.fork()
    places = (candidate(peer.rtcp.getsockname()[1], component=2), candidate(peer.port))
    fork.set_description(describe(LISTEN, port=0, candidates=places))
    show(publisher, fork)
    speaker.send_rtp(1, b"opus", ssrc=SSRC)
    await peer.receive_rtp()
    assert (await peer.receive_rtcp())[1] == SENDER_REPORT
    peer.close()


async def test_a_packet_from_another_address_is_ignored(join: Join, engine: MediaEngine) -> None:
    speaker, publisher = join(AUDIO)
    ear, listener = join(LISTEN)
    show(publisher, listener)
    stranger = open_port()
    stranger.sendto(speaker.protect_rtp(1, b"moved", payload_type=111, ssrc=SSRC), speaker.router_rtp)
    await wait_for(lambda: engine.native.counters()[0]["dropped"]["unknown-tuple"])
    speaker.send_rtp(2, b"still here", ssrc=SSRC)
    assert (await ear.receive_rtp()).payload == b"still here"
    found = await stats(publisher)
    assert found["remote_address"] == (HOST, speaker.port)
    assert found["packets_received"] == 1
    stranger.close()


async def test_wrong_keys_are_counted_and_not_believed(join: Join, engine: MediaEngine) -> None:
    forger, publisher = join(AUDIO, keys=make_keys())
    seen = record(publisher, "trackconnected")
    for i in range(3):
        forger.send_rtp(i, b"opus", ssrc=SSRC)

    await wait_for(lambda: engine.native.counters()[0]["dropped"]["srtp-auth"] == 3)
    found = await stats(publisher)
    assert found["dropped"] == {"srtp-auth": 3}
    assert found["last_authenticated_us"] is None
    assert not seen


async def test_a_silent_plain_peer_is_lost(keys: tuple[bytes, bytes]) -> None:
    async with MediaEngine(timeout_s=0.5) as engine:
        origin = make_origin(engine, keys)
        fork = origin.fork()
        seen = record(fork, "disconnected")
        rtp, rtcp = open_port_pair()
        fork.set_description(describe(AUDIO, port=rtp.getsockname()[1]))
        await wait_for(lambda: fork.closed)
        assert seen[0][2] == "consent-expired"
        assert not origin.closed
        again = origin.fork()
        again.set_description(describe(AUDIO, port=rtp.getsockname()[1]))
        await wait_for(lambda: again.transport.connected)
        await origin.close()
        rtp.close()
        rtcp.close()


async def test_checks_on_a_plain_socket_make_nothing(plain: RTCConnection, join: Join) -> None:
    born: list[RTCConnection] = []
    plain.fork_on_check = ForkOnCheck(password=plain.context.fork_password, born=born.append)
    client = await StunClient.open()
    socket = plain.get_sockets()[0]
    ufrag = plain.context.mint_ufrag()
    socket.on_stun(client.address, write_check(ufrag, plain.context.fork_password(ufrag)))
    client.check(socket.port, ufrag, plain.context.fork_password(ufrag))
    speaker, fork = join(AUDIO)
    speaker.send_rtp(1, b"opus", ssrc=SSRC)
    await wait_for(lambda: fork.get_remote_streams()[0].live)
    assert not born
    assert not client.received
    client.close()


async def test_two_forks_cannot_have_one_peer(plain: RTCConnection, join: Join) -> None:
    speaker, fork = join(AUDIO)
    rival = plain.fork()
    with pytest.raises(ConflictError, match="another fork"):
        rival.set_description(describe(AUDIO, port=speaker.port))
    with pytest.raises(ConflictError, match="another fork"):
        rival.set_description(
            describe(
                AUDIO,
                port=speaker.port - 1,
                candidates=(
                    candidate(speaker.port + 9),
                    candidate(speaker.port + 1, component=2),
                ),
            )
        )
    await fork.close()
    rival.set_description(describe(AUDIO, port=speaker.port))
    await wait_for(lambda: rival.transport.connected)


BAD_DESCRIPTIONS: dict[str, tuple[RTCDescription, str]] = {
    "no candidate": (describe(AUDIO, port=1, candidates=()), "candidates"),
    "RTCP only": (describe(AUDIO, port=1, candidates=(candidate(9, 2),)), "candidates"),
    "the other IP version": (describe(AUDIO, port=1, candidates=(candidate(9, address="::1"),)), "IPv4"),
    "a name": (describe(AUDIO, port=1, candidates=(candidate(9, address="peer.local"),)), "candidates"),
    "multicast": (describe(AUDIO, port=1, candidates=(candidate(9, address="224.0.0.1"),)), "candidates"),
    "anywhere": (describe(AUDIO, port=1, candidates=(candidate(9, address="0.0.0.0"),)), "candidates"),
    "no port": (describe(AUDIO, port=0), "candidates"),
    "TCP": (describe(AUDIO, port=1, candidates=(replace(candidate(9), transport="tcp"),)), "UDP"),
    "no next port": (describe(AUDIO, port=65_535), "component 2"),
    "cleartext": (describe(replace(AUDIO, protocol="RTP/AVP"), port=9), "RTP/SAVP"),
    "cleartext with feedback": (describe(replace(AUDIO, protocol="RTP/AVPF"), port=9), "RTP/SAVP"),
    "DTLS": (describe(replace(AUDIO, protocol="UDP/TLS/RTP/SAVPF"), port=9), "RTP/SAVP"),
    "fingerprints": (offer(section("a0", "sendonly"), candidates=(candidate(9),)), "fingerprints"),
}


@pytest.mark.parametrize("case", BAD_DESCRIPTIONS)
async def test_bad_descriptions_name_what_is_expected(fake: FakeEngine, case: str) -> None:
    origin = make_origin(fake, make_keys())  # type: ignore[arg-type]
    fork = origin.fork()
    description, expected = BAD_DESCRIPTIONS[case]
    with pytest.raises(ConfigError, match=expected):
        fork.set_description(description)
    assert not fake.native.transports
    fork.set_description(describe(replace(AUDIO, protocol="RTP/SAVPF"), port=9))
    assert len(fake.native.transports) == 1, "a refusal is not the end"
    await origin.close()
    assert not fake.native.transports


@pytest.mark.parametrize(
    ("keys", "got"),
    [
        ((), "got none"),
        ((b"a" * 28,), "got 28 bytes"),
        ((b"a" * 28, b"b" * 30), "got 28 bytes, 30 bytes"),
        ((b"a" * 16, b"b" * 16), "got 16 bytes, 16 bytes"),
        ((b"a" * 28, b"b" * 28, b"c" * 28), "got 28 bytes"),
        (("a" * 28, "b" * 28), "got str, str"),
        ((b"a" * 28, b"a" * 28), "both directions"),
    ],
)
def test_bad_keys_name_what_is_expected(keys: tuple[Any, ...], got: str) -> None:
    with pytest.raises(ConfigError, match=f"^keys: .*{got}"):
        RTCSocketOptions(mux=False, keys=keys)


async def test_constraints_may_rule_the_keys_out(fake: FakeEngine) -> None:
    origin = make_origin(fake, make_keys("AES128_CM_SHA1_80"))  # type: ignore[arg-type]
    fork = origin.fork(constraints=RTCConstraints(srtp_profiles=("AEAD_AES_128_GCM",)))
    with pytest.raises(ConfigError, match="AES128_CM_SHA1_80"):
        fork.set_description(describe(AUDIO, port=9))
    await origin.close()


async def test_a_plain_socket_is_the_only_one(fake: FakeEngine) -> None:
    origin = make_origin(fake, make_keys())  # type: ignore[arg-type]
    for options in (RTCSocketOptions(address=HOST), RTCSocketOptions(mux=False, keys=make_keys(), address=HOST)):
        with pytest.raises(ConfigError, match="mux"):
            origin.add_socket(RTCSocket(options=options, engine=fake))  # type: ignore[arg-type]
    assert len(fake.native.sockets) == 2
    await origin.close()


async def test_no_ssrc_is_ever_sent_twice_under_one_key(fake: FakeEngine) -> None:
    """Two packets of equal SSRC and index under one key would give the key stream away (RFC 3711 section 9.1)."""
    origin = make_origin(fake, make_keys())  # type: ignore[arg-type]
    first = origin.fork()
    first.set_description(describe(LISTEN, port=9))
    own = first.get_description("local")
    await first.close()
    second = origin.fork()
    second.set_description(own, "local")
    with pytest.raises(ConflictError, match="SSRC"):
        second.set_description(describe(LISTEN, port=9))
    third = origin.fork()
    third.set_description(describe(LISTEN, port=11))
    reports = [arguments[3] for name, arguments in fake.native.calls if name == "set_plain_peer"]
    sent = [own.media[0].encodings[0].ssrc, third.slots[0].ssrc, *reports]
    assert len(set(sent)) == len(sent) == 4
    await origin.close()


def test_a_key_serves_its_time() -> None:
    keys = PlainKeys.parse(make_keys())
    for ssrc in range(MAX_SSRCS):
        keys.take_ssrc(ssrc)
    with pytest.raises(ConflictError, match="new keys"):
        keys.make_ssrc()


FFMPEG_VP8 = RTCMediaSection(
    mid="v",
    kind="video",
    direction="sendonly",
    codecs=(RTCCodec("VP8", 96, 90000, feedback=("nack pli",)),),
    encodings=(RTCEncoding(ssrc=SSRC),),
)
FFMPEG_OPUS = replace(AUDIO, codecs=(replace(OPUS, payload_type=97),))
FFMPEG_CASES = {
    "opus": (FFMPEG_OPUS, "sine=frequency=440", ("-c:a", "libopus", "-application", "lowdelay"), "97"),
    "VP8": (FFMPEG_VP8, "testsrc=size=320x240:rate=15", ("-c:v", "libvpx", "-deadline", "realtime", "-g", "15"), "96"),
}


@pytest.mark.e2e
@pytest.mark.parametrize("codec", FFMPEG_CASES)
async def test_ffmpeg_publishes_srtp(engine: MediaEngine, codec: str) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed")
    published, source, encode, payload_type = FFMPEG_CASES[codec]
    keys = make_keys("AES128_CM_SHA1_80")
    origin = make_origin(engine, keys)
    rtp, rtcp = open_port_pair()
    port = rtp.getsockname()[1]
    rtp.close()
    rtcp.close()
    ear = PlainPeer(origin, keys, "AES128_CM_SHA1_80")
    publisher, listener = origin.fork(), origin.fork()
    publisher.set_description(describe(published, port=port))
    (stream,) = publisher.get_remote_streams()
    publisher.receive_stream(stream)
    listener.set_description(describe(replace(published, direction="recvonly", encodings=()), port=ear.port))
    listener.send_stream(stream)
    router = origin.get_sockets()[0].port
    options = f"localrtpport={port}&localrtcpport={port + 1}&rtcpport={router + 1}&pkt_size=1200"
    process = await asyncio.create_subprocess_exec(
        *(ffmpeg, "-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", source, *encode),
        *("-f", "rtp", "-ssrc", str(SSRC), "-payload_type", payload_type),
        *("-srtp_out_suite", "AES_CM_128_HMAC_SHA1_80", "-srtp_out_params", base64.b64encode(keys[0]).decode()),
        f"srtp://{HOST}:{router}?{options}",
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        packets = [await ear.receive_rtp() for _ in range(40)]
        await wait_for(lambda: stream.live)
        assert {packet.ssrc for packet in packets} == {listener.slots[0].ssrc}
        assert [(packet.sequence - packets[0].sequence) & 0xFFFF for packet in packets] == list(range(40))
        (producer,) = (await stats(publisher))["producers"]
        (encoding,) = producer["encodings"]
        assert encoding["ssrc"] == SSRC
        # Its first sender report comes before its first packet.
        assert (await stats(publisher))["dropped"] in ({}, {"rtcp-foreign-feedback": 1})
        if codec == "VP8":
            assert (encoding["frame_width"], encoding["frame_height"]) == (320, 240)
            assert encoding["key_frames_received"] >= 1
        assert (await ear.receive_rtcp())[1] == SENDER_REPORT
    finally:
        process.kill()
        await process.wait()
        await origin.close()
        ear.close()
