"""Plain RTP peers: no ICE, no DTLS, RTCP on a port of its own (RFC 3550 section 11), SRTP with agreed keys (RFC 3711).

What WebRTC proves, the application vouches for here: where the peer is (its candidates, component 1 for RTP and 2 for
RTCP), and who it is (whoever has the socket's keys). No packet moves the peer, a packet from elsewhere is dropped, and
nothing is ever sent in clear. Left out: several m-lines on several ports (all are bundled, told apart by MID, SSRC or
payload type), learning addresses behind NAT, re-keying: a socket with other keys is another socket.

SRTP forbids to encrypt two packets of one SSRC and index with one key (RFC 3711 section 9.1; with AES-GCM it even gives
the authentication key away). Forks of one socket share its keys, so SSRCs are handed out here, each once.
"""

import ipaddress
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from router.errors import ConfigError, ConflictError, EngineError
from router.rtc.constraints import SrtpProfile
from router.rtc.context import ConnectionContext
from router.rtc.description import RTCCandidate, RTCDescription, RTCFingerprint
from router.rtc.ice import Address
from router.rtc.progress import TransportProgress
from router.rtc.srtp import KEY_BYTES

if TYPE_CHECKING:
    from router.rtc.engine import MediaEngine
    from router.rtc.socket import RTCSocket
    from router.rtc.transport import TransportOwner

RTP, RTCP = 1, 2
"""Components."""
SECURE_PROTOCOLS = ("RTP/SAVP", "RTP/SAVPF")
MAX_SSRCS = 65_536
"""SSRCs ever used with one key; then it has served its time."""
EXPECTED_KEYS = "expected two SRTP master keys with salts as bytes, the peer's first and then ours, of " + " or ".join(
    f"{length} bytes ({profile})" for profile, length in KEY_BYTES.items()
)


@dataclass(frozen=True, slots=True, eq=False)
class PlainKeys:
    """The SRTP keys of a plain socket, and what has been taken under them."""

    profile: SrtpProfile
    inbound: bytes = field(repr=False)
    outbound: bytes = field(repr=False)
    ssrcs: set[int] = field(default_factory=set, repr=False)
    """Those we have ever sent with."""
    peers: "dict[tuple[int, Address], PlainTransport]" = field(default_factory=dict, repr=False)
    """Who has a component's address."""

    @classmethod
    def parse(cls, keys: Sequence[object]) -> "PlainKeys":
        """From the `keys` of a socket's options.

        >>> PlainKeys.parse((b"their key and salt, 28 bytes", b"our own key with salt, equal")).profile
        'AEAD_AES_128_GCM'
        """
        profiles = {length: profile for profile, length in KEY_BYTES.items()}
        found = [key for key in keys if isinstance(key, bytes) and len(key) in profiles]
        if len(found) != 2 or len(keys) != 2 or len(found[0]) != len(found[1]):
            given = [f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__ for key in keys]
            raise ConfigError(f"keys: with mux=False {EXPECTED_KEYS}; got {', '.join(given) or 'none'}")
        inbound, outbound = found
        if inbound == outbound:
            raise ConfigError(
                "keys: both directions have one key, so our own packets, sent back, would pass for theirs"
            )
        return cls(profiles[len(inbound)], inbound, outbound)

    def make_ssrc(self) -> int:
        """One that was never used with our key."""
        while (ssrc := secrets.randbits(32)) in self.ssrcs or ssrc == 0:
            pass
        self.take_ssrc(ssrc)
        return ssrc

    def take_ssrc(self, ssrc: int) -> None:
        """Uses this one, for the first and only time."""
        if ssrc in self.ssrcs:
            raise ConflictError(f"SSRC {ssrc} was sent with this socket's key before: that would break the encryption")
        if len(self.ssrcs) >= MAX_SSRCS:
            raise ConflictError(f"keys: {MAX_SSRCS} SSRCs were sent with this key: open a socket with new keys")
        self.ssrcs.add(ssrc)


