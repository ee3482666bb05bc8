"""A room: one originating connection, forked for every session, and the policy that fills slots with tracks.

Changes that touch who sees whom are gathered and settled once per turn of the loop (`router.rooms.settlement`), so that
a hundred joins cost one assignment and not a hundred; who is heard is the engine's business. Every session ends exactly
once, whatever ends it: DELETE, loss of the peer, no connection in time, a moderator, closing, and the expiry of the
last grant that its participant has shown.
"""

import asyncio
import logging
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

from router import clock
from router.errors import (
    CapacityError,
    ConflictError,
    ConnectionClosedError,
    NotFoundError,
    RemoteSdpError,
    UnprocessableError,
)
from router.rooms.chronicle import Chronicle
from router.rooms.demand import Demand
from router.rooms.forks import RoomForks
from router.rooms.grants import Grants, cancel_expiry
from router.rooms.moderation import Moderation
from router.rooms.names import check_display_name, check_metadata
from router.rooms.offers import (
    AdmittedOffer,
    Endpoint,
    OfferingEndpoint,
    admit_offer,
    check_whep_answer,
    check_whip_answer,
)
from router.rooms.options import RoomOptions
from router.rooms.participant import Participant, PublishedTrack, make_track_id
from router.rooms.rights import JoinGrant
from router.rooms.roster import Roster, Since, Watcher
from router.rooms.session import Session
from router.rooms.settlement import Settlement
from router.rooms.wishes import read_wishes
from router.rtc.description import RTCDescription

if TYPE_CHECKING:
    from router.rooms.registry import RoomRegistry
    from router.rtc import RTCConnection, RTCMediaStreamTrack

logger = logging.getLogger(__name__)

NO_OPTIONS = RoomOptions()
ENDED = "room-ended"
"""Why a room closes that an operator closes."""
RETRY_PUBLISHER_S = 2
RETRY_FULL_S = 10
RETRY_PUBLISHING_S = 30
"""A publisher that vanished is noticed within this time."""


