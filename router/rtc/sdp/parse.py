"""SDP to `RTCDescription` (RFC 8866, RFC 9429 section 5.8, RFC 8843, RFC 8839, RFC 8842).

One transport carries everything: all live m-lines must share one BUNDLE group, transport attributes come from its
tagged (first live) m-line or else from the session, RTP and RTCP are multiplexed. An m-line of port 0 is rejected
unless it says bundle-only. Refused: every profile but SAVPF, SDES keys (a=crypto), a missing fingerprint. Left out:
m-lines of other media than audio, video and application; grouping other than BUNDLE.
"""

from dataclasses import replace
from typing import cast

from router.errors import RemoteSdpError
from router.rtc.description import Kind, MediaDirection, RTCDescription, RTCMediaSection
from router.rtc.sdp import limits
from router.rtc.sdp.codecs import parse_codecs
from router.rtc.sdp.extensions import DIRECTIONS, parse_extensions
from router.rtc.sdp.grammar import Block, MediaLine, parse_number, parse_text, refuse, shown, split_blocks
from router.rtc.sdp.shapes import SOURCE_NAMES, ShapedBlock, split_shapes
from router.rtc.sdp.streams import parse_encodings, parse_msid, parse_rids, parse_sources
from router.rtc.sdp.transport import (
    parse_candidates,
    parse_credentials,
    parse_fingerprints,
    parse_options,
    parse_role,
    require_fingerprints,
)
from router.rtc.shared import shared_parts

RTP_PROTOCOL = "UDP/TLS/RTP/SAVPF"
DATA_PROTOCOL = "UDP/DTLS/SCTP"
RTP_PROTOCOLS = (RTP_PROTOCOL, "TCP/DTLS/RTP/SAVPF", "RTP/SAVPF")
"""RFC 9429 section 5.1.2; the last is how old endpoints spelled DTLS-SRTP, the fingerprint is required all the same."""
DATA_PROTOCOLS = (DATA_PROTOCOL, "TCP/DTLS/SCTP", "DTLS/SCTP")

_KINDS: dict[str, Kind] = {"audio": "audio", "video": "video", "application": "data"}


def parse(text: str) -> RTCDescription:
    """Reads a peer's offer or answer. Raises `RemoteSdpError` and nothing else, whatever the text."""
    try:
        return _parse(*split_shapes(text))
    except RemoteSdpError:
        # Whatever is wrong, its line can be named only by reading line by line.
        return _parse(*split_blocks(text))


def _parse(session: Block, blocks: list[Block]) -> RTCDescription:
    _refuse_crypto(session, *blocks)
    mids = _parse_mids(blocks)
    live = [mid for mid, block in mids.items() if not _is_rejected(block)]
    if not live:
        raise RemoteSdpError("SDP: expected an m-line that is not rejected (port 0)")
    group = _parse_bundle(session, mids, live)
    tagged = mids[group[0] if group else live[0]]
    line = _media(tagged).line
    credentials = parse_credentials(tagged) or parse_credentials(session)
    if credentials is None:
        raise refuse(line, "expected a=ice-ufrag and a=ice-pwd for this m-line or the session")
    fingerprints = parse_fingerprints(tagged) or parse_fingerprints(session)
    _require_mux(session, mids, group or live)
    media = tuple(_parse_section(mid, session, block) for mid, block in mids.items())
    _refuse_shared_ssrcs(media)
    return RTCDescription(
        ufrag=credentials[0],
        password=credentials[1],
        fingerprints=require_fingerprints(fingerprints, line),
        dtls_role=parse_role(tagged.first("setup") or session.first("setup")),
        lite=session.first("ice-lite") is not None,
        candidates=parse_candidates(tagged) or parse_candidates(session),
        end_of_candidates=any(block.first("end-of-candidates") for block in (session, tagged)),
        media=media,
        allow_mixed_extensions=_allows_mixed(session, [mids[mid] for mid in live]),
        trickle="trickle" in parse_options(session, tagged),
        bundled=bool(group),
    )


def _media(block: Block) -> MediaLine:
    assert block.media is not None, "every block but the session's has its m-line"
    return block.media


def _is_rejected(block: Block) -> bool:
    """RFC 8843 section 6: a bundle-only m-line has port 0 and is alive."""
    return _media(block).port == 0 and block.first("bundle-only") is None


def _refuse_crypto(*blocks: Block) -> None:
    for block in blocks:
        crypto = block.first("crypto")
        if crypto is not None:
            raise refuse(crypto.line, "a=crypto (SDES) is not accepted: only DTLS-SRTP")


def _parse_mids(blocks: list[Block]) -> dict[str, Block]:
    """Blocks by mid, in order. A mid may only be missing where nothing needs it."""
    live = sum(not _is_rejected(block) for block in blocks)
    found: dict[str, Block] = {}
    for index, block in enumerate(blocks):
        attribute = block.first("mid")
        if attribute is not None:
            mid = parse_text(attribute.value, attribute.line, "a mid", high=limits.MAX_MID_BYTES)
        elif live == 1 or _is_rejected(block):
            mid = str(index)
        else:
            raise refuse(_media(block).line, "expected a=mid for this m-line: all share one BUNDLE group")
        if mid in found:
            raise refuse(attribute.line if attribute else _media(block).line, f"mid {shown(mid)} is used twice")
        found[mid] = block
    return found


