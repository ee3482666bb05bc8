"""Who speaks among the audio tracks of one originating context, and the slots that hear the loudest of them.

The engine decides (`engine-rs/docs/speakers.md`): which tracks are heard follows the levels in their packets (RFC 6464)
within one packet, whatever this loop does. Here are the objects and the event, `speakerschanged`, at most five times a
second. A slot that follows speakers is no longer assigned by hand; what it hears is worked out when somebody asks, so
that a room of a thousand listeners costs this loop nothing while speakers come and go.

Each worker on which somebody listens has an engine group of its own, in which all tracks compete; they decide alike,
within a packet. What the group of the origin's worker says is what is told of the whole; the places are each group's.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from router.errors import ConfigError, EngineError
from router.rtc.events import EventEmitter, HandlerAttribute

if TYPE_CHECKING:
    from router._engine import SpeakersChanged
    from router.rtc.connection import RTCConnection
    from router.rtc.slot import RTCSlot
    from router.rtc.stream import RTCMediaStreamTrack

DEFAULT_MAX_HEARD = 3


@dataclass(frozen=True, slots=True)
class Listening:
    """How one slot follows a group of speakers."""

    speakers: "RTCSpeakers"
    participant: int
    """Whose voice it never hears."""
    place: int
    capacity: int
    """Slots of the same peer that follow, as far as the group lets them; 0: they are silenced."""
    worker: int
    """Whose group it hears."""


class _WorkerGroup:
    """The engine's group on one worker, as far as this loop was told of it."""

    __slots__ = ("_speakers", "followers", "id", "levels", "stages")

    def __init__(self, speakers: "RTCSpeakers", id_: int) -> None:
        self.id = id_
        self.stages: dict[int, tuple[RTCMediaStreamTrack | None, ...]] = {}
        """By capacity: who has which place, the spare place last."""
        self.levels: dict[int, int] = {}
        """Of those in places, by producer id."""
        self.followers: WeakKeyDictionary[RTCSlot, None] = WeakKeyDictionary()
        self._speakers = speakers

    def on_speakers_changed(self, event: "SpeakersChanged") -> None:
        """From the engine."""
        self._speakers.on_group_changed(self, event)


