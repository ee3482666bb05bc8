"""`trackreport` and `streamreport`: one snapshot of the engine an interval, and only while somebody listens.

A track that is received is reported as `ProducerStats`, a slot as `SlotStats` (`_engine.pyi`): bitrate by layer,
freezes, the quality score with its model, what limits a slot. A stream's reports are those of its tracks, or, of a
stream that is sent, those of the slots that show its tracks.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from router.errors import RouterError

if TYPE_CHECKING:
    from router._engine import SlotStats, TransportStats
    from router.engine_stats import ProducerStats
    from router.rtc.connection import RTCConnection

logger = logging.getLogger(__name__)

REPORT_INTERVAL_S = 1.0


class ReportTimer:
    """Reports of one connection."""

    __slots__ = ("_connection", "_timer", "interval_s")

    def __init__(self, connection: "RTCConnection") -> None:
        self.interval_s = REPORT_INTERVAL_S
        self._connection = connection
        self._timer: asyncio.TimerHandle | None = None

    def follow_handlers(self) -> None:
        """Runs while `trackreport` or `streamreport` has a handler."""
        connection = self._connection
        wanted = connection.has_handlers("trackreport") or connection.has_handlers("streamreport")
        if wanted and self._timer is None and not connection.closed:
            self._arm()
        elif not wanted:
            self.stop()

    def stop(self) -> None:
        """No more reports."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.interval_s, self._on_timer)

    def _on_timer(self) -> None:
        self._arm()
        transport = self._connection.transport.id
        if transport is None:
            return
        try:
            found = self._connection.engine.native.transport_stats([transport])
        except RouterError as error:
            logger.debug("no report: %s", error)
            return
        if found:
            self._report(found[0])

    def _report(self, stats: "TransportStats") -> None:
        connection = self._connection
        producers = {producer["id"]: producer for producer in stats["producers"]}
        for stream in connection.get_remote_streams():
            reports: list[ProducerStats] = []
            for track in stream.tracks:
                report = producers.get(track.producer) if track.producer is not None else None
                if report is not None:
                    reports.append(report)
                    connection.emit("trackreport", track, report)
            if reports:
                connection.emit("streamreport", stream, reports)
        slots = {slot["id"]: slot for slot in stats["slots"]}
        for slot in connection.slots:
            if slot.id in slots:
                connection.emit("trackreport", slot, slots[slot.id])
        for stream in connection.get_local_streams():
            sent: list[SlotStats] = [
                slots[slot.id] for slot in connection.slots if slot.track in stream.tracks and slot.id in slots
            ]
            if sent:
                connection.emit("streamreport", stream, sent)
