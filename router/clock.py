"""The only door to a real clock in Python; everything else takes time as an argument.

`monotonic_us` counts from an arbitrary origin and never goes back: durations and deadlines. `wall_s` is civil time and
may jump: token expiry, log timestamps. The engine has its own clock (`Engine.now_us`).
"""

import time
from typing import Final

LAST_S: Final = 253_402_300_799
"""The end of the year 9999: no civil time from outside is later, for `datetime` has no value for it."""


def monotonic_us() -> int:
    """Microseconds on the monotonic clock."""
    return time.monotonic_ns() // 1000


def wall_s() -> float:
    """Seconds since the Unix epoch."""
    return time.time()  # noqa: TID251 - this file is the door
