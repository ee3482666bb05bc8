"""A whole peer in Python, hand-made so that it can misbehave: ICE that answers challenges, DTLS, SRTP."""

import asyncio
import struct
from typing import Literal

from aioice import stun
from OpenSSL import SSL
from pylibsrtp import Policy, Session

from loadtest.checks import write_answer
from router.rtc import RTCCertificate, RTCConnection
from router.rtc.dtls import DtlsSession, make_context
from tests.rtc.media_peer import PROFILES
from tests.rtc.offers import publisher
from tests.rtc.peers import StunClient, wait_for

REMOTE_PASSWORD = publisher().password
ALERT = 21


class DtlsPeer(StunClient):
    """Use `connect`, or its steps one by one."""

    password = REMOTE_PASSWORD

    def __init__(self) -> None:
        super().__init__()
        self.certificate = RTCCertificate.generate(now_s=1_800_000_000)
        self.session: DtlsSession | None = None
        self.sent: list[bytes] = []
        """Everything sent, as a tap on the wire would see it."""
        self.alerts = 0
        self.port = 0

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.append(data)
        if data[:2] == b"\x00\x01":
            self._answer(data)
        elif 20 <= data[0] <= 63:
            self.alerts += data[0] == ALERT
            if self.session is not None:
                self.session.handle_datagram(data, 0)
                self.flush()

    def send(self, port: int, data: bytes) -> None:
        self.sent.append(data)
        super().send(port, data)

    def _answer(self, data: bytes) -> None:
        self.send(self.port, write_answer(stun.parse_message(data), ("127.0.0.1", self.port), self.password))

    def flush(self) -> None:
        assert self.session is not None
        for datagram in self.session.poll_datagrams():
            self.send(self.port, datagram)

    def start_dtls(self, context: SSL.Context | None = None, role: Literal["active", "passive"] = "active") -> None:
        """Sends the ClientHello."""
        self.session = DtlsSession(context or make_context(self.certificate), role, now_us=0)
        self.session.start(0)
        self.flush()

    async def reach(self, fork: RTCConnection) -> None:
        """Brings the path up: a nominating check, answers to the challenges."""
        self.port = fork.get_sockets()[0].port
        local = fork.get_description("local")
        self.check(self.port, local.ufrag, local.password)
        await wait_for(lambda: any(data[:2] == b"\x01\x01" for data in self.received))

    async def connect(self, fork: RTCConnection) -> None:
        """The whole set-up."""
        fork.set_description(publisher(fingerprints=(self.certificate.fingerprint,)))
        await self.reach(fork)
        self.start_dtls()
        await self.wait_connected(fork)

    async def wait_connected(self, fork: RTCConnection, timeout_s: float = 10.0) -> None:
        """Until both sides have keys; lost flights are repeated meanwhile."""
        session = self.session
        assert session is not None
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not (session.state == "connected" and fork.transport.connected):
            assert asyncio.get_running_loop().time() < deadline, (session.state, session.reason, fork.close_reason)
            assert not fork.closed, fork.close_reason
            if session.state == "handshaking":
                session.handle_timeout(0)
                self.flush()
            await asyncio.sleep(0.01)

    def protect(self) -> Session:
        """SRTP from here to the router."""
        assert self.session is not None
        keys = self.session.srtp_keys()
        number, _ = PROFILES[keys.profile]
        return Session(Policy(key=keys.outbound, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=number))


def rtp(sequence: int, payload: bytes = b"payload" * 10, *, ssrc: int = 7, payload_type: int = 111) -> bytes:
    """A plain packet."""
    return struct.pack("!BBHII", 0x80, payload_type, sequence & 0xFFFF, sequence * 960, ssrc) + payload
