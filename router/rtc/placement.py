"""Which worker of the engine serves a fork: the least loaded one, once its room is large enough to be spread.

Load is what was measured (the share of time a worker is busy) and, until that shows, what is expected of those who came
since. Equal loads are told apart by the number of forks, so that a burst of newcomers spreads, also on idle workers.
A fork stays where it was born. Nothing here reads a clock or asks the engine: see `router.media_sockets`.
"""

import math
from collections.abc import Iterable, Sequence

from router.errors import ConfigError

MEASURE_INTERVAL_S = 2.0
SMOOTHING_S = 4.0
"""Time constant of the moving average."""
NEWCOMER_SHARE = 0.01
"""Of a core, expected of one more fork until it is measured."""
STEP_SHARE = 0.02
"""Loads that differ by less are equal: then the number of forks decides."""
NEAR_FORKS = 8
"""A worker with so many forks more than the least loaded one is as good, when its load is."""


class WorkerLoads:
    """How busy the workers are, and how many forks each has.

    >>> loads = WorkerLoads(2)
    >>> [loads.enter(loads.least(range(2))) for _ in range(4)]
    [0, 1, 0, 1]
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ConfigError(f"workers: expected at least 1, got {workers}")
        self.forks = [0] * workers
        self.homes = [0] * workers
        """Origins that begin there, also those without forks."""
        self._busy = [0.0] * workers
        self._newcomers = [0.0] * workers
        self._last: tuple[int, tuple[int, ...]] | None = None

    def measure(self, now_us: int, busy_us: Sequence[int]) -> None:
        """Takes the time each worker has been busy so far."""
        before, self._last = self._last, (now_us, tuple(busy_us))
        if before is None or now_us <= before[0]:
            return
        span_us = now_us - before[0]
        weight = 1 - math.exp(-span_us / 1e6 / SMOOTHING_S)
        for worker, (earlier, later) in enumerate(zip(before[1], busy_us, strict=True)):
            share = min(1.0, max(0, later - earlier) / span_us)
            self._busy[worker] += weight * (share - self._busy[worker])
            self._newcomers[worker] *= 1 - weight

    def load(self, worker: int) -> float:
        """Share of a core that it needs, as far as known."""
        return self._busy[worker] + NEWCOMER_SHARE * self._newcomers[worker]

    def least(self, among: Iterable[int]) -> int:
        """The least loaded of these workers."""

        def rank(worker: int) -> tuple[int, int, int, int]:
            return (int(self.load(worker) / STEP_SHARE), self.forks[worker], self.homes[worker], worker)

        return min(among, key=rank)

    def is_near(self, worker: int, least: int) -> bool:
        """Whether a worker is hardly more loaded than the least loaded one."""
        more = self.load(worker) - self.load(least)
        return more < NEAR_FORKS * NEWCOMER_SHARE and self.forks[worker] <= self.forks[least] + NEAR_FORKS

    def enter(self, worker: int) -> int:
        """A fork is born there; gives the worker back."""
        self.forks[worker] += 1
        self._newcomers[worker] += 1
        return worker

    def leave(self, worker: int) -> None:
        """A fork is gone from there."""
        self.forks[worker] -= 1
        self._newcomers[worker] = max(0.0, self._newcomers[worker] - 1)


class Placement:
    """Where the forks of one origin live: on its first worker, and beyond a number of them on any of its workers."""

    def __init__(self, loads: WorkerLoads, workers: Sequence[int], spread_above: int | None = None) -> None:
        """`workers`: those that the origin has sockets of, the first one is its home. None: it is never spread."""
        self.workers = tuple(workers)
        self.forks = 0
        self._loads = loads
        self._spread_above = spread_above
        self._preferred = self.workers[0]
        loads.homes[self.workers[0]] += 1

    @property
    def is_spread(self) -> bool:
        """Whether the next fork may live elsewhere than at home."""
        return self._spread_above is not None and self.forks >= self._spread_above and len(self.workers) > 1

    @property
    def preferred(self) -> int:
        """Where newcomers should knock first. It changes only when another worker is clearly less loaded."""
        least = self._loads.least(self.workers) if self.is_spread else self.workers[0]
        if least != self._preferred and not (self.is_spread and self._loads.is_near(self._preferred, least)):
            self._preferred = least
        return self._preferred

    def place(self, knocked: int | None = None) -> int:
        """The worker of one more fork; `knocked` is the one where its peer's first check came.

        A check that the worker of its fork did not get is not answered, and the peer's next one, to another candidate,
        comes some 50 ms later. So a worker that is about as good as the best keeps who knocked there.
        """
        worker = self.workers[0]
        if self.is_spread:
            worker = self._loads.least(self.workers)
            if knocked in self.workers and self._loads.is_near(knocked, worker):
                worker = knocked
        self.forks += 1
        return self._loads.enter(worker)

    def leave(self, worker: int) -> None:
        """One of its forks is gone."""
        self.forks -= 1
        self._loads.leave(worker)

    def close(self) -> None:
        """The origin is gone."""
        self._loads.homes[self.workers[0]] -= 1
