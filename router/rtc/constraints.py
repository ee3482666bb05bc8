"""Limits on what a connection, a stream or a track may send or receive (the seed's getConstraints and setConstraints).

`RTCConstraints` is a frozen value, so a fork's copy can never leak back to its origin. `None` means "no limit".
Bitrate, size, frame rate and temporal layers act at once; codecs, header extensions and SRTP profiles act at the next
description.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal, TypeVar

from router.errors import ConfigError

ConstraintDirection = Literal["send", "receive"]
SrtpProfile = Literal["AEAD_AES_128_GCM", "AES128_CM_SHA1_80"]

SRTP_PROFILES: tuple[SrtpProfile, ...] = ("AEAD_AES_128_GCM", "AES128_CM_SHA1_80")
"""The profiles the router speaks, most wanted first."""


@dataclass(frozen=True, slots=True)
class RTCConstraints:
    """What is allowed in one direction.

    >>> room = RTCConstraints(max_bitrate_bps=2_000_000, max_height=720)
    >>> room.stricter(RTCConstraints(max_bitrate_bps=500_000)).max_bitrate_bps
    500000
    """

    codecs: tuple[str, ...] | None = None
    """Names of allowed codecs, most wanted first, compared without case; RTX follows its codec."""
    srtp_profiles: tuple[SrtpProfile, ...] | None = None
    """Allowed SRTP profiles, most wanted first. One DTLS handshake serves both directions: both must allow it."""
    extensions: tuple[str, ...] | None = None
    """URIs of allowed RTP header extensions."""
    max_bitrate_bps: int | None = None
    max_width: int | None = None
    max_height: int | None = None
    max_frame_rate: int | None = None
    max_temporal_layers: int | None = None

    def __post_init__(self) -> None:
        """Refuses limits that nothing can satisfy."""
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name.startswith("max_") and value is not None and (type(value) is not int or value <= 0):
                raise ConfigError(f"{item.name}: expected a positive whole number or None, got {value!r}")
        for name in ("codecs", "extensions", "srtp_profiles"):
            if isinstance(getattr(self, name), str):
                raise ConfigError(f"{name}: expected a tuple of names, got one string")
        if self.srtp_profiles is not None:
            unknown = [name for name in self.srtp_profiles if name not in SRTP_PROFILES]
            if unknown or not self.srtp_profiles:
                raise ConfigError(
                    f"srtp_profiles: expected some of {', '.join(SRTP_PROFILES)}, got {unknown or 'none'}"
                )

    def stricter(self, other: "RTCConstraints") -> "RTCConstraints":
        """What both allow. Order of preference is this one's, or the other's where this one has none."""
        return replace(
            self,
            codecs=_common(self.codecs, other.codecs, fold_case=True),
            extensions=_common(self.extensions, other.extensions),
            srtp_profiles=_common(self.srtp_profiles, other.srtp_profiles),
            **{
                item.name: stricter_limit(getattr(self, item.name), getattr(other, item.name))
                for item in fields(self)
                if item.name.startswith("max_")
            },
        )

    def allows_codec(self, name: str) -> bool:
        """Whether a codec of this name may be negotiated."""
        return self.codecs is None or name.lower() in {allowed.lower() for allowed in self.codecs}

    def allows_extension(self, uri: str) -> bool:
        """Whether an RTP header extension may be negotiated."""
        return self.extensions is None or uri in self.extensions


UNCONSTRAINED = RTCConstraints()
Name = TypeVar("Name", bound=str)


def stricter_limit(one: int | None, other: int | None) -> int | None:
    """The lower of two limits; None is none."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _common(
    one: tuple[Name, ...] | None, other: tuple[Name, ...] | None, *, fold_case: bool = False
) -> tuple[Name, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    wanted = {name.lower() if fold_case else name for name in other}
    return tuple(name for name in one if (name.lower() if fold_case else name) in wanted)
