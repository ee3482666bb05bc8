"""How many workers the engine gets, and which CPUs they are pinned to. Pure: whoever asks knows the CPUs.

The event loop stays where the kernel puts it. CPUs are taken from the end: the first ones see most interrupts.
"""

import os
from collections.abc import Sequence
from typing import Literal

from router.errors import ConfigError

MAX_WORKERS = 256


def allowed_cpus() -> tuple[int, ...]:
    """Those that this process may use (sched_getaffinity(2)), ascending."""
    return tuple(sorted(os.sched_getaffinity(0)))


def count_workers(setting: int | Literal["auto"], cpus: Sequence[int]) -> int:
    """`auto`: one for each CPU but one, which the event loop needs.

    >>> count_workers("auto", range(8)), count_workers("auto", [3]), count_workers(4, [3])
    (7, 1, 4)
    """
    return setting if setting != "auto" else min(MAX_WORKERS, max(1, len(cpus) - 1))


def choose_cpus(setting: bool | Literal["auto"], workers: int, cpus: Sequence[int]) -> tuple[int, ...]:
    """One CPU for each worker, or none: not pinned. `auto`: two workers or more that have a CPU each.

    >>> choose_cpus("auto", 2, [0, 1, 2, 3]), choose_cpus("auto", 1, [0, 1]), choose_cpus("auto", 3, [0, 1])
    ((2, 3), (), ())
    """
    enough = len(cpus) >= workers
    if setting is True and not enough:
        raise ConfigError(f"media.pin_workers is true: expected {workers} CPUs, {len(cpus)} are allowed")
    if setting is False or not enough or (setting == "auto" and workers < 2):
        return ()
    return tuple(cpus[len(cpus) - workers :])
