"""ICE-lite without I/O (RFC 8445, RFC 8489): checks, their answers, candidates. The only importer of aioice.

aioice writes and signs messages; checks are read here with stricter rules, because whatever passes creates state: the
length must be right, no attribute may leave the message, the first of several equal attributes counts, nothing after
MESSAGE-INTEGRITY counts except FINGERPRINT, which must be present, last and right. A check that is not fully good
yields `None` and is never answered. Left out: TURN, full ICE, MESSAGE-INTEGRITY-SHA256 (no browser sends it), and
error 420: an authenticated check with an unknown mandatory attribute is dropped like a bad one.
"""

import hmac
import ipaddress
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import ifaddr
from aioice import stun
from aioice.candidate import candidate_foundation, candidate_priority

from router.errors import ConfigError
from router.rtc.description import RTCCandidate

Address = tuple[str, int]
Send = Callable[[Address, bytes], None]

BINDING_REQUEST = 0x0001
BINDING_SUCCESS, BINDING_ERROR = 0x0101, 0x0111
XOR_MAPPED_ADDRESS = 0x0020
USERNAME, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256 = 0x0006, 0x0008, 0x001C
PRIORITY, USE_CANDIDATE, FINGERPRINT, ICE_CONTROLLED = 0x0024, 0x0025, 0x8028, 0x8029
KNOWN_MANDATORY = frozenset({USERNAME, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, PRIORITY, USE_CANDIDATE})
SIGNED_BYTES = 24 + 8
"""MESSAGE-INTEGRITY and FINGERPRINT."""
MAX_USERNAME_BYTES = 513
MAX_MESSAGE_BYTES = 1500
STUN_PORT = 3478
PREFERENCES_PER_RANK = 256
"""Local preferences (RFC 8445 section 5.1.2.1) between two ranks: more than the sockets of a worker have candidates."""
IPV4_PREFERENCE = 65535 - PREFERENCES_PER_RANK // 2
IPV6_PREFERENCE = 65535
"""Of a socket's first candidate. Apart, for no two candidates may have one priority; IPv6, untranslated, first."""
GATHERING_RETRANSMISSIONS = 3
"""Requests to a STUN server go out at 0, 0.5, 1.5 and 3.5 s and are given up at 7.5 s (RFC 8489 section 6.2.1)."""


@dataclass(frozen=True, slots=True)
class Check:
    """A well-formed Binding request that claims to be for `local_ufrag`. Nothing in it is authenticated yet."""

    transaction_id: bytes
    local_ufrag: str
    remote_ufrag: str
    nominated: bool
    priority: int
    controlled: bool
    signed: bytes
    integrity: bytes
    size: int
    """Of the whole datagram."""

    def is_authentic(self, password: str) -> bool:
        """Whether it is signed with this password."""
        return hmac.compare_digest(self.integrity, stun.message_integrity(self.signed, password.encode()))


def parse_check(data: bytes) -> Check | None:
    """Reads a connectivity check; `None` for anything else and for anything odd."""
    if not 20 <= len(data) <= MAX_MESSAGE_BYTES or len(data) % 4:
        return None
    kind, length, cookie = struct.unpack_from("!HHI", data)
    if kind != BINDING_REQUEST or length != len(data) - 20 or cookie != stun.COOKIE:
        return None
    found = _parse_attributes(data)
    if found is None:
        return None
    values, integrity_at = found
    if any(type_ < 0x8000 and type_ not in KNOWN_MANDATORY for type_ in values):
        return None
    integrity, priority = values.get(MESSAGE_INTEGRITY, b""), values.get(PRIORITY, b"\0\0\0\0")
    names = _parse_username(values.get(USERNAME, b""))
    if names is None or len(integrity) != 20 or len(priority) != 4:
        return None
    return Check(
        transaction_id=data[8:20],
        local_ufrag=names[0],
        remote_ufrag=names[1],
        nominated=USE_CANDIDATE in values,
        priority=int.from_bytes(priority, "big"),
        controlled=ICE_CONTROLLED in values,
        signed=data[:integrity_at],
        integrity=integrity,
        size=len(data),
    )


def _parse_attributes(data: bytes) -> tuple[dict[int, bytes], int] | None:
    """The attributes that count, and where MESSAGE-INTEGRITY begins; `None` without a right FINGERPRINT at the end."""
    values: dict[int, bytes] = {}
    integrity_at, position = 0, 20
    while position + 4 <= len(data):
        type_, length = struct.unpack_from("!HH", data, position)
        value = data[position + 4 : position + 4 + length]
        following = position + 4 + length + stun.padding_length(length)
        if len(value) != length or following > len(data):
            return None
        if type_ == FINGERPRINT:
            right = stun.message_fingerprint(data[:position]).to_bytes(4, "big")
            return (values, integrity_at) if integrity_at and value == right and following == len(data) else None
        if not integrity_at:
            values.setdefault(type_, value)
            if type_ == MESSAGE_INTEGRITY:
                integrity_at = position
        position = following
    return None


def _parse_username(value: bytes) -> tuple[str, str] | None:
    if len(value) > MAX_USERNAME_BYTES or not value.isascii():
        return None
    local, colon, remote = value.decode("ascii").partition(":")
    return (local, remote) if local and colon and remote else None


def is_response(data: bytes) -> bool:
    """Whether this looks like an answer to a Binding request."""
    return len(data) >= 20 and int.from_bytes(data[:2], "big") in (BINDING_SUCCESS, BINDING_ERROR)


