"""What one room tells the event log: the roster's changes, taken apart into events of participants and tracks.

The roster says that something about a participant changed; what was told last is kept here and compared, so an event is
always a difference, and the last one always leaves the true state. A participant that changes without pause is told
once a second: what came and went in between is nobody's news, and one who floods delays only its own.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from router import clock
from router.errors import RateLimitedError
from router.events.log import RoomLog
from router.events.model import (
    Contributor,
    ContributorsChanged,
    ParticipantChanged,
    ParticipantInfo,
    ParticipantJoined,
    ParticipantLeft,
    QualityChanged,
    RoomChanged,
    RoomFinished,
    RoomLocked,
    RoomStarted,
    RoomUnlocked,
    TrackChanged,
    TrackInfo,
    TrackMuted,
    TrackPublished,
    TrackUnmuted,
    TrackUnpublished,
)
from router.rates import RateLimiter
from router.rooms.fanout import CallLater
from router.rooms.limits import RoomLimits
from router.rooms.options import RoomOptions
from router.rooms.participant import Participant, PublishedTrack
from router.rooms.rights import Rights, describe_rights

CHANGES_PER_S: Final = 4.0
CHANGE_BURST: Final = 40
"""Of one participant: sixteen tracks that begin one by one and are muted and unmuted at once pass."""
SPEAKERS: Final = ""
"""The limiter's key for who is heard; no participant has it."""
LATE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """How good what a participant sends and is sent is, at the worst."""

    category: str
    impairment: str
    direction: str


GOOD: Final = Judgement("good", "none", "in")
NO_TRACKS: Final[Mapping[str, TrackInfo]] = MappingProxyType({})
"""Shared by all who have none."""


@dataclass(slots=True)
class _Told:
    info: ParticipantInfo
    rights: Rights
    tracks: Mapping[str, TrackInfo]
    quality: str = GOOD.category
    seen_quality: str = GOOD.category
    """At the last look, told or not."""


