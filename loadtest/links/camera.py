"""What the publisher sends: a codec, its layers, and a picture with as much noise as its encoder can use."""

from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT, FRAMES_PER_SECOND = 640, 360, 20
LAYERS: dict[str, tuple[float, int]] = {"q": (4, 150_000), "h": (2, 500_000), "f": (1, 1_600_000)}
"""By rid: how much smaller than the picture, and bits a second."""
NOT_SCALABLE = ("VP8", "H264")
"""Codecs that are sent as simulcast whether a scalability mode is named or not."""
ENCODING_SHARE = 0.8
"""Of the highest layer's bitrate: from here on the publisher is warm."""


@dataclass(frozen=True, slots=True)
class Camera:
    """One way to publish."""

    codec: str = "VP8"
    scalability: str = ""
    """A scalability mode (webrtc-svc) of one stream with several layers; none is simulcast."""
    grain: bool = True
    """Noise, for simulcast. An SVC encoder shares bitrate out by size alone: noise would starve it."""

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.codec} {self.scalability or 'simulcast'}"

    @property
    def is_noisy(self) -> bool:
        """Whether the encoder gets as much noise as it can use."""
        return self.grain and not self.scalability

    @property
    def encodings(self) -> dict[str, dict[str, Any]]:
        """Parameters by rid; "" is the only stream."""
        if self.scalability:
            return {"": {"scalabilityMode": self.scalability, "maxBitrate": LAYERS["f"][1]}}
        # Several encodings without a mode are old, non-standard SVC to some encoders.
        mode = {} if self.codec in NOT_SCALABLE else {"scalabilityMode": "L1T3"}
        return {
            rid: {"scaleResolutionDownBy": scale, "maxBitrate": bps, **mode} for rid, (scale, bps) in LAYERS.items()
        }

    @property
    def look(self) -> str:
        """The options of `installStamp`."""
        grain = "true" if self.is_noisy else "false"
        return f"{{width: {WIDTH}, height: {HEIGHT}, grain: {grain}}}"


CAMERAS = (
    Camera("VP8"),
    Camera("H264"),
    Camera("VP9"),
    Camera("AV1"),
    Camera("VP9", "L2T3_KEY"),
    Camera("VP9", "L2T3"),
    Camera("AV1", "L2T3_KEY"),
    Camera("AV1", "L2T3"),
)
