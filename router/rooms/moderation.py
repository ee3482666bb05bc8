"""Moderation of one room: mute a track, remove a participant, lock the room; and who may come in after that.

- A track muted here is not forwarded, whatever its publisher does, until a moderator unmutes it; also when the same
  identity publishes the same m-line again.
- Who was removed stays out with every token that was issued until then, in this room and in a later one of its name.
- A lock keeps out identities that were not inside when it was set. Those inside may reconnect; moderators may come.
Moderators are participants with that right, and operators, who are no participants. What is remembered has caps. Every
action is logged with the ids of who acted and on whom.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from router import clock
from router.errors import ForbiddenError, NotFoundError
from router.metrics import Metrics, ModerationAction
from router.rooms.limits import RoomLimits
from router.rooms.rights import JoinGrant, Operator

if TYPE_CHECKING:
    from router.rooms.room import Room
    from router.rooms.session import Session

logger = logging.getLogger(__name__)

REMOVED = "removed"
"""Why a session ended, and why its identity is refused."""


class RemovedIdentities:
    """Who was removed from which room when, for all rooms of a router: removal outlives an emptied room."""

    def __init__(self, limits: RoomLimits, *, now_s: Callable[[], float] = clock.wall_s) -> None:
        self._limits = limits
        self._now_s = now_s
        self._removed_s: OrderedDict[tuple[str, str], float] = OrderedDict()
        """By room and identity, the earliest first."""

    def add(self, room: str, identity: str) -> None:
        """From now on, only later tokens count."""
        key = (room, identity)
        self._removed_s[key] = self._now_s()
        self._removed_s.move_to_end(key)
        while len(self._removed_s) > self._limits.max_removed_identities:
            self._removed_s.popitem(last=False)

    def check(self, grant: JoinGrant) -> None:
        """Refuses a grant from before the removal. Issue times are whole seconds: those of the same one are refused."""
        key = (grant.room, grant.identity)
        removed_s = self._removed_s.get(key)
        if removed_s is None:
            return
        if self._now_s() - removed_s > self._limits.removed_memory_s:
            del self._removed_s[key]
        elif grant.issued_at_s <= removed_s:
            raise ForbiddenError("a moderator removed this identity; it needs a new token", slug=REMOVED)


class Moderation:
    """What moderators did in one room."""

    def __init__(self, room: "Room", removed: RemovedIdentities, metrics: Metrics) -> None:
        self._room = room
        self._removed = removed
        self._metrics = metrics
        self._inside: frozenset[str] | None = None
        """Identities that a lock found in the room; None while it is not locked."""
        self._muted: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Identity and m-line, the earliest first."""

    def check_entry(self, grant: JoinGrant) -> None:
        """Refuses those who were removed, and newcomers while the room is locked."""
        self._removed.check(grant)
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
            self._removed.add(self._room.name, target.identity)
        if self._inside is not None:
            self._inside -= {target.identity}
        self._record("remove", actor, target.id)
        for session in tuple(target.sessions.values()):
            self._room.end_session(session, REMOVED)
        for watcher in self._room.roster.watchers_of(target.identity):
            watcher.fail(ForbiddenError("a moderator removed you from the room", slug=REMOVED))

    def lock(self, actor: JoinGrant | Operator, locked: bool) -> None:
        """Keeps newcomers out, or lets them in again."""
        self._require_right(actor)
        if locked == (self._inside is not None):
            return
        self._inside = frozenset(self._room.participants) if locked else None
        self._room.revision += 1
        self._room.roster.tell_locked(locked)
        self._record("lock" if locked else "unlock", actor, None)

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
