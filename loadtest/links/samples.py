"""Half a second of a run as figures: the difference of two readings."""

import statistics
from dataclasses import dataclass

from loadtest.links.readings import Counters, Reading, cores


@dataclass(frozen=True, slots=True)
class Sample:
    """Rates are bits a second; None where there was nothing to measure."""

    time_s: float
    """Of its end, from the start of the run."""
    capacity_bps: int | None
    carried_bps: float
    """All IP packets that the link carried to the watcher."""
    received_bps: float
    """RTP of the video, headers included, retransmissions too."""
    estimate_bps: float | None
    path: Counters
    """What the router knows of the link."""
    reason: str
    frames_per_s: float
    width: int
    height: int
    freezes: int
    freeze_s: float
    longest_gap_ms: float
    frames_dropped: int
    jitter_buffer_ms: float | None
    delay_ms: float | None
    """From the publisher's canvas to the watcher's screen, median."""
    queue_ms: float
    """The longest in the link's bottleneck."""
    lost: int
    """Packets that the link lost by chance."""
    overflowed: int
    audio_samples: int
    audio_concealed: int
    """Of those samples; silence that was made up as silence is left out."""
    publisher_limited: bool
    """By its CPU."""
    publisher_frames_per_s: float
    """Of its fastest layer."""
    idle: float
    """Share of all cores."""


def _grown(before: dict[str, float], after: dict[str, float], name: str) -> float:
    return after.get(name, 0) - before.get(name, 0)


def _jitter_buffer_ms(before: Reading, after: Reading) -> float | None:
    frames = _grown(before.video, after.video, "jitterBufferEmittedCount")
    return 1e3 * _grown(before.video, after.video, "jitterBufferDelay") / frames if frames > 0 else None


def _delay_ms(after: Reading) -> float | None:
    delays = [shown_ms - after.drawn[counter] for counter, shown_ms in after.shown if counter in after.drawn]
    return statistics.median(delays) if delays else None


def _concealed(before: Reading, after: Reading) -> int:
    concealed = _grown(before.audio, after.audio, "concealedSamples")
    return round(concealed - _grown(before.audio, after.audio, "silentConcealedSamples"))


def make_sample(before: Reading, after: Reading, capacity_bps: int | None) -> Sample:
    """What happened between the two."""
    seconds = after.time_s - before.time_s
    received = _grown(before.video, after.video, "bytesReceived")
    received += _grown(before.video, after.video, "headerBytesReceived")
    return Sample(
        time_s=round(after.time_s, 2),
        capacity_bps=capacity_bps,
        carried_bps=round(8 * after.down.bytes / seconds),
        received_bps=round(8 * received / seconds),
        estimate_bps=after.router.estimate_bps,
        path=after.router.path,
        reason=after.router.reason,
        frames_per_s=round(_grown(before.video, after.video, "framesDecoded") / seconds, 1),
        width=after.video.get("frameWidth", 0),
        height=after.video.get("frameHeight", 0),
        freezes=round(_grown(before.video, after.video, "freezeCount")),
        freeze_s=round(_grown(before.video, after.video, "totalFreezesDuration"), 3),
        longest_gap_ms=round(after.longest_gap_ms),
        frames_dropped=round(_grown(before.video, after.video, "framesDropped")),
        jitter_buffer_ms=_rounded(_jitter_buffer_ms(before, after)),
        delay_ms=_rounded(_delay_ms(after)),
        queue_ms=round(after.down.queue_us / 1e3, 1),
        lost=after.down.lost,
        overflowed=after.down.overflowed,
        audio_samples=round(_grown(before.audio, after.audio, "totalSamplesReceived")),
        audio_concealed=_concealed(before, after),
        publisher_limited=any(stream["qualityLimitationReason"] == "cpu" for stream in after.streams),
        publisher_frames_per_s=max((stream["framesPerSecond"] for stream in after.streams), default=0),
        idle=round(max(0.0, 1 - (after.busy_s - before.busy_s) / seconds / cores()), 3),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
