"""The codecs the router forwards, when two are the same format, and how the engine is told.

A format key is equal for payload types whose packets may be exchanged without touching the payload: VP8; VP9 by
profile-id (RFC 9628); H264 by packetization mode and profile (RFC 6184 section 8.1, the level does not matter, with
level-asymmetry-allowed it need not); AV1 by profile; opus; RED of opus, whose blocks are renamed.
"""

import re
import zlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, cast

from router.rtc.description import NO_PARAMETERS, Kind, RTCCodec, RTCHeaderExtension, RTCMediaSection
from router.rtc.shared import remember

if TYPE_CHECKING:
    from router._engine import CodecParameters, EncodingParameters

EngineCodec = Literal["opus", "red", "vp8", "vp9", "h264", "av1", "other"]
EngineFeedback = Literal["nack", "pli", "fir", "transport-cc", "remb", "ccfb"]

SUPPORTED: dict[Kind, dict[str, int]] = {
    "audio": {"opus": 48000, "red": 48000},
    "video": {"vp8": 90000, "vp9": 90000, "h264": 90000, "av1": 90000},
    "data": {},
}
"""Lower-case codec names with their clock rates."""

_ENGINE_FEEDBACK: dict[str, EngineFeedback] = {
    "nack": "nack",
    "nack pli": "pli",
    "ccm fir": "fir",
    "transport-cc": "transport-cc",
    "goog-remb": "remb",
    "ack ccfb": "ccfb",
}
_KEPT_PARAMETERS = {
    "opus": ("minptime", "useinbandfec", "usedtx", "stereo", "sprop-stereo"),
    "red": (),
    "vp8": (),
    "vp9": ("profile-id",),
    "h264": ("level-asymmetry-allowed", "packetization-mode", "profile-level-id"),
    "av1": ("level-idx", "profile", "tier"),
}
"""What an answer repeats. The rest are limits of the offerer's decoder (max-fs, max-fr), which are not ours."""

_PROFILE_LEVEL_ID = re.compile(r"[0-9a-fA-F]{6}")
DEFAULT_PROFILE_LEVEL_ID = "42000a"
"""Baseline, level 1 (RFC 6184 section 8.1)."""
_H264_PROFILES: tuple[tuple[int, int, int, str], ...] = (
    (0x42, 0x4F, 0x40, "constrained-baseline"),
    (0x4D, 0x8F, 0x80, "constrained-baseline"),
    (0x58, 0xCF, 0xC0, "constrained-baseline"),
    (0x42, 0x4F, 0x00, "baseline"),
    (0x58, 0xCF, 0x80, "baseline"),
    (0x4D, 0xAF, 0x00, "main"),
    (0x64, 0xFF, 0x00, "high"),
    (0x64, 0xFF, 0x0C, "constrained-high"),
    (0xF4, 0xFF, 0x00, "high-444-predictive"),
)
"""profile_idc, mask and value of the constraint bits, sub-profile (RFC 6184 table 5)."""


def is_supported(kind: Kind, codec: RTCCodec) -> bool:
    """Whether the router forwards this codec in an m-line of this kind."""
    name = codec.name.lower()
    if SUPPORTED[kind].get(name) != codec.clock_rate:
        return False
    if name == "h264":
        profile = codec.parameters.get("profile-level-id", DEFAULT_PROFILE_LEVEL_ID)
        # Mode 2 is interleaved: packets of other order than the pictures.
        return bool(_PROFILE_LEVEL_ID.fullmatch(profile)) and _packetization_mode(codec) in ("0", "1")
    return True


def is_red(codec: RTCCodec) -> bool:
    """Whether it is redundant audio (RFC 2198)."""
    return codec.name.lower() == "red"


def check_red(codecs: Iterable[RTCCodec]) -> list[RTCCodec]:
    """Without RED of anything but an opus among them: its fmtp names the payload types of its blocks."""
    codecs = list(codecs)
    opus = {str(codec.payload_type) for codec in codecs if codec.name.lower() == "opus"}
    return [codec for codec in codecs if not is_red(codec) or _red_blocks(codec) <= opus]


def _red_blocks(codec: RTCCodec) -> set[str]:
    """RFC 2198 section 5: "a=fmtp:63 111/111"; without it, nobody knows."""
    return {block for key in codec.parameters for block in key.split("/")} or {""}