def _parse_bundle(session: Block, mids: dict[str, Block], live: list[str]) -> list[str]:
    """The live mids of the BUNDLE group, tagged one first; empty for a single m-line without a group."""
    for line, value in session.every("group"):
        semantics, *names = value.split() or [""]
        if semantics != "BUNDLE":
            continue
        # FFmpeg always names "0 1", also when only one m-line exists.
        alive = set(live)
        group = [name for name in dict.fromkeys(names) if name in alive]
        missing = alive.difference(group)
        if missing:
            raise refuse(line, f"expected every m-line in one BUNDLE group, {shown(min(missing))} is outside")
        return group
    if len(live) > 1:
        second = _media(mids[live[1]]).line
        raise refuse(second, "expected 'a=group:BUNDLE' with every m-line: one transport carries everything")
    return []


def _require_mux(session: Block, mids: dict[str, Block], order: list[str]) -> None:
    """RTP and RTCP share a port; bundled m-lines follow the first RTP m-line of the group (RFC 8843 section 9.3)."""
    for block in (mids[mid] for mid in order):
        media = _media(block)
        if media.media == "application":
            continue
        if not any(owner.first(name) for owner in (session, block) for name in ("rtcp-mux", "rtcp-mux-only")):
            raise refuse(media.line, "expected a=rtcp-mux for this m-line")
        return


def _allows_mixed(session: Block, live: list[Block]) -> bool:
    rtp = [block for block in live if _media(block).media != "application"]
    return session.first("extmap-allow-mixed") is not None or (
        bool(rtp) and all(block.first("extmap-allow-mixed") is not None for block in rtp)
    )


def _parse_section(mid: str, session: Block, block: Block) -> RTCMediaSection:
    shape = block.shape if isinstance(block, ShapedBlock) else None
    if shape is None or "mid" not in block.attributes or _parse_direction(block) is None:
        return _read_section(mid, session, block)
    if shape.section is None:
        shape.section = shared_parts.share_section(_read_section(mid, session, shape.block))
    return _add_sources(shape.section, block)


def _add_sources(section: RTCMediaSection, block: Block) -> RTCMediaSection:
    """The section with the peer's SSRCs and ids, or the very same for a peer that sends nothing here."""
    if section.rejected or section.kind == "data" or not any(name in block.attributes for name in SOURCE_NAMES):
        return section
    sources = parse_sources(block)
    if section.direction not in ("sendrecv", "sendonly"):
        return section
    stream_id, track_id = parse_msid(block, sources)
    encodings = parse_encodings(block, sources)
    return replace(section, encodings=encodings, stream_id=stream_id, track_id=track_id, cname=sources.cname)


def _read_section(mid: str, session: Block, block: Block) -> RTCMediaSection:
    media = _media(block)
    kind = _KINDS.get(media.media)
    if kind is None:
        raise refuse(media.line, f"expected m=audio, m=video or m=application, got {shown(media.media)}")
    usual = DATA_PROTOCOL if kind == "data" else RTP_PROTOCOL
    protocol = None if media.protocol == usual else media.protocol
    if _is_rejected(block):
        return RTCMediaSection(mid=mid, kind=kind, rejected=True, protocol=protocol)
    known = DATA_PROTOCOLS if kind == "data" else RTP_PROTOCOLS
    if media.protocol not in known:
        raise refuse(media.line, f"expected the transport {' or '.join(known)}, got {shown(media.protocol)}")
    direction = _parse_direction(block) or _parse_direction(session) or "sendrecv"
    if kind == "data":
        return RTCMediaSection(
            mid=mid, kind=kind, direction=direction, sctp_port=_parse_sctp_port(block), protocol=protocol
        )
    sends = direction in ("sendrecv", "sendonly")
    sources = parse_sources(block)
    # Firefox describes an SSRC for its receiver reports in m-lines that send nothing.
    stream_id, track_id = parse_msid(block, sources) if sends else (None, None)
    return RTCMediaSection(
        mid=mid,
        kind=kind,
        direction=direction,
        codecs=parse_codecs(block, media),
        extensions=parse_extensions(block),
        encodings=parse_encodings(block, sources) if sends else (),
        receive_rids=tuple(parse_rids(block, "recv")),
        stream_id=stream_id,
        track_id=track_id,
        cname=sources.cname if sends else None,
        protocol=protocol,
        max_bitrate_bps=_parse_bandwidth(block),
        reduced_size_rtcp=block.first("rtcp-rsize") is not None,
    )


def _parse_direction(block: Block) -> MediaDirection | None:
    for name in DIRECTIONS:
        if name in block.attributes:
            return cast(MediaDirection, name)
    return None


def _parse_sctp_port(block: Block) -> int | None:
    attribute = block.first("sctp-port")
    return None if attribute is None else parse_number(attribute.value, attribute.line, "an SCTP port", high=65535)


def _parse_bandwidth(block: Block) -> int | None:
    """b=TIAS in bit/s (RFC 3890), else b=AS in kbit/s."""
    found: dict[str, int] = {}
    for line, value in block.bandwidths:
        name, _, number = value.partition(":")
        if name in ("TIAS", "AS"):
            found[name] = parse_number(number.strip(), line, "a bandwidth", high=10**12)
    return found.get("TIAS") or found.get("AS", 0) * 1000 or None


def _refuse_shared_ssrcs(media: tuple[RTCMediaSection, ...]) -> None:
    """Two m-lines with one SSRC cannot be told apart by it."""
    seen: set[int] = set()
    for section in media:
        for encoding in section.encodings:
            for ssrc in (encoding.ssrc, encoding.rtx_ssrc):
                if ssrc is not None and ssrc in seen:
                    raise RemoteSdpError(f"SDP: SSRC {ssrc} is used twice, again by mid {shown(section.mid)}")
                if ssrc is not None:
                    seen.add(ssrc)
