"""m-lines that many peers write alike, read once.

The m-lines of one browser version are the same for all its users, down to the last letter, but for a few lines that
are a peer's own: credentials, fingerprints, candidates, SSRCs, MediaStream ids. A *shape* is an m-line's text without
these. Its lines are checked and read when it is met first; after that, one look-up and the peer's own lines make the
block, and the parser keeps in the shape what follows from it alone.

Nothing can be mistaken, for the key is the whole remaining text. What is lost is the numbers of lines, so a text that
is refused is read again without shapes, for the message. The table is bounded and starts again when it is full: peers
choose what is in it.
"""

import re
from dataclasses import dataclass
from itertools import islice

from router.rtc.description import RTCMediaSection
from router.rtc.sdp import limits
from router.rtc.sdp.grammar import Attribute, Block, MediaLine, check_size, refuse, split_attribute, split_blocks

MAX_SHAPES = 512
MAX_SHAPE_CHARACTERS = 8_192
"""Of one m-line; Chromium's longest has 6,000."""
SOURCE_NAMES = ("msid", "ssrc", "ssrc-group")
OWN_NAMES = ("candidate", "fingerprint", "ice-pwd", "ice-ufrag", *SOURCE_NAMES)
_OWN_LINE = re.compile(rf"(\na=(?:{'|'.join(OWN_NAMES)}):[^\n]*)")


@dataclass(slots=True, eq=False)
class Shape:
    """What an m-line says besides the peer's own lines. Shared, so nobody changes it, but for `section`."""

    media: MediaLine
    attributes: dict[str, list[Attribute]]
    bandwidths: list[Attribute]
    section: RTCMediaSection | None = None
    """The section that follows from these lines alone, once the parser has made it."""

    @property
    def block(self) -> Block:
        """Its lines."""
        return Block(self.media, self.attributes, self.bandwidths)


@dataclass(slots=True)
class ShapedBlock(Block):
    """A block whose common lines were read before."""

    shape: Shape | None = None


_known: dict[str, Shape] = {}


def split_shapes(text: str) -> tuple[Block, list[Block]]:
    """As `split_blocks`, by the table. Line numbers mean nothing, nor does the wording of a refusal."""
    check_size(text)
    head, *sections = text.split("\nm=")
    session, stray = split_blocks(head)
    if stray or len(sections) > limits.MAX_SECTIONS:
        raise refuse(1, "expected the session's lines first, and not so many m-lines")
    read: dict[str, tuple[str, Attribute]] = {}
    return session, [_read_block("m=" + section, read) for section in sections]


def _read_block(text: str, read: dict[str, tuple[str, Attribute]]) -> Block:
    """One block; `read` has the peer's own lines that were read already, for credentials are in every m-line."""
    pieces = _OWN_LINE.split(text)
    key = "".join(pieces[::2])
    shape = _known.get(key) or _learn(key)
    attributes = shape.attributes.copy()
    for line in islice(pieces, 1, None, 2):
        name, attribute = read.get(line) or read.setdefault(line, _read_line(line))
        attributes.setdefault(name, []).append(attribute)
    return ShapedBlock(shape.media, attributes, shape.bandwidths, shape)


def _read_line(line: str) -> tuple[str, Attribute]:
    name, value = split_attribute(line[1:])
    return name, Attribute(0, value)


def _learn(key: str) -> Shape:
    _, (block,) = split_blocks("v=0\n" + key)
    if block.media is None or not block.attributes.keys().isdisjoint(OWN_NAMES):
        # Such as "a=ssrc :1", with a space: lists of one name must not be spread over shape and peer.
        raise refuse(1, "expected no unusual spelling")
    shape = Shape(block.media, block.attributes, block.bandwidths)
    if len(key) <= MAX_SHAPE_CHARACTERS:
        if len(_known) >= MAX_SHAPES:
            _known.clear()
        _known[key] = shape
    return shape
