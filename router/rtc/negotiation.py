"""Our answer to a peer's offer (RFC 9429 section 5.3, RFC 3264), as a pure function of values.

m-lines keep their order and mid; ids of payload types and extensions stay as offered (RFC 8843 section 10.3). What is
accepted: opus and RED of it, VP8, VP9, H264 and AV1 with RTX, the feedback and header extensions that the router acts
upon, all simulcast layers. Refused: RED of video, FEC, CN and other codecs, data channels, kinds that the socket does
not carry. An offer that leaves nothing usable raises `RemoteSdpError` with the reason per m-line.
`router.rtc.formats` knows the codecs.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from router.errors import RemoteSdpError
from router.rtc.constraints import UNCONSTRAINED, RTCConstraints
from router.rtc.description import (
    DtlsRole,
    Kind,
    MediaDirection,
    RTCCandidate,
    RTCCodec,
    RTCDescription,
    RTCEncoding,
    RTCFingerprint,
    RTCHeaderExtension,
    RTCMediaSection,
)
from router.rtc.formats import (
    accept_parameters,
    check_red,
    codec_format,
    extension_ids,
    have_common_format,
    is_supported,
    to_engine_codecs,
    to_engine_encodings,
)
from router.rtc.shared import remember, shared_parts

__all__ = [
    "LocalParameters",
    "answer",
    "answer_role",
    "codec_format",
    "compatible",
    "extension_ids",
    "to_engine_codecs",
    "to_engine_encodings",
]

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
CSRC_AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:csrc-audio-level"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
VIDEO_ORIENTATION = "urn:3gpp:video-orientation"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

RECEIVED_EXTENSIONS: dict[Kind, frozenset[str]] = {
    "audio": frozenset({MID, AUDIO_LEVEL, CSRC_AUDIO_LEVEL, ABS_CAPTURE_TIME, TRANSPORT_CC}),
    "video": frozenset(
        {
            MID,
            RID,
            REPAIRED_RID,
            TRANSPORT_CC,
            ABS_SEND_TIME,
            DEPENDENCY_DESCRIPTOR,
            VIDEO_ORIENTATION,
            ABS_CAPTURE_TIME,
            PLAYOUT_DELAY,
        }
    ),
}
"""What a publisher may send us."""
SENT_EXTENSIONS: dict[Kind, frozenset[str]] = {
    "audio": frozenset({MID, AUDIO_LEVEL, CSRC_AUDIO_LEVEL, ABS_CAPTURE_TIME, TRANSPORT_CC}),
    "video": frozenset({MID, ABS_CAPTURE_TIME, VIDEO_ORIENTATION, PLAYOUT_DELAY, DEPENDENCY_DESCRIPTOR, TRANSPORT_CC}),
}
"""What we send to a receiver."""
RECEIVED_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"})
"""What we send a publisher."""
SENT_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"})
"""What we act upon from a receiver."""
CCFB = "ack ccfb"
"""RFC 8888: acted upon from who receives only and does not know transport-wide feedback; we send none ourselves."""

ONE_BYTE_IDS = range(1, 15)
TWO_BYTE_IDS = range(1, 256)
RESERVED_ID = 15
"""RFC 8285 section 4.2."""
MUX_CONFLICTS = range(64, 96)
"""Payload types that look like RTCP on a shared port (RFC 5761 section 4)."""

Way = Literal["send", "receive"]
_REVERSED: dict[MediaDirection, MediaDirection] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}


_WAYS: dict[MediaDirection, frozenset[Way]] = {
    "sendrecv": frozenset({"send", "receive"}),
    "sendonly": frozenset({"send"}),
    "recvonly": frozenset({"receive"}),
    "inactive": frozenset(),
}
_DIRECTIONS = {ways: direction for direction, ways in _WAYS.items()}


@dataclass(frozen=True, slots=True)
class LocalParameters:
    """Our side of the connection."""

    ufrag: str
    password: str
    fingerprints: tuple[RTCFingerprint, ...]
    cname: str
    stream_id: str
    """MediaStream id of what we send, where there is one m-line of a kind; further ones get an id of their own."""
    allocate_ssrc: Callable[[], int]
    """A new SSRC, unique on this connection."""
    candidates: tuple[RTCCandidate, ...] = ()
    kinds: tuple[Kind, ...] = ("audio", "video")
    """What the socket may carry."""
    may_send: bool = True
    may_receive: bool = True
    preferred_codecs: tuple[str, ...] = ()
    """These come first, the rest stays as offered; the first codec is what a publisher uses."""


def answer(
    offer: RTCDescription,
    *,
    local: LocalParameters,
    receive: RTCConstraints = UNCONSTRAINED,
    send: RTCConstraints = UNCONSTRAINED,
) -> RTCDescription:
    """Our ICE-lite answer. `receive` limits what the peer publishes, `send` what it is sent."""
    if offer.lite:
        raise RemoteSdpError("the offer says a=ice-lite: expected a full ICE agent, for we are lite")
    accepted: list[RTCMediaSection] = []
    reasons: list[str] = []
    uris: dict[int, str] = {}
    constraints = _by_way(receive, send)
    for section in offer.media:
        result = _answer_section(section, offer, local, constraints)
        if isinstance(result, str):
            reasons.append(f"{section.kind} {section.mid!a}: {result}")
            result = RTCMediaSection(mid=section.mid, kind=section.kind, rejected=True, protocol=section.protocol)
        accepted.append(_keep_consistent(result, uris))
    if all(section.rejected or section.direction == "inactive" for section in accepted):
        raise RemoteSdpError(f"no usable m-line: {'; '.join(reasons) or 'all are inactive'}")
    return RTCDescription(
        ufrag=local.ufrag,
        password=local.password,
        fingerprints=local.fingerprints,
        dtls_role=answer_role(offer.dtls_role),
        lite=True,
        candidates=local.candidates,
        end_of_candidates=True,
        media=_name_streams(accepted, local),
        allow_mixed_extensions=offer.allow_mixed_extensions,
        trickle=offer.trickle,
        bundled=offer.bundled,
    )


def answer_role(offered: DtlsRole) -> DtlsRole:
    """Passive whenever we may: a lite agent waits for the peer to start (RFC 8842 section 5.3)."""
    return "active" if offered == "passive" else "passive"


@remember
def _by_way(receive: RTCConstraints, send: RTCConstraints) -> dict[Way, RTCConstraints]:
    return {"receive": receive, "send": send}


def _answer_section(
    section: RTCMediaSection, offer: RTCDescription, local: LocalParameters, constraints: dict[Way, RTCConstraints]
) -> RTCMediaSection | str:
    """The accepted m-line, or why it is rejected."""
    if section.rejected:
        return "rejected by the offer"
    if section.kind == "data":
        return "data channels are not supported"
    if section.kind not in local.kinds:
        return f"this socket carries {', '.join(local.kinds) or 'nothing'} only"
    direction = _answer_direction(section.direction, local)
    if direction is None:
        return f"an offer of {section.direction} is not allowed here"
    ways = _ways(direction)
    codecs = _accept_codecs(section.kind, section.codecs, ways, local.preferred_codecs, constraints)
    if not codecs:
        offered = ", ".join(dict.fromkeys(codec.name for codec in section.codecs)) or "none"
        return f"no codec in common, offered {offered}"
    limit = constraints["receive"].max_bitrate_bps if section.kind == "video" and "receive" in ways else None
    return RTCMediaSection(
        mid=section.mid,
        kind=section.kind,
        direction=direction,
        codecs=codecs,
        extensions=_accept_extensions(
            section.kind, section.extensions, ways, offer.allow_mixed_extensions, constraints
        ),
        encodings=_make_encodings(codecs, local) if "send" in ways else (),
        receive_rids=tuple(encoding.rid for encoding in section.encodings if encoding.rid is not None)
        if "receive" in ways
        else (),
        cname=local.cname if "send" in ways else None,
        protocol=section.protocol,
        max_bitrate_bps=limit,
        reduced_size_rtcp=section.reduced_size_rtcp,
    )


def _answer_direction(offered: MediaDirection, local: LocalParameters) -> MediaDirection | None:
    """Reversed and cut down to our rights; None if nothing of what was asked for remains."""
    ways = _ways(_REVERSED[offered])
    allowed = {way for way in ways if (local.may_send if way == "send" else local.may_receive)}
    if ways and not allowed:
        return None
    return _direction(allowed)


def _ways(direction: MediaDirection) -> frozenset[Way]:
    """What the writer of this direction does."""
    return _WAYS[direction]


def _direction(ways: Iterable[Way]) -> MediaDirection:
    return _DIRECTIONS[frozenset(ways)]


@remember
def _accept_codecs(
    kind: Kind,
    offered: tuple[RTCCodec, ...],
    ways: frozenset[Way],
    preferred: tuple[str, ...],
    constraints: dict[Way, RTCConstraints],
) -> tuple[RTCCodec, ...]:
    used = (RECEIVED_FEEDBACK if "receive" in ways else frozenset()) | (
        SENT_FEEDBACK if "send" in ways else frozenset()
    )
    limits = [constraints[way] for way in ("receive", "send") if way in ways]
    usable = check_red(
        codec
        for codec in offered
        if is_supported(kind, codec)
        and codec.payload_type not in MUX_CONFLICTS
        and all(limit.allows_codec(codec.name) for limit in limits)
    )
    found = [
        replace(
            codec,
            parameters=accept_parameters(codec),
            feedback=_accept_feedback(codec, used, ways),
            rtx_payload_type=None if codec.rtx_payload_type in MUX_CONFLICTS else codec.rtx_payload_type,
        )
        for codec in usable
    ]
    wanted = next((limit.codecs for limit in limits if limit.codecs is not None), ())
    rank = {name.lower(): place for place, name in reversed(list(enumerate((*wanted, *preferred))))}
    return shared_parts.share_codecs(tuple(sorted(found, key=lambda codec: rank.get(codec.name.lower(), len(rank)))))


def _accept_feedback(codec: RTCCodec, used: frozenset[str], ways: frozenset[Way]) -> tuple[str, ...]:
    if ways == {"send"} and "transport-cc" not in codec.feedback:
        used |= {CCFB}
    return tuple(name for name in codec.feedback if name in used)


@remember
def _accept_extensions(
    kind: Kind,
    offered: tuple[RTCHeaderExtension, ...],
    ways: frozenset[Way],
    mixed: bool,
    constraints: dict[Way, RTCConstraints],
) -> tuple[RTCHeaderExtension, ...]:
    assert kind != "data", "data sections have no extensions"
    known: dict[Way, frozenset[str]] = {"receive": RECEIVED_EXTENSIONS[kind], "send": SENT_EXTENSIONS[kind]}
    ids = TWO_BYTE_IDS if mixed else ONE_BYTE_IDS
    found: list[RTCHeaderExtension] = []
    taken: set[tuple[str, Way]] = set()
    for extension in offered:
        uri = extension.uri
        used = {
            way
            for way in ways & _ways(_REVERSED[extension.direction])
            if uri in known[way] and constraints[way].allows_extension(uri) and (uri, way) not in taken
        }
        if not used or extension.id not in ids or extension.id == RESERVED_ID:
            continue
        taken |= {(uri, way) for way in used}
        # Undecorated when it serves all that this m-line does, as every client has always understood.
        whole = used == ways and extension.direction == "sendrecv"
        found.append(RTCHeaderExtension(extension.id, uri, "sendrecv" if whole else _direction(used)))
    return shared_parts.share_extensions(tuple(found))


def _keep_consistent(section: RTCMediaSection, uris: dict[int, str]) -> RTCMediaSection:
    """One id means one extension in the whole group (RFC 8843 section 10.3); the first m-line wins."""
    kept = tuple(item for item in section.extensions if uris.setdefault(item.id, item.uri) == item.uri)
    return section if len(kept) == len(section.extensions) else replace(section, extensions=kept)


def _make_encodings(codecs: tuple[RTCCodec, ...], local: LocalParameters) -> tuple[RTCEncoding, ...]:
    repaired = any(codec.rtx_payload_type is not None for codec in codecs)
    ssrc = local.allocate_ssrc()
    return (RTCEncoding(ssrc=ssrc, rtx_ssrc=local.allocate_ssrc() if repaired else None),)


def _name_streams(media: list[RTCMediaSection], local: LocalParameters) -> tuple[RTCMediaSection, ...]:
    """Gives what we send its MediaStream and track ids.

    Chromium plays the tracks of one stream in sync; tracks of different people share no clock, so only the first
    m-line of each kind goes into the common stream.
    """
    seen: set[Kind] = set()
    named = []
    for section in media:
        if not section.encodings:
            named.append(section)
            continue
        stream_id = f"{local.stream_id}-{section.mid}" if section.kind in seen else local.stream_id
        seen.add(section.kind)
        named.append(replace(section, stream_id=stream_id, track_id=f"{section.kind}-{section.mid}"))
    return tuple(named)


def compatible(published: RTCMediaSection, slot: RTCMediaSection) -> bool:
    """Whether packets of one m-line can be forwarded to another: some format is common."""
    return published.kind == slot.kind and have_common_format(published.codecs, slot.codecs)
