"""Scenarios: what is joined, sent and measured, as files in `loadtest/scenarios/` (TOML), checked when read.

A scenario is a list of steps: for each number of receivers, each load. Its kind says what the people do.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

FOLDER = Path(__file__).parent / "scenarios"
Count = Annotated[int, Field(ge=1, le=20_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class ScenarioError(Exception):
    """The file is not a scenario; the text says where and why."""


class Part(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Video(Part):
    """`steady`: equal packets in equal frames, for comparisons. `camera`: as libwebrtc sends."""

    shape: Literal["steady", "camera"] = "steady"
    codec: Literal["VP8", "H264"] = "VP8"
    bits_per_s: int = Field(2_000_000, ge=10_000, le=100_000_000)
    packet_bytes: int = Field(1100, ge=200, le=1200)
    """Of an RTP packet before SRTP; of a camera, at most."""
    frame_packets: int = Field(8, ge=1, le=60)
    """Of a steady track."""
    frames_per_s: int = Field(30, ge=1, le=120)
    """Of a camera."""

    @property
    def packets_per_s(self) -> float:
        """Of one track."""
        return self.bits_per_s / 8 / self.packet_bytes


class Audio(Part):
    """Opus, a packet each 20 ms; with DTX only while somebody speaks."""

    packet_bytes: int = Field(112, ge=64, le=1200)
    dtx: bool = False

    @property
    def packets_per_s(self) -> float:
        """Of one voice, while it speaks."""
        return 50.0


class Knee(Part):
    """The search for the highest rate: doubling from the start, then halving the interval."""

    start_packets_per_s: float = Field(20_000, gt=0)
    max_loss: float = Field(0.001, gt=0, lt=1)
    step_s: Seconds = 3.0
    halvings: int = Field(4, ge=0, le=10)
    max_packets_per_s: float = Field(2_000_000, gt=0)


class Churn(Part):
    """Receivers that come and go beside those that stay."""

    joins_per_s: float = Field(20, gt=0, le=1000)
    stay_s: Seconds = 2.0
    abort_share: float = Field(0.3, ge=0, le=1)
    """Of those who go: vanish without a word."""


class Scenario(Part):
    """One file."""

    name: str = ""
    title: str = Field(min_length=1)
    kind: Literal["fan-out", "all-to-all", "slots", "joins", "memory"] = "fan-out"
    publishers: Count = 1
    receivers: list[Count] = Field(min_length=1)
    """A step for each number. In `all-to-all` the participants; in `joins` and `memory` those who join."""
    video: Video | None = None
    audio: Audio | None = None
    slots: dict[Literal["audio", "video"], Count] = {}
    """Of kind `slots`: what each receives on one connection."""
    loads: list[Annotated[float, Field(gt=0, le=100)]] = [1.0]
    """Times the video's rate: a step for each."""
    packets_per_s: float | None = Field(None, gt=0)
    """Of all receivers together: the rate of the video is chosen so, whatever their number."""
    coalesces: bool = True
    """Receivers take a run of packets whole (GRO). Without it the kernel cuts runs on their way, in the sender's time,
    as for a card that cannot."""
    knee: Knee | None = None
    churn: Churn | None = None
    warm_up_s: Seconds = 2.0
    seconds: Seconds = 10.0
    settle_s: Seconds = 12.0
    """Until memory is read: servers free what a handshake needed some time after it."""
    parallel: int = Field(16, ge=1, le=256)
    """Joins at a time."""
    report_interval_s: Seconds = 1.0
    check_interval_s: Seconds = 5.0
    """Of consent checks (RFC 7675 section 5.1)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.video is None and self.audio is None:
            raise ValueError("neither video nor audio is sent")
        if self.kind == "slots" and not self.slots:
            raise ValueError("kind slots needs the table slots")
        if self.video is None and (self.knee or self.packets_per_s or self.loads != [1.0]):
            raise ValueError("only the rate of video can be changed")
        return self

    @property
    def tracks_per_publisher(self) -> int:
        """One of each kind that is sent."""
        return (self.video is not None) + (self.audio is not None)

    def subscriptions(self, receivers: int) -> int:
        """Tracks that are received, all receivers together."""
        if self.kind == "all-to-all":
            return receivers * (receivers - 1) * self.tracks_per_publisher
        return receivers * self.publishers * self.tracks_per_publisher


def load_scenario(name: str) -> Scenario:
    """By name, or by path of a file."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        known = ", ".join(scenario_names())
        raise ScenarioError(f"no scenario {name}; there are {known}") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: {error}") from error
    return parse_scenario(data, path.stem, str(path))


def parse_scenario(data: dict[str, object], name: str, place: str) -> Scenario:
    """Checks the contents of a file."""
    if isinstance(data.get("receivers"), int):
        data = {**data, "receivers": [data["receivers"]]}
    try:
        return Scenario.model_validate({**data, "name": name})
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, part['loc'])) or 'scenario'}: {part['msg']}" for part in error.errors())
        raise ScenarioError(f"{place}: " + "; ".join(lines)) from error


def scenario_names() -> list[str]:
    """Those in the folder."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))
