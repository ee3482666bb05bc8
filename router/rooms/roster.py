"""The roster of one room, told to its watchers as versioned deltas: one welcome each, then one small message a change.

A delta is serialised once, whatever the number of watchers. The version grows by one per delta, so a watcher that sees
a gap knows it missed something.
"""

import json
from collections.abc import Iterable
from typing import Any, Protocol

from router.errors import CapacityError
from router.rooms.limits import RoomLimits
from router.rooms.participant import Participant
from router.rooms.session import Session


class Watcher(Protocol):
    """Somebody who follows the roster, usually an events WebSocket. Neither method may raise or block."""

    @property
    def identity(self) -> str:
        """Whose slots it is told about."""

    def send(self, text: str) -> None:
        """Takes one JSON message."""

    def end(self, slug: str, detail: str) -> None:
        """Sends an error and closes."""


class Roster:
    """Watchers and the version of what they know."""

    def __init__(self, room_name: str, limits: RoomLimits) -> None:
        self.version = 0
        self._room_name = room_name
        self._limits = limits
        self._watchers: dict[Watcher, None] = {}

    @property
    def watchers(self) -> int:
        """How many follow."""
        return len(self._watchers)

    def add_watcher(self, watcher: Watcher, participants: Iterable[Participant], you: Participant | None) -> None:
        """Welcomes a watcher, or raises `CapacityError`."""
        if len(self._watchers) >= self._limits.max_watchers_per_room:
            raise CapacityError("too many event connections in this room", slug="too-many-watchers", retry_after_s=5)
        same = sum(other.identity == watcher.identity for other in self._watchers)
        if same >= self._limits.max_watchers_per_identity:
            raise CapacityError(
                "too many event connections of this identity", slug="too-many-watchers", retry_after_s=5
            )
        self._watchers[watcher] = None
        welcome = {
            "type": "welcome",
            "version": self.version,
            "you": you.id if you else None,
            "room": self._room_name,
            "participants": [participant.describe() for participant in participants],
        }
        watcher.send(write_message(welcome))
        for session in you.sessions.values() if you else ():
            self.tell_slots(session, only=watcher)

    def remove_watcher(self, watcher: Watcher) -> None:
        """Forgets it; unknown watchers are ignored."""
        self._watchers.pop(watcher, None)

    def tell_joined(self, participant: Participant) -> None:
        """A participant came."""
        self._tell("joined", participant=participant.describe())

    def tell_left(self, participant: Participant, reason: str) -> None:
        """A participant went."""
        self._tell("left", participant_id=participant.id, reason=reason)

    def tell_changed(self, participant: Participant) -> None:
        """Tracks or sessions of a participant changed."""
        self._tell("changed", participant=participant.describe())

    def tell_slots(self, session: Session, *, only: Watcher | None = None) -> None:
        """What the slots of a session show, to its owner alone: the session id is a secret."""
        if not session.slots:
            return
        identity = session.participant.identity
        owners = [watcher for watcher in ((only,) if only else self._watchers) if watcher.identity == identity]
        if not owners:
            return
        text = write_message({"type": "slots", "session": session.id, "slots": session.describe_slots()})
        for watcher in owners:
            watcher.send(text)

    def end_watchers(self, slug: str, detail: str) -> None:
        """Closes all of them."""
        for watcher in tuple(self._watchers):
            watcher.end(slug, detail)
        self._watchers.clear()

    def _tell(self, kind: str, **fields: Any) -> None:
        self.version += 1
        text = write_message({"type": kind, "version": self.version, **fields})
        for watcher in tuple(self._watchers):
            watcher.send(text)


def write_message(message: dict[str, Any]) -> str:
    """Compact JSON."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)
