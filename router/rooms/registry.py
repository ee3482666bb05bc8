"""All rooms of one router: making them on first use, finding sessions for their owners, closing everything once."""

import asyncio
import hmac
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from router import clock
from router.errors import CapacityError, ConflictError, ForbiddenError, NotFoundError
from router.events.log import EventLog
from router.metrics import Metrics, default_metrics
from router.rates import RateLimiter
from router.rooms.joins import Joins
from router.rooms.limits import RoomLimits
from router.rooms.names import check_room_name
from router.rooms.offers import OfferingEndpoint, admit_offer
from router.rooms.options import RoomOptions
from router.rooms.pending_forks import CounterOffer
from router.rooms.remembered import RememberedRoom
from router.rooms.revocation import Revocation
from router.rooms.revocations import Revocations
from router.rooms.rights import JoinGrant
from router.rooms.room import NO_OPTIONS, Room, no_publisher
from router.rooms.session import Session
from router.rooms.static_offer import OfferLayout
from router.rtc.description import RTCDescription

if TYPE_CHECKING:
    from router.rtc import RTCConnection

logger = logging.getLogger(__name__)

MAX_RETRY_S: Final = 5
DRAINED: Final = "draining"
SHUT_DOWN: Final = "shutting-down"
"""Why rooms close whose node goes."""
OpenOrigin = Callable[[], "RTCConnection"]
"""Makes the originating connection of a new room, with the node's sockets added."""
CallLater = Callable[[float, Callable[[], object]], asyncio.TimerHandle]


