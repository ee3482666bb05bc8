"""RTP header extension maps (RFC 8285 section 5)."""

from typing import cast

from router.rtc.description import MediaDirection, RTCHeaderExtension
from router.rtc.sdp import limits
from router.rtc.sdp.grammar import VISIBLE, Block, parse_number, parse_text, refuse, shown

MAX_ID = 255
PLACEHOLDERS = range(4096, 4352)
"""Ids that only say "give me one" (RFC 8285 section 6); we do not number extensions for others."""
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")


def parse_extensions(block: Block) -> tuple[RTCHeaderExtension, ...]:
    """The extensions of an m-line, in order."""
    found: dict[int, RTCHeaderExtension] = {}
    for line, value in block.every("extmap"):
        words = value.split()
        if len(words) < 2:
            raise refuse(line, f"expected 'a=extmap:<id>[/<direction>] <URI>', got {shown(value)}")
        number, separator, direction = words[0].partition("/")
        if separator and direction not in DIRECTIONS:
            raise refuse(line, f"expected a direction after '/', got {shown(direction)}")
        identifier = parse_number(number, line, "an extension id", low=1, high=PLACEHOLDERS.stop - 1)
        if identifier in PLACEHOLDERS:
            continue
        if identifier > MAX_ID:
            raise refuse(line, f"expected an extension id from 1 to {MAX_ID}, got {identifier}")
        if identifier in found:
            raise refuse(line, f"extension id {identifier} is used twice")
        if len(found) == limits.MAX_EXTENSIONS:
            raise refuse(line, f"expected at most {limits.MAX_EXTENSIONS} header extensions")
        uri = parse_text(words[1], line, "an extension URI", pattern=VISIBLE, high=limits.MAX_URI_BYTES)
        found[identifier] = RTCHeaderExtension(identifier, uri, cast(MediaDirection, direction or "sendrecv"))
    return tuple(found.values())


def write_extension(extension: RTCHeaderExtension) -> str:
    """One extmap attribute, without "a="."""
    direction = "" if extension.direction == "sendrecv" else f"/{extension.direction}"
    return f"extmap:{extension.id}{direction} {extension.uri}"
