"""Our offer (RFC 9429 section 5.2): one text that any number of peers answer, each answer a fork.

It names the origin: its user name fragment is the context id, to which whoever answers appends a nonce of its own in
its copy (design.md section 2); its password is good for all forks of this offer. SSRCs are the same for all of them,
for each has keys of its own. Payload type and extension numbers are those of Chromium where it has any, so that the
fewest packets change theirs. Each sending m-line is a MediaStream of its own: who is in it changes, so no two of
them share a clock. Left out: data channels, and what `negotiation` refuses (FEC, comfort noise).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from router.errors import ConfigError
from router.rtc.description import (
    Kind,
    RTCCandidate,
    RTCCodec,
    RTCDescription,
    RTCEncoding,
    RTCFingerprint,
    RTCHeaderExtension,
    RTCMediaSection,
)
from router.rtc.formats import SUPPORTED, check_red
from router.rtc.negotiation import (
    ABS_CAPTURE_TIME,
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    CSRC_AUDIO_LEVEL,
    DEPENDENCY_DESCRIPTOR,
    MID,
    PLAYOUT_DELAY,
    RECEIVED_EXTENSIONS,
    REPAIRED_RID,
    RID,
    SENT_EXTENSIONS,
    SENT_FEEDBACK,
    TRANSPORT_CC,
    VIDEO_ORIENTATION,
)
from router.rtc.shared import shared_parts

EXTENSION_IDS = {
    AUDIO_LEVEL: 1,
    ABS_SEND_TIME: 2,
    TRANSPORT_CC: 3,
    MID: 4,
    PLAYOUT_DELAY: 5,
    CSRC_AUDIO_LEVEL: 6,
    ABS_CAPTURE_TIME: 7,
    RID: 10,
    REPAIRED_RID: 11,
    DEPENDENCY_DESCRIPTOR: 12,
    VIDEO_ORIENTATION: 13,
}
VIDEO_FEEDBACK = ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")
_H264 = MappingProxyType(
    {"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": "42e01f"}  # constrained baseline
)
OFFERED_CODECS: dict[str, RTCCodec] = {
    "opus": RTCCodec(
        "opus",
        111,
        48000,
        2,
        parameters=MappingProxyType({"minptime": "10", "useinbandfec": "1"}),
        feedback=("transport-cc",),
    ),
    "red": RTCCodec("red", 63, 48000, 2, parameters=MappingProxyType({"111/111": ""}), feedback=("transport-cc",)),
    "vp8": RTCCodec("VP8", 96, 90000, feedback=VIDEO_FEEDBACK, rtx_payload_type=97),
    "vp9": RTCCodec(
        "VP9",
        98,
        90000,
        parameters=MappingProxyType({"profile-id": "0"}),
        feedback=VIDEO_FEEDBACK,
        rtx_payload_type=99,
    ),
    "h264": RTCCodec("H264", 102, 90000, parameters=_H264, feedback=VIDEO_FEEDBACK, rtx_payload_type=103),
    "av1": RTCCodec("AV1", 45, 90000, feedback=VIDEO_FEEDBACK, rtx_payload_type=46),
}
"""By lower-case name. One variant each: what every browser has."""
DEFAULT_CODECS = ("red", "opus", "VP8", "VP9", "H264", "AV1")
"""VP8 first: the one codec in which every browser sends simulcast. RED of opus is sent by those who know it."""


@dataclass(frozen=True, slots=True)
class OfferedLine:
    """One m-line of our offer: we send on it, or receive."""

    mid: str
    kind: Kind
    direction: Literal["sendonly", "recvonly"]
    rids: tuple[str, ...] = ()
    """Simulcast layers that we take, lowest first."""


@dataclass(frozen=True, slots=True)
class OfferParameters:
    """What an offer is made of besides its m-lines."""

    ufrag: str
    password: str
    fingerprints: tuple[RTCFingerprint, ...]
    cname: str
    allocate_ssrc: Callable[[], int]
    candidates: tuple[RTCCandidate, ...]
    codecs: tuple[str, ...] = DEFAULT_CODECS
    """Names, most wanted first."""


def make_offer(lines: Sequence[OfferedLine], parameters: OfferParameters) -> RTCDescription:
    """The offer, complete with all candidates. `ConfigError` names a codec that cannot be offered."""
    unknown = [name for name in parameters.codecs if name.lower() not in OFFERED_CODECS]
    if unknown:
        known = ", ".join(codec.name for codec in OFFERED_CODECS.values())
        raise ConfigError(f"codecs: expected some of {known}, got {', '.join(unknown)}")
    return RTCDescription(
        ufrag=parameters.ufrag,
        password=parameters.password,
        fingerprints=parameters.fingerprints,
        dtls_role="actpass",
        lite=True,
        candidates=parameters.candidates,
        end_of_candidates=True,
        media=tuple(_make_section(line, parameters) for line in lines),
        allow_mixed_extensions=True,
    )


def _make_section(line: OfferedLine, parameters: OfferParameters) -> RTCMediaSection:
    assert line.kind != "data", "data channels are not offered"
    sends = line.direction == "sendonly"
    codecs = _codecs_of(line.kind, parameters.codecs, sends=sends)
    repaired = any(codec.rtx_payload_type is not None for codec in codecs)
    allocate = parameters.allocate_ssrc
    encoding = RTCEncoding(ssrc=allocate(), rtx_ssrc=allocate() if repaired else None) if sends else None
    return RTCMediaSection(
        mid=line.mid,
        kind=line.kind,
        direction=line.direction,
        codecs=codecs,
        extensions=_extensions_of(line.kind, sends=sends),
        encodings=() if encoding is None else (encoding,),
        receive_rids=line.rids,
        stream_id=f"slot-{line.mid}" if sends else None,
        track_id=line.mid if sends else None,
        cname=parameters.cname if sends else None,
        reduced_size_rtcp=True,
    )


def _codecs_of(kind: Kind, names: Sequence[str], *, sends: bool) -> tuple[RTCCodec, ...]:
    supported = SUPPORTED[kind]
    chosen = check_red(OFFERED_CODECS[name.lower()] for name in names if name.lower() in supported)
    if not chosen:
        raise ConfigError(f"codecs: expected one for {kind}")
    return shared_parts.share_codecs(tuple(_limit_feedback(codec) for codec in chosen) if sends else tuple(chosen))


def _extensions_of(kind: Kind, *, sends: bool) -> tuple[RTCHeaderExtension, ...]:
    uris = (SENT_EXTENSIONS if sends else RECEIVED_EXTENSIONS)[kind]
    found = (RTCHeaderExtension(id_, uri) for uri, id_ in EXTENSION_IDS.items() if uri in uris)
    return shared_parts.share_extensions(tuple(found))


def _limit_feedback(codec: RTCCodec) -> RTCCodec:
    """Of what receivers may tell us, that which we act upon."""
    return replace(codec, feedback=tuple(kind for kind in codec.feedback if kind in SENT_FEEDBACK))
