"""Payload types of an m-line, read and written: rtpmap, fmtp (RFC 8866), rtcp-fb (RFC 4585) and RTX (RFC 4588).

RTX payload types are folded into the codec that their `apt` names. RED, FEC, CN and the like stay codecs like any
other; negotiation refuses them. A dynamic payload type without rtpmap is skipped.

The m-lines of a browser, and those of all browsers of one version, say the same of their codecs word for word, so what
was read is kept, in a bounded table: a description of sixteen m-lines costs hardly more than one of two.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from router.rtc.description import NO_PARAMETERS, RTCCodec
from router.rtc.sdp import limits
from router.rtc.sdp.grammar import Block, MediaLine, parse_number, parse_text, refuse, shown

STATIC = {
    0: RTCCodec("PCMU", 0, 8000),
    3: RTCCodec("GSM", 3, 8000),
    8: RTCCodec("PCMA", 8, 8000),
    9: RTCCodec("G722", 9, 8000),
    13: RTCCodec("CN", 13, 8000),
}
"""Payload types that need no rtpmap (RFC 3551 section 6)."""

_PARAMETER = re.compile(r"[ -:<-~]*")
"""Printable ASCII without ';'."""


MAX_KNOWN = 256
MAX_KNOWN_CHARACTERS = 8_192
"""Of one m-line; Chromium's longest has 3,000."""
_known: dict[tuple[str, ...], tuple[RTCCodec, ...]] = {}


def parse_codecs(block: Block, media: MediaLine) -> tuple[RTCCodec, ...]:
    """The codecs of an RTP m-line in its order of preference."""
    key = _write_key(block, media)
    found = _known.get(key)
    if found is None:
        found = _parse_codecs(block, media)
        if sum(map(len, key)) <= MAX_KNOWN_CHARACTERS:
            if len(_known) >= MAX_KNOWN:
                _known.clear()
            _known[key] = found
    return found


def _write_key(block: Block, media: MediaLine) -> tuple[str, ...]:
    """All that the codecs of an m-line follow from; a newline ends each part, for no value has one."""
    lines = ((attribute.value for attribute in block.every(name)) for name in ("rtpmap", "fmtp", "rtcp-fb"))
    return (" ".join(media.formats), *("\n".join(values) for values in lines))


def _parse_codecs(block: Block, media: MediaLine) -> tuple[RTCCodec, ...]:
    order = _parse_payload_types(media)
    mapped = _parse_rtpmaps(block, order)
    parameters = _parse_parameters(block, order)
    feedback = _parse_feedback(block, order)
    rtx = _find_rtx(mapped, parameters)
    return tuple(
        RTCCodec(
            name=codec.name,
            payload_type=payload_type,
            clock_rate=codec.clock_rate,
            channels=codec.channels,
            parameters=parameters.get(payload_type, NO_PARAMETERS),
            feedback=feedback[payload_type],
            rtx_payload_type=rtx.get(payload_type),
        )
        for payload_type, codec in ((number, mapped.get(number)) for number in order)
        if codec is not None and codec.name.lower() != "rtx"
    )


def _parse_payload_types(media: MediaLine) -> dict[int, None]:
    order: dict[int, None] = {}
    for word in media.formats:
        payload_type = parse_number(word, media.line, "a payload type", high=127)
        if payload_type in order:
            raise refuse(media.line, f"payload type {payload_type} is listed twice")
        order[payload_type] = None
    return order


def _parse_rtpmaps(block: Block, order: Mapping[int, None]) -> dict[int, RTCCodec]:
    mapped = {number: codec for number, codec in STATIC.items() if number in order}
    seen: set[int] = set()
    for line, value in block.every("rtpmap"):
        number, _, encoding = value.partition(" ")
        payload_type = parse_number(number, line, "a payload type", high=127)
        if payload_type in seen:
            raise refuse(line, f"payload type {payload_type} has two a=rtpmap lines")
        seen.add(payload_type)
        name, *rates = encoding.strip().split("/")
        if not 1 <= len(rates) <= 2:
            raise refuse(
                line, f"expected 'a=rtpmap:<payload type> <name>/<clock rate>[/<channels>]', got {shown(value)}"
            )
        clock_rate = parse_number(rates[0], line, "a clock rate", low=1, high=2**31 - 1)
        channels = parse_number(rates[1], line, "a channel count", low=1, high=255) if len(rates) == 2 else 1
        if payload_type in order:
            name = parse_text(name, line, "a codec name", high=64)
            mapped[payload_type] = RTCCodec(name, payload_type, clock_rate, channels)
    return mapped