class PlainTransport:
    """One plain peer, where `PeerTransport` is a WebRTC one."""

    ufrag = password = ""
    checked_by: str | None = None
    fingerprints: tuple[RTCFingerprint, ...] = ()
    lite = False

    def __init__(self, owner: "TransportOwner", context: ConnectionContext, socket: "RTCSocket") -> None:
        assert socket.plain_keys is not None, "mux=False comes with keys"
        self.id: int | None = None
        """The engine's transport, once there is one."""
        self.connected = False
        self.closed = False
        self._owner = owner
        self._context = context
        self._socket = socket
        self._keys = socket.plain_keys
        self._ssrcs: set[int] = set()
        self._addresses: tuple[Address, Address] | None = None
        self.progress = TransportProgress()

    @property
    def engine(self) -> "MediaEngine":
        """The engine of its socket."""
        return self._socket.engine

    def allocate_ssrc(self) -> int:
        """A new SSRC to send with."""
        ssrc = self._keys.make_ssrc()
        self._ssrcs.add(ssrc)
        return ssrc

    def check_remote(self, remote: RTCDescription, local: RTCDescription) -> None:
        """Refuses what cannot be sent securely and to the peer alone; takes its addresses and our SSRCs."""
        if remote.fingerprints:
            raise ConfigError("mux: a peer with DTLS fingerprints needs a socket with mux=True; a plain peer has none")
        for section in remote.media:
            if section.protocol not in (None, *SECURE_PROTOCOLS) and not section.rejected:
                expected = " or ".join(SECURE_PROTOCOLS)
                raise ConfigError(f"protocol: expected {expected} for plain peers, got {section.protocol!r}")
        allowed = self._owner.srtp_profiles()
        if self._keys.profile not in allowed:
            raise ConfigError(f"srtp_profiles: the socket's keys are for {self._keys.profile}, allowed: {allowed}")
        rtp, rtcp = locate(remote.candidates, self._socket.address)
        self._forget_addresses()
        for place in ((RTP, rtp), (RTCP, rtcp)):
            if self._keys.peers.setdefault(place, self) is not self:
                self._forget_addresses()
                raise ConflictError(f"another fork on this socket has the peer {place[1]}")
        for ssrc in _sent_ssrcs(local):
            if ssrc not in self._ssrcs:
                self._keys.take_ssrc(ssrc)
                self._ssrcs.add(ssrc)
        self._addresses = rtp, rtcp

    def open(self) -> int:
        """The engine's transport, made at the first call."""
        if self.id is None:
            # The engine's transports begin as ICE ones; nobody learns these credentials, and they go with the agent.
            ufrag = self._context.mint_ufrag()
            self.id = self.engine.native.create_transport(
                self._socket.id,
                local_ufrag=ufrag,
                local_password=self._context.fork_password(ufrag),
                cname=self._context.cname,
                timeout_us=self.engine.timeout_us,
            )
            self.engine.register_transport(self.id, self)
        return self.id

    def set_remote(self, remote: RTCDescription) -> None:
        """The peer as `check_remote` accepted it. `connected` follows when the engine has taken it in."""
        del remote
        assert self._addresses is not None, "check_remote comes first"
        transport = self.open()
        rtp, rtcp = self._addresses
        self.engine.set_srtp(transport, self._keys.profile, self._keys.inbound, self._keys.outbound)
        self.engine.native.set_plain_peer(
            transport, rtp=(self._socket.id, rtp), rtcp=(self._socket.rtcp_id, rtcp), ssrc=self.allocate_ssrc()
        )

    def restart(self, remote_ufrag: str, remote_password: str) -> tuple[str, str]:
        """There is nothing to restart."""
        del remote_ufrag, remote_password
        raise ConflictError("a plain peer has no ICE to restart")

    def close(self) -> None:
        """Everything freed in the engine, BYE to the peer. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._forget_addresses()
        if self.id is not None:
            # When the engine was closed first, nothing is left to remove.
            with suppress(EngineError):
                self.engine.native.remove_transport(self.id)

    def _forget_addresses(self) -> None:
        for place in [place for place, owner in self._keys.peers.items() if owner is self]:
            del self._keys.peers[place]

    # -- from the engine -----------------------------------------------------------------------------------------

    def on_pair_selected(self, socket: int, address: Address) -> None:
        """The engine sends there from now on."""
        if self.closed or self.connected or socket != self._socket.id:
            return
        self.connected = True
        self._owner.on_transport_pair(self._socket, address)
        self._owner.on_transport_connected()

    def on_dtls(self, socket: int, source: Address, datagrams: list[bytes]) -> None:
        """The engine drops DTLS of plain peers."""

    def on_first_frame(self, waited_s: float) -> None:
        """From the engine."""
        self._owner.on_transport_frame(waited_s)

    def on_transport_lost(self, reason: str) -> None:
        """Nothing authentic came for too long."""
        if not self.closed:
            self._owner.on_transport_failed(reason)


def locate(candidates: Sequence[RTCCandidate], local: str) -> tuple[Address, Address]:
    """The peer's RTP and RTCP addresses: of its first candidates that a socket bound to `local` can reach."""
    rtp = next(_reachable(candidates, RTP, local), None)
    if rtp is None:
        version = ipaddress.ip_address(local.partition("%")[0]).version
        raise ConfigError(f"candidates: expected a plain peer's RTP address: UDP, IPv{version}, component 1")
    rtcp = next(_reachable(candidates, RTCP, local), (rtp[0], rtp[1] + 1))
    if rtcp[1] > 65_535:
        raise ConfigError("candidates: no port follows 65535: expected an RTCP address, component 2")
    return rtp, rtcp


def _reachable(candidates: Sequence[RTCCandidate], component: int, local: str) -> Iterator[Address]:
    version = ipaddress.ip_address(local.partition("%")[0]).version
    for item in candidates:
        with suppress(ValueError):
            address = ipaddress.ip_address(item.address)
            single = not (address.is_unspecified or address.is_multicast) and address.version == version
            if single and 0 < item.port < 65_536 and (item.component, item.transport) == (component, "udp"):
                yield str(address), item.port


def _sent_ssrcs(local: RTCDescription) -> Iterator[int]:
    for section in local.media:
        for encoding in section.encodings:
            yield from (ssrc for ssrc in (encoding.ssrc, encoding.rtx_ssrc) if ssrc is not None)
