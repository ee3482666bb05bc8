"""What crossed a link: each IP packet's kind, and the round trips of a conversation.

Kinds: TCP by flags and payload, UDP by its first byte (RFC 7983), STUN and DTLS further by message. Fragments, IPv6 and
anything else are "other". Encrypted DTLS records tell only that they are handshake.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Side = Literal["near", "far"]
TCP, UDP = 6, 17
SYN = 0x02


@dataclass(frozen=True, slots=True)
class Seen:
    """One packet as it entered the link."""

    time_us: int
    sender: Side
    protocol: str
    detail: str
    bytes: int


def parse_kind(packet: bytes) -> tuple[str, str]:
    """Protocol and detail of one IPv4 packet; ("other", "") for what is none."""
    if len(packet) < 28 or packet[0] >> 4 != 4:
        return "other", ""
    body = packet[4 * (packet[0] & 0x0F) :]
    if packet[9] == TCP and len(body) >= 20:
        return _parse_tcp(body, int.from_bytes(packet[2:4], "big") - len(packet) + len(body))
    if packet[9] == UDP and len(body) > 9:
        return _parse_udp(body[8:])
    return "other", ""


def _parse_tcp(segment: bytes, length: int) -> tuple[str, str]:
    """Handshake, data, or bare acknowledgement."""
    if segment[13] & SYN:
        return "tcp", "syn"
    carries = length > 4 * (segment[12] >> 4)
    return ("http", "data") if carries else ("tcp", "ack")


def _parse_udp(payload: bytes) -> tuple[str, str]:
    """RFC 7983, figure 3."""
    first = payload[0]
    if first < 4:
        return "stun", "response" if first & 1 else "request"
    if 20 <= first < 64:
        return "dtls", {20: "change-cipher-spec", 21: "alert", 22: "handshake"}.get(first, "data")
    if first >> 6 == 2 and len(payload) > 1:
        return ("rtcp", "") if 192 <= payload[1] < 224 else ("rtp", "")
    return "other", ""


def count_round_trips(trace: Iterable[Seen], protocol: str, client: Side = "near") -> int:
    """How often a flight of the client's was followed by one of the other side.

    A flight is any number of packets one way. Only packets that ask for an answer count: no acknowledgements of TCP, no
    alerts of DTLS.
    """
    trips, asked = 0, False
    for seen in trace:
        if seen.protocol != protocol or seen.detail in ("ack", "alert"):
            continue
        if seen.sender == client:
            asked = True
        elif asked:
            trips, asked = trips + 1, False
    return trips
