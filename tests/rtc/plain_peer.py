"""A plain RTP peer: two UDP sockets on neighbouring ports and pylibsrtp, no ICE, no DTLS."""

import asyncio
import secrets
import socket
import struct
from typing import Any

from pylibsrtp import Policy, Session

from router.rtc import RTCCandidate, RTCConnection, RTCDescription, RTCMediaSection, RTCSocket, RTCSocketOptions
from router.rtc.constraints import SrtpProfile
from router.rtc.engine import MediaEngine
from tests.rtc.media_peer import PROFILES, RtpPacket

HOST = "127.0.0.1"
PATIENCE_S = 5.0


def make_keys(profile: SrtpProfile = "AEAD_AES_128_GCM") -> tuple[bytes, bytes]:
    length = PROFILES[profile][1]
    return secrets.token_bytes(length), secrets.token_bytes(length)


def open_port() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((HOST, 0))
    opened.setblocking(False)
    return opened


def open_port_pair() -> tuple[socket.socket, socket.socket]:
    for _ in range(50):
        rtp, rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        rtp.bind((HOST, 0))
        try:
            rtcp.bind((HOST, rtp.getsockname()[1] + 1))
        except (OSError, OverflowError):
            rtp.close()
            rtcp.close()
            continue
        return rtp, rtcp
    raise OSError("no two neighbouring ports are free")


def make_origin(engine: MediaEngine, keys: tuple[bytes, ...], **options: Any) -> RTCConnection:
    origin = RTCConnection()
    origin.add_socket(RTCSocket(options=RTCSocketOptions(mux=False, keys=keys, address=HOST, **options), engine=engine))
    return origin


def candidate(port: int, component: int = 1, address: str = HOST) -> RTCCandidate:
    return RTCCandidate("1", component, "udp", 1, address, port, "host")


def describe(*media: RTCMediaSection, port: int, **changes: Any) -> RTCDescription:
    values: dict[str, Any] = {"candidates": (candidate(port),), "media": media}
    return RTCDescription(**({"ufrag": "", "password": "", "fingerprints": ()} | values | changes))


class PlainPeer:
    """Sends and receives on both ports; `keys` are those of the router's socket."""

    def __init__(
        self, origin: RTCConnection, keys: tuple[bytes, bytes], profile: SrtpProfile = "AEAD_AES_128_GCM"
    ) -> None:
        rtp, rtcp = origin.get_sockets()[0].candidates
        self.router_rtp, self.router_rtcp = (rtp.address, rtp.port), (rtcp.address, rtcp.port)
        self.rtp, self.rtcp = open_port_pair()
        self.port: int = self.rtp.getsockname()[1]
        number = PROFILES[profile][0]
        self._outbound = Session(Policy(key=keys[0], ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=number))
        self._inbound = Session(Policy(key=keys[1], ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=number))
        for opened in (self.rtp, self.rtcp):
            opened.setblocking(False)

    def protect_rtp(self, sequence: int, payload: bytes, *, payload_type: int, ssrc: int) -> bytes:
        header = struct.pack("!BBHII", 0x80, payload_type, sequence & 0xFFFF, 960 * sequence & 0xFFFFFFFF, ssrc)
        return self._outbound.protect(header + payload)

    def send_rtp(self, sequence: int, payload: bytes, *, payload_type: int = 111, ssrc: int) -> None:
        data = self.protect_rtp(sequence, payload, payload_type=payload_type, ssrc=ssrc)
        self.rtp.sendto(data, self.router_rtp)

    def send_rtcp(self, packet: bytes) -> None:
        self.rtcp.sendto(self._outbound.protect_rtcp(packet), self.router_rtcp)

    async def receive_rtp(self) -> RtpPacket:
        """What comes to the RTP port must be RTP from the RTP port."""
        data, source = await self._receive(self.rtp)
        assert source == self.router_rtp
        assert not 192 <= data[1] <= 223, "RTCP on the RTP port"
        return RtpPacket.parse(self._inbound.unprotect(data))

    async def receive_rtcp(self) -> bytes:
        """What comes to the RTCP port must be RTCP from the RTCP port."""
        data, source = await self._receive(self.rtcp)
        assert source == self.router_rtcp
        assert 192 <= data[1] <= 223, "RTP on the RTCP port"
        return self._inbound.unprotect_rtcp(data)

    async def _receive(self, opened: socket.socket) -> tuple[bytes, tuple[str, int]]:
        loop = asyncio.get_running_loop()
        data, source = await asyncio.wait_for(loop.sock_recvfrom(opened, 2048), PATIENCE_S)
        return data, source

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()
