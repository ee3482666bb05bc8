"""Waits on state, with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable

from router import clock

POLL_S = 0.02


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 5.0) -> float:
    """Seconds until a look that began within `within_s` saw it hold."""
    started_us = clock.monotonic_us()
    while True:
        held = await holds()
        passed_s = (clock.monotonic_us() - started_us) / 1e6
        if held:
            return passed_s
        assert passed_s < within_s, "did not come to hold"
        await asyncio.sleep(POLL_S)