class RTCSpeakers(EventEmitter):
    """One group. Handlers of `speakerschanged` get the dominant track or None, and a tuple of recent ones."""

    EVENTS = ("speakerschanged",)
    onspeakerschanged = HandlerAttribute("speakerschanged")

    def __init__(self, origin: "RTCConnection", *, max_heard: int = DEFAULT_MAX_HEARD) -> None:
        super().__init__()
        self.max_heard = max_heard
        self.closed = False
        self.dominant: RTCMediaStreamTrack | None = None
        self.recent: tuple[RTCMediaStreamTrack, ...] = ()
        """Those that were dominant, the latest first."""
        self._engine = origin.engine
        self._tracks: WeakValueDictionary[int, RTCMediaStreamTrack] = WeakValueDictionary()
        """By the engine's producer id."""
        self._participants: dict[int, int] = {}
        """Owner by producer id."""
        self._groups: dict[int, _WorkerGroup] = {}
        """By worker; the first one is the origin's."""
        self._quiet: dict[int, int] = {}
        """By worker, the engine's group in which nobody speaks."""
        self._home = self._open_group(origin.get_sockets()[0].options.worker)

    def add_track(self, track: "RTCMediaStreamTrack", participant: int) -> None:
        """The track competes to be heard, on behalf of `participant`: any number that names its owner here."""
        if track.kind != "audio":
            raise ConfigError(f"track {track.id}: expected audio, got {track.kind}")
        track.compete(self, participant)

    def follow(self, slots: Sequence["RTCSlot"], participant: int) -> None:
        """These audio slots of one peer, in this order, hear the loudest, but never `participant`."""
        for slot in slots:
            busy = slot.track is not None or (slot.listening is not None and slot.listening.capacity > 0)
            if slot.kind != "audio" or busy:
                raise ConfigError(f"slot {slot.mid}: expected an audio slot that shows nothing")
        if not slots:
            return
        worker = _worker_of(slots)
        group = self._groups.get(worker) or self._open_group(worker)
        self._engine.native.follow_speakers([slot.id for slot in slots], group.id, participant)
        capacity = min(len(slots), self.max_heard)
        for place, slot in enumerate(slots):
            slot.listening = Listening(self, participant, place, capacity, worker)
            group.followers[slot] = None

    def silence(self, slots: Sequence["RTCSlot"], participant: int) -> None:
        """These slots of one peer, which follow, hear nobody until they follow again."""
        if not slots:
            return
        worker = _worker_of(slots)
        if worker not in self._quiet:
            # In the engine a slot follows one group at a time: this one has no members.
            self._quiet[worker] = self._engine.native.create_speakers(worker, max_heard=1)
        self._engine.native.follow_speakers([slot.id for slot in slots], self._quiet[worker], participant)
        for place, slot in enumerate(slots):
            slot.listening = Listening(self, participant, place, 0, worker)
            self._groups[worker].followers.pop(slot, None)
            slot.connection.media.on_slot_changed(slot)

    def heard_in(self, listening: Listening) -> "RTCMediaStreamTrack | None":
        """What a slot hears, as far as this loop was told."""
        places = self._groups[listening.worker].stages.get(listening.capacity, ())
        if listening.place >= listening.capacity or not places:
            return None
        track = places[listening.place]
        if track is not None and self._owner(track) == listening.participant:
            track = places[-1]
        return None if track is None or self._owner(track) == listening.participant else track

    def level_of(self, track: "RTCMediaStreamTrack") -> int | None:
        """How loud a heard track was when this loop was told of it, in -dBov."""
        if track.producer is None:
            return None
        levels = (group.levels.get(track.producer) for group in self._groups.values())
        return next((level for level in levels if level is not None), None)

    def close(self) -> None:
        """Nobody is heard any more. Idempotent."""
        if self.closed:
            return
        self.closed = True
        for group in self._groups.values():
            self._engine.unregister_speakers(group.id)
            # When the engine was closed first, nothing is left to remove.
            with suppress(EngineError):
                self._engine.native.remove_speakers(group.id)
            group.stages.clear()
        for quiet in self._quiet.values():
            with suppress(EngineError):
                self._engine.native.remove_speakers(quiet)
        self.cancel_handlers()

    def _open_group(self, worker: int) -> _WorkerGroup:
        group = _WorkerGroup(self, self._engine.native.create_speakers(worker, max_heard=self.max_heard))
        self._groups[worker] = group
        self._engine.register_speakers(group.id, group)
        for producer in tuple(self._tracks):
            self._engine.native.join_speakers(producer, group.id, self._participants[producer])
        return group

    # -- from tracks and the engine ------------------------------------------------------------------------------

    def on_track_started(self, track: "RTCMediaStreamTrack", participant: int) -> None:
        """The engine takes its packets now."""
        if self.closed or track.producer is None:
            return
        self._tracks[track.producer] = track
        self._participants[track.producer] = participant
        for group in self._groups.values():
            self._engine.native.join_speakers(track.producer, group.id, participant)

    def on_track_stopped(self, producer: int) -> None:
        """The engine has forgotten it."""
        self._tracks.pop(producer, None)
        self._participants.pop(producer, None)

    def on_group_changed(self, group: _WorkerGroup, event: "SpeakersChanged") -> None:
        """From the engine: what one of the groups decided."""
        find = self._tracks.get
        before, stages_before = (self.dominant, self.recent), group.stages
        if group is self._home:
            self.dominant = None if event.dominant is None else find(event.dominant)
            self.recent = tuple(track for producer in event.recent if (track := find(producer)) is not None)
        group.levels = dict(event.levels)
        group.stages = {
            len(places) - 1: tuple(None if producer is None else find(producer) for producer in places)
            for places in event.stages
        }
        if group.stages != stages_before:
            for slot in tuple(group.followers):
                slot.connection.media.on_slot_changed(slot)
        if (self.dominant, self.recent) != before:
            self.emit("speakerschanged", self.dominant, self.recent)

    def _owner(self, track: "RTCMediaStreamTrack") -> int | None:
        return None if track.producer is None else self._participants.get(track.producer)


def _worker_of(slots: Sequence["RTCSlot"]) -> int:
    worker = slots[0].connection.worker
    assert worker is not None, "a connection with slots has a transport, thus sockets"
    return worker
