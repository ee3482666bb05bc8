"""Where a published track comes from: the names that clients and rosters use, and those of join tokens.

The room's own offer has an m-line for each source, so its mid says the source. In an offer of the peer's a track is
`unknown` until its publisher declares it; until then it counts as whatever its kind may be.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, cast, get_args

from router.rtc.description import Kind

Source = Literal["camera", "microphone", "screen", "screen-audio", "unknown"]
SOURCES: Final[frozenset[str]] = frozenset(get_args(Source))
SOURCE_OF_MID: Final[Mapping[str, Source]] = MappingProxyType(
    {"mic": "microphone", "cam": "camera", "scr": "screen", "snd": "screen-audio"}
)
"""Mids of the static offer."""
KIND_OF_SOURCE: Final[Mapping[Source, Kind]] = MappingProxyType(
    {"camera": "video", "microphone": "audio", "screen": "video", "screen-audio": "audio"}
)
SOURCE_OF_CLAIM: Final[Mapping[str, Source]] = MappingProxyType(
    {"camera": "camera", "microphone": "microphone", "screen_share": "screen", "screen_share_audio": "screen-audio"}
)
"""As `canPublishSources` spells them (LiveKit's names)."""
CLAIM_OF_SOURCE: Final[Mapping[Source, str]] = MappingProxyType({ours: name for name, ours in SOURCE_OF_CLAIM.items()})


def read_source(value: object) -> Source | None:
    """The value if it is one of the sources, else None."""
    return cast(Source, value) if isinstance(value, str) and value in SOURCES else None


def fits(source: Source, kind: Kind) -> bool:
    """Whether a track of this kind can come from there.

    >>> fits("camera", "video"), fits("microphone", "video"), fits("unknown", "audio")
    (True, False, True)
    """
    return KIND_OF_SOURCE.get(source, kind) == kind


def source_of_mid(mid: str, kind: Kind) -> Source:
    """What the m-line says of its source. A mid is the peer's to choose, so it counts only with the right kind.

    >>> source_of_mid("cam", "video"), source_of_mid("mic", "video"), source_of_mid("0", "video")
    ('camera', 'unknown', 'unknown')
    """
    source = SOURCE_OF_MID.get(mid, "unknown")
    return source if fits(source, kind) else "unknown"
