"""An event loop whose clock jumps to the next timer: what takes a minute is over at once, and always the same."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class JumpingLoop(asyncio.SelectorEventLoop):
    """For code that waits for timers only, never for a socket."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1_000.0

    def time(self) -> float:
        """In seconds; stands still while anything is to be done."""
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined] # of the base class
            self._now = max(self._now, self._scheduled[0]._when)  # type: ignore[attr-defined] # the next timer
        super()._run_once()  # type: ignore[misc] # of the base class


def run(main: Coroutine[Any, Any, T]) -> T:
    """The result of it."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)


def now_us() -> int:
    """The running loop's time."""
    return int(asyncio.get_running_loop().time() * 1e6)
