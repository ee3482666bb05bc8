"""Merges questions that are under way: whoever asks for the same thing meanwhile waits for the answer that is to come.

Nothing is kept after the answer, so the next one who asks is told what is true then. An error is everybody's. Whoever
stops waiting takes nothing from the others; the question ends with the last of them, so none outlives its askers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0


class SingleFlight(Generic[T]):
    """Of one kind of question, by what it is about. Used on one event loop."""

    def __init__(self, question: Callable[[str], Awaitable[T]]) -> None:
        self._question = question
        self._flights: dict[str, _Flight[T]] = {}

    async def ask(self, about: str) -> T:
        """The answer, or what the question raised."""
        flight = self._flights.get(about)
        if flight is None:
            flight = self._flights[about] = _Flight(asyncio.get_running_loop().create_task(self._run(about)))
        flight.waiting += 1
        try:
            # Unlike awaiting the task itself, this can be cancelled without cancelling it.
            await asyncio.wait((flight.task,))
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                self._end(about, flight)
        return flight.task.result()

    async def _run(self, about: str) -> T:
        try:
            return await self._question(about)
        finally:
            # Before anybody who waits goes on: nobody may be told what was true before he asked.
            if (flight := self._flights.get(about)) is not None and flight.task is asyncio.current_task():
                del self._flights[about]

    def _end(self, about: str, flight: _Flight[T]) -> None:
        if self._flights.get(about) is flight:
            del self._flights[about]
        if not flight.task.done():
            flight.task.cancel()
        elif not flight.task.cancelled():
            flight.task.exception()  # is seen herewith, should nobody be left to be told
