"""How this process keeps its memory: Python's garbage collector, and what the C library has free.

A peer is some hundred objects that stay, and the collector's habits suit short programs: it would look at the youngest
every 700 new objects, and ever again at all that libraries made at start. While 1,600 peers joined, that was a tenth
of the time, and half a second at once in the worst turn of the loop (measured once, on a busy machine). Objects without
cycles are freed at once as ever; the cycles of a peer that left wait for the next look at all, after about 1,500 more
joins or leaves.

A handshake needs 70 KiB for some seconds. glibc keeps what was freed in the midst of its heap, some 20 KiB a peer after
a wave of joins, until it is asked to give it back. Other C libraries are left alone.
"""

import asyncio
import ctypes
import gc
from typing import Final

THRESHOLDS: Final = (5_000, 10, 5)
"""New objects before the youngest are looked at; such looks before the older ones are; such looks before all are."""
TRIM_INTERVAL_S: Final = 30.0
"""Each trim takes some milliseconds of a thread that nobody waits for."""


def suit_collector() -> None:
    """Once, when everything has started: what is there now is there to stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


async def keep_trimmed(interval_s: float = TRIM_INTERVAL_S) -> None:
    """Gives free memory back to the system now and then, until cancelled."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.sleep(interval_s)
        await asyncio.to_thread(trim, 0)
