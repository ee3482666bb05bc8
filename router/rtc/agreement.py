"""What two descriptions allow together (RFC 3264 section 6, RFC 9429 section 5.11): ours, cut down to the peer's.

For connections whose local description came first: an offer that the peer has answered, or one the application brought.
m-lines are paired by place and mid. Payload types, header extensions, directions and simulcast layers remain where both
have them; an m-line on which nothing can flow becomes inactive. Numbers stay as we wrote them: an answer that renumbers
payload types or extensions is not followed (RFC 8843 section 10.3 wants one meaning a group), it just loses them.
"""

from dataclasses import replace

from router.errors import RemoteSdpError
from router.rtc.description import (
    MediaDirection,
    RTCCodec,
    RTCDescription,
    RTCEncoding,
    RTCHeaderExtension,
    RTCMediaSection,
)
from router.rtc.formats import check_red, codec_format
from router.rtc.shared import remember, shared_parts

MISMATCH = "answer-mismatch"
SENDING: frozenset[MediaDirection] = frozenset({"sendonly", "sendrecv"})
RECEIVING: frozenset[MediaDirection] = frozenset({"recvonly", "sendrecv"})


def check_answer(local: RTCDescription, remote: RTCDescription) -> None:
    """Refuses a description that cannot go with ours: `RemoteSdpError` with the slug `answer-mismatch`."""
    if remote.lite and local.lite:
        raise RemoteSdpError("the description says a=ice-lite: expected a full ICE agent, for we are lite")
    if local.dtls_role == "actpass" and remote.dtls_role == "actpass":
        raise RemoteSdpError("a=setup:actpass in an answer: expected active or passive", slug=MISMATCH)
    if len(remote.media) != len(local.media):
        raise RemoteSdpError(
            f"expected {len(local.media)} m-lines in the offer's order, got {len(remote.media)}", slug=MISMATCH
        )
    for ours, theirs in zip(local.media, remote.media, strict=True):
        _check_pair(ours, theirs)


def agree(local: RTCDescription, remote: RTCDescription) -> RTCDescription:
    """Our description as it is in force; raises what `check_answer` does."""
    check_answer(local, remote)
    media = tuple(_agree_section(*pair) for pair in zip(local.media, remote.media, strict=True))
    return replace(
        local,
        media=media,
        allow_mixed_extensions=local.allow_mixed_extensions and remote.allow_mixed_extensions,
    )


def _agree_section(ours: RTCMediaSection, theirs: RTCMediaSection) -> RTCMediaSection:
    # With SSRCs in it a section is one peer's own, and comes but once.
    return _combine(ours, theirs) if theirs.encodings else _combine_shared(ours, theirs)


def _combine(ours: RTCMediaSection, theirs: RTCMediaSection) -> RTCMediaSection:
    if ours.rejected or theirs.rejected:
        return RTCMediaSection(mid=ours.mid, kind=ours.kind, rejected=True, protocol=ours.protocol)
    sends = ours.direction in SENDING and theirs.direction in RECEIVING
    receives = ours.direction in RECEIVING and theirs.direction in SENDING
    codecs = _common_codecs(ours.codecs, theirs.codecs)
    if ours.kind != "data" and not codecs:
        sends = receives = False
    return replace(
        ours,
        direction=_direction(sends, receives),
        codecs=codecs,
        extensions=_common_extensions(ours.extensions, theirs.extensions),
        encodings=_encodings(ours, codecs) if sends else (),
        receive_rids=_common_rids(ours, theirs) if receives else (),
        reduced_size_rtcp=ours.reduced_size_rtcp and theirs.reduced_size_rtcp,
    )


_combine_shared = remember(_combine)


def _check_pair(ours: RTCMediaSection, theirs: RTCMediaSection) -> None:
    if theirs.kind != ours.kind or (theirs.mid != ours.mid and not theirs.rejected):
        raise RemoteSdpError(
            f"expected the {ours.kind} m-line {ours.mid!a} here, got {theirs.kind} {theirs.mid!a}", slug=MISMATCH
        )
    sends_unasked = theirs.direction in SENDING and ours.direction not in RECEIVING
    takes_unoffered = theirs.direction in RECEIVING and ours.direction not in SENDING
    if not theirs.rejected and (sends_unasked or takes_unoffered):
        raise RemoteSdpError(f"m-line {ours.mid!a}: {theirs.direction} does not answer {ours.direction}", slug=MISMATCH)


def _direction(sends: bool, receives: bool) -> MediaDirection:
    if sends and receives:
        return "sendrecv"
    return "sendonly" if sends else "recvonly" if receives else "inactive"


@remember
def _common_codecs(ours: tuple[RTCCodec, ...], theirs: tuple[RTCCodec, ...]) -> tuple[RTCCodec, ...]:
    """In the peer's order, which says what it wants most."""
    offered = {codec.payload_type: codec for codec in ours}
    found = []
    for codec in theirs:
        own = offered.get(codec.payload_type)
        if own is None or not _same_format(own, codec):
            continue
        if (own.feedback, own.rtx_payload_type) != (codec.feedback, codec.rtx_payload_type):
            repaired = own.rtx_payload_type == codec.rtx_payload_type
            feedback = tuple(kind for kind in own.feedback if kind in codec.feedback)
            own = replace(own, feedback=feedback, rtx_payload_type=own.rtx_payload_type if repaired else None)
        found.append(own)
    return shared_parts.share_codecs(tuple(check_red(found)))


def _same_format(one: RTCCodec, other: RTCCodec) -> bool:
    """Nearly always word for word; only H264 may differ in words alone."""
    if (one.name, one.clock_rate, one.parameters) == (other.name, other.clock_rate, other.parameters):
        return True
    return codec_format(one) == codec_format(other)


@remember
def _common_extensions(
    ours: tuple[RTCHeaderExtension, ...], theirs: tuple[RTCHeaderExtension, ...]
) -> tuple[RTCHeaderExtension, ...]:
    known = {(item.id, item.uri) for item in theirs}
    return shared_parts.share_extensions(tuple(item for item in ours if (item.id, item.uri) in known))


def _encodings(ours: RTCMediaSection, codecs: tuple[RTCCodec, ...]) -> tuple[RTCEncoding, ...]:
    if any(codec.rtx_payload_type is not None for codec in codecs):
        return ours.encodings
    return tuple(replace(encoding, rtx_ssrc=None) for encoding in ours.encodings)


def _common_rids(ours: RTCMediaSection, theirs: RTCMediaSection) -> tuple[str, ...]:
    sent = {encoding.rid for encoding in theirs.encodings}
    return tuple(rid for rid in ours.receive_rids if rid in sent)
