"""What an m-line sends: SSRCs and their groups (RFC 5576), msid (RFC 8830), rids (RFC 8851), simulcast (RFC 8853).

SSRCs are matched to rids by order, as Firefox and OBS mean them. Of alternatives ("a,b") the first is taken. The RTX
SSRC of a FID group need not be described by a line of its own (FFmpeg 8.1). Several SSRCs without rid or SIM group
are one encoding: the first.
"""

import re
from dataclasses import dataclass, field
from itertools import zip_longest

from router.rtc.description import RTCEncoding, RTCMediaSection
from router.rtc.sdp import limits
from router.rtc.sdp.grammar import VISIBLE, Attribute, Block, parse_number, parse_text, refuse, shown

_RID = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(slots=True)
class Sources:
    """The a=ssrc and a=ssrc-group lines of one m-line."""

    described: dict[int, None] = field(default_factory=dict)
    rtx: dict[int, int] = field(default_factory=dict)
    """Media SSRC to its RTX SSRC."""
    repair: set[int] = field(default_factory=set)
    layers: list[int] = field(default_factory=list)
    """SIM group."""
    cname: str | None = None
    msid: Attribute | None = None

    def media(self) -> list[int]:
        """SSRCs that carry media, in order."""
        return self.layers or [ssrc for ssrc in self.described | dict.fromkeys(self.rtx) if ssrc not in self.repair]


def parse_sources(block: Block) -> Sources:
    """Collects the SSRCs of an m-line."""
    sources = Sources()
    for line, value in block.every("ssrc"):
        number, _, text = value.partition(" ")
        sources.described[_parse_ssrc(number, line)] = None
        if len(sources.described) > limits.MAX_SSRCS:
            raise refuse(line, f"expected at most {limits.MAX_SSRCS} SSRCs")
        name, _, argument = text.strip().partition(":")
        if name == "cname" and sources.cname is None:
            sources.cname = parse_text(argument, line, "a CNAME", pattern=VISIBLE, high=limits.MAX_ID_BYTES)
        elif name == "msid" and sources.msid is None:
            sources.msid = Attribute(line, argument)
    for line, value in block.every("ssrc-group"):
        _add_group(sources, line, value)
    return sources


def _add_group(sources: Sources, line: int, value: str) -> None:
    semantics, *words = value.split()[: limits.MAX_SSRCS + 1] or [""]
    members = [_parse_ssrc(word, line) for word in words]
    if semantics in ("FID", "FEC-FR"):
        if len(members) != 2 or members[0] == members[1]:
            raise refuse(line, f"expected two different SSRCs in a=ssrc-group:{semantics}, got {shown(value)}")
        sources.repair.add(members[1])
        if semantics == "FID":
            sources.rtx.setdefault(members[0], members[1])
        if len(sources.repair) > limits.MAX_SSRCS:
            raise refuse(line, f"expected at most {limits.MAX_SSRCS} SSRC groups")
    elif semantics == "SIM" and not sources.layers:
        sources.layers = list(dict.fromkeys(members))[: limits.MAX_ENCODINGS]


def _parse_ssrc(text: str, line: int) -> int:
    return parse_number(text, line, "an SSRC", high=2**32 - 1)


def parse_encodings(block: Block, sources: Sources) -> tuple[RTCEncoding, ...]:
    """The encodings that an m-line sends; one without rid and SSRC if nothing is said."""
    rids = parse_rids(block, "send")
    ssrcs = sources.media()
    if not rids:
        ssrcs = ssrcs if sources.layers else ssrcs[:1]
        return tuple(RTCEncoding(ssrc=ssrc, rtx_ssrc=sources.rtx.get(ssrc)) for ssrc in ssrcs) or (RTCEncoding(),)
    encodings = []
    for (rid, paused), ssrc in zip_longest(rids.items(), ssrcs[: len(rids)]):
        rtx_ssrc = None if ssrc is None else sources.rtx.get(ssrc)
        encodings.append(RTCEncoding(rid=rid, ssrc=ssrc, rtx_ssrc=rtx_ssrc, paused=paused))
    return tuple(encodings)


