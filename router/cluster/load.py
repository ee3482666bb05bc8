"""How full this node is: the share of time that its busiest engine thread works, between two looks."""

from collections.abc import Callable, Sequence
from typing import Final

from router import clock

SMOOTHING: Final = 0.3
"""Weight of the latest second."""


class LoadMeter:
    """Fed with the time that each worker has been busy so far.

    >>> meter = LoadMeter(now_us=iter([0, 1_000_000]).__next__)
    >>> meter.measure([0, 0]), round(meter.measure([500_000, 100_000]), 2)
    (0.0, 0.15)
    """

    def __init__(self, *, now_us: Callable[[], int] = clock.monotonic_us) -> None:
        self._now_us = now_us
        self._last: tuple[int, Sequence[int]] | None = None
        self._load = 0.0

    def measure(self, busy_us: Sequence[int]) -> float:
        """1 is full."""
        now_us, before = self._now_us(), self._last
        self._last = now_us, tuple(busy_us)
        if before is None or now_us <= before[0] or len(before[1]) != len(busy_us) or not busy_us:
            return self._load
        span_us = now_us - before[0]
        busiest = max(later - earlier for earlier, later in zip(before[1], busy_us, strict=True)) / span_us
        self._load += SMOOTHING * (min(1.0, max(0.0, busiest)) - self._load)
        return self._load
