"""Entries without a room behind them, and a reader that remembers."""

import itertools

from router.events.entry import Entry, Place, make_entry
from router.events.log import EventLog
from router.events.model import RoomStarted
from router.metrics import Metrics

_numbers = itertools.count(1)


def entry(room: str | None = "lobby", number: int | None = None) -> Entry:
    """One of a log that nobody sees."""
    number = next(_numbers) if number is None else number
    return make_entry(Place("E_0123456789abcdef", number, number, 1_000.0, "N_1", room, "R_1"), RoomStarted("", 0))


def open_log(max_entries: int = 100, **options: int) -> EventLog:
    """A log whose clock stands at 1000.25."""
    return EventLog(max_entries=max_entries, metrics=Metrics(), now_s=lambda: 1_000.25, **options)


class Reader:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.ended = 0

    def offer(self, entry: Entry) -> None:
        self.entries.append(entry)

    def end(self) -> None:
        self.ended += 1


def lost(metrics: Metrics, sink: str) -> float:
    """How many events this sink lost."""
    return metrics.registry.get_sample_value("sfu_events_lost_total", {"sink": sink}) or 0.0
