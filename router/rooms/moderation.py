"""Moderation of one room: mute a track, remove a participant, lock the room; and who may come in after that.

- A track muted here is not forwarded, whatever its publisher does, until a moderator unmutes it; also when the same
  identity publishes the same m-line again.
- Who was removed stays out with every token that was issued until then, in this room and in a later one of its name,
  at every node (`router.rooms.revocations`).
- A lock keeps out identities that were not inside when it was set. Those inside may reconnect; moderators may come.
  It is part of what is remembered of the room, should its node die (`router.rooms.remembered`).
Moderators are participants with that right, and operators, who are no participants. What is remembered has caps. Every
action is logged with the ids of who acted and on whom.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from router.errors import ForbiddenError, NotFoundError
from router.metrics import Metrics, ModerationAction
from router.rooms.remembered import cut_inside
from router.rooms.revocation import REMOVED, removal
from router.rooms.revocations import Revocations
from router.rooms.rights import JoinGrant, Operator

if TYPE_CHECKING:
    from router.rooms.room import Room
    from router.rooms.session import Session

logger = logging.getLogger(__name__)


class Moderation:
    """What moderators did in one room."""

    def __init__(self, room: "Room", revocations: Revocations, metrics: Metrics) -> None:
        self._room = room
        self._revocations = revocations
        self._metrics = metrics
        self._inside: dict[str, None] | None = None
        """Identities that a lock found in the room, in order of joining; None while it is not locked."""
        self.remembered: tuple[str, ...] | None = None
        """Of these, what is kept for another node."""
        self._muted: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Identity and m-line, the earliest first."""

    def check_entry(self, grant: JoinGrant) -> None:
        """Refuses those who were removed or whose token was revoked, also since it was verified, and newcomers while
        the room is locked."""
        self._revocations.check(grant)
        if self._inside is None or self._room.grants.in_force(grant).may_moderate:
            return
        if grant.identity not in self._inside and grant.identity not in self._room.participants:
            raise ForbiddenError("a moderator locked the room", slug="room-locked")

    def recall_mutes(self, session: "Session") -> None:
        """Before anybody hears of a new session: what was muted of this identity still is."""
        for mid, track in session.tracks.items():
            if (session.participant.identity, mid) in self._muted:
                track.set_moderated(True)

    def mute(self, actor: JoinGrant | Operator, track_id: str, muted: bool) -> None:
        """Stops or resumes forwarding a track."""
        self._require_right(actor)
        track = self._room.find_track(track_id)
        if track is None:
            raise NotFoundError("no such track", slug="unknown-track")
        owner = track.session.participant
        self._remember_mute(owner.identity, track.mid, muted)
        if track.moderated != muted:
            track.set_moderated(muted)
            self._room.on_track_changed(track)
            self._record("mute" if muted else "unmute", actor, owner.id, track=track.id)

    def remove(self, actor: JoinGrant | Operator, participant_id: str, *, ban: bool = True) -> None:
        """Ends all sessions and event connections of a participant; `ban`: tokens issued until now do not let it in."""
        self._require_right(actor)
        target = self._room.find_participant(participant_id)
        if ban:
            self._revocations.remove_identity(target.identity, self._room.name, self._room.limits.removed_memory_s)
        if self._inside is not None:
            self._let_back(identity for identity in self._inside if identity != target.identity)
        self._record("remove", actor, target.id)
        for session in tuple(target.sessions.values()):
            self._room.end_session(session, REMOVED)
        for watcher in self._room.roster.watchers_of(target.identity):
            watcher.fail(removal())

    def lock(self, actor: JoinGrant | Operator, locked: bool) -> None:
        """Keeps newcomers out, or lets them in again."""
        self._require_right(actor)
        if locked == (self._inside is not None):
            return
        self._let_back(self._room.participants if locked else None)
        self._room.revision += 1
        self._room.roster.tell_locked(locked)
        self._record("lock" if locked else "unlock", actor, None)

    def recall_lock(self, inside: Iterable[str]) -> None:
        """The room was locked at a node that died, and these were inside."""
        self._let_back(inside)
        self._room.roster.tell_locked(True)

    def _let_back(self, inside: Iterable[str] | None) -> None:
        self._inside = None if inside is None else dict.fromkeys(inside)
        self.remembered = None if self._inside is None else cut_inside(self._inside)
        self._room.tell_changed()

    def _require_right(self, actor: JoinGrant | Operator) -> None:
        if isinstance(actor, JoinGrant):
            self._room.grants.in_force(actor).require_moderate()

    def _remember_mute(self, identity: str, mid: str, muted: bool) -> None:
        self._muted.pop((identity, mid), None)
        if muted:
            self._muted[identity, mid] = None
        while len(self._muted) > self._room.limits.max_moderated_tracks:
            self._muted.popitem(last=False)

    def _record(self, action: ModerationAction, actor: JoinGrant | Operator, target: str | None, **fields: str) -> None:
        who = {"actor": self._name(actor), "target": target}
        logger.info("moderation", extra={"room": self._room.name, "action": action, **who, **fields})
        self._metrics.record_moderation(action)

    def _name(self, actor: JoinGrant | Operator) -> str:
        if isinstance(actor, Operator):
            return f"operator {actor.name}"
        participant = self._room.participants.get(actor.identity)
        return participant.id if participant else actor.identity
