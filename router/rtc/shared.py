"""One copy of what descriptions have in common.

A browser's offer parses to 40 KiB of codecs and extensions (measured), nearly all of it equal for every peer with that
browser. Descriptions are immutable, so living connections share the equal parts. The table is bounded and simply
starts again when it is full: peers choose what is in it.
"""

from collections.abc import Hashable
from dataclasses import replace
from typing import TypeVar

from router.rtc.description import RTCCodec, RTCDescription, RTCHeaderExtension, RTCMediaSection

MAX_SHARED = 4096
Value = TypeVar("Value")


class SharedParts:
    """A table of equal values."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Hashable, object] = {}

    def share(self, description: RTCDescription) -> RTCDescription:
        """The same description, made of shared parts."""
        return replace(description, media=tuple(self._share_section(section) for section in description.media))

    def _share_section(self, section: RTCMediaSection) -> RTCMediaSection:
        codec_keys = tuple(_codec_key(codec) for codec in section.codecs)
        codecs = self._find(codec_keys, section.codecs)
        if codecs is section.codecs:
            codecs = tuple(self._find(key, codec) for key, codec in zip(codec_keys, section.codecs, strict=True))
            self._known[codec_keys] = codecs
        extensions: tuple[RTCHeaderExtension, ...] = self._find(section.extensions, section.extensions)
        return replace(section, codecs=codecs, extensions=extensions)

    def _find(self, key: Hashable, value: Value) -> Value:
        if len(self._known) >= MAX_SHARED:
            self._known.clear()
        found = self._known.setdefault(key, value)
        assert type(found) is type(value), "keys of different kinds never meet"
        return found


def _codec_key(codec: RTCCodec) -> Hashable:
    parameters = tuple(sorted(codec.parameters.items()))
    numbers = (codec.payload_type, codec.clock_rate, codec.channels, codec.rtx_payload_type)
    return (codec.name, numbers, parameters, codec.feedback)