class Room:
    """Participants, their sessions and tracks."""

    def __init__(
        self, name: str, registry: "RoomRegistry", origin: "RTCConnection", options: RoomOptions = NO_OPTIONS
    ) -> None:
        self.name = name
        self.id = f"R_{secrets.token_hex(8)}"
        """Of this life of the room: another one of the same name has another."""
        self.origin = origin
        self.limits = registry.limits
        self.options = options
        self.layout = options.arrange(registry.layout)
        """Of its static offer."""
        self.revision = 1
        """Counts the changes of its options and its lock."""
        self.participants: dict[str, Participant] = {}
        """By identity, in order of joining."""
        self.chronicle = Chronicle(registry.events.open_room(name, self.id), registry.call_later)
        self.roster = Roster(name, registry.limits, registry.call_later, self.chronicle, options.metadata)
        self.settlement = Settlement(self.find_track, self.roster.tell_slots)
        self.demand = Demand()
        self.grants = Grants(self, registry)
        self.moderation = Moderation(self, registry.revocations, registry.metrics)
        self.closed = False
        self.closing: asyncio.Task[None] | None = None
        self.created_s = clock.wall_s()
        self._registry = registry
        self._tracks: dict[str, PublishedTrack] = {}
        self._empty_timer: asyncio.TimerHandle | None = None
        self._was_used = False
        self.forks = RoomForks(self, registry)
        self.speakers = origin.open_speakers(max_heard=registry.limits.max_speakers)
        self.speakers.on("speakerschanged", self._on_speakers)
        self.check_empty()

    @property
    def sessions(self) -> list[Session]:
        """All sessions, in order of joining."""
        return [session for participant in self.participants.values() for session in participant.sessions.values()]

    def find_track(self, track_id: str | None) -> PublishedTrack | None:
        """A published track by its public id."""
        return self._tracks.get(track_id) if track_id else None

    def find_participant(self, participant_id: str) -> Participant:
        """A participant by its public id."""
        for participant in self.participants.values():
            if participant.id == participant_id:
                return participant
        raise NotFoundError("no such participant", slug="unknown-participant")

    def change_options(self, options: RoomOptions) -> None:
        """Others from now on; what makes its static offer lasts as long as the room. Nobody is put out."""
        if options.arrange(self.layout) != self.layout:
            raise ConflictError("slots and codecs of a room do not change", slug="room-exists")
        if options == self.options:
            return
        self.options = options
        self.revision += 1
        self.tell_changed()
        self.roster.tell_metadata(options.metadata)
        self.chronicle.on_changed(options, self.limits)
        self._stop_empty_timer()
        self.check_empty()

    def tell_changed(self) -> None:
        """What is remembered of the room is another now. Should the node die in the next moment, it is to count."""
        self._registry.tell_rooms_changed()

    # -- joining -------------------------------------------------------------------------------------------------

    async def join(self, grant: JoinGrant, offer: RTCDescription, endpoint: OfferingEndpoint) -> Session:
        """A new session that answers `offer`. Raises what RFC 9725 and the WHEP draft want answered."""
        admitted = admit_offer(offer, self.grants.in_force(grant), endpoint)
        self.check_admission(grant, admitted, endpoint)
        if not admitted.tracks and not self._tracks:
            raise no_publisher()
        return await self.enter(grant, self.origin.fork(), admitted, endpoint)

    async def enter(
        self,
        grant: JoinGrant,
        connection: "RTCConnection",
        admitted: AdmittedOffer,
        endpoint: Endpoint,
        *,
        session_id: str | None = None,
    ) -> Session:
        """A new session of an admitted peer on its fork, which is closed if that comes to nothing."""
        try:
            participant = self.participants.get(grant.identity) or Participant(grant.identity, grant.name)
            session = self._negotiate(participant, connection, admitted.offer, endpoint)
            session.id = session_id or session.id
            self._add_session(session, grant)
        except BaseException:
            await connection.close()
            raise
        if connection.connected:
            # DTLS was over before the answer came.
            self._on_connected(session)
        return session

    def check_open(self, grant: JoinGrant) -> None:
        """Whether this identity may come in."""
        if self.closed:
            raise ConnectionClosedError("the room was closed", retry_after_s=RETRY_PUBLISHER_S)
        self._registry.check_closed()
        self.moderation.check_entry(grant)
        participant = self.participants.get(grant.identity)
        if participant is None and len(self.participants) >= self.options.limit_participants(self.limits):
            raise CapacityError("the room is full", slug="room-full", retry_after_s=RETRY_FULL_S)

    def check_admission(self, grant: JoinGrant, admitted: AdmittedOffer, endpoint: Endpoint) -> None:
        """Whether there is room for all that this newcomer brings."""
        self.check_open(grant)
        participant = self.participants.get(grant.identity)
        if admitted.slots > self.limits.max_slots_per_session:
            raise CapacityError(
                f"at most {self.limits.max_slots_per_session} receiving m-lines, the offer has {admitted.slots}",
                slug="too-many-slots",
            )
        if participant is not None:
            _check_whip_conflict(participant, endpoint)
            if len(participant.sessions) >= self.limits.max_sessions_per_participant:
                raise CapacityError("too many sessions of this identity", slug="too-many-sessions", retry_after_s=30)
        tracks = len(participant.tracks) if participant else 0
        if tracks + admitted.tracks > self.limits.max_tracks_per_participant:
            raise CapacityError(
                f"at most {self.limits.max_tracks_per_participant} tracks per participant", slug="too-many-tracks"
            )

    def _negotiate(
        self, participant: Participant, connection: "RTCConnection", offer: RTCDescription, endpoint: Endpoint
    ) -> Session:
        session = Session(self, participant, connection, endpoint)
        connection.on_ending = lambda reason: self._registry.tell_ending(session, reason)
        connection.on("connected", lambda *_: self._on_connected(session))
        connection.on("disconnected", lambda *arguments: self._on_disconnected(session, arguments))
        connection.on("trackconnected", lambda track, *_: self._on_track(session, track, live=True))
        connection.on("trackdisconnected", lambda track, *_: self._on_track(session, track, live=False))
        connection.on("firstframe", lambda waited_s: self._registry.joins.flows(session, waited_s=waited_s))
        connection.on("trackwanted", lambda track, *_: self._on_wanted(session, track))
        try:
            connection.set_description(offer, "remote")
        except RemoteSdpError as error:
            # The text was well-formed, or it would not have come this far (RFC 9725 section 4.4.3).
            raise UnprocessableError(str(error), slug="unusable-m-line") from error
        for stream in connection.get_remote_streams():
            connection.receive_stream(stream)
        if endpoint == "whip":
            check_whip_answer(session.local)
        elif endpoint == "whep":
            check_whep_answer(session.local)
        session.adopt(offer)
        return session

    def _add_session(self, session: Session, grant: JoinGrant) -> None:
        if session.state == "ended":
            raise ConnectionClosedError("the peer was lost while joining")
        self.moderation.recall_mutes(session)
        participant = session.participant
        participant.name = grant.name or participant.name
        participant.metadata = grant.metadata or participant.metadata
        joins = not participant.sessions
        self._was_used = True
        self.participants[participant.identity] = participant
        participant.sessions[session.id] = session
        self._tracks.update((track.id, track) for track in session.tracks.values())
        self._join_speakers(session)
        self.grants.admit(session, grant)
        self._registry.add_session(session)
        if session.state == "new":
            session.connect_timer = self._registry.call_later(
                self.limits.connect_timeout_s, partial(self._on_connect_timeout, session)
            )
        self.check_empty()
        (self.roster.tell_joined if joins else self.roster.tell_changed)(participant)
        self.settlement.add_session(session)
        for track in session.tracks.values():
            self.settlement.update_track(track)
        self._registry.joins.entered(session)

    def _join_speakers(self, session: Session) -> None:
        """Its voices compete to be heard, its audio slots hear the loudest of the others."""
        owner = session.participant.number
        for published in session.tracks.values():
            if published.kind == "audio":
                self.speakers.add_track(published.track, owner)
        self.speakers.follow([slot for slot in session.slots.values() if slot.kind == "audio"], owner)

    def update_hearing(self, session: Session) -> None:
        """Its audio slots hear the speakers, or nobody, as it has the right to."""
        slots = [slot for slot in session.slots.values() if slot.kind == "audio"]
        listen = self.speakers.follow if session.subscribes else self.speakers.silence
        listen(slots, session.participant.number)

    # -- what peers do -------------------------------------------------------------------------------------------

    def _on_connected(self, session: Session) -> None:
        if session.state != "new" or session.id not in session.participant.sessions:
            return
        session.state = "connected"
        if session.connect_timer is not None:
            session.connect_timer.cancel()
            session.connect_timer = None
        self._registry.joins.connected(session)
        # The first message may have come before the answer told the client its session id.
        self.roster.tell_slots(session)

    def _on_disconnected(self, session: Session, arguments: tuple[object, ...]) -> None:
        logger.debug("peer lost", extra={"room": self.name, "reason": str(arguments[-1:])})
        if session.closing is None:
            self._registry.joins.lost(session, str(arguments[-1]) if arguments else "")
        self.end_session(session, "disconnected")

    def _on_connect_timeout(self, session: Session) -> None:
        session.connect_timer = None
        if session.state == "new":
            self.end_session(session, "never-connected")

    def _on_track(self, session: Session, track: "RTCMediaStreamTrack", *, live: bool) -> None:
        published = session.tracks.get(track.mid)
        if session.state == "ended" or published is None or published.live == live:
            return
        published.live = live
        if live:
            self._registry.joins.flows(session)
        if self.find_track(published.id) is not None:
            self.on_track_changed(published)

    def _on_wanted(self, session: Session, track: "RTCMediaStreamTrack") -> None:
        published = session.tracks.get(track.mid)
        if published is not None:
            self.demand.on_wanted(published)

    def on_track_changed(self, track: PublishedTrack) -> None:
        """Its state or source has changed."""
        self.roster.tell_changed(track.session.participant)
        self.settlement.update_track(track)

    def _on_speakers(self, dominant: "RTCMediaStreamTrack | None", recent: "tuple[RTCMediaStreamTrack, ...]") -> None:
        loudest = None if dominant is None else self._tracks.get(make_track_id(dominant.contributor))
        found = (self._tracks.get(make_track_id(track.contributor)) for track in recent)
        self.on_speakers(loudest, [track for track in found if track is not None])

    def on_speakers(self, dominant: PublishedTrack | None, recent: list[PublishedTrack]) -> None:
        """Who speaks has changed: audio tracks, the one that was dominant last first. Those that ended are skipped."""
        recent = [track for track in recent if track.id in self._tracks]
        dominant = dominant if dominant is not None and dominant.id in self._tracks else None
        self.roster.tell_speakers(dominant.id if dominant else None, [track.id for track in recent])
        self.settlement.set_speakers([track.session.participant.id for track in recent])

    def declare_tracks(self, session: Session, declared: dict[str, dict[str, Any]]) -> None:
        """What the publisher says of its tracks: `source` and `muted`, by mid, already checked."""
        self.grants.check_declared(session, declared)
        for mid, fields in declared.items():
            track = session.tracks[mid]
            for name, value in fields.items():
                setattr(track, name, value)
            self.settlement.update_track(track)
        self.roster.tell_changed(session.participant)
        self.roster.tell_slots(session)

    def describe_participant(self, actor: JoinGrant, *, name: str | None = None, metadata: str | None = None) -> None:
        """Changes what others read of a participant, by itself."""
        self.grants.in_force(actor).require_update_own_metadata()
        participant = self.participants.get(actor.identity)
        if participant is None:
            raise NotFoundError("you have not joined yet", slug="unknown-participant")
        participant.name = participant.name if name is None else check_display_name(name)
        participant.metadata = participant.metadata if metadata is None else check_metadata(metadata)
        self.roster.tell_changed(participant)

    def declare_wishes(self, session: Session, wishes: object) -> None:
        """What the subscriber wants in its video slots; see `read_wishes` for what is refused."""
        self.settlement.set_wishes(session, read_wishes(wishes, session, self.find_track))

    # -- leaving -------------------------------------------------------------------------------------------------

    def end_session(self, session: Session, reason: str) -> asyncio.Task[None]:
        """Takes the session out of the room at once; the task closes its connection. Idempotent."""
        if session.closing is not None:
            return session.closing
        session.state, session.end_reason = "ended", reason
        if session.id not in session.participant.sessions:
            session.closing = self._registry.close_connection(session.connection)
            return session.closing
        if session.connect_timer is not None:
            session.connect_timer.cancel()
            session.connect_timer = None
        participant = session.participant
        del participant.sessions[session.id]
        self.settlement.remove_session(session)
        self.demand.forget_session(session)
        for track in session.tracks.values():
            self._tracks.pop(track.id, None)
            self.settlement.remove_track(track)
        self.roster.forget_speakers({track.id for track in session.tracks.values()})
        if not participant.sessions:
            del self.participants[participant.identity]
            cancel_expiry(participant)
            self.roster.tell_left(participant, reason)
        else:
            self.roster.tell_changed(participant)
        session.closing = self._registry.close_connection(session.connection)
        self._registry.remove_session(session, reason)
        self.check_empty()
        self._registry.joins.ended(session, reason)
        return session.closing

    def watch(self, watcher: Watcher, since: Since | None = None) -> None:
        """Tells the watcher everything from now on, and what it does not know yet."""
        if self.closed:
            raise ConnectionClosedError("the room was closed", retry_after_s=RETRY_PUBLISHER_S)
        you = self.participants.get(watcher.identity)
        self.roster.add_watcher(watcher, you, since)
        self.check_empty()

    def resync(self, watcher: Watcher, version: int) -> None:
        """Tells a watcher what it missed since that version, or everything."""
        self.roster.update_watcher(watcher, self.participants.get(watcher.identity), version)

    def unwatch(self, watcher: Watcher) -> None:
        """Forgets the watcher."""
        self.roster.remove_watcher(watcher)
        self.demand.forget_watcher(watcher)
        self.check_empty()

    def check_empty(self) -> None:
        """Starts or stops the countdown to closing."""
        empty = not self.participants and not self.roster.watchers
        if self._empty_timer is not None and not (empty and not self.closed):
            self._stop_empty_timer()
        elif self._empty_timer is None and empty and not self.closed:
            delay = self.options.limit_empty(self.limits, was_used=self._was_used)
            self._empty_timer = self._registry.call_later(delay, self._on_empty)

    def _stop_empty_timer(self) -> None:
        if self._empty_timer is not None:
            self._empty_timer.cancel()
            self._empty_timer = None

    def _on_empty(self) -> None:
        self._empty_timer = None
        self._registry.close_room(self)

    async def close(self, reason: str = "room-closed") -> None:
        """Ends all sessions and watchers, then the origin. Idempotent."""
        await self._registry.close_room(self, reason)

    def detach(self, reason: str) -> list[asyncio.Task[None]]:
        """The synchronous part of closing: nobody is in the room afterwards."""
        self.closed = True
        self.forks.pending.close()
        self.speakers.close()
        # Watchers first: they need not hear that everybody leaves.
        self.roster.end_watchers(reason, "the room was closed", final=reason == ENDED)
        closing = [self.end_session(session, reason) for session in self.sessions]
        self.settlement.stop()
        self.check_empty()
        return closing


def _check_whip_conflict(participant: Participant, endpoint: Endpoint) -> None:
    if endpoint == "whip" and any(session.endpoint == "whip" for session in participant.sessions.values()):
        raise ConflictError(
            "this identity already publishes here", slug="already-publishing", retry_after_s=RETRY_PUBLISHING_S
        )


def no_publisher() -> ConflictError:
    """WHEP draft, section 4.2: a player that comes too early tries again later."""
    return ConflictError("nobody publishes in this room yet", slug="no-publisher", retry_after_s=RETRY_PUBLISHER_S)
