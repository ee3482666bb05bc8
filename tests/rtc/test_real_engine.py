"""Our objects on the real engine, with aiortc as an independent peer over loopback."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from aioice import stun
from aiortc import RTCPeerConnection

from router.rtc import (
    ForkOnCheck,
    MediaEngine,
    RTCCertificate,
    RTCConnection,
    RTCConstraints,
    RTCSocket,
    RTCSocketOptions,
    RTCSocketServer,
    RTCSocketServers,
)
from tests.rtc.offers import publisher
from tests.rtc.peers import StunClient, add_media, join, record, wait_for
from tests.rtc.test_socket import StunServer

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("setup", ["actpass", "passive"])
async def test_a_peer_publishes(room: RTCConnection, peers: list[RTCPeerConnection], setup: str) -> None:
    sender, *_ = peers
    add_media(sender)
    fork = room.fork()
    seen = record(fork)
    await join(sender, fork, lambda text: text.replace("a=setup:actpass", f"a=setup:{setup}"))
    (stream,) = fork.get_remote_streams()
    await wait_for(lambda: all(track.live for track in stream.tracks))
    names = [event[0] for event in seen]
    assert names.count("connected") == 1
    assert names.count("activeconnectioncandidate") >= 1
    assert names.count("trackconnected") == 2
    assert names.count("streamconnected") == 1
    stats = await fork.get_stats()
    assert stats["secured"]
    assert all(item["encodings"][0]["packets_received"] > 0 for item in stats["producers"])
    await sender.close()
    await wait_for(lambda: fork.closed)
    assert seen[-1] == ("disconnected", room.get_sockets()[0], "dtls: closed by the peer")
    assert [event[0] for event in seen].count("trackdisconnected") == 2
    assert [event[0] for event in seen].count("streamdisconnected") == 1


async def test_a_wrong_fingerprint_ends_the_fork_and_no_media_passes(
    room: RTCConnection, peers: list[RTCPeerConnection], engine: MediaEngine
) -> None:
    sender, *_ = peers
    add_media(sender)
    fork = room.fork()
    seen = record(fork)
    wrong = RTCCertificate.generate(now_s=1_800_000_000).fingerprint.value

    def forge(text: str) -> str:
        lines = text.split("\r\n")
        return "\r\n".join(f"a=fingerprint:sha-256 {wrong}" if "a=fingerprint" in line else line for line in lines)

    await join(sender, fork, forge)
    await wait_for(lambda: fork.closed)
    assert fork.close_reason == "dtls: the certificate is not the one of the description"
    assert {event[0] for event in seen} <= {"activeconnectioncandidate", "disconnected"}
    assert not engine._sessions


async def test_garbage_from_anywhere_disturbs_nobody(
    room: RTCConnection, peers: list[RTCPeerConnection], engine: MediaEngine
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    stranger = await StunClient.open()
    port = room.get_sockets()[0].port
    sender, *_ = peers
    add_media(sender)
    fork = room.fork()

    def spray() -> None:
        for first in range(256):
            stranger.send(port, bytes([first]) + source.randbytes(source.randrange(1400)))

    spray()
    await join(sender, fork)
    spray()
    (stream,) = fork.get_remote_streams()
    await wait_for(lambda: all(track.live for track in stream.tracks))
    spray()
    await asyncio.sleep(0.2)
    assert not stranger.received
    assert not fork.closed
    stranger.close()


async def test_sixteen_forks_share_one_udp_socket_and_leave_alone(room: RTCConnection, engine: MediaEngine) -> None:
    forks = [room.fork() for _ in range(16)]
    clients = [await StunClient.open() for _ in forks]
    port = room.get_sockets()[0].port
    assert len(own_sockets_on(port)) == 1
    for fork, client in zip(forks, clients, strict=True):
        fork.set_description(publisher())
        local = fork.get_description("local")
        client.check(port, local.ufrag, local.password)
    await wait_for(lambda: all(client.received for client in clients))
    assert engine.native.counters()[0]["transports"] == 16
    await forks[3].close()
    await wait_for(lambda: engine.native.counters()[0]["transports"] == 15)
    for fork, client in zip(forks, clients, strict=True):
        client.received.clear()
        local = fork.get_description("local")
        client.check(port, local.ufrag, local.password)
    survivors = [client for client, fork in zip(clients, forks, strict=True) if not fork.closed]
    await wait_for(lambda: all(client.received for client in survivors))
    assert not clients[3].received
    assert len(own_sockets_on(port)) == 1
    for client in clients:
        client.close()


def own_sockets_on(port: int) -> set[str]:
    """Inodes of this process's UDP sockets that are bound to the port."""
    own = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    bound = {row[9] for row in rows if int(row[1].rpartition(":")[2], 16) == port}
    return {inode for inode in bound if f"socket:[{inode}]" in own}


