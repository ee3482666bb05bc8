"""A remote peer of the engine without DTLS: a UDP socket that speaks STUN (aioice) and SRTP (pylibsrtp), blocking.

Keys are agreed beforehand, which is what DTLS would have done.
"""

import os
import socket
import struct
from dataclasses import dataclass

from aioice import stun
from pylibsrtp import Policy, Session

from loadtest.checks import write_answer, write_check
from router import _engine
from router.clock import monotonic_us
from router.rtc import srtp
from router.rtc.constraints import SrtpProfile

PROFILES = {
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
}
OPUS: "_engine.CodecParameters" = {
    "payload_type": 111,
    "rtx_payload_type": None,
    "codec": "opus",
    "format": 1,
    "clock_rate": 48000,
    "feedback": [],
}
UDP_SEGMENT = 103  # linux/udp.h
PATIENCE_US = 5_000_000


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """What the tests look at."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    csrcs: tuple[int, ...]
    payload: bytes

    @classmethod
    def parse(cls, data: bytes) -> "RtpPacket":
        first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        count = first & 0x0F
        csrcs = struct.unpack_from(f"!{count}I", data, 12)
        offset = 12 + 4 * count
        if first & 0x10:
            offset += 4 + 4 * struct.unpack_from("!H", data, offset + 2)[0]
        return cls(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, csrcs, data[offset:])


class MediaPeer:
    """One peer and the engine's transport for it."""

    def __init__(
        self,
        engine: _engine.Engine,
        socket_info: "_engine.SocketInfo",
        profile: SrtpProfile = "AEAD_AES_128_GCM",
        *,
        address: str | None = None,
    ) -> None:
        """`address`: where its own socket is bound, if not where the router's is."""
        self.engine = engine
        self.router = socket_info["address"]
        self._socket_id = socket_info["id"]
        host = self.router[0]
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address or host, 0))
        self.address: tuple[str, int] = self.socket.getsockname()[:2]
        self.local_password, self.remote_password = "router-" + os.urandom(16).hex(), "peer-" + os.urandom(16).hex()
        self.local_ufrag, self.remote_ufrag = os.urandom(8).hex(), os.urandom(4).hex()
        self.transport = engine.create_transport(
            self._socket_id, local_ufrag=self.local_ufrag, local_password=self.local_password, cname="router"
        )
        engine.set_remote_ice(self.transport, self.remote_ufrag, self.remote_password)
        number, length = PROFILES[profile]
        to_router, to_peer = os.urandom(length), os.urandom(length)
        # Ours live here for as long as the engine may use them: a test closes the engine before it lets the peers go.
        self.sessions = srtp.open_sessions(profile, to_router, to_peer)
        self._outbound = Session(Policy(key=to_router, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=number))
        self._inbound = Session(Policy(key=to_peer, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=number))
        self.reports: list[bytes] = []

    def check(self, *, nominate: bool = True, password: str | None = None) -> stun.Message:
        """Sends a connectivity check."""
        use = None if nominate else False
        username = f"{self.local_ufrag}:{self.remote_ufrag}"
        request = write_check(username, password or self.local_password, USE_CANDIDATE=use)
        self.socket.sendto(request, self.router)
        return stun.parse_message(request)

    def answer(self, data: bytes) -> None:
        """Answers a check of the router."""
        request = stun.parse_message(data)
        assert request.check_message_integrity(self.remote_password.encode())
        assert request.attributes["USERNAME"] == f"{self.remote_ufrag}:{self.local_ufrag}"
        self.socket.sendto(write_answer(request, self.router, self.remote_password), self.router)

    def connect(self) -> None:
        """Brings the path up as Python would: the first check is authenticated there, the rest is the engine's."""
        self.engine.add_tuple(self.transport, self._socket_id, self.address, nominated=True, priority=1)
        self.engine.set_srtp(self.transport, *self.sessions.addresses)
        challenge = self.receive_datagram()
        assert challenge is not None
        assert challenge[0] < 2, "the engine challenges the path first"
        self.answer(challenge)

    def receive_datagram(self, patience_us: int = PATIENCE_US) -> bytes | None:
        """The next datagram; None when patience is over."""
        self.socket.settimeout(max(patience_us, 1) / 1e6)
        try:
            return self.socket.recv(2048)
        except TimeoutError:
            return None

    def send_rtp(
        self,
        sequence: int,
        payload: bytes,
        *,
        payload_type: int,
        ssrc: int,
        timestamp: int,
        level: int | None = None,
    ) -> None:
        """Protects and sends one packet, with an RFC 6464 level as extension 1 if there is one."""
        packet = self.write_rtp(
            sequence, payload, payload_type=payload_type, ssrc=ssrc, timestamp=timestamp, level=level
        )
        self.socket.sendto(packet, self.router)

    def write_rtp(
        self,
        sequence: int,
        payload: bytes,
        *,
        payload_type: int,
        ssrc: int,
        timestamp: int,
        level: int | None = None,
    ) -> bytes:
        """A protected packet."""
        first = 0x80 if level is None else 0x90
        header = struct.pack("!BBHII", first, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
        if level is not None:
            header += struct.pack("!HHBBH", 0xBEDE, 1, 0x10, level, 0)
        return self._outbound.protect(header + payload)

    def send_run(self, packets: list[bytes]) -> None:
        """Sends packets of one size, of which the last may be shorter, by one system call (udp(7), UDP_SEGMENT)."""
        size = struct.pack("H", len(packets[0]))
        self.socket.sendmsg([b"".join(packets)], [(socket.IPPROTO_UDP, UDP_SEGMENT, size)], 0, self.router)

    def unprotect_rtp(self, data: bytes) -> RtpPacket:
        """A packet as it was before encryption."""
        return RtpPacket.parse(self._inbound.unprotect(data))

    def send_rtcp(self, packet: bytes) -> None:
        """Protects and sends one compound packet."""
        self.socket.sendto(self._outbound.protect_rtcp(packet), self.router)

    def receive_rtp(self, patience_us: int = PATIENCE_US) -> RtpPacket | None:
        """The next RTP packet, decrypted. Checks are answered meanwhile, RTCP is kept in `reports`."""
        deadline = monotonic_us() + patience_us
        while (left := deadline - monotonic_us()) > 0:
            data = self.receive_datagram(left)
            if data is None:
                return None
            if data[0] < 2:
                if data[0] == 0:
                    self.answer(data)
            elif 192 <= data[1] <= 223:
                self.reports.append(self._inbound.unprotect_rtcp(data))
            else:
                return self.unprotect_rtp(data)
        return None

    def close(self) -> None:
        """Frees the port."""
        self.socket.close()
