"""Looks at sessions in turn, for lists that show how all of them do, and only while somebody asks.

Asking the engine for one peer costs about 0.1 ms of the event loop. So a look visits at most `MAX_PER_LOOK` sessions,
in turns of the loop of `MAX_PER_TURN`, at most once in `MIN_GAP_US` however many ask; those that were asked for by name
come first, the others go round. On a node with very many, a round takes longer, not more.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from router import clock
from router.admin.figures import Figures, Totals, add_figures, read_figures, read_totals
from router.errors import ConnectionClosedError, EngineError
from router.rooms.registry import RoomRegistry
from router.rooms.room import Room
from router.rooms.session import Session

MAX_PER_LOOK: Final = 200
MAX_PER_TURN: Final = 10
MIN_GAP_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Look:
    figures: Figures
    totals: Totals
    at_us: int


class Survey:
    """Of all rooms of one router."""

    def __init__(self, registry: RoomRegistry, *, now_us: Callable[[], int] = clock.monotonic_us) -> None:
        self._registry = registry
        self._now_us = now_us
        self._looks: WeakKeyDictionary[Session, _Look] = WeakKeyDictionary()
        self._round: Iterator[Session] = iter(())
        self._looking = asyncio.Lock()
        self._looked_us = -MIN_GAP_US
        self._rooms: dict[str, Figures] = {}

    async def look(self, first: Iterable[Session] = ()) -> None:
        """Visits sessions: `first` those that are to be shown, as far as they were not visited lately, then others."""
        async with self._looking:
            started_us = self._now_us()
            spent = await self._visit(session for session in first if self._is_stale(session, started_us))
            if started_us - self._looked_us < MIN_GAP_US:
                return
            self._looked_us = started_us
            await self._visit(self._continue_round(started_us, MAX_PER_LOOK - spent))
            self._rooms.clear()

    def of_room(self, room: Room) -> Figures:
        """What is known of a room, added up once for all who ask between two looks."""
        found = self._rooms.get(room.name)
        if found is None:
            found = self._rooms[room.name] = self.of_sessions(room.sessions)
        return found

    def of_sessions(self, sessions: Iterable[Session]) -> Figures:
        """What is known of these, together."""
        looks = (self._looks.get(session) for session in sessions)
        return add_figures(look.figures for look in looks if look is not None)

    def _is_stale(self, session: Session, now_us: int) -> bool:
        look = self._looks.get(session)
        return look is None or now_us - look.at_us >= MIN_GAP_US

    async def _visit(self, sessions: Iterable[Session]) -> int:
        count = 0
        for session in sessions:
            if count == MAX_PER_LOOK:
                break
            await self._visit_one(session)
            count += 1
            if count % MAX_PER_TURN == 0:
                await asyncio.sleep(0)
        return count

    async def _visit_one(self, session: Session) -> None:
        before = self._looks.get(session)
        try:
            stats = await session.connection.get_stats()
        except (EngineError, ConnectionClosedError):
            self._looks.pop(session, None)
            return
        figures = read_figures(stats, before.totals if before else None)
        self._looks[session] = _Look(figures, read_totals(stats), self._now_us())

    def _continue_round(self, started_us: int, budget: int) -> Iterator[Session]:
        """The next ones, from the beginning again after the last, nobody twice."""
        restarted = False
        while budget > 0:
            session = next(self._round, None)
            if session is None:
                if restarted:
                    return
                self._round, restarted = self._start_round(), True
            elif self._is_stale(session, started_us):
                budget -= 1
                yield session

    def _start_round(self) -> Iterator[Session]:
        for room in tuple(self._registry.rooms.values()):
            yield from room.sessions
