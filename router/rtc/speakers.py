"""Who speaks among the audio tracks of one originating context, and the slots that hear the loudest of them.

The engine decides (`engine-rs/docs/speakers.md`): which tracks are heard follows the levels in their packets (RFC 6464)
within one packet, whatever this loop does. Here are the objects and the event, `speakerschanged`, at most five times a
second. A slot that follows speakers is no longer assigned by hand; what it hears is worked out when somebody asks, so
that a room of a thousand listeners costs this loop nothing while speakers come and go.
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
    """Slots of the same peer that follow, as far as the group lets them."""


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
        self._stages: dict[int, tuple[RTCMediaStreamTrack | None, ...]] = {}
        """By capacity: who has which place, the spare place last."""
        self._tracks: WeakValueDictionary[int, RTCMediaStreamTrack] = WeakValueDictionary()
        """By the engine's producer id."""
        self._levels: dict[int, int] = {}
        """Of those in places, by producer id."""
        self._participants: dict[int, int] = {}
        """Owner by producer id."""
        self._followers: WeakKeyDictionary[RTCSlot, None] = WeakKeyDictionary()
        worker = origin.get_sockets()[0].options.worker
        self._id = self._engine.native.create_speakers(worker, max_heard=max_heard)
        self._engine.register_speakers(self._id, self)

    def add_track(self, track: "RTCMediaStreamTrack", participant: int) -> None:
        """The track competes to be heard, on behalf of `participant`: any number that names its owner here."""
        if track.kind != "audio":
            raise ConfigError(f"track {track.id}: expected audio, got {track.kind}")
        track.compete(self, participant)

    def follow(self, slots: Sequence["RTCSlot"], participant: int) -> None:
        """These audio slots of one peer, in this order, hear the loudest, but never `participant`."""
        for slot in slots:
            if slot.kind != "audio" or slot.listening is not None or slot.track is not None:
                raise ConfigError(f"slot {slot.mid}: expected an audio slot that shows nothing")
        if not slots:
            return
        self._engine.native.follow_speakers([slot.id for slot in slots], self._id, participant)
        capacity = min(len(slots), self.max_heard)
        for place, slot in enumerate(slots):
            slot.listening = Listening(self, participant, place, capacity)
            self._followers[slot] = None

    def heard_in(self, listening: Listening) -> "RTCMediaStreamTrack | None":
        """What a slot hears, as far as this loop was told."""
        places = self._stages.get(listening.capacity, ())
        if listening.place >= listening.capacity or not places:
            return None
        track = places[listening.place]
        if track is not None and self._owner(track) == listening.participant:
            track = places[-1]
        return None if track is None or self._owner(track) == listening.participant else track

    def level_of(self, track: "RTCMediaStreamTrack") -> int | None:
        """How loud a heard track was when this loop was told of it, in -dBov."""
        return None if track.producer is None else self._levels.get(track.producer)

    def close(self) -> None:
        """Nobody is heard any more. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._engine.unregister_speakers(self._id)
        # When the engine was closed first, nothing is left to remove.
        with suppress(EngineError):
            self._engine.native.remove_speakers(self._id)
        self._stages.clear()
        self.cancel_handlers()

    # -- from tracks and the engine ------------------------------------------------------------------------------

    def on_track_started(self, track: "RTCMediaStreamTrack", participant: int) -> None:
        """The engine takes its packets now."""
        if self.closed or track.producer is None:
            return
        self._tracks[track.producer] = track
        self._participants[track.producer] = participant
        self._engine.native.join_speakers(track.producer, self._id, participant)

    def on_track_stopped(self, producer: int) -> None:
        """The engine has forgotten it."""
        self._tracks.pop(producer, None)
        self._participants.pop(producer, None)

    def on_speakers_changed(self, event: "SpeakersChanged") -> None:
        """From the engine."""
        find = self._tracks.get
        before, stages_before = (self.dominant, self.recent), self._stages
        self.dominant = None if event.dominant is None else find(event.dominant)
        self.recent = tuple(track for producer in event.recent if (track := find(producer)) is not None)
        self._levels = dict(event.levels)
        self._stages = {
            len(places) - 1: tuple(None if producer is None else find(producer) for producer in places)
            for places in event.stages
        }
        if self._stages != stages_before:
            for slot in tuple(self._followers):
                slot.connection.media.on_slot_changed(slot)
        if (self.dominant, self.recent) != before:
            self.emit("speakerschanged", self.dominant, self.recent)

    def _owner(self, track: "RTCMediaStreamTrack") -> int | None:
        return None if track.producer is None else self._participants.get(track.producer)