async def test_gathering_goes_through_the_shared_port(engine: MediaEngine) -> None:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(StunServer, local_addr=("127.0.0.1", 0))
    url = f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    servers = RTCSocketServers([RTCSocketServer(url)])
    socket = RTCSocket(servers, RTCSocketOptions(address="127.0.0.1"), engine=engine)
    await socket.bind()
    assert [candidate.type for candidate in socket.candidates] == ["host", "srflx"]
    assert socket.candidates[1].address == "203.0.113.7"
    assert server.requests[0][1] == ("127.0.0.1", socket.port)
    socket.close()
    transport.close()


async def test_a_fork_is_born_from_its_first_valid_check(room: RTCConnection) -> None:
    client, port = await StunClient.open(), room.get_sockets()[0].port
    ufrag = room.context.mint_ufrag()
    born: list[RTCConnection] = []
    room.fork_on_check = ForkOnCheck(password=room.context.fork_password, born=born.append)
    client.check(port, ufrag, room.context.fork_password(ufrag))
    await wait_for(lambda: client.received)
    client.received.clear()
    client.check(port, ufrag, room.context.fork_password(ufrag))
    await wait_for(lambda: client.received)
    assert len(born) == 1
    client.close()


async def test_after_a_restart_both_credentials_work_until_the_new_ones_gave_a_pair(room: RTCConnection) -> None:
    client, port = await StunClient.open(), room.get_sockets()[0].port
    fork = room.fork()
    fork.set_description(publisher())
    old = fork.get_description("local")
    client.check(port, old.ufrag, old.password)
    await wait_for(lambda: client.received)
    new = fork.restart_ice("fresh", "another-password-of-22-characters")
    for ufrag, password, remote in ((old.ufrag, old.password, "peer"), (*new, "fresh"), (*new, "fresh")):
        client.received.clear()
        client.check(port, ufrag, password, remote=remote)
        await wait_for(lambda: any(data[:2] == b"\x01\x01" for data in client.received))
    client.close()


async def test_ipv6_serves_the_same(engine: MediaEngine) -> None:
    origin = RTCConnection()
    origin.add_socket(RTCSocket(options=RTCSocketOptions(address="::1"), engine=engine))
    socket = origin.get_sockets()[0]
    assert [(item.address, item.port) for item in socket.candidates] == [("::1", socket.port)]
    client = await StunClient.open("::1")
    local = origin.fork().get_description("local")
    client.check(socket.port, local.ufrag, local.password)
    await wait_for(lambda: client.received)
    answer = stun.parse_message(client.received[0])
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == client.address
    client.close()
    await origin.close()


async def test_a_lower_receive_limit_is_obeyed_without_renegotiation(
    room: RTCConnection, peers: list[RTCPeerConnection]
) -> None:
    sender, *_ = peers
    add_media(sender)
    fork = room.fork()
    await join(sender, fork)
    (stream,) = fork.get_remote_streams()
    await wait_for(lambda: all(track.live for track in stream.tracks))
    fork.set_constraints(RTCConstraints(max_bitrate_bps=300_000), "receive")
    video = next(item for item in sender.getSenders() if item.kind == "video")
    await wait_for(lambda: target_bitrate(video) <= 300_000)


def target_bitrate(sender: Any) -> int:
    """What aiortc's encoder was told by REMB."""
    encoder = getattr(sender, "_RTCRtpSender__encoder", None)
    return 10**9 if encoder is None else int(encoder.target_bitrate)
