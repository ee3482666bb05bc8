"""`router serve` whose event loop stands still for BLOCK_S seconds on SIGUSR1: Python signal handlers run on the main
thread, so nothing of the control plane moves meanwhile. For the test that media outlives Python."""

import os
import signal
import time
from types import FrameType

from router.cli import main

BLOCK_S = float(os.environ.get("BLOCK_S", "30"))


def block(_number: int, _frame: FrameType | None) -> None:
    """Stands still."""
    print("event loop blocked", flush=True)
    time.sleep(BLOCK_S)  # noqa: TID251 - standing still is the point
    print("event loop released", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, block)
    main()
