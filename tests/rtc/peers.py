"""aiortc peers and hand-made STUN clients that meet our forks over loopback."""

import asyncio
from collections.abc import Callable
from typing import Any, Self

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from loadtest import checks
from router.rtc import RTCConnection, RTCDescription
from router.rtc.dtls import DtlsSession
from router.rtc.sdp import parse, write
from router.rtc.transport import PeerTransport

Address = tuple[str, int]
FRAMES = 10


async def wait_for(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Waits for a state, not for a time."""

    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 - foreign objects have no event to wait for
            await asyncio.sleep(0.01)

    await asyncio.wait_for(poll(), timeout_s)


def make_peer() -> RTCPeerConnection:
    """Without the STUN server on the internet that is aiortc's default, whose name takes seconds not to resolve."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def make_offer(peer: RTCPeerConnection) -> str:
    await peer.setLocalDescription(await peer.createOffer())
    return str(peer.localDescription.sdp)


def answer_text(fork: RTCConnection) -> str:
    return write(fork.get_description("local"), session_id=1, version=1)


async def join(
    peer: RTCPeerConnection, fork: RTCConnection, change: Callable[[str], str] = lambda text: text
) -> RTCDescription:
    """The peer offers, the fork answers."""
    offer = parse(change(await make_offer(peer)))
    fork.set_description(offer, "remote")
    for stream in fork.get_remote_streams():
        fork.receive_stream(stream)
    await peer.setRemoteDescription(RTCSessionDescription(sdp=answer_text(fork), type="answer"))
    return offer


class StunClient(asyncio.DatagramProtocol):
    """A UDP socket that sends checks and collects what comes back."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    @classmethod
    async def open(cls, host: str = "127.0.0.1") -> Self:
        _, client = await asyncio.get_running_loop().create_datagram_endpoint(cls, local_addr=(host, 0))
        return client

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.address: Address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.received.append(data)

    def send(self, port: int, data: bytes) -> None:
        self.transport.sendto(data, (self.address[0], port))

    def check(self, port: int, ufrag: str, password: str, *, remote: str = "peer", **extra: Any) -> bytes:
        data = write_check(ufrag, password, remote=remote, **extra)
        self.send(port, data)
        return data

    def close(self) -> None:
        self.transport.close()


def write_check(ufrag: str, password: str, *, remote: str = "peer", **changes: Any) -> bytes:
    return checks.write_check(f"{ufrag}:{remote}", password, **changes)


def add_media(peer: RTCPeerConnection) -> None:
    peer.addTrack(AudioStreamTrack())
    peer.addTrack(VideoStreamTrack())


def receive_media(peer: RTCPeerConnection) -> dict[str, MediaStreamTrack]:
    received: dict[str, MediaStreamTrack] = {}
    peer.addTransceiver("audio", direction="recvonly")
    peer.addTransceiver("video", direction="recvonly")
    peer.on("track", lambda track: received.setdefault(track.kind, track))
    return received


async def receive_frames(tracks: dict[str, MediaStreamTrack], count: int = FRAMES) -> None:
    async def receive(track: MediaStreamTrack) -> None:
        for _ in range(count):
            await track.recv()

    await asyncio.wait_for(asyncio.gather(*(receive(track) for track in tracks.values())), 20)


def record(connection: RTCConnection, *events: str) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []
    for event in events or connection.EVENTS:
        connection.on(event, lambda *arguments, event=event: seen.append((event, *arguments)))
    return seen


def dtls_of(fork: RTCConnection) -> DtlsSession | None:
    """The handshake of a WebRTC peer, once it has begun."""
    assert isinstance(fork.transport, PeerTransport)
    return fork.transport._dtls
