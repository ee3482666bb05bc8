"""What signals ask of a running router: SIGTERM drains it, SIGINT (Ctrl-C) stops it, and each one more is less patient.

    serving --SIGTERM--> draining --any signal--> stopping, in order --any signal--> gone
    serving --SIGINT---------------------------> stopping

An operator's drain is not counted: the first SIGTERM after it makes the drain the signal's own.
"""

import asyncio
import os
import signal
from typing import Final

from router.drain import Drain

FORCED_EXIT_CODE: Final = 130


def catch_stop_signals(drain: Drain) -> None:
    """From now on. Needs a running loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, drain)


def _on_signal(number: signal.Signals, drain: Drain) -> None:
    if drain.finished.is_set():
        os._exit(FORCED_EXIT_CODE)
    if number == signal.SIGINT or (drain.plan is not None and drain.plan.by == "signal"):
        drain.finish()
    else:
        drain.begin("signal", deadline_s=drain.deadline_s)
