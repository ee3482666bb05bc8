"""The outer grammar of SDP (RFC 8866 section 9): lines, the session block and one block per m-line, and primitives.

Line ends may be CRLF or LF, empty lines are skipped, unknown lines and attributes are kept unread. Nothing here knows
what an attribute means. Everything is one pass over the text; every refusal names the line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from router.errors import RemoteSdpError
from router.rtc.sdp import limits

TOKEN = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+")
"""RFC 8866 token."""
VISIBLE = re.compile(r"[!-~]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PROTOCOL = re.compile(r"[A-Za-z0-9./-]{1,40}")


class Attribute(NamedTuple):
    """The value of one a= line; empty for a property attribute."""

    line: int
    value: str


class MediaLine(NamedTuple):
    """One m= line."""

    line: int
    media: str
    port: int
    protocol: str
    formats: tuple[str, ...]


@dataclass(slots=True)
class Block:
    """The session's lines, or those of one m-line."""

    media: MediaLine | None = None
    attributes: dict[str, list[Attribute]] = field(default_factory=dict)
    bandwidths: list[Attribute] = field(default_factory=list)

    def first(self, name: str) -> Attribute | None:
        """The first a= line of this name."""
        found = self.attributes.get(name)
        return found[0] if found else None

    def every(self, name: str) -> list[Attribute]:
        """All a= lines of this name, in order."""
        return self.attributes.get(name, [])


def refuse(line: int, text: str) -> RemoteSdpError:
    """The exception for something wrong on this line."""
    return RemoteSdpError(f"SDP line {line}: {text}")


def shown(text: str) -> str:
    """Peer text, safe and short enough for a message."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")


def parse_number(text: str, line: int, what: str, *, low: int = 0, high: int) -> int:
    """A decimal number. `int()` alone would take signs, underscores, other scripts and a million digits."""
    if text.isascii() and text.isdigit() and len(text) <= 20:
        value = int(text)
        if low <= value <= high:
            return value
    raise refuse(line, f"expected {what} as a number from {low} to {high}, got {shown(text)}")


def parse_text(text: str, line: int, what: str, *, pattern: re.Pattern[str] = TOKEN, high: int) -> str:
    """A word of this alphabet, not longer than `high`."""
    if len(text) > high or not pattern.fullmatch(text):
        raise refuse(line, f"expected {what} of 1 to {high} permitted characters, got {shown(text)}")
    return text


def split_blocks(text: str, *, fragment: bool = False) -> tuple[Block, list[Block]]:
    """The session block and the media blocks. A fragment (RFC 8840) needs no v= line."""
    session = Block()
    blocks: list[Block] = []
    block = session
    lines = _split_lines(text)
    if not fragment:
        first = next(lines, None)
        if first is None or first[1:] != ("v", "0"):
            raise refuse(first[0] if first else 1, "expected 'v=0' first")
    for number, kind, value in lines:
        if kind == "a":
            name, _, argument = value.partition(":")
            block.attributes.setdefault(name.strip(), []).append(Attribute(number, argument.strip()))
        elif kind == "m":
            if len(blocks) == limits.MAX_SECTIONS:
                raise refuse(number, f"expected at most {limits.MAX_SECTIONS} m-lines")
            block = Block(media=_parse_media_line(number, value))
            blocks.append(block)
        elif kind == "b":
            block.bandwidths.append(Attribute(number, value))
    return session, blocks


def split_attribute(line: str) -> tuple[str, str]:
    """Name and value of one a= line, checked as in `split_blocks`; a refusal names no line."""
    line = line.removesuffix("\r")
    _check_line(1, line)
    name, _, argument = line[2:].partition(":")
    return name.strip(), argument.strip()


def check_size(text: str) -> None:
    """Refuses a text that is too long to be looked at."""
    if len(text) > limits.MAX_SDP_BYTES or _size(text) > limits.MAX_SDP_BYTES:
        raise RemoteSdpError(f"SDP: expected at most {limits.MAX_SDP_BYTES} bytes")
    if text.count("\n") > limits.MAX_LINES:
        raise RemoteSdpError(f"SDP: expected at most {limits.MAX_LINES} lines")


def _split_lines(text: str) -> Iterator[tuple[int, str, str]]:
    check_size(text)
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.removesuffix("\r")
        if not line:
            continue
        _check_line(number, line)
        yield number, line[0], line[2:]


def _check_line(number: int, line: str) -> None:
    if _size(line) > limits.MAX_LINE_BYTES:
        raise refuse(number, f"expected at most {limits.MAX_LINE_BYTES} bytes")
    if line[1:2] != "=" or not line[0].isascii() or not line[0].isalpha():
        raise refuse(number, f"expected '<letter>=<value>', got {shown(line)}")
    if _CONTROL.search(line):
        raise refuse(number, "expected no control characters")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _parse_media_line(number: int, value: str) -> MediaLine:
    words = value.split()
    if len(words) < 4:
        raise refuse(number, f"expected 'm=<media> <port> <protocol> <formats>', got {shown(value)}")
    media, port, protocol, *formats = words
    if len(formats) > limits.MAX_FORMATS:
        raise refuse(number, f"expected at most {limits.MAX_FORMATS} formats")
    if not _PROTOCOL.fullmatch(protocol):
        raise refuse(number, f"expected a transport protocol, got {shown(protocol)}")
    return MediaLine(
        line=number,
        media=media,
        port=parse_number(port.partition("/")[0], number, "a port", high=65535),
        protocol=protocol,
        formats=tuple(formats),
    )
