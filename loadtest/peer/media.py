"""What a load client publishes: a voice of stamped opus-like packets with audio levels (RFC 6464), and a camera of
stamped frames with VP8's payload descriptor and frame tag (RFC 7741, RFC 6386 section 9.1).

No decoder would show or play them: they are for routers, which look no deeper. With a film (film.py) the camera's
frames are real. Time is an argument.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from loadtest.peer.room_offer import AUDIO_LEVEL, MID, OfferedLine
from loadtest.peer.rtp import STAMP, RtpPacket, Stamp, write_packet

SILENCE = 127
"""The level of digital silence, in -dBov (RFC 6464 section 3)."""
AUDIO_CLOCK, VIDEO_CLOCK = 48_000, 90_000
KEY_FRAME_TAG = b"\x10\x00\x00\x9d\x01\x2a\x80\x02\x68\x01"
"""A key frame of 640 by 360."""
DELTA_FRAME_TAG = b"\x11\x00\x00"
PACKET_BYTES = 950


@dataclass(slots=True)
class Voice:
    """An audio track of one encoding."""

    line: OfferedLine
    ssrc: int
    sender: int
    level: int = SILENCE
    """In -dBov: 0 is the loudest."""
    number: int = 0
    _extensions: dict[int, bytes] = field(default_factory=dict)
    _payload_type: int = 0

    def __post_init__(self) -> None:
        self._payload_type = self.line.payload_type("opus")
        if MID in self.line.extensions:
            self._extensions[self.line.extensions[MID]] = self.line.mid.encode()

    def write(self, now_s: float) -> bytes:
        """The next packet."""
        if AUDIO_LEVEL in self.line.extensions:
            speaks = self.level < SILENCE
            self._extensions[self.line.extensions[AUDIO_LEVEL]] = bytes([speaks << 7 | self.level])
        self.number += 1
        packet = RtpPacket(
            payload_type=self._payload_type,
            marker=False,
            sequence=self.number,
            timestamp=round(now_s * AUDIO_CLOCK),
            ssrc=self.ssrc,
            csrcs=(),
            extensions=self._extensions,
            payload=b"\xf8" + Stamp(self.sender, self.number, now_s).write(),
        )
        return write_packet(packet)


@dataclass(slots=True)
class Camera:
    """A video track of one encoding; a key frame is made when asked for."""

    line: OfferedLine
    ssrc: int
    sender: int
    film: Sequence[bytes] = ()
    """Frames to repeat, the first one a key frame, each in as many packets as it needs; none: frames that nobody can
    decode."""
    wants_key: bool = True
    frames: int = 0
    key_frames: int = 0
    _next_in_film: int = 0
    _sequence: int = 0
    _picture_id: int = field(default_factory=lambda: Random().randrange(1 << 15))
    _extensions: dict[int, bytes] = field(default_factory=dict)
    _payload_type: int = 0

    def __post_init__(self) -> None:
        self._payload_type = self.line.payload_type("VP8")
        if MID in self.line.extensions:
            self._extensions[self.line.extensions[MID]] = self.line.mid.encode()

    def write_frame(self, now_s: float, packets: int = 1) -> list[bytes]:
        """The packets of the next frame; a film's frames have as many as they need."""
        self._next_in_film = (self._next_in_film + 1) % len(self.film) if self.film else 0
        key = self.wants_key or (bool(self.film) and self._next_in_film == 0)
        self.wants_key = False
        self.frames += 1
        self.key_frames += key
        self._picture_id = (self._picture_id + 1) & 0x7FFF
        if self.film:
            self._next_in_film = 0 if key else self._next_in_film
            parts = split_frame(self.film[self._next_in_film])
        else:
            parts = [KEY_FRAME_TAG if key else DELTA_FRAME_TAG, *[b""] * (packets - 1)]
            parts = [part.ljust(PACKET_BYTES, b"\0") for part in parts]
        return [self._write(index, len(parts), part, now_s) for index, part in enumerate(parts)]

    def _write(self, index: int, count: int, part: bytes, now_s: float) -> bytes:
        self._sequence += 1
        # X and S of the descriptor, I, and a picture id of 15 bits.
        descriptor = bytes([0x90 if index == 0 else 0x80, 0x80]) + (0x8000 | self._picture_id).to_bytes(2, "big")
        # A decoder takes the stamp for the end of the last partition and never reads so far.
        stamp = Stamp(self.sender, self.frames, now_s).write() if index == count - 1 or not self.film else b""
        packet = RtpPacket(
            payload_type=self._payload_type,
            marker=index == count - 1,
            sequence=self._sequence,
            timestamp=round(now_s * VIDEO_CLOCK),
            ssrc=self.ssrc,
            csrcs=(),
            extensions=self._extensions,
            payload=descriptor + part + stamp,
        )
        return write_packet(packet)

    def handle_rtcp(self, compound: bytes) -> bool:
        """Whether a picture loss indication or full intra request names this track (RFC 4585, RFC 5104)."""
        for kind, count, body in parse_rtcp(compound):
            media = int.from_bytes(body[4:8], "big")
            pli = kind == 206 and count == 1 and media == self.ssrc
            fir = kind == 206 and count == 4 and self.ssrc.to_bytes(4, "big") in (body[8:12], body[16:20])
            if pli or fir:
                self.wants_key = True
                return True
        return False


def split_frame(frame: bytes) -> list[bytes]:
    """Parts of nearly one size, as libwebrtc makes them: some are a byte longer where it does not come out even."""
    count = max(1, -(-(len(frame) + STAMP.size) // PACKET_BYTES))
    ends = [(len(frame) + STAMP.size) * number // count for number in range(count + 1)]
    return [frame[start:end] for start, end in pairwise(ends)]


def parse_rtcp(compound: bytes) -> list[tuple[int, int, bytes]]:
    """Type, count or format, and body (from the sender's SSRC on) of each packet of a compound."""
    found, at = [], 0
    while at + 4 <= len(compound):
        length = 4 * int.from_bytes(compound[at + 2 : at + 4], "big")
        found.append((compound[at + 1], compound[at] & 0x1F, compound[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def is_key_frame(payload: bytes) -> bool:
    """Whether a VP8 packet begins a key frame (RFC 7741 section 4.2, RFC 6386 section 9.1)."""
    if len(payload) < 3 or payload[0] & 0x1F != 0x10:
        return False
    at = 1
    if payload[0] & 0x80:
        flags, at = payload[1], 2
        if flags & 0x80:
            at += 2 if payload[at] & 0x80 else 1
        at += bool(flags & 0x40) + bool(flags & 0x30)
    return at < len(payload) and payload[at] & 1 == 0
