"""Every join of one router, counted, logged and, if asked for, traced: whether it worked, how long each step took,
where it failed and why.

One line of the log for each join, leave and failure. Failures before a token was verified are a stranger's doing and
cost us a line each, so these are at most some a second; all are counted.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from router import clock
from router.errors import ElsewhereError, RateLimitedError, RouterError
from router.metrics import Metrics
from router.rates import RateLimiter
from router.rooms.join_times import JoinStep, JoinTimes, current_join
from router.rooms.names import check_room_name

if TYPE_CHECKING:
    from router.rooms.session import Session

logger = logging.getLogger(__name__)

LINES_PER_S: Final = 10.0
LINE_BURST: Final = 100
EXPECTED: Final = frozenset({"no-publisher", "draining"})
"""Refusals by which a client learns when or where to try again: nobody is failed by these."""
LOST_REASONS: Final = {
    "consent-expired": "consent-expired",
    "engine-bug": "engine-bug",
    "dtls: closed by the peer": "closed-by-peer",
}
"""Slugs of the reasons for which connected peers are lost; any other is `other`."""


@dataclass(frozen=True, slots=True)
class JoinTrace:
    """A join that is over: it worked, or it failed."""

    endpoint: str
    room: str
    participant: str
    """Its public id; empty when nobody came in."""
    begun_us: int
    ended_us: int
    steps: tuple[JoinStep, ...]
    failure: tuple[str, str] | None


class Joins:
    """Of one router."""

    def __init__(self, metrics: Metrics, *, now_us: Callable[[], int] = clock.monotonic_us) -> None:
        self.on_traced: Callable[[JoinTrace], None] | None = None
        """Told each join once, when it is over."""
        self._metrics = metrics
        self._now_us = now_us
        self._lines = RateLimiter(LINES_PER_S, LINE_BURST, now_us=now_us)

    @contextmanager
    def attempt(self, endpoint: str, room: str) -> Iterator[JoinTimes]:
        """A request to join, from its arrival until it is answered or refused."""
        times = JoinTimes(self._now_us())
        token = current_join.set(times)
        try:
            yield times
        except ElsewhereError:
            raise  # sent to another node, who counts it
        except RouterError as error:
            self._refuse(times, endpoint, room, error.slug)
            raise
        except Exception:
            self._refuse(times, endpoint, room, "internal-error")
            raise
        finally:
            current_join.reset(token)

    def admitted(self, times: JoinTimes) -> None:
        """The token is good and the body here."""
        times.admitted_us = self._now_us()

    def parsed(self, times: JoinTimes) -> None:
        """The description is understood."""
        times.parsed_us = self._now_us()

    def entered(self, session: "Session") -> None:
        """The session is in its room; its peer has to connect yet."""
        session.join.entered_us = self._now_us()
        logger.info("session joined", extra=_describe(session))

    def connected(self, session: "Session") -> None:
        """Media can flow."""
        times = session.join
        times.connected_us = self._now_us()
        seconds = (times.connected_us - times.requested_us) / 1e6
        self._metrics.record_join(seconds)
        logger.info("session connected", extra={**_describe(session), "seconds": round(seconds, 4)})

    def flows(self, session: "Session", *, waited_s: float | None = None) -> None:
        """A published track's first packet came, or, with how long that was waited for, the first key frame left."""
        if waited_s is not None:
            self._metrics.first_frame.observe(waited_s)
        if session.join.packet_us is None:
            session.join.packet_us = self._now_us()
            self._trace(session)

    def ended(self, session: "Session", reason: str) -> None:
        """The session left its room. What never connected, unless it was sent away or went by itself, has failed."""
        times, seconds = session.join, (self._now_us() - session.join.requested_us) / 1e6
        if times.connected_us is None and reason in ("disconnected", "never-connected"):
            times.failure = session.connection.progress.fault()
            self._metrics.record_join_failed(*times.failure)
            stage, why = times.failure
            logger.info("join failed", extra={**_describe(session), "stage": stage, "reason": why})
        fields = {**_describe(session), "reason": reason, "seconds": round(seconds, 3)}
        logger.info("session ended", extra=fields)
        if times.packet_us is None:
            self._trace(session)

    def lost(self, session: "Session", reason: str) -> None:
        """A peer that was connected is gone, though nobody said goodbye over HTTP."""
        if session.join.connected_us is not None:
            self._metrics.record_peer_lost(LOST_REASONS.get(reason, "other"))

    def _refuse(self, times: JoinTimes, endpoint: str, room: str, reason: str) -> None:
        self._metrics.record_join_failed("admission", reason)
        fields = {"endpoint": endpoint, "room": _known_name(room), "stage": "admission", "reason": reason}
        try:
            self._lines.take("")
        except RateLimitedError:
            return
        logger.log(logging.DEBUG if reason in EXPECTED else logging.INFO, "join failed", extra=fields)
        if self.on_traced is not None:
            now_us, steps = self._now_us(), tuple(times.steps())
            failure = ("admission", reason)
            self.on_traced(JoinTrace(endpoint, fields["room"], "", times.requested_us, now_us, steps, failure))

    def _trace(self, session: "Session") -> None:
        if self.on_traced is None:
            return
        times = session.join
        steps = tuple(times.steps(session.connection.progress))
        begun_us = min((begun for _, begun, _ in steps), default=times.requested_us)
        room, participant = session.room.name, session.participant.id
        trace = JoinTrace(
            session.endpoint, room, participant, begun_us, times.packet_us or self._now_us(), steps, times.failure
        )
        self.on_traced(trace)


def _describe(session: "Session") -> dict[str, object]:
    return {"room": session.room.name, "participant": session.participant.id, "endpoint": session.endpoint}


def _known_name(room: str) -> str:
    """A stranger's room may be called anything."""
    try:
        return check_room_name(room)
    except RouterError:
        return "(no valid name)"
