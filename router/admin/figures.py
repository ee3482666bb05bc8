"""How a session, a participant and a room do, in a few numbers: what lists can show without all of `…/stats`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.rooms.quality_watch import ORDER

if TYPE_CHECKING:
    from router._engine import SlotStats, TransportStats


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one or several sessions. Bit rates are of the last second, loss is since the look before."""

    measured: int = 0
    """Sessions in these figures."""
    bitrate_in: int = 0
    bitrate_out: int = 0
    expected: int = 0
    """Packets that should have come since the look before, and how many of them did not."""
    missing: int = 0
    lost_out: float = 0.0
    """Bit rate out times the share of it that was lost, by receivers' reports."""
    round_trip_time: float | None = None
    """The longest."""
    estimate: int | None = None
    """The smallest that anybody's link carries."""
    limited: int = 0
    """Video slots that show less for want of bandwidth."""
    quality: str | None = None
    """The worst."""

    @property
    def loss_in(self) -> float | None:
        """Share of packets from publishers that were lost and not repaired."""
        return round(self.missing / self.expected, 4) if self.expected else None

    @property
    def loss_out(self) -> float | None:
        """Share of what was sent that receivers missed, before repair."""
        return round(self.lost_out / self.bitrate_out, 4) if self.bitrate_out else None


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters of a session at one look."""

    received: int
    lost: int


def read_totals(stats: "TransportStats") -> Totals:
    """Those that the next look will be compared with."""
    encodings = [encoding for producer in stats["producers"] for encoding in producer["encodings"]]
    return Totals(sum(e["packets_received"] for e in encodings), sum(e["packets_lost"] for e in encodings))


def read_figures(stats: "TransportStats", before: Totals | None) -> Figures:
    """The figures of one session."""
    now = read_totals(stats)
    before = before or now
    # A loss that was repaired after all makes the counter go back.
    missing, received = max(0, now.lost - before.lost), max(0, now.received - before.received)
    bandwidth = stats["bandwidth"]
    slots = [slot for slot in stats["slots"] if slot["producer"] is not None]
    bitrate_out = sum(slot["bitrate_bps"] for slot in stats["slots"])
    return Figures(
        measured=1,
        bitrate_in=sum(e["bitrate_bps"] for producer in stats["producers"] for e in producer["encodings"]),
        bitrate_out=bitrate_out,
        expected=missing + received,
        missing=missing,
        lost_out=bitrate_out * bandwidth["loss"] if bandwidth else _weigh_reports(slots),
        round_trip_time=stats["current_round_trip_time_s"],
        estimate=bandwidth["estimate_bps"] if bandwidth else None,
        limited=sum(slot["limited_by"] == "bandwidth" for slot in slots),
        quality=find_worst(_read_categories(stats)),
    )


def add_figures(parts: Iterable[Figures]) -> Figures:
    """The figures of several sessions together.

    >>> both = add_figures([Figures(1, 8, quality="good"), Figures(1, 2, expected=8, missing=2, quality="poor")])
    >>> both.measured, both.bitrate_in, both.loss_in, both.quality
    (2, 10, 0.25, 'poor')
    """
    found = list(parts)
    return Figures(
        measured=sum(part.measured for part in found),
        bitrate_in=sum(part.bitrate_in for part in found),
        bitrate_out=sum(part.bitrate_out for part in found),
        expected=sum(part.expected for part in found),
        missing=sum(part.missing for part in found),
        lost_out=sum(part.lost_out for part in found),
        round_trip_time=max((p.round_trip_time for p in found if p.round_trip_time is not None), default=None),
        estimate=min((part.estimate for part in found if part.estimate is not None), default=None),
        limited=sum(part.limited for part in found),
        quality=find_worst(part.quality for part in found),
    )


def rank(category: str | None) -> int:
    """How bad a quality category is; an unknown one is the least of worries."""
    return -1 if category is None else ORDER[category]


def find_worst(categories: Iterable[str | None]) -> str | None:
    """Of quality categories; None where nothing is known.

    >>> find_worst(["good", None, "lost", "fair"])
    'lost'
    """
    return max(categories, key=rank, default=None)


def _read_categories(stats: "TransportStats") -> Iterator[str]:
    for producer in stats["producers"]:
        if producer["quality"] is not None:
            yield producer["quality"]["category"]
    for slot in stats["slots"]:
        if slot["quality"] is not None:
            yield slot["quality"]["category"]


def _weigh_reports(slots: "Iterable[SlotStats]") -> float:
    return sum(slot["bitrate_bps"] * slot["fraction_lost"] for slot in slots)