def _parse_parameters(block: Block, order: Mapping[int, None]) -> dict[int, Mapping[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for line, value in block.every("fmtp"):
        number, _, text = value.partition(" ")
        payload_type = parse_number(number, line, "a payload type", high=127)
        if payload_type not in order:
            continue
        parameters = found.setdefault(payload_type, {})
        for item in text.split(";"):
            key, _, argument = item.strip().partition("=")
            if not key:
                continue
            if not _PARAMETER.fullmatch(item):
                raise refuse(line, f"expected printable ASCII in a=fmtp, got {shown(item)}")
            parameters[key.strip().lower()] = argument.strip()
            if len(parameters) > limits.MAX_PARAMETERS:
                raise refuse(line, f"expected at most {limits.MAX_PARAMETERS} parameters")
    return {payload_type: MappingProxyType(parameters) for payload_type, parameters in found.items() if parameters}


def _parse_feedback(block: Block, order: Mapping[int, None]) -> dict[int, tuple[str, ...]]:
    found: dict[int, dict[str, None]] = {number: {} for number in order}
    everywhere: dict[str, None] = {}
    for line, value in block.every("rtcp-fb"):
        number, *words = value.split()[:8] or [""]
        kind = " ".join(parse_text(word, line, "an a=rtcp-fb word", high=64) for word in words)
        if not kind:
            raise refuse(line, "expected 'a=rtcp-fb:<payload type or *> <kind>'")
        if number == "*":
            target: dict[str, None] | None = everywhere
        else:
            target = found.get(parse_number(number, line, "a payload type", high=127))
        if target is None:
            continue
        target[kind] = None
        if len(target) > limits.MAX_FEEDBACK:
            raise refuse(line, f"expected at most {limits.MAX_FEEDBACK} kinds of feedback")
    return {number: tuple(kinds | everywhere) for number, kinds in found.items()}


def _find_rtx(mapped: Mapping[int, RTCCodec], parameters: Mapping[int, Mapping[str, str]]) -> dict[int, int]:
    """Primary payload type to that of its RTX; the first wins."""
    found: dict[int, int] = {}
    for payload_type, codec in mapped.items():
        apt = parameters.get(payload_type, NO_PARAMETERS).get("apt", "")
        if codec.name.lower() == "rtx" and apt.isascii() and apt.isdigit() and len(apt) <= 3:
            found.setdefault(int(apt), payload_type)
    return found


def write_payload_types(codecs: Iterable[RTCCodec]) -> list[str]:
    """The formats of the m-line, each RTX beside its codec."""
    formats: list[str] = []
    for codec in codecs:
        formats.append(str(codec.payload_type))
        if codec.rtx_payload_type is not None:
            formats.append(str(codec.rtx_payload_type))
    return formats


def write_codec(codec: RTCCodec) -> list[str]:
    """The attributes of one codec and its RTX, without "a="."""
    number = codec.payload_type
    channels = f"/{codec.channels}" if codec.channels != 1 else ""
    lines = [f"rtpmap:{number} {codec.name}/{codec.clock_rate}{channels}"]
    lines += [f"rtcp-fb:{number} {kind}" for kind in codec.feedback]
    if codec.parameters:
        items = (f"{key}={value}" if value else key for key, value in codec.parameters.items())
        lines.append(f"fmtp:{number} {';'.join(items)}")
    if codec.rtx_payload_type is not None:
        lines.append(f"rtpmap:{codec.rtx_payload_type} rtx/{codec.clock_rate}")
        lines.append(f"fmtp:{codec.rtx_payload_type} apt={number}")
    return lines
