"""Joining by the room's static offer: each answer is a fork (design.md section 2).

Order of things: the peer's first check may come before its answer (then the fork is pending) or after it. An answer
names its fork by the whole user name fragment that the peer used: whoever knows the nonce in it is the fork's peer. No
media passes before the answer's token was verified, which whoever calls this has done, and its fingerprint matches.
A fork is answered once; an answer that cannot be used ends it, and its peer starts over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from router.errors import ConflictError, RemoteSdpError, RequestError, RouterError, UnprocessableError
from router.rooms.offers import Endpoint, admit_answer
from router.rooms.pending_forks import CounterOffer, PendingForks
from router.rooms.rights import JoinGrant
from router.rooms.static_offer import StaticOffer
from router.rtc.agreement import check_answer
from router.rtc.context import MAX_NONCE_LENGTH, NAME_LENGTH
from router.rtc.description import RTCCandidate, RTCDescription

if TYPE_CHECKING:
    from router.rooms.registry import RoomRegistry
    from router.rooms.room import Room
    from router.rooms.session import Session


MAX_VARIANTS = 16


class RoomForks:
    """The offer of one room and the forks that answer it."""

    def __init__(self, room: "Room", registry: "RoomRegistry") -> None:
        self._room = room
        self._registry = registry
        self._offer: StaticOffer | None = None
        self._variants: dict[tuple[RTCCandidate, ...], StaticOffer] = {}
        """The same offer with other candidates first."""
        self.pending = PendingForks(room.origin, registry)

    @property
    def offer(self) -> StaticOffer:
        """The same until the sockets' candidates change."""
        candidates = self._room.origin.get_candidates()
        if self._offer is None:
            self._offer = StaticOffer.make(self._room.origin, self._room.layout, candidates)
        elif self._offer.description.candidates != candidates:
            self._variants[self._offer.description.candidates] = self._offer
            self._offer = self._variants.pop(candidates, None) or self._offer.moved_to(candidates)
            if len(self._variants) > MAX_VARIANTS:
                self._variants.clear()
        return self._offer

    def make_counter_offer(self, grant: JoinGrant) -> tuple[CounterOffer, str]:
        """The offer for one peer, complete with a nonce of ours, and its text."""
        self._room.check_open(grant)
        minted = self.pending.mint(grant.identity)
        return minted, self.offer.complete(minted.ufrag, self.pending.candidates_of(minted.ufrag))

    async def answer(self, grant: JoinGrant, ufrag: str, answer: RTCDescription) -> "Session":
        """A new session of whoever the grant names, on the fork of this fragment."""
        with self._counting_refusals():
            self._check_ufrag(ufrag)
            return await self._answer(grant, ufrag, answer)

    async def answer_counter_offer(
        self, grant: JoinGrant, counter_offer: CounterOffer, answer: RTCDescription
    ) -> "Session":
        """The same for a counter-offer; the session takes its id."""
        with self._counting_refusals():
            session_id, ufrag = counter_offer.id, counter_offer.ufrag
            return await self._answer(grant, ufrag, answer, session_id=session_id)

    @contextmanager
    def _counting_refusals(self) -> Iterator[None]:
        try:
            yield
        except RouterError as error:
            self._registry.metrics.record_fork_refused(error.slug)
            raise

    async def _answer(
        self, grant: JoinGrant, ufrag: str, answer: RTCDescription, *, session_id: str | None = None
    ) -> "Session":
        room = self._room
        offer = self.offer.description
        endpoint: Endpoint = "fork" if session_id is None else "whep"
        # Before the fork is taken: whoever may not answer must not cost the fork its rightful one.
        _check_answer(offer, answer)
        admitted = admit_answer(answer, room.grants.in_force(grant))
        room.check_admission(grant, admitted, endpoint)
        fork = self.pending.take(ufrag, answer.ufrag)
        fork.set_description(offer, "local")
        return await room.enter(grant, fork, admitted, endpoint, session_id=session_id)

    def _check_ufrag(self, ufrag: str) -> None:
        context = self._room.origin.context
        if not ufrag.startswith(context.context_id):
            raise ConflictError("the answer is to an offer that is no longer the room's", slug="stale-offer")
        if not context.is_peer_minted(ufrag):
            raise RequestError(
                f"expected the offer's a=ice-ufrag and a nonce of {NAME_LENGTH} to {MAX_NONCE_LENGTH} letters and "
                "digits",
                slug="bad-nonce",
            )
        if not self.pending.is_pending(ufrag) and self._room.origin.has_peer(ufrag):
            raise ConflictError("this fork has been answered already", slug="already-answered")


def _check_answer(offer: RTCDescription, answer: RTCDescription) -> None:
    try:
        check_answer(offer, answer)
    except RemoteSdpError as error:
        raise UnprocessableError(str(error), slug=error.slug) from error
