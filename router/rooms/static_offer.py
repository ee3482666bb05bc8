"""The room's static offer: one SDP text that everybody answers (design.md section 2, `router.rtc.offer`).

m-lines and their fixed mids: `mic`, `cam`, `scr`, `snd` for what a participant sends, then for what it receives, the
slots, `a0`, `a1`, … and `v0`, `v1`, … Short, because a mid travels in packets. The text follows from the room's
context, its layout and the sockets' candidates: the same bytes for everybody until one of these changes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from router.rtc.description import RTCCandidate, RTCDescription
from router.rtc.offer import DEFAULT_CODECS, OfferedLine, OfferParameters, make_offer
from router.rtc.sdp import write

if TYPE_CHECKING:
    from router.rtc import RTCConnection

CAMERA_RIDS = ("q", "h", "f")
ETAG_HEX_DIGITS = 32


@dataclass(frozen=True, slots=True)
class OfferLayout:
    """How many slots a room offers, and which codecs.

    >>> [line.mid for line in OfferLayout(audio_slots=1, video_slots=2).lines()]
    ['mic', 'cam', 'scr', 'snd', 'a0', 'v0', 'v1']
    """

    audio_slots: int = 3
    video_slots: int = 9
    codecs: tuple[str, ...] = DEFAULT_CODECS

    def lines(self) -> Sequence[OfferedLine]:
        """The m-lines, in order."""
        return (
            OfferedLine("mic", "audio", "recvonly"),
            OfferedLine("cam", "video", "recvonly", CAMERA_RIDS),
            OfferedLine("scr", "video", "recvonly"),
            OfferedLine("snd", "audio", "recvonly"),
            *(OfferedLine(f"a{place}", "audio", "sendonly") for place in range(self.audio_slots)),
            *(OfferedLine(f"v{place}", "video", "sendonly") for place in range(self.video_slots)),
        )


@dataclass(frozen=True, slots=True)
class StaticOffer:
    """An offer as it is served."""

    description: RTCDescription
    text: str
    etag: str
    """A strong entity tag (RFC 9110 section 8.8.3), with its quotes."""

    @classmethod
    def make(cls, origin: "RTCConnection", layout: OfferLayout, candidates: tuple[RTCCandidate, ...]) -> "StaticOffer":
        """The offer of this origin. Its SSRCs are drawn anew, so it is made once and kept."""
        context = origin.context
        description = make_offer(
            layout.lines(),
            OfferParameters(
                ufrag=context.context_id,
                password=context.offer_password,
                fingerprints=origin.transport.fingerprints,
                cname=context.cname,
                allocate_ssrc=origin.transport.allocate_ssrc,
                candidates=candidates,
                codecs=layout.codecs,
            ),
        )
        return cls.of(description)

    @classmethod
    def of(cls, description: RTCDescription) -> "StaticOffer":
        """The text and tag that go with a description."""
        text = _write(description)
        return cls(description, text, f'"{hashlib.sha256(text.encode()).hexdigest()[:ETAG_HEX_DIGITS]}"')

    def moved_to(self, candidates: tuple[RTCCandidate, ...]) -> "StaticOffer":
        """The same offer at other addresses."""
        return self.of(replace(self.description, candidates=candidates))

    def complete(self, ufrag: str, candidates: tuple[RTCCandidate, ...]) -> str:
        """The text for one peer whose fork exists: with its whole user name fragment, and where it lives."""
        return _write(replace(self.description, ufrag=ufrag, candidates=candidates))


def _write(description: RTCDescription) -> str:
    digest = hashlib.sha256(description.ufrag.encode()).digest()
    return write(description, session_id=int.from_bytes(digest[:7], "big"), version=1)