class Chronicle:
    """One life of a room."""

    def __init__(self, log: RoomLog, call_later: CallLater, *, now_us: Callable[[], int] = clock.monotonic_us) -> None:
        self._log = log
        self._call_later = call_later
        self._limiter = RateLimiter(CHANGES_PER_S, CHANGE_BURST, now_us=now_us)
        self._told: dict[str, _Told] = {}
        """By participant id."""
        self._late: dict[str, Participant] = {}
        """Changed too often: told when the timer fires."""
        self._heard: tuple[str | None, tuple[str, ...]] = (None, ())
        self._heard_late = False
        self._timer: asyncio.TimerHandle | None = None
        self._finished = False

    # -- the room ------------------------------------------------------------------------------------------------

    def on_started(self, options: RoomOptions, limits: RoomLimits) -> None:
        """It can be joined."""
        self._log.append(RoomStarted(options.metadata, options.limit_participants(limits)))

    def on_locked(self, locked: bool) -> None:
        """Newcomers are kept out, or may come in again."""
        self._log.append(RoomLocked() if locked else RoomUnlocked())

    def on_changed(self, options: RoomOptions, limits: RoomLimits) -> None:
        """It is asked to be something else."""
        self._log.append(RoomChanged(options.metadata, options.limit_participants(limits)))

    def on_finished(self, reason: str, duration_s: float) -> None:
        """Nobody is in it any more. Nothing is told after that."""
        self._finished = True
        self._told.clear()
        self._late.clear()
        self._stop_timer()
        self._log.append(RoomFinished(reason, round(duration_s, 3)))

    # -- participants and tracks ---------------------------------------------------------------------------------

    def on_participant(self, participant: Participant) -> None:
        """It came, or something about it may have changed."""
        if self._finished or participant.id in self._late:
            return
        if participant.id not in self._told or self._may_tell(participant.id):
            self._tell(participant)
        else:
            self._late[participant.id] = participant

    def on_left(self, participant: Participant, reason: str) -> None:
        """It went, with all its tracks."""
        self._late.pop(participant.id, None)
        told = self._told.pop(participant.id, None)
        if told is None:
            return
        for track in told.tracks.values():
            self._log.append(TrackUnpublished(told.info, track))
        self._log.append(ParticipantLeft(told.info, reason))

    def _tell(self, participant: Participant) -> None:
        info = describe_participant(participant)
        told = self._told.get(participant.id)
        if told is None:
            told = self._told[participant.id] = _Told(info, participant.rights, NO_TRACKS)
            self._log.append(ParticipantJoined(info))
        elif info != told.info or _differ(participant.rights, told.rights):
            told.info, told.rights = info, participant.rights
            self._log.append(ParticipantChanged(info, describe_rights(participant.rights)))
        before, told.tracks = told.tracks, _describe_tracks(participant)
        for id_, track in before.items():
            if id_ not in told.tracks:
                self._log.append(TrackUnpublished(info, track))
        for id_, track in told.tracks.items():
            self._tell_track(info, before.get(id_), track)

    def _tell_track(self, info: ParticipantInfo, before: TrackInfo | None, track: TrackInfo) -> None:
        if before is None:
            self._log.append(TrackPublished(info, track))
        elif before != track:
            silent = track.muted or track.moderated
            if silent == (before.muted or before.moderated):
                self._log.append(TrackChanged(info, track))
            else:
                self._log.append(TrackMuted(info, track) if silent else TrackUnmuted(info, track))

    def on_quality(self, participant: Participant, judgement: Judgement) -> None:
        """How good its media was at one look. Told when two in a row agree on another category than was told."""
        told = self._told.get(participant.id)
        if told is None:
            return
        steady, told.seen_quality = told.seen_quality == judgement.category, judgement.category
        if steady and judgement.category != told.quality:
            before, told.quality = told.quality, judgement.category
            self._log.append(QualityChanged(told.info, told.quality, before, judgement.impairment, judgement.direction))

    # -- who is heard --------------------------------------------------------------------------------------------

    def on_speakers(self, dominant: str | None, recent: Sequence[str]) -> None:
        """Ids of audio tracks."""
        self._heard = (dominant, tuple(recent))
        if self._finished or self._heard_late:
            return
        if self._may_tell(SPEAKERS):
            self._tell_heard()
        else:
            self._heard_late = True

    def _tell_heard(self) -> None:
        owners = {id_: (told.info, track) for told in self._told.values() for id_, track in told.tracks.items()}
        dominant, recent = self._heard
        found = {
            id_: Contributor(track.contributor, id_, info.id, info.identity)
            for id_ in (*recent, dominant)
            if id_ is not None and id_ in owners
            for info, track in (owners[id_],)
        }
        contributors = tuple(found[id_] for id_ in recent if id_ in found)
        self._log.append(ContributorsChanged(found.get(dominant) if dominant else None, contributors))

    # -- what changes too often ----------------------------------------------------------------------------------

    def _may_tell(self, key: str) -> bool:
        try:
            self._limiter.take(key)
        except RateLimitedError:
            if self._timer is None:
                self._timer = self._call_later(LATE_S, self._tell_late)
            return False
        return True

    def _tell_late(self) -> None:
        self._timer = None
        late, self._late = self._late, {}
        for participant in late.values():
            self._tell(participant)
        if self._heard_late:
            self._heard_late = False
            self._tell_heard()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def describe_participant(participant: Participant) -> ParticipantInfo:
    """As events show it."""
    return ParticipantInfo(participant.id, participant.identity, participant.name, participant.metadata)


def _differ(one: Rights, other: Rights) -> bool:
    """Whether they allow something else; tokens differ in their times as well."""
    return one is not other and describe_rights(one) != describe_rights(other)


def _describe_tracks(participant: Participant) -> Mapping[str, TrackInfo]:
    return {track.id: describe_track(track) for track in participant.tracks if track.listed} or NO_TRACKS


def describe_track(track: PublishedTrack) -> TrackInfo:
    """As events show it."""
    return TrackInfo(track.id, track.kind, track.source, track.track.contributor, track.muted, track.moderated)