def write_success(check: Check, source: Address, password: str) -> bytes:
    """The answer to an authenticated check from `source`."""
    mapped = stun.pack_xor_address(source, check.transaction_id)
    size = 4 + len(mapped) + SIGNED_BYTES
    message = struct.pack("!HHI", BINDING_SUCCESS, size, stun.COOKIE) + check.transaction_id
    message += struct.pack("!HH", XOR_MAPPED_ADDRESS, len(mapped)) + mapped
    message += struct.pack("!HH", MESSAGE_INTEGRITY, 20) + stun.message_integrity(message, password.encode())
    return message + struct.pack("!HHI", FINGERPRINT, 4, stun.message_fingerprint(message))


def write_role_conflict(check: Check, password: str) -> bytes:
    """The answer to an authenticated check that claims our role: a lite agent is always controlled."""
    attributes = {"ERROR-CODE": (487, "Role Conflict")}
    message = stun.Message(stun.Method.BINDING, stun.Class.ERROR, check.transaction_id, attributes)
    message.add_message_integrity(password.encode())
    return bytes(message)


@dataclass(frozen=True, slots=True)
class AnnouncedAddress:
    """Where peers reach a socket that is behind one-to-one NAT."""

    address: str
    port: int | None = None
    """`None`: the port is kept."""


def host_addresses(bound: Address, announced: Sequence[AnnouncedAddress] = ()) -> list[Address]:
    """The addresses of a socket's host candidates: those announced, else the bound one, else every interface's."""
    own = ipaddress.ip_address(bound[0].partition("%")[0])
    if announced:
        chosen = [(item.address, item.port or bound[1]) for item in announced]
        return [item for item in chosen if ipaddress.ip_address(item[0]).version == own.version]
    if not own.is_unspecified:
        return [bound]
    found = [address for address in _interface_addresses() if address.version == own.version]
    reachable = [address for address in found if not address.is_loopback] or found
    return [(str(address), bound[1]) for address in dict.fromkeys(reachable)]


def bound_addresses(addresses: Sequence[str]) -> list[str]:
    """What to bind: `*` is every address of the kinds that this machine has, IPv4, IPv6 or both."""
    found = [address for address in _interface_addresses() if not address.is_loopback]
    versions = sorted({address.version for address in found}) or [4]
    every = ["0.0.0.0" if version == 4 else "::" for version in versions]  # noqa: S104 - a server's purpose
    bound = [each for address in addresses for each in (every if address == "*" else [address])]
    return list(dict.fromkeys(bound))


def _interface_addresses() -> Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if not address.is_link_local:
                yield address


def make_candidate(
    kind: Literal["host", "srflx"], address: Address, *, base: Address, component: int = 1, place: int = 0
) -> RTCCandidate:
    """A UDP candidate; `base` is the local address it was found from, `place` its own among those of its socket."""
    preference = (IPV6_PREFERENCE if ":" in address[0] else IPV4_PREFERENCE) - place
    reflexive = kind == "srflx"
    return RTCCandidate(
        foundation=candidate_foundation(kind, "udp", base[0]),
        component=component,
        transport="udp",
        priority=candidate_priority(component, kind, preference),
        address=address[0],
        port=address[1],
        type=kind,
        related_address=base[0] if reflexive else None,
        related_port=base[1] if reflexive else None,
    )


def lower_priority(candidate: RTCCandidate, rank: int) -> RTCCandidate:
    """The candidate as one to be tried after those of lower rank, as long as they are of its type."""
    return replace(candidate, priority=candidate.priority - rank * PREFERENCES_PER_RANK * 256) if rank else candidate


def parse_server_url(url: str) -> tuple[str, Address]:
    """Scheme, host and port of a STUN or TURN URL (RFC 7064, RFC 7065)."""
    scheme, colon, rest = url.partition(":")
    rest = rest.partition("?")[0]
    if not colon or scheme not in ("stun", "stuns", "turn", "turns") or not rest:
        raise ConfigError(f"urls: expected stun:, stuns:, turn: or turns: with a host, got {url!r}")
    host, port_text = rest, ""
    if rest.startswith("["):
        host, _, port_text = rest[1:].partition("]")
        port_text = port_text.removeprefix(":")
    elif rest.count(":") == 1:
        host, _, port_text = rest.partition(":")
    default = 5349 if scheme.endswith("s") else STUN_PORT
    port = int(port_text) if port_text.isdecimal() else (default if not port_text else 0)
    if not host or not 0 < port < 65536:
        raise ConfigError(f"urls: bad host or port in {url!r}")
    return scheme, (host, port)


class StunGatherer:
    """Asks STUN servers from a shared socket for our public address, with RFC 8489 retransmission."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._pending: dict[bytes, tuple[Address, stun.Transaction]] = {}

    async def gather(self, server: Address) -> Address | None:
        """Our address as the server sees it; `None` when it does not answer."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        transaction = stun.Transaction(request, server, self, retransmissions=GATHERING_RETRANSMISSIONS)
        self._pending[request.transaction_id] = (server, transaction)
        try:
            response, _ = await transaction.run()
        except stun.TransactionError:
            return None
        finally:
            del self._pending[request.transaction_id]
        mapped = response.attributes.get("XOR-MAPPED-ADDRESS") or response.attributes.get("MAPPED-ADDRESS")
        return mapped if isinstance(mapped, tuple) else None

    def handle_response(self, data: bytes, source: Address) -> None:
        """Takes a response; one that no request of ours waits for from there is dropped."""
        waiting = self._pending.get(data[8:20])
        if waiting is None or waiting[0] != source:
            return
        try:
            message = stun.parse_message(data)
        except (ValueError, IndexError, struct.error):
            return
        waiting[1].response_received(message, source)

    def send_stun(self, message: stun.Message, address: Address) -> None:
        """For aioice's transaction."""
        self._send(address, bytes(message))
