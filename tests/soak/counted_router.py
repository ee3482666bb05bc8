"""`router serve` that prints on SIGUSR1 what it holds, as a line of JSON: counts that must return to a baseline."""

import asyncio
import gc
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from router.cli import main
from router.rtc.engine import MediaEngine

HELD = "held: "
ENGINE_COUNTS = ("transports", "producers", "slots", "speaker_groups", "tuples", "timers")


def _objects(kind: type) -> Iterator[Any]:
    # The type and not isinstance(): proxies among the objects would be asked what they stand for.
    return (found for found in gc.get_objects() if issubclass(type(found), kind))


def count_held() -> dict[str, int]:
    """By name."""
    engine = next(_objects(MediaEngine))
    workers = engine.native.counters()
    tables = {
        name: len(getattr(engine, f"_{name}"))
        for name in ("sessions", "sockets", "transports", "producers", "speakers")
    }
    return {
        "tasks": sum(not task.done() for task in _objects(asyncio.Task)),
        "threads": threading.active_count(),
        "system threads": len(list(Path("/proc/self/task").iterdir())),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        **{f"handlers of {name}": count for name, count in tables.items()},
        **{name: sum(worker[name] for worker in workers) for name in ENGINE_COUNTS},
    }


def report(_number: int, _frame: FrameType | None) -> None:
    """Tells it."""
    # The router froze what was there at its start, which hides it from `gc.get_objects`.
    gc.unfreeze()
    gc.collect()
    print(HELD + json.dumps(count_held()), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, report)
    main()
