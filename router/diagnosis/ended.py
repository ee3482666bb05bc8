"""The last state of sessions that are gone: who looks for a reason mostly comes too late.

Bounded in number and in age. Asking the engine takes the loop some microseconds a session, so when very many end at
once (a room is closed), only the first are asked, and the others keep what Python knows.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from router import clock
from router.diagnosis.collect import collect
from router.diagnosis.facts import EndFacts, PeerFacts
from router.errors import RateLimitedError
from router.rates import RateLimiter
from router.rooms.session import Session

logger = logging.getLogger(__name__)

MAX_SESSIONS: Final = 512
"""About ten kilobytes each."""
MAX_AGE_S: Final = 600.0
ASKED_PER_S: Final = 50


@dataclass(frozen=True, slots=True)
class EndedSession:
    """One that is gone."""

    room: str
    participant: str
    """Its id."""
    identity: str
    ended_us: int
    facts: PeerFacts


class EndedSessions:
    """The newest sessions that ended, of all rooms."""

    def __init__(self, *, now_us: Callable[[], int] = clock.monotonic_us, max_sessions: int = MAX_SESSIONS) -> None:
        self._now_us = now_us
        self._max_sessions = max_sessions
        self._sessions: OrderedDict[int, EndedSession] = OrderedDict()
        self._next = 0
        self._questions = RateLimiter(ASKED_PER_S, ASKED_PER_S, now_us=now_us)

    def __len__(self) -> int:
        return len(self._sessions)

    def remember(self, session: Session, reason: str) -> None:
        """Takes the state of a session whose connection is about to end. Nothing is raised."""
        try:
            facts = collect(session, read_engine=self._may_ask())
        except Exception:
            logger.exception("the state of an ended session could not be read")
            return
        participant = session.participant
        facts = replace(facts, ended=EndFacts(reason=reason, ago_s=0.0))
        self._sessions[self._next] = EndedSession(
            session.room.name, participant.id, participant.identity, self._now_us(), facts
        )
        self._next += 1
        while len(self._sessions) > self._max_sessions:
            self._sessions.popitem(last=False)

    def _may_ask(self) -> bool:
        try:
            self._questions.take("")
        except RateLimitedError:
            return False
        return True

    def find(self, room: str, participant: str | None = None) -> Iterator[EndedSession]:
        """Those of a room, or of one participant by id, newest first, with their age now."""
        self._forget_old()
        now_us = self._now_us()
        for ended in reversed(self._sessions.values()):
            if ended.room == room and participant in (None, ended.participant):
                end = ended.facts.ended
                reason = end.reason if end is not None else ""
                ago_s = round((now_us - ended.ended_us) / 1e6, 1)
                yield replace(ended, facts=replace(ended.facts, ended=EndFacts(reason=reason, ago_s=ago_s)))

    def _forget_old(self) -> None:
        oldest_us = self._now_us() - MAX_AGE_S * 1e6
        while self._sessions and next(iter(self._sessions.values())).ended_us < oldest_us:
            self._sessions.popitem(last=False)
