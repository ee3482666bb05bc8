"""How often Python's garbage collector looks for cycles in a router with many peers.

A peer is some hundred objects that stay, and the collector's habits suit short programs: it would look at the youngest
every 700 new objects, and ever again at all that libraries made at start. With 1,600 peers that took a tenth of a
join's time, and half a second at once in the worst turn of the loop (measured). Objects without cycles are freed at
once as ever; the cycles of a peer that left wait for the next look at all, after about 1,500 more joins or leaves.
"""

import gc
from typing import Final

THRESHOLDS: Final = (5_000, 10, 5)
"""New objects before the youngest are looked at; such looks before the older ones are; such looks before all are."""


def suit_collector() -> None:
    """Once, when everything has started: what is there now is there to stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
