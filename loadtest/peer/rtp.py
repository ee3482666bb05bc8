"""RTP packets as the load client writes and reads them (RFC 3550 section 5.1, RFC 8285), and the stamp in them.

The stamp stands at the end of the payload, behind anything a router may rewrite (a VP8 picture id) and before padding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct, unpack_from

HEADER = Struct("!BBHII")
STAMP = Struct("!4sIId")
MAGIC = b"\xa5st\x5a"
ONE_BYTE_PROFILE, TWO_BYTE_PROFILE = 0xBEDE, 0x1000


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who sent a packet, which of theirs it is, and when (seconds on the sender's clock)."""

    sender: int
    number: int
    sent_at_s: float

    def write(self) -> bytes:
        """The bytes at the end of a payload."""
        return STAMP.pack(MAGIC, self.sender, self.number, self.sent_at_s)

    @classmethod
    def parse(cls, payload: bytes) -> "Stamp | None":
        """The stamp of a payload; None for one that has none."""
        if len(payload) < STAMP.size:
            return None
        magic, sender, number, sent_at_s = STAMP.unpack(payload[-STAMP.size :])
        return cls(sender, number, sent_at_s) if magic == MAGIC else None


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """A packet without its padding."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    csrcs: tuple[int, ...]
    extensions: Mapping[int, bytes]
    payload: bytes

    @classmethod
    def parse(cls, data: bytes) -> "RtpPacket":
        """Reads a packet that SRTP has authenticated, so its lengths are the router's own."""
        first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
        count = first & 0x0F
        csrcs = unpack_from(f"!{count}I", data, 12)
        offset, end = 12 + 4 * count, len(data)
        extensions: dict[int, bytes] = {}
        if first & 0x10:
            profile, words = unpack_from("!HH", data, offset)
            offset += 4 + 4 * words
            extensions = parse_extensions(profile, data[offset - 4 * words : offset])
        if first & 0x20:
            end -= data[-1]
        payload = data[offset:end]
        return cls(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, csrcs, extensions, payload)


def parse_extensions(profile: int, data: bytes) -> dict[int, bytes]:
    """Both forms of RFC 8285."""
    found: dict[int, bytes] = {}
    at = 0
    two_bytes = profile & 0xFFF0 == TWO_BYTE_PROFILE
    while at < len(data):
        if data[at] == 0:
            at += 1
            continue
        if two_bytes:
            number, length, at = data[at], data[at + 1], at + 2
        else:
            number, length, at = data[at] >> 4, (data[at] & 0x0F) + 1, at + 1
        found[number] = data[at : at + length]
        at += length
    return found


def write_extensions(extensions: Mapping[int, bytes]) -> bytes:
    """The one-byte form, with its header; nothing for none."""
    if not extensions:
        return b""
    body = b"".join(bytes([number << 4 | len(value) - 1]) + value for number, value in extensions.items())
    body += bytes(-len(body) % 4)
    return ONE_BYTE_PROFILE.to_bytes(2, "big") + (len(body) // 4).to_bytes(2, "big") + body


def write_packet(packet: RtpPacket) -> bytes:
    """The bytes of a packet without CSRCs."""
    extensions = write_extensions(packet.extensions)
    first = 0x90 if extensions else 0x80
    second = packet.marker << 7 | packet.payload_type
    header = HEADER.pack(first, second, packet.sequence & 0xFFFF, packet.timestamp & 0xFFFFFFFF, packet.ssrc)
    return header + extensions + packet.payload
