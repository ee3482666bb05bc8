"""The roster of one room, told to its watchers as versioned deltas: one welcome each, then one small message a change.

A delta is serialised once, whatever the number of watchers, and a participant once for each change of it: the welcome
of a thousand is put together from texts that are there already. The version grows by one with each delta; a watcher
that sees a gap, or comes back, is sent what it missed as long as the log has it. What was told is never told again: a
change that others cannot see makes no delta.
"""

import json
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

from router.errors import CapacityError, ForbiddenError, RouterError
from router.rooms.chronicle import Chronicle
from router.rooms.fanout import CallLater, Fanout
from router.rooms.limits import RoomLimits
from router.rooms.participant import Participant
from router.rooms.rights import Rights, describe_rights
from router.rooms.roster_log import RosterLog
from router.rooms.session import Session

HIDDEN = "hidden"
"""Why a participant left who is there but no longer to be seen."""


class Watcher(Protocol):
    """Somebody who follows the roster, usually an events WebSocket. No method may raise or block."""

    @property
    def identity(self) -> str:
        """Whose slots it is told about."""

    def send(self, text: str) -> None:
        """Takes one JSON message."""

    def catch_up(self, texts: Sequence[str]) -> None:
        """Takes all that it has to know, in messages that may together be as large as the room."""

    def end(self, slug: str, detail: str) -> None:
        """Sends an error that invites to come back later, and closes."""

    def fail(self, error: RouterError) -> None:
        """Sends an error of its own making, and closes."""


@dataclass(frozen=True, slots=True)
class Since:
    """What a returning watcher knows."""

    log: str
    version: int


