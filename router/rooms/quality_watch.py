"""Looks at how good participants' media is and tells their rooms' chronicles: a few participants each tick, in turn.

The engine judges every track and slot about every two seconds (`engine-rs/docs/quality.md`); asking it costs per peer.
So the ticks share the participants out over the interval, and never take more than `MAX_PER_TICK` of them: on a node
with very many, a round takes longer, not more.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final

from router.errors import ConnectionClosedError, EngineError
from router.rooms.chronicle import GOOD, Judgement
from router.rooms.participant import Participant
from router.rooms.registry import RoomRegistry
from router.rooms.room import Room

if TYPE_CHECKING:
    from router.engine_stats import Quality

TICK_S: Final = 0.1
MAX_PER_TICK: Final = 10
ORDER: Final = {"good": 0, "fair": 1, "poor": 2, "lost": 3}


class QualityWatch:
    """Of all rooms of one router."""

    def __init__(
        self,
        registry: RoomRegistry,
        interval_s: float,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._registry = registry
        self._interval_s = interval_s
        self._sleep = sleep
        self._round: Iterator[tuple[Room, Participant]] = iter(())
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look, unless the interval is 0."""
        if self._interval_s:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="QualityWatch.run")

    async def close(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            await self._sleep(TICK_S)
            await self.look()

    async def look(self) -> None:
        """One tick: the next few participants, from the beginning again after the last one."""
        total = sum(len(room.participants) for room in self._registry.rooms.values())
        for _ in range(min(MAX_PER_TICK, math.ceil(total * TICK_S / self._interval_s))):
            found = next(self._round, None)
            if found is None:
                self._round = self._start_round()
                return
            room, participant = found
            judgement = await judge(participant)
            if judgement is not None:
                room.chronicle.on_quality(participant, judgement)

    def _start_round(self) -> Iterator[tuple[Room, Participant]]:
        for room in tuple(self._registry.rooms.values()):
            for participant in tuple(room.participants.values()):
                yield room, participant


async def judge(participant: Participant) -> Judgement | None:
    """The worst of what its sessions send and are sent; None while nothing is known."""
    worst: Judgement | None = None
    for session in tuple(participant.sessions.values()):
        try:
            stats = await session.connection.get_stats()
        except (EngineError, ConnectionClosedError):
            continue  # it is not connected yet, or went away
        received = [_judge_one(producer["quality"], "in") for producer in stats["producers"]]
        sent = [_judge_one(slot["quality"], "out") for slot in stats["slots"]]
        for judgement in (*received, *sent):
            if judgement is not None and (worst is None or ORDER[judgement.category] > ORDER[worst.category]):
                worst = judgement
    return worst


def _judge_one(quality: "Quality | None", direction: str) -> Judgement | None:
    if quality is None:
        return None
    if quality["category"] == GOOD.category:
        return GOOD
    return Judgement(quality["category"], quality["impairment"], direction)
