"""What the grants of those inside allow, for the whole call: rights, length of stay, revocation.

Each session has the newest grant that was shown for it. A newer token, told by when it was issued, replaces it and
its rights take effect at once; an older one never does, and only prolongs the stay. What an operator changes (`change`)
counts for all tokens of that identity that were issued before, also when it comes back to this room.

Taking a right away needs no negotiation: a track that may not be published is dropped by the engine and shown to
nobody, slots that may not receive stay empty. Giving one works at once where the session has the m-line; for a new one
its peer joins again, which is what the client does when it is told (`Roster.tell_rights`).
"""

import logging
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from router import clock
from router.errors import ForbiddenError
from router.rooms.participant import Participant
from router.rooms.revocation import Revocation
from router.rooms.rights import JoinGrant, Rights, describe_rights
from router.rooms.session import Session

if TYPE_CHECKING:
    from router.rooms.registry import RoomRegistry
    from router.rooms.room import Room

logger = logging.getLogger(__name__)

EXPIRED = "token-expired"


@dataclass(frozen=True, slots=True)
class _Change:
    """By an operator: fields of `Rights`."""

    fields: Mapping[str, Any]
    at_s: float
    """Wall clock; tokens that were issued later are not touched."""


class Grants:
    """Of one room."""

    def __init__(self, room: "Room", registry: "RoomRegistry") -> None:
        self._room = room
        self._registry = registry
        self._changes: OrderedDict[str, _Change] = OrderedDict()
        """By identity, the earliest first."""

    def in_force(self, grant: JoinGrant) -> JoinGrant:
        """The grant as it counts now."""
        change = self._changes.get(grant.identity)
        if change is None or grant.issued_at_s > change.at_s:
            return grant
        return replace(grant, **change.fields)

    # -- what comes ----------------------------------------------------------------------------------------------

    def admit(self, session: Session, grant: JoinGrant) -> None:
        """A new session, before anybody hears of it."""
        session.grant = grant
        self._adopt(session.participant, grant)
        for one in session.participant.sessions.values():
            self._apply(one, announce=one is not session)
        self.prolong(grant)

    def renew(self, session: Session, grant: JoinGrant) -> None:
        """Its owner has shown another grant for it."""
        self.prolong(grant)
        if session.grant is None or session.grant == grant or grant.issued_at_s < session.grant.issued_at_s:
            return
        session.grant = grant
        before = session.participant.rights
        self._adopt(session.participant, grant)
        self._announce(session.participant, before)

    def change(self, participant: Participant, **fields: Any) -> None:
        """An operator gives and takes: fields of `Rights`, those not named stay as they are."""
        last = self._changes.pop(participant.identity, None)
        if last is not None and participant.grant is not None and participant.grant.issued_at_s <= last.at_s:
            fields = {**last.fields, **fields}
        self._changes[participant.identity] = _Change(fields, clock.wall_s())
        while len(self._changes) > self._room.limits.max_changed_rights:
            self._changes.popitem(last=False)
        logger.info(
            "rights changed",
            extra={"room": self._room.name, "participant": participant.id, "rights": sorted(fields)},
        )
        before = participant.rights
        self._adopt(participant)
        self._announce(participant, before)

    def check_declared(self, session: Session, declared: Mapping[str, Mapping[str, Any]]) -> None:
        """Refuses a source that the publisher of these tracks has no right to, and another one for a dropped track."""
        assert session.grant is not None, "set by `admit`"
        rights = self.in_force(session.grant)
        if rights.publish_sources is None:
            return
        for mid, fields in declared.items():
            track = session.tracks[mid]
            source = fields.get("source", track.source)
            if source == track.source:
                continue
            rights.require_source(source, track.kind)
            if not track.allowed:
                # Else another label would be all that it takes.
                raise ForbiddenError(f"no right to publish {track.source}", slug="may-not-publish-source")

    # -- what follows --------------------------------------------------------------------------------------------

    def _adopt(self, participant: Participant, grant: JoinGrant | None = None) -> None:
        known = participant.grant
        if grant is not None and (known is None or grant.issued_at_s >= known.issued_at_s):
            participant.grant = known = grant
        assert known is not None, "whoever is in the room has shown one"
        participant.rights = self.in_force(known)

    def _announce(self, participant: Participant, before: Rights) -> None:
        for session in participant.sessions.values():
            self._apply(session, announce=True)
        self._room.roster.tell_changed(participant)
        if describe_rights(before) != describe_rights(participant.rights):
            self._room.roster.tell_rights(participant)

    def _apply(self, session: Session, *, announce: bool) -> None:
        assert session.grant is not None, "set before"
        rights = self.in_force(session.grant)
        for track in session.tracks.values():
            # Whoever is hidden by one grant is not shown by another.
            allowed = rights.allows(track.source, track.kind) and not session.participant.rights.hidden
            if track.allowed != allowed:
                track.set_allowed(allowed)
                if announce:
                    self._room.on_track_changed(track)
        if session.subscribes != rights.may_subscribe:
            session.subscribes = rights.may_subscribe
            self._room.update_hearing(session)
            self._room.settlement.update_session(session)

    # -- how long ------------------------------------------------------------------------------------------------

    def prolong(self, grant: JoinGrant) -> None:
        """A participant may stay until the last of the grants expires that it has shown."""
        participant = self._room.participants.get(grant.identity)
        if participant is None or grant.expires_at_s <= participant.expires_at_s:
            return
        self._set_expiry(participant, grant)

    def _set_expiry(self, participant: Participant, grant: JoinGrant) -> None:
        participant.longest = grant
        participant.expires_at_s = grant.expires_at_s
        cancel_expiry(participant)
        if grant.expires_at_s < math.inf:
            participant.expiry_timer = self._registry.call_later(
                max(0.0, grant.expires_at_s - clock.wall_s()), partial(self._on_expired, participant)
            )

    def _on_expired(self, participant: Participant) -> None:
        participant.expiry_timer = None
        for session in tuple(participant.sessions.values()):
            self._room.end_session(session, EXPIRED)

    def on_revoked(self, revocation: Revocation) -> None:
        """Ends what was joined with a revoked token. Who has another one stays as long as that allows."""
        for participant in tuple(self._room.participants.values()):
            if revocation.identity and participant.identity != revocation.identity:
                continue
            sessions = tuple(participant.sessions.values())
            revoked = [one for one in sessions if one.grant is not None and revocation.concerns(one.grant)]
            for session in revoked:
                self._room.end_session(session, revocation.reason)
            kept = [session.grant for session in participant.sessions.values() if session.grant is not None]
            if kept and participant.longest is not None and revocation.concerns(participant.longest):
                self._set_expiry(participant, max(kept, key=lambda grant: grant.expires_at_s))
            if kept and revoked:
                before, participant.grant = participant.rights, max(kept, key=lambda grant: grant.issued_at_s)
                self._adopt(participant)
                self._announce(participant, before)


def cancel_expiry(participant: Participant) -> None:
    """It has left, or may stay longer."""
    if participant.expiry_timer is not None:
        participant.expiry_timer.cancel()
        participant.expiry_timer = None
