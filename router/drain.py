"""Going away without throwing anybody out (threats-and-faults.md, SIGTERM drain).

A router that drains is not ready, opens no room and sends newcomers elsewhere, while the rooms that it has go on and
take people: whoever loses a connection comes back to where the others are. It is over when the last participant has
left or at the deadline. Rooms that are left close one by one before that, so that not everybody moves at once, and the
router stays for a moment to tell their people where to go.

An operator's drain can be taken back. One that a signal began cannot: whoever sent it (the kubelet, systemd) kills the
process when its own patience ends, with or without calls. A second signal ends it now, in order; see `stop_signals`.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from router import clock
from router.errors import ConflictError
from router.events.model import NodeDraining, NodeUndrained
from router.rooms.registry import DRAINED, RoomRegistry
from router.rooms.roster import write_message

logger = logging.getLogger(__name__)

DrainedBy = Literal["signal", "operator"]

TURN_S: Final = 0.5
MAX_SPREAD_US: Final = 10_000_000
"""The last part of the time, a tenth at most, in which rooms that are left close one after another."""
LINGER_US: Final = 2_000_000
"""Clients come to ask within a second (client/room.js)."""
WATCHERS_PER_TURN: Final = 50
"""So many are told in one turn of the event loop: each is a message to send."""


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """What is going on."""

    by: DrainedBy
    started_s: float
    started_us: int
    ends_us: int | None
    """None: when the last participant has left, however long that takes."""
    exits: bool
    """The process ends then; else it stays, and takes nobody."""

    def spread_from_us(self) -> float:
        """When rooms begin to close."""
        if self.ends_us is None:
            return math.inf
        return self.ends_us - min(MAX_SPREAD_US, (self.ends_us - self.started_us) // 10)


class Drain:
    """Of one router. Used on one event loop."""

    def __init__(
        self,
        registry: RoomRegistry,
        *,
        deadline_s: float,
        now_us: Callable[[], int] = clock.monotonic_us,
        now_s: Callable[[], float] = clock.wall_s,
    ) -> None:
        self.deadline_s = deadline_s
        """Unless told otherwise."""
        self.plan: DrainPlan | None = None
        self.finished = asyncio.Event()
        """The process shall end now."""
        self.on_changed: Callable[[], None] = lambda: None
        """Told when it begins or is taken back, for other nodes to know at once."""
        self._registry = registry
        self._now_us = now_us
        self._now_s = now_s
        self._to_close: int | None = None
        """Rooms that were left when they began to close."""
        self._telling: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    # -- what is asked -------------------------------------------------------------------------------------------

    def begin(self, by: DrainedBy, *, deadline_s: float | None, exits: bool = True, who: str = "") -> None:
        """Drains from now on, or otherwise than before. What a signal began can only end sooner."""
        now_us, before = self._now_us(), self.plan
        ends_us = None if deadline_s is None else now_us + int(deadline_s * 1e6)
        if before is None:
            self.plan = DrainPlan(by, self._now_s(), now_us, ends_us, exits)
            self._registry.draining = True
            self._registry.metrics.drain_active.set(1)
            self._registry.metrics.drain_started.set(self.plan.started_s)
            self._registry.events.append(NodeDraining())
        elif "signal" in (by, before.by):
            self.plan = replace(before, by="signal", ends_us=_sooner(before.ends_us, ends_us), exits=True)
        else:
            self.plan = replace(before, ends_us=ends_us, exits=exits)
        rooms = len(self._registry.rooms)
        logger.info("draining", extra={"by": who or by, "rooms": rooms, "remaining_s": self.remaining_s})
        self.on_changed()
        self._tell()
        if deadline_s == 0 and self.plan.exits:
            self.finish()
        else:
            self.turn()
        if self._task is None and not self.finished.is_set():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="Drain.run")

    def cancel(self, who: str = "") -> None:
        """Serves again; does nothing where it serves. `ConflictError` after a signal."""
        if self.plan is None:
            return
        if self.plan.by == "signal" or self.finished.is_set():
            raise ConflictError("a signal ends this process: it cannot be taken back", slug="drain-by-signal")
        self.plan = self._to_close = None
        self._registry.draining = False
        self._registry.metrics.drain_active.set(0)
        self._registry.metrics.drain_started.set(0)
        self._registry.events.append(NodeUndrained())
        logger.info("draining was taken back", extra={"by": who or "operator"})
        self.on_changed()
        self._tell()
        self._end_task()

    def finish(self) -> None:
        """Ends it now, whoever is there."""
        if not self.finished.is_set():
            logger.info("stopping; one more signal ends it at once", extra={"participants": self.participants})
            self.finished.set()

    async def close(self) -> None:
        """Stops looking. Idempotent."""
        tasks = [task for task in (self._task, self._telling) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def participants(self) -> int:
        """Of all rooms."""
        return sum(len(room.participants) for room in self._registry.rooms.values())

    @property
    def remaining_s(self) -> float | None:
        """Until the deadline, if there is one."""
        if self.plan is None or self.plan.ends_us is None:
            return None
        return max(0.0, (self.plan.ends_us - self._now_us()) / 1e6)

    def write_notice(self) -> str:
        """What clients are told, as a message of the events WebSocket."""
        remaining = self.remaining_s
        ends_in_s = None if remaining is None else round(remaining, 1)
        return write_message({"type": "draining", "draining": self.plan is not None, "ends_in_s": ends_in_s})

    # -- as time passes ------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Closes what is to be closed by now, and sees whether it is over."""
        plan, now_us = self.plan, self._now_us()
        if plan is None:
            return
        self._close_rooms(plan, now_us)
        if self._to_close and plan.ends_us is not None:
            over = now_us >= plan.ends_us + LINGER_US
        else:
            over = not self.participants
        if over and plan.exits:
            self.finish()

    def _close_rooms(self, plan: DrainPlan, now_us: int) -> None:
        begins_us = plan.spread_from_us()
        if now_us < begins_us or plan.ends_us is None:
            self._to_close = None
            return
        rooms = tuple(self._registry.rooms.values())
        if self._to_close is None:
            self._to_close = len(rooms)
        left = (plan.ends_us - now_us) / (plan.ends_us - begins_us) if now_us < plan.ends_us else 0.0
        for room in rooms[math.ceil(self._to_close * left) :]:
            self._registry.close_room(room, DRAINED)

    async def _run(self) -> None:
        while not self.finished.is_set():
            remaining = self.remaining_s
            await asyncio.sleep(TURN_S if not remaining else min(TURN_S, remaining))
            try:
                self.turn()
            except Exception:
                logger.exception("a turn of draining failed")

    def _end_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _tell(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        self._telling = asyncio.get_running_loop().create_task(self._tell_everybody(), name="Drain.tell")

    async def _tell_everybody(self) -> None:
        told = 0
        for room in tuple(self._registry.rooms.values()):
            told += room.roster.tell_watchers(self.write_notice())
            if told >= WATCHERS_PER_TURN:
                told = 0
                await asyncio.sleep(0)


def _sooner(one: int | None, other: int | None) -> int | None:
    return min((end for end in (one, other) if end is not None), default=None)
