"""What everybody's counters said at one moment: browsers, router, link and machine. Counters are cumulative."""

import asyncio
import os
from dataclasses import dataclass
from typing import Any

from loadtest import proc
from loadtest.link import Use
from loadtest.links.stage import SLOT, Stage, Watcher

Counters = dict[str, Any]
ESTIMATE = "availableOutgoingBitrate"


@dataclass(frozen=True, slots=True)
class RouterView:
    """What the router says of the watcher."""

    estimate_bps: float | None
    """Of the link, where it has one."""
    path: Counters
    """What the estimate was made of."""
    reason: str
    """Why the slot shows what it shows."""
    bitrate_bps: float
    sent: Counters
    """Cumulative counters of the video stream."""
    dropped: dict[str, int]
    """Packets by reason, cumulative."""

    @classmethod
    def parse(cls, stats: list[Counters]) -> "RouterView":
        """From the objects of `…/stats`."""
        outbound: Counters = next(
            (stat for stat in stats if stat["type"] == "outbound-rtp" and stat["mid"] == SLOT), {}
        )
        transport: Counters = next((stat for stat in stats if stat["type"] == "transport"), {})
        estimates = (stat[ESTIMATE] for stat in stats if ESTIMATE in stat)
        return cls(
            estimate_bps=next(estimates, None),
            path=transport.get("bandwidth", {}),
            reason=outbound.get("reason", ""),
            bitrate_bps=outbound.get("bitrate", 0),
            sent=outbound,
            dropped=transport.get("dropped", {}),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """One moment. What is told once (frames, gaps, the link's use) is since the reading before."""

    time_s: float
    video: Counters
    audio: Counters
    longest_gap_ms: float
    torn: int
    shown: list[tuple[int, float]]
    """Frame counters and the wall clock's milliseconds when they were shown."""
    drawn: dict[int, float]
    """The same of when they were drawn."""
    streams: list[Counters]
    """What the publisher sends."""
    router: RouterView
    down: Use
    busy_s: float
    """Of all cores together."""


def cores() -> int:
    """How many there are."""
    return os.cpu_count() or 1


async def take_reading(stage: Stage, watcher: Watcher, start_s: float) -> Reading:
    """Asks everybody at once."""
    received, sent, stats = await asyncio.gather(
        watcher.window.evaluate(f"readReceived('{SLOT}')"),
        stage.publisher.evaluate("readSent()"),
        stage.read_router(watcher.identity),
    )
    return Reading(
        time_s=asyncio.get_running_loop().time() - start_s,
        video=received["video"],
        audio=received["audio"],
        longest_gap_ms=received["longestGapMs"],
        torn=received["torn"],
        shown=[(int(counter), time_ms) for counter, time_ms in received["shown"]],
        drawn={int(counter): time_ms for counter, time_ms in sent["drawn"]},
        streams=sent["streams"],
        router=RouterView.parse(stats),
        down=watcher.link.take_use()["far"],
        busy_s=sum(proc.core_busy_s(core) for core in range(cores())),
    )
