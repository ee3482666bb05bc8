"""How late the event loop wakes its timers: the first sign that Python has too much to do. Media does not wait."""

import asyncio
from collections import deque
from typing import Final

from router.metrics import Metrics

INTERVAL_S: Final = 0.5
WINDOW: Final = 20  # measurements that count as recent: ten seconds


class LoopLag:
    """Measures the running loop until closed."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    @property
    def recent_s(self) -> float:
        """The worst of the last ten seconds."""
        return max(self._recent, default=0.0)

    def start(self) -> None:
        """Begins to measure."""
        self._schedule(asyncio.get_running_loop())

    def close(self) -> None:
        """Ends it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_s = loop.time() + INTERVAL_S
        self._timer = loop.call_at(self._due_s, self._measure, loop)

    def _measure(self, loop: asyncio.AbstractEventLoop) -> None:
        late = max(0.0, loop.time() - self._due_s)
        self._recent.append(late)
        self._metrics.loop_lag.observe(late)
        self._metrics.loop_lag_last.set(self.recent_s)
        self._schedule(loop)
