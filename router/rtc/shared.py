"""One copy of what descriptions have in common, and one computation of what follows from it.

A browser's offer parses to 40 KiB of codecs and extensions (measured), nearly all of it equal for every peer with that
browser. Descriptions are immutable, so living connections share the equal parts. Where the very same objects come
again, what follows from them is known without a look inside. All tables are bounded and simply start again when they
are full: peers choose what is in them.
"""

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import wraps
from operator import is_
from typing import TypeVar, TypeVarTuple

from router.rtc.description import RTCCodec, RTCDescription, RTCHeaderExtension, RTCMediaSection

MAX_SHARED = 4096
MAX_REMEMBERED = 512
Value = TypeVar("Value")
Arguments = TypeVarTuple("Arguments")


def remember(function: Callable[[*Arguments], Value]) -> Callable[[*Arguments], Value]:
    """For pure functions of immutable values that peers share: the same objects again cost one look-up.

    Objects are the same by identity, so comparing or hashing them costs nothing; equal ones are computed again. Results
    are shared, so they must not be changed.
    """
    known: dict[tuple[int, ...], tuple[object, Value]] = {}

    @wraps(function)
    def remembered(*arguments: *Arguments) -> Value:
        key = tuple(map(id, arguments))
        found = known.get(key)
        if found is None:
            if len(known) >= MAX_REMEMBERED:
                known.clear()
            # The arguments are kept too: a freed object's id would soon be another's.
            found = known[key] = (arguments, function(*arguments))
        return found[1]

    return remembered


class SharedParts:
    """A table of equal values."""

    __slots__ = ("_known", "_shared")

    def __init__(self) -> None:
        self._known: dict[Hashable, object] = {}
        self._shared: dict[int, object] = {}
        """Those of the table's values that are shared already when they come again, by identity."""

    def share(self, description: RTCDescription) -> RTCDescription:
        """The same description, made of shared parts."""
        media = tuple(map(self.share_section, description.media))
        unchanged = all(map(is_, media, description.media))
        return description if unchanged else replace(description, media=media)

    def share_section(self, section: RTCMediaSection) -> RTCMediaSection:
        """The same section, made of shared parts; itself if it is already."""
        codecs, extensions = self.share_codecs(section.codecs), self.share_extensions(section.extensions)
        if codecs is section.codecs and extensions is section.extensions:
            return section
        return replace(section, codecs=codecs, extensions=extensions)

    def share_codecs(self, codecs: tuple[RTCCodec, ...]) -> tuple[RTCCodec, ...]:
        """The one copy of these codecs."""
        if self._shared.get(id(codecs)) is codecs:
            return codecs
        keys = tuple(_codec_key(codec) for codec in codecs)
        found = self._find(keys, codecs)
        if found is codecs:
            parts = tuple(self._find(key, codec) for key, codec in zip(keys, codecs, strict=True))
            if not all(map(is_, parts, codecs)):
                found = self._known[keys] = parts
            self._shared[id(found)] = found
        return found

    def share_extensions(self, extensions: tuple[RTCHeaderExtension, ...]) -> tuple[RTCHeaderExtension, ...]:
        """The one copy of these extensions."""
        if self._shared.get(id(extensions)) is extensions:
            return extensions
        found = self._find(extensions, extensions)
        self._shared[id(found)] = found
        return found

    def _find(self, key: Hashable, value: Value) -> Value:
        if len(self._known) >= MAX_SHARED:
            self._known.clear()
            self._shared.clear()
        found = self._known.setdefault(key, value)
        assert type(found) is type(value), "keys of different kinds never meet"
        return found


shared_parts = SharedParts()
"""Those of all descriptions of this process."""


def _codec_key(codec: RTCCodec) -> Hashable:
    parameters = tuple(sorted(codec.parameters.items()))
    numbers = (codec.payload_type, codec.clock_rate, codec.channels, codec.rtx_payload_type)
    return (codec.name, numbers, parameters, codec.feedback)
