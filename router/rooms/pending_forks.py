"""Forks of a room whose peers have not answered yet: born from a check, or minted for a counter-offer.

A check costs nothing before its password is proven. Then it makes a fork, at a bounded rate per source address and per
room, up to a cap; the fork dies unless its answer comes in time. Whoever is refused here is not locked out: the answer,
which carries a token, makes the fork as well.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.errors import CapacityError, ConflictError, RateLimitedError
from router.rates import RateLimiter
from router.rooms.session import make_session_id
from router.rtc.description import RTCCandidate
from router.rtc.family import ForkOnCheck
from router.rtc.ice import Address

if TYPE_CHECKING:
    import asyncio

    from router.rooms.registry import RoomRegistry
    from router.rtc import RTCConnection

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CounterOffer:
    """A fork that the router minted for somebody, and the resource that takes its answer."""

    id: str
    """The unguessable part of the resource's URL; the session's, once it is answered."""
    ufrag: str
    identity: str


@dataclass(frozen=True, slots=True)
class _Pending:
    fork: "RTCConnection"
    timer: "asyncio.TimerHandle"
    counter_offer: CounterOffer | None = None


class PendingForks:
    """Those of one room, by user name fragment."""

    def __init__(self, origin: "RTCConnection", registry: "RoomRegistry") -> None:
        self._origin = origin
        self._registry = registry
        self._limits = registry.limits
        self._room_rate = RateLimiter(registry.limits.forks_per_s, registry.limits.fork_burst)
        self._forks: dict[str, _Pending] = {}
        self._counter_offers: dict[str, CounterOffer] = {}
        """By id."""
        origin.fork_on_check = ForkOnCheck(password=self._find_password, admit=self._admit, born=self._on_born)

    def __len__(self) -> int:
        return len(self._forks)

    def mint(self, identity: str) -> CounterOffer:
        """A fork for a counter-offer; its password is the offer's."""
        if len(self._forks) >= self._limits.max_pending_forks:
            self._refuse("too-many-pending")
            raise CapacityError("too many unanswered offers in this room", slug="too-many-pending", retry_after_s=5)
        context = self._origin.context
        minted = CounterOffer(make_session_id(), context.mint_ufrag(), identity)
        fork = self._origin.fork_as(minted.ufrag, context.offer_password)
        self._counter_offers[minted.id] = minted
        self._keep(fork, self._limits.counter_offer_timeout_s, minted)
        return minted

    def find_counter_offer(self, id_: str) -> CounterOffer | None:
        """One that waits for its answer."""
        return self._counter_offers.get(id_)

    def withdraw(self, counter_offer: CounterOffer) -> None:
        """Its peer does not want it."""
        pending = self._drop(counter_offer.ufrag)
        if pending is not None:
            self._registry.close_connection(pending.fork)

    def take(self, ufrag: str, peer_ufrag: str) -> "RTCConnection":
        """The fork that this answer is for, made now if no check has come yet.

        `peer_ufrag` is the answer's own fragment: a fork whose checks came from another one is somebody else's.
        """
        pending = self._forks.get(ufrag)
        if pending is None:
            return self._origin.fork_as(ufrag, self._origin.context.offer_password)
        if pending.fork.transport.checked_by not in (None, peer_ufrag):
            raise ConflictError("this fork was begun by another peer", slug="not-your-fork")
        self._drop(ufrag)
        return pending.fork

    def is_pending(self, ufrag: str) -> bool:
        """Whether a fork of this fragment waits for its answer."""
        return ufrag in self._forks

    def candidates_of(self, ufrag: str) -> tuple[RTCCandidate, ...]:
        """Those of the worker that a waiting fork lives on."""
        return self._forks[ufrag].fork.get_description("local").candidates

    def close(self) -> None:
        """No fork is born any more; closing the origin ends those that wait."""
        self._origin.fork_on_check = None
        for ufrag in tuple(self._forks):
            self._drop(ufrag)

    # -- from checks ---------------------------------------------------------------------------------------------

    def _find_password(self, ufrag: str) -> str | None:
        context = self._origin.context
        return context.offer_password if context.is_peer_minted(ufrag) else None

    def _admit(self, source: Address) -> bool:
        if len(self._forks) >= self._limits.max_pending_forks:
            self._refuse("too-many-pending")
            return False
        try:
            self._registry.fork_sources.take(source[0])
            self._room_rate.take("")
        except RateLimitedError:
            self._refuse("rate-limited")
            return False
        return True

    def _on_born(self, fork: "RTCConnection") -> None:
        self._keep(fork, self._limits.answer_timeout_s)

    # -- life ----------------------------------------------------------------------------------------------------

    def _keep(self, fork: "RTCConnection", timeout_s: float, counter_offer: CounterOffer | None = None) -> None:
        ufrag = fork.transport.ufrag
        timer = self._registry.call_later(timeout_s, lambda: self._on_unanswered(ufrag))
        self._forks[ufrag] = _Pending(fork, timer, counter_offer)
        fork.on("disconnected", lambda *_: self._drop(ufrag))

    def _on_unanswered(self, ufrag: str) -> None:
        pending = self._drop(ufrag)
        if pending is not None:
            self._refuse("no-answer")
            self._registry.close_connection(pending.fork)

    def _drop(self, ufrag: str) -> _Pending | None:
        pending = self._forks.pop(ufrag, None)
        if pending is not None:
            pending.timer.cancel()
            if pending.counter_offer is not None:
                del self._counter_offers[pending.counter_offer.id]
        return pending

    def _refuse(self, reason: str) -> None:
        self._registry.metrics.record_fork_refused(reason)
        logger.debug("fork refused", extra={"reason": reason})
