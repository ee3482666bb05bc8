"""One connection of a client: a nominating check (RFC 8445), DTLS as client (RFC 5764), SRTP with AES-128-GCM.

It answers the router's path challenges, keeps its consent fresh, counts what it decrypts, and hands packets to whoever
wants them. Left out: candidates of its own (the router learns them from the check), RTCP of its own, retransmission.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import pack
from typing import cast

import pylibsrtp
from aioice import stun
from OpenSSL import SSL

from loadtest.checks import write_answer, write_check
from loadtest.peer.description import MEDIA, Answer, write_offer
from loadtest.peer.identity import Identity

KEY_BYTES, SALT_BYTES = 16, 12
DTLS_MTU = 1200
CHECK_INTERVAL_S = 5.0
CHECK_RETRY_S = 0.25
SINK_BYTES = 4096


def _session(key: bytes, direction: int) -> pylibsrtp.Session:
    profile = pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    return pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=direction, srtp_profile=profile))


@dataclass(slots=True)
class Counters:
    """What a client received."""

    packets: int = 0
    bytes: int = 0
    errors: int = 0


@dataclass(slots=True)
class Peer(asyncio.DatagramProtocol):
    """One client. `connected` resolves once SRTP is keyed."""

    identity: Identity
    ufrag: str = field(default_factory=lambda: secrets.token_hex(4))
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    counters: Counters = field(default_factory=Counters)
    connected: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _transport: asyncio.DatagramTransport | None = None
    _answer: Answer | None = None
    _dtls: SSL.Connection | None = None
    _srtp: pylibsrtp.Session | None = None
    _outbound: pylibsrtp.Session | None = None
    ssrc: int = field(default_factory=lambda: secrets.randbits(32))
    """Of the audio it sends."""
    audio_payload_type: int = 111
    _sequence: int = 0
    on_rtp: Callable[[bytes], None] | None = None
    """Called with each decrypted RTP packet."""
    on_rtcp: Callable[[bytes], None] | None = None
    """Called with each decrypted compound RTCP packet."""
    _timer: asyncio.TimerHandle | None = None
    _sink: socket.socket | None = None

    def offer(self, media: Sequence[str] = MEDIA) -> str:
        """Its session description, with these m-lines."""
        return write_offer(self.ufrag, self.password, self.identity.fingerprint, media)

    async def connect(self, answer: Answer) -> None:
        """Opens the socket, sends the first check and waits until media can flow."""
        self._answer = answer
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, remote_addr=answer.address)
        self._check()
        await self.connected

    def send_audio(self, payload: bytes) -> None:
        """Sends one opus packet of 20 ms."""
        sequence = self._sequence
        self._sequence += 1
        header = pack(
            "!BBHII", 0x80, self.audio_payload_type, sequence & 0xFFFF, 960 * sequence & 0xFFFFFFFF, self.ssrc
        )
        self.send_rtp(header + payload)

    def send_rtp(self, packet: bytes) -> None:
        """Protects and sends any RTP packet."""
        assert self._outbound
        self._send(self._outbound.protect(packet))

    def become_sink(self) -> None:
        """Stops reading, while it sends and keeps its consent fresh: the kernel drops what its buffer cannot take.

        For measurements in which thousands receive: the router pays for its sending, the generator for nothing.
        """
        assert self._transport
        self._sink = self._transport.get_extra_info("socket").dup()
        self._sink.setblocking(False)
        self._sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SINK_BYTES)
        self._transport.close()

    def close(self) -> None:
        """Leaves without a word, as a vanished client does."""
        if self._timer:
            self._timer.cancel()
        if self._transport:
            self._transport.close()
        if self._sink:
            self._sink.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, _address: tuple[str, int]) -> None:
        """STUN, DTLS or SRTP by the first byte (RFC 7983)."""
        if data[0] < 4:
            self._on_stun(data)
        elif 20 <= data[0] < 64:
            self._on_dtls(data)
        elif self._srtp and not 192 <= data[1] < 224:
            self._on_srtp(data)
        elif self._srtp and self.on_rtcp:
            self.on_rtcp(self._srtp.unprotect_rtcp(data))

    def error_received(self, _error: Exception) -> None:
        """ICMP errors count, they do not end the client."""
        self.counters.errors += 1

    def _send(self, data: bytes) -> None:
        if self._sink:
            self._sink.send(data)
            return
        assert self._transport
        self._transport.sendto(data)

    def _check(self) -> None:
        assert self._answer
        self._send(write_check(f"{self._answer.ufrag}:{self.ufrag}", self._answer.password))
        delay = CHECK_INTERVAL_S if self._dtls else CHECK_RETRY_S
        self._timer = asyncio.get_running_loop().call_later(delay, self._check)

    def _on_stun(self, data: bytes) -> None:
        message = stun.parse_message(data)
        if message.message_class == stun.Class.REQUEST:
            assert self._answer
            self._send(write_answer(message, self._answer.address, self.password))
        elif message.message_class == stun.Class.RESPONSE and self._dtls is None:
            self._dtls = SSL.Connection(self.identity.context)
            self._dtls.set_ciphertext_mtu(DTLS_MTU)
            self._dtls.set_connect_state()
            self._handshake()

    def _on_dtls(self, data: bytes) -> None:
        if self._dtls and not self._srtp:
            self._dtls.bio_write(data)
            self._handshake()

    def _handshake(self) -> None:
        assert self._dtls
        try:
            self._dtls.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return
        self._flush()
        material = self._dtls.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (KEY_BYTES + SALT_BYTES))
        keys, salts = material[: 2 * KEY_BYTES], material[2 * KEY_BYTES :]
        self._outbound = _session(keys[:KEY_BYTES] + salts[:SALT_BYTES], pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        self._srtp = _session(keys[KEY_BYTES:] + salts[SALT_BYTES:], pylibsrtp.Policy.SSRC_ANY_INBOUND)
        if not self.connected.done():
            self.connected.set_result(None)

    def _flush(self) -> None:
        """Sends what DTLS made, one datagram a record (RFC 6347 section 4.1)."""
        assert self._dtls
        try:
            data = self._dtls.bio_read(65536)
        except SSL.WantReadError:
            return
        while data:
            end = 13 + int.from_bytes(data[11:13], "big")
            self._send(data[:end])
            data = data[end:]

    def _on_srtp(self, data: bytes) -> None:
        assert self._srtp
        try:
            packet = self._srtp.unprotect(data)
        except pylibsrtp.Error:
            self.counters.errors += 1
            return
        self.counters.packets += 1
        self.counters.bytes += len(data)
        if self.on_rtp:
            self.on_rtp(packet)
