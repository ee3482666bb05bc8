"""What a client sends and wants to receive, before and after it was agreed on."""

import secrets
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["audio", "video"]
Direction = Literal["sendonly", "recvonly", "sendrecv", "inactive"]
CODECS: dict[Kind, tuple[str, ...]] = {"audio": ("opus",), "video": ("VP8", "H264")}
"""Of each kind, most wanted first."""


@dataclass(frozen=True, slots=True)
class Track:
    """A track that a client publishes, in one encoding."""

    kind: Kind
    codec: str = ""
    """Empty: the first of `CODECS` that the server takes."""
    ssrc: int = field(default_factory=lambda: 1 + secrets.randbelow(2**32 - 1))
    track_id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def codecs(self) -> tuple[str, ...]:
        """Those it may be sent in."""
        return (self.codec,) if self.codec else CODECS[self.kind]


@dataclass(frozen=True, slots=True)
class Line:
    """One m-line of an offer: with a track it sends; `receives` says whether it also, or only, receives."""

    kind: Kind
    track: Track | None = None
    receives: bool = False

    @property
    def direction(self) -> Direction:
        """Of the offer."""
        if self.track is None:
            return "recvonly" if self.receives else "inactive"
        return "sendrecv" if self.receives else "sendonly"

    @property
    def codecs(self) -> tuple[str, ...]:
        """What the line offers."""
        return self.track.codecs if self.track else CODECS[self.kind]


@dataclass(frozen=True, slots=True)
class SentTrack:
    """A track as both sides agreed on it."""

    kind: Kind
    codec: str
    ssrc: int
    payload_type: int
    mid: str
    mid_extension: int | None
    """Id of the MID header extension (RFC 8843), if it was agreed on."""
    level_extension: int | None
    """Id of the audio level header extension (RFC 6464), if it was agreed on."""