class Roster:
    """What everybody may know, its watchers and the log of its changes; operators read its chronicle."""

    def __init__(
        self, room_name: str, limits: RoomLimits, call_later: CallLater, chronicle: Chronicle, metadata: str = ""
    ) -> None:
        self.locked = False
        self.metadata = metadata
        """The application's text about the room."""
        self._chronicle = chronicle
        self._room_name = room_name
        self._limits = limits
        self._log = RosterLog(limits)
        self._participants: dict[str, str] = {}
        """Serialised, by id, in order of joining."""
        self._dominant: str | None = None
        self._recent: list[str] = []
        self._watchers: dict[Watcher, None] = {}
        self._by_identity: dict[str, dict[Watcher, None]] = {}
        self._fanout = Fanout(self._watchers.keys(), call_later)

    @property
    def version(self) -> int:
        """Grows by one with every delta."""
        return self._log.version

    @property
    def watchers(self) -> int:
        """How many follow."""
        return len(self._watchers)

    # -- watchers ------------------------------------------------------------------------------------------------

    def add_watcher(self, watcher: Watcher, you: Participant | None, since: Since | None = None) -> None:
        """Tells a watcher the roster, or what has changed in it, and what its slots show; or `CapacityError`."""
        if len(self._watchers) >= self._limits.max_watchers_per_room:
            raise CapacityError("too many event connections in this room", slug="too-many-watchers", retry_after_s=5)
        same = self._by_identity.get(watcher.identity, {})
        if len(same) >= self._limits.max_watchers_per_identity:
            raise CapacityError(
                "too many event connections of this identity", slug="too-many-watchers", retry_after_s=5
            )
        self._watchers[watcher] = None
        self._by_identity.setdefault(watcher.identity, {})[watcher] = None
        known = since.version if since is not None and since.log == self._log.id else None
        self.update_watcher(watcher, you, known)
        for session in you.sessions.values() if you else ():
            self.tell_slots(session, only=watcher)

    def update_watcher(self, watcher: Watcher, you: Participant | None, version: int | None) -> None:
        """Sends what has changed since that version of this log, or everything."""
        missed = self._log.read_since(version) if version is not None else None
        if missed is None:
            watcher.catch_up([f'{{"type":"welcome",{self.write_state(you)[1:]}'])
        else:
            watcher.catch_up([*missed, write_message({"type": "resumed", "version": self.version})])

    def remove_watcher(self, watcher: Watcher) -> None:
        """Forgets it; unknown watchers are ignored."""
        if watcher not in self._watchers:
            return
        del self._watchers[watcher]
        same = self._by_identity[watcher.identity]
        del same[watcher]
        if not same:
            del self._by_identity[watcher.identity]

    def watchers_of(self, identity: str) -> tuple[Watcher, ...]:
        """Those of one identity."""
        return tuple(self._by_identity.get(identity, ()))

    def end_watchers(self, slug: str, detail: str, *, final: bool = False) -> None:
        """Closes all of them; `final`: they are not to come back."""
        self._fanout.stop()
        for watcher in tuple(self._watchers):
            if final:
                watcher.fail(ForbiddenError(detail, slug=slug))
            else:
                watcher.end(slug, detail)
        self._watchers.clear()
        self._by_identity.clear()

    # -- the state and its changes -------------------------------------------------------------------------------

    def write_state(self, you: Participant | None) -> str:
        """All there is to know, as a JSON object."""
        head = {
            "version": self.version,
            "log": self._log.id,
            "you": you.id if you else None,
            "room": self._room_name,
            "locked": self.locked,
            "metadata": self.metadata,
        }
        participants = ",".join(self._participants.values())
        return f'{write_message(head)[:-1]},"participants":[{participants}],"speakers":{{{self._write_speakers()}}}}}'

    def tell_joined(self, participant: Participant) -> None:
        """A participant came. Of a hidden one other participants do not hear."""
        self._chronicle.on_participant(participant)
        if participant.rights.hidden:
            return
        text = self._participants[participant.id] = write_message(participant.describe())
        self._tell("joined", f'"participant":{text}')

    def tell_changed(self, participant: Participant) -> None:
        """Something about a participant may have changed, even whether others may know of them."""
        self._chronicle.on_participant(participant)
        if participant.rights.hidden:
            self._forget(participant, HIDDEN)
            return
        if participant.id not in self._participants:
            self.tell_joined(participant)
            return
        text = write_message(participant.describe())
        if text != self._participants[participant.id]:
            self._participants[participant.id] = text
            self._tell("changed", f'"participant":{text}')

    def tell_left(self, participant: Participant, reason: str) -> None:
        """A participant went. Whom nobody saw is not missed."""
        self._chronicle.on_left(participant, reason)
        self._forget(participant, reason)

    def tell_rights(self, participant: Participant) -> None:
        """What a participant may do now, to that participant alone."""
        text = write_rights(participant.rights)
        for watcher in self.watchers_of(participant.identity):
            watcher.send(text)

    def tell_speakers(self, dominant: str | None, recent: Sequence[str]) -> None:
        """Who speaks: ids of audio tracks, the one that was dominant last first."""
        if (dominant, list(recent)) != (self._dominant, self._recent):
            self._dominant, self._recent = dominant, list(recent)
            self._chronicle.on_speakers(dominant, recent)
            self._tell("speakers", self._write_speakers())

    def forget_speakers(self, track_ids: AbstractSet[str]) -> None:
        """These tracks ended: they are no speakers any more."""
        if not track_ids.isdisjoint(self._recent) or self._dominant in track_ids:
            recent = [track_id for track_id in self._recent if track_id not in track_ids]
            self.tell_speakers(None if self._dominant in track_ids else self._dominant, recent)

    def tell_locked(self, locked: bool) -> None:
        """Whether newcomers are refused."""
        if locked != self.locked:
            self.locked = locked
            self._chronicle.on_locked(locked)
            self._tell("locked", f'"locked":{write_message(locked)}')

    def tell_metadata(self, metadata: str) -> None:
        """The application's text about the room."""
        if metadata != self.metadata:
            self.metadata = metadata
            self._tell("metadata", f'"metadata":{write_message(metadata)}')

    def _write_speakers(self) -> str:
        return write_message({"dominant": self._dominant, "recent": self._recent})[1:-1]

    def _forget(self, participant: Participant, reason: str) -> None:
        if self._participants.pop(participant.id, None) is not None:
            self._tell("left", f'"participant_id":"{participant.id}","reason":{write_message(reason)}')

    def _tell(self, kind: str, fields: str) -> None:
        text = f'{{"type":"{kind}","version":{self.version + 1},{fields}}}'
        self._log.append(text)
        self._fanout.tell(text)

    # -- slots ---------------------------------------------------------------------------------------------------

    def tell_slots(self, session: Session, mids: Iterable[str] | None = None, *, only: Watcher | None = None) -> None:
        """What video slots of a session show, all or some, to its owner alone: the session id is a secret."""
        owners = (only,) if only is not None else self.watchers_of(session.participant.identity)
        slots = session.describe_slots(session.video_mids if mids is None else mids) if owners else ()
        if not slots:
            return
        text = write_message({"type": "slots", "session": session.id, "slots": slots})
        for watcher in owners:
            watcher.send(text)


def write_message(message: Any) -> str:
    """Compact JSON."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def write_rights(rights: Rights) -> str:
    """What its receiver may do now."""
    return write_message({"type": "rights", "rights": describe_rights(rights)})