def parse_rids(block: Block, direction: str) -> dict[str, bool]:
    """The rids of "send" or "recv" in order of a=simulcast, each with whether it starts paused."""
    declared: dict[str, bool] = {}
    for line, value in block.every("rid"):
        words = value.split(maxsplit=2)
        if len(words) < 2 or words[1] not in ("send", "recv"):
            raise refuse(line, f"expected 'a=rid:<id> send' or 'recv', got {shown(value)}")
        if words[1] == direction:
            declared[parse_text(words[0], line, "a rid", pattern=_RID, high=limits.MAX_RID_BYTES)] = False
            if len(declared) > limits.MAX_ENCODINGS:
                raise refuse(line, f"expected at most {limits.MAX_ENCODINGS} rids")
    simulcast = block.first("simulcast")
    if simulcast is None:
        return declared
    # RFC 8853 section 5.2: a rid without its a=rid line is left out of the list.
    listed = _parse_simulcast(simulcast).get(direction, declared)
    return {rid: paused for rid, paused in listed.items() if rid in declared}


def _parse_simulcast(attribute: Attribute) -> dict[str, dict[str, bool]]:
    line, value = attribute
    words = value.split()
    lists: dict[str, dict[str, bool]] = {}
    if len(words) not in (2, 4) or any(word not in ("send", "recv") for word in words[::2]):
        raise refuse(line, f"expected 'a=simulcast:send <rids> [recv <rids>]', got {shown(value)}")
    for direction, text in zip(words[::2], words[1::2], strict=True):
        if direction in lists:
            raise refuse(line, f"expected one list of '{direction}' in a=simulcast")
        alternatives = [stream.partition(",")[0] for stream in text.split(";")]
        rids = lists.setdefault(direction, {})
        for name in alternatives:
            rid = name.removeprefix("~")
            rids.setdefault(parse_text(rid, line, "a rid", pattern=_RID, high=limits.MAX_RID_BYTES), name != rid)
    return lists


def parse_msid(block: Block, sources: Sources) -> tuple[str | None, str | None]:
    """MediaStream and track id, from the m-line or its SSRCs; "-" is no stream."""
    attribute = block.first("msid") or sources.msid
    if attribute is None:
        return None, None
    words = attribute.value.split()[:2]
    ids = [parse_text(word, attribute.line, "an msid", pattern=VISIBLE, high=limits.MAX_ID_BYTES) for word in words]
    stream = ids[0] if ids and ids[0] != "-" else None
    return stream, ids[1] if len(ids) == 2 else None


def write_streams(section: RTCMediaSection) -> list[str]:
    """rid, simulcast, msid and SSRC attributes of an m-line, without "a="."""
    lines: list[str] = []
    if section.stream_id is not None or section.track_id is not None:
        lines.append(" ".join(filter(None, (f"msid:{section.stream_id or '-'}", section.track_id))))
    layers = [encoding for encoding in section.encodings if encoding.rid is not None]
    lines += [f"rid:{encoding.rid} send" for encoding in layers]
    lines += [f"rid:{rid} recv" for rid in section.receive_rids]
    lists = []
    if len(layers) > 1 or any(encoding.paused for encoding in layers):
        lists.append("send " + ";".join(f"{'~' if encoding.paused else ''}{encoding.rid}" for encoding in layers))
    if len(section.receive_rids) > 1:
        lists.append("recv " + ";".join(section.receive_rids))
    if lists:
        lines.append(f"simulcast:{' '.join(lists)}")
    return lines + _write_sources(section)


def _write_sources(section: RTCMediaSection) -> list[str]:
    known = [(encoding.ssrc, encoding.rtx_ssrc) for encoding in section.encodings if encoding.ssrc is not None]
    lines = []
    if len(known) > 1 and all(encoding.rid is None for encoding in section.encodings):
        lines.append("ssrc-group:SIM " + " ".join(str(ssrc) for ssrc, _ in known))
    lines += [f"ssrc-group:FID {ssrc} {rtx_ssrc}" for ssrc, rtx_ssrc in known if rtx_ssrc is not None]
    for ssrc in (ssrc for pair in known for ssrc in pair if ssrc is not None):
        lines.append(f"ssrc:{ssrc} cname:{section.cname}" if section.cname else f"ssrc:{ssrc}")
    return lines
