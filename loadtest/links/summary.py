"""A whole run as figures, and whether the machine was fit for it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtest.links.camera import FRAMES_PER_SECOND
from loadtest.links.readings import Counters, Reading
from loadtest.links.samples import Sample

MIN_IDLE, MIN_IDLE_HELD = 0.15, 0.03
"""Of the run, and of a half second: below, packets and frames wait for a core and not for the link."""
MAX_SATURATED = 0.1
MIN_PUBLISHED = 0.8
"""Of the frames that the publisher should send."""
SETTLED_S = 10.0
"""From here on a steady link should be used."""
REPAIR_REASONS = ("nack-budget", "nack-not-in-history", "peer-rate", "pacer-full", "pacer-stale")
"""Why the router gives a packet up, among its reasons for drops."""
NOT_ASKED_FOR = "not-asked-for"


def judge(samples: Sequence[Sample]) -> list[str]:
    """Why the run says nothing about the router; nothing for a good one."""
    reasons = []
    idle = statistics.fmean(sample.idle for sample in samples)
    if idle < MIN_IDLE:
        reasons.append(f"the machine was idle {idle:.0%} of the time")
    saturated = sum(sample.idle < MIN_IDLE_HELD for sample in samples) / len(samples)
    if saturated > MAX_SATURATED:
        reasons.append(f"the machine was saturated {saturated:.0%} of the time")
    if limited := sum(sample.publisher_limited for sample in samples):
        reasons.append(f"the publisher was limited by its CPU in {limited} of {len(samples)} samples")
    published = statistics.fmean(sample.publisher_frames_per_s for sample in samples)
    if published < MIN_PUBLISHED * FRAMES_PER_SECOND:
        reasons.append(f"the publisher sent {published:.1f} of {FRAMES_PER_SECOND} frames a second")
    return reasons


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of what the link lost, video of the watcher."""

    lost_on_link: int
    """Packets of all kinds, RTCP and retransmissions too."""
    overflowed_on_link: int
    nacks_sent: int
    """RTCP packets of the browser."""
    asked_again: int
    """Retransmissions the router was asked for, as it counts them."""
    retransmitted: int
    repaired: int
    """Retransmissions that came."""
    lost_video: int
    """Packets that did not come at first, as the browser counts them (packetsLost; repairs come in a stream apart)."""
    unrepaired: int
    given_up: dict[str, int]
    """Packets that the router did not send again or at all, by reason; and those that the browser never asked for: its
    way to give up what is before a key frame that came."""

    @classmethod
    def between(cls, first: Reading, last: Reading, samples: Sequence[Sample]) -> "Repair":
        """Over a run."""

        def grown(name: str, before: Counters, after: Counters) -> int:
            return int(after.get(name, 0)) - int(before.get(name, 0))

        sent = (first.router.sent, last.router.sent)
        video = (first.video, last.video)
        repaired, lost_video = grown("retransmittedPacketsReceived", *video), grown("packetsLost", *video)
        unrepaired, asked_again = max(0, lost_video - repaired), grown("nackCount", *sent)
        given_up = {name: grown(name, first.router.dropped, last.router.dropped) for name in REPAIR_REASONS}
        given_up[NOT_ASKED_FOR] = min(unrepaired, max(0, lost_video - asked_again))
        return cls(
            lost_on_link=sum(sample.lost for sample in samples),
            overflowed_on_link=sum(sample.overflowed for sample in samples),
            nacks_sent=grown("nackCount", *video),
            asked_again=asked_again,
            retransmitted=grown("retransmittedPacketsSent", *sent),
            repaired=repaired,
            lost_video=lost_video,
            unrepaired=unrepaired,
            given_up={name: count for name, count in given_up.items() if count},
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of the table."""

    seconds: float
    received_bps: float
    used_share: float | None
    """Of a link with a limit, from `SETTLED_S` on: what it carried of what it could."""
    estimate_bps: float | None
    """Median."""
    frames_per_s: float
    heights: dict[int, float]
    """Share of the samples at each picture height."""
    freezes: int
    freeze_s: float
    longest_gap_ms: float
    delay_ms: float | None
    """Median of the samples' medians."""
    delay_p95_ms: float | None
    queue_p95_ms: float
    queue_over_300_ms_s: float
    """The longest time with a queue longer than 300 ms."""
    audio_concealed: float
    """Share of the samples played."""
    undecoded: int
    """Frames received and neither decoded nor dropped."""
    torn: int
    idle: float
    repair: Repair
    inconclusive: list[str] = field(default_factory=list)


def _percentile(values: Sequence[float], share: float) -> float | None:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else None


def _longest_queue_s(samples: Sequence[Sample], limit_ms: float) -> float:
    longest, since = 0.0, None
    for before, sample in zip([samples[0], *samples], samples, strict=False):
        if sample.queue_ms <= limit_ms:
            since = None
            continue
        since = before.time_s if since is None else since
        longest = max(longest, sample.time_s - since)
    return round(longest, 1)


def _used_share(samples: Sequence[Sample]) -> float | None:
    settled = [sample for sample in samples if sample.time_s >= SETTLED_S and sample.capacity_bps]
    if not settled:
        return None
    return sum(sample.carried_bps for sample in settled) / sum(sample.capacity_bps or 0 for sample in settled)


def summarise(first: Reading, last: Reading, samples: Sequence[Sample]) -> Summary:
    """All samples of a run, which lie between the two readings."""
    delays = [sample.delay_ms for sample in samples if sample.delay_ms is not None]
    estimates = [sample.estimate_bps for sample in samples if sample.estimate_bps is not None]
    played = sum(sample.audio_samples for sample in samples)
    received, decoded, dropped = (
        last.video.get(name, 0) - first.video.get(name, 0)
        for name in ("framesReceived", "framesDecoded", "framesDropped")
    )
    used = _used_share(samples)
    return Summary(
        seconds=round(last.time_s - first.time_s, 1),
        received_bps=round(statistics.fmean(sample.received_bps for sample in samples)),
        used_share=None if used is None else round(used, 3),
        estimate_bps=round(statistics.median(estimates)) if estimates else None,
        frames_per_s=round(statistics.fmean(sample.frames_per_s for sample in samples), 1),
        heights={
            height: round(sum(sample.height == height for sample in samples) / len(samples), 3)
            for height in sorted({sample.height for sample in samples})
        },
        freezes=sum(sample.freezes for sample in samples),
        freeze_s=round(sum(sample.freeze_s for sample in samples), 2),
        longest_gap_ms=max(sample.longest_gap_ms for sample in samples),
        delay_ms=round(statistics.median(delays)) if delays else None,
        delay_p95_ms=_percentile(delays, 0.95),
        queue_p95_ms=_percentile([sample.queue_ms for sample in samples], 0.95) or 0.0,
        queue_over_300_ms_s=_longest_queue_s(samples, 300),
        audio_concealed=round(sum(sample.audio_concealed for sample in samples) / played, 5) if played else 0.0,
        undecoded=max(0, round(received - decoded - dropped)),
        torn=last.torn - first.torn,
        idle=round(statistics.fmean(sample.idle for sample in samples), 3),
        repair=Repair.between(first, last, samples),
        inconclusive=judge(samples),
    )
