"""The room's static offer as a client reads it, and the answer it makes (RFC 9429 section 5.3, without a library).

The client mints a nonce and appends it to the offer's ufrag: that is the remote ufrag of its checks. The answer keeps
all m-lines in their order, with the payload types and extension ids offered; it publishes one encoding per m-line.
"""

import secrets
import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from loadtest.peer.description import Answer

NONCE_LETTERS = string.ascii_letters + string.digits
NONCE_CHARS = 22
KEPT = ("a=mid:", "a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:", "a=rtcp-mux", "a=rtcp-rsize")
MIRRORED = {"sendonly": "recvonly", "recvonly": "sendonly", "sendrecv": "sendrecv", "inactive": "inactive"}
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"


def mint_nonce() -> str:
    """131 random bits as letters and digits."""
    return "".join(secrets.choice(NONCE_LETTERS) for _ in range(NONCE_CHARS))


@dataclass(frozen=True, slots=True)
class OfferedLine:
    """One m-line of the offer. `direction` is the router's."""

    kind: str
    mid: str
    direction: str
    lines: tuple[str, ...]

    @classmethod
    def parse(cls, lines: tuple[str, ...]) -> "OfferedLine":
        """Reads the lines from `m=` to before the next one."""
        mid = next(line[6:] for line in lines if line.startswith("a=mid:"))
        direction = next(line[2:] for line in lines if line[2:] in MIRRORED)
        return cls(lines[0][2:].split()[0], mid, direction, lines)

    @property
    def extensions(self) -> dict[str, int]:
        """URI to id."""
        fields = (line[9:].split() for line in self.lines if line.startswith("a=extmap:"))
        return {uri: int(number.partition("/")[0]) for number, uri, *_ in fields}

    @property
    def ssrcs(self) -> set[int]:
        """Those the offer names."""
        return {int(line[7:].split()[0]) for line in self.lines if line.startswith("a=ssrc:")}

    def payload_type(self, codec: str) -> int:
        """Of the first offered codec of this name."""
        for line in self.lines:
            number, _, name = line.partition(" ")
            if line.startswith("a=rtpmap:") and name.partition("/")[0].lower() == codec.lower():
                return int(number[9:])
        raise ValueError(f"{self.mid} does not offer {codec}")


@dataclass(frozen=True, slots=True)
class RoomOffer:
    """What the client keeps of the offer."""

    context_id: str
    password: str
    address: tuple[str, int]
    media: tuple[OfferedLine, ...]

    @classmethod
    def parse(cls, text: str) -> "RoomOffer":
        """Reads the whole description."""
        ice = Answer.parse(text)
        sections: list[list[str]] = []
        for line in text.splitlines():
            if line.startswith("m="):
                sections.append([])
            if sections:
                sections[-1].append(line)
        media = tuple(OfferedLine.parse(tuple(section)) for section in sections)
        return cls(ice.ufrag, ice.password, ice.address, media)

    def line(self, mid: str) -> OfferedLine:
        """The m-line of this mid."""
        return next(line for line in self.media if line.mid == mid)

    def slots(self, kind: str) -> list[str]:
        """Mids that the router sends on, in order."""
        return [line.mid for line in self.media if line.kind == kind and line.direction == "sendonly"]


@dataclass(frozen=True, slots=True)
class AnswerWriter:
    """The client's half of an answer."""

    ufrag: str
    password: str
    fingerprint: str

    def write(self, offer: RoomOffer, ssrcs: Mapping[str, int], slots: Collection[str] | None = None) -> str:
        """Publishes on the mids of `ssrcs`, receives on those of `slots` (None: all); the rest is inactive."""
        bundle = " ".join(line.mid for line in offer.media)
        head = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {bundle}"]
        lines = [*head, *(text for line in offer.media for text in self._write_line(line, ssrcs, slots))]
        return "\r\n".join(lines) + "\r\n"

    def _write_line(self, line: OfferedLine, ssrcs: Mapping[str, int], slots: Collection[str] | None) -> list[str]:
        used = line.mid in ssrcs or (line.direction == "sendonly" and (slots is None or line.mid in slots))
        direction = MIRRORED[line.direction] if used else "inactive"
        written = [line.lines[0], "c=IN IP4 0.0.0.0", f"a=ice-ufrag:{self.ufrag}", f"a=ice-pwd:{self.password}"]
        written += [f"a=fingerprint:sha-256 {self.fingerprint}", "a=setup:active", f"a={direction}"]
        written += [_mirror(text) for text in line.lines if text.startswith(KEPT)]
        if line.mid in ssrcs:
            written.append(f"a=ssrc:{ssrcs[line.mid]} cname:loadtest")
        return written


def _mirror(text: str) -> str:
    """An extension with a direction is seen from the other side in an answer (RFC 8285 section 6)."""
    if not text.startswith("a=extmap:"):
        return text
    number, _, rest = text.partition(" ")
    name, slash, direction = number.partition("/")
    return f"{name}{slash}{MIRRORED.get(direction, '')} {rest}"
