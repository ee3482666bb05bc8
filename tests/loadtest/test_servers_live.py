"""Installed servers carry a publisher's packets to two subscribers as they were sent; others are skipped by name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from struct import pack

import pylibsrtp
import pytest

from loadtest.client import Client, Identity, KeyedPath, SentTrack, Track
from loadtest.servers import Plan, Server, Unavailable, Wanted
from loadtest.servers.janus import Janus
from loadtest.servers.livekit import LiveKit
from loadtest.servers.media_relay import AiortcRelay
from loadtest.servers.mediamtx import MediaMtx
from loadtest.servers.pulsebeam import PulseBeam

IDENTITY = Identity.create()
Policy = pylibsrtp.Policy
PROFILES = {
    "SRTP_AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "SRTP_AES128_CM_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}
SUBSCRIBERS = 2
WANTED_PACKETS = 20
SEND_INTERVAL_S = 0.01
TIMEOUT_S = 20.0
"""Nothing is claimed of how fast they are: it takes a second here."""
LOUD = 0x80 | 20
"""A voice of -20 dBov (RFC 6464 section 3): PulseBeam forwards only those that tell."""
SAMPLE = b"\xf8" + bytes(range(1, 80))
"""An Opus packet (RFC 6716 section 3.1) of 20 ms, of noise."""


def _session(path: KeyedPath, direction: int) -> pylibsrtp.Session:
    key = path.keys.outbound if direction == Policy.SSRC_ANY_OUTBOUND else path.keys.inbound
    return pylibsrtp.Session(Policy(key=key, ssrc_type=direction, srtp_profile=PROFILES[path.keys.profile]))


async def _speak(path: KeyedPath, track: SentTrack) -> None:
    outbound, sequence = _session(path, Policy.SSRC_ANY_OUTBOUND), 0
    extension = b""
    if track.mid_extension is not None:
        extension += bytes([track.mid_extension << 4 | len(track.mid) - 1]) + track.mid.encode()
    if track.level_extension is not None:
        extension += bytes([track.level_extension << 4, LOUD])
    words = -(-len(extension) // 4)
    while True:
        header = pack("!BBHII", 0x90, track.payload_type, sequence & 0xFFFF, 960 * sequence, track.ssrc)
        header += pack("!HH", 0xBEDE, words) + extension.ljust(4 * words, b"\0")
        path.socket.send(outbound.protect(header + SAMPLE))
        sequence += 1
        await asyncio.sleep(SEND_INTERVAL_S)


async def _hear(path: KeyedPath) -> list[bytes]:
    """The payloads of decrypted packets, once enough came."""
    heard: list[bytes] = []
    inbound = _session(path, Policy.SSRC_ANY_INBOUND)
    while len(heard) < WANTED_PACKETS:
        data = await asyncio.get_running_loop().sock_recv(path.socket, 2048)
        if data[0] >> 6 == 2 and not 192 <= data[1] < 224:
            heard.append(inbound.unprotect(data)[-len(SAMPLE) :])
    return heard


@asynccontextmanager
async def _clients(server: Server) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        clients = [Client(IDENTITY, server.client_host) for _ in range(1 + SUBSCRIBERS)]
        for client in clients:
            stack.callback(client.close)
        yield clients


async def _carry(server: Server) -> list[list[bytes]]:
    async with asyncio.timeout(TIMEOUT_S), _clients(server) as [publisher, *subscribers]:
        await server.publish(publisher, "speaker", [Track("audio")])
        speaking = asyncio.create_task(_speak(publisher.path, publisher.sent[0]))
        try:
            for number, client in enumerate(subscribers):
                await server.subscribe(client, f"listener {number}", Wanted(audio=1))
                assert len(client.mids) == 1
            heard = await asyncio.gather(*(_hear(client.path) for client in subscribers))
            await server.leave("listener 0")
            await server.leave("speaker")
            return heard
        finally:
            speaking.cancel()


@asynccontextmanager
async def _started(server: Server) -> AsyncIterator[Server]:
    try:
        await server.start(Plan(core=None, participants=1 + SUBSCRIBERS, tracks=1))
        yield server
    except Unavailable as reason:
        pytest.skip(str(reason))
    finally:
        await server.stop()


@pytest.mark.parametrize("server", [Janus(1), LiveKit(), MediaMtx(), PulseBeam()], ids=lambda server: str(server.name))
async def test_samples_arrive_as_they_were_sent(server: Server) -> None:
    async with _started(server):
        assert server.version
        assert len(server.pids) == 1
        for samples in await _carry(server):
            assert samples == [SAMPLE] * WANTED_PACKETS


async def test_the_relay_of_aiortc_sends_samples_of_its_own() -> None:
    # Also the test of WHIP and WHEP by URL, which its adapter goes through.
    async with _started(AiortcRelay()) as server:
        for samples in await _carry(server):
            assert len(samples) == WANTED_PACKETS
            assert SAMPLE not in samples