def accept_parameters(codec: RTCCodec) -> Mapping[str, str]:
    """The fmtp parameters of our answer."""
    kept = {key: codec.parameters[key] for key in _KEPT_PARAMETERS[codec.name.lower()] if key in codec.parameters}
    if is_red(codec):
        return codec.parameters
    if codec.name.lower() == "h264":
        kept = {"level-asymmetry-allowed": "1"} | kept
    return MappingProxyType(kept) if kept else NO_PARAMETERS


def codec_format(codec: RTCCodec) -> int:
    """The format key: 32 bits, the same on every run and node."""
    name = codec.name.lower()
    parameters = codec.parameters
    if name == "h264":
        detail = f"{_packetization_mode(codec)}/{_h264_profile(codec)}"
    elif name == "vp9":
        detail = parameters.get("profile-id", "0")
    elif name == "av1":
        detail = parameters.get("profile", "0")
    elif name in ("vp8", "opus", "red"):
        detail = ""
    else:
        fmtp = ";".join(f"{key}={parameters[key]}" for key in sorted(parameters))
        detail = f"{codec.clock_rate}/{codec.channels}/{fmtp}"
    return zlib.crc32(f"{name}/{detail}".encode("utf-8", "surrogatepass"))


def _packetization_mode(codec: RTCCodec) -> str:
    return codec.parameters.get("packetization-mode", "0")


def _h264_profile(codec: RTCCodec) -> str:
    text = codec.parameters.get("profile-level-id", DEFAULT_PROFILE_LEVEL_ID).lower()
    if not _PROFILE_LEVEL_ID.fullmatch(text):
        return text
    profile_idc, constraints = int(text[:2], 16), int(text[2:4], 16)
    for idc, mask, value, profile in _H264_PROFILES:
        if profile_idc == idc and constraints & mask == value:
            return profile
    return text[:4]


def to_engine_codecs(section: RTCMediaSection) -> list["CodecParameters"]:
    """The codecs of an answered m-line, for `Engine.add_producer` and `Engine.add_slot`. Shared: not to be changed."""
    return _to_engine_codecs(section.codecs)


@remember
def _to_engine_codecs(codecs: tuple[RTCCodec, ...]) -> list["CodecParameters"]:
    return [
        {
            "payload_type": codec.payload_type,
            "rtx_payload_type": codec.rtx_payload_type,
            "codec": _engine_codec(codec),
            "format": codec_format(codec),
            "clock_rate": codec.clock_rate,
            "feedback": [_ENGINE_FEEDBACK[kind] for kind in codec.feedback if kind in _ENGINE_FEEDBACK],
        }
        for codec in codecs
    ]


def _engine_codec(codec: RTCCodec) -> EngineCodec:
    name = codec.name.lower()
    return cast(EngineCodec, name) if name in _KEPT_PARAMETERS else "other"


def to_engine_encodings(section: RTCMediaSection) -> list["EncodingParameters"]:
    """What the *offered* m-line publishes, for `Engine.add_producer`."""
    return [
        {"rid": encoding.rid, "ssrc": encoding.ssrc, "rtx_ssrc": encoding.rtx_ssrc} for encoding in section.encodings
    ]


def extension_ids(section: RTCMediaSection, way: Literal["send", "receive"] | None = None) -> dict[str, int]:
    """URI to id of an answered m-line; with `way`, only those that we send or receive. Shared: not to be changed."""
    return _extension_ids(section.extensions, way)


@remember
def _extension_ids(
    extensions: tuple[RTCHeaderExtension, ...], way: Literal["send", "receive"] | None
) -> dict[str, int]:
    refused = {"send": "recvonly", "receive": "sendonly", None: ""}[way]
    found: dict[str, int] = {}
    for extension in extensions:
        if extension.direction not in (refused, "inactive"):
            found.setdefault(extension.uri, extension.id)
    return found


@remember
def have_common_format(some: tuple[RTCCodec, ...], others: tuple[RTCCodec, ...]) -> bool:
    """Whether packets of one of these codecs can be sent as one of those."""
    formats = {codec_format(codec) for codec in others}
    return any(codec_format(codec) in formats for codec in some)
