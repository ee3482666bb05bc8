"""`trackcontributors` for what a connection sends: told when the set in a slot changes, five times a second at most.

Changes within the interval are coalesced; what is told last is always the true state. Nothing is kept or computed while
nobody listens. (For received tracks the engine does the same, `engine-rs/src/recv/contributors.rs`.)
"""

import asyncio
from typing import TYPE_CHECKING

from router.rtc.stream import RTCContributor

if TYPE_CHECKING:
    from router.rtc.connection import RTCConnection
    from router.rtc.slot import RTCSlot

INTERVAL_S = 0.2
MAX_CSRCS = 15
"""RFC 3550 section 5.1: the count has four bits."""
EVENT = "trackcontributors"


class ContributorReports:
    """The slots of one connection."""

    __slots__ = ("_connection", "_timers", "_told")

    def __init__(self, connection: "RTCConnection") -> None:
        self._connection = connection
        self._told: dict[RTCSlot, frozenset[int]] = {}
        self._timers: dict[RTCSlot, asyncio.TimerHandle] = {}

    def on_changed(self, slot: "RTCSlot") -> None:
        """What it shows may have changed: told now, or when the interval of its last report is over."""
        connection = self._connection
        if not connection.closed and connection.has_handlers(EVENT) and slot not in self._timers:
            self._tell(slot)

    def stop(self) -> None:
        """Nothing is told any more, and what is shown is nothing."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _tell(self, slot: "RTCSlot") -> None:
        contributors = contributors_of(slot)
        ids = frozenset(contributor.id for contributor in contributors)
        if ids == self._told.get(slot, frozenset()):
            return
        self._told[slot] = ids
        self._timers[slot] = asyncio.get_running_loop().call_later(INTERVAL_S, self._on_interval, slot)
        self._connection.emit(EVENT, slot, contributors)

    def _on_interval(self, slot: "RTCSlot") -> None:
        del self._timers[slot]
        self.on_changed(slot)


def contributors_of(slot: "RTCSlot") -> tuple[RTCContributor, ...]:
    """The sources in its packets: those that the shown track has itself, then that track."""
    track = slot.track
    if track is None:
        return ()
    level = None if slot.listening is None else slot.listening.speakers.level_of(track)
    own = RTCContributor(track.contributor, level, track)
    return (*track.contributors, own) if len(track.contributors) < MAX_CSRCS else track.contributors