class RoomRegistry:
    """Rooms by name. Used on one event loop."""

    def __init__(
        self,
        open_origin: OpenOrigin,
        *,
        limits: RoomLimits | None = None,
        layout: OfferLayout | None = None,
        create_on_first_use: bool = True,
        metrics: Metrics | None = None,
        events: EventLog | None = None,
        call_later: CallLater | None = None,
        revocations: Revocations | None = None,
    ) -> None:
        self.limits = limits or RoomLimits()
        self.layout = layout or OfferLayout()
        """Of every room's static offer."""
        self.fork_sources = RateLimiter(self.limits.forks_per_s_per_address, self.limits.fork_burst_per_address)
        """How many forks checks from one source address may make."""
        self.create_on_first_use = create_on_first_use
        self.metrics = metrics or default_metrics()
        self.joins = Joins(self.metrics)
        self.events = events or EventLog(metrics=self.metrics)
        """What happens here, for operators and webhooks."""
        self.on_rooms_changed: Callable[[], None] | None = None
        """Told after a room was opened or closed, and after what is remembered of one changed."""
        self.on_session_ending: Callable[[Session, str], None] | None = None
        """Told of a session and why, while its connection is still there."""
        self.revocations = Revocations() if revocations is None else revocations  # an empty one is false
        """Tokens that are refused; the same that whoever verifies them asks."""
        self.revocations.listen(self._on_revoked)
        self.left_behind: set[str] = set()
        """Names of rooms that closed because the router goes, until the store was told: they are to be remembered."""
        self.draining = False
        self.closed = False
        self._open_origin = open_origin
        self._call_later = call_later
        self._rooms: dict[str, Room] = {}
        self._sessions: dict[str, Session] = {}
        self._ended: OrderedDict[str, tuple[str, str]] = OrderedDict()
        """Room and identity of sessions that ended, oldest first."""
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def session_count(self) -> int:
        """Sessions of all rooms."""
        return len(self._sessions)

    @property
    def rooms(self) -> Mapping[str, Room]:
        """Open rooms by name, in order of creation."""
        return MappingProxyType(self._rooms)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """The loop's timer, unless another was given."""
        return (self._call_later or asyncio.get_running_loop().call_later)(delay_s, callback)

    def check_draining(self) -> None:
        """Refuses new rooms while the router goes away."""
        if self.draining:
            raise CapacityError("the router is draining", slug="draining", retry_after_s=choose_retry_s())
        self.check_closed()

    def check_closed(self) -> None:
        """Refuses newcomers, also of rooms that are open, once everything ends."""
        if self.closed:
            raise CapacityError("the router is shutting down", slug=SHUT_DOWN, retry_after_s=choose_retry_s())

    # -- rooms ---------------------------------------------------------------------------------------------------

    def get_room(self, name: str) -> Room:
        """An open room."""
        room = self._rooms.get(check_room_name(name))
        if room is None:
            raise NotFoundError("no such room", slug="unknown-room")
        return room

    def create_room(self, name: str, options: RoomOptions = NO_OPTIONS) -> Room:
        """A new room, which closes by itself if nobody comes."""
        check_room_name(name)
        self.check_draining()
        if name in self._rooms:
            raise ConflictError("a room of this name is open", slug="room-exists")
        if len(self._rooms) >= self.limits.max_rooms:
            raise CapacityError("the router has no place for another room", slug="too-many-rooms", retry_after_s=30)
        room = self._rooms[name] = Room(name, self, self._open_origin(), options)
        self.left_behind.discard(name)
        room.chronicle.on_started(options, self.limits)
        logger.info("room created", extra={"room": name})
        self.tell_rooms_changed()
        return room

    def find_or_create_room(self, name: str, options: RoomOptions) -> tuple[Room, bool]:
        """The open room of this name, whatever its options, or a new one; and whether it is new.

        What makes its static offer must be as asked for: it cannot change.
        """
        room = self._rooms.get(check_room_name(name))
        if room is None:
            return self.create_room(name, options), True
        if options.arrange(room.layout) != room.layout:
            raise ConflictError("a room of this name is open with other slots or codecs", slug="room-exists")
        return room, False

    def open_room(self, name: str, remembered: RememberedRoom | None = None) -> Room:
        """The room. One that is not open is created now: as it was, if its node died and this is `remembered` of it;
        else if the setting allows it."""
        if check_room_name(name) not in self._rooms:
            if remembered is not None:
                return self._reopen(name, remembered)
            if self.create_on_first_use:
                return self.create_room(name)
        return self.get_room(name)

    def _reopen(self, name: str, remembered: RememberedRoom) -> Room:
        room = self.create_room(name, remembered.options)
        if remembered.inside is not None:
            room.moderation.recall_lock(remembered.inside)
        return room

    async def join(
        self,
        room_name: str,
        grant: JoinGrant,
        offer: RTCDescription,
        endpoint: OfferingEndpoint,
        remembered: RememberedRoom | None = None,
    ) -> Session:
        """Joins a room by an offer; see `open_room` and `Room.join`. An offer that must be refused opens no room."""
        grant.check_room(room_name)
        room = self._rooms.get(room_name)
        admitted = admit_offer(offer, room.grants.in_force(grant) if room else grant, endpoint)
        if check_room_name(room_name) not in self._rooms and self.create_on_first_use and not admitted.tracks:
            raise no_publisher()
        return await self.open_room(room_name, remembered).join(grant, offer, endpoint)

    def close_room(self, room: Room, reason: str = "room-closed") -> asyncio.Task[None]:
        """Empties the room at once; the task closes its connections, the origin last. Idempotent."""
        if room.closing is None:
            sessions = room.detach(reason)
            if self._rooms.get(room.name) is room:
                del self._rooms[room.name]
                if reason in (DRAINED, SHUT_DOWN):
                    self.left_behind.add(room.name)
            room.chronicle.on_finished(reason, clock.wall_s() - room.created_s)
            room.closing = self._track(self._close_origin(room, sessions))
            logger.info("room closed", extra={"room": room.name, "reason": reason})
            self.tell_rooms_changed()
        return room.closing

    def tell_rooms_changed(self) -> None:
        """For `Room`: something of it changed that other nodes should know soon."""
        if self.on_rooms_changed is not None:
            self.on_rooms_changed()

    async def _close_origin(self, room: Room, sessions: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*sessions, return_exceptions=True)
        await room.origin.close()

    def _on_revoked(self, revocation: Revocation) -> None:
        rooms = tuple(self._rooms.values())
        for room in rooms:
            if revocation.room in ("", room.name):
                room.grants.on_revoked(revocation)

    # -- sessions ------------------------------------------------------------------------------------------------

    def find_session(self, room_name: str, session_id: str, identity: str) -> Session:
        """A living session, for its owner only."""
        session = self._sessions.get(session_id)
        if session is None or session.room.name != room_name:
            raise NotFoundError("no such session", slug="unknown-session")
        if not _same(session.participant.identity, identity):
            raise ForbiddenError("the session belongs to somebody else", slug="not-your-session")
        return session

    def find_counter_offer(self, room_name: str, id_: str, identity: str) -> CounterOffer | None:
        """One that waits for the answer of this identity; `ForbiddenError` if it waits for another's."""
        room = self._rooms.get(room_name)
        found = room.forks.pending.find_counter_offer(id_) if room else None
        if found is not None and not _same(found.identity, identity):
            raise ForbiddenError("the session belongs to somebody else", slug="not-your-session")
        return found

    async def end_session(self, room_name: str, session_id: str, identity: str, reason: str = "left") -> None:
        """Ends the session of its owner; a session that ended before is no error, one that never was is."""
        owner = self._ended.get(session_id)
        if owner is not None and owner[0] == room_name:
            if not _same(owner[1], identity):
                raise ForbiddenError("the session belongs to somebody else", slug="not-your-session")
            return
        session = self.find_session(room_name, session_id, identity)
        await asyncio.shield(session.room.end_session(session, reason))

    def add_session(self, session: Session) -> None:
        """For `Room`."""
        self._sessions[session.id] = session
        self.metrics.record_session_started(session.endpoint)

    def remove_session(self, session: Session, reason: str) -> None:
        """For `Room`."""
        if self._sessions.pop(session.id, None) is None:
            return
        self._ended[session.id] = (session.room.name, session.participant.identity)
        while len(self._ended) > self.limits.max_ended_sessions:
            self._ended.popitem(last=False)
        self.metrics.record_session_ended(reason)

    def tell_ending(self, session: Session, reason: str) -> None:
        """For `Room`: the connection of this session ends. Of peers that never came in nobody is told."""
        joined = session.state == "ended" or session.id in session.participant.sessions
        if self.on_session_ending is not None and joined:
            self.on_session_ending(session, session.end_reason or reason)

    def close_connection(self, connection: "RTCConnection") -> asyncio.Task[None]:
        """Closes a fork in a task of its own, which the registry waits for."""
        return self._track(connection.close())

    # -- the end -------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Closes all rooms and waits for every connection. Idempotent."""
        self.closed = True
        for room in tuple(self._rooms.values()):
            self.close_room(room, SHUT_DOWN)
        while self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    def _track(self, closing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._on_closed)
        return task

    def _on_closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("closing a connection failed", exc_info=error)


def choose_retry_s() -> int:
    """When to come back to a router that goes away: not all at once."""
    return 1 + secrets.randbelow(MAX_RETRY_S)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
